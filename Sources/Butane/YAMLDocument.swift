// The first document of a YAML text, as libyaml's events tell it: values with their places, aliases not followed.
//
// The tree that Swift packages make of the same events drops where an alias stands, follows aliases while it compares keys,
// which takes exponential time, and tells of duplicate keys without the place of the second.

import CLibyaml
import JSONText

/// What is wrong with a YAML text, in the words of Butane where it has some.
public struct YAMLFault: Error, Equatable, Sendable {
    /// One mistake.
    public struct Entry: Equatable, Sendable {
        /// What is wrong, as one phrase.
        public var message: String
        /// Where it is; `nil` where that is unknown.
        public var place: SourcePlace?
        /// Whether Butane names the line.
        var isNumbered = true
    }

    /// Whether the YAML itself is wrong, or the types of its values.
    public enum Kind: Equatable, Sendable { case syntax, types }

    /// What the mistakes are about.
    public var kind: Kind
    /// The mistakes; a fault of syntax has exactly one.
    public var entries: [Entry]

    init(_ message: String, at place: SourcePlace?, isNumbered: Bool = false) {
        kind = .syntax
        entries = [Entry(message: message, place: place, isNumbered: isNumbered)]
    }

    init(types entries: [Entry]) {
        kind = .types
        self.entries = entries
    }

    /// `yaml: line 3: did not find expected key`.
    public var description: String {
        func line(_ entry: Entry) -> String {
            entry.isNumbered ? entry.place.map { "line \($0.line): \(entry.message)" } ?? entry.message : entry.message
        }
        return switch kind {
        case .syntax: "yaml: " + entries.map(line).joined()
        case .types: "yaml: unmarshal errors:\n" + entries.map { "  " + line($0) }.joined(separator: "\n")
        }
    }
}

/// A document's nodes in the order of the text; they name each other by number, so that nothing recurses.
struct YAMLDocument: Sendable {
    enum Content: Sendable {
        /// - Parameter isPlain: Neither quoted nor a block: its text decides what it is.
        case scalar(String, isPlain: Bool)
        case sequence([Int])
        case mapping([(key: Int, value: Int)])
        case alias(String, of: Int)
    }

    struct Node: Sendable {
        var content: Content
        /// As it is written, `!!str` in its short form; `nil` where there is none.
        var tag: String?
        var place: SourcePlace
    }

    private(set) var nodes: [Node] = []
    /// `nil` where the text holds no value.
    private(set) var root: Int?

    /// Values in one text, and how deep they nest: enough for any config, and memory and stack are bounded.
    static let nodeLimit = 1_000_000
    static let depthLimit = 128
    static let byteLimit = 64 << 20

    /// Parses a text; throws where it is not YAML, too long, nested too deeply, or has more than `nodeLimit` values.
    init(parsing bytes: [UInt8], nodeLimit: Int = YAMLDocument.nodeLimit) throws(YAMLFault) {
        guard bytes.count <= Self.byteLimit else {
            throw YAMLFault("the text is longer than \(Self.byteLimit >> 20) MiB", at: nil)
        }
        let parser = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
        defer { parser.deallocate() }
        guard yaml_parser_initialize(parser) == 1 else { throw YAMLFault("out of memory", at: nil) }
        defer { yaml_parser_delete(parser) }
        var fault: YAMLFault?
        bytes.withUnsafeBufferPointer { buffer in
            yaml_parser_set_input_string(parser, buffer.baseAddress, buffer.count)
            do throws(YAMLFault) { try read(parser, nodeLimit) } catch { fault = error }
        }
        if let fault { throw fault }
    }

    /// A collection whose entries are being read.
    private struct Open {
        var index: Int
        var isMapping: Bool
        var entries: [Int] = []
        var pairs: [(key: Int, value: Int)] = []
        /// Of a mapping, the key that waits for its value.
        var key: Int?

        mutating func add(_ node: Int) {
            if !isMapping {
                entries.append(node)
            } else if let key {
                pairs.append((key, node))
                self.key = nil
            } else {
                key = node
            }
        }
    }

