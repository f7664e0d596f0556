// Writing: values without places, built by hand or from literals.

import Encoding

/// A JSON value to be written.
///
/// Members keep the order in which they are given:
/// `let report: JSONValue = ["interface": "ens3", "addresses": .array(addresses.map { .string($0) })]`.
public enum JSONValue: Equatable, Sendable {
    case null
    case bool(Bool)
    case integer(Int64)
    /// A number; NaN and the infinities are written as `null`, because JSON has none of them.
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object([Member])

    /// A key and its value.
    public struct Member: Equatable, Sendable {
        /// The key, unescaped.
        public var key: String
        /// The value of the key.
        public var value: JSONValue

        /// Creates a member.
        public init(_ key: String, _ value: JSONValue) {
            self.key = key
            self.value = value
        }
    }

    /// A string, or `null` for `nil`.
    public init(_ text: String?) { self = text.map { .string($0) } ?? .null }
    /// A whole number; one beyond 64 bits is clamped.
    public init(_ number: some BinaryInteger) { self = .integer(Int64(clamping: number)) }

    /// A value that was read, without its places; a number that is not a 64-bit integer becomes a `Double`.
    public init(_ node: JSONNode) {
        switch node.value {
        case .null: self = .null
        case .bool(let flag): self = .bool(flag)
        case .integer(let number): self = .integer(number)
        case .number(let literal): self = Double(literal).map { .number($0) } ?? .null
        case .string(let text): self = .string(text)
        case .array(let elements): self = .array(elements.map { JSONValue($0) })
        case .object(let members): self = .object(members.map { Member($0.key, JSONValue($0.value)) })
        }
    }

    /// The text of a string; `nil` for any other value.
    public var string: String? { if case .string(let text) = self { text } else { nil } }
    /// The number of an integer; `nil` for any other value.
    public var integer: Int64? { if case .integer(let number) = self { number } else { nil } }
    /// The value of `true` or `false`; `nil` for any other value.
    public var bool: Bool? { if case .bool(let flag) = self { flag } else { nil } }
    /// The elements of an array; `nil` for any other value.
    public var elements: [JSONValue]? { if case .array(let elements) = self { elements } else { nil } }
    /// The members of an object; `nil` for any other value.
    public var members: [Member]? { if case .object(let members) = self { members } else { nil } }

    /// The member of that name.
    ///
    /// Assigning a value replaces the member or adds one at the end; assigning `nil` removes it. A value that is not an
    /// object becomes one.
    public subscript(key: String) -> JSONValue? {
        get { members?.first { $0.key == key }?.value }
        set {
            var members = members ?? []
            let index = members.firstIndex { $0.key == key }
            switch (index, newValue) {
            case (let index?, let value?): members[index].value = value
            case (let index?, nil): members.remove(at: index)
            case (nil, let value?): members.append(Member(key, value))
            case (nil, nil): break
            }
            self = .object(members)
        }
    }
}

// MARK: Text

extension JSONValue {
    /// How a text is spread over lines.
    public enum Layout: Sendable {
        /// One line without blanks, no newline at its end.
        case compact
        /// Two spaces a level, a newline at the end.
        case pretty
    }

    /// In what order the members of objects are written.
    public enum KeyOrder: Sendable {
        case given
        /// By the bytes of the keys.
        case sorted
    }

    /// The value as JSON text.
    public func text(_ layout: Layout = .compact, keys: KeyOrder = .given) -> String {
        var text = ""
        write(to: &text, indent: layout == .pretty ? 0 : nil, keys: keys)
        if layout == .pretty { text += "\n" }
        return text
    }

    private func write(to text: inout String, indent: Int?, keys: KeyOrder) {
        switch self {
        case .null: text += "null"
        case .bool(let flag): text += flag ? "true" : "false"
        case .integer(let number): text += String(number)
        case .number(let number): text += number.isFinite ? "\(number)" : "null"
        case .string(let string): text += JSONValue.quoted(string)
        case .array(let elements):
            JSONValue.writeList(elements, "[", "]", to: &text, indent: indent) { element, text, inner in
                element.write(to: &text, indent: inner, keys: keys)
            }
        case .object(let given):
            let members =
                switch keys {
                case .given: given
                case .sorted: given.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
                }
            JSONValue.writeList(members, "{", "}", to: &text, indent: indent) { member, text, inner in
                text += JSONValue.quoted(member.key)
                text += inner == nil ? ":" : ": "
                member.value.write(to: &text, indent: inner, keys: keys)
            }
        }
    }

    private static func writeList<Entry>(
        _ entries: [Entry], _ opening: String, _ closing: String, to text: inout String, indent: Int?,
        entry write: (Entry, inout String, Int?) -> Void
    ) {
        text += opening
        let inner = indent.map { $0 + 1 }
        for (index, entry) in entries.enumerated() {
            if index > 0 { text += "," }
            if let inner { text += "\n" + String(repeating: "  ", count: inner) }
            write(entry, &text, inner)
        }
        if let indent, !entries.isEmpty { text += "\n" + String(repeating: "  ", count: indent) }
        text += closing
    }

    /// A text in double quotes, with only those escapes that JSON requires.
    public static func quoted(_ text: String) -> String {
        var bytes: [UInt8] = [UInt8(ascii: "\"")]
        bytes.reserveCapacity(text.utf8.count + 2)
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes += [UInt8(ascii: "\\"), byte]
            case UInt8(ascii: "\n"): bytes += Array("\\n".utf8)
            case UInt8(ascii: "\r"): bytes += Array("\\r".utf8)
            case UInt8(ascii: "\t"): bytes += Array("\\t".utf8)
            case 0..<0x20: bytes += Array("\\u00\(hexadecimal([byte]))".utf8)
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
        return String(decoding: bytes, as: UTF8.self)
    }
}

// MARK: Literals

extension JSONValue: ExpressibleByNilLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByFloatLiteral, ExpressibleByStringLiteral, ExpressibleByStringInterpolation,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    /// Creates `null`.
    public init(nilLiteral: ()) { self = .null }
    /// Creates `true` or `false`.
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    /// Creates an integer.
    public init(integerLiteral value: Int64) { self = .integer(value) }
    /// Creates a number.
    public init(floatLiteral value: Double) { self = .number(value) }
    /// Creates a string.
    public init(stringLiteral value: String) { self = .string(value) }
    /// Creates an array.
    public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
    /// Creates an object whose members keep the order of the literal.
    public init(dictionaryLiteral elements: (String, JSONValue)...) {
        self = .object(elements.map { Member($0.0, $0.1) })
    }
}
