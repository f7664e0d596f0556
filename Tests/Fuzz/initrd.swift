// Any bytes as an initrd, as they are or compressed once more. How it comes in pieces changes nothing, nor whether what
// nobody wants is read.

import CLzma
import CZstd

@testable import BootMedia

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count > 2 else { return 0 }
    var bytes = Array(UnsafeBufferPointer(start: data + 2, count: count - 2))
    // The first byte: whether what follows is packed, so that a hostile archive is reached behind each decompressor.
    switch data[0] & 3 {
    case 1: bytes = must { try Gzip.compress(bytes) }
    case 2: bytes = zstd(bytes)
    case 3: bytes = xz(bytes)
    default: break
    }
    let limits = ArchiveLimits(unpacked: 1 << 20, kept: 1 << 20)
    let whole = Result { try ArchiveFiles(reading: bytes, limits: limits) }
    let size = Int(data[1]) + 1
    let pieces = Result { () throws -> ArchiveFiles in
        var rest = bytes[...]
        return try ArchiveFiles(keeping: .all, limits: limits) {
            defer { rest = rest.dropFirst(size) }
            return Array(rest.prefix(size))
        }
    }
    let glob = ArchiveGlob(names: ["etc/a"])
    let sought = Result { () throws -> ArchiveFiles in
        var rest = bytes[...]
        func passOver(_ count: UInt64) -> Bool {
            guard count <= UInt64(rest.count) else { return false }
            rest = rest.dropFirst(Int(count))
            return true
        }
        return try ArchiveFiles(keeping: glob, limits: limits, passOver: passOver) {
            defer { rest = rest.dropFirst(size) }
            return Array(rest.prefix(size))
        }
    }
    // What is kept counts against a limit.
    switch (whole, sought) {
    case (.success(let one), .success(let other)):
        precondition(one.matching(glob) == other, "passed over, it is another initrd")
    case (.success, .failure): preconditionFailure("passed over, it is none")
    default: break
    }
    switch (whole, pieces) {
    case (.success(let one), .success(let other)):
        precondition(one == other, "in pieces it is another initrd")
        // What was read can be written, and read again: but for names that grow where they are not UTF-8.
        guard one.names.allSatisfy({ $0.utf8.count < 4096 }) else { return 0 }
        precondition(must { try ArchiveFiles(reading: one.newc()) } == one)
    case (.failure, .failure): break
    default: preconditionFailure("in pieces it is another initrd")
    }
    return 0
}

private func zstd(_ bytes: [UInt8]) -> [UInt8] {
    var room = [UInt8](repeating: 0, count: ZSTD_compressBound(bytes.count))
    return Array(room[..<ZSTD_compress(&room, room.count, bytes, bytes.count, 1)])
}

/// As quick as it can be: the decoder reads any preset.
private func xz(_ bytes: [UInt8]) -> [UInt8] {
    var room = [UInt8](repeating: 0, count: lzma_stream_buffer_bound(bytes.count))
    var count = 0
    let result = lzma_easy_buffer_encode(0, LZMA_CHECK_CRC32, nil, bytes, bytes.count, &room, &count, room.count)
    precondition(result == LZMA_OK)
    return Array(room[..<count])
}

/// What cannot fail.
private func must<Value>(_ body: () throws -> Value) -> Value {
    do { return try body() } catch { preconditionFailure("\(error)") }
}
