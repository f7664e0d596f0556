// Editing of kernel arguments, as text between blanks.

/// What is to be done to a line of kernel arguments.
///
/// The order in which it was asked for does not count: first arguments are deleted, then appended, then replaced. An
/// argument is text between blanks, quotes have no meaning. What is not found is passed over.
public struct KernelArgumentEdit: Equatable, Sendable {
    /// Added at the end.
    public var appended: [String]
    /// Taken out wherever they stand; one may hold blanks.
    public var deleted: [String]
    /// Values to replace, each written as `KEY=OLD=NEW`.
    public var replaced: [String]

    /// Creates an edit; without arguments it changes nothing.
    public init(appending appended: [String] = [], deleting deleted: [String] = [], replacing replaced: [String] = []) {
        self.appended = appended
        self.deleted = deleted
        self.replaced = replaced
    }

    /// Whether nothing is to be done.
    public var isEmpty: Bool { appended.isEmpty && deleted.isEmpty && replaced.isEmpty }

    /// The edited arguments, without blanks around them.
    ///
    /// - Throws: Where a replacement is not written as `KEY=OLD=NEW`.
    public func applied(to arguments: String) throws(MediaFault) -> String {
        var text = between(arguments)
        for argument in deleted {
            text = Self.replacing(between(trimmed(argument)), with: [UInt8(ascii: " ")], in: text)
        }
        for argument in appended { text += Array(trimmed(argument).utf8) + [UInt8(ascii: " ")] }
        for replacement in replaced {
            let parts = replacement.parts(separatedBy: UInt8(ascii: "="))
            guard parts.count == 3, parts.allSatisfy({ !$0.isEmpty }) else {
                throw MediaFault("Wrong input, format should be: KEY=OLD=NEW")
            }
            text = Self.replacing(
                between("\(parts[0])=\(parts[1])"), with: between("\(parts[0])=\(parts[2])"), in: text)
        }
        return trimmed(String(decoding: text, as: UTF8.self))
    }

    private func between(_ text: String) -> [UInt8] { Array(" \(text) ".utf8) }

    /// From front to back; what was put in is not looked at again, so that two neighbours that share a blank count as one.
    private static func replacing(_ old: [UInt8], with new: [UInt8], in text: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        var rest = text[...]
        while rest.count >= old.count {
            if rest.starts(with: old) {
                result += new
                rest = rest.dropFirst(old.count)
            } else {
                result.append(rest.removeFirst())
            }
        }
        return result + rest
    }
}

/// The text without white space around it.
func trimmed(_ text: String) -> String {
    var scalars = text.unicodeScalars[...]
    while let first = scalars.first, first.properties.isWhitespace { scalars.removeFirst() }
    while let last = scalars.last, last.properties.isWhitespace { scalars.removeLast() }
    return String(scalars)
}
