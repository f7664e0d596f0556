import DiskFormats
import IgnitionConfig
import Testing

@testable import DiskPlanning

@Suite struct FilesystemReuse {
    private func decide(
        _ format: FilesystemFormat, label: String? = nil, uuid: String? = nil, wipe: Bool? = nil, on found: Content,
        size: UInt64 = 1 << 30, users: [DeviceUse] = [], wasThere: Bool = false
    ) -> String {
        var wanted = IgnitionConfig.Filesystem()
        wanted.device = "/dev/vdb"
        wanted.format = format.rawValue
        wanted.label = label
        wanted.uuid = uuid
        wanted.wipeFilesystem = wipe
        let target = DeviceTarget(
            node: "/dev/vdb", area: DiskArea(node: "/dev/vdb", bytes: 0..<size), users: users, wasThere: wasThere)
        do throws(DiskConflict) {
            return "\(try FilesystemPlanner(wanted: wanted, format: format, target: target, found: found).action())"
        } catch {
            return "\(error)"
        }
    }

    private func holds(_ type: String, label: String? = nil, uuid: String? = nil, size: UInt64? = nil) -> Content {
        Content([Signature(type: type, label: label, uuid: uuid, size: size)])
    }

    @Test("makes every format on a blank device, and nothing for none", arguments: FilesystemFormat.allCases)
    func blank(_ format: FilesystemFormat) {
        #expect(decide(format, on: .blank) == (format == .none ? "keep" : "create"))
        #expect(decide(format, wipe: true, on: .blank) == (format == .none ? "keep" : "create"))
    }

