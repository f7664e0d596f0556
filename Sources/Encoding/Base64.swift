// Bytes as base64 (RFC 4648).

/// One of the two alphabets of base64.
public struct Base64: Sendable {
    /// Why a text is not base64.
    public enum Fault: Error, Equatable {
        /// The index of a character that is not a digit of the alphabet.
        case digit(Int)
        /// The padding is not what the number of digits asks for.
        case length
    }

    /// RFC 4648, section 4: with padding, `+` and `/`.
    public static let standard = Base64("+/", isPadded: true)
    /// RFC 4648, section 5, as JOSE writes it: without padding, `-` and `_`.
    public static let url = Base64("-_", isPadded: false)

    private let digits: [UInt8]
    private let values: [UInt8?]
    private let isPadded: Bool

    private init(_ lastTwo: String, isPadded: Bool) {
        digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789\(lastTwo)".utf8)
        var values = [UInt8?](repeating: nil, count: 256)
        for (value, digit) in digits.enumerated() { values[Int(digit)] = UInt8(value) }
        self.values = values
        self.isPadded = isPadded
    }

    /// The bytes that a text stands for.
    ///
    /// Bits beyond the last whole byte are not looked at.
    public func decode(_ text: ArraySlice<UInt8>) throws(Fault) -> [UInt8] {
        let padding = UInt8(ascii: "=")
        let body =
            !isPadded
            ? text
            : text.suffix(2).allSatisfy { $0 == padding }
                ? text.dropLast(2) : text.last == padding ? text.dropLast() : text
        guard isPadded ? text.count % 4 == 0 : text.count % 4 != 1 else { throw .length }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count / 4 * 3)
        var word: UInt32 = 0
        var held: UInt32 = 0
        for (index, digit) in zip(body.indices, body) {
            guard let value = values[Int(digit)] else { throw .digit(index) }
            word = word << 6 | UInt32(value)
            held += 6
            if held >= 8 {
                held -= 8
                bytes.append(UInt8(truncatingIfNeeded: word >> held))
            }
        }
        return bytes
    }

    /// The text that stands for bytes.
    public func encode(_ bytes: [UInt8]) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count + 2) / 3 * 4)
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            var word: UInt32 = 0
            for byte in group { word = word << 8 | UInt32(byte) }
            word <<= UInt32(8 * (3 - group.count))
            for place in 0..<4 {
                if place <= group.count {
                    text.append(digits[Int(word >> UInt32(18 - 6 * place) & 63)])
                } else if isPadded {
                    text.append(UInt8(ascii: "="))
                }
            }
        }
        return text
    }
}
