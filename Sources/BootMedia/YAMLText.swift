// YAML as far as installer configs and nmstate's output need it: read through libyaml, written by hand.

import CLibyaml
import Encoding

/// A node of a YAML document.
indirect enum YAMLNode: Equatable, Sendable {
    /// - Parameter isPlain: Written without quotes and not as a block.
    case scalar(String, isPlain: Bool)
    case sequence([YAMLNode])
    case mapping([(key: YAMLNode, value: YAMLNode)])

    static func == (one: YAMLNode, other: YAMLNode) -> Bool {
        switch (one, other) {
        case (.scalar(let a, let b), .scalar(let c, let d)): a == c && b == d
        case (.sequence(let a), .sequence(let b)): a == b
        case (.mapping(let a), .mapping(let b)):
            a.count == b.count && zip(a, b).allSatisfy { $0.key == $1.key && $0.value == $1.value }
        default: false
        }
    }

    var string: String? { if case .scalar(let text, _) = self { text } else { nil } }
    var elements: [YAMLNode]? { if case .sequence(let elements) = self { elements } else { nil } }
    var members: [(key: YAMLNode, value: YAMLNode)]? { if case .mapping(let members) = self { members } else { nil } }

    /// Nothing, `null` or `~`.
    var isNull: Bool {
        if case .scalar(let text, isPlain: true) = self {
            ["", "~", "null", "Null", "NULL"].contains(text)
        } else {
            false
        }
    }

    var bool: Bool? {
        guard case .scalar(let text, isPlain: true) = self else { return nil }
        return ["true", "True", "TRUE"].contains(text)
            ? true : ["false", "False", "FALSE"].contains(text) ? false : nil
    }

    /// Nothing at all where a value would be, not even `null`.
    var isMissing: Bool { self == .scalar("", isPlain: true) }

    /// Reads the one document of a text; `nil` where there is none.
    init?(parsing bytes: [UInt8]) throws(MediaFault) {
        var parser = YAMLParser()
        guard let node = try parser.document(bytes) else { return nil }
        self = node
    }
}

private struct YAMLParser {
    private static let deepest = 64
    private static let most = 100_000

    private var parser = yaml_parser_t()
    private var anchors: [String: YAMLNode] = [:]
    private var count = 0

    mutating func document(_ bytes: [UInt8]) throws(MediaFault) -> YAMLNode? {
        guard yaml_parser_initialize(&parser) == 1 else { throw MediaFault("out of memory") }
        defer { yaml_parser_delete(&parser) }
        // libyaml keeps the address until it is done.
        let copy = UnsafeMutablePointer<UInt8>.allocate(capacity: max(bytes.count, 1))
        copy.update(from: bytes, count: bytes.count)
        defer { copy.deallocate() }
        yaml_parser_set_input_string(&parser, copy, bytes.count)
        var document: YAMLNode?
        while true {
            let event = try next()
            switch event {
            case .start: continue
            case .documentStart:
                if document != nil { throw MediaFault("more than one document") }
            case .documentEnd: continue
            case .end: return document
            default: document = try node(event, depth: 0)
            }
        }
    }

    private enum Event {
        /// Of the stream.
        case start
        case end
        case documentStart
        case documentEnd
        case alias(String)
        case scalar(String, isPlain: Bool, anchor: String?)
        case sequence(anchor: String?)
        case mapping(anchor: String?)
        case close
    }