    @Test("keeps its own format, refuses any other, destroys when told to", arguments: FilesystemFormat.allCases)
    func matrix(_ format: FilesystemFormat) {
        for type in ["ext4", "ext3", "xfs", "btrfs", "vfat", "swap", "crypto_LUKS", "linux_raid_member", "ntfs"] {
            let entry = format == .none ? "no filesystem" : format.rawValue
            let name = Signature(type: type).name
            #expect(
                decide(format, on: holds(type))
                    == (type == format.rawValue ? "keep" : "/dev/vdb holds \(name); the config wants \(entry)"))
            #expect(decide(format, wipe: true, on: holds(type)) == (format == .none ? "erase" : "create"))
        }
    }

    @Test("compares a label and a UUID where they are given")
    func attributes() {
        let found = holds("ext4", label: "var", uuid: "0a1b2c3d-0000-4000-8000-000000000001")
        #expect(decide(.ext4, on: found) == "keep")
        #expect(decide(.ext4, label: "var", on: found) == "keep")
        #expect(decide(.ext4, uuid: "0A1B2C3D-0000-4000-8000-000000000001", on: found) == "keep")
        #expect(
            decide(.ext4, label: "data", on: found) == "/dev/vdb holds ext4 \"var\"; the config wants ext4 \"data\"")
        #expect(
            decide(.ext4, label: "", on: found) == "/dev/vdb holds ext4 \"var\"; the config wants ext4 without a label")
        #expect(decide(.ext4, label: "", on: holds("ext4")) == "keep")
        // As libblkid reads back what was written.
        for format: FilesystemFormat in [.ext4, .xfs, .btrfs, .vfat, .swap] {
            #expect(decide(format, label: "var \t", on: holds(format.rawValue, label: "var")) == "keep")
            #expect(decide(format, label: "  ", on: holds(format.rawValue)) == "keep")
            #expect(decide(format, label: " var", on: holds(format.rawValue, label: "var")) != "keep")
            #expect((decide(format, label: "NO NAME", on: holds(format.rawValue)) == "keep") == (format == .vfat))
        }
        #expect(
            decide(.ext4, uuid: "1a1b2c3d-0000-4000-8000-000000000001", on: found).hasPrefix("/dev/vdb holds ext4"))
    }

    @Test("an empty UUID is none that is wanted, since each filesystem that is made gets one")
    func emptyUUID() {
        for format: FilesystemFormat in [.ext4, .xfs, .btrfs, .vfat, .swap] {
            #expect(decide(format, uuid: "", on: holds(format.rawValue, uuid: "1234-ABCD")) == "keep")
        }
    }

    @Test("reads a vfat UUID with and without its dash, in any case")
    func vfat() {
        let found = holds("vfat", uuid: "1234-ABCD")
        for uuid in ["1234-ABCD", "1234abcd", "1234-abcd"] { #expect(decide(.vfat, uuid: uuid, on: found) == "keep") }
        #expect(decide(.vfat, uuid: "1234-abce", on: found) != "keep")
        #expect(decide(.ext4, uuid: "1234abcd", on: holds("ext4", uuid: "1234-abcd")) != "keep")
    }

    @Test("two that exclude each other: neither is mounted, none is erased unless told to")
    func several() {
        let two = Content([Signature(type: "xfs", label: "a"), Signature(type: "swap")])
        #expect(decide(.xfs, on: two) == "/dev/vdb holds xfs \"a\" and swap, which exclude each other")
        #expect(decide(.swap, on: two) == "/dev/vdb holds xfs \"a\" and swap, which exclude each other")
        #expect(decide(.ext4, on: two) == "/dev/vdb holds xfs \"a\" and swap; the config wants ext4")
        #expect(decide(.none, on: two) == "/dev/vdb holds xfs \"a\" and swap; the config wants no filesystem")
        #expect(decide(.swap, wipe: true, on: two) == "create")
        let backup = Content([Signature(type: "ext4")], table: "gpt")
        #expect(decide(.ext4, on: backup).hasSuffix("which exclude each other"))
    }

    @Test("blank, unknown, not looked and what reads like noise are four things")
    func remains() {
        for format in FilesystemFormat.allCases where format != .none {
            #expect(decide(format, on: .unknown, wasThere: true) == "create")
            #expect(decide(format, on: .noise) == "create")
            #expect(
                decide(format, on: .noise, wasThere: true)
                    == "/dev/vdb reads like noise from start to end, looks encrypted or compressed and has no header; "
                    + "the config wants \(format.rawValue)")
            #expect(decide(format, wipe: true, on: .noise, wasThere: true) == "create")
            #expect(decide(format, on: .notLooked) == "/dev/vdb was not looked at")
            #expect(decide(format, wipe: true, on: .notLooked) == "/dev/vdb was not looked at")
        }
        #expect(decide(.none, wipe: true, on: .noise, wasThere: true) == "keep")
    }

    @Test("one command erases what is in the way, and nothing that the config wants")
    func erasing() {
        let ext4 = Signature(type: "ext4", offset: 0x438)
        func command(_ others: [Signature], table: String? = nil) -> String {
            Content([ext4] + others, table: table).erasing(allBut: ext4, on: "/dev/vdb")
        }
        let raid = Signature(type: "linux_raid_member", version: "1.0", offset: 0x1000)
        #expect(command([raid]) == "wipefs -o 0x1000 /dev/vdb")
        #expect(command([raid, Signature(type: "swap", offset: 4086)]) == "wipefs -o 0x1000 -o 0xff6 /dev/vdb")
        #expect(command([Signature(type: "zfs_member", offset: 0x20000)]) == "wipefs -a -t zfs_member /dev/vdb")
        #expect(command([], table: "PMBR") == "wipefs -o 0x1fe /dev/vdb")
        #expect(command([], table: "gpt") == "wipefs -a -t gpt,PMBR /dev/vdb")
        let zeros = "dd if=/dev/zero of=/dev/vdb bs=1 seek="
        let bcachefs = Signature(type: "bcachefs", offset: 4120, marks: [4120])
        #expect(command([bcachefs]) == zeros + "4120 count=4 conv=notrunc")
        // libblkid knows the uberblocks of a pool, and nobody but us the lists of its labels.
        let zfs = Signature(type: "zfs_member", offset: 0x20000, marks: [16384, 278528])
        #expect(
            command([bcachefs, zfs], table: "broken gpt")
                == "wipefs -a -t zfs_member,gpt,PMBR /dev/vdb; for n in 4120 16384 278528; do "
                + zeros + "$n count=4 conv=notrunc; done")
    }

    @Test("wipefs takes a table out of a partition by force alone, and out of a disk without")
    func tablesInside() throws {
        for (number, words) in [(1, "wipefs -f -o 0x1fe "), (nil, "wipefs -o 0x1fe ")] as [(Int?, String)] {
            var wanted = IgnitionConfig.Filesystem()
            wanted.device = "/dev/vdb"
            wanted.format = "ext4"
            let target = DeviceTarget(
                node: "/dev/vdb", area: DiskArea(node: "/dev/vdb", bytes: 0..<1 << 30),
                partition: number.map { PartitionAddress(disk: "/dev/vda", number: $0) })
            let found = Content([Signature(type: "ext4", offset: 0x438)], table: "dos")
            let planner = FilesystemPlanner(wanted: wanted, format: .ext4, target: target, found: found)
            let conflict = #expect(throws: DiskConflict.self) { try planner.action() }
            #expect(conflict?.advice.first?.contains(words) == true, "\(conflict?.advice ?? [])")
        }
    }

    @Test("a bare partition table is not blank")
    func table() {
        let table = Content([], table: "dos")
        #expect(decide(.xfs, on: table) == "/dev/vdb holds an MBR partition table; the config wants xfs")
        #expect(decide(.xfs, wipe: true, on: table) == "create")
        #expect(decide(.none, wipe: true, on: table) == "erase")
    }

    @Test("what is in use may be kept but not made")
    func inUse() {
        #expect(decide(.xfs, on: holds("xfs"), users: [.mounted(on: "/srv")]) == "keep")
        #expect(
            decide(.xfs, wipe: true, on: holds("xfs"), users: [.mounted(on: "/srv")])
                == "/dev/vdb is mounted on /srv; the config creates it anew")
    }

    @Test("a filesystem that does not fit is not kept")
    func tooLong() {
        #expect(decide(.xfs, on: holds("xfs", size: 1 << 30)) == "keep")
        #expect(
            decide(.xfs, on: holds("xfs", size: 1 << 31))
                == "/dev/vdb holds xfs of 2147483648 bytes, but has only 1073741824")
    }

    @Test("an unfinished one is made again only where the config wants just that")
    func unfinished() {
        let half = Content([Signature(type: "xfs", label: "var", isUnfinished: true)])
        #expect(decide(.xfs, label: "var", on: half) == "create")
        #expect(decide(.ext4, on: half) == "/dev/vdb holds xfs \"var\"; the config wants ext4")
    }
}

