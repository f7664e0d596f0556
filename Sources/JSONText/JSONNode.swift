// JSONText: JSON (RFC 8259) read with the place of every value, and written. No I/O.

/// Where something stands in its text.
public struct SourcePlace: Hashable, Sendable {
    private var storedLine: UInt32
    private var storedColumn: UInt32
    private var start: UInt32
    private var end: UInt32

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

    public var line: Int { Int(storedLine) }
    public var column: Int { Int(storedColumn) }
    public var bytes: Range<Int> { Int(start)..<Int(end) }
}

/// One JSON value and where it stands.
public struct JSONNode: Equatable, Sendable {
    public enum Value: Equatable, Sendable {
        case null
        case bool(Bool)
        /// A literal without fraction and exponent that fits.
        case integer(Int64)
        /// Any other number, as it is written: `1.0`, `1e2`, one beyond 64 bits.
        case number(String)
        case string(String)
        case array([JSONNode])
        /// In the order of the text, where each key occurs first; none is there twice.
        case object([JSONMember])
    }

    public var value: Value
    public var place: SourcePlace

    public init(_ value: Value, at place: SourcePlace) {
        self.value = value
        self.place = place
    }

    public var string: String? { if case .string(let text) = value { text } else { nil } }
    public var integer: Int64? { if case .integer(let number) = value { number } else { nil } }
    public var bool: Bool? { if case .bool(let flag) = value { flag } else { nil } }
    public var elements: [JSONNode]? { if case .array(let elements) = value { elements } else { nil } }
    public var members: [JSONMember]? { if case .object(let members) = value { members } else { nil } }
    public var isNull: Bool { value == .null }

    /// The member of that name, or `nil` where there is none or this is no object. Takes linear time.
    public subscript(key: String) -> JSONNode? { members?.first { $0.key == key }?.value }

    /// What this is, for messages: "a string", "an object", "true".
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
    public var key: String
    public var keyPlace: SourcePlace
    public var value: JSONNode

    public init(key: String, keyPlace: SourcePlace, value: JSONNode) {
        self.key = key
        self.keyPlace = keyPlace
        self.value = value
    }
}
