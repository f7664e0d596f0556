// Bytes that are read where they are needed: an image of a gigabyte is never in memory.

import Reporting

/// A file, a device or an array, read at offsets.
public struct ByteSource: Sendable {
    /// In bytes.
    public let length: UInt64
    private let fill: @Sendable (UInt64, UnsafeMutableRawBufferPointer) throws -> Void

    /// - Parameters:
    ///   - length: In bytes.
    ///   - fill: Fills the whole buffer with what stands at the offset. It is asked for nothing beyond `length`.
    public init(length: UInt64, fill: @escaping @Sendable (UInt64, UnsafeMutableRawBufferPointer) throws -> Void) {
        self.length = length
        self.fill = fill
    }

    /// Bytes that lie in memory.
    public init(_ bytes: [UInt8]) {
        self.init(length: UInt64(bytes.count)) { offset, buffer in
            bytes.withUnsafeBytes { buffer.copyMemory(from: .init(rebasing: $0[Int(offset)...].prefix(buffer.count))) }
        }
    }

    /// Whether that many bytes are there; `false` where the sum exceeds 64 bits.
    public func holds(_ count: UInt64, at offset: UInt64) -> Bool {
        let (end, overflow) = offset.addingReportingOverflow(count)
        return !overflow && end <= length
    }

    /// Exactly so many bytes.
    ///
    /// - Throws: A failure while "reading N bytes at O", where fewer are there or the reading fails.
    public func bytes(at offset: UInt64, count: Int) throws(BootFailure) -> [UInt8] {
        try step("reading \(count) bytes at \(offset)") {
            guard count >= 0, holds(UInt64(count), at: offset) else { throw EndOfImage(length: length) }
            if count == 0 { return [] }
            return try [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
                try fill(offset, UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: count))
                filled = count
            }
        }
    }
}

/// The image ends before the bytes that were to be read.
public struct EndOfImage: Error, Equatable, CustomStringConvertible {
    /// Of the image, in bytes.
    public let length: UInt64

    /// Creates the error for an image of that many bytes.
    public init(length: UInt64) { self.length = length }

    /// The error as a phrase that names the length.
    public var description: String { "the image ends at byte \(length)" }
}
