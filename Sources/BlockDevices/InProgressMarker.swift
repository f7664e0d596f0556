// A mark of ours on a device: a filesystem is being made here, and nothing is in it yet.
//
// mkfs.fat writes first what makes a device a FAT filesystem, and only then its tables and its label. mkfs.xfs says in
// its superblock that it has not finished, and takes that back last, but without a flush in between: a disk with a
// cache may keep this and lose what came before. After such a power cut nobody could tell either from somebody's
// damaged one. The makers of the others flush before they write what makes a device a filesystem.

import DiskPlanning
import Glibc
import SystemPackage

enum InProgressMarker {
    /// One sector.
    private static let bytes: [UInt8] = {
        let text = Array("firstlight: a filesystem is being made here\n".utf8)
        return text + [UInt8](repeating: 0, count: 512 - text.count)
    }()

    /// Where it stands for a filesystem of this type, in bytes from the end of the device; `nil`: it needs none.
    ///
    /// Of a vfat in the middle of the last cluster, where mkfs.fat does not write. mkfs.xfs clears the last 128 KiB; the
    /// last allocation group, of 16 MiB or more, has nothing before them but free space.
    private static func distance(_ type: String) -> UInt64? {
        switch type {
        case "vfat": 512
        case "xfs": 256 << 10
        default: nil
        }
    }

    /// - Parameters:
    ///   - type: What libblkid calls the filesystem that is there.
    ///   - length: Bytes of the device.
    ///   - read: `count` bytes at a position from its start, or `nil`.
    static func isThere(_ type: String, length: UInt64, read: (UInt64, Int) -> [UInt8]?) -> Bool {
        guard let position = position(type, length: length) else { return false }
        return read(position, bytes.count) == bytes
    }

    private static func position(_ type: String, length: UInt64) -> UInt64? {
        guard let distance = distance(type), length >= max(1 << 16, 2 * distance) else { return nil }
        return (length - distance) / 512 * 512
    }

    /// Whether a filesystem of that format needs it.
    static func isNeeded(for format: FilesystemFormat) -> Bool { distance(format.rawValue) != nil }

    /// Sets the mark before the first write of a maker, or removes it once everything of it is on the disk.
    static func write(_ isUnfinished: Bool, for format: FilesystemFormat, on node: String) throws(DiskFailure) {
        guard let position = position(format.rawValue, length: try BlockFile(node).size) else { return }
        let descriptor = open(node, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { throw .unwritable(node, Errno(rawValue: errno)) }
        defer { close(descriptor) }
        let sector = isUnfinished ? bytes : [UInt8](repeating: 0, count: bytes.count)
        guard pwrite(descriptor, sector, sector.count, off_t(position)) == sector.count, fsync(descriptor) == 0 else {
            throw .unwritable(node, Errno(rawValue: errno))
        }
    }
}
