// URLs, parsed once, where they enter: enough to check them, to fetch from them and to show them without their secrets.

/// A URL, taken apart as far as checking and fetching need.
///
/// Its description is that for a message or a log: without user, password, query, fragment and data.
public struct SourceURL: Hashable, Sendable, CustomStringConvertible {
    /// Why a text is not a usable URL.
    public enum Fault: Error, Equatable, CustomStringConvertible {
        case noScheme
        case controlCharacter
        case badEscape
        case blankInHost
        case badPort

        /// What is wrong, for a message.
        public var description: String {
            switch self {
            case .noScheme: "not a URL: a URL starts with a scheme such as https: or data:"
            case .controlCharacter: "the URL holds a control character"
            case .badEscape: "a % in a URL takes two hexadecimal digits"
            case .blankInHost: "the URL's host holds a blank"
            // What stands there may be a password with a slash in it.
            case .badPort: "the URL's port is not a number; in a password / is written as %2F"
            }
        }
    }

    /// The URL as it was written.
    ///
    /// It may hold a password: never print it.
    public let text: String
    /// The part before the first colon, in lower case.
    public let scheme: String
    /// User, password, host and port; `nil` if the URL has no `//`.
    public private(set) var authority: String?
    /// The part from the first `/` (or, without an authority, from the colon) up to `?` or `#`; empty for `data:`.
    public let path: String
    /// The part after `?`, without it.
    public private(set) var query: String?
    private var fragment: String?

    /// Takes a URL apart; of a `data:` URL only the scheme is checked.
    ///
    /// - Throws: ``Fault`` with the first mistake.
    public init(parsing text: String) throws(Fault) {
        guard text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f }) else { throw .controlCharacter }
        guard let url = SourceURL(splitting: text) else { throw .noScheme }
        self = url
        try checkEscapes(fragment ?? "")
        if isData { return }
        try checkEscapes(path)
        try checkEscapes(authority ?? "")
        if host.contains(" ") { throw .blankInHost }
        if !hasNumericPort { throw .badPort }
    }

    /// Takes the URL of a proxy apart; what has no scheme is one for http, as for libcurl.
    ///
    /// - Throws: ``Fault`` with the first mistake.
    public init(parsingProxy text: String) throws(Fault) {
        try self.init(parsing: text.contains("://") ? text : "http://\(text)")
    }

    /// Takes a text apart, whatever is wrong behind its scheme; `nil` where it has none.
    package init?(splitting text: String) {
        guard let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")) else { return nil }
        let scheme = text[..<colon].lowercased()
        guard let first = scheme.utf8.first, (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(first),
            scheme.utf8.allSatisfy(Self.isSchemeByte)
        else { return nil }
        self.text = text
        self.scheme = scheme
        // Split by scalars: for Swift, a slash and a combining mark after it are one character.
        var rest = text.unicodeScalars[text.utf8.index(after: colon)...]
        if scheme == "data" {
            path = ""
            return
        }
        if let mark = rest.firstIndex(of: "#") {
            fragment = String(rest[mark...])
            rest = rest[..<mark]
        }
        if let mark = rest.firstIndex(of: "?") {
            query = String(rest[rest.index(after: mark)...])
            rest = rest[..<mark]
        }
        if rest.starts(with: "//".unicodeScalars) {
            rest = rest.dropFirst(2)
            let authority = rest.prefix { $0 != "/" }
            rest = rest.dropFirst(authority.count)
            self.authority = String(authority)
        }
        path = String(rest)
    }

    /// Whether it is a `data:` URL, which is its own content.
    public var isData: Bool { scheme == "data" }

    /// Host and port.
    private var endpoint: Substring.UnicodeScalarView {
        let authority = Substring(authority ?? "").unicodeScalars
        return authority.lastIndex(of: "@").map { authority[authority.index(after: $0)...] } ?? authority
    }

    private var hostScalars: Substring.UnicodeScalarView {
        let place = endpoint
        if place.first == "[", let end = place.firstIndex(of: "]") { return place[...end] }
        return place.prefix { $0 != ":" }
    }

    /// The host, with brackets if it is an IPv6 address; empty if there is none.
    public var host: String { String(hostScalars) }

    /// The port as written, possibly empty.
    public var port: String? {
        let rest = endpoint[hostScalars.endIndex...]
        return rest.first == ":" ? String(rest.dropFirst()) : nil
    }

    /// Whether there is no port, or one of digits alone: a password with a slash in it looks like a port and a path.
    fileprivate var hasNumericPort: Bool {
        (port ?? "").utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    }

    /// Whether the URL may hold a secret: a user, a password, or a query, which often is a token.
    public var carriesCredentials: Bool {
        authority?.unicodeScalars.contains("@") ?? false || query?.isEmpty == false
    }

    /// The URL for a message or a log.
    public var description: String { RedactedURL(self).description }

    private static func isSchemeByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"),
            UInt8(ascii: "-"), UInt8(ascii: "."):
            true
        default: false
        }
    }
}

