// Reading: one pass over the bytes, linear in their number.

import Encoding

extension JSONNode {
    /// Reads one JSON text.
    ///
    /// - Parameters:
    ///   - bytes: UTF-8 without a byte order mark.
    ///   - depth: How deep arrays and objects may nest.
    ///   - limit: How many values there may be, because one byte of text can take a hundred in memory.
    /// - Throws: The first fault with its place; a key that occurs twice in an object is a fault.
    /// - SeeAlso: RFC 8259.
    public init(parsing bytes: [UInt8], depth: Int = 512, limit: Int = 1_000_000) throws(JSONSyntaxError) {
        var reader = JSONReader(bytes: bytes, depth: depth, limit: limit, toleratesMore: false)
        self = try reader.text()
    }

    /// Reads one JSON text as Go's `encoding/json` does, which accepts more than the standard.
    ///
    /// If a key occurs twice, the last value counts, and objects are merged. Each byte that is not UTF-8 and each half
    /// of a surrogate pair becomes U+FFFD. The first thousand of these faults are added to `tolerated`.
    /// - Throws: The first fault that Go's reader refuses too.
    public init(tolerantly bytes: [UInt8], tolerated: inout [JSONSyntaxError]) throws(JSONSyntaxError) {
        var reader = JSONReader(bytes: bytes, depth: 512, limit: 1_000_000, toleratesMore: true)
        defer { tolerated += reader.tolerated }
        self = try reader.text()
    }
}

extension JSONNode {
    /// The value of a key that occurs several times: its last value, or
    /// the members of all values since the last one that is not an object.
    ///
    /// All values are merged at once, since merging one after the other would take the square of their number.
    fileprivate static func merged(_ values: [JSONNode]) -> JSONNode? {
        guard let last = values.last else { return nil }
        let objects = values.reversed().prefix { $0.members != nil }.reversed().compactMap(\.members)
        guard objects.count > 1 else { return last }
        var members: [JSONMember] = []
        var indices: [String: Int] = [:]
        var repeated: [Int: [JSONNode]] = [:]
        for member in objects.joined() {
            if let index = indices[member.key] {
                repeated[index, default: [members[index].value]].append(member.value)
            } else {
                indices[member.key] = members.count
                members.append(member)
            }
        }
        members.merge(repeated)
        return JSONNode(.object(members), at: last.place)
    }
}

extension [JSONMember] {
    /// Gives members all values that their keys have had, by the members' indices.
    fileprivate mutating func merge(_ repeated: [Int: [JSONNode]]) {
        for (index, values) in repeated { self[index].value = JSONNode.merged(values) ?? self[index].value }
    }
}

private struct JSONReader {
    let bytes: [UInt8]
    let depth: Int
    let limit: Int
    var count = 0
    var offset = 0
    var line = 1
    /// What to subtract from an offset to get the column; newlines and UTF-8 continuation bytes raise it.
    var columnOrigin = -1
    let toleratesMore: Bool
    private(set) var tolerated: [JSONSyntaxError] = []

    private static let mostTolerated = 1000

    init(bytes: [UInt8], depth: Int, limit: Int, toleratesMore: Bool) {
        self.bytes = bytes
        self.depth = depth
        self.limit = limit
        self.toleratesMore = toleratesMore
    }

    /// Records a fault that can be read nevertheless, or throws it if the reader is strict.
    private mutating func tolerate(_ fault: JSONSyntaxError) throws(JSONSyntaxError) {
        guard toleratesMore else { throw fault }
        if tolerated.count < Self.mostTolerated { tolerated.append(fault) }
    }

    mutating func text() throws(JSONSyntaxError) -> JSONNode {
        guard bytes.count <= UInt32.max else { throw fault(.tooLong) }
        if bytes.starts(with: [0xef, 0xbb, 0xbf]) { throw fault(.byteOrderMark) }
        skipBlanks()
        if offset == bytes.count { throw fault(.empty) }
        let node = try value(level: 0)
        skipBlanks()
        if offset < bytes.count {
            if atComment { throw fault(.comment) }
            throw fault(.trailing(found))
        }
        return node
    }

    // MARK: Values

