// JSONText: JSON (RFC 8259) read with the place of every value, and written. No I/O.

/// A position and a range in a text.
public struct SourcePlace: Hashable, Sendable {
    private var storedLine: UInt32
    private var storedColumn: UInt32
    private var start: UInt32
    private var end: UInt32

    /// Creates a place; numbers beyond 32 bits are clamped.
    ///
    /// - Parameters:
    ///   - line: From 1; a newline byte ends a line.
    ///   - column: From 1, in characters (Unicode scalars), not in bytes.
    ///   - bytes: The range of bytes in the text.
    public init(line: Int, column: Int, bytes: Range<Int>) {
        storedLine = UInt32(clamping: line)
        storedColumn = UInt32(clamping: column)
        start = UInt32(clamping: bytes.lowerBound)
        end = UInt32(clamping: bytes.upperBound)
    }

    /// The line, from 1.
    public var line: Int { Int(storedLine) }
    /// The column in Unicode scalars, from 1.
    public var column: Int { Int(storedColumn) }
    /// The range of bytes in the text.
    public var bytes: Range<Int> { Int(start)..<Int(end) }
}

/// One JSON value and its place in the text.
public struct JSONNode: Equatable, Sendable {
    /// A value whose parts have places.
    public enum Value: Equatable, Sendable {
        case null
        case bool(Bool)
        /// A number that has no fraction and no exponent and fits in 64 bits.
        case integer(Int64)
        /// Any other number as it is written: `1.0`, `1e2`, an integer beyond 64 bits.
        case number(String)
        case string(String)
        case array([JSONNode])
        /// Members with distinct keys, in the order in which each key occurs first.
        case object([JSONMember])
    }

    /// The value.
    public var value: Value
    /// Where the whole value is, brackets and quotes included.
    public var place: SourcePlace

    /// Creates a node.
    public init(_ value: Value, at place: SourcePlace) {
        self.value = value
        self.place = place
    }

    /// The text of a string; `nil` for any other value.
    public var string: String? { if case .string(let text) = value { text } else { nil } }
    /// The number of an integer; `nil` for any other value.
    public var integer: Int64? { if case .integer(let number) = value { number } else { nil } }
    /// The value of `true` or `false`; `nil` for any other value.
    public var bool: Bool? { if case .bool(let flag) = value { flag } else { nil } }
    /// The elements of an array; `nil` for any other value.
    public var elements: [JSONNode]? { if case .array(let elements) = value { elements } else { nil } }
    /// The members of an object; `nil` for any other value.
    public var members: [JSONMember]? { if case .object(let members) = value { members } else { nil } }
    /// Whether this is `null`.
    public var isNull: Bool { value == .null }

    /// The member of that name, found in linear time; `nil` if there is none or this is not an object.
    public subscript(key: String) -> JSONNode? { members?.first { $0.key == key }?.value }

    /// The kind of value, for messages: "a string", "an object", "true".
    public var kind: String {
        switch value {
        case .null: "null"
        case .bool(let flag): "\(flag)"
        case .integer, .number: "a number"
        case .string: "a string"
        case .array: "a list"
        case .object: "an object"
        }
    }
}

/// A key of an object and its value.
public struct JSONMember: Equatable, Sendable {
    /// The key, unescaped.
    public var key: String
    /// Where the key is, quotes included.
    public var keyPlace: SourcePlace
    /// The value of the key.
    public var value: JSONNode

    /// Creates a member.
    public init(key: String, keyPlace: SourcePlace, value: JSONNode) {
        self.key = key
        self.keyPlace = keyPlace
        self.value = value
    }
}
