// From JSON to typed values: every mistake is reported, none ends the reading.

import JSONText
import Reporting

/// What all objects of one config share while they are read.
final class ReadingContext {
    let source: IgnitionConfig.SourceText
    let version: SpecVersion
    var notes = DiagnosticList()

    init(source: IgnitionConfig.SourceText, version: SpecVersion) {
        self.source = source
        self.version = version
    }
}

/// Reads one JSON object; members that are left unread at the end are unknown keys.
final class ObjectReader: FieldVisitor {
    private let element: WrittenElement
    private let node: JSONNode
    private let members: [JSONMember]
    private let context: ReadingContext
    private var version: SpecVersion { context.version }
    /// By the index of a member.
    private var isRead: [Bool]
    private var known: [String] = []
    /// Keys of later versions.
    private var later: [String: SpecVersion] = [:]

    let isInIgnition: Bool

    /// Reads `node` as a `Value`; reports an error and returns `nil` if it is not an object.
    static func read<Value: ConfigObject>(
        _ node: JSONNode, _ name: String = "", _ index: Int? = nil, below parent: ObjectReader?,
        context: ReadingContext
    ) -> Value? {
        let element = WrittenElement(
            text: context.source, parent: parent?.element, name: name, index: index, node: node)
        guard let members = node.members else {
            context.notes.add(
                .error, in: Origin(element), "", at: node.place, "expected an object, found \(node.kind)")
            return nil
        }
        let reader = ObjectReader(
            element, node, members, context, isInIgnition: parent?.isInIgnition == true || name == "ignition")
        var value = Value()
        value.describe(to: reader)
        value.origin = Origin(element)
        reader.finish()
        return value
    }

    private typealias Origin = IgnitionConfig.Origin

    private init(
        _ element: WrittenElement, _ node: JSONNode, _ members: [JSONMember], _ context: ReadingContext,
        isInIgnition: Bool
    ) {
        self.element = element
        self.node = node
        self.members = members
        self.context = context
        self.isInIgnition = isInIgnition
        isRead = Array(repeating: false, count: members.count)
    }

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
            addError(
                name, node, "\(isWhole ? "beyond 64 bits:" : "expected a whole number, found") \(shortened(literal))")
        default: mismatch(name, node, "a number")
        }
    }

    /// Reads a file mode, and explains the usual mistake: JSON numbers are decimal.
    func mode(_ name: String, _ value: inout Int?) {
        guard let text = members.first(where: { $0.key == name })?.value.string else {
            return integer(name, &value, since: .v30)
        }
        guard let node = take(name, since: .v30) else { return }
        let hint = Int(text, radix: 8).map { ": \($0) is octal \(String($0, radix: 8))" } ?? ""
        addError(name, node, "expected a number, found a string; a mode is a decimal number\(hint)")
    }

    func strings(_ name: String, _ value: inout [String], _ rule: ListRule, since: SpecVersion) {
        value = elements(name, since: since).enumerated().map { index, node in
            if node.isNull { return "" }
            if node.string == nil { mismatch("\(name)[\(index)]", node, "a string") }
            return node.string ?? ""
        }
    }

    func object<Value: ConfigObject>(_ name: String, _ value: inout Value, since: SpecVersion) {
        guard let node = take(name, since: since, forObject: true) else { return }
        if let object: Value = Self.read(node, name, below: self, context: context) { value = object }
    }

    /// Reads a list of objects, in which `null` counts as an object without members.
    func list<Value: ConfigObject>(
        _ name: String, _ value: inout [Value], _ rule: ListRule, since: SpecVersion
    ) {
        value = elements(name, since: since).enumerated().compactMap { index, node in
            if node.isNull { warnOfNull("\(name)[\(index)]", node) }
            let node = node.isNull ? JSONNode(.object([]), at: node.place) : node
            return Self.read(node, name, index, below: self, context: context)
        }
    }

    // MARK: Members

    private func elements(_ key: String, since: SpecVersion) -> [JSONNode] {
        guard let node = take(key, since: since) else { return [] }
        if node.elements == nil { mismatch(key, node, "a list") }
        return node.elements ?? []
    }

    /// The value of a key, or `nil` if it is absent or `null`.
    ///
    /// Like Ignition's decoder, this accepts a key in another case; it warns.
    private func take(_ key: String, since: SpecVersion, forObject: Bool = false) -> JSONNode? {
        guard version >= since else {
            later[key] = since
            return nil
        }
        known.append(key)
        var index = members.firstIndex { $0.key == key }
        if index == nil {
            index = members.firstIndex { isSame($0.key, key) }
            if let index {
                let found = members[index]
                context.notes.add(
                    .warning, in: Origin(element), found.key, at: found.keyPlace, "read as \"\(key)\"; write that")
            }
        }
        guard let index else { return nil }
        isRead[index] = true
        let node = members[index].value
        if node.isNull, forObject { warnOfNull(key, node) }
        return node.isNull ? nil : node
    }

    private func mismatch(_ key: String, _ node: JSONNode, _ wanted: String) {
        addError(key, node, "expected \(wanted), found \(node.kind)")
    }

    private func addError(_ key: String, _ node: JSONNode, _ message: String) {
        context.notes.add(.error, in: Origin(element), key, at: node.place, message)
    }

    private func warnOfNull(_ key: String, _ node: JSONNode) {
        context.notes.add(.warning, in: Origin(element), key, at: node.place, "null in place of an object; read as {}")
    }

    /// Warns about every key that no field has read.
    private func finish() {
        var unknown = 0
        for (member, isRead) in zip(members, isRead) where !isRead {
            unknown += 1
            // Comparing takes time, so long words and long lists of unknown keys are not compared.
            let isComparable = unknown <= 100 && member.key.utf8.count <= 40 && !context.notes.isFull(.warning)
            let since = later[member.key]
            let message =
                if let since {
                    "came with spec \(since) and is ignored: this config is \(version)"
                } else if isComparable, let near = nearest(to: member.key, in: known) {
                    "unknown key, did you mean \"\(near)\"?"
                } else {
                    "unknown key, ignored"
                }
            context.notes.add(
                .warning, in: Origin(element), shortened(member.key), at: member.keyPlace,
                kind: .unknownKey(since: since), message)
        }
    }
}

/// A text for a message: cut, with blanks for control characters, which a terminal would obey.
///
/// It is cut by scalars: a number can have a million digits, one character a million marks.
func shortened(_ text: String, to limit: Int = 60) -> String {
    let isLong = text.utf8.count > limit
    let scalars = text.unicodeScalars.prefix(isLong ? limit - 3 : limit).map { $0.isControl ? " " : $0 }
    return String(String.UnicodeScalarView(scalars)) + (isLong ? "..." : "")
}

extension Unicode.Scalar {
    /// Whether it is one of C0, DEL or C1.
    var isControl: Bool { value < 0x20 || (0x7f...0x9f).contains(value) }
}
