// Bytes of a URL as `%XX` (RFC 3986, section 2.1).

/// The text with `%XX` for all but RFC 3986's unreserved characters and those of `kept`.
public func percentEncoded(_ text: String, keeping kept: String = "") -> String {
    var bytes: [UInt8] = []
    for byte in text.utf8 {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: "~"):
            bytes.append(byte)
        case _ where kept.utf8.contains(byte): bytes.append(byte)
        default: bytes += percentEncoded(byte)
        }
    }
    return String(decoding: bytes, as: UTF8.self)
}

/// The `%XX` of a byte.
public func percentEncoded(_ byte: UInt8) -> [UInt8] {
    [UInt8(ascii: "%"), hexadecimalDigit(byte >> 4, isUpper: true), hexadecimalDigit(byte & 15, isUpper: true)]
}

/// The bytes with each `%XX` as the byte that it stands for; a `%` that starts none stays.
public func percentDecoded(_ text: some StringProtocol) -> [UInt8] {
    var bytes: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
        if byte == UInt8(ascii: "%"), rest.count >= 2, let high = hexadecimalValue(rest[rest.startIndex]),
            let low = hexadecimalValue(rest[rest.startIndex + 1])
        {
            bytes.append(high << 4 | low)
            rest = rest.dropFirst(2)
        } else {
            bytes.append(byte)
        }
    }
    return bytes
}
