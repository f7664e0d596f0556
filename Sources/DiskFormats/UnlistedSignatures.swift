// Marks that libblkid 2.38 does not know, knows in only one of several places, or is not asked about.
//
// A device without a known mark may be overwritten, so each mark here protects somebody's data. All of them are at
// fixed places: looking for them costs a few sectors at either end.

/// Finds marks that libblkid does not know.
public enum UnlistedSignatures {
    /// A mark at a fixed distance from the start.
    private struct Mark {
        var type: String
        var offset: UInt64
        var bytes: [UInt8]
    }

    /// The marks at fixed places.
    ///
    /// - SeeAlso: bcachefs-tools, `bcachefs_format.h`; the kernel's `fs/qnx6`; DragonFly's `hammer2_disk.h`;
    ///   OpenBSD's `softraidvar.h`.
    private static let marks: [Mark] = [
        // The superblock, and the layout before it; old ones carry bcache's number.
        Mark(type: "bcachefs", offset: 4096 + 24, bytes: bcachefs),
        Mark(type: "bcachefs", offset: 3584, bytes: bcachefs),
        Mark(type: "bcachefs", offset: 4096 + 24, bytes: bcache), Mark(type: "bcachefs", offset: 3584, bytes: bcache),
        Mark(type: "hammer2", offset: 0, bytes: [0x11, 0x20, 0x17, 0x05, 0x32, 0x4d, 0x41, 0x48]),
        Mark(type: "qnx6", offset: 0x2000, bytes: [0x22, 0x11, 0x19, 0x68]),
        Mark(type: "openbsd_softraid", offset: 8192, bytes: Array("marcCRAM".utf8)),
        // libblkid believes the lengths of its names, and reads beyond its own memory.
        Mark(type: "ocfs", offset: 8192, bytes: Array("OracleCFS".utf8)),
    ]

    private static let bcachefs: [UInt8] = [
        0xc6, 0x85, 0x73, 0xf6, 0x66, 0xce, 0x90, 0xa9, 0xd9, 0x6a, 0x60, 0xcf, 0x80, 0x3d, 0xf7, 0xef,
    ]
    private static let bcache: [UInt8] = [
        0xc6, 0x85, 0x73, 0xf6, 0x4e, 0x1a, 0x45, 0xca, 0x82, 0x65, 0xf5, 0x7f, 0x48, 0xba, 0x6d, 0x81,
    ]

    /// Finds the marks in a device or a range.
    ///
    /// - Parameters:
    ///   - size: Bytes of the device or range.
    ///   - sectorSize: Bytes of a logical sector.
    ///   - known: What libblkid has found; it is not reported again.
    ///   - read: Returns `count` bytes at a position from the start, or `nil`.
    /// - Returns: Signatures with their offsets.
    public static func find(
        size: UInt64, sectorSize: UInt64, beside known: [Signature], read: (UInt64, Int) -> [UInt8]?
    ) -> [Signature] {
        var found: [Signature] = []
        func isKnown(_ type: String) -> Bool { known.contains { $0.type == type } }
        guard let head = read(0, Int(min(size, 16 << 10))) else { return [] }
        for mark in marks where !isKnown(mark.type) && !isKnown("bcache") {
            let start = Int(mark.offset)
            guard head.count >= start + mark.bytes.count,
                head[start..<start + mark.bytes.count].elementsEqual(mark.bytes)
            else { continue }
            if let same = found.firstIndex(where: { $0.type == mark.type }) {
                found[same].marks.append(mark.offset)
            } else {
                found.append(Signature(type: mark.type, offset: mark.offset, marks: [mark.offset]))
            }
        }
        // FreeBSD's GEOM keeps its metadata in the last sector.
        if !isKnown("geom"), size >= sectorSize, sectorSize >= 16,
            let last = read(size - sectorSize, 16), last.starts(with: Array("GEOM::".utf8))
        {
            found.append(Signature(type: "geom", offset: size - sectorSize, marks: [size - sectorSize]))
        }
        // libblkid reports one superblock of md; a disk can have an old one at its other end.
        for version in ["1.0", "1.1", "1.2"]
        where !known.contains(where: { $0.type == "linux_raid_member" && $0.version == version }) {
            guard let place = ArrayMember.place(version: version, size: size),
                let member = ArrayMember.read(version: version, size: size, read: read)
            else { continue }
            found.append(
                Signature(
                    type: "linux_raid_member", version: version, label: member.name, uuid: member.uuid, member: member,
                    offset: place, marks: [place]))
        }
        let lists = zfsMarks(size: size, read: read)
        if !isKnown("zfs_member"), let first = lists.first {
            found.append(Signature(type: "zfs_member", offset: first, marks: lists))
        }
        return found
    }