@Suite struct FilesystemPrograms {
    private func line(_ format: FilesystemFormat, _ label: String?, _ uuid: String?, _ options: [String] = []) -> String
    {
        guard let maker = format.maker(options: options, label: label, uuid: uuid) else { return "" }
        return ([maker.program] + maker.arguments).joined(separator: " ")
    }

    @Test("the config's options come first")
    func arguments() {
        let uuid = "0A1B2C3D-0000-4000-8000-000000000001"
        #expect(
            line(.ext4, "var", uuid, ["-m", "0"])
                == "mkfs.ext4 -m 0 -F -U 0a1b2c3d-0000-4000-8000-000000000001 -L var")
        #expect(
            line(.xfs, "var", uuid, ["-i", "size=512"])
                == "mkfs.xfs -i size=512 -f -K -m uuid=0a1b2c3d-0000-4000-8000-000000000001 -L var")
        #expect(line(.btrfs, "var", nil) == "mkfs.btrfs --force -L var")
        #expect(line(.vfat, "EFI", "1234-ABCD") == "mkfs.fat -i 1234abcd -n EFI")
        #expect(line(.swap, nil, uuid) == "mkswap -f -U 0a1b2c3d-0000-4000-8000-000000000001")
        #expect(line(.ext4, "", "") == "mkfs.ext4 -F")
        #expect(line(.none, "x", nil) == "")
    }
}
