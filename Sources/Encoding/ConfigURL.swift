// URLs of a config, which is read as a whole before anything in it is refused.

/// A URL as a config names it: taken apart once, and where it is none, kept as it was written.
///
/// Its description is that for a message or a log, as ``RedactedURL``.
public enum ConfigURL: Equatable, Sendable, CustomStringConvertible {
    /// A URL that can be used.
    case url(SourceURL)
    /// What was written, and what is wrong with it; an empty text, too.
    case malformed(String, SourceURL.Fault)

    /// Takes a text apart.
    public init(_ text: String) {
        do throws(SourceURL.Fault) { self = .url(try SourceURL(parsing: text)) } catch {
            self = .malformed(text, error)
        }
    }

    /// The URL as it was written, which may hold a password: never print it.
    public var text: String {
        switch self {
        case .url(let url): url.text
        case .malformed(let text, _): text
        }
    }

    /// The URL; `nil` where it is none.
    public var url: SourceURL? {
        guard case .url(let url) = self else { return nil }
        return url
    }

    /// The URL.
    /// - Throws: What is wrong with it.
    public func get() throws(SourceURL.Fault) -> SourceURL {
        switch self {
        case .url(let url): return url
        case .malformed(_, let fault): throw fault
        }
    }

    /// Whether nothing is written there.
    public var isEmpty: Bool { text.isEmpty }

    /// The URL without its secrets.
    public var redacted: RedactedURL {
        switch self {
        case .url(let url): RedactedURL(url)
        case .malformed(let text, _): RedactedURL(text)
        }
    }

    /// The URL for a message or a log.
    public var description: String { redacted.description }
}
