// Writing: a value without places, built by hand or from literals.

/// A JSON value to be written.
///
/// Members keep the order in which they are given:
/// `let report: JSONValue = ["interface": "ens3", "addresses": .array(addresses.map { .string($0) })]`.
public enum JSONValue: Equatable, Sendable {
    case null
    case bool(Bool)
    case integer(Int64)
    /// Not a number and the infinities are written as `null`: JSON has none of them.
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object([Member])

    public struct Member: Equatable, Sendable {
        public var key: String
        public var value: JSONValue

        public init(_ key: String, _ value: JSONValue) {
            self.key = key
            self.value = value
        }
    }

    /// A string, or `null` where there is none.
    public init(_ text: String?) { self = text.map { .string($0) } ?? .null }
    /// A whole number; one beyond 64 bits is clamped.
    public init(_ number: some BinaryInteger) { self = .integer(Int64(clamping: number)) }

    /// What was read, without places. A number that is not a 64-bit integer becomes a `Double`.
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

    public var string: String? { if case .string(let text) = self { text } else { nil } }
    public var integer: Int64? { if case .integer(let number) = self { number } else { nil } }
    public var bool: Bool? { if case .bool(let flag) = self { flag } else { nil } }
    public var elements: [JSONValue]? { if case .array(let elements) = self { elements } else { nil } }
    public var members: [Member]? { if case .object(let members) = self { members } else { nil } }

    /// The member of that name; assigning replaces, adds at the end, or with `nil` removes.
    /// A value that is no object becomes one when a member is assigned.
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
    public enum Layout: Sendable {
        /// One line without blanks, no newline at its end.
        case compact
        /// Two spaces a level, a newline at the end.
        case pretty
    }

    public enum KeyOrder: Sendable {
        case given
        /// By the bytes of the keys.
        case sorted
    }

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

    /// `text` in double quotes, escaped as JSON demands and no further.
    public static func quoted(_ text: String) -> String {
        var bytes: [UInt8] = [UInt8(ascii: "\"")]
        bytes.reserveCapacity(text.utf8.count + 2)
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes += [UInt8(ascii: "\\"), byte]
            case UInt8(ascii: "\n"): bytes += Array("\\n".utf8)
            case UInt8(ascii: "\r"): bytes += Array("\\r".utf8)
            case UInt8(ascii: "\t"): bytes += Array("\\t".utf8)
            case 0..<0x20: bytes += Array("\\u00\(byte < 16 ? "0" : "")\(String(byte, radix: 16))".utf8)
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
    public init(nilLiteral: ()) { self = .null }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(integerLiteral value: Int64) { self = .integer(value) }
    public init(floatLiteral value: Double) { self = .number(value) }
    public init(stringLiteral value: String) { self = .string(value) }
    public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
    public init(dictionaryLiteral elements: (String, JSONValue)...) {
        self = .object(elements.map { Member($0.0, $0.1) })
    }
}
