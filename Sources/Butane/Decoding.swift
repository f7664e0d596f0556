// From YAML to a tree of known fields: types by the rules of Butane's reader, every mistake with its place.

import Encoding
import IgnitionConfig
import JSONText

/// Reads one document by a description of its fields.
struct Decoder {
    let document: YAMLDocument
    let dialect: Dialect?
    /// Which text this is.
    let text: Int
    /// What `${name}` stands for; `nil` where a dollar sign has no special meaning.
    var variables: Variables?

    private(set) var faults: [YAMLFault.Entry] = []
    /// Variables that are not there, and the like.
    private(set) var variableFaults: [ConfigPath: String] = [:]
    private var decoded = 0
    private var decodedByAlias = 0
    private var aliases: [Int] = []
    private var ancestors: [Int] = []

    init(_ document: YAMLDocument, dialect: Dialect?, text: Int = 0, variables: Variables? = nil) {
        self.document = document
        self.dialect = dialect
        self.text = text
        self.variables = variables
    }

    /// The document as an object of that type; one without fields where there is no value.
    ///
    /// - Throws: The mistakes of a whole reading, or the first that ends it.
    mutating func read(_ type: ObjectType) throws(YAMLFault) -> ConfigNode {
        let path = ConfigPath(text: text)
        let root = try document.root.map { index throws(YAMLFault) in
            try read(index, .object(type), at: path, goType: goName(type, in: dialect?.package))
        }
        guard faults.isEmpty else { throw YAMLFault(types: faults) }
        return (root ?? nil) ?? ConfigNode(.object([]), from: path)
    }

    /// - Returns: `nil` where the value is null or a mistake was noted.
    private mutating func read(
        _ index: Int, _ kind: FieldKind, at path: ConfigPath, goType: String
    ) throws(YAMLFault) -> ConfigNode? {
        try count()
        if case .alias(let name, let target) = document.nodes[index].content {
            // An anchor on the way to its own alias, directly or by another alias.
            guard !aliases.contains(target), !ancestors.contains(target) else {
                throw YAMLFault("anchor '\(name)' value contains itself", at: document.nodes[index].place)
            }
            aliases.append(target)
            defer { aliases.removeLast() }
            return try read(target, kind, at: path, goType: goType)
        }
        let node = document.nodes[index]
        ancestors.append(index)
        defer { ancestors.removeLast() }
        switch node.content {
        case .alias: return nil
        case .scalar(let text, let isPlain):
            return try read(text, isPlain: isPlain, node, kind, at: path, goType: goType)
        case .sequence(let entries):
            guard case .list(let entryKind, let named) = kind else {
                addMismatch(node, "!!seq", goType)
                return nil
            }
            let entryType = goName(entryKind, named: named)
            var nodes: [ConfigNode] = []
            for entry in entries {
                // As in Butane, an entry without a value counts as absent.
                if let value = try read(entry, entryKind, at: path.appending(nodes.count), goType: entryType) {
                    nodes.append(value)
                }
            }
            return ConfigNode(.list(nodes), from: path)
        case .mapping(let pairs):
            guard hasUniqueKeys(pairs) else { return nil }
            switch kind {
            case .object(let type): return try object(pairs, type, at: path)
            case .texts:
                var members: [ConfigNode.Member] = []
                for (key, value) in try merged(pairs) {
                    guard let name = try self.key(key) else { continue }
                    let place = path.appending(name)
                    if let value = try read(value, .string, at: place, goType: "string") {
                        members.append(.init(key: name, value: value))
                    } else if try isNull(value) {
                        // A field without a value is absent; a key of the user's own is there, and empty.
                        members.append(.init(key: name, value: ConfigNode(.string(""), from: place)))
                    }
                }
                return ConfigNode(.object(members), from: path)
            default:
                addMismatch(node, "!!map", goType)
                return nil
            }
        }
    }

    private mutating func object(
        _ pairs: [(key: Int, value: Int)], _ type: ObjectType, at path: ConfigPath
    ) throws(YAMLFault) -> ConfigNode {
        var members: [ConfigNode.Member] = []
        for (key, value) in try merged(pairs) {
            guard let name = try self.key(key), let field = type.fields.first(where: { $0.name == name }) else {
                continue
            }
            let node = try read(value, field.kind, at: path.appending(name), goType: goName(field.kind))
            if let node { members.append(.init(key: name, value: node)) }
        }
        return ConfigNode(.object(members), from: path)
    }

