// The head of an answer: what a server says before it sends the body.

/// A name for one version of a file, for `If-Range`.
public enum Validator: Equatable, Sendable, CustomStringConvertible {
    /// A strong entity tag, including its quotes.
    case entityTag(String)
    /// An HTTP date.
    case lastModified(String)

    /// The value of `If-Range`.
    public var description: String {
        switch self {
        case .entityTag(let text), .lastModified(let text): text
        }
    }
}

/// The value of a header like `Content-Range: bytes 100-199/1000`.
public struct ContentRange: Equatable, Sendable {
    /// The position of the first byte.
    public var first: UInt64
    /// The position of the last byte.
    public var last: UInt64
    /// The length of the whole file; `nil` if the server says `*`.
    public var total: UInt64?

    /// Reads the value of the header; `nil` if it is malformed.
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
    /// The header fields with names in lower case; the last of repeated fields.
    public var fields: [String: String]
    /// Whether every server on the way here, including redirects, was authenticated by TLS.
    public var isAuthenticated: Bool

    /// Creates a head.
    public init(status: Int, fields: [String: String] = [:], isAuthenticated: Bool = false) {
        self.status = status
        self.fields = fields
        self.isAuthenticated = isAuthenticated
    }

    /// Reads a line like `HTTP/1.1 206 Partial Content`.
    init?(statusLine: String) {
        guard statusLine.hasPrefix("HTTP/") else { return nil }
        let words = statusLine.split(separator: " ", maxSplits: 2)
        guard words.count >= 2, words[1].utf8.count == 3, let status = Int(words[1]), status >= 100 else { return nil }
        self.init(status: status)
    }

    /// Adds a line like `Name: value`; other lines are ignored.
    mutating func add(line: String) {
        guard let colon = line.firstIndex(of: ":") else { return }
        fields[line[..<colon].lowercased()] = trimmedOfBlanks(line[line.index(after: colon)...])
    }

    /// Whether the status is 2xx.
    public var isSuccess: Bool { 200..<300 ~= status }

    /// The length of the body in bytes.
    public var contentLength: UInt64? { fields["content-length"].flatMap { byteCount($0) } }

    /// Which part of the file the body is.
    public var contentRange: ContentRange? { fields["content-range"].flatMap(ContentRange.init) }

    /// The length of the whole file in bytes, whether the body is all of it or its end.
    public var total: UInt64? { status == 206 ? contentRange?.total : contentLength }

    /// The name of this version of the file; weak entity tags do not identify bytes.
    public var validator: Validator? {
        if let tag = fields["etag"], tag.hasPrefix("\""), tag.hasSuffix("\""), tag.utf8.count > 2 {
            return .entityTag(tag)
        }
        return fields["last-modified"].map { .lastModified($0) }
    }

    /// The seconds of `Retry-After`; its form with a date is ignored, because the clock may be wrong.
    public var retryAfter: Int? { fields["retry-after"].flatMap { Int($0) }.flatMap { $0 >= 0 ? $0 : nil } }
}

/// A position in a file or a length, as decimal digits; at most what a file can have.
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

/// A request for the rest of a file whose first part is present.
public struct ResumePoint: Equatable, Sendable {
    /// How many bytes are present.
    public var offset: UInt64
    /// The server's name for that version; `nil` if the rest is verified by other means.
    public var validator: Validator?
    /// The length of the file, as far as it was known before.
    public var total: UInt64?

    /// Creates a resume point.
    public init(offset: UInt64, validator: Validator?, total: UInt64?) {
        self.offset = offset
        self.validator = validator
        self.total = total
    }

    /// The header fields that ask for the rest.
    public var headers: [(name: String, value: String)] {
        guard offset > 0 else { return [] }
        return [("Range", "bytes=\(offset)-")] + (validator.map { [("If-Range", $0.description)] } ?? [])
    }

    /// What a response is good for.
    public enum Answer: Equatable, Sendable {
        /// The body is the requested rest.
        case continues
        /// The body is the whole file; the bytes that are present are of no use.
        case startsOver
        /// The body cannot be used; the whole file has to be requested.
        case unusable
    }

    /// Decides what a response is good for: the head of a success or of status 416.
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
