// From JSON to typed values: every mistake is noted, none ends the reading.

import JSONText
import Reporting

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
final class ObjectReader: FieldVisitor {
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
            let reader = ObjectReader(node, members, path: path, context: context)
            var value = Value()
            value.describe(to: reader)
            value.origin = reader.origin
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

    var isInIgnition: Bool { path.hasPrefix("ignition.") }

    // MARK: Fields

    func version(_ name: String, _ value: inout SpecVersion) {
        _ = take(name, since: .v30)
        value = version
    }

    func key(_ name: String, _ value: inout String) {
        var text: String?
        string(name, &text, since: .v30)
        value = text ?? ""
    }

    func string(_ name: String, _ value: inout String?, since: SpecVersion) {
        guard let node = take(name, since: since) else { return }
        if node.string == nil { mismatch(name, node, "a string") }
        value = node.string
    }

    func bool(_ name: String, _ value: inout Bool?, since: SpecVersion) {
        guard let node = take(name, since: since) else { return }
        if node.bool == nil { mismatch(name, node, "true or false") }
        value = node.bool
    }

    func integer(_ name: String, _ value: inout Int?, since: SpecVersion) {
        guard let node = take(name, since: since) else { return }
        switch node.value {
        case .integer(let number): value = Int(number)
        case .number(let literal):
            let isWhole = literal.utf8.allSatisfy {
                $0 == UInt8(ascii: "-") || $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9")
            }
            note(name, node, "\(isWhole ? "beyond 64 bits:" : "expected a whole number, found") \(shortened(literal))")
        default: mismatch(name, node, "a number")
        }
    }

    /// JSON numbers are decimal, which is the usual trap.
    func mode(_ name: String, _ value: inout Int?) {
        guard let text = members.first(where: { $0.key == name })?.value.string else {
            return integer(name, &value, since: .v30)
        }
        guard let node = take(name, since: .v30) else { return }
        let hint = Int(text, radix: 8).map { ": \($0) is octal \(String($0, radix: 8))" } ?? ""
        note(name, node, "expected a number, found a string; a mode is a decimal number\(hint)")
    }

    func strings(_ name: String, _ value: inout [String], _ rule: ListRule, since: SpecVersion) {
        value = nodes(name, since: since).map { path, node in
            if node.isNull { return "" }
            guard let text = node.string else {
                context.note(.error, path, at: node.place, "expected a string, found \(node.kind)")
                return ""
            }
            return text
        }
    }

    func object<Value: ConfigObject>(_ name: String, _ value: inout Value, since: SpecVersion) {
        guard let node = take(name, since: since) else { return }
        if let object: Value = Self.read(node, path: path(of: name), context: context) { value = object }
    }

    /// `null` inside a list is an entry without members.
    func list<Value: ConfigObject>(
        _ name: String, _ value: inout [Value], _ rule: ListRule, since: SpecVersion
    ) {
        value = nodes(name, since: since).compactMap { path, node in
            let node = node.isNull ? JSONNode(.object([]), at: node.place) : node
            return Self.read(node, path: path, context: context)
        }
    }

    // MARK: Members

    private func nodes(_ key: String, since: SpecVersion) -> [(path: String, node: JSONNode)] {
        guard let node = take(key, since: since) else { return [] }
        guard let elements = node.elements else {
            mismatch(key, node, "a list")
            return []
        }
        let path = path(of: key)
        return elements.enumerated().map { ("\(path)[\($0)]", $1) }
    }

    /// The value of a key that is not `null`. Like the reference decoder this accepts another case, warning.
    private func take(_ key: String, since: SpecVersion) -> JSONNode? {
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

/// A literal for a message: a number can have a million digits.
func shortened(_ text: String, to limit: Int = 60) -> String {
    text.utf8.count > limit ? text.prefix(limit - 3) + "..." : text
}
