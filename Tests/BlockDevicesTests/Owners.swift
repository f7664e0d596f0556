import DiskFormats
import Testing

@testable import BlockDevices

/// Marks that say a whole disk is somebody's, as their makers leave them, written byte by byte: most of these makers
/// are on no build machine.
enum Owner: String, CaseIterable, Sendable {
    case lvm, lvmFirstSector, raid090, raid10, raid11, raid12, isw, drbd, ceph, zfs, zfsEnd, bcachefs, luks1, btrfs,
        swap
    case geom, qnx6, promise, ddf

    /// libblkid's name, or ours.
    var type: String {
        switch self {
        case .lvm, .lvmFirstSector: "LVM2_member"
        case .raid090, .raid10, .raid11, .raid12: "linux_raid_member"
        case .isw: "isw_raid_member"
        case .promise: "promise_fasttrack_raid_member"
        case .ddf: "ddf_raid_member"
        case .ceph: "ceph_bluestore"
        case .zfs, .zfsEnd: "zfs_member"
        case .luks1: "crypto_LUKS"
        default: rawValue
        }
    }

    /// As a plan and a refusal call it.
    var name: String { Signature(type: type, version: self == .luks1 ? "1" : nil).name }

    /// Bytes that are its own; the last of them is the mark by which it is known.
    func pieces(of size: Int, over disk: (Range<Int>) throws -> [UInt8]) rethrows -> [(Int, [UInt8])] {
        switch self {
        case .lvm: return [(512, lvm(1, over: [UInt8](repeating: 0, count: 512)))]
        case .lvmFirstSector: return [(0, lvm(0, over: try disk(0..<512)))]
        case .raid090:
            let place = size / 65536 * 65536 - 65536
            var block = little([0xa92b_4efc, 0, 90, 0, 0, 7, 0, 1, UInt32(place / 1024), 2], 4)
            block += [UInt8](repeating: 0, count: 4096 - block.count)
            return [(place, block)]
        case .raid10: return [((size / 512 - 16) / 8 * 8 * 512, raid(at: (size / 512 - 16) / 8 * 8))]
        case .raid11: return [(0, raid(at: 0))]
        case .raid12: return [(4096, raid(at: 8))]
        case .isw: return [((size / 512 - 2) * 512, Array("Intel Raid ISM Cfg Sig. 1.1.00".utf8))]
        case .drbd: return [(size - 4096 + 56, [0x10, 0, 0, 0x01, 0x83, 0x74, 0x02, 0x6b])]
        case .ceph: return [(0, Array("bluestore block device\n".utf8))]
        case .zfs:
            let end = size / (256 << 10) * (256 << 10)
            return [0, 256 << 10, end - 512 << 10, end - 256 << 10].flatMap(zfs)
        case .zfsEnd: return zfs(size / (256 << 10) * (256 << 10) - 256 << 10)
        case .bcachefs:
            return [
                (
                    4096 + 24,
                    [
                        0xc6, 0x85, 0x73, 0xf6, 0x66, 0xce, 0x90, 0xa9, 0xd9, 0x6a, 0x60, 0xcf, 0x80, 0x3d, 0xf7, 0xef,
                    ]
                )
            ]
        case .luks1: return [(0, [0x4c, 0x55, 0x4b, 0x53, 0xba, 0xbe, 0, 1] + [UInt8](repeating: 0x61, count: 160))]
        case .btrfs: return [((64 << 10) + 64, Array("_BHRfS_M".utf8))]
        case .swap: return [(1024, little([1, 1000, 0], 4)), (4086, Array("SWAPSPACE2".utf8))]
        case .geom: return [(size - 512, Array("GEOM::MIRROR".utf8))]
        case .qnx6: return [(0x2000, [0x22, 0x11, 0x19, 0x68])]
        // In the last sectors that a partition may take.
        case .promise: return [((size / 512 - 63) * 512, Array("Promise Technology, Inc.".utf8))]
        case .ddf:
            let header = [0xde, 0x11, 0xde, 0x11] + [UInt8](repeating: 0x61, count: 28) + Array("01.02.00".utf8)
            return [((size / 512 - 257) * 512, header)]
        }
    }

