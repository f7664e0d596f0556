// The archives of which an initramfs is made, one after the other, each plain or compressed.

import Glibc
import LinuxSystem
import LiveImage
import SystemPackage

/// One archive of an initramfs, decompressed.
struct InitramfsArchive {
    /// Where it starts in the image, in bytes.
    var start: Int
    var compression: Compression?
    /// Bytes that it takes in the image.
    var stored: Int
    /// What it is without its compression.
    var bytes: ArraySlice<UInt8>
    private var file: FilePath

    /// What a member that is not a folder holds.
    enum Content: Equatable {
        case bytes([UInt8])
        case link(String)
    }

    /// Calls `body` with each archive of an image, in their order.
    ///
    /// `range` is where the image is in the file, in bytes; `nil` is all of it.
    /// - Throws: ``ImageListing/Failure``, what a decompressor says, or what `body` throws.
    static func forEach(
        in file: FilePath, _ range: Range<UInt64>? = nil, _ body: (InitramfsArchive) throws -> Void
    ) throws {
        let image: [UInt8]
        do { image = try read(file, range) } catch { throw ImageListing.Failure.unreadable(file, error.reason) }
        var at = 0
        while let start = image[at...].firstIndex(where: { $0 != 0 }) {
            let rest = image[start...]
            var archive = InitramfsArchive(start: start, compression: nil, stored: 0, bytes: rest, file: file)
            if rest.starts(with: NewcHeader.magic) {
                archive.stored = try archive.walk { _ in }
                archive.bytes = rest.prefix(archive.stored)
            } else if let compression = Compression.allCases.first(where: { rest.starts(with: $0.magic) }) {
                guard let length = compression.length(rest) else {
                    throw ImageListing.Failure.truncated(file, offset: start)
                }
                let packed = Array(rest.prefix(length))
                archive.compression = compression
                archive.stored = length
                archive.bytes = try compression.program.run(
                    ["--decompress", "--quiet", "--stdout"], input: packed
                ).standardOutput[...]
            } else {
                throw ImageListing.Failure.unknownCompression(file, offset: start)
            }
            try body(archive)
            at = start + archive.stored
        }
    }

    private static func read(_ file: FilePath, _ range: Range<UInt64>?) throws(FileFault) -> [UInt8] {
        guard let range else { return try Files.read(file) }
        let descriptor = open(file.string, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileFault("read", file, Errno(rawValue: errno)) }
        defer { close(descriptor) }
        return try Files.naming("read", file) { () throws(Errno) in
            try readBytes(descriptor, at: range.lowerBound, count: range.count)
        }
    }

    /// Calls `body` with the files and links, in their order, by names without a leading slash.
    ///
    /// Of files with several names, the last has the content in the archive, and all have it here.
    func forEachFile(_ body: (String, Content) throws -> Void) throws {
        var current: (header: NewcHeader, data: [UInt8])?
        var others: [UInt32: [String]] = [:]
        _ = try walk { event in
            switch event {
            case .member(let header): current = (header, [])
            case .data(let part): current?.data.append(contentsOf: part)
            case .endOfMember:
                guard let (header, data) = current else { return }
                let name = normalizedMemberName(header.name)
                if header.mode & 0o170000 == 0o120000 {
                    try body(name, .link(String(decoding: data, as: UTF8.self)))
                } else if header.isRegularFile {
                    if header.links > 1, data.isEmpty { return others[header.inode, default: []].append(name) }
                    for other in header.links > 1 ? others[header.inode] ?? [] : [] { try body(other, .bytes(data)) }
                    try body(name, .bytes(data))
                }
            case .endOfArchive: break
            }
        }
    }

    /// Reads the archive to its end.
    ///
    /// - Returns: Its length, with the trailer.
    private func walk(_ body: (NewcReader.Event) throws -> Void) throws -> Int {
        var reader = NewcReader()
        try bytes.withUnsafeBytes { buffer in
            var slice = buffer
            do {
                while let event = try reader.next(&slice) {
                    try body(event)
                    if case .endOfArchive = event { break }
                }
                try reader.finish()
            } catch let error as NewcError {
                throw ImageListing.Failure.malformed(file, offset: start, error)
            }
        }
        return Int(reader.offset)
    }

    /// The regular files and links.
    var headers: [NewcHeader] {
        get throws {
            var headers: [NewcHeader] = []
            _ = try walk { if case .member(let header) = $0, !header.isFolder { headers.append(header) } }
            return headers
        }
    }
}

extension NewcHeader {
    fileprivate var isFolder: Bool { mode & 0o170000 == 0o040000 }
}
