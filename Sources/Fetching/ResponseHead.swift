// What a server says about a body before it sends it.

/// Names one version of a file, for `If-Range`.
public enum Validator: Equatable, Sendable, CustomStringConvertible {
    /// A strong entity tag with its quotes.
    case entityTag(String)
    /// An HTTP date.
    case lastModified(String)

    public var description: String {
        switch self {
        case .entityTag(let text), .lastModified(let text): text
        }
    }
}

/// `Content-Range: bytes 100-199/1000`.
public struct ContentRange: Equatable, Sendable {
    public var first: UInt64
    public var last: UInt64
    /// `nil` where the server says `*`.
    public var total: UInt64?

    public init?(_ text: String) {
        let words = text.split(separator: " ")
        guard words.count == 2, words[0].lowercased() == "bytes" else { return nil }
        let parts = words[1].split(separator: "/", omittingEmptySubsequences: false)
        let bounds = parts[0].split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, bounds.count == 2, let first = byteCount(bounds[0]), let last = byteCount(bounds[1]),
            first <= last
        else { return nil }
        self.first = first
        self.last = last
        guard parts[1] != "*" else { return }
        guard let total = byteCount(parts[1]), last < total else { return nil }
        self.total = total
    }
}

/// The status and the header fields of a response.
public struct ResponseHead: Equatable, Sendable {
    /// The HTTP status; 200 for a TFTP transfer.
    public var status: Int
    /// Names in lower case; of repeated fields the last.
    public var fields: [String: String]
    /// Whether every server on the way here, redirects included, proved who it is.
    public var isAuthenticated: Bool

    public init(status: Int, fields: [String: String] = [:], isAuthenticated: Bool = false) {
        self.status = status
        self.fields = fields
        self.isAuthenticated = isAuthenticated
    }

    /// Reads `HTTP/1.1 206 Partial Content`.
    init?(statusLine: String) {
        guard statusLine.hasPrefix("HTTP/") else { return nil }
        let words = statusLine.split(separator: " ", maxSplits: 2)
        guard words.count >= 2, words[1].utf8.count == 3, let status = Int(words[1]), status >= 100 else { return nil }
        self.init(status: status)
    }

    /// Adds `Name: value`; anything else is passed over.
    mutating func add(line: String) {
        guard let colon = line.firstIndex(of: ":") else { return }
        fields[line[..<colon].lowercased()] = trimmedOfBlanks(line[line.index(after: colon)...])
    }

    public var isSuccess: Bool { 200..<300 ~= status }

    /// Bytes of the body that follows.
    public var contentLength: UInt64? { fields["content-length"].flatMap { byteCount($0) } }

    public var contentRange: ContentRange? { fields["content-range"].flatMap(ContentRange.init) }

    /// Bytes of the whole file, be the body all of it or its end.
    public var total: UInt64? { status == 206 ? contentRange?.total : contentLength }

    /// What names this version of the file; weak entity tags do not name bytes.
    public var validator: Validator? {
        if let tag = fields["etag"], tag.hasPrefix("\""), tag.hasSuffix("\""), tag.utf8.count > 2 {
            return .entityTag(tag)
        }
        return fields["last-modified"].map { .lastModified($0) }
    }

    /// Seconds; the form with a date is passed over, since the clock may be wrong.
    public var retryAfter: Int? { fields["retry-after"].flatMap { Int($0) }.flatMap { $0 >= 0 ? $0 : nil } }
}

/// A position in a file or its length: decimal digits, no more than any file has bytes.
private func byteCount(_ text: some StringProtocol) -> UInt64? {
    guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let count = UInt64(text), count <= UInt64(Int64.max)
    else { return nil }
    return count
}

private func trimmedOfBlanks(_ text: Substring) -> String {
    func isBlank(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }
    var bytes = text.utf8
    while let first = bytes.first, isBlank(first) { bytes.removeFirst() }
    while let last = bytes.last, isBlank(last) { bytes.removeLast() }
    return String(Substring(bytes))
}

/// A request for the rest of a file of which a part is here.
public struct ResumePoint: Equatable, Sendable {
    /// Bytes that are here.
    public var offset: UInt64
    /// What the server called that version; `nil` where the rest is verified anyway.
    public var validator: Validator?
    /// The file's length as known from before.
    public var total: UInt64?

    public init(offset: UInt64, validator: Validator?, total: UInt64?) {
        self.offset = offset
        self.validator = validator
        self.total = total
    }

    /// The fields that ask for the rest.
    public var headers: [(name: String, value: String)] {
        guard offset > 0 else { return [] }
        return [("Range", "bytes=\(offset)-")] + (validator.map { [("If-Range", $0.description)] } ?? [])
    }

    public enum Answer: Equatable, Sendable {
        /// The body is what was asked for.
        case continues
        /// The body is the file from its start: what is here already is of no use.
        case startsOver
        /// The body fits nowhere; ask for the whole file.
        case unusable
    }

    /// What the response to the request is good for. `head` is one of a success or of status 416.
    public func judge(_ head: ResponseHead) -> Answer {
        guard head.status == 206 else {
            if head.status == 416 { return .unusable }
            return offset == 0 ? .continues : .startsOver
        }
        guard let range = head.contentRange, range.first == offset else { return .unusable }
        if let total, let now = range.total, total != now { return .unusable }
        if let validator, let now = head.validator, validator != now { return .unusable }
        return .continues
    }
}
