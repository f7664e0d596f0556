// The tree that a Butane config is read into, and that is made into Ignition's: every value knows where it is from.

/// The way to a value in one of the texts: `$.storage.files.0.mode`.
public struct ConfigPath: Hashable, Sendable, CustomStringConvertible {
    /// One step of the way: a key of an object or an index of a list, counted from 0.
    public enum Step: Hashable, Sendable, CustomStringConvertible {
        case key(String)
        case index(Int)

        /// The key, or the index in decimal.
        public var description: String {
            switch self {
            case .key(let key): key
            case .index(let index): "\(index)"
            }
        }
    }

    /// The steps from the root; the root itself has none.
    public var steps: [Step]
    /// Which text: 0 is the one that was given, the others are included.
    public var text: Int

    /// Creates a path; by default it is the root of the first text.
    public init(_ steps: [Step] = [], text: Int = 0) {
        self.steps = steps
        self.text = text
    }

    /// The path with `$` for the root: `$.storage.files.0.mode`.
    public var description: String { (["$"] + steps.map(\.description)).joined(separator: ".") }

    func appending(_ key: String) -> ConfigPath { ConfigPath(steps + [.key(key)], text: text) }
    func appending(_ index: Int) -> ConfigPath { ConfigPath(steps + [.index(index)], text: text) }
    func appending(_ more: some Sequence<Step>) -> ConfigPath { ConfigPath(steps + more, text: text) }
}

/// A value of a config, and the path of the text that asks for it.
struct ConfigNode: Sendable {
    enum Value: Sendable {
        case string(String)
        /// What is not UTF-8, of a field whose content is embedded as it is.
        case bytes([UInt8])
        case integer(Int)
        case bool(Bool)
        case list([ConfigNode])
        case object([Member])
    }

    struct Member: Sendable {
        var key: String
        var value: ConfigNode
    }

    var value: Value
    /// Where it is asked for.
    var source: ConfigPath
    /// Whether sugar made it: fields that it lacks belong to the sugar too.
    var isGenerated = false

    init(_ value: Value, from source: ConfigPath, isGenerated: Bool = false) {
        self.value = value
        self.source = source
        self.isGenerated = isGenerated
    }

    var string: String? { if case .string(let text) = value { text } else { nil } }
    /// The content of a text, or of what is none.
    var bytes: [UInt8]? {
        switch value {
        case .string(let text): Array(text.utf8)
        case .bytes(let bytes): bytes
        default: nil
        }
    }
    var integer: Int? { if case .integer(let number) = value { number } else { nil } }
    var bool: Bool? { if case .bool(let flag) = value { flag } else { nil } }
    var elements: [ConfigNode] { if case .list(let elements) = value { elements } else { [] } }
    var members: [Member] { if case .object(let members) = value { members } else { [] } }

    /// The member of that name; assigning replaces it, adds it at the end, or with `nil` removes it.
    subscript(key: String) -> ConfigNode? {
        get { members.first { $0.key == key }?.value }
        set {
            guard case .object(var members) = value else { return }
            value = .object([])
            let index = members.firstIndex { $0.key == key }
            switch (index, newValue) {
            case (let index?, let node?): members[index].value = node
            case (let index?, nil): members.remove(at: index)
            case (nil, let node?): members.append(Member(key: key, value: node))
            case (nil, nil): break
            }
            value = .object(members)
        }
    }

    /// The node at the end of a way of keys, where there is one.
    func descendant(_ keys: String...) -> ConfigNode? {
        var node: ConfigNode? = self
        for key in keys { node = node?[key] }
        return node
    }

    /// The entries of a list of an object.
    func list(_ keys: String...) -> [ConfigNode] {
        var node: ConfigNode? = self
        for key in keys { node = node?[key] }
        return node?.elements ?? []
    }

    /// Changes the member of that name, which is made where it is missing.
    mutating func update(_ key: String, making new: ConfigNode, _ change: (inout ConfigNode) -> Void) {
        guard case .object(var members) = value else { return }
        value = .object([])
        if let index = members.firstIndex(where: { $0.key == key }) {
            change(&members[index].value)
        } else {
            var node = new
            change(&node)
            members.append(Member(key: key, value: node))
        }
        value = .object(members)
    }

    /// Adds an entry to a list.
    mutating func append(_ node: ConfigNode) {
        guard case .list(var elements) = value else { return }
        value = .list([])
        elements.append(node)
        value = .list(elements)
    }
}

// MARK: Nodes that sugar makes

extension ConfigNode {
    /// An object of generated fields; those that are `nil` are left out.
    static func made(_ fields: [(String, Value?)], from source: ConfigPath) -> ConfigNode {
        ConfigNode(
            .object(
                fields.compactMap { key, value in
                    value.map { Member(key: key, value: ConfigNode($0, from: source, isGenerated: true)) }
                }), from: source, isGenerated: true)
    }

    static func madeList(_ nodes: [ConfigNode], from source: ConfigPath) -> ConfigNode {
        ConfigNode(.list(nodes), from: source, isGenerated: true)
    }
}

extension ConfigNode.Value {
    /// A list of texts that one piece of sugar made.
    static func texts(_ texts: [String], from source: ConfigPath) -> Self {
        .list(texts.map { ConfigNode(.string($0), from: source, isGenerated: true) })
    }
}
