// Bytes in, verified bytes out.

/// Why a stream is not the one that a stream hash describes. Offsets count from the stream's start.
public enum StreamHashMismatch: Error, Equatable, Sendable, CustomStringConvertible {
    /// A chunk differs; everything before `offset` is right.
    case chunk(index: Int, offset: UInt64)
    /// The stream ended after `offset` bytes with chunks still due.
    case endsEarly(offset: UInt64, chunksDue: Int)
    /// The stream goes on after its last chunk.
    case tooLong(offset: UInt64)

    public var description: String {
        switch self {
        case .chunk(let index, let offset): "chunk \(index + 1), at byte \(offset), has another SHA-256 than wanted"
        case .endsEarly(let offset, let due):
            "it ends after \(offset) bytes, \(due) \(due == 1 ? "chunk" : "chunks") before its end"
        case .tooLong(let offset): "it goes on after its end, at byte \(offset)"
        }
    }
}

/// Lets bytes through chunk by chunk, each only after its digest was found right.
///
/// A slice that starts where a chunk does is verified where it lies; only chunks that are spread
/// over slices are copied together. After an error the verifier stands at the start of the chunk
/// that was wrong, ready to be given the same bytes from elsewhere.
public struct ChunkVerifier: ~Copyable {
    private let wanted: StreamHash
    private let digest: (UnsafeRawBufferPointer) -> [UInt8]
    private let pending: UnsafeMutableRawBufferPointer
    private var pendingCount = 0
    private var index = 0

    /// Bytes let through: the stream can be asked for again from here.
    public private(set) var verified: UInt64 = 0

    /// - Parameter digest: SHA-256.
    public init(_ wanted: StreamHash, digest: @escaping (UnsafeRawBufferPointer) -> [UInt8]) {
        self.wanted = wanted
        self.digest = digest
        // Untouched pages of a large allocation cost no memory.
        pending = .allocate(byteCount: wanted.chunkSize, alignment: 16)
    }

    deinit { pending.deallocate() }

    /// Takes bytes off the front of `slice` and returns verified ones; `nil` once more are needed.
    ///
    /// What it returns is good until the next call.
    /// - Parameter last: The stream ends with this slice.
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

    /// Forgets bytes of a chunk that is not complete: the stream goes on at ``verified``.
    public mutating func discardPending() { pendingCount = 0 }

    private mutating func check(_ chunk: UnsafeRawBufferPointer) throws(StreamHashMismatch) {
        guard digest(chunk) == wanted.digests[index] else {
            // A short chunk where a whole one is due is a stream cut short, not one changed.
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
