// The small JSON files of a live ISO, read strictly: a wrong type is an error, an unknown key is not.

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

    /// The value of a key; `nil` where it is missing or null.
    private func member(_ key: String) -> JSONNode? {
        guard let member = node[key], !member.isNull else { return nil }
        return member
    }

    private func mismatch(_ key: String, _ wanted: String) -> MediaFault {
        guard let member = member(key) else { return MediaFault("missing field `\(key)`") }
        return MediaFault("\(key): expected \(wanted), found \(member.kind)")
    }

    func text(_ key: String) throws -> String {
        guard let text = member(key)?.string else { throw mismatch(key, "a string") }
        return text
    }

    func number(_ key: String) throws -> UInt64 {
        guard let number = try optionalNumber(key) else { throw mismatch(key, "a number") }
        return number
    }

    func optionalNumber(_ key: String) throws -> UInt64? {
        guard let member = member(key) else { return nil }
        guard let number = member.integer, number >= 0 else {
            throw mismatch(key, "a number that is not negative")
        }
        return UInt64(number)
    }

    /// One character of ASCII.
    func optionalCharacter(_ key: String) throws -> UInt8? {
        guard let member = member(key) else { return nil }
        guard let text = member.string, text.utf8.count == 1, let byte = text.utf8.first, byte < 0x80 else {
            throw mismatch(key, "one ASCII character")
        }
        return byte
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
        guard let elements = member(key)?.elements else { throw mismatch(key, "a list") }
        return try elements.map { try JSONFields($0) }
    }
}

extension JSONFields {
    /// Two blanks a level, no newline at the end.
    static func pretty(_ value: JSONValue) -> String { String(value.text(.pretty).dropLast()) }
}
