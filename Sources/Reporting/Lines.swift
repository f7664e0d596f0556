// Splitting texts from outside into lines.

/// The lines of a text, empty ones included.
///
/// A carriage return at the end of a line stays. For Swift, CR LF is one character, which `split(separator: "\n")`
/// does not take for a newline: the whole text would be one line.
public func lines(of text: String) -> [Substring] {
    text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false).map { Substring($0) }
}
