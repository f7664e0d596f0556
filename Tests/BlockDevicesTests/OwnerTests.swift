import DiskFormats
import DiskPlanning
import IgnitionConfig
import LinuxSystem
import Reporting
import Testing

@testable import BlockDevices

private func refusal(_ storage: IgnitionConfig.Storage) -> DiskRefusal? {
    do throws(BootFailure) {
        _ = try DiskStage.plan(storage, access: .settled)
        return nil
    } catch {
        return error.cause as? DiskRefusal
    }
}

/// A disk that is two things at once: which of them is out of date nobody here can know.
@Suite(.serialized, .enabled(if: isInstalled("sfdisk"))) struct TwoOwners {
    private func disk(_ owner: Owner, _ remnant: Remnant) throws -> Image {
        let image = try Image(128 << 20)
        // To the last sector that a partition may take: whoever owns the disk has marks in it. A pool on the whole disk
        // would have its third label just where the partition's own would have its fourth.
        try image.partition("1: start=2048, size=\(owner == .zfs ? 259000 : 260063), name=var")
        try remnant.spoil(image)
        try image.put(owner)
        return image
    }

    private func disks(_ image: Image, wipe: Bool = false, _ partitions: String) throws -> IgnitionConfig.Storage {
        try storage(
            "{\"disks\": [{\"device\": \"\(image.path)\", \"wipeTable\": \(wipe), \"partitions\": [\(partitions)]}]}")
    }

    @Test("are both seen, and neither is written to", arguments: Owner.allCases, Remnant.allCases)
    func refused(_ owner: Owner, _ remnant: Remnant) throws {
        let image = try disk(owner, remnant)
        let found = try DiskProber().disk(image.path, node: image.path)
        #expect(found.content.signatures.contains { $0.type == owner.type }, "\(found.content)")
        let before = try image.digest()
        let device = image.path
        for config in [
            try disks(image, #"{"number": 1, "label": "var"}"#), try disks(image, #"{"label": "new"}"#),
            try storage("{\"filesystems\": [{\"device\": \"\(device)\", \"format\": \"ext4\"}]}"),
            try storage("{\"luks\": [{\"name\": \"v\", \"device\": \"\(device)\"}]}"),
            try storage("{\"raid\": [{\"name\": \"other\", \"level\": \"raid1\", \"devices\": [\"\(device)\"]}]}"),
        ] {
            let refusal = refusal(config)
            #expect(refusal?.conflicts.isEmpty == false)
            // A member of an array is refused for what its superblock says.
            if config.raid.isEmpty || owner.type != "linux_raid_member" {
                #expect(refusal?.description.contains(owner.name) == true, "\(String(describing: refusal))")
                if config.disks.isEmpty || found.table != .none {
                    #expect(
                        refusal?.description.contains("GPT") == (found.table != .none), "\(String(describing: refusal))"
                    )
                }
            }
        }
        // No partition is asked for: still it is not a GPT to mend.
        let nothing = try disks(image, "")
        if found.table == .none {
            #expect(try DiskStage.plan(nothing, access: .settled).isEmpty)
        } else {
            #expect(refusal(nothing) != nil)
        }
        #expect(try image.digest() == before)
    }

    @Test("go only with an order to wipe the table, and by name", arguments: Owner.allCases, Remnant.allCases)
    func wiped(_ owner: Owner, _ remnant: Remnant) throws {
        for partitions in [#"{"number": 1, "label": "var"}"#, ""] {
            let image = try disk(owner, remnant)
            let found = try DiskProber().disk(image.path, node: image.path)
            let wanted = try disks(image, wipe: true, partitions)
            // A disk without a table is left alone where none is wanted.
            if partitions.isEmpty, found.table == .none { continue }
            let plan = try DiskStage.plan(wanted, access: .settled)
            #expect(
                plan.destroyed.contains { $0.line.contains(owner.name) && $0.reason == "wipeTable" }, "\(plan.lines)")
            try DiskStage.apply(plan, access: .settled)
            let after = try DiskProber().disk(image.path, node: image.path)
            #expect(!after.content.isKnown)
            #expect(after.table.partitions.map(\.label) == (partitions.isEmpty ? [] : ["var"]))
            if partitions.isEmpty {
                #expect(after.table == .none)
                // Not by our own reader alone.
                #expect(try !image.bytes(0..<34 * 512).windows(of: GPTMark.bytes))
                #expect(try !image.bytes(image.size - 34 * 512..<image.size).windows(of: GPTMark.bytes))
                #expect(try run("wipefs", "--noheadings", image.path) == "")
            }
            #expect(try DiskStage.plan(wanted, access: .settled).isEmpty)
        }
    }

    @Test(
        "are left to the operator where the config keeps what a partition holds",
        .enabled(if: isInstalled("mkfs.ext4")),
        arguments: [Owner.lvmFirstSector, .ceph, .luks1, .btrfs])
    func kept(_ owner: Owner) throws {
        let image = try Image(128 << 20)
        try image.partition("1: start=2048, size=64MiB, name=var")
        let inner = try Image(64 << 20)
        try run("mkfs.ext4", "-q", "-F", "-L", "mine", inner.path)
        try image.copy(inner, at: 1 << 20)
        try image.put(owner)
        let before = try image.digest()
        let wanted = try disks(image, wipe: true, #"{"number": 1, "label": "var"}, {"number": 2, "label": "more"}"#)
        let stop = try #require(refusal(wanted))
        #expect(stop.description.contains("ext4 \"mine\"") && stop.description.contains(owner.name))
        let command = try #require(stop.advice.first { $0.contains("wipefs") })
        // What it advises settles it, and takes nothing of what is kept.
        let words = command.drop { $0 != ":" }.dropFirst(2).prefix { $0 != "," }.split(separator: " ").map(String.init)
        try Command(words[0], Array(words.dropFirst())).run()
        #expect(try image.digest() != before)
        let plan = try DiskStage.plan(disks(image, #"{"number": 1, "label": "var"}"#), access: .settled)
        #expect(plan.isEmpty && plan.destroyed.isEmpty)
        let area = DiskArea(node: image.path, bytes: 1 << 20..<65 << 20)
        #expect(try DiskProber.content(of: area).description == "ext4 \"mine\"")
    }

    @Test("an image for discs and sticks has both by design, and is not a disk to edit")
    func image() throws {
        let image = try Image(64 << 20)
        try image.partition("1: start=2048, size=8MiB, name=efi")
        var volume = [UInt8](repeating: 0, count: 2048)
        volume.replaceSubrange(0..<7, with: [1] + Array("CD001".utf8) + [1])
        try image.write(volume, at: 32 << 10)
        let before = try image.digest()
        #expect(try DiskStage.plan(disks(image, #"{"number": 1, "label": "efi"}"#), access: .settled).isEmpty)
        #expect(refusal(try disks(image, #"{"label": "new"}"#))?.description.contains("not a disk to edit") == true)
        let wiping = try DiskStage.plan(disks(image, wipe: true, #"{"label": "new"}"#), access: .settled)
        #expect(wiping.destroyed.contains { $0.line.contains("iso9660") })
        #expect(try image.digest() == before)
    }

    @Test("a table whose copies both are there but for the protective MBR is still somebody's")
    func withoutMBR() throws {
        let image = try Image(64 << 20)
        try image.partition("1: start=2048, size=20MiB, name=one", "2: start=43008, size=10MiB, name=two")
        try image.zero(0..<512)
        let before = try image.digest()
        let config = #"{"filesystems": [{"device": "DEVICE", "format": "ext4", "wipeFilesystem": WIPE}]}"#
        func filesystem(wipe: Bool) throws -> IgnitionConfig.Storage {
            try storage(config.replacing("DEVICE", with: image.path).replacing("WIPE", with: "\(wipe)"))
        }
        #expect(refusal(try filesystem(wipe: false))?.description.contains("a GPT partition table") == true)
        let plan = try DiskStage.plan(filesystem(wipe: true), access: .settled)
        #expect(plan.destroyed.map(\.label) == ["one", "two", ""])
        // Nothing of the config stands on it: it is not mended for its own sake.
        #expect(try DiskStage.plan(disks(image, ""), access: .settled).isEmpty)
        #expect(
            refusal(try disks(image, #"{"label": "three"}"#))?.description.contains("none of the config's partitions")
                == true)
        #expect(try image.digest() == before)
        #expect(try DiskStage.plan(disks(image, #"{"label": "one"}"#), access: .settled).disks[0].action == .repair)
    }

    @Test("a table that nobody can read is told before it goes", .enabled(if: isInstalled("sfdisk")))
    func otherSectors() throws {
        let image = try Image(64 << 20)
        let large = try DiskProber().disk(image.path, node: image.path, sectorSize: 4096)
        var wanted = try disks(image, #"{"label": "a"}"#)
        let layout = DiskLayout(wanted, on: DiskInventory(disks: [large]))
        try DiskStage.apply(try layout.planBlank(), access: .settled)
        wanted = try disks(image, wipe: true, #"{"label": "b"}"#)
        let plan = try DiskStage.plan(wanted, access: .settled)
        #expect(plan.destroyed.map(\.line).first?.contains("sectors of 4096 bytes") == true)
        try DiskStage.apply(plan, access: .settled)
        #expect(try DiskProber().disk(image.path, node: image.path, sectorSize: 4096).table.partitions.isEmpty)
        #expect(try DiskProber().disk(image.path, node: image.path).table.partitions.map(\.label) == ["b"])
    }
}

/// Bytes that say nothing.
@Suite(.serialized, .enabled(if: isInstalled("sfdisk"))) struct Remains {
    private func noise(_ count: Int, _ seed: UInt64 = 1) -> [UInt8] {
        var state = seed
        let block = (0..<min(count, 64 << 10)).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(truncatingIfNeeded: state >> 33)
        }
        var bytes: [UInt8] = []
        while bytes.count < count { bytes += block }
        return Array(bytes.prefix(count))
    }

    @Test("blank, unknown and noise are told apart by their start, middle and end")
    func kinds() throws {
        let image = try Image(16 << 20)
        func kind() throws -> Content.Kind { try Look(image.path).whole.kind }
        #expect(try kind() == .blank)
        let erased = [UInt8](repeating: 0xff, count: 16 << 20)
        try image.write(erased, at: 0)
        #expect(try kind() == .blank)
        try image.write(noise(16 << 20), at: 0)
        #expect(try kind() == .noise)
        try image.zero(0..<64 << 10)
        #expect(try kind() == .unknown)
        for place in [0, 8 << 20, (16 << 20) - 1] {
            try image.zero(0..<16 << 20)
            try image.write([1], at: place)
            #expect(try kind() == .unknown, "at \(place)")
        }
        // An archive has no signature, and is not noise.
        try image.zero(0..<16 << 20)
        try image.write(Array("name".utf8) + [UInt8](repeating: 0, count: 253) + Array("ustar".utf8), at: 0)
        #expect(try kind() == .unknown)
    }

    private func config(_ image: Image, _ more: String = "", wipe: Bool = false) throws -> IgnitionConfig.Storage {
        try storage(
            """
            {"disks": [{"device": "\(image.path)", "wipeTable": \(wipe), "partitions": [{"label": "a", "sizeMiB": 8}]}],
             "filesystems": [{"device": "/dev/disk/by-partlabel/a", "format": "ext4"\(more)}]}
            """)
    }

    @Test("a partition that reads like noise is somebody's; a shredded disk is not")
    func noise() throws {
        let image = try Image(16 << 20)
        try image.write(noise(16 << 20), at: 0)
        // The whole disk: overwritten, and told so.
        let first = try DiskStage.plan(config(image), access: .settled)
        #expect(first.destroyed.isEmpty && first.disks[0].zeroed == [1])
        #expect(first.lines.contains { $0.contains("create, first MiB zeroed") })
        // The power goes after the table is written, before there is a filesystem.
        var tables = first
        tables.filesystems = []
        try DiskStage.apply(tables, access: .settled)
        #expect(try image.bytes(1 << 20..<2 << 20).allSatisfy { $0 == 0 })
        #expect(try image.bytes(2 << 20..<3 << 20) != [UInt8](repeating: 0, count: 1 << 20))
        let second = try DiskStage.plan(config(image), access: .settled)
        #expect(second.filesystems.map(\.action) == [.create] && second.disks.map(\.action) == [.keep])
        #expect(second.lines.contains { $0.contains("create over unknown bytes") })
        // Somebody put a volume without a header there.
        try image.write(noise(8 << 20, 2), at: 1 << 20)
        let before = try image.digest()
        #expect(refusal(try config(image))?.description.contains("looks encrypted") == true)
        let wiping = try DiskStage.plan(config(image, #", "wipeFilesystem": true"#), access: .settled)
        #expect(wiping.destroyed.first?.line.contains("looks encrypted") == true)
        #expect(try image.digest() == before)
    }

    @Test("nothing that is known is zeroed, nor what an old entry holds", .enabled(if: isInstalled("mkfs.ext4")))
    func zeroing() throws {
        let inner = try Image(8 << 20)
        try run("mkfs.ext4", "-q", "-F", "-L", "mine", inner.path)
        // The table is gone, and what stood in its partition begins where the new one will.
        let image = try Image(64 << 20)
        try image.copy(inner, at: 1 << 20)
        let found = try DiskStage.plan(config(image), access: .settled)
        #expect(found.disks[0].zeroed == [] && found.filesystems.map(\.action) == [.keep])
        // An entry made anew over an old one: content stays.
        for wanted in [
            #"{"number": 1, "label": "b", "wipePartitionEntry": true}"#,
            #"{"number": 1, "label": "b", "sizeMiB": 20, "wipePartitionEntry": true}"#,
        ] {
            let old = try Image(64 << 20)
            try old.write(noise(9 << 20), at: 1 << 20)
            try old.partition("1: start=2048, size=8MiB, name=a")
            let plan = try DiskStage.plan(
                storage("{\"disks\": [{\"device\": \"\(old.path)\", \"partitions\": [\(wanted)]}]}"), access: .settled)
            #expect(plan.disks[0].zeroed == [])
            let content = try old.bytes(1 << 20..<9 << 20)
            try DiskStage.apply(plan, access: .settled)
            #expect(try old.bytes(1 << 20..<9 << 20) == content)
        }
        let grown = try Image(64 << 20)
        try grown.write(noise(9 << 20), at: 1 << 20)
        try grown.partition("1: start=2048, size=4MiB, name=old")
        let content = try grown.bytes(1 << 20..<5 << 20)
        let wanted =
            "{\"disks\": [{\"device\": \"\(grown.path)\", \"wipeTable\": true, \"partitions\": [{\"label\": \"a\"}]}]}"
        let plan = try DiskStage.plan(storage(wanted), access: .settled)
        #expect(plan.disks[0].zeroed == [])
        try DiskStage.apply(plan, access: .settled)
        #expect(try grown.bytes(1 << 20..<5 << 20) == content)
    }

    @Test(
        "a partition whose content keeps its metadata at the end keeps its size",
        arguments: [Owner.raid090, .raid10, .drbd, .zfs, .zfsEnd, .geom], [4, 16])
    func ends(_ owner: Owner, size: Int) throws {
        let inner = try Image(8 << 20)
        try inner.put(owner)
        let image = try Image(64 << 20)
        try image.copy(inner, at: 1 << 20)
        try image.partition("1: start=2048, size=8MiB, name=a")
        for wanted in ["\"resize\": true", "\"wipePartitionEntry\": true"] {
            let before = try image.digest()
            let config = try storage(
                """
                {"disks": [{"device": "\(image.path)", "partitions":
                    [{"number": 1, "label": "a", "startMiB": 1, "sizeMiB": \(size), \(wanted)}]}]}
                """)
            // What is cut off by an order to make the entry anew is told as lost.
            if size < 8, wanted != "\"resize\": true" { continue }
            #expect(refusal(config)?.description.contains("uses its end too") == true)
            #expect(try image.digest() == before)
        }
    }

    @Test("a vfat with files in it is finished, whatever mark it bears", .enabled(if: isInstalled("mkfs.fat")))
    func vfat() throws {
        for (bits, inRoot) in [("12", false), ("16", false), ("32", false), ("12", true), ("16", true), ("32", true)] {
            let image = try Image(64 << 20)
            try run("mkfs.fat", "-F", bits, "-s", ["12": "64", "16": "4"][bits] ?? "1", "-n", "HALF", image.path)
            try InProgressMarker.write(true, for: .vfat, on: image.path)
            let wanted = try storage(
                "{\"filesystems\": [{\"device\": \"\(image.path)\", \"format\": \"vfat\", \"label\": \"WHOLE\"}]}")
            #expect(try DiskStage.plan(wanted, access: .settled).filesystems.map(\.action) == [.create])
            let head = try image.bytes(0..<512)
            func number(_ at: Int, _ count: Int) -> Int {
                (0..<count).reduce(0) { $0 | Int(head[at + $1]) << (8 * $1) }
            }
            let table = number(0x0e, 2) * 512
            let root = table + number(0x10, 1) * (bits == "32" ? number(0x24, 4) : number(0x16, 2)) * 512
            if inRoot {
                // Behind the label: an empty file takes no cluster.
                try image.write(Array("FILE       ".utf8) + [0x20], at: root + 32)
            } else {
                try image.write([0xff, 0xff, 0xff, 0x0f], at: table + 40)
            }
            #expect(refusal(wanted)?.description.contains("vfat \"HALF\"") == true)
        }
    }
}

/// Whether what an array's member holds is blank, and whether advice works.
@Suite(.serialized) struct Marks {
    /// A member of a raid1 that was never started.
    private func neverStarted(_ image: Image) throws {
        try image.put(.raid12)
        var block = try image.bytes(4096..<4608)
        block.replaceSubrange(136..<144, with: [0, 0, 1, 0, 0, 0, 0, 0])  // 32 MiB of data
        block.replaceSubrange(200..<208, with: [UInt8](repeating: 0, count: 8))
        block.replaceSubrange(216..<220, with: [0, 0, 0, 0])
        let sum = stride(from: 0, to: 512, by: 4).reduce(UInt64(0)) { sum, at in
            sum + (0..<4).reduce(0) { $0 | UInt64(block[at + $1]) << (8 * UInt64($1)) }
        }
        let folded = (sum & 0xffff_ffff) + (sum >> 32)
        block.replaceSubrange(216..<220, with: (0..<4).map { UInt8(truncatingIfNeeded: folded >> (8 * UInt64($0))) })
        try image.write(block, at: 4096)
    }

    @Test("an array around a filesystem is not an unfinished one", arguments: [Owner.btrfs, .swap, .bcachefs, .zfsEnd])
    func around(_ owner: Owner) throws {
        let images = [try Image(64 << 20), try Image(64 << 20)]
        let inner = try Image(32 << 20)
        try neverStarted(images[0])
        let devices = images.map { "\"\($0.path)\"" }.joined(separator: ", ")
        let wanted = try storage("{\"raid\": [{\"name\": \"data\", \"level\": \"raid1\", \"devices\": [\(devices)]}]}")
        func action() throws -> ArrayPlan.Action? {
            let layout = DiskLayout(wanted, on: try DiskProber().inventory(wanted))
            return layout.arrayPlans(try DiskProber().contents(layout.areas, of: layout)).first?.action
        }
        #expect(try action() == .create)
        // What tells of it stands between the samples of a blank range.
        for (place, bytes) in try owner.pieces(of: inner.size, over: { try inner.bytes($0) }) {
            try images[0].write(bytes, at: 1 << 20 + place)
        }
        #expect(try action() == .keep)
    }

    @Test(
        "the advice erases all that is in the way, and nothing of what is kept",
        .enabled(if: isInstalled("mkfs.ext4", "e2fsck", "wipefs")),
        arguments: [
            [Owner.zfs], [.zfsEnd], [.bcachefs], [.qnx6], [.geom], [.raid10], [.raid090], [.drbd], [.isw], [.promise],
            [.zfs, .geom], [.zfsEnd, .raid10], [.bcachefs, .geom, .drbd],
        ])
    func advice(_ owners: [Owner]) throws {
        for uberblocks in [5, 3] {
            let image = try Image(64 << 20)
            try run("mkfs.ext4", "-q", "-F", "-L", "mine", image.path)
            for owner in owners {
                var left = uberblocks
                for (place, bytes) in try owner.pieces(of: image.size, over: { try image.bytes($0) }) {
                    // A young pool has fewer of them than libblkid asks for.
                    let isUberblock = bytes.starts(with: [0x0c, 0xb1, 0xba])
                    if isUberblock { left -= 1 }
                    if !isUberblock || left >= 0 { try image.write(bytes, at: place) }
                }
            }
            // The mark of bcachefs' layout, beside that of its superblock.
            if owners.contains(.bcachefs) {
                try image.write(image.bytes(4120..<4136), at: 3584)
            }
            let wanted = try storage(
                "{\"filesystems\": [{\"device\": \"\(image.path)\", \"format\": \"ext4\", \"label\": \"mine\"}]}")
            let stop = try #require(refusal(wanted))
            let line = try #require(stop.advice.first { $0.hasPrefix("To keep ext4 \"mine\": ") })
            let command = line.dropFirst("To keep ext4 \"mine\": ".count).dropLast(", once.".count)
            try run("sh", "-c", String(command))
            let holds = try Look(image.path).whole
            #expect(holds.description == "ext4 \"mine\"", "\(uberblocks): \(command)")
            #expect(try DiskStage.plan(wanted, access: .settled).filesystems.map(\.action) == [.keep])
            if owners == [.zfsEnd] { try run("e2fsck", "-fn", image.path) }
        }
    }
}

extension [UInt8] {
    /// Whether the bytes stand in it anywhere.
    fileprivate func windows(of bytes: [UInt8]) -> Bool {
        indices.contains { index in self[index...].starts(with: bytes) }
    }
}
