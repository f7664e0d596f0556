// Lines of texts that come from elsewhere.

/// What stands between the newlines of a text, empty lines too.
///
/// Where a line ends in a carriage return it stays. To Swift that and the newline behind it are one character, which
/// `split(separator: "\n")` takes for none of its newlines: the whole text would be a single line.
public func lines(of text: String) -> [Substring] {
    text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false).map { Substring($0) }
}
