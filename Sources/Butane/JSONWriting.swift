// Ignition's config as Butane writes it: its order of fields, its way to leave out, its escapes.

import Encoding

/// JSON text of a config.
struct JSONWriter {
    private var bytes: [UInt8] = []
    /// Levels of indentation; `nil` for one line.
    private let isPretty: Bool

    /// The text, without a newline at its end.
    static func text(_ config: ConfigNode, _ type: ObjectType, isPretty: Bool) -> [UInt8] {
        var writer = JSONWriter(isPretty: isPretty)
        writer.write(config, type, level: 0)
        return writer.bytes
    }

    private init(isPretty: Bool) { self.isPretty = isPretty }

    private mutating func add(_ text: String) { bytes += Array(text.utf8) }

    private mutating func line(_ level: Int) {
        guard isPretty else { return }
        bytes.append(UInt8(ascii: "\n"))
        bytes += Array(repeating: UInt8(ascii: " "), count: 2 * level)
    }

    private mutating func write(_ node: ConfigNode, _ type: ObjectType, level: Int) {
        let fields = WrittenFields(node, type)
        add("{")
        for (index, (name, value, kind)) in fields.all.enumerated() {
            if index > 0 { add(",") }
            line(level + 1)
            write(name)
            add(isPretty ? ": " : ":")
            write(value, kind, level: level + 1)
        }
        if !fields.all.isEmpty { line(level) }
        add("}")
    }

    private mutating func write(_ node: ConfigNode, _ kind: FieldKind, level: Int) {
        switch (kind, node.value) {
        case (.object(let type), _): write(node, type, level: level)
        case (.list(let entry, _), .list(let nodes)):
            add("[")
            for (index, node) in nodes.enumerated() {
                if index > 0 { add(",") }
                line(level + 1)
                write(node, entry, level: level + 1)
            }
            if !nodes.isEmpty { line(level) }
            add("]")
        case (_, .string(let text)): write(text)
        case (_, .integer(let number)): add(String(number))
        case (_, .bool(let flag)): add(flag ? "true" : "false")
        case (_, .bytes), (_, .list), (_, .object): add("null")
        }
    }

    /// A string with the escapes of Go's encoder, which makes JSON that may stand in HTML.
    private mutating func write(_ text: String) {
        bytes.append(UInt8(ascii: "\""))
        var text = text
        text.withUTF8 { utf8 in
            var index = 0
            while index < utf8.count {
                let byte = utf8[index]
                switch byte {
                case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes += [UInt8(ascii: "\\"), byte]
                // Go has these two short since 1.22.
                case 0x08: bytes += Array("\\b".utf8)
                case 0x0c: bytes += Array("\\f".utf8)
                case UInt8(ascii: "\n"): bytes += Array("\\n".utf8)
                case UInt8(ascii: "\r"): bytes += Array("\\r".utf8)
                case UInt8(ascii: "\t"): bytes += Array("\\t".utf8)
                case 0..<0x20, UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "&"):
                    bytes += Array("\\u00\(hexadecimal([byte]))".utf8)
                case 0xe2 where index + 2 < utf8.count && utf8[index + 1] == 0x80 && utf8[index + 2] & 0xfe == 0xa8:
                    // Line and paragraph separators, which end a line in JavaScript.
                    bytes += Array(utf8[index + 2] == 0xa8 ? "\\u2028".utf8 : "\\u2029".utf8)
                    index += 2
                default: bytes.append(byte)
                }
                index += 1
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}

/// The fields of an object that are written, in their order.
struct WrittenFields {
    private(set) var all: [(name: String, value: ConfigNode, kind: FieldKind)] = []

    init(_ node: ConfigNode, _ type: ObjectType) {
        for field in type.fields {
            guard let json = field.json else { continue }
            guard let value = node[json] else {
                if field.presence == .required {
                    all.append((json, ConfigNode(.string(""), from: node.source), .string))
                }
                continue
            }
            if Self.isWritten(value, field) { all.append((json, value, field.kind)) }
        }
        if let version = node["version"], type.field(json: "version") == nil {
            all.append(("version", version, .string))
        }
    }

    private static func isWritten(_ value: ConfigNode, _ field: Field) -> Bool {
        switch field.kind {
        case .list: return !value.elements.isEmpty
        case .object(let type): return type.isPointer || !WrittenFields(value, type).all.isEmpty
        case .texts: return !value.members.isEmpty
        default: break
        }
        guard field.presence == .unlessEmpty else { return true }
        return value.string != "" && value.integer != 0
    }
}
