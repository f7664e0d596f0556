// Where an element of a config was written.

import JSONText

extension IgnitionConfig {
    /// Where an element was written: text, path and node.
    ///
    /// Two origins are always equal, so that configs compare by what they ask for alone.
    public struct Origin: Equatable, Sendable, CustomStringConvertible {
        /// The name of the text: "config.ign", a URL without secrets; empty where the element is not from a text.
        public var source: String
        /// `storage.files[2]`; empty for the whole config.
        public var path: String
        private var node: JSONNode?
        /// Of a merged element: where the rest of it was written. One entry at most, and the newest first.
        private var inherited: [Origin] = []

        public init(source: String = "", path: String = "") {
            self.source = source
            self.path = path
        }

        init(source: String, path: String, node: JSONNode) {
            self.source = source
            self.path = path
            self.node = node
        }

        public static func == (one: Origin, other: Origin) -> Bool { true }

        /// The element's first line, from 1.
        public var line: Int? { node?.place.line }

        /// "storage.filesystems[0], config.ign line 14".
        public var description: String { describe() }

        /// The same for a field of the element: "storage.files[0].mode, config.ign line 16".
        public func describe(_ field: String = "") -> String {
            let found = find(field)
            let names = [found.path, found.place.map { "\(found.source) line \($0.line)" } ?? found.source]
            return names.filter { !$0.isEmpty }.joined(separator: ", ")
        }

        /// The path of a field: `contents.source` of `storage.files[2]`.
        public func path(of field: String) -> String {
            field.isEmpty ? path : path.isEmpty ? field : "\(path).\(field)"
        }

        /// Where a field's value stands; where it is absent, the beginning of what it should be in.
        ///
        /// - Parameter field: Below this element: `mode`, `contents.source`, `devices[1]`.
        public func place(of field: String) -> SourcePlace? { find(field).place }

        /// Whether the element's own text has the key.
        func has(_ key: String) -> Bool {
            node?.member(like: key).map { !$0.value.isNull } ?? false || inherited.contains { $0.has(key) }
        }

        /// This element laid over an earlier one.
        func over(_ earlier: Origin) -> Origin {
            if node == nil, source.isEmpty { return earlier }
            if earlier.node == nil { return self }
            var origin = self
            origin.inherited = inherited.isEmpty ? [earlier] : [inherited[0].over(earlier)]
            return origin
        }

        /// The text that gives a field its value, its path there and its place.
        func find(_ field: String) -> (source: String, path: String, place: SourcePlace?) {
            // The entries of a merged list are counted otherwise than those of its texts.
            let steps = inherited.isEmpty ? field[...] : field.prefix { $0 != "[" }
            var layer = self
            while true {
                if let place = layer.exactPlace(of: steps) { return (layer.source, layer.path(of: field), place) }
                guard let next = layer.inherited.first else { break }
                layer = next
            }
            return (source, path(of: field), nearestPlace(of: steps))
        }

        private func exactPlace(of field: Substring) -> SourcePlace? {
            walk(field).flatMap { $0.isExact ? $0.node.place : nil }
        }

        private func nearestPlace(of field: Substring) -> SourcePlace? {
            guard let (node, isExact) = walk(field) else { return nil }
            if isExact { return node.place }
            let start = node.place.bytes.lowerBound
            return SourcePlace(line: node.place.line, column: node.place.column, bytes: start..<start + 1)
        }

        /// The node of a field, or the nearest one around it.
        private func walk(_ field: Substring) -> (node: JSONNode, isExact: Bool)? {
            guard var node else { return nil }
            for step in field.split(whereSeparator: { $0 == "." || $0 == "[" || $0 == "]" }) {
                let next =
                    if let index = Int(step) {
                        node.elements.flatMap { index < $0.count ? $0[index] : nil }
                    } else {
                        node.member(like: String(step))?.value
                    }
                guard let next, !next.isNull else { return (node, false) }
                node = next
            }
            return (node, true)
        }
    }
}

extension JSONNode {
    /// The member of that name, or where there is none, one that differs in upper and lower case alone.
    func member(like key: String) -> JSONMember? {
        guard let members else { return nil }
        return members.first { $0.key == key }
            ?? members.first { $0.key.utf8.count == key.utf8.count && $0.key.lowercased() == key.lowercased() }
    }
}
