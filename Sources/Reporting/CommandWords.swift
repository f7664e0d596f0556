// The words of a command line as the parser of arguments reads them right.

/// The words with an empty value behind an equals sign, as of `--output="$OUT"`, as a word of its own.
///
/// The parser of arguments would take the next word for the value. What is behind `--` stays as it is.
public func separatingEmptyValues(_ words: [String]) -> [String] {
    let end = words.firstIndex(of: "--") ?? words.endIndex
    let options = words[..<end].flatMap { word in
        let bytes = word.utf8
        let isEmpty =
            bytes.count > 3 && bytes.starts(with: "--".utf8)
            && bytes.firstIndex(of: UInt8(ascii: "=")) == bytes.index(before: bytes.endIndex)
        return isEmpty ? [String(word.dropLast()), ""] : [word]
    }
    return options + words[end...]
}
