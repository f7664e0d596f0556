// From JSON to typed values: every mistake is noted, none ends the reading.

import JSONText
import Reporting

/// A part of the config that is written as a JSON object.
protocol ConfigObject {
    init(from reader: inout ObjectReader)
}

/// What all readers of one config share.
final class ReadingContext {
    let source: String
    let version: SpecVersion
    var diagnostics: [IgnitionConfig.Diagnostic] = []

    init(source: String, version: SpecVersion) {
        self.source = source
        self.version = version
    }

    func note(
        _ severity: IgnitionConfig.Diagnostic.Severity, _ path: String, at place: SourcePlace, _ message: String
    ) {
        diagnostics.append(
            .init(severity: severity, source: source, path: path, place: place, message: message))
    }
}

/// One JSON object while it is being read. What is left unread at the end is unknown.
struct ObjectReader {
    let origin: IgnitionConfig.Origin
    var version: SpecVersion { context.version }

    private let members: [JSONMember]
    private let path: String
    private let context: ReadingContext
    /// By the index of a member.
    private var isRead: [Bool]
    private var known: [String] = []
    /// Keys of later versions.
    private var later: [String: SpecVersion] = [:]

    /// Reads `node` as a `Value`, or notes that it is no object.
    static func read<Value: ConfigObject>(_ node: JSONNode, path: String, context: ReadingContext) -> Value? {
        switch node.value {
        case .object(let members):
            var reader = ObjectReader(node, members, path: path, context: context)
            let value = Value(from: &reader)
            reader.finish()
            return value
        case .null: return nil
        default:
            context.note(.error, path, at: node.place, "expected an object, found \(node.kind)")
            return nil
        }
    }

    private init(_ node: JSONNode, _ members: [JSONMember], path: String, context: ReadingContext) {
        self.members = members
        self.path = path
        self.context = context
        origin = IgnitionConfig.Origin(source: context.source, path: path, node: node)
        isRead = Array(repeating: false, count: members.count)
    }

    // MARK: Fields

    mutating func string(_ key: String, since: SpecVersion = .v30) -> String? {
        guard let node = take(key, since: since) else { return nil }
        if node.string == nil { mismatch(key, node, "a string") }
        return node.string
    }

    mutating func bool(_ key: String, since: SpecVersion = .v30) -> Bool? {
        guard let node = take(key, since: since) else { return nil }
        if node.bool == nil { mismatch(key, node, "true or false") }
        return node.bool
    }

    mutating func integer(_ key: String, since: SpecVersion = .v30) -> Int? {
        guard let node = take(key, since: since) else { return nil }
        if case .integer(let number) = node.value { return Int(number) }
        if case .number(let literal) = node.value {
            note(key, node, "expected a whole number, found \(literal)")
        } else {
            mismatch(key, node, "a number")
        }
        return nil
    }

    /// File permissions. JSON numbers are decimal, which is the usual trap.
    mutating func mode(_ key: String) -> Int? {
        guard let text = peek(key)?.string else { return integer(key) }
        guard let node = take(key, since: .v30) else { return nil }
        let hint = Int(text, radix: 8).map { ": \($0) is octal \(String($0, radix: 8))" } ?? ""
        note(key, node, "expected a number, found a string; a mode is a decimal number\(hint)")
        return nil
    }

    mutating func strings(_ key: String, since: SpecVersion = .v30) -> [String] {
        nodes(key, since: since).map { path, node in
            if node.isNull { return "" }
            guard let text = node.string else {
                context.note(.error, path, at: node.place, "expected a string, found \(node.kind)")
                return ""
            }
            return text
        }
    }

    mutating func object<Value: ConfigObject>(_ key: String, since: SpecVersion = .v30) -> Value? {
        take(key, since: since).flatMap { Self.read($0, path: path(of: key), context: context) }
    }

    /// `null` inside a list is an entry without members.
    mutating func list<Value: ConfigObject>(_ key: String, since: SpecVersion = .v30) -> [Value] {
        nodes(key, since: since).compactMap { path, node in
            let node = node.isNull ? JSONNode(.object([]), at: node.place) : node
            return Self.read(node, path: path, context: context)
        }
    }

    /// Counts a key as read.
    mutating func ignore(_ key: String) { _ = take(key, since: .v30) }

    // MARK: Members

    private mutating func nodes(_ key: String, since: SpecVersion) -> [(path: String, node: JSONNode)] {
        guard let node = take(key, since: since) else { return [] }
        guard let elements = node.elements else {
            mismatch(key, node, "a list")
            return []
        }
        let path = path(of: key)
        return elements.enumerated().map { ("\(path)[\($0)]", $1) }
    }

    private func peek(_ key: String) -> JSONNode? { members.first { $0.key == key }?.value }

    /// The value of a key that is not `null`. Like the reference decoder this accepts another case, warning.
    private mutating func take(_ key: String, since: SpecVersion) -> JSONNode? {
        guard version >= since else {
            later[key] = since
            return nil
        }
        known.append(key)
        var index = members.firstIndex { $0.key == key }
        if index == nil {
            index = members.firstIndex {
                $0.key.utf8.count == key.utf8.count && $0.key.lowercased() == key.lowercased()
            }
            if let index {
                let found = members[index]
                context.note(.warning, path(of: found.key), at: found.keyPlace, "read as \"\(key)\"; write it so")
            }
        }
        guard let index else { return nil }
        isRead[index] = true
        let node = members[index].value
        return node.isNull ? nil : node
    }

    private func path(of key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

    private func mismatch(_ key: String, _ node: JSONNode, _ wanted: String) {
        note(key, node, "expected \(wanted), found \(node.kind)")
    }

    private func note(_ key: String, _ node: JSONNode, _ message: String) {
        context.note(.error, path(of: key), at: node.place, message)
    }

    /// Warns about every key that nobody asked for.
    private func finish() {
        var unknown = 0
        for (member, isRead) in zip(members, isRead) where !isRead {
            unknown += 1
            let message =
                if let since = later[member.key] {
                    "came with spec \(since) and is ignored: this config is \(version)"
                } else if unknown <= 100, let near = nearest(to: member.key, in: known) {
                    "unknown key, did you mean \"\(near)\"?"
                } else {
                    "unknown key, ignored"
                }
            context.note(.warning, path(of: member.key), at: member.keyPlace, message)
        }
    }
}
