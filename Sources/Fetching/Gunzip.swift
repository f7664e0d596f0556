// Decompressing gzip while it arrives.

import CZlib

/// Decompresses a gzip stream; consecutive members give one content (RFC 1952, section 2.2).
///
/// It is a class because zlib keeps a pointer to its stream structure.
public final class Gunzip {
    /// Why a stream cannot be decompressed.
    public enum Fault: Error, Equatable, Sendable, CustomStringConvertible {
        case notGzip
        case damaged(String)
        case endsEarly
        case noMemory

        /// What is wrong, for a message.
        public var description: String {
            switch self {
            case .notGzip: "it is not gzip-compressed"
            case .damaged(let what): "its gzip compression is damaged (\(what))"
            case .endsEarly: "its gzip compression ends early"
            case .noMemory: "there is no memory to decompress it"
            }
        }
    }

    private static let windowBitsForGzip = 15 + 16

    private var stream = z_stream()
    private var buffer = [UInt8](repeating: 0, count: 128 << 10)
    private var isInsideMember = false
    private var sawMember = false

    /// Creates a decompressor; it throws if there is no memory.
    public init() throws(Fault) {
        let result = inflateInit2_(
            &stream, Int32(Self.windowBitsForGzip), ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        guard result == Z_OK else { throw .noMemory }
    }

    deinit { inflateEnd(&stream) }

    /// Decompresses `bytes` and passes on the result in pieces.
    public func push(_ bytes: UnsafeRawBufferPointer, to receive: (UnsafeRawBufferPointer) throws -> Void) throws {
        guard let start = bytes.baseAddress, !bytes.isEmpty else { return }
        stream.next_in = UnsafeMutablePointer(mutating: start.assumingMemoryBound(to: UInt8.self))
        stream.avail_in = UInt32(bytes.count)
        repeat {
            if !isInsideMember, stream.avail_in == 0 { return }
            isInsideMember = true
            let result = buffer.withUnsafeMutableBufferPointer { room in
                stream.next_out = room.baseAddress
                stream.avail_out = UInt32(room.count)
                return inflate(&stream, Z_NO_FLUSH)
            }
            let count = buffer.count - Int(stream.avail_out)
            if count > 0 { try buffer.withUnsafeBytes { try receive(UnsafeRawBufferPointer(rebasing: $0[..<count])) } }
            switch result {
            case Z_OK, Z_BUF_ERROR: break
            case Z_STREAM_END:
                isInsideMember = false
                sawMember = true
                inflateReset(&stream)
            case Z_MEM_ERROR: throw Fault.noMemory
            default:
                let message = stream.msg.map { String(cString: $0) } ?? "code \(result)"
                throw sawMember || stream.total_in > 10 ? Fault.damaged(message) : Fault.notGzip
            }
        } while stream.avail_in > 0 || (isInsideMember && stream.avail_out == 0)
    }

    /// Ends the stream: no more bytes will come.
    ///
    /// - Throws: ``Fault/endsEarly`` if the stream is incomplete.
    public func finish() throws(Fault) {
        guard sawMember || isInsideMember else { throw .endsEarly }
        guard !isInsideMember else { throw .endsEarly }
    }
}