    private mutating func value(level: Int) throws(JSONSyntaxError) -> JSONNode {
        let start = mark
        count += 1
        guard count <= limit else { throw fault(.tooMany(limit: limit)) }
        switch byte {
        case UInt8(ascii: "{"): return try object(start, level: level + 1)
        case UInt8(ascii: "["): return try array(start, level: level + 1)
        case UInt8(ascii: "\""):
            let text = try string()
            return JSONNode(.string(text), at: place(from: start))
        case .some(UInt8(ascii: "-")), .some(UInt8(ascii: "0")...UInt8(ascii: "9")):
            let number = try number(start)
            return JSONNode(number, at: place(from: start))
        default: return try word(start)
        }
    }

    private mutating func array(_ start: Mark, level: Int) throws(JSONSyntaxError) -> JSONNode {
        guard level <= depth else { throw fault(.tooDeep(limit: depth)) }
        offset += 1
        var elements: [JSONNode] = []
        skipBlanks()
        while byte != UInt8(ascii: "]") {
            guard offset < bytes.count else { throw fault(.unfinished("a list", line: start.line)) }
            elements.append(try value(level: level))
            try separator(closing: "]", of: "a list", from: start)
        }
        offset += 1
        return JSONNode(.array(elements), at: place(from: start))
    }

    private mutating func object(_ start: Mark, level: Int) throws(JSONSyntaxError) -> JSONNode {
        guard level <= depth else { throw fault(.tooDeep(limit: depth)) }
        offset += 1
        var members: [JSONMember] = []
        var keys = KeySet()
        var repeated: [Int: [JSONNode]] = [:]
        skipBlanks()
        while byte != UInt8(ascii: "}") {
            guard offset < bytes.count else { throw fault(.unfinished("an object", line: start.line)) }
            guard byte == UInt8(ascii: "\"") else {
                if atComment { throw fault(.comment) }
                if byte == UInt8(ascii: "'") { throw fault(.singleQuote) }
                throw fault(.unexpected(found: found, wanted: "a key in double quotes or }"))
            }
            let keyStart = mark
            let key = try string()
            let keyPlace = place(from: keyStart)
            let first = keys.index(of: key, in: members)
            if let first {
                let line = members[first].keyPlace.line
                try tolerate(JSONSyntaxError(.duplicateKey(key, firstLine: line), at: keyPlace))
            }
            skipBlanks()
            guard byte == UInt8(ascii: ":") else {
                if offset == bytes.count { throw fault(.unfinished("an object", line: start.line)) }
                throw fault(.unexpected(found: found, wanted: ": after a key"))
            }
            offset += 1
            skipBlanks()
            if offset == bytes.count { throw fault(.unfinished("an object", line: start.line)) }
            let node = try value(level: level)
            if let first {
                repeated[first, default: [members[first].value]].append(node)
            } else {
                members.append(JSONMember(key: key, keyPlace: keyPlace, value: node))
            }
            try separator(closing: "}", of: "an object", from: start)
        }
        offset += 1
        members.merge(repeated)
        return JSONNode(.object(members), at: place(from: start))
    }

    /// Takes the comma after an entry, or stops at the closing bracket.
    private mutating func separator(
        closing: Unicode.Scalar, of what: String, from start: Mark
    ) throws(JSONSyntaxError) {
        skipBlanks()
        guard offset < bytes.count else { throw fault(.unfinished(what, line: start.line)) }
        if byte == UInt8(ascii: closing) { return }
        guard byte == UInt8(ascii: ",") else {
            if atComment { throw fault(.comment) }
            throw fault(.unexpected(found: found, wanted: ", or \(closing)"))
        }
        let comma = mark
        offset += 1
        skipBlanks()
        if byte == UInt8(ascii: closing) {
            throw JSONSyntaxError(.commaBefore(String(closing)), at: place(from: comma, length: 1))
        }
    }

    private mutating func word(_ start: Mark) throws(JSONSyntaxError) -> JSONNode {
        while let byte, isWordByte(byte) { offset += 1 }
        let text = String(decoding: bytes[start.offset..<offset], as: UTF8.self)
        switch text {
        case "true": return JSONNode(.bool(true), at: place(from: start))
        case "false": return JSONNode(.bool(false), at: place(from: start))
        case "null": return JSONNode(.null, at: place(from: start))
        case "":
            if byte == UInt8(ascii: "'") { throw fault(.singleQuote) }
            if atComment { throw fault(.comment) }
            throw fault(.unexpected(found: found, wanted: "a value"))
        default: throw JSONSyntaxError(.unknownWord(text), at: place(from: start))
        }
    }

