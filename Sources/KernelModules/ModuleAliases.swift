// The patterns of modules.alias, arranged so that one device needs a few lookups instead of 26,000 comparisons.

/// An index of `alias PATTERN MODULE` lines.
///
/// The lines are in buckets by their literal prefix, which is what precedes the first wildcard. A device's modalias is
/// hashed once for each length of a prefix, about fifty, and only the lines in those buckets are compared. Nothing is
/// copied: the text stays as it is.
struct ModuleAliases: Sendable {
    private let text: [UInt8]
    private var lines: [Line] = []
    /// The newest line of each bucket, or -1; `Line.next` leads to the older ones.
    private var buckets: [Int32] = []
    /// Whether there is a line whose literal prefix has this length.
    private var lengths: [Bool] = []

    private struct Line: Sendable {
        var pattern: Int32
        var prefixHash: UInt32
        var prefixLength: Int32
        var next: Int32
    }

    init(_ text: [UInt8]) {
        self.text = text
        // A line has about fifty bytes; a wrong guess only makes chains longer.
        var capacity = 64
        while capacity < text.count / 40 { capacity *= 2 }
        buckets = Array(repeating: -1, count: capacity)
        lines.reserveCapacity(text.count / 40)
        let mask = UInt32(capacity - 1)
        text.withUnsafeBufferPointer { bytes in
            forEachLine(of: bytes) { start, end in
                guard let pattern = ModuleAliases.patternStart(bytes, start, end) else { return }
                var hash = PrefixHash()
                var index = pattern
                while index < end, bytes[index] != UInt8(ascii: " "), !isWildcard(bytes[index]) {
                    hash.add(bytes[index])
                    index += 1
                }
                let length = index - pattern
                while lengths.count <= length { lengths.append(false) }
                lengths[length] = true
                let bucket = Int(hash.value & mask)
                lines.append(
                    Line(
                        pattern: Int32(pattern), prefixHash: hash.value, prefixLength: Int32(length),
                        next: buckets[bucket]))
                buckets[bucket] = Int32(lines.count - 1)
            }
        }
    }

    /// The modules whose patterns match, in the order of the text, each once.
    func modules(matching modalias: String) -> [String] {
        let wanted = Array(modalias.utf8)
        let mask = UInt32(buckets.count - 1)
        var found: [Int32] = []
        var hash = PrefixHash()
        for length in 0...wanted.count {
            if length > 0 { hash.add(wanted[length - 1]) }
            guard length < lengths.count else { break }
            guard lengths[length] else { continue }
            var index = buckets[Int(hash.value & mask)]
            while index >= 0 {
                let line = lines[Int(index)]
                if line.prefixHash == hash.value, line.prefixLength == length,
                    globMatches(pattern(of: line), wanted[...])
                {
                    found.append(index)
                }
                index = line.next
            }
        }
        var names: [String] = []
        for index in found.sorted() {
            let name = module(of: lines[Int(index)])
            if !names.contains(name) { names.append(name) }
        }
        return names
    }

    /// The lines whose module satisfies `keeping`, as a text of the same form.
    func text(keeping: (String) -> Bool) -> [UInt8] {
        var kept: [UInt8] = []
        for line in lines where keeping(module(of: line)) {
            kept += Array("alias ".utf8)
            kept += text[Int(line.pattern)...].prefix { $0 != newline }
            kept.append(newline)
        }
        return kept
    }

    private func pattern(of line: Line) -> ArraySlice<UInt8> {
        text[Int(line.pattern)...].prefix { $0 != UInt8(ascii: " ") }
    }

    private func module(of line: Line) -> String {
        let rest = text[pattern(of: line).endIndex...].prefix { $0 != newline }
        return moduleName(rest.drop { $0 == UInt8(ascii: " ") }.prefix { $0 != UInt8(ascii: " ") })
    }

    /// Where the pattern begins in a line `alias PATTERN MODULE`; `nil` for any other line.
    private static func patternStart(_ bytes: UnsafeBufferPointer<UInt8>, _ start: Int, _ end: Int) -> Int? {
        let keyword: StaticString = "alias "
        let length = keyword.utf8CodeUnitCount
        guard end - start > length else { return nil }
        for offset in 0..<length where bytes[start + offset] != keyword.utf8Start[offset] { return nil }
        return start + length
    }
}

/// The FNV-1a hash (32 bits) of a growing prefix, in which `-` equals `_`.
private struct PrefixHash {
    var value: UInt32 = 0x811c_9dc5

    @inline(__always)
    mutating func add(_ byte: UInt8) {
        value = (value ^ UInt32(canonical(byte))) &* 0x0100_0193
    }
}

/// Calls `body` with the bounds of each line, without its newline.
@inline(__always)
func forEachLine(of bytes: UnsafeBufferPointer<UInt8>, _ body: (_ start: Int, _ end: Int) -> Void) {
    var start = 0
    while start < bytes.count {
        var end = start
        while end < bytes.count, bytes[end] != newline { end += 1 }
        body(start, end)
        start = end + 1
    }
}

/// A module's name as the kernel writes it, with `_` for `-`.
func moduleName(_ bytes: some Collection<UInt8>) -> String {
    String(unsafeUninitializedCapacity: bytes.count) { name in
        var count = 0
        for byte in bytes {
            name[count] = canonical(byte)
            count += 1
        }
        return count
    }
}

let newline = UInt8(ascii: "\n")
