// data: URLs, whose content is in the URL itself.

/// A decoded `data:` URL.
///
/// - SeeAlso: RFC 2397. Two rules are stricter, as in Ignition: base64 needs its padding, and a media type starts
///   with a registered top-level type or `x-`.
public struct DataURL: Equatable, Sendable {
    /// Why a text is not a data URL.
    public enum Fault: Error, Equatable, CustomStringConvertible {
        case notData
        case noComma
        case mediaType
        case parameter
        /// At an offset in the URL, in bytes.
        case character(offset: Int)
        case base64(offset: Int)
        case base64Length

        /// What is wrong, for a message.
        public var description: String {
            switch self {
            case .notData: "a data URL starts with data: in lower case"
            case .noComma: "a data URL has a comma before its content"
            case .mediaType: "the media type before the comma is malformed"
            case .parameter: "a parameter before the comma is malformed; only ;base64 has no ="
            case .character(let offset): "byte \(offset + 1) of the data URL must be written as %XX"
            case .base64(let offset): "byte \(offset + 1) of the data URL is not base64"
            case .base64Length: "the base64 content is incomplete (its padding with = included)"
            }
        }
    }

    /// The media type without its parameters; empty where none is given.
    public var mediaType: String
    /// The decoded content.
    public var bytes: [UInt8]

    /// Decodes a data URL.
    ///
    /// - Throws: ``Fault`` with the first mistake; offsets count bytes of `text`.
    public init(parsing text: String) throws(Fault) {
        let url = Array(text.utf8)
        let scheme = Array("data:".utf8)
        guard url.starts(with: scheme) else { throw .notData }
        let fields = try Self.fields(of: url[scheme.count...])
        let type = fields.first.map { String(decoding: $0, as: UTF8.self) } ?? ""
        guard type.isEmpty || Self.isMediaType(type) else { throw .mediaType }
        var isBase64 = false
        for (index, field) in fields.enumerated().dropFirst() {
            if index == fields.count - 1, field.elementsEqual("base64".utf8) {
                isBase64 = true
            } else if !Self.isParameter(field) {
                throw .parameter
            }
        }
        mediaType = type
        let body = url[(fields.last?.endIndex ?? url.endIndex)...].dropFirst()
        bytes = isBase64 ? try Self.base64(body) : try Self.percentDecoded(body)
    }

    /// The parts before the comma, split at semicolons; quotes protect both.
    private static func fields(of url: ArraySlice<UInt8>) throws(Fault) -> [ArraySlice<UInt8>] {
        var fields: [ArraySlice<UInt8>] = []
        var start = url.startIndex
        var isQuoted = false
        for index in url.indices {
            switch url[index] {
            case UInt8(ascii: "\""): isQuoted.toggle()
            case UInt8(ascii: ";") where !isQuoted:
                fields.append(url[start..<index])
                start = index + 1
            case UInt8(ascii: ",") where !isQuoted: return fields + [url[start..<index]]
            default: break
            }
        }
        throw .noComma
    }

    private static func isMediaType(_ text: String) -> Bool {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, parts.allSatisfy({ !$0.isEmpty && $0.utf8.allSatisfy(isTokenByte) }) else {
            return false
        }
        let types = ["text", "image", "audio", "video", "application", "message", "multipart"]
        return types.contains(String(parts[0])) || parts[0].hasPrefix("x-")
    }

    private static func isParameter(_ field: ArraySlice<UInt8>) -> Bool {
        let name = field.prefix { $0 != UInt8(ascii: "=") }
        let value = field.dropFirst(name.count + 1)
        guard !name.isEmpty, name.count < field.count, name.allSatisfy(isTokenByte), !value.isEmpty else {
            return false
        }
        let quote = UInt8(ascii: "\"")
        if value.first == quote { return value.count > 1 && value.last == quote }
        return value.allSatisfy(isTokenByte)
    }

    /// Whether a byte may be in a token of RFC 2045.
    private static func isTokenByte(_ byte: UInt8) -> Bool {
        byte > 0x20 && byte < 0x7f && !"()<>@,;:\\\"/[]?=".utf8.contains(byte)
    }

    /// For each byte, whether it may stand for itself.
    ///
    /// It is a table, because most bytes of a config are looked up in it.
    private static let isPlain: [Bool] = (0...UInt8.max).map {
        $0 > 0x20 && $0 < 0x7f && !"\"<>[]{}#|\\^`%".utf8.contains($0)
    }

    private static func percentDecoded(_ body: ArraySlice<UInt8>) throws(Fault) -> [UInt8] {
        let isPlain = isPlain
        var bytes: [UInt8] = []
        bytes.reserveCapacity(body.count)
        var index = body.startIndex
        while index < body.endIndex {
            switch body[index] {
            case UInt8(ascii: "%"):
                guard index + 2 < body.endIndex, let high = hexadecimalValue(body[index + 1]),
                    let low = hexadecimalValue(body[index + 2])
                else { throw .character(offset: index) }
                bytes.append(high << 4 | low)
                index += 3
            case let byte where isPlain[Int(byte)]:
                bytes.append(byte)
                index += 1
            default: throw .character(offset: index)
            }
        }
        return bytes
    }

    private static func base64(_ body: ArraySlice<UInt8>) throws(Fault) -> [UInt8] {
        do { return try Base64.standard.decode(body) } catch {
            switch error {
            case .digit(let offset): throw .base64(offset: offset)
            case .length: throw .base64Length
            }
        }
    }

    /// A URL that holds the bytes, in base64.
    public static func text(for bytes: [UInt8]) -> String {
        String(decoding: Array("data:;base64,".utf8) + Base64.standard.encode(bytes), as: UTF8.self)
    }

    /// Whether a text is a `data:` URL, well-formed or not; a scheme's letters may be of either case.
    public static func isOne(_ url: some StringProtocol) -> Bool {
        String(decoding: url.utf8.prefix(5), as: UTF8.self).lowercased() == "data:"
    }
}
