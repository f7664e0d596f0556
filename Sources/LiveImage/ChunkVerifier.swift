// Verifying a stream chunk by chunk.

/// How a stream differs from the one that a stream hash describes; offsets count from the stream's start.
public enum StreamHashMismatch: Error, Equatable, Sendable, CustomStringConvertible {
    /// A chunk differs; everything before `offset` is right.
    case chunk(index: Int, offset: UInt64)
    /// The stream ends after `offset` bytes, before its last chunks.
    case endsEarly(offset: UInt64, chunksDue: Int)
    /// The stream continues after its last chunk.
    case tooLong(offset: UInt64)

    /// What is wrong, as a phrase that follows the name of the file.
    public var description: String {
        switch self {
        case .chunk(let index, let offset): "chunk \(index + 1), at byte \(offset), has another SHA-256 than wanted"
        case .endsEarly(let offset, let due):
            "it ends after \(offset) bytes, \(due) \(due == 1 ? "chunk" : "chunks") before its end"
        case .tooLong(let offset): "it goes on after its end, at byte \(offset)"
        }
    }
}

/// Passes bytes on chunk by chunk, each only after its digest was found right.
///
/// A chunk that is contiguous in a slice is verified in place; only chunks that are spread over slices are copied.
/// After an error the verifier is at the start of the wrong chunk, ready for the same bytes from another source.
public struct ChunkVerifier: ~Copyable {
    private let wanted: StreamHash
    private let digest: (UnsafeRawBufferPointer) -> [UInt8]
    private let pending: UnsafeMutableRawBufferPointer
    private var pendingCount = 0
    private var index = 0

    /// How many bytes were verified; the stream can be requested again from here.
    public private(set) var verified: UInt64 = 0

    /// Creates a verifier; `digest` computes SHA-256.
    public init(_ wanted: StreamHash, digest: @escaping (UnsafeRawBufferPointer) -> [UInt8]) {
        self.wanted = wanted
        self.digest = digest
        // Untouched pages of a large allocation cost no memory.
        pending = .allocate(byteCount: wanted.chunkSize, alignment: 16)
    }

    deinit { pending.deallocate() }

    /// Takes bytes off the front of `slice` and returns verified ones, or `nil` if it needs more.
    ///
    /// What it returns is valid until the next call.
    ///
    /// - Parameters:
    ///   - slice: The next bytes of the stream.
    ///   - last: Whether the stream ends with this slice.
    /// - Returns: A verified chunk, or `nil`.
    /// - Throws: ``StreamHashMismatch`` if the bytes are wrong, too few or too many.
    public mutating func next(
        _ slice: inout UnsafeRawBufferPointer, last: Bool
    ) throws(StreamHashMismatch) -> UnsafeRawBufferPointer? {
        if slice.isEmpty, pendingCount == 0 {
            guard !last || index == wanted.digests.count else { throw endsEarly() }
            return nil
        }
        guard index < wanted.digests.count else { throw .tooLong(offset: verified) }
        if pendingCount == 0, slice.count >= wanted.chunkSize || last {
            let chunk = slice.first(wanted.chunkSize)
            try check(chunk)
            slice = slice.from(chunk.count)
            return chunk
        }
        let taken = slice.take(wanted.chunkSize - pendingCount)
        UnsafeMutableRawBufferPointer(rebasing: pending[pendingCount...]).copyMemory(from: taken)
        pendingCount += taken.count
        guard pendingCount == wanted.chunkSize || last else { return nil }
        let chunk = UnsafeRawBufferPointer(rebasing: pending[..<pendingCount])
        pendingCount = 0
        try check(chunk)
        return chunk
    }

    /// Discards the bytes of an incomplete chunk; the stream continues at ``verified``.
    public mutating func discardPending() { pendingCount = 0 }

    private mutating func check(_ chunk: UnsafeRawBufferPointer) throws(StreamHashMismatch) {
        guard digest(chunk) == wanted.digests[index] else {
            // A short chunk before the last one means that the stream was cut short, not that it was changed.
            if chunk.count < wanted.chunkSize, index + 1 < wanted.digests.count { throw endsEarly(chunk.count) }
            throw .chunk(index: index, offset: verified)
        }
        index += 1
        verified += UInt64(chunk.count)
    }

    private func endsEarly(_ tail: Int = 0) -> StreamHashMismatch {
        .endsEarly(offset: verified + UInt64(tail), chunksDue: wanted.digests.count - index)
    }
}
