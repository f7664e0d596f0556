// URLs as they are shown on a console and in a log, where others can read them.

/// A URL without what may be secret: user, password, query and fragment are left out.
///
/// `https://me:pw@host:8080/rootfs.img?token=x` is shown as `https://host:8080/rootfs.img`. A `data:` URL, which
/// is its own content, is shown as `a data: URL`.
public struct RedactedURL: Equatable, Hashable, Sendable, CustomStringConvertible {
    /// The URL without its secrets.
    public let description: String

    /// Redacts any text that should be a URL.
    public init(_ url: String) {
        let text = url.unicodeScalars.prefix { $0 != "?" && $0 != "#" }
        guard let colon = text.firstIndex(of: ":") else {
            description = String(Substring(text))
            return
        }
        let scheme = String(Substring(text[..<colon]))
        if scheme.lowercased() == "data" {
            description = "a data: URL"
            return
        }
        let rest = text[text.index(after: colon)...]
        guard rest.starts(with: "//".unicodeScalars) else {
            description = "\(scheme):\(String(Substring(rest)))"
            return
        }
        let hierarchy = rest.dropFirst(2)
        let path = hierarchy.firstIndex(of: "/") ?? hierarchy.endIndex
        let authority = hierarchy[..<path]
        let host = authority.lastIndex(of: "@").map { authority[authority.index(after: $0)...] } ?? authority
        // A password with a slash in it looks like a port and the start of a path.
        if let colon = host.lastIndex(of: ":"), !host[colon...].contains("]"),
            !host[host.index(after: colon)...].allSatisfy({ ("0"..."9").contains($0) })
        {
            description = "\(scheme)://(malformed URL)"
            return
        }
        description = "\(scheme)://\(String(Substring(host)))\(String(Substring(hierarchy[path...])))"
    }
}