    private mutating func number(_ start: Mark) throws(JSONSyntaxError) -> JSONNode.Value {
        while let byte,
            isWordByte(byte) || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "+")
                || byte == UInt8(ascii: ".")
        { offset += 1 }
        let literal = bytes[start.offset..<offset]
        let text = String(decoding: literal, as: UTF8.self)
        switch JSONNumber(literal) {
        case .integral: return Int64(text).map { .integer($0) } ?? .number(text)
        case .fractional: return .number(text)
        case .leadingZero: throw JSONSyntaxError(.leadingZero(text), at: place(from: start))
        case .malformed: throw JSONSyntaxError(.malformedNumber(text), at: place(from: start))
        }
    }

    // MARK: Strings

    /// Reads a string, from its opening quote past its closing one.
    private mutating func string() throws(JSONSyntaxError) -> String {
        let start = mark
        offset += 1
        var unescaped: [UInt8] = []
        var hasEscapes = false
        var plain = offset
        while true {
            guard let byte else { throw fault(.unfinished("a string", line: start.line)) }
            switch byte {
            case UInt8(ascii: "\""):
                let rest = bytes[plain..<offset]
                if hasEscapes { unescaped.append(contentsOf: rest) }
                let text =
                    hasEscapes
                    ? String(validating: unescaped, as: UTF8.self) : String(validating: rest, as: UTF8.self)
                if let text {
                    offset += 1
                    return text
                }
                try tolerate(invalidUTF8(from: start))
                offset += 1
                return replacingInvalidBytes(hasEscapes ? unescaped[...] : rest)
            case UInt8(ascii: "\\"):
                hasEscapes = true
                unescaped.append(contentsOf: bytes[plain..<offset])
                unescaped.append(contentsOf: UTF8.encode(try escape()) ?? UTF8.encodedReplacementCharacter)
                plain = offset
            case 0..<0x20: throw fault(.controlCharacter(byte))
            case 0x80..<0xc0:
                columnOrigin += 1
                offset += 1
            default: offset += 1
            }
        }
    }

    /// Decodes a text in which each byte that is not UTF-8 becomes U+FFFD.
    private func replacingInvalidBytes(_ bytes: ArraySlice<UInt8>) -> String {
        var text = String.UnicodeScalarView()
        var rest = bytes
        while !rest.isEmpty {
            var decoder = UTF8()
            var iterator = rest.makeIterator()
            if case .scalarValue(let scalar) = decoder.decode(&iterator) {
                text.append(scalar)
                rest = rest.dropFirst(UTF8.width(scalar))
            } else {
                text.append("\u{fffd}")
                rest = rest.dropFirst()
            }
        }
        return String(text)
    }

    private mutating func escape() throws(JSONSyntaxError) -> Unicode.Scalar {
        let start = mark
        offset += 1
        guard let letter = byte else { throw fault(.unfinished("a string", line: start.line)) }
        offset += 1
        switch letter {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(letter)
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{c}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"): break
        default:
            let shown = letter < 0x80 ? "\\\(Unicode.Scalar(letter))" : "\\"
            throw JSONSyntaxError(.unknownEscape(shown), at: place(from: start))
        }
        let first = try codeUnit(start)
        if let scalar = Unicode.Scalar(first) { return scalar }
        let afterFirst = offset
        if first < 0xdc00, byte == UInt8(ascii: "\\"), peek(1) == UInt8(ascii: "u") {
            offset += 2
            let second = try codeUnit(start)
            if (0xdc00..<0xe000).contains(second),
                let scalar = Unicode.Scalar(0x10000 + (UInt32(first) - 0xd800) << 10 + (UInt32(second) - 0xdc00))
            {
                return scalar
            }
        }
        try tolerate(JSONSyntaxError(.loneSurrogate, at: place(from: start)))
        // The escape after it is read on its own.
        offset = afterFirst
        return "\u{fffd}"
    }

    /// Reads the four hexadecimal digits of a `\u` escape.
    private mutating func codeUnit(_ start: Mark) throws(JSONSyntaxError) -> UInt16 {
        var unit: UInt16 = 0
        for _ in 0..<4 {
            guard let byte, let digit = hexadecimalValue(byte) else {
                throw JSONSyntaxError(.unknownEscape("\\u without four hexadecimal digits"), at: place(from: start))
            }
            unit = unit << 4 | UInt16(digit)
            offset += 1
        }
        return unit
    }

    /// The fault at a string's first byte that is not UTF-8.
    private func invalidUTF8(from start: Mark) -> JSONSyntaxError {
        var decoder = UTF8()
        var rest = bytes[start.offset..<offset].makeIterator()
        var good = start
        while case .scalarValue(let scalar) = decoder.decode(&rest) {
            good.offset += UTF8.width(scalar)
            good.column += 1
        }
        return JSONSyntaxError(.invalidUTF8, at: place(from: good, length: 1))
    }

    // MARK: Bytes and places

    private struct Mark {
        var offset: Int
        var line: Int
        var column: Int
    }

    private var mark: Mark { Mark(offset: offset, line: line, column: offset - columnOrigin) }
    private var byte: UInt8? { offset < bytes.count ? bytes[offset] : nil }
    private func peek(_ distance: Int) -> UInt8? {
        offset + distance < bytes.count ? bytes[offset + distance] : nil
    }

    private func place(from mark: Mark, length: Int? = nil) -> SourcePlace {
        SourcePlace(
            line: mark.line, column: mark.column, bytes: mark.offset..<(length.map { mark.offset + $0 } ?? offset))
    }

    /// A fault at the current byte.
    private func fault(_ fault: JSONSyntaxError.Fault) -> JSONSyntaxError {
        JSONSyntaxError(fault, at: place(from: mark, length: offset < bytes.count ? 1 : 0))
    }

    private mutating func skipBlanks() {
        while let byte {
            switch byte {
            case UInt8(ascii: "\n"):
                line += 1
                columnOrigin = offset
            case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"): break
            default: return
            }
            offset += 1
        }
    }

    private var atComment: Bool {
        byte == UInt8(ascii: "#")
            || byte == UInt8(ascii: "/") && (peek(1) == UInt8(ascii: "/") || peek(1) == UInt8(ascii: "*"))
    }

    /// The current character, for messages.
    private var found: String {
        guard let byte else { return "the end of the text" }
        let sequence = bytes[offset..<min(offset + 4, bytes.count)]
        var rest = sequence.makeIterator()
        var decoder = UTF8()
        guard byte > 0x20, byte != 0x7f, case .scalarValue(let scalar) = decoder.decode(&rest) else {
            return "byte \(byte)"
        }
        return String(scalar)
    }

    private func isWordByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
            true
        default: false
        }
    }
}

