// Messages about the result, with the places of the text that asks for it.

extension Butane.Outcome {
    /// A message of whoever read the result, with places of the Butane config in the place of those of the JSON.
    ///
    /// What is found is `storage.disks[0], NAME line 14` and `NAME:14:3: warning: storage.disks[0]: ...`.
    ///
    /// - Parameters:
    ///   - message: What was said of the result, in one line or many.
    ///   - name: What the result was called, a word that stands for nothing else.
    /// - Returns: The message; where a place is not known the config's name stands alone.
    public func placed(_ message: String, calling name: String) -> String {
        var text = ""
        var rest = message[...]
        while let found = rest.firstRange(of: name) {
            text += rest[..<found.lowerBound]
            rest = rest[found.upperBound...]
            if let after = rest.dropping(" line "), after.first?.isNumber == true {
                rest = after.drop(while: \.isNumber)
                let origin = origin(ofResult: Self.path(before: text))
                text += origin.map { "\($0.text) line \($0.place.line)" } ?? shownName
            } else if let after = rest.dropping(":"), after.first?.isNumber == true {
                rest = after.drop(while: \.isNumber).drop { $0 == ":" }.drop(while: \.isNumber)
                let origin = origin(ofResult: Self.path(after: rest))
                text += origin.map { "\($0.text):\($0.place.line):\($0.place.column)" } ?? shownName
            } else {
                text += shownName
            }
        }
        return text + rest
    }

    private var shownName: String { texts.first?.name ?? "" }

    /// The field in `at storage.disks[0], `.
    private static func path(before text: String) -> String {
        guard text.hasSuffix(", ") else { return "" }
        return String(text.dropLast(2).reversed().prefix(while: isOfPath).reversed())
    }

    /// The field in `: warning: storage.disks[0].device: ...`.
    private static func path(after text: Substring) -> String {
        for severity in [": warning: ", ": error: ", ": "] {
            if let sentence = text.dropping(severity) { return String(sentence.prefix(while: isOfPath)) }
        }
        return ""
    }

    private static func isOfPath(_ character: Character) -> Bool {
        character.isASCII && (character.isLetter || character.isNumber || "._[]".contains(character))
    }
}

extension Substring {
    fileprivate func dropping(_ prefix: String) -> Substring? { hasPrefix(prefix) ? dropFirst(prefix.count) : nil }
}
