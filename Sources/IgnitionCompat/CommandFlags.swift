// Flags of a command line, read as Ignition's programs read theirs.

import Reporting

/// What is wrong with a command line.
enum FlagFault: Error, Equatable, CustomStringConvertible {
    case unknown(String)
    case badSyntax(String)
    case needsValue(String)
    case badSwitch(String, of: String)
    case badValue(String, of: String, String)
    /// `-h` and `-help`, which are not a fault unless the program says so.
    case helpAsked

    var description: String {
        switch self {
        case .unknown(let word): "flag provided but not defined: \(word)"
        case .badSyntax(let word): "bad flag syntax: \(word)"
        case .needsValue(let word): "flag needs an argument: \(word)"
        case .badSwitch(let value, let flag): "invalid boolean value \"\(value)\" for -\(flag)"
        case .badValue(let value, let flag, let reason): "invalid value \"\(value)\" for flag -\(flag): \(reason)"
        case .helpAsked: "help requested"
        }
    }
}

/// The flags that a program has.
struct CommandFlags {
    enum Style {
        /// `-f v`, `-f=v`, `--f v`, `--f=v`; the first other word ends them, even an empty one or `-`.
        case go
        /// `--f v`, `--f=v`, other words between them.
        case posix
    }

    var style: Style
    /// Flags that are on or off; a value takes the `=`.
    var switches: [String]
    /// Flags with a value.
    var options: [String] = []

    /// Gives each flag to `set` as it is met; a switch without a value is "true".
    ///
    /// - Returns: The words that are not flags.
    func read(
        _ words: [String], set: (_ flag: String, _ value: String) throws(FlagFault) -> Void
    ) throws(FlagFault) -> [String] {
        var others: [String] = []
        var rest = words[...]
        while let word = rest.popFirst() {
            if word == "--" { return others + rest }
            guard word.utf8.count > 1, word.hasPrefix("-"), style == .go || word.hasPrefix("--") else {
                if style == .posix, word.utf8.count > 1, word.hasPrefix("-") {
                    throw word == "-h" ? .helpAsked : .unknown(word)
                }
                others.append(word)
                if style == .go { return others + rest }
                continue
            }
            let text = word.dropFirst(word.hasPrefix("--") ? 2 : 1)
            if text.isEmpty || text.hasPrefix("-") || text.hasPrefix("=") { throw .badSyntax(word) }
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = String(parts[0])
            let given = parts.count > 1 ? String(parts[1]) : nil
            if switches.contains(name) {
                try set(name, given ?? "true")
            } else if options.contains(name) {
                guard let value = given ?? rest.popFirst() else { throw .needsValue(word) }
                try set(name, value)
            } else {
                throw name == "h" || name == "help" ? .helpAsked : .unknown(word)
            }
        }
        return others
    }

    /// What a switch was set to.
    static func flag(_ name: String, _ value: String) throws(FlagFault) -> Bool {
        switch value {
        case "1", "t", "T", "true", "TRUE", "True": true
        case "0", "f", "F", "false", "FALSE", "False": false
        default: throw .badSwitch(value, of: name)
        }
    }
}

/// Reads `2m`, `90s`, `1m30s`, `1.5h`, `100ms`, `0`.
///
/// - Returns: Seconds, truncated to whole ones; `nil` where it is not such a text or does not fit 64 bits of
///   nanoseconds.
func wholeSeconds(_ text: String) -> Int? {
    var rest = Array(text.utf8)[...]
    let isNegative = rest.first == UInt8(ascii: "-")
    if isNegative || rest.first == UInt8(ascii: "+") { rest.removeFirst() }
    if rest.elementsEqual([UInt8(ascii: "0")]) { return 0 }
    if rest.isEmpty { return nil }
    let units: [String: Double] = [
        "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600,
    ]
    func isNumeric(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) || byte == UInt8(ascii: ".") }
    var seconds = 0.0
    while !rest.isEmpty {
        let number = String(decoding: rest.prefix(while: isNumeric), as: UTF8.self)
        rest = rest.drop(while: isNumeric)
        let unit = String(decoding: rest.prefix { !isNumeric($0) }, as: UTF8.self)
        rest = rest.drop { !isNumeric($0) }
        guard number != ".", let scale = units[unit],
            let count = Double(number.hasPrefix(".") ? "0" + number : number.hasSuffix(".") ? number + "0" : number)
        else { return nil }
        seconds += count * scale
    }
    guard seconds < Double(Int64.max) / 1e9 else { return nil }
    return isNegative ? -Int(seconds) : Int(seconds)
}
