// How the archives of an initramfs are compressed, and where each ends, which is where the next one starts.

import CZlib
import Encoding

package enum Compression: String, CaseIterable, Sendable {
    case zstd, gzip, xz

    package var magic: [UInt8] {
        switch self {
        case .zstd: ZstandardFrame.magic
        case .gzip: [0x1f, 0x8b]
        case .xz: XZStream.magic
        }
    }

    package var program: HostProgram {
        switch self {
        case .zstd: HostProgram.zstd
        case .gzip: HostProgram(name: "gzip", package: "gzip")
        case .xz: HostProgram(name: "xz", package: "xz-utils")
        }
    }

    /// The length of the compressed data that starts with `bytes`; `nil` where its end is missing.
    package func length(_ bytes: ArraySlice<UInt8>) -> Int? {
        switch self {
        case .zstd: ZstandardFrame.length(bytes)
        case .gzip: gzipLength(bytes)
        case .xz: XZStream.length(bytes)
        }
    }
}

/// The length in bytes of the gzip member at the start of `bytes`, which only decompression shows.
private func gzipLength(_ bytes: ArraySlice<UInt8>) -> Int? {
    var stream = z_stream()
    guard inflateInit2_(&stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else { return nil }
    defer { inflateEnd(&stream) }
    var room = [UInt8](repeating: 0, count: 256 << 10)
    var rest = bytes
    var used = 0
    while !rest.isEmpty {
        let part = rest.prefix(1 << 20)
        let taken: Int? = part.withUnsafeBufferPointer { input in
            stream.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
            stream.avail_in = UInt32(input.count)
            while true {
                let result = room.withUnsafeMutableBufferPointer { output in
                    stream.next_out = output.baseAddress
                    stream.avail_out = UInt32(output.count)
                    return inflate(&stream, Z_NO_FLUSH)
                }
                if result == Z_STREAM_END { return input.count - Int(stream.avail_in) }
                guard result == Z_OK || result == Z_BUF_ERROR else { return -1 }
                if stream.avail_in == 0, stream.avail_out > 0 { return nil }
            }
        }
        if let taken { return taken < 0 ? nil : used + taken }
        used += part.count
        rest = rest.dropFirst(part.count)
    }
    return nil
}

/// An xz stream.
///
/// - SeeAlso: The .xz file format 1.2.1, sections 2.1.2 (footer) and 4 (index).
enum XZStream {
    static let magic: [UInt8] = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]

    /// The length in bytes of the stream at the start of `bytes`; `nil` if its end is missing.
    ///
    /// Blocks need not state their length. The footer ends the stream at a multiple of four bytes. It has a checksum of
    /// its own, and the index before it has one too; the index tells how long the blocks are. What is compressed already,
    /// such as a kernel module, lies in a block as it is, with a footer and an index of its own: its blocks are shorter.
    static func length(_ bytes: ArraySlice<UInt8>) -> Int? {
        guard bytes.starts(with: magic) else { return nil }
        return bytes.withUnsafeBytes { all in
            var end = 32
            while end <= all.count {
                if all[end - 2] == UInt8(ascii: "Y"), all[end - 1] == UInt8(ascii: "Z"), isFooter(all, endingAt: end) {
                    return end
                }
                end += 4
            }
            return nil
        }
    }

    private static func isFooter(_ all: UnsafeRawBufferPointer, endingAt end: Int) -> Bool {
        let footer = end - 12
        func number(_ offset: Int) -> UInt32 { all.littleEndian(UInt32.self, at: offset) ?? 0 }
        guard number(footer) == checksum(all, footer + 4..<footer + 10) else { return false }
        // The length is in units of four bytes, less one; the header takes twelve bytes.
        let indexLength = (Int(number(footer + 4)) + 1) * 4
        let index = footer - indexLength
        guard indexLength >= 8, index >= 12, all[index] == 0 else { return false }
        return number(footer - 4) == checksum(all, index..<footer - 4)
            && lengthOfBlocks(all[index + 1..<footer - 4]) == index - 12
    }

    /// The bytes of all blocks, padding included, as the records of an index say; `nil` where they are none.
    private static func lengthOfBlocks(_ records: Slice<UnsafeRawBufferPointer>) -> Int? {
        var rest = records
        /// Seven bits a byte, the lowest first; another byte follows where the eighth is set.
        func number() -> Int? {
            var value = 0
            for shift in stride(from: 0, to: 63, by: 7) {
                guard let byte = rest.popFirst() else { return nil }
                value |= Int(byte & 0x7f) << shift
                if byte & 0x80 == 0 { return value }
            }
            return nil
        }
        guard let count = number() else { return nil }
        var total = 0
        for _ in 0..<count {
            guard let length = number(), number() != nil, length <= Int.max - 3 else { return nil }
            let (sum, overflow) = total.addingReportingOverflow((length + 3) / 4 * 4)
            if overflow { return nil }
            total = sum
        }
        return total
    }

    private static func checksum(_ all: UnsafeRawBufferPointer, _ range: Range<Int>) -> UInt32 {
        let part = UnsafeRawBufferPointer(rebasing: all[range])
        return UInt32(truncatingIfNeeded: crc32(0, part.bindMemory(to: UInt8.self).baseAddress, UInt32(part.count)))
    }
}
