// gzip as Butane writes it, as far as its length goes.

import CZlib

enum GoGzip {
    /// A gzip member without name and time, level 9.
    ///
    /// Its length decides whether a config holds a file compressed, and Butane's writer ends with an empty block
    /// of its own that takes five bytes or so: this one does the same, so that the same files are compressed.
    static func member(_ bytes: [UInt8]) -> [UInt8] {
        var stream = z_stream()
        let version = zlibVersion()
        guard
            deflateInit2_(
                &stream, Z_BEST_COMPRESSION, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY, version,
                Int32(MemoryLayout<z_stream>.size)) == Z_OK
        else { preconditionFailure("zlib refuses its own defaults") }
        defer { deflateEnd(&stream) }
        var packed: [UInt8] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 0xff]
        let room = Int(deflateBound(&stream, UInt(bytes.count))) + 64
        var input = bytes
        input.withUnsafeMutableBufferPointer { input in
            let body = [UInt8](unsafeUninitializedCapacity: room) { output, count in
                stream.next_in = input.baseAddress
                stream.avail_in = UInt32(clamping: input.count)
                stream.next_out = output.baseAddress
                stream.avail_out = UInt32(clamping: output.count)
                deflate(&stream, Z_BLOCK)
                var pending: UInt32 = 0
                var bits: Int32 = 0
                deflatePending(&stream, &pending, &bits)
                let end = output.count - Int(stream.avail_out)
                deflate(&stream, Z_SYNC_FLUSH)
                count = output.count - Int(stream.avail_out)
                // The empty block begins behind the bits that were waiting; its first bit says that it is the last.
                output[end] |= 1 << UInt8(bits & 7)
            }
            packed += body
        }
        var sum = crc32(0, nil, 0)
        bytes.withUnsafeBufferPointer { sum = crc32(sum, $0.baseAddress, UInt32(clamping: $0.count)) }
        for value in [UInt32(truncatingIfNeeded: sum), UInt32(truncatingIfNeeded: bytes.count)] {
            packed += [0, 8, 16, 24].map { UInt8(truncatingIfNeeded: value >> $0) }
        }
        return packed
    }
}