    private func little(_ numbers: [UInt32], _ count: Int) -> [UInt8] {
        numbers.flatMap { number in (0..<count).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) } }
    }

    private func lvm(_ sector: UInt32, over: [UInt8]) -> [UInt8] {
        var label = over
        label.replaceSubrange(
            0..<32, with: Array("LABELONE".utf8) + little([sector, 0, 0, 32], 4) + Array("LVM2 001".utf8))
        label.replaceSubrange(32..<64, with: Array("0123456789abcdefghijklmnopqrstuv".utf8))
        var sum: UInt32 = 0xf597_a6cf
        for byte in label[20...] {
            sum ^= UInt32(byte)
            for _ in 0..<8 { sum = sum & 1 == 0 ? sum >> 1 : (sum >> 1) ^ 0xedb8_8320 }
        }
        label.replaceSubrange(16..<20, with: little([sum], 4))
        return label
    }

    /// The first of two members of a raid1, its data from 1 MiB on.
    private func raid(at sector: Int) -> [UInt8] {
        var block = [UInt8](repeating: 0, count: 512)
        func put(_ value: UInt64, _ count: Int, at index: Int) {
            for byte in 0..<count { block[index + byte] = UInt8(truncatingIfNeeded: value >> (8 * UInt64(byte))) }
        }
        put(0xa92b_4efc, 4, at: 0)
        put(1, 4, at: 4)
        block.replaceSubrange(16..<32, with: [UInt8](repeating: 0x11, count: 16))
        block.replaceSubrange(32..<40, with: "any:data".utf8)
        put(1, 4, at: 72)
        put(2048, 8, at: 80)
        put(2, 4, at: 92)
        put(self == .raid10 ? 0 : 2048, 8, at: 128)
        put(2048, 8, at: 136)
        put(UInt64(sector), 8, at: 144)
        put(17, 8, at: 200)
        put(128, 4, at: 220)
        block.replaceSubrange(256..<512, with: [UInt8](repeating: 0xff, count: 256))
        put(0, 2, at: 256)
        put(1, 2, at: 258)
        var sum: UInt64 = 0
        for index in stride(from: 0, to: 512, by: 4) {
            sum +=
                UInt64(block[index]) | UInt64(block[index + 1]) << 8 | UInt64(block[index + 2]) << 16 | UInt64(
                    block[index + 3]) << 24
        }
        put((sum & 0xffff_ffff) + (sum >> 32), 4, at: 216)
        return block
    }

    /// A label: the list of names and values, and five uberblocks.
    private func zfs(_ label: Int) -> [(Int, [UInt8])] {
        let list: [UInt8] =
            [1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 36, 0, 0, 0, 32, 0, 0, 0, 7] + Array("version".utf8) + [0]
        let blocks = (4..<9).map { (label + (128 << 10) + $0 * 1024, little([0x00ba_b10c, 0, 28, 0], 4)) }
        return [(label + (16 << 10), list)] + blocks
    }
}

/// What is left of a GPT: a partition "var" over the whole disk.
enum Remnant: String, CaseIterable, Sendable {
    case whole, backup, primary, withoutMBR

    func spoil(_ image: Image) throws {
        switch self {
        case .whole: break
        case .backup: try image.zero(0..<34 * 512)
        case .primary: try image.zero(image.size - 33 * 512..<image.size)
        case .withoutMBR: try image.zero(0..<512)
        }
    }
}

extension Image {
    func put(_ owner: Owner) throws {
        for (place, bytes) in try owner.pieces(of: size, over: { try self.bytes($0) }) { try write(bytes, at: place) }
    }
}
