// Merging as Ignition merges, on trees whose values know where they are from.

import IgnitionConfig

extension ConfigNode {
    /// This object of Ignition's config with `child` over it.
    ///
    /// - SeeAlso: Ignition's documentation, "Operator notes", "Config merging".
    func merged(with child: ConfigNode, _ type: ObjectType) -> ConfigNode {
        var result = child
        // What both gave belongs to whoever wrote it, not to sugar.
        result.isGenerated = child.isGenerated && isGenerated
        var members: [Member] = []
        let lists = Lists(self, child, type)
        for field in type.fields {
            guard let json = field.json else { continue }
            let (own, other) = (self[json], child[json])
            let value: ConfigNode?
            switch (field.kind, own, other) {
            case (_, nil, let only), (_, let only, nil): value = only
            case (.object(let type), let own?, let other?): value = own.merged(with: other, type)
            case (.list(let entry, _), let own?, let other?):
                value = field.merge == .appended ? own.strung(with: other) : lists.merge(json, entry, own, other)
            case (_, _, let other): value = other
            }
            // An entry can lose to an entry in another list of the other config, even if only one config has this list.
            if case .list = field.kind, type.sharedKeys.contains(json), let only = value, own == nil || other == nil {
                members.append(.init(key: json, value: other == nil ? lists.pruned(json, only) : only))
            } else if let value {
                members.append(.init(key: json, value: value))
            }
        }
        // `version` is not among the described fields.
        for name in ["version"] where members.allSatisfy({ $0.key != name }) {
            if let version = child[name] ?? self[name] { members.append(.init(key: name, value: version)) }
        }
        result.value = .object(members)
        return result
    }

    private func strung(with other: ConfigNode) -> ConfigNode {
        ConfigNode(.list(elements + other.elements), from: other.source, isGenerated: isGenerated && other.isGenerated)
    }

    /// What tells this entry of a list from the others.
    func key(_ kind: FieldKind) -> ByteKey {
        guard case .object(let type) = kind else { return ByteKey(string ?? "") }
        switch type.key {
        case .none: return ByteKey("")
        case .field(let name): return ByteKey(self[name]?.string ?? "")
        case .partition:
            if let number = self["number"]?.integer, number != 0 { return ByteKey("\(number)") }
            return ByteKey(self["label"].flatMap(\.string) ?? "")
        }
    }

    /// The lists of two objects, of which some share their keys.
    private struct Lists {
        private let type: ObjectType
        /// Of the child's entries: in which list, and which entry there.
        private var places: [ByteKey: (list: String, index: Int)] = [:]

        init(_ parent: ConfigNode, _ child: ConfigNode, _ type: ObjectType) {
            self.type = type
            for field in type.fields {
                guard let json = field.json, case .list(let kind, _) = field.kind, field.merge == .keyed,
                    type.sharedKeys.contains(json)
                else { continue }
                for (index, entry) in child.list(json).enumerated() { places[entry.key(kind)] = (json, index) }
            }
        }

        /// The parent's list without what the child has in another one.
        func pruned(_ list: String, _ parent: ConfigNode) -> ConfigNode {
            guard let field = type.field(json: list), case .list(let kind, _) = field.kind else { return parent }
            var result = parent
            result.value = .list(parent.elements.filter { places[$0.key(kind)].map { $0.list == list } ?? true })
            return result
        }

        func merge(_ list: String, _ kind: FieldKind, _ parent: ConfigNode, _ child: ConfigNode) -> ConfigNode {
            let shared = type.sharedKeys.contains(list)
            let children = child.elements
            // Of two of the child's entries with one key the last counts.
            let indices = Dictionary(children.enumerated().map { ($1.key(kind), $0) }, uniquingKeysWith: { $1 })
            var nodes: [ConfigNode] = []
            for entry in parent.elements {
                let key = entry.key(kind)
                if let index = indices[key], !shared || places[key].map({ $0.list == list }) ?? true {
                    if case .object(let type) = kind {
                        // A header without a value removes the parent's header.
                        if type.name == "HTTPHeader", children[index]["value"] == nil { continue }
                        nodes.append(entry.merged(with: children[index], type))
                    } else {
                        nodes.append(children[index])
                    }
                } else if !shared || places[key] == nil {
                    nodes.append(entry)
                }
            }
            let known = Set(parent.elements.map { $0.key(kind) })
            nodes += children.filter { !known.contains($0.key(kind)) }
            return ConfigNode(.list(nodes), from: child.source, isGenerated: child.isGenerated)
        }
    }
}
