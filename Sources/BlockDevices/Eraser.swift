// Erases marks that tell what a device holds, and looks again: a mark that stayed would mislead the next boot.

import DiskFormats
import DiskPlanning
import Glibc
import SystemPackage

enum Eraser {
    /// Erases every mark in a range, and no content.
    ///
    /// These are the signatures and tables that libblkid knows, both copies of a GPT whatever else is missing of it,
    /// and the marks that libblkid does not know.
    ///
    /// - Parameters:
    ///   - path: A block device or an image file.
    ///   - bytes: The range; `nil` is the whole device.
    ///   - sectorSize: Bytes of a logical sector; `nil` asks the device.
    ///   - kept: Ranges in which nothing is erased, counted from the start: partitions whose content stays.
    ///   - sharing: Whether others may use other ranges of the device meanwhile.
    ///   - keepsTable: Whether the table's mark is in one of the ranges that are kept.
    /// - Throws: ``DiskFailure``, also where a mark is still there afterwards.
    static func erase(
        _ path: String, bytes: Range<UInt64>? = nil, sectorSize: UInt64? = nil, except kept: [Range<UInt64>] = [],
        sharing: Bool = false, keepsTable: Bool = false
    ) throws(DiskFailure) {
        let file = try BlockFile(path)
        let range = bytes ?? 0..<file.size
        let sectorSize = sectorSize ?? file.sectorSize
        var left = Content.notLooked
        // Once a table is gone, a mark at the end of its last partition shows as the disk's own.
        for _ in 0..<4 {
            try wipe(path, range, sectorSize, kept, sharing)
            left = try remaining(path, range, sectorSize, kept)
            if keepsTable { left.table = nil }
            if !left.isKnown { return }
        }
        throw .notErased(path, holds: left)
    }

    /// What a look still finds, without the content of partitions that stay.
    private static func remaining(
        _ path: String, _ range: Range<UInt64>, _ sectorSize: UInt64, _ kept: [Range<UInt64>]
    ) throws(DiskFailure) -> Content {
        var now = try Look(path, bytes: range, sectorSize: sectorSize).whole
        now.signatures.removeAll { mark in kept.contains { $0.contains(mark.offset ?? .max) } }
        return now
    }

    private static func wipe(
        _ path: String, _ range: Range<UInt64>, _ sectorSize: UInt64, _ kept: [Range<UInt64>], _ sharing: Bool
    ) throws(DiskFailure) {
        let size = range.upperBound - range.lowerBound
        let file = try BlockFile(path)
        let probe = try BlockProbe(path, bytes: range, sectorSize: sectorSize, forWriting: true, sharing: sharing)
        // This comes before libblkid sees the disk without its table, by which it finds the partitions.
        try probe.wipe(except: kept)
        func isKept(_ place: UInt64) -> Bool { kept.contains { $0.contains(place) } }
        for sectorSize in Set([512, 4096, sectorSize]) {
            for place in GPTMark.places(size: size, sectorSize: sectorSize)
            where !isKept(place) && file.read(at: range.lowerBound + place, count: 8) == GPTMark.bytes {
                try probe.zero(at: place, count: 8)
            }
        }
        // Each look finds one of several marks of a kind.
        for _ in 0..<16 {
            let unlisted = UnlistedSignatures.find(size: size, sectorSize: sectorSize, beside: []) { position, count in
                guard position <= size, UInt64(count) <= size - position else { return nil }
                return file.read(at: range.lowerBound + position, count: count)
            }
            let places = unlisted.flatMap(\.marks).filter { !isKept($0) }
            if places.isEmpty { return }
            for place in places { try probe.zero(at: place, count: Int(min(32, size - place))) }
        }
    }

    /// Writes zeros over the bytes of an area that are not zero, so that blocks never written stay unallocated.
    static func zero(_ area: DiskArea) throws(DiskFailure) {
        let file = try BlockFile(area.node)
        let descriptor = open(area.node, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { throw .unwritable(area.node, Errno(rawValue: errno)) }
        defer { close(descriptor) }
        var position = area.bytes.lowerBound
        while position < area.bytes.upperBound {
            let count = Int(min(64 << 10, area.bytes.upperBound - position))
            guard let bytes = file.read(at: position, count: count) else { throw .unreadable(area.node, .ioError) }
            if bytes.contains(where: { $0 != 0 }) {
                let zeros = [UInt8](repeating: 0, count: count)
                guard pwrite(descriptor, zeros, count, off_t(clamping: position)) == count else {
                    throw .unwritable(area.node, Errno(rawValue: errno))
                }
            }
            position += UInt64(count)
        }
        guard fsync(descriptor) == 0 else { throw .unwritable(area.node, Errno(rawValue: errno)) }
    }
}
