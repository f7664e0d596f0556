// URLs as configs hold them: enough to check them and to show them without their secrets.

/// A URL, taken apart as far as checking needs.
public struct SourceURL: Equatable, Sendable {
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

    /// The part before the first colon, in lower case.
    public var scheme: String
    /// User, password, host and port; `nil` if the URL has no `//`.
    public var authority: String?
    /// The part from the first `/` (or, without an authority, from the colon) up to `?` or `#`.
    public var path: String
    /// The part after `?`, without it.
    public var query: String?

    /// Takes a URL apart; of a `data:` URL only the scheme is checked.
    ///
    /// - Throws: ``Fault`` with the first mistake.
    public init(parsing text: String) throws(Fault) {
        guard text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f }) else { throw .controlCharacter }
        guard let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")) else { throw .noScheme }
        let scheme = text[..<colon].lowercased()
        guard let first = scheme.utf8.first, (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(first),
            scheme.utf8.allSatisfy(Self.isSchemeByte)
        else { throw .noScheme }
        self.scheme = scheme
        // Split by scalars: for Swift, a slash and a combining mark after it are one character.
        var rest = text.unicodeScalars[text.utf8.index(after: colon)...]
        if scheme == "data" {
            path = String(rest)
            return
        }
        if let mark = rest.firstIndex(of: "#") {
            try checkEscapes(String(rest[mark...]))
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
        try checkEscapes(path)
        try checkEscapes(authority ?? "")
        if host.contains(" ") { throw .blankInHost }
        if let port, !port.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) {
            throw .badPort
        }
    }

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

    /// Whether the URL may hold a secret: a user, a password, or a query, which often is a token.
    public var carriesCredentials: Bool { authority?.contains("@") ?? false || !(query ?? "").isEmpty }

    /// The URL for a message or a log, without user, password, query and data.
    public var redacted: String {
        if scheme == "data" { return "data: URL" }
        let authority = authority == nil ? "" : "//\(host)\(port.map { ":\($0)" } ?? "")"
        return "\(scheme):\(authority)\(path)\(query == nil ? "" : "?...")"
    }

    /// Any text that should be a URL, for a message or a log.
    public static func redacted(_ text: String) -> String {
        (try? SourceURL(parsing: text))?.redacted ?? "(malformed URL)"
    }

    private static func isSchemeByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"),
            UInt8(ascii: "-"), UInt8(ascii: "."):
            true
        default: false
        }
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
