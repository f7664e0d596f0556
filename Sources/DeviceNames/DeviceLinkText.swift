// How udev writes serial numbers and labels in file names.

import Encoding

/// Bytes that stand for themselves in the name of a device node.
private func isPlain(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
    case UInt8(ascii: "0")...UInt8(ascii: "9"): true
    default: "#+-.:=@_".utf8.contains(byte)
    }
}

private func isSpace(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || (0x09...0x0d).contains(byte) }

/// The length of the multi-byte character at the start; `nil` if there is no well-formed one.
private func longCharacter(_ bytes: ArraySlice<UInt8>) -> Int? {
    guard let first = bytes.first, first >= 0x80 else { return nil }
    var decoder = Unicode.UTF8.ForwardParser()
    var iterator = bytes.prefix(4).makeIterator()
    guard case .valid(let encoded) = decoder.parseScalar(from: &iterator) else { return nil }
    let value = Unicode.UTF8.decode(encoded).value
    // These code points are not characters.
    if (0xfdd0...0xfdef).contains(value) || value & 0xfffe == 0xfffe { return nil }
    return encoded.count
}

/// A label or name in which every byte that could be a problem in a path is written as `\x20`.
///
/// - SeeAlso: libblkid's `blkid_encode_string`, systemd's `encode_devnode_name`.
func encodedForLink(_ bytes: [UInt8]) -> String {
    var text: [UInt8] = []
    var rest = bytes.prefix { $0 != 0 }
    while let byte = rest.first {
        if let length = longCharacter(rest) {
            text += rest.prefix(length)
            rest = rest.dropFirst(length)
        } else {
            text += isPlain(byte) ? [byte] : Array("\\x\(hexadecimal([byte]))".utf8)
            rest = rest.dropFirst()
        }
    }
    return String(decoding: text, as: UTF8.self)
}

/// Removes white space at both ends, and replaces each run of it inside by `_`.
///
/// - SeeAlso: systemd's `udev_replace_whitespace`.
func joiningWords(_ bytes: some Collection<UInt8>) -> [UInt8] {
    Array(bytes.prefix { $0 != 0 }.split(whereSeparator: isSpace).joined(separator: [UInt8(ascii: "_")]))
}

/// Replaces every byte by `_` that is neither plain, nor in `allowed`, nor part of a character or of `\x..`.
///
/// - SeeAlso: systemd's `udev_replace_chars`.
func replacingUnusual(_ bytes: [UInt8], allowing allowed: String = "") -> [UInt8] {
    var text: [UInt8] = []
    var rest = bytes[...]
    while let byte = rest.first {
        var length = 1
        if isPlain(byte) || allowed.utf8.contains(byte) {
            text.append(byte)
        } else if byte == UInt8(ascii: "\\"), rest.dropFirst().first == UInt8(ascii: "x") {
            text += Array("\\x".utf8)
            length = 2
        } else if let found = longCharacter(rest) {
            text += rest.prefix(found)
            length = found
        } else {
            text.append(isSpace(byte) && allowed.contains(" ") ? UInt8(ascii: " ") : UInt8(ascii: "_"))
        }
        rest = rest.dropFirst(length)
    }
    return text
}

/// A model, vendor or serial number as the udev helpers print it: words joined, unusual bytes replaced.
func identifier(_ bytes: some Collection<UInt8>) -> String {
    String(decoding: replacingUnusual(joiningWords(bytes)), as: UTF8.self)
}

/// An attribute as `$attr{}` in a udev rule gives it; `nil` if it is missing or blank.
func ruleValue(_ bytes: [UInt8]?) -> [UInt8]? {
    guard var value = bytes.map({ Array($0.prefix { $0 != 0 }) }) else { return nil }
    while let last = value.last, isSpace(last) { value.removeLast() }
    return value.isEmpty ? nil : replacingUnusual(value, allowing: "/ $%?,")
}

/// A value as it appears in a path that `SYMLINK` in a udev rule makes.
func linkText(_ value: [UInt8]) -> String {
    String(decoding: replacingUnusual(joiningWords(value), allowing: "/ "), as: UTF8.self)
}
