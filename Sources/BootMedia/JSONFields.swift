// The small JSON files of a live ISO, read strictly: a wrong type is an error, an unknown key is none.

import JSONText

/// An object of such a file.
struct JSONFields {
    private let node: JSONNode

    init(_ node: JSONNode) throws {
        guard node.members != nil else { throw MediaFault("expected an object, found \(node.kind)") }
        self.node = node
    }

    init(parsing bytes: [UInt8]) throws {
        try self.init(try JSONNode(parsing: bytes, depth: 32, limit: 10_000))
    }

    private func value<Value>(_ key: String, _ wanted: String, _ read: (JSONNode) -> Value?) throws -> Value? {
        guard let member = node[key], !member.isNull else { return nil }
        guard let value = read(member) else { throw MediaFault("\(key): expected \(wanted), found \(member.kind)") }
        return value
    }

    private func required<Value>(_ key: String, _ value: Value?) throws -> Value {
        guard let value else { throw MediaFault("missing field `\(key)`") }
        return value
    }

    func text(_ key: String) throws -> String { try required(key, value(key, "a string", \.string)) }

    func number(_ key: String) throws -> UInt64 { try required(key, optionalNumber(key)) }

    func optionalNumber(_ key: String) throws -> UInt64? {
        try value(key, "a number that is not negative") { $0.integer.flatMap(UInt64.init(exactly:)) }
    }

    /// One character of ASCII.
    func optionalCharacter(_ key: String) throws -> UInt8? {
        try value(key, "one ASCII character") { node in
            guard let bytes = node.string?.utf8, bytes.count == 1, let byte = bytes.first, byte < 0x80 else {
                return nil
            }
            return byte
        }
    }

    /// `false` where it is missing.
    func flag(_ key: String) throws -> Bool {
        guard let member = node[key] else { return false }
        guard let flag = member.bool else { throw MediaFault("\(key): expected true or false, found \(member.kind)") }
        return flag
    }

    /// The keys of an object whose values are true; none where it is missing.
    func flags(_ key: String) throws -> Set<String> {
        guard let member = node[key] else { return [] }
        let fields = try JSONFields(member)
        return Set(try (member.members ?? []).map(\.key).filter { try fields.flag($0) })
    }

    func objects(_ key: String) throws -> [JSONFields] {
        try required(key, value(key, "a list", \.elements)).map { try JSONFields($0) }
    }
}

extension JSONFields {
    /// Two blanks a level, no newline at the end.
    static func pretty(_ value: JSONValue) -> String { String(value.text(.pretty).dropLast()) }
}
