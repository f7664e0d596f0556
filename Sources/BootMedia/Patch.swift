// A change of an image: which bytes take the place of which.

/// Bytes of an image that become others; the image keeps its length.
public struct Patch: Equatable, Sendable {
    /// In bytes from the start of the image.
    public var offset: UInt64
    /// What stands there now.
    public var old: [UInt8]
    /// As many bytes.
    public var new: [UInt8]

    /// - Precondition: Both are of one length.
    public init(offset: UInt64, old: [UInt8], new: [UInt8]) {
        precondition(old.count == new.count)
        self.offset = offset
        self.old = old
        self.new = new
    }

    /// The first byte behind it.
    public var end: UInt64 { offset + UInt64(new.count) }
}

extension [Patch] {
    /// Those that change something, from front to back.
    public var inOrder: [Patch] { filter { $0.old != $0.new }.sorted { $0.offset < $1.offset } }
}

/// A place in an image that may be written.
public struct Region: Hashable, Sendable {
    /// In bytes from the start of the image.
    public var offset: UInt64
    /// In bytes.
    public var length: Int

    /// Creates a region from its offset and length in bytes.
    public init(offset: UInt64, length: Int) {
        self.offset = offset
        self.length = length
    }

    /// The first byte behind it.
    public var end: UInt64 { offset + UInt64(length) }

    func overlaps(_ other: Region) -> Bool { offset < other.end && other.offset < end }
}
