// What can be wrong with a JSON text, in words for its author.

/// The first thing in a text that is not JSON.
public struct JSONSyntaxError: Error, Equatable, Sendable {
    /// What is wrong with a text.
    public enum Fault: Equatable, Sendable {
        case empty
        case byteOrderMark
        case tooLong
        /// The text ends inside something that begins in the given line.
        case unfinished(String, line: Int)
        case unexpected(found: String, wanted: String)
        case commaBefore(String)
        case comment
        case singleQuote
        case unknownWord(String)
        case leadingZero(String)
        case malformedNumber(String)
        case controlCharacter(UInt8)
        case unknownEscape(String)
        case loneSurrogate
        case invalidUTF8
        case duplicateKey(String, firstLine: Int)
        case tooDeep(limit: Int)
        case tooMany(limit: Int)
        case trailing(String)
    }

    /// What is wrong.
    public var fault: Fault
    /// Where it is.
    public var place: SourcePlace

    /// Creates an error.
    public init(_ fault: Fault, at place: SourcePlace) {
        self.fault = fault
        self.place = place
    }
}

extension JSONSyntaxError: CustomStringConvertible {
    /// The place and the message: "line 3, column 5: JSON has no comments".
    public var description: String { "line \(place.line), column \(place.column): \(message)" }

    /// The description without the place.
    public var message: String {
        switch fault {
        case .empty: "nothing here: expected a JSON value"
        case .byteOrderMark: "a byte order mark; save the file as UTF-8 without one"
        case .tooLong: "more than 4 GiB of JSON"
        case .unfinished(let what, let line): "the text ends inside \(what) that starts in line \(line)"
        case .unexpected(let found, let wanted): "\(found) where \(wanted) was expected"
        case .commaBefore(let bracket): "a comma before \(bracket); JSON has none after the last entry"
        case .comment: "JSON has no comments"
        case .singleQuote: "strings take double quotes"
        case .unknownWord(let word):
            slips.contains(word.lowercased())
                ? "unknown word \(word); JSON knows true, false and null"
                : "a word without double quotes; JSON knows true, false and null"
        case .leadingZero(let text):
            if usualModes.contains(text), let value = Int64(text, radix: 8) {
                "\(text) has a leading zero; JSON numbers are decimal: octal \(text) is \(value)"
            } else {
                "a number with a leading zero; JSON numbers have none"
            }
        case .malformedNumber: "this is not a number; text takes double quotes"
        case .controlCharacter(let byte):
            switch byte {
            case 0x0a: "a string ends before its closing quote; a newline inside one is written \\n"
            case 0x09: "a tab inside a string is written \\t"
            default: "a control character (byte \(byte)) inside a string"
            }
        case .unknownEscape(let text): "\(text) is not a JSON escape"
        case .loneSurrogate: "half of a surrogate pair in a \\u escape"
        case .invalidUTF8: "bytes that are not UTF-8"
        case .duplicateKey(let key, let line): "the key \"\(short(key))\" is there already, in line \(line)"
        case .tooDeep(let limit): "nested more than \(limit) deep"
        case .tooMany(let limit): "more than \(limit) values"
        case .trailing(let found): "\(found) after the end of the value"
        }
    }
}

// What stands without quotes may be a password whose quotes were forgotten: these alone are named.

/// Words of other languages that people write for `true`, `false` and `null`.
private let slips: Set<String> = [
    "true", "false", "null", "yes", "no", "on", "off", "none", "nil", "nan", "inf", "infinity", "undefined",
]

/// Permissions as they are usually written in octal.
private let usualModes: Set<String> = [
    "0400", "0440", "0444", "0500", "0550", "0555", "0600", "0640", "0644", "0660", "0664", "0666", "0700", "0711",
    "0750", "0755", "0770", "0775", "0777", "01777", "02755", "02775", "04755",
]

/// A word cut for a message, because it can be as long as the text.
private func short(_ text: String) -> String {
    text.utf8.count > 60 ? String(text.unicodeScalars.prefix(57)) + "..." : text
}