/// A URL as it is shown on a console and in a log, where others can read it.
///
/// What may be secret is left out: user, password, query and fragment. `https://me:pw@host:8080/rootfs.img?token=x` is
/// shown as `https://host:8080/rootfs.img`; a `data:` URL, which is its own content, as `a data: URL`.
public struct RedactedURL: Hashable, Sendable, CustomStringConvertible {
    /// The URL without its secrets.
    public let description: String

    /// Redacts a URL.
    public init(_ url: SourceURL) { description = Self.shown(url) }

    /// Redacts any text that should be a URL.
    public init(_ text: String) {
        if let url = SourceURL(splitting: text) {
            description = Self.shown(url)
        } else {
            let plain = String(text.unicodeScalars.prefix { $0 != "?" && $0 != "#" })
            description = plain.utf8.contains(UInt8(ascii: "@")) ? Self.malformed : plain
        }
    }

    private static let malformed = "(malformed URL)"

    private static func shown(_ url: SourceURL) -> String {
        if url.isData { return "a data: URL" }
        if url.authority == nil {
            // A user and a password without slashes before them look like the start of a path.
            let mayHoldUser = url.scheme != "arn" && url.path.utf8.contains(UInt8(ascii: "@"))
            return mayHoldUser ? malformed : "\(url.scheme):\(url.path)"
        }
        // A slash too many before the user makes all of it a path, and so does one in the password.
        let isUserInPath = url.host.isEmpty && url.path.utf8.contains(UInt8(ascii: "@"))
        guard url.hasNumericPort, !isUserInPath else { return "\(url.scheme)://\(malformed)" }
        if let shown = shownWithoutPassword(url) { return shown }
        return "\(url.scheme)://\(url.host)\(url.port.map { ":\($0)" } ?? "")\(url.path)"
    }

    /// The URL without what may be a password with a `/`, `?` or `#` in it, as in `http://joe:12/secret@host/x`.
    ///
    /// A path with an @ is common, too (`http://host/pkg@1.2/x`), and is shown where no colon is before the @. With a
    /// port, as in `http://host:8080/a@b`, nothing tells it from a password: it is hidden, which is the lesser evil.
    ///
    /// - Returns: `nil` where no password can be in it.
    private static func shownWithoutPassword(_ url: SourceURL) -> String? {
        guard let authority = url.authority, !authority.utf8.contains(UInt8(ascii: "@")), !authority.hasPrefix("[")
        else {
            return nil
        }
        let rest = url.text.unicodeScalars.dropFirst(url.scheme.unicodeScalars.count + "://".count)
        let end = rest.firstIndex { $0 == "?" || $0 == "#" } ?? rest.endIndex
        // A colon behind the path is left out with all that follows it.
        guard let at = rest.lastIndex(of: "@"), let colon = rest[..<min(at, end)].firstIndex(of: ":") else {
            return nil
        }
        let behind = at < end ? String(rest[at..<end]) : ""
        return "\(url.scheme)://\(String(rest[...colon]))(hidden)\(behind)"
    }
}

private func checkEscapes(_ text: some StringProtocol) throws(SourceURL.Fault) {
    var rest = Array(text.utf8)[...]
    while let percent = rest.firstIndex(of: UInt8(ascii: "%")) {
        let digits = rest[(percent + 1)...].prefix(2)
        guard digits.count == 2, digits.allSatisfy({ hexadecimalValue($0) != nil }) else { throw .badEscape }
        rest = rest[(percent + 3)...]
    }
}
