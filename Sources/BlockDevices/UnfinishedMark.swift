// A mark of ours on a device: a filesystem is being made here, and nothing is in it yet.
//
// mkfs.fat writes first what makes a device a FAT filesystem, and only then its tables and its label. After a power
// cut in between nobody could tell it from somebody's damaged one. The makers of the others write that last, or say
// by a mark of their own that they have not finished.

import Glibc
import Provisioning
import SystemPackage

enum UnfinishedMark {
    /// One sector, the last of the device: in the middle of the last cluster, where mkfs.fat does not write.
    private static let bytes: [UInt8] = {
        let text = Array("firstlight: a filesystem is being made here\n".utf8)
        return text + [UInt8](repeating: 0, count: 512 - text.count)
    }()

    /// - Parameters:
    ///   - length: Bytes of the device.
    ///   - read: `count` bytes at a position from its start, or `nil`.
    static func isThere(length: UInt64, read: (UInt64, Int) -> [UInt8]?) -> Bool {
        length >= 1 << 16 && read(length - 512, 512) == bytes
    }

    /// Whether a filesystem of that format needs it.
    static func isNeeded(for format: FilesystemFormat) -> Bool { format == .vfat }

    /// Sets the mark before the first write of a maker, or removes it once everything of it is on the disk.
    static func write(_ isUnfinished: Bool, on node: String) throws(DiskFailure) {
        let size = try BlockFile(node).size
        guard size >= 1 << 16 else { return }
        let descriptor = open(node, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { throw .unwritable(node, Errno(rawValue: errno)) }
        defer { close(descriptor) }
        let sector = isUnfinished ? bytes : [UInt8](repeating: 0, count: bytes.count)
        guard pwrite(descriptor, sector, sector.count, off_t(size - 512)) == sector.count, fsync(descriptor) == 0 else {
            throw .unwritable(node, Errno(rawValue: errno))
        }
    }
}