    private mutating func read(
        _ parser: UnsafeMutablePointer<yaml_parser_t>, _ nodeLimit: Int
    ) throws(YAMLFault) {
        var open: [Open] = []
        var anchors: [String: Int] = [:]
        while true {
            let event = YAMLEvent()
            guard yaml_parser_parse(parser, event.pointer) == 1 else { throw YAMLFault(parser.pointee) }
            guard nodes.count < nodeLimit else {
                throw YAMLFault("more than \(nodeLimit) values", at: event.place)
            }
            switch event.type {
            case YAML_STREAM_END_EVENT, YAML_DOCUMENT_END_EVENT: return
            case YAML_SEQUENCE_END_EVENT, YAML_MAPPING_END_EVENT:
                let done = open.removeLast()
                nodes[done.index].content = done.isMapping ? .mapping(done.pairs) : .sequence(done.entries)
            case YAML_SCALAR_EVENT:
                let index = nodes.count
                nodes.append(Node(content: event.scalar, tag: event.tag, place: event.place))
                if let anchor = event.anchor { anchors[anchor] = index }
                add(index, to: &open)
            case YAML_ALIAS_EVENT:
                let name = event.anchor ?? ""
                guard let target = anchors[name] else {
                    throw YAMLFault("unknown anchor '\(name)' referenced", at: event.place)
                }
                let index = nodes.count
                nodes.append(Node(content: .alias(name, of: target), tag: nil, place: event.place))
                add(index, to: &open)
            case YAML_SEQUENCE_START_EVENT, YAML_MAPPING_START_EVENT:
                let index = nodes.count
                let isSequence = event.type == YAML_SEQUENCE_START_EVENT
                nodes.append(
                    Node(content: isSequence ? .sequence([]) : .mapping([]), tag: event.tag, place: event.place))
                if let anchor = event.anchor { anchors[anchor] = index }
                add(index, to: &open)
                open.append(Open(index: index, isMapping: !isSequence))
                guard open.count <= Self.depthLimit else {
                    throw YAMLFault("nested more than \(Self.depthLimit) deep", at: event.place)
                }
            default: break
            }
        }
    }

    private mutating func add(_ index: Int, to open: inout [Open]) {
        if open.isEmpty {
            root = index
        } else {
            open[open.count - 1].add(index)
        }
    }

    // MARK: Looking up

    /// A node, or the one that it is an alias of.
    ///
    /// An alias cannot name another alias.
    func resolved(_ index: Int) -> Node {
        if case .alias(_, let target) = nodes[index].content { return nodes[target] }
        return nodes[index]
    }

    /// Where the value at the end of a path stands: it, or the nearest one around it.
    func place(of path: ConfigPath) -> SourcePlace? {
        guard var index = root else { return nil }
        for step in path.steps {
            switch (nodes[index].content, step) {
            case (.mapping(let pairs), .key(let key)):
                // The last one counts, as in Butane's tree.
                guard let pair = pairs.last(where: { text(of: $0.key) == key }) else { return nodes[index].place }
                index = pair.value
            case (.sequence(let entries), .index(let entry)) where entries.indices.contains(entry):
                index = entries[entry]
            default: return nodes[index].place
            }
        }
        return nodes[index].place
    }

    /// The text of a key.
    func text(of index: Int) -> String? {
        if case .scalar(let text, _) = nodes[index].content { text } else { nil }
    }
}

/// One event, freed with the object.
private final class YAMLEvent {
    let pointer = UnsafeMutablePointer<yaml_event_t>.allocate(capacity: 1)

    init() { pointer.initialize(to: yaml_event_t()) }

    deinit {
        yaml_event_delete(pointer)
        pointer.deallocate()
    }

    var type: yaml_event_type_t { pointer.pointee.type }
    var place: SourcePlace { SourcePlace(pointer.pointee.start_mark, end: pointer.pointee.end_mark) }

    var scalar: YAMLDocument.Content {
        let scalar = pointer.pointee.data.scalar
        let text = String(decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self)
        return .scalar(text, isPlain: scalar.style == YAML_PLAIN_SCALAR_STYLE)
    }

    var anchor: String? {
        switch type {
        case YAML_ALIAS_EVENT: text(pointer.pointee.data.alias.anchor)
        case YAML_SCALAR_EVENT: text(pointer.pointee.data.scalar.anchor)
        case YAML_SEQUENCE_START_EVENT: text(pointer.pointee.data.sequence_start.anchor)
        case YAML_MAPPING_START_EVENT: text(pointer.pointee.data.mapping_start.anchor)
        default: nil
        }
    }

    var tag: String? {
        let tag =
            switch type {
            case YAML_SCALAR_EVENT: text(pointer.pointee.data.scalar.tag)
            case YAML_SEQUENCE_START_EVENT: text(pointer.pointee.data.sequence_start.tag)
            case YAML_MAPPING_START_EVENT: text(pointer.pointee.data.mapping_start.tag)
            default: nil as String?
            }
        guard let tag, tag != "!" else { return nil }
        let prefix = "tag:yaml.org,2002:"
        return tag.hasPrefix(prefix) ? "!!" + tag.dropFirst(prefix.count) : tag
    }

    private func text(_ bytes: UnsafePointer<UInt8>?) -> String? { bytes.map { String(cString: $0) } }
}

extension SourcePlace {
    fileprivate init(_ start: yaml_mark_t, end: yaml_mark_t) {
        self.init(line: start.line + 1, column: start.column + 1, bytes: start.index..<max(start.index, end.index))
    }
}

extension YAMLFault {
    /// What libyaml stopped at.
    fileprivate init(_ parser: yaml_parser_t) {
        let problem = parser.problem.map { String(cString: $0) } ?? "unknown problem parsing YAML content"
        switch parser.error {
        case YAML_SCANNER_ERROR, YAML_PARSER_ERROR:
            self.init(problem, at: SourcePlace(parser.problem_mark, end: parser.problem_mark), isNumbered: true)
        case YAML_MEMORY_ERROR: self.init("out of memory", at: nil)
        default: self.init(problem, at: nil)
        }
    }
}
