// gzip, xz and zstd, as streams: what is decompressed is handed on piece by piece, so that no bomb fills the memory.

import CLzma
import CZlib
import CZstd

/// What is wrong with compressed data.
public enum CompressionFault: Error, Equatable, Sendable, CustomStringConvertible {
    case corrupt(String)
    case endsEarly(String)
    case needsTooMuchMemory(String)
    case tooLarge(limit: UInt64)
    case outOfMemory

    /// The fault as a phrase for the user.
    public var description: String {
        switch self {
        case .corrupt(let kind): "corrupt \(kind) data"
        case .endsEarly("zstd"): "premature EOF reading zstd frame"
        case .endsEarly(let kind): "premature EOF reading \(kind) stream"
        case .needsTooMuchMemory(let kind): "this \(kind) data needs more memory to be unpacked than is allowed"
        case .tooLarge(let limit): "the data unpacks to more than \(limit) bytes"
        case .outOfMemory: "out of memory"
        }
    }
}

/// A compressed stream that is being decompressed.
protocol StreamDecoder: AnyObject {
    var kind: String { get }
    /// Whether the end of the stream was reached.
    var isAtEnd: Bool { get }
    /// Decompresses the front of `input` into the front of `output`.
    func decode(
        _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) throws(CompressionFault) -> (taken: Int, made: Int)
}

/// The decoder for data that starts with these bytes; `nil` where they are compressed by none of the three.
///
/// `start` has at least six bytes, unless the data is shorter. Throws where the decoder gets no memory.
func decoder(forDataStartingWith start: [UInt8]) throws(CompressionFault) -> (any StreamDecoder)? {
    if start.count > 2, start.starts(with: [0x1f, 0x8b]) { return try GzipDecoder() }
    if start.starts(with: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]) { return try XZDecoder() }
    if isZstandard(start) { return try ZstandardDecoder() }
    return nil
}

/// Whether a frame of zstd starts there; a skippable one counts, too.
func isZstandard(_ start: [UInt8]) -> Bool {
    start.starts(with: [0x28, 0xb5, 0x2f, 0xfd])
        || start.count >= 4 && start[0] & 0xf0 == 0x50 && Array(start[1...3]) == [0x2a, 0x4d, 0x18]
}

/// One member of gzip.
final class GzipDecoder: StreamDecoder {
    let kind = "gzip"
    private(set) var isAtEnd = false
    private var stream = z_stream()

    init() throws(CompressionFault) {
        // 15: the longest window; 16: gzip's header.
        guard inflateInit2_(&stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
            throw .outOfMemory
        }
    }

    deinit { inflateEnd(&stream) }

    func decode(
        _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) throws(CompressionFault) -> (taken: Int, made: Int) {
        stream.next_in = UnsafeMutablePointer(mutating: input.bindMemory(to: UInt8.self).baseAddress)
        stream.avail_in = UInt32(input.count)
        stream.next_out = output.bindMemory(to: UInt8.self).baseAddress
        stream.avail_out = UInt32(output.count)
        let result = inflate(&stream, Z_NO_FLUSH)
        guard result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR else { throw .corrupt(kind) }
        isAtEnd = result == Z_STREAM_END
        return (input.count - Int(stream.avail_in), output.count - Int(stream.avail_out))
    }
}

/// One stream of xz.
final class XZDecoder: StreamDecoder {
    let kind = "xz"
    private(set) var isAtEnd = false
    private var stream = lzma_stream()
    /// `xz -9` needs 65 MiB; a header can ask for 4 GiB.
    private static let memory: UInt64 = 1 << 30

    init() throws(CompressionFault) {
        guard lzma_stream_decoder(&stream, Self.memory, 0) == LZMA_OK else { throw .outOfMemory }
    }

    deinit { lzma_end(&stream) }

    func decode(
        _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) throws(CompressionFault) -> (taken: Int, made: Int) {
        stream.next_in = input.bindMemory(to: UInt8.self).baseAddress
        stream.avail_in = input.count
        stream.next_out = output.bindMemory(to: UInt8.self).baseAddress
        stream.avail_out = output.count
        let result = lzma_code(&stream, LZMA_RUN)
        switch result {
        case LZMA_OK, LZMA_BUF_ERROR, LZMA_NO_CHECK, LZMA_UNSUPPORTED_CHECK, LZMA_GET_CHECK: break
        case LZMA_STREAM_END: isAtEnd = true
        case LZMA_MEMLIMIT_ERROR: throw .needsTooMuchMemory(kind)
        case LZMA_MEM_ERROR: throw .outOfMemory
        default: throw .corrupt(kind)
        }
        return (input.count - stream.avail_in, output.count - stream.avail_out)
    }
}

/// One frame of zstd; a skippable one decompresses to nothing.
final class ZstandardDecoder: StreamDecoder {
    let kind = "zstd"
    private(set) var isAtEnd = false
    private let stream: OpaquePointer

    init() throws(CompressionFault) {
        guard let stream = ZSTD_createDStream() else { throw .outOfMemory }
        self.stream = stream
    }

    deinit { ZSTD_freeDStream(stream) }

    func decode(
        _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) throws(CompressionFault) -> (taken: Int, made: Int) {
        var source = ZSTD_inBuffer(src: input.baseAddress, size: input.count, pos: 0)
        var target = ZSTD_outBuffer(dst: output.baseAddress, size: output.count, pos: 0)
        let result = ZSTD_decompressStream(stream, &target, &source)
        if ZSTD_isError(result) != 0 {
            throw ZSTD_getErrorCode(result) == ZSTD_error_frameParameter_windowTooLarge
                ? .needsTooMuchMemory(kind) : .corrupt(kind)
        }
        isAtEnd = result == 0
        return (source.pos, target.pos)
    }
}