/// Finds a key in an object: by searching a small object, by hashing in a large one.
private struct KeySet {
    private var indices: [String: Int] = [:]

    mutating func index(of key: String, in members: [JSONMember]) -> Int? {
        if members.count < 16 { return members.firstIndex { $0.key == key } }
        for index in members.indices[indices.count...] { indices[members[index].key] = index }
        return indices[key]
    }
}

/// What kind of number a run of characters is.
private enum JSONNumber {
    case integral, fractional, leadingZero, malformed

    init(_ literal: ArraySlice<UInt8>) {
        var rest = literal
        func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
        if rest.first == UInt8(ascii: "-") { rest = rest.dropFirst() }
        let whole = rest.prefix(while: isDigit)
        rest = rest.dropFirst(whole.count)
        guard !whole.isEmpty else {
            self = .malformed
            return
        }
        var kind = JSONNumber.integral
        if rest.first == UInt8(ascii: ".") {
            kind = .fractional
            let digits = rest.dropFirst().prefix(while: isDigit)
            rest = digits.isEmpty ? rest : rest.dropFirst(1 + digits.count)
        }
        if rest.first == UInt8(ascii: "e") || rest.first == UInt8(ascii: "E") {
            kind = .fractional
            var exponent = rest.dropFirst()
            if exponent.first == UInt8(ascii: "+") || exponent.first == UInt8(ascii: "-") {
                exponent = exponent.dropFirst()
            }
            let digits = exponent.prefix(while: isDigit)
            rest = digits.isEmpty ? rest : exponent.dropFirst(digits.count)
        }
        if !rest.isEmpty {
            self = .malformed
        } else {
            self = whole.count > 1 && whole.first == UInt8(ascii: "0") ? .leadingZero : kind
        }
    }
}
