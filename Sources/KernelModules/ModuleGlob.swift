// Matching of module aliases: shell patterns on bytes, as kmod applies them.

/// Maps `-` to `_`, which are equal in the names and aliases of kernel modules.
@inline(__always)
func canonical(_ byte: UInt8) -> UInt8 { byte == UInt8(ascii: "-") ? UInt8(ascii: "_") : byte }

/// Whether a byte has a special meaning in an alias pattern.
@inline(__always)
func isWildcard(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: "*") || byte == UInt8(ascii: "?") || byte == UInt8(ascii: "[")
}

/// Whether all of `text` matches a pattern of `*`, `?`, `[a-z]` and `[!a-z]`.
///
/// Only the latest `*` is tried again, so the time is at most the product of both lengths.
///
/// - SeeAlso: fnmatch(3) without flags; kmod's alias normalisation.
func globMatches(_ pattern: ArraySlice<UInt8>, _ text: ArraySlice<UInt8>) -> Bool {
    pattern.withUnsafeBufferPointer { pattern in
        text.withUnsafeBufferPointer { text in
            var at = 0
            var position = 0
            var retry: (pattern: Int, text: Int)?
            while position < text.count {
                if at < pattern.count, pattern[at] == UInt8(ascii: "*") {
                    at += 1
                    retry = (at, position)
                } else if let next = afterOne(pattern, at, matching: text[position]) {
                    at = next
                    position += 1
                } else if let (star, start) = retry {
                    retry = (star, start + 1)
                    at = star
                    position = start + 1
                } else {
                    return false
                }
            }
            while at < pattern.count, pattern[at] == UInt8(ascii: "*") { at += 1 }
            return at == pattern.count
        }
    }
}

/// Whether a file's name matches such a pattern, with `-` equal to `_`.
public func fileName(_ name: String, matches pattern: some StringProtocol) -> Bool {
    globMatches(Array(pattern.utf8)[...], Array(name.utf8)[...])
}

/// The index after the element at `at` if that element matches `byte`.
@inline(__always)
private func afterOne(_ pattern: UnsafeBufferPointer<UInt8>, _ at: Int, matching byte: UInt8) -> Int? {
    guard at < pattern.count else { return nil }
    switch pattern[at] {
    case UInt8(ascii: "?"): return at + 1
    case UInt8(ascii: "["): return afterSet(pattern, at, containing: byte)
    case let literal: return canonical(literal) == canonical(byte) ? at + 1 : nil
    }
}

/// The index after a set `[...]` if it contains `byte`.
///
/// A `]` that comes first, or a bracket that is never closed, stands for itself.
private func afterSet(_ pattern: UnsafeBufferPointer<UInt8>, _ at: Int, containing byte: UInt8) -> Int? {
    var index = at + 1
    let negated = index < pattern.count && (pattern[index] == UInt8(ascii: "!") || pattern[index] == UInt8(ascii: "^"))
    if negated { index += 1 }
    let first = index
    var found = false
    while index < pattern.count, pattern[index] != UInt8(ascii: "]") || index == first {
        let low = pattern[index]
        if index + 2 < pattern.count, pattern[index + 1] == UInt8(ascii: "-"), pattern[index + 2] != UInt8(ascii: "]") {
            if low <= byte, byte <= pattern[index + 2] { found = true }
            index += 3
        } else {
            if low == byte { found = true }
            index += 1
        }
    }
    guard index < pattern.count else { return byte == UInt8(ascii: "[") ? at + 1 : nil }
    return found != negated ? index + 1 : nil
}
