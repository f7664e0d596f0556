// Blocks of base64 between BEGIN and END lines (RFC 7468).

/// A part of a PEM text: a block, or the lines before, between and behind blocks.
///
/// A BEGIN line starts a part and an END line ends one, whatever they name, so that nothing of the text is left out: a
/// part without ``begin`` is not a block, and one without ``end`` is unfinished.
public struct PEMPart: Equatable, Sendable {
    /// What its BEGIN line names, such as `CERTIFICATE`; `nil` where it starts with no such line.
    public var begin: String?
    /// The lines between, without blanks behind them.
    public var lines: [String] = []
    /// What its END line names; `nil` where no such line ends it.
    public var end: String?
    /// The number of its first line; the first of the text is 1.
    public var firstLine: Int

    /// The number of its last line.
    public var lastLine: Int {
        firstLine - 1 + lines.count + (begin == nil ? 0 : 1) + (end == nil ? 0 : 1)
    }

    /// What a block holds; `nil` for anything but a whole block.
    ///
    /// Lines with a colon are headers, which tell of the content.
    public var content: [UInt8]? {
        guard begin != nil, begin == end else { return nil }
        return try? Base64.standard.decode(Array(lines.filter { !$0.contains(":") }.joined().utf8)[...])
    }

    /// The parts of a text, in order.
    public static func all(in text: [UInt8]) -> [PEMPart] {
        let newline = UInt8(ascii: "\n")
        var lines = text.split(separator: newline, omittingEmptySubsequences: false)
        if lines.last?.isEmpty == true { lines.removeLast() }
        var parts: [PEMPart] = []
        var isOpen = false
        for (index, bytes) in lines.enumerated() {
            let end = bytes.lastIndex { $0 != 0x20 && $0 != 0x09 && $0 != 0x0d }
            let line = String(decoding: end.map { bytes[...$0] } ?? [], as: UTF8.self)
            let begun = name(in: line, after: "-----BEGIN ")
            if begun != nil || !isOpen { parts.append(PEMPart(begin: begun, firstLine: index + 1)) }
            isOpen = true
            if begun != nil { continue }
            if let ended = name(in: line, after: "-----END ") {
                parts[parts.count - 1].end = ended
                isOpen = false
            } else {
                parts[parts.count - 1].lines.append(line)
            }
        }
        return parts
    }

    private static func name(in line: String, after mark: String) -> String? {
        guard line.hasPrefix(mark), line.hasSuffix("-----") else { return nil }
        return String(line.dropFirst(mark.count).dropLast(5))
    }
}
