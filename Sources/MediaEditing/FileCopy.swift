// Copying a file, or a part of one, as fast as it goes.

import BootMedia
import CLinux
import Glibc
import LinuxSystem
import Reporting
import SystemPackage

/// Copies bytes of a file to the end of another one, which is new.
///
/// Blocks that the filesystem can share are shared, and holes stay holes. The kernel copies the rest from the pages of
/// one file to those of the other. Reading and writing copies it twice, and is used where the filesystems differ.
struct FileCopy {
    /// What is read.
    let file: MediaFile
    /// What is written, behind what was written last.
    let output: MediaFile
    /// Gets the bytes done, and their number at the end.
    var progress: (_ done: UInt64, _ total: UInt64) -> Void = { _, _ in }

    /// How much is copied at a time, in bytes: progress is told in between.
    private static let piece: UInt64 = 8 << 20
    /// The same where it has to be read: it stays in the processor's cache.
    private static let room = 256 << 10

    /// Copies the whole file.
    ///
    /// - Throws: Where it cannot be read, or the other not be written.
    func all() throws {
        let length = try file.source.length
        // FICLONE
        if ioctl(output.descriptor, UInt(0x4004_9409), file.descriptor) == 0 {
            guard lseek(output.descriptor, 0, SEEK_END) >= 0 else { throw SystemFault.current }
            return
        }
        try range(0..<length)
    }

    /// Copies a part of the file.
    ///
    /// - Throws: Where the file ends before the part does, it cannot be read, or the other not be written.
    func range(_ range: Range<UInt64>) throws {
        let total = range.upperBound - range.lowerBound
        let isSparse = try hasHoles()
        var position = range.lowerBound
        while position < range.upperBound {
            let data = isSparse ? try data(in: position..<range.upperBound) : position..<range.upperBound
            if data.lowerBound > position { try leaveHole(of: data.lowerBound - position) }
            position = data.lowerBound
            try copy(data) { progress($0 - range.lowerBound, total) }
            position = data.upperBound
        }
    }

    // MARK: Holes

    private func hasHoles() throws -> Bool {
        var status = stat()
        guard fstat(file.descriptor, &status) == 0 else { throw SystemFault.current }
        return status.st_mode & S_IFMT == S_IFREG && status.st_blocks * 512 < status.st_size
    }

    /// The first data in a range; empty at its end where there is none.
    private func data(in range: Range<UInt64>) throws -> Range<UInt64> {
        // SEEK_DATA, SEEK_HOLE
        let start = lseek(file.descriptor, off_t(range.lowerBound), 3)
        if start < 0, errno == ENXIO {
            // A file that ends early has no hole there.
            return try file.source.length < range.upperBound ? range : range.upperBound..<range.upperBound
        }
        let end = start < 0 ? start : lseek(file.descriptor, start, 4)
        // A filesystem without holes has data alone.
        guard start >= 0, end > start else { return range }
        return min(UInt64(start), range.upperBound)..<min(UInt64(end), range.upperBound)
    }

    private func leaveHole(of count: UInt64) throws {
        let end = lseek(output.descriptor, off_t(count), SEEK_CUR)
        guard end >= 0, ftruncate(output.descriptor, end) == 0 else { throw SystemFault.current }
    }

    // MARK: Data

    private func copy(_ range: Range<UInt64>, _ told: (UInt64) -> Void) throws {
        var position = range.lowerBound
        while position < range.upperBound {
            let count = firstlight_copy_range(
                file.descriptor, position, output.descriptor, Int(min(range.upperBound - position, Self.piece)))
            if count == -Int64(EINTR) { continue }
            // Bytes that it cannot copy between these two are read and written instead; a failure of that tells why.
            guard count > 0 else { break }
            position += UInt64(count)
            told(position)
        }
        guard position < range.upperBound else { return }
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.room, alignment: 4096)
        defer { room.deallocate() }
        while position < range.upperBound {
            let part = UnsafeMutableRawBufferPointer(
                rebasing: room.prefix(Int(min(range.upperBound - position, UInt64(Self.room)))))
            let count = try step("reading \(file.path)") {
                try SystemFault.converting { () throws(Errno) in try fill(part, from: file.descriptor, at: position) }
            }
            guard count == part.count else { throw EndOfImage(length: position + UInt64(count)) }
            try output.append(UnsafeRawBufferPointer(part))
            position += UInt64(count)
            told(position)
        }
    }
}