    /// The pairs of a mapping with those of its merge keys, of which its own win, and earlier ones over later ones.
    private mutating func merged(
        _ pairs: [(key: Int, value: Int)], depth: Int = 0
    ) throws(YAMLFault) -> [(key: Int, value: Int)] {
        guard pairs.contains(where: { isMerge($0.key) }) else { return pairs }
        // Without this check a mapping that merges itself would never end, and deeply nested lists of mappings hardly.
        mergeSteps += 1
        guard depth < YAMLDocument.depthLimit, mergeSteps < 100_000 else {
            throw YAMLFault("document contains excessive aliasing", at: nil)
        }
        var result = pairs.filter { !isMerge($0.key) }
        var known = Set(result.compactMap { document.text(of: $0.key).map(ByteKey.init) })
        for pair in pairs where isMerge(pair.key) {
            for source in try mergeSources(pair.value) {
                guard hasUniqueKeys(source) else { continue }
                for inherited in try merged(source, depth: depth + 1) {
                    try count(isAlias: true)
                    guard let name = document.text(of: inherited.key), known.insert(ByteKey(name)).inserted else {
                        continue
                    }
                    result.append(inherited)
                }
            }
        }
        return result
    }

    private var mergeSteps = 0

    private func mergeSources(_ index: Int) throws(YAMLFault) -> [[(key: Int, value: Int)]] {
        func mapping(_ index: Int) -> [(key: Int, value: Int)]? {
            if case .mapping(let pairs) = document.resolved(index).content { pairs } else { nil }
        }
        if let pairs = mapping(index) { return [pairs] }
        if case .sequence(let entries) = document.nodes[index].content {
            let sources = entries.compactMap { mapping($0) }
            if sources.count == entries.count { return sources }
        }
        throw YAMLFault("map merge requires map or sequence of maps as the value", at: document.nodes[index].place)
    }

    private func isMerge(_ index: Int) -> Bool {
        guard case .scalar("<<", let isPlain) = document.nodes[index].content else { return false }
        let tag = document.nodes[index].tag
        return tag == "!!merge" || tag == nil && isPlain
    }

    private func isNull(_ index: Int) throws(YAMLFault) -> Bool {
        let node = document.resolved(index)
        guard case .scalar(let text, let isPlain) = node.content else { return false }
        return try YAMLScalar(text, tag: node.tag, isPlain: isPlain) == .null
    }

    /// A key's text; `nil` for null.
    private mutating func key(_ index: Int) throws(YAMLFault) -> String? {
        try count()
        let node = document.resolved(index)
        switch node.content {
        case .scalar(let text, let isPlain):
            return try YAMLScalar(text, tag: node.tag, isPlain: isPlain) == .null ? nil : text
        case .sequence: addMismatch(node, "!!seq", "string")
        case .mapping: addMismatch(node, "!!map", "string")
        case .alias: break
        }
        return nil
    }

    private mutating func hasUniqueKeys(_ pairs: [(key: Int, value: Int)]) -> Bool {
        if pairs.count < 2 { return true }
        var first: [ByteKey: Int] = [:]
        var isUnique = true
        for pair in pairs {
            let node = document.nodes[pair.key]
            guard case .scalar(let text, _) = node.content else { continue }
            if let earlier = first[ByteKey(text)] {
                isUnique = false
                faults.append(
                    .init(
                        message: "mapping key \(quoted(text)) already defined at line \(earlier)", place: node.place))
            } else {
                first[ByteKey(text)] = node.place.line
            }
        }
        return isUnique
    }

    // MARK: Scalars

