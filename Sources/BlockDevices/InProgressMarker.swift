// A mark of ours on a device: a filesystem is being created here, and there is nothing in it yet.
//
// mkfs.fat first writes what makes a device a FAT filesystem, and only then its tables and its label. mkfs.xfs notes in
// its superblock that it has not finished, and takes that back last, but without a flush in between: a disk with a
// cache may keep this write and lose earlier ones. After a power cut nobody could tell such a filesystem from a damaged
// one of somebody's. The other mkfs programs flush before they write what makes a device a filesystem.

import DiskPlanning
import Glibc
import SystemPackage

/// The mark that a filesystem is being created on a device.
enum InProgressMarker {
    /// The mark itself, one sector.
    private static let bytes: [UInt8] = {
        let text = Array("firstlight: a filesystem is being made here\n".utf8)
        return text + [UInt8](repeating: 0, count: 512 - text.count)
    }()

    /// The distance in bytes from the end of the device to the mark; `nil` where a filesystem needs none.
    ///
    /// For vfat it is in the middle of the last cluster, where mkfs.fat does not write. mkfs.xfs clears the last 128
    /// KiB; before them the last allocation group, of 16 MiB or more, holds only free space.
    private static func distance(_ type: String) -> UInt64? {
        switch type {
        case "vfat": 512
        case "xfs": 256 << 10
        default: nil
        }
    }

    /// Whether the mark is on a device.
    ///
    /// - Parameters:
    ///   - type: libblkid's name of the filesystem on it.
    ///   - length: Bytes of the device.
    ///   - read: Returns `count` bytes at a position from the start, or `nil`.
    /// - Returns: `false` also where the mark cannot be read.
    static func isThere(_ type: String, length: UInt64, read: (UInt64, Int) -> [UInt8]?) -> Bool {
        guard let position = position(type, length: length) else { return false }
        return read(position, bytes.count) == bytes
    }

    private static func position(_ type: String, length: UInt64) -> UInt64? {
        guard let distance = distance(type), length >= max(1 << 16, 2 * distance) else { return nil }
        return (length - distance) / 512 * 512
    }

    /// Whether creating a filesystem of that format needs the mark.
    static func isNeeded(for format: FilesystemFormat) -> Bool { distance(format.rawValue) != nil }

    /// Sets the mark before the first write of a mkfs program, or removes it when all of its writes are on the disk.
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
