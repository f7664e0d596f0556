// Files are read at any place, and in parts that are files of their own: the layers of a container image.

import Glibc
import LinuxSystem
import SystemPackage

/// A part of a file, or all of it, to be read at any place.
struct ByteRange: ~Copyable {
    let path: FilePath
    /// Where it starts in the file, and how long it is, in bytes.
    let start: UInt64
    let count: UInt64
    private let descriptor: Int32

    /// Opens a file to read a part of it.
    ///
    /// `range` is the part, in bytes; `nil` is the whole file. Throws where the file cannot be opened.
    init(_ path: FilePath, _ range: Range<UInt64>? = nil) throws(FileFault) {
        let opened = open(path.string, O_RDONLY | O_CLOEXEC)
        guard opened >= 0 else { throw FileFault("read", path, Errno(rawValue: errno)) }
        // Of a device, too.
        let size = UInt64(max(0, lseek(opened, 0, SEEK_END)))
        let first = min(range?.lowerBound ?? 0, size)
        self.path = path
        descriptor = opened
        start = first
        count = max(first, min(range?.upperBound ?? size, size)) - first
    }

    deinit { close(descriptor) }

    /// Up to `count` bytes from `offset` of the part on; fewer only at its end.
    func bytes(at offset: UInt64, count wanted: UInt64) throws(FileFault) -> [UInt8] {
        guard offset < count else { return [] }
        let size = Int(min(wanted, count - offset))
        return try Files.naming("read", path) { () throws(Errno) in
            try readBytes(descriptor, at: start + offset, count: size)
        }
    }
}

extension TarReader {
    /// Creates a reader of the archive that this part of a file is.
    init(_ input: consuming ByteRange) {
        let input = input
        self.init(start: input.start, count: input.count) { try input.bytes(at: $0, count: $1) }
    }
}
