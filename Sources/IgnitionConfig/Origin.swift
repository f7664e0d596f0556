// Where an element of a config was written.

import JSONText

extension IgnitionConfig {
    /// Where an element was written: text, path and node.
    ///
    /// Two origins are always equal, so that configs are compared only by what they ask for.
    public struct Origin: Equatable, Sendable, CustomStringConvertible {
        /// The element in its text; `nil` if it is not from a text.
        ///
        /// It is a reference, because most elements of most objects are absent.
        private var written: WrittenElement?
        /// For a merged element, where the rest of it was written: one entry at most, which may have one itself.
        private var inherited: [Origin] = []

        /// Creates an origin from names; without any, that of an element that is not from a text.
        public init(source: String = "", path: String = "") {
            if source.isEmpty, path.isEmpty { return }
            written = WrittenElement(text: SourceText(name: source), parent: nil, name: path, index: nil, node: nil)
        }

        init(_ written: WrittenElement) { self.written = written }

        /// Always true.
        public static func == (one: Origin, other: Origin) -> Bool { true }

        /// The name of the text: "config.ign", a URL without secrets; empty if the element is not from a text.
        public var source: String { written?.text.name ?? "" }
        /// `storage.files[2]`; empty for the whole config.
        public var path: String { written?.path ?? "" }
        var text: SourceText { written?.text ?? SourceText(name: "") }

        /// The element and its line: "storage.filesystems[0], config.ign line 14".
        public var description: String { describe() }

        /// The same for a field of the element: "storage.files[0].mode, config.ign line 16".
        public func describe(_ field: String = "") -> String {
            let (text, path, place) = find(field)
            let shown = place.flatMap(text.shown).map { "\($0.text) line \($0.line)" }
            let names = [path, shown ?? text.name]
            return names.filter { !$0.isEmpty }.joined(separator: ", ")
        }

        /// The path of a field: `contents.source` of `storage.files[2]`.
        public func path(of field: String) -> String {
            let path = path
            return field.isEmpty ? path : path.isEmpty ? field : "\(path).\(field)"
        }

        /// Where the value of a field is; if it is absent, the beginning of the object that lacks it.
        ///
        /// The field is named as seen from this element: `mode`, `contents.source`, `devices[1]`.
        public func place(of field: String) -> SourceText.Place? {
            let found = find(field)
            return found.place.flatMap(found.text.shown)
        }

        /// Whether one of the element's texts has the key, with a value other than `null`.
        func has(_ key: String) -> Bool {
            written?.node?.member(like: key).map { !$0.value.isNull } ?? false || inherited.contains { $0.has(key) }
        }

        /// This element merged over an earlier one.
        func over(_ earlier: Origin) -> Origin {
            if written == nil { return earlier }
            if earlier.written == nil { return self }
            var origin = self
            origin.inherited = inherited.isEmpty ? [earlier] : [inherited[0].over(earlier)]
            return origin
        }

        /// The text that gives a field its value, the field's path there, and its place.
        func find(_ field: String) -> (text: SourceText, path: String, place: SourcePlace?) {
            // The entries of a merged list have other indexes than those of its texts.
            let steps = inherited.isEmpty ? field[...] : field.prefix { $0 != "[" }
            var layer = self
            while true {
                if let (node, isExact) = layer.walk(steps), isExact {
                    return (layer.text, layer.path(of: field), node.place)
                }
                guard let next = layer.inherited.first else { break }
                layer = next
            }
            return (text, path(of: field), walk(steps).map { $0.node.place.beginning })
        }

        /// The node of a field, or the nearest node around it.
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

/// One element of a text.
///
/// Its path is computed on demand, because most paths are never shown.
final class WrittenElement: Sendable {
    let text: IgnitionConfig.SourceText
    private let parent: WrittenElement?
    private let name: String
    private let index: Int32?
    let node: JSONNode?

    init(
        text: IgnitionConfig.SourceText, parent: WrittenElement?, name: String, index: Int?, node: JSONNode?
    ) {
        self.text = text
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
    /// The member of that name, or else one that differs only in the case of its letters.
    func member(like key: String) -> JSONMember? {
        guard let members else { return nil }
        return members.first { $0.key == key } ?? members.first { isSame($0.key, key) }
    }
}

/// Whether two keys are equal apart from the case of ASCII letters.
func isSame(_ one: String, _ other: String) -> Bool {
    one.utf8.count == other.utf8.count && one.utf8.elementsEqual(other.utf8) { lowered($0) == lowered($1) }
}

private func lowered(_ byte: UInt8) -> UInt8 {
    (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
}