    private mutating func read(
        _ written: String, isPlain: Bool, _ node: YAMLDocument.Node, _ kind: FieldKind, at path: ConfigPath,
        goType: String
    ) throws(YAMLFault) -> ConfigNode? {
        var text = written
        if let variables {
            switch variables.expand(written) {
            case .success(let expanded): text = expanded
            case .failure(let fault): variableFaults[path] = fault.description
            }
        }
        let scalar: YAMLScalar
        do { scalar = try YAMLScalar(text, tag: node.tag, isPlain: isPlain, shown: written) } catch {
            var fault = error
            fault.entries[0].place = node.place
            throw fault
        }
        // A variable's value is a text where a text is wanted: an empty one is not null.
        let isExpanded = text != written
        if scalar == .null {
            guard case .string = kind, isExpanded else { return nil }
            return ConfigNode(.string(text), from: path)
        }
        switch kind {
        case .string:
            guard case .binary(let bytes) = scalar else { return ConfigNode(.string(text), from: path) }
            if let decoded = String(validating: bytes, as: UTF8.self) {
                return ConfigNode(.string(decoded), from: path)
            }
            // What is embedded may be anything; a text of JSON cannot.
            if path.steps.last == .key("inline") { return ConfigNode(.bytes(bytes), from: path) }
            addMismatch(node, "!!binary that is not UTF-8", goType)
            return nil
        case .integer:
            switch scalar {
            case .integer(let number): return ConfigNode(.integer(number), from: path)
            case .float(let number) where number.magnitude < 0x1p63:
                return ConfigNode(.integer(Int(number)), from: path)
            default: break
            }
        case .bool:
            switch scalar {
            case .bool(let flag): return ConfigNode(.bool(flag), from: path)
            case .text:
                switch text {
                case "y", "Y", "yes", "Yes", "YES", "on", "On", "ON": return ConfigNode(.bool(true), from: path)
                case "n", "N", "no", "No", "NO", "off", "Off", "OFF": return ConfigNode(.bool(false), from: path)
                default: break
                }
            default: break
            }
        case .list, .object, .texts: break
        }
        // The value may be a secret that somebody put into a variable: it is shown as it is written.
        let bytes = Array(written.utf8)
        let value = bytes.count > 10 ? String(decoding: bytes[..<7], as: UTF8.self) + "..." : written
        addMismatch(node, "\(node.tag ?? scalar.tag) `\(value)`", goType)
        return nil
    }

    // MARK: Mistakes

    private mutating func addMismatch(_ node: YAMLDocument.Node, _ what: String, _ goType: String) {
        faults.append(.init(message: "cannot unmarshal \(what) into \(goType)", place: node.place))
    }

    /// Butane's bound for what aliases may make of a text.
    private mutating func count(isAlias: Bool = false) throws(YAMLFault) {
        decoded += 1
        if isAlias || !aliases.isEmpty { decodedByAlias += 1 }
        guard decodedByAlias > 100, decoded > 1000 else { return }
        let (low, high) = (400_000.0, 4_000_000.0)
        let share = min(max(Double(decoded) - low, 0), high - low) / (high - low)
        if Double(decodedByAlias) / Double(decoded) > 0.99 - 0.89 * share {
            throw YAMLFault("document contains excessive aliasing", at: nil)
        }
    }

    private func goName(_ kind: FieldKind, named: String? = nil) -> String {
        switch kind {
        case .string: named.map { goName($0) } ?? "string"
        case .integer: "int"
        case .bool: "bool"
        case .texts: "map[string]string"
        case .list(let entry, let named): "[]" + goName(entry, named: named)
        case .object(let type): goName(type, in: nil)
        }
    }

    private func goName(_ type: ObjectType, in package: String?) -> String {
        if let package, type.name == "Config" { return "\(package).Config" }
        let own = ["BootDevice", "BootDeviceLuks", "BootDeviceMirror", "Grub", "GrubUser", "Metadata", "OpenShift"]
        return own.contains(type.name) ? "\(dialect?.package ?? "config").\(type.name)" : goName(type.name)
    }

    private func goName(_ name: String) -> String { "\(dialect?.basePackage ?? "config").\(name)" }
}

/// A text as Go writes one in its source.
func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\"": result += "\\\""
        case "\\": result += "\\\\"
        case "\n": result += "\\n"
        case "\t": result += "\\t"
        case "\r": result += "\\r"
        default: result.unicodeScalars.append(scalar)
        }
    }
    return result + "\""
}

func decodedBase64(_ bytes: [UInt8]) -> [UInt8]? { (try? Base64.standard.decode(bytes[...])) }
