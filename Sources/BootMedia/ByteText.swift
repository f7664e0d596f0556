// Text that is split as bytes, so that a combining mark behind a separator does not hide the separator.
//
// A slash and an accent behind it are one `Character`; for the kernel they are a slash, and a name that begins with an
// accent.

extension String {
    /// The parts between the separators, including empty ones; the separator is an ASCII byte.
    public func parts(separatedBy separator: UInt8) -> [String] {
        utf8.split(separator: separator, omittingEmptySubsequences: false).map { String(Substring($0)) }
    }

    /// Whether the bytes are those, however Unicode compares them.
    func hasSameBytes(as other: String) -> Bool { utf8.elementsEqual(other.utf8) }
}