/// xz of data that is whole in memory.
public enum XZ {
    /// The check at the end of each block.
    public enum Check: Sendable {
        /// The one that the kernel knows.
        case crc32
        /// The usual one.
        case crc64
    }

    /// Compresses with preset 9, as one stream.
    public static func compress(_ bytes: [UInt8], check: Check) throws -> [UInt8] {
        var encoder = try XZEncoder(check: check)
        var result = try encoder.add(bytes)
        result += try encoder.finish()
        return result
    }

    /// Decompresses one stream.
    ///
    /// Throws ``CompressionFault`` where the data is damaged or unpacks to more than `limit` bytes.
    public static func decompress(_ bytes: [UInt8], limit: UInt64) throws -> [UInt8] {
        var result: [UInt8] = []
        var reader = try XZReader(bytes)
        while let part = try reader.next(1 << 16) {
            guard UInt64(result.count + part.count) <= limit else { throw CompressionFault.tooLarge(limit: limit) }
            result += part
        }
        return result
    }
}

/// Reads one xz stream that lies in memory, as much at a time as is wanted.
public struct XZReader {
    private let bytes: [UInt8]
    private var position = 0
    private let decoder: XZDecoder

    /// Starts at the front of the stream; throws where the decoder gets no memory.
    public init(_ bytes: [UInt8]) throws {
        self.bytes = bytes
        decoder = try XZDecoder()
    }

    /// The next bytes, at most so many; `nil` at the end.
    ///
    /// - Precondition: `most` is not 0.
    public mutating func next(_ most: Int) throws -> [UInt8]? {
        while !decoder.isAtEnd {
            let (taken, part) = try bytes.withUnsafeBytes { all -> (Int, [UInt8]) in
                var taken = 0
                let part = try [UInt8](unsafeUninitializedCapacity: most) { buffer, filled in
                    let target = UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: most)
                    let (used, made) = try decoder.decode(.init(rebasing: all[position...]), into: target)
                    taken = used
                    filled = made
                }
                return (taken, part)
            }
            position += taken
            if !part.isEmpty { return part }
            if taken == 0, !decoder.isAtEnd { throw CompressionFault.endsEarly("xz") }
        }
        return nil
    }
}

/// Writes one xz stream with preset 9, piece by piece.
public struct XZEncoder: ~Copyable {
    private var stream = lzma_stream()
    /// Bytes that it was given.
    public private(set) var taken: UInt64 = 0

    /// Starts a stream with that kind of checksum; throws where the encoder gets no memory.
    public init(check: XZ.Check) throws {
        let check = check == .crc32 ? LZMA_CHECK_CRC32 : LZMA_CHECK_CRC64
        guard lzma_easy_encoder(&stream, 9, check) == LZMA_OK else { throw CompressionFault.outOfMemory }
    }

    deinit {
        var stream = stream
        lzma_end(&stream)
    }

    /// What is ready of the compressed data once these bytes are in.
    public mutating func add(_ bytes: [UInt8]) throws -> [UInt8] {
        taken += UInt64(bytes.count)
        return try run(bytes, LZMA_RUN)
    }

    /// The rest of the compressed data.
    public mutating func finish() throws -> [UInt8] { try run([], LZMA_FINISH) }

    private mutating func run(_ bytes: [UInt8], _ action: lzma_action) throws -> [UInt8] {
        var result: [UInt8] = []
        var room = [UInt8](repeating: 0, count: 64 << 10)
        try bytes.withUnsafeBufferPointer { input in
            stream.next_in = input.baseAddress
            stream.avail_in = input.count
            while true {
                let (status, made) = room.withUnsafeMutableBufferPointer { output in
                    stream.next_out = output.baseAddress
                    stream.avail_out = output.count
                    let status = lzma_code(&stream, action)
                    return (status, output.count - stream.avail_out)
                }
                result += room[..<made]
                switch status {
                case LZMA_STREAM_END: return
                case LZMA_OK, LZMA_BUF_ERROR:
                    if action == LZMA_RUN, stream.avail_in == 0, made < room.count { return }
                    if status == LZMA_BUF_ERROR, made == 0 { throw CompressionFault.outOfMemory }
                default: throw CompressionFault.outOfMemory
                }
            }
        }
        return result
    }
}

/// gzip as `customize` embeds files with it.
public enum Gzip {
    /// One member, compressed as well as it can be, without name and time.
    public static func compress(_ bytes: [UInt8]) throws -> [UInt8] {
        var stream = z_stream()
        guard
            deflateInit2_(
                &stream, Z_BEST_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
                Int32(MemoryLayout<z_stream>.size)) == Z_OK
        else { throw CompressionFault.outOfMemory }
        defer { deflateEnd(&stream) }
        guard let length = UInt32(exactly: bytes.count) else { throw CompressionFault.tooLarge(limit: 1 << 32 - 1) }
        let most = Int(deflateBound(&stream, UInt(bytes.count)))
        return try [UInt8](unsafeUninitializedCapacity: most) { output, filled in
            try bytes.withUnsafeBufferPointer { input in
                stream.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
                stream.avail_in = length
                stream.next_out = output.baseAddress
                stream.avail_out = UInt32(clamping: most)
                guard deflate(&stream, Z_FINISH) == Z_STREAM_END else { throw CompressionFault.outOfMemory }
                filled = most - Int(stream.avail_out)
            }
        }
    }
}
