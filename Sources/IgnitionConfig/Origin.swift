// Where an element of a config was written.

import JSONText

extension IgnitionConfig {
    /// Where an element was written: text, path and node.
    ///
    /// Two origins are always equal, so that configs compare by what they ask for alone.
    public struct Origin: Equatable, Sendable, CustomStringConvertible {
        /// `nil` where the element is not from a text. A reference, since most elements of most objects are absent.
        private var written: WrittenElement?
        /// Of a merged element: where the rest of it was written. One entry at most, and the newest first.
        private var inherited: [Origin] = []

        /// An element without a text of its own.
        public init(source: String = "", path: String = "") {
            if source.isEmpty, path.isEmpty { return }
            written = WrittenElement(source: source, parent: nil, name: path, index: nil, node: nil)
        }

        init(_ written: WrittenElement) { self.written = written }

        public static func == (one: Origin, other: Origin) -> Bool { true }

        /// The name of the text: "config.ign", a URL without secrets; empty where the element is not from a text.
        public var source: String { written?.source ?? "" }
        /// `storage.files[2]`; empty for the whole config.
        public var path: String { written?.path ?? "" }
        /// The element's first line, from 1.
        public var line: Int? { written?.node?.place.line }

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
            let path = path
            return field.isEmpty ? path : path.isEmpty ? field : "\(path).\(field)"
        }

        /// Where a field's value stands; where it is absent, the beginning of what it should be in.
        ///
        /// - Parameter field: Below this element: `mode`, `contents.source`, `devices[1]`.
        public func place(of field: String) -> SourcePlace? { find(field).place }

        /// Whether the element's own text has the key.
        func has(_ key: String) -> Bool {
            written?.node?.member(like: key).map { !$0.value.isNull } ?? false || inherited.contains { $0.has(key) }
        }

        /// This element laid over an earlier one.
        func over(_ earlier: Origin) -> Origin {
            if written == nil { return earlier }
            if earlier.written == nil { return self }
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
                if let (node, isExact) = layer.walk(steps), isExact {
                    return (layer.source, layer.path(of: field), node.place)
                }
                guard let next = layer.inherited.first else { break }
                layer = next
            }
            return (source, path(of: field), walk(steps).map { $0.node.place.beginning })
        }

        /// The node of a field, or the nearest one around it.
        private func walk(_ field: Substring) -> (node: JSONNode, isExact: Bool)? {
            guard var node = written?.node else { return nil }
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

/// One element of a text. Its path is put together when it is asked for: most are never told.
final class WrittenElement: Sendable {
    let source: String
    private let parent: WrittenElement?
    private let name: String
    private let index: Int32?
    let node: JSONNode?

    init(source: String, parent: WrittenElement?, name: String, index: Int?, node: JSONNode?) {
        self.source = source
        self.parent = parent
        self.name = name
        self.index = index.map { Int32(clamping: $0) }
        self.node = node
    }

    var path: String {
        let above = parent?.path ?? ""
        return (above.isEmpty ? "" : above + ".") + name + (index.map { "[\($0)]" } ?? "")
    }
}

extension SourcePlace {
    /// Its first byte.
    fileprivate var beginning: SourcePlace {
        SourcePlace(line: line, column: column, bytes: bytes.lowerBound..<bytes.lowerBound + 1)
    }
}

extension JSONNode {
    /// The member of that name, or where there is none, one that differs in upper and lower case alone.
    func member(like key: String) -> JSONMember? {
        guard let members else { return nil }
        return members.first { $0.key == key } ?? members.first { isSame($0.key, key) }
    }
}

/// Whether two keys differ in the case of ASCII letters at most.
func isSame(_ one: String, _ other: String) -> Bool {
    one.utf8.count == other.utf8.count && one.utf8.elementsEqual(other.utf8) { lowered($0) == lowered($1) }
}

private func lowered(_ byte: UInt8) -> UInt8 {
    (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
}
