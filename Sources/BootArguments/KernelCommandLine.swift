// The kernel command line as words, split as the kernel and dracut split it.

/// The words of a kernel command line.
///
/// The rules are those of the kernel's `next_arg` (lib/cmdline.c) and of dracut's `getarg`:
///
/// - Words are split at white space outside double quotes. `'` and `\` are plain characters.
/// - Quotes around the value (`key="a b"`) or around the whole word (`"key=a b"`) are taken off;
///   quotes anywhere else hold the word together and stay in it.
/// - The first `=` separates key and value; a `=` that opens the word is part of the key.
/// - A bare `--` ends the kernel's and our words; what follows are init's arguments.
///
/// One departure: the kernel's table of white space also holds the byte 0xA0, which would cut a UTF-8
/// `à` in two; here only ASCII white space splits. A byte 0 ends the line. Bytes that are not UTF-8
/// become U+FFFD, after splitting, so they cannot move a boundary.
public struct KernelCommandLine: Equatable, Sendable {
    /// One word of a command line.
    public struct Word: Equatable, Sendable, CustomStringConvertible {
        /// What stands before the first `=`, or the whole of a bare word.
        public var key: String
        /// `nil` for a bare word; empty for `key=`.
        public var value: String?

        /// Takes a key and its value; `nil` makes a bare word.
        public init(key: String, value: String? = nil) {
            self.key = key
            self.value = value
        }

        /// `key=value` without the quotes, or the bare word.
        public var description: String { value.map { "\(key)=\($0)" } ?? key }
    }

    /// Everything before `--`, in order.
    public var words: [Word]
    /// Everything after the first bare `--`.
    public var afterDashes: [Word]

    /// Splits the text of a command line.
    public init(_ text: String) { self.init(bytes: Array(text.utf8)) }

    /// Splits the bytes of a command line, which need not be UTF-8.
    public init(bytes: some Collection<UInt8>) {
        var rest = Array(bytes.prefix { $0 != 0 })[...]
        words = []
        afterDashes = []
        var ours = true
        while let word = Word(next: &rest) {
            if ours, word.key == "--", word.value == nil {
                ours = false
            } else if ours {
                words.append(word)
            } else {
                afterDashes.append(word)
            }
        }
    }

    /// The last word of that key, bare or with a value.
    public func last(_ key: String) -> Word? { words.last { $0.key == key } }

    /// The values of every word of that key, in order; bare words and empty values are left out.
    public func values(_ key: String) -> [String] {
        words.filter { $0.key == key }.compactMap(\.value).filter { !$0.isEmpty }
    }

    /// The last value of that key that is not empty.
    public func value(_ key: String) -> String? { values(key).last }

    /// dracut's `getargbool`: the last word counts; `0`, `no` and `off` are false, anything else,
    /// nothing included, is true; `fallback` where the key is absent.
    public func flag(_ key: String, default fallback: Bool = false) -> Bool {
        guard let word = last(key) else { return fallback }
        return !["0", "no", "off"].contains(word.value)
    }
}

extension KernelCommandLine.Word {
    private static let quote = UInt8(ascii: "\"")
    private static let equals = UInt8(ascii: "=")

    /// Takes the first word off `rest`; `nil` where only white space is left.
    fileprivate init?(next rest: inout ArraySlice<UInt8>) {
        rest = rest.drop(while: Self.isSpace)
        guard let first = rest.first else { return nil }
        let wholeIsQuoted = first == Self.quote
        if wholeIsQuoted { rest.removeFirst() }

        var inQuotes = wholeIsQuoted
        var end = rest.startIndex
        var separator: Int?
        while end < rest.endIndex, inQuotes || !Self.isSpace(rest[end]) {
            if rest[end] == Self.equals, separator == nil, end > rest.startIndex { separator = end }
            if rest[end] == Self.quote { inQuotes.toggle() }
            end += 1
        }
        var text = rest[..<end]
        rest = rest[end...]

        let valueIsQuoted = separator.map { $0 + 1 < text.endIndex && text[$0 + 1] == Self.quote } ?? false
        // A quote that nothing closes is taken off alone.
        if wholeIsQuoted || valueIsQuoted, text.last == Self.quote,
            !valueIsQuoted || text.endIndex > (separator ?? 0) + 2
        {
            text.removeLast()
        }
        if let separator {
            key = String(decoding: text[..<separator], as: UTF8.self)
            value = String(decoding: text[(separator + 1)...].dropFirst(valueIsQuoted ? 1 : 0), as: UTF8.self)
        } else {
            key = String(decoding: text, as: UTF8.self)
            value = nil
        }
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0d).contains(byte) }
}
