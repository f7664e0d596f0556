// Numbers in a block of bytes, as on-disk formats hold them.

/// A block of bytes that is read by the offsets of its fields.
///
/// Beyond its end it holds zeros, so that a block that was cut short is read without a trap.
public struct ByteFields: Sendable {
    /// All bytes of the block.
    public let bytes: [UInt8]

    /// Reads fields of these bytes.
    public init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// The byte at an offset.
    public subscript(_ index: Int) -> UInt8 { bytes.indices.contains(index) ? bytes[index] : 0 }

    /// The number at an offset, its lowest byte first.
    public func little16(_ index: Int) -> UInt16 { UInt16(self[index]) | UInt16(self[index + 1]) << 8 }
    /// The number at an offset, its lowest byte first.
    public func little32(_ index: Int) -> UInt32 { UInt32(little16(index)) | UInt32(little16(index + 2)) << 16 }
    /// The number at an offset, its lowest byte first.
    public func little64(_ index: Int) -> UInt64 { UInt64(little32(index)) | UInt64(little32(index + 4)) << 32 }
    /// The number at an offset, its highest byte first.
    public func big32(_ index: Int) -> UInt32 { little32(index).byteSwapped }
    /// The number at an offset, its highest byte first.
    public func big64(_ index: Int) -> UInt64 { little64(index).byteSwapped }
}

/// The number that some bytes, at most seven, give with the highest first.
public func number(bigEndian bytes: some Sequence<UInt8>) -> Int { bytes.reduce(0) { $0 << 8 | Int($1) } }

extension UnsafeRawBufferPointer {
    /// The number at an offset, its lowest byte first; `nil` where it does not lie in the bytes.
    @inlinable public func littleEndian<Number: FixedWidthInteger & BitwiseCopyable>(
        _: Number.Type, at offset: Int
    ) -> Number? {
        guard offset >= 0, offset <= count - MemoryLayout<Number>.size else { return nil }
        return Number(littleEndian: loadUnaligned(fromByteOffset: offset, as: Number.self))
    }
}
