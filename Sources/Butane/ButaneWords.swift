// The command line of `butane`: every way in which its options may be written, made the one that any parser reads.

/// The words of a command line, read as Butane reads its own.
///
/// - SeeAlso: The syntax of pflag, in its documentation: `--flag`, `--flag=x`, `--flag x`, `-f`, `-f=x`, `-fx`, `-f x`.
public struct ButaneWords {
    /// What is wrong with a command line.
    public enum Fault: Error, Equatable, CustomStringConvertible {
        /// A switch that is neither on nor off.
        case badSwitch(option: String, value: String)

        /// As one phrase.
        public var description: String {
            switch self {
            case .badSwitch(let option, let value): "'--\(option)' is true or false, not '\(value)'"
            }
        }
    }

    private enum Kind {
        case flag
        /// With a value, which is the next word where none is in its own.
        case option
        /// With a value in its own word, or `always`.
        case color
    }

    private struct Option {
        var name: String
        var letter: Unicode.Scalar?
        var kind = Kind.option
    }

    private static let all = [
        Option(name: "pretty", letter: "p", kind: .flag), Option(name: "strict", letter: "s", kind: .flag),
        Option(name: "check", letter: "c", kind: .flag), Option(name: "raw", letter: "r", kind: .flag),
        Option(name: "raw-errors", kind: .flag), Option(name: "debug", letter: "D", kind: .flag),
        Option(name: "version", letter: "V", kind: .flag), Option(name: "help", letter: "h", kind: .flag),
        Option(name: "output", letter: "o"), Option(name: "files-dir", letter: "d"), Option(name: "input"),
        Option(name: "color", kind: .color), Option(name: "colour", kind: .color),
        Option(name: "set"), Option(name: "set-secret"), Option(name: "set-from"), Option(name: "env"),
    ]

    private var rest: ArraySlice<String>
    private var plain: [String] = []
    private var isOn: [String: Bool] = [:]

    /// The words in one way: flags in front where they are on at the end, and options as `--name=value`.
    ///
    /// An empty value is a word of its own. What is unknown, or lacks its value, stays for the parser to tell, with all
    /// that is behind it.
    public static func plain(_ words: [String]) throws(Fault) -> [String] {
        var reader = ButaneWords(rest: words[...])
        try reader.read()
        return all.filter { reader.isOn[$0.name] == true }.map { "--\($0.name)" } + reader.plain + reader.rest
    }

    private init(rest: ArraySlice<String>) { self.rest = rest }

    private mutating func read() throws(Fault) {
        while let word = rest.first {
            guard word.utf8.count > 1, word.utf8.first == UInt8(ascii: "-") else {
                plain.append(word)
                rest.removeFirst()
                continue
            }
            let isKnown = word.hasPrefix("--") ? try readName(word) : try readLetters(word)
            if !isKnown { return }
        }
    }

    /// Reads `--name` and `--name=value`; what is not known stays.
    private mutating func readName(_ word: String) throws(Fault) -> Bool {
        let text = word.unicodeScalars.dropFirst(2)
        let name = text.prefix { $0 != "=" }
        guard let option = Self.all.first(where: { $0.name == String(name) }) else { return false }
        rest.removeFirst()
        return try set(option, name.endIndex == text.endIndex ? nil : String(text[name.endIndex...].dropFirst()))
    }

    /// Reads `-abc`, of which the first with a value takes what follows; what is not known stays.
    private mutating func readLetters(_ word: String) throws(Fault) -> Bool {
        var letters = word.unicodeScalars.dropFirst()
        rest.removeFirst()
        while let letter = letters.popFirst() {
            guard let option = Self.all.first(where: { $0.letter == letter }) else {
                rest = ["-" + String(letter) + String(letters)] + rest
                return false
            }
            if letters.first == "=", letters.count > 1 { return try set(option, String(letters.dropFirst())) }
            if option.kind == .option, !letters.isEmpty { return try set(option, String(letters)) }
            guard try set(option, nil) else { return false }
        }
        return true
    }

    private mutating func set(_ option: Option, _ given: String?) throws(Fault) -> Bool {
        switch option.kind {
        case .flag:
            switch given ?? "true" {
            case "1", "t", "T", "true", "TRUE", "True": isOn[option.name] = true
            case "0", "f", "F", "false", "FALSE", "False": isOn[option.name] = false
            default: throw .badSwitch(option: option.name, value: given ?? "")
            }
        case .color: add("color", given ?? "always")
        case .option:
            guard let value = given ?? rest.popFirst() else {
                plain.append("--\(option.name)")
                return false
            }
            add(option.name, value)
        }
        return true
    }

    private mutating func add(_ name: String, _ value: String) {
        plain += value.isEmpty ? ["--\(name)", ""] : ["--\(name)=\(value)"]
    }
}
