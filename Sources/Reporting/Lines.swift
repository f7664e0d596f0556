// Splitting texts from outside into lines.

/// The lines of a text, empty ones included.
///
/// A carriage return at the end of a line stays. For Swift, CR LF is one character, which `split(separator: "\n")`
/// does not take for a newline: the whole text would be one line.
public func lines(of text: String) -> [Substring] {
    text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false).map { Substring($0) }
}

/// A text for a terminal: control characters, which a terminal would obey, become `?`; line ends and tabs stay.
///
/// A name in a config may hold any of them, and `ESC [2J` in one would clear the very screen that tells of it.
public func printable(_ text: String) -> String {
    let isPlain = { (scalar: Unicode.Scalar) in
        scalar.value >= 0x20 && !(0x7f...0x9f).contains(scalar.value) || scalar == "\n" || scalar == "\t"
    }
    guard !text.unicodeScalars.allSatisfy(isPlain) else { return text }
    return String(String.UnicodeScalarView(text.unicodeScalars.map { isPlain($0) ? $0 : "?" }))
}