    private mutating func next() throws(MediaFault) -> Event {
        var event = yaml_event_t()
        guard yaml_parser_parse(&parser, &event) == 1 else {
            let problem = parser.problem.map { String(cString: $0) } ?? "not YAML"
            throw MediaFault(
                "\(problem) at line \(parser.problem_mark.line + 1) column \(parser.problem_mark.column + 1)")
        }
        defer { yaml_event_delete(&event) }
        func text(_ pointer: UnsafeMutablePointer<yaml_char_t>?) -> String? { pointer.map { String(cString: $0) } }
        switch event.type {
        case YAML_STREAM_START_EVENT: return .start
        case YAML_DOCUMENT_START_EVENT: return .documentStart
        case YAML_DOCUMENT_END_EVENT: return .documentEnd
        case YAML_ALIAS_EVENT: return .alias(text(event.data.alias.anchor) ?? "")
        case YAML_SCALAR_EVENT:
            let scalar = event.data.scalar
            let value = String(
                decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self)
            return .scalar(
                value, isPlain: scalar.style == YAML_PLAIN_SCALAR_STYLE && scalar.quoted_implicit == 0,
                anchor: text(scalar.anchor))
        case YAML_SEQUENCE_START_EVENT: return .sequence(anchor: text(event.data.sequence_start.anchor))
        case YAML_MAPPING_START_EVENT: return .mapping(anchor: text(event.data.mapping_start.anchor))
        case YAML_SEQUENCE_END_EVENT, YAML_MAPPING_END_EVENT: return .close
        default: return .end
        }
    }

    private mutating func node(_ event: Event, depth: Int) throws(MediaFault) -> YAMLNode {
        count += 1
        guard depth <= Self.deepest, count <= Self.most else { throw MediaFault("too deep or too many values") }
        switch event {
        case .alias(let name):
            guard let node = anchors[name] else { throw MediaFault("unknown anchor \(name)") }
            return node
        case .scalar(let text, let isPlain, let anchor):
            let node = YAMLNode.scalar(text, isPlain: isPlain)
            if let anchor { anchors[anchor] = node }
            return node
        case .sequence(let anchor):
            var elements: [YAMLNode] = []
            while let element = try element(depth: depth) { elements.append(element) }
            if let anchor { anchors[anchor] = .sequence(elements) }
            return .sequence(elements)
        case .mapping(let anchor):
            var members: [(key: YAMLNode, value: YAMLNode)] = []
            while let key = try element(depth: depth) {
                guard let value = try element(depth: depth) else { throw MediaFault("a key without a value") }
                members.append((key, value))
            }
            if let anchor { anchors[anchor] = .mapping(members) }
            return .mapping(members)
        case .start, .end, .documentStart, .documentEnd, .close: throw MediaFault("not YAML")
        }
    }

    /// The next node, or `nil` at the end of what holds it.
    private mutating func element(depth: Int) throws(MediaFault) -> YAMLNode? {
        let event = try next()
        if case .close = event { return nil }
        return try node(event, depth: depth + 1)
    }
}

/// A string as YAML: plain where every reader takes it for a string.
func yamlScalar(_ text: String) -> String {
    if isPlainInYAML(text) { return text }
    guard text.unicodeScalars.allSatisfy(isShownInYAML) else {
        return "\"\(text.unicodeScalars.map(escapedInYAML).joined())\""
    }
    return "'" + text.parts(separatedBy: UInt8(ascii: "'")).joined(separator: "''") + "'"
}

/// Letters, digits and some marks, a letter or a slash first, and no word that means something else.
private func isPlainInYAML(_ text: String) -> Bool {
    func isLetter(_ byte: UInt8) -> Bool { (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte) }
    guard let first = text.utf8.first, isLetter(first) || first == UInt8(ascii: "/") else { return false }
    let words = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"]
    return !words.contains(text.asciiLowercased)
        && text.utf8.allSatisfy { isLetter($0) || (0x30...0x39).contains($0) || "/_.=,+%@-".utf8.contains($0) }
}

/// Whether it stands between quotes as it is: no control character, no line break of Unicode, no mark of byte order.
private func isShownInYAML(_ scalar: UnicodeScalar) -> Bool {
    switch scalar.value {
    case 0..<0x20, 0x7f..<0xa0, 0x2028, 0x2029, 0xfeff, 0xfffe, 0xffff: false
    default: true
    }
}

private func escapedInYAML(_ scalar: UnicodeScalar) -> String {
    switch scalar {
    case "\"": return "\\\""
    case "\\": return "\\\\"
    case "\n": return "\\n"
    case _ where (0x20..<0x7f).contains(scalar.value): return String(scalar)
    default: return "\\U" + String(decoding: hexadecimalDigits(of: scalar.value), as: UTF8.self)
    }
}