    /// Where the lists are in those labels of a ZFS device that exist.
    public static func zfsMarks(size: UInt64, read: (UInt64, Int) -> [UInt8]?) -> [UInt64] {
        labels(ofZFS: size).filter { isZFS($0, read) }.map { $0 + zfsList }
    }

    /// Whether a place is in one of the labels that a ZFS device of that size has.
    static func isLabel(ofZFS size: UInt64, _ place: UInt64) -> Bool {
        labels(ofZFS: size).contains { ($0..<$0 + 256 << 10).contains(place) }
    }

    /// Where the four labels of a ZFS device begin: two at either end.
    ///
    /// - SeeAlso: OpenZFS, `vdev_label.c`.
    private static func labels(ofZFS size: UInt64) -> [UInt64] {
        let label: UInt64 = 256 << 10
        guard size >= 4 * label else { return [] }
        let end = size / label * label
        return [0, label, end - 2 * label, end - label]
    }

    private static let zfsList: UInt64 = 16 << 10

    /// Whether a label's list of names and values, in XDR, begins with `version`.
    ///
    /// libblkid looks for four uberblocks, which a young pool does not have.
    private static func isZFS(_ label: UInt64, _ read: (UInt64, Int) -> [UInt8]?) -> Bool {
        guard let list = read(label + zfsList, 32) else { return false }
        return list[0] == 1 && list[1] <= 1 && list[2..<11].allSatisfy { $0 == 0 } && list[11] == 1
            && list[24..<31].elementsEqual(Array("version".utf8))
    }
}

extension Signature {
    /// Whether its metadata is at the end of the device; if the end moves, the metadata is lost.
    public var isAtTheEnd: Bool {
        switch type {
        // Without a known version it is 0.90, whose place only libblkid knows.
        case "linux_raid_member": version != "1.1" && version != "1.2"
        case "drbd", "zfs_member", "geom": true
        default: type.hasSuffix("_raid_member")
        }
    }

    /// Whether wipefs does not know it, or not in its place.
    package var isUnlisted: Bool { marks.first == offset && offset != nil }

    /// Whether the mark stands in one place only.
    package var standsOnce: Bool {
        switch type {
        case "zfs_member", "nilfs2", "vfat", "ufs": false
        case "crypto_LUKS": version == "1"
        default: true
        }
    }

    /// Whether it is fakeraid, whose firmware knows disks and no partitions.
    public var isOfDisksAlone: Bool {
        type.hasSuffix("_raid_member") && type != "linux_raid_member" && type != "ddf_raid_member"
    }

    /// Whether one that was found in a range of that size has a mark at that place.
    public func stands(at place: UInt64, ofSize size: UInt64) -> Bool {
        if offset == place { return true }
        return type == "zfs_member" ? UnlistedSignatures.isLabel(ofZFS: size, place) : !standsOnce
    }

    /// Whether other signatures may belong to what is inside, because the content starts where the device starts.
    package var mayShowItsInside: Bool { isAtTheEnd && type != "zfs_member" }

    /// Marks that are together by design, in images for optical discs and USB sticks.
    package static let companions: Set<String> = ["iso9660", "udf", "hfs", "hfsplus"]
}
