// What a plain scalar means, by the rules of Butane's reader (Go's yaml.v3), which libyaml leaves to its user.

/// The value of a scalar, beside its text.
enum YAMLScalar: Equatable, Sendable {
    case null
    case bool(Bool)
    case integer(Int)
    /// Beyond the signed 64 bits.
    case unsigned(UInt64)
    case float(Double)
    case text
    /// Decoded base64.
    case binary([UInt8])
    case timestamp
    case merge
    /// A tag of somebody's own.
    case other(String)

    /// The tag that it gets by its text alone, for messages.
    var tag: String {
        switch self {
        case .null: "!!null"
        case .bool: "!!bool"
        case .integer, .unsigned: "!!int"
        case .float: "!!float"
        case .text: "!!str"
        case .binary: "!!binary"
        case .timestamp: "!!timestamp"
        case .merge: "!!merge"
        case .other(let tag): tag
        }
    }

    /// Resolves a scalar from its text.
    ///
    /// `tag` is in its short form, `nil` where none is written; `isPlain` means neither quoted nor a block. `shown` is what
    /// a message has for the text, which may be a secret. Throws what the reference says of a text that does not fit its
    /// tag.
    init(_ text: String, tag: String?, isPlain: Bool, shown: String? = nil) throws(YAMLFault) {
        switch tag {
        case nil: self = isPlain ? Self.resolved(text) : .text
        case "!!str": self = .text
        case "!!binary":
            let bytes = Array(text.utf8.filter { $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: "\r") })
            guard let data = decodedBase64(bytes) else {
                throw YAMLFault("!!binary value contains invalid base64 data", at: nil)
            }
            self = .binary(data)
        case "!!bool", "!!int", "!!float", "!!null", "!!timestamp":
            let found = Self.resolved(text)
            switch (tag, found) {
            case ("!!float", .integer(let number)): self = .float(Double(number))
            case _ where found.tag == tag: self = found
            default:
                throw YAMLFault("cannot decode \(found.tag) `\(shown ?? text)` as a \(tag ?? "")", at: nil)
            }
        case let tag?: self = .other(tag)
        }
    }

    /// A plain scalar without a tag.
    static func resolved(_ text: String) -> YAMLScalar {
        switch text {
        case "", "~", "null", "Null", "NULL": return .null
        case "true", "True", "TRUE": return .bool(true)
        case "false", "False", "FALSE": return .bool(false)
        case ".nan", ".NaN", ".NAN": return .float(.nan)
        case ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF": return .float(.infinity)
        case "-.inf", "-.Inf", "-.INF": return .float(-.infinity)
        case "<<": return .merge
        default: break
        }
        guard let first = text.utf8.first else { return .null }
        switch first {
        case UInt8(ascii: "."): return isFloat(text) ? Double(text).map { .float($0) } ?? .text : .text
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "-"):
            if isTimestamp(text) { return .timestamp }
            let plain = text.contains("_") ? text.filter { $0 != "_" } : text
            if let number = goInteger(plain) { return number }
            if isFloat(plain), let number = Double(plain.hasSuffix(".") ? plain + "0" : floatText(plain)) {
                return .float(number)
            }
            return .text
        default: return .text
        }
    }

    /// `strconv.ParseInt(text, 0, 64)`: 0x, 0o, 0b and a leading zero choose the base.
    private static func goInteger(_ text: String) -> YAMLScalar? {
        var digits = text[...]
        var sign = ""
        if let first = digits.first, first == "-" || first == "+" {
            sign = first == "-" ? "-" : ""
            digits = digits.dropFirst()
        }
        var radix = 10
        let lowered = digits.prefix(2).lowercased()
        if lowered == "0x" || lowered == "0o" || lowered == "0b" {
            radix = lowered == "0x" ? 16 : lowered == "0o" ? 8 : 2
            digits = digits.dropFirst(2)
        } else if digits.utf8.count > 1, digits.first == "0" {
            radix = 8
            digits = digits.dropFirst()
        }
        // A second sign would be taken too.
        guard let first = digits.utf8.first, first != UInt8(ascii: "-"), first != UInt8(ascii: "+"),
            digits.utf8.allSatisfy({ $0 < 0x80 })
        else { return nil }
        if let number = Int(sign + digits, radix: radix) { return .integer(number) }
        if sign.isEmpty, let number = UInt64(digits, radix: radix) { return .unsigned(number) }
        return nil
    }

    /// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`.
    private static func isFloat(_ text: String) -> Bool {
        var rest = Array(text.utf8)[...]
        func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }
        func dropSign() {
            if rest.first == UInt8(ascii: "-") || rest.first == UInt8(ascii: "+") { rest = rest.dropFirst() }
        }
        dropSign()
        let whole = rest.prefix(while: isDigit).count
        rest = rest.dropFirst(whole)
        var fraction = 0
        if rest.first == UInt8(ascii: ".") {
            rest = rest.dropFirst()
            fraction = rest.prefix(while: isDigit).count
            rest = rest.dropFirst(fraction)
        }
        guard whole > 0 || fraction > 0 else { return false }
        if rest.first == UInt8(ascii: "e") || rest.first == UInt8(ascii: "E") {
            rest = rest.dropFirst()
            dropSign()
            let exponent = rest.prefix(while: isDigit).count
            guard exponent > 0 else { return false }
            rest = rest.dropFirst(exponent)
        }
        return rest.isEmpty
    }

    /// In a form that Swift reads: `1.e3` has a digit after its point.
    private static func floatText(_ text: String) -> String {
        guard let point = text.firstIndex(of: ".") else { return text }
        let after = text.index(after: point)
        if after < text.endIndex, text[after] == "e" || text[after] == "E" {
            return String(text[..<after]) + "0" + text[after...]
        }
        return text
    }

    /// `2001-12-14`, with or without a time of day.
    private static func isTimestamp(_ text: String) -> Bool {
        let parts = text.utf8.split(separator: UInt8(ascii: "-"), maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0].count == 4, (1...2).contains(parts[1].count) else { return false }
        func number(_ digits: some Collection<UInt8>) -> Int? {
            digits.allSatisfy { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
                ? Int(String(decoding: Array(digits), as: UTF8.self)) : nil
        }
        let day = parts[2].prefix { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
        guard number(parts[0]) != nil, let month = number(parts[1]), (1...12).contains(month),
            (1...2).contains(day.count), let date = number(day), (1...31).contains(date)
        else { return false }
        let rest = parts[2].dropFirst(day.count)
        guard let mark = rest.first else { return true }
        return (mark == UInt8(ascii: "T") || mark == UInt8(ascii: "t") || mark == UInt8(ascii: " "))
            && rest.dropFirst().contains(UInt8(ascii: ":"))
    }
}
