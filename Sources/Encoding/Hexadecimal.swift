// Bytes as hexadecimal digits.

/// Two lower-case digits for each byte, with `separator` between the bytes.
public func hexadecimal(_ bytes: some Sequence<UInt8>, separator: String = "") -> String {
    var text: [UInt8] = []
    for byte in bytes {
        if !text.isEmpty { text += separator.utf8 }
        text += [hexadecimalDigit(byte >> 4), hexadecimalDigit(byte & 15)]
    }
    return String(decoding: text, as: UTF8.self)
}

/// The eight digits of a number, the highest first, as fields of a fixed width have them.
public func hexadecimalDigits(of number: UInt32, isUpper: Bool = false) -> [UInt8] {
    stride(from: 28, through: 0, by: -4).map { hexadecimalDigit(UInt8(number >> UInt32($0) & 15), isUpper: isUpper) }
}

/// The ASCII digit of a number below 16.
@inlinable public func hexadecimalDigit(_ value: UInt8, isUpper: Bool = false) -> UInt8 {
    value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: isUpper ? "A" : "a") + value - 10
}

/// The bytes that pairs of digits stand for, in upper or lower case; `nil` where they are not digits.
public func bytes(hexadecimal text: some Collection<UInt8>) -> [UInt8]? {
    guard text.count.isMultiple(of: 2) else { return nil }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.count / 2)
    var high: UInt8?
    for character in text {
        guard let digit = hexadecimalValue(character) else { return nil }
        if let first = high {
            bytes.append(first << 4 | digit)
            high = nil
        } else {
            high = digit
        }
    }
    return bytes
}

/// The value of an ASCII digit, in upper or lower case; `nil` where it is not a digit.
public func hexadecimalValue(_ digit: UInt8) -> UInt8? {
    switch digit {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
    default: nil
    }
}
