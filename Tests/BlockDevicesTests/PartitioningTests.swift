import DiskFormats
import DiskPlanning
import Glibc
import IgnitionConfig
import LinuxSystem
import Reporting
import SystemPackage
import Testing

@testable import BlockDevices

@Suite(.serialized, .enabled(if: isInstalled("sgdisk", "sfdisk"))) struct Partitioning {
    func config(_ image: Image, wipe: Bool = false, _ partitions: String) throws -> IgnitionConfig.Storage {
        try storage(
            "{\"disks\": [{\"device\": \"\(image.path)\", \"wipeTable\": \(wipe), \"partitions\": [\(partitions)]}]}")
    }

    /// Plans and applies; returns the plan's actions for the table.
    @discardableResult
    func provision(_ storage: IgnitionConfig.Storage) throws -> [DiskPlan.TableAction] {
        let plan = try DiskStage.plan(storage, access: .settled)
        try DiskStage.apply(plan, access: .settled)
        return plan.disks.map(\.action)
    }

    /// What sgdisk, which shares no code with us, reads: `1 2048 206847 "var"`.
    func sgdisk(_ image: Image) throws -> [String] {
        let text = try run("sgdisk", "-p", image.path)
        let rows = text.split(separator: "\n").drop { !$0.hasPrefix("Number") }.dropFirst()
        return rows.map { row in
            let fields = row.split(separator: " ", omittingEmptySubsequences: true)
            return "\(fields[0]) \(fields[1]) \(fields[2]) \(fields.dropFirst(6).joined(separator: " "))"
        }
    }

    private func refusal(_ storage: IgnitionConfig.Storage) -> String? {
        do throws(BootFailure) {
            _ = try DiskStage.plan(storage, access: .settled)
            return nil
        } catch {
            return "\(error.cause)"
        }
    }

    @Test("writes a table that sgdisk reads as we meant it")
    func creates() throws {
        let image = try Image(1 << 30)
        let wanted = try config(
            image, wipe: true,
            """
            {"number": 2, "label": "größe", "sizeMiB": 100, "guid": "0a1b2c3d-0000-4000-8000-000000000001",
             "typeGuid": "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"},
            {"number": 5, "label": "at 500", "startMiB": 500, "sizeMiB": 7},
            {"label": "rest"}
            """)
        #expect(try provision(wanted) == [.create])
        #expect(
            try sgdisk(image) == ["1 1038336 2097118 rest", "2 2048 206847 größe", "5 1024000 1038335 at 500"])
        let info = try run("sgdisk", "-i", "2", image.path)
        #expect(info.contains("0A1B2C3D-0000-4000-8000-000000000001"))
        #expect(info.contains("C12A7328-F81F-11D2-BA4B-00A0C93EC93B"))
        #expect(try run("sgdisk", "-v", image.path).contains("No problems found"))
        #expect(try run("sgdisk", "-p", image.path).contains("First usable sector is 34"))

        // Again, and again with orders to wipe: not a byte changes.
        let before = try image.digest()
        #expect(try provision(wanted) == [.keep])
        #expect(try image.digest() == before)
    }

    @Test("lays partitions out where sgdisk would")
    func likeSgdisk() throws {
        let ours = try Image(1 << 30)
        let theirs = try Image(1 << 30)
        for image in [ours, theirs] {
            try image.partition("1: start=2048, size=100MiB, name=a", "2: start=1024000, size=10MiB, name=b")
        }
        let both = try config(ours, #"{"number": 3, "label": "c", "sizeMiB": 30}, {"number": 4, "label": "d"}"#)
        try provision(both)
        try run("sgdisk", "-n", "3:0:+30M", "-c", "3:c", "-n", "4:0:+0", "-c", "4:d", theirs.path)
        #expect(try sgdisk(ours) == sgdisk(theirs))
    }

    @Test("counts in sectors of 4096 bytes")
    func largeSectors() throws {
        let image = try Image(1 << 30)
        let wanted = try config(image, #"{"label": "a", "sizeMiB": 100}, {"label": "b"}"#).disks[0]
        let disk = try DiskProber().disk(image.path, node: image.path, sectorSize: 4096)
        var storage = IgnitionConfig.Storage()
        storage.disks = [wanted]
        let plan = try DiskLayout(storage, on: DiskInventory(disks: [disk])).planBlank()
        try DiskStage.apply(plan, access: .settled)
        let made = try DiskProber().disk(image.path, node: image.path, sectorSize: 4096).table
        #expect(made.partitions.map(\.sectors) == [256..<25856, 25856..<262139])
        guard case .gpt(let gpt) = made else {
            Issue.record("no GPT: \(made)")
            return
        }
        #expect(gpt.damage.isEmpty && gpt.usable == 6..<262139)
        #expect(try BlockProbe(image.path, sectorSize: 4096).table() == "gpt")
    }

    @Test("changes only the entries that change")
    func edits() throws {
        let image = try Image(1 << 30)
        try image.partition(
            "1: start=2048, size=100MiB, name=root, attrs=GUID:60", "2: start=206848, size=100MiB, name=old",
            "4: start=411648, size=10MiB, name=gone")
        let before = try run("sgdisk", "-i", "1", image.path)
        let wanted = try config(
            image,
            """
            {"number": 2, "label": "new", "startMiB": 101, "sizeMiB": 100, "wipePartitionEntry": true},
            {"number": 4, "shouldExist": false, "wipePartitionEntry": true}, {"number": 3, "label": "more", "sizeMiB": 50}
            """)
        #expect(try provision(wanted) == [.edit])
        #expect(try sgdisk(image) == ["1 2048 206847 root", "2 206848 411647 new", "3 411648 514047 more"])
        #expect(try run("sgdisk", "-i", "1", image.path) == before)
        #expect(try provision(wanted) == [.keep])
    }

    @Test("resizing keeps number, GUID, name and attributes")
    func resizes() throws {
        let image = try Image(1 << 30)
        try image.partition(
            "1: start=2048, size=100MiB, name=var, attrs=GUID:60, type=933AC7E1-2EB4-4F13-B844-0E14E2AEF915")
        let before = try run("sgdisk", "-i", "1", image.path)
        let wanted = try config(image, #"{"number": 1, "sizeMiB": 300, "resize": true}"#)
        #expect(try provision(wanted) == [.edit])
        #expect(try sgdisk(image) == ["1 2048 616447 var"])
        let after = try run("sgdisk", "-i", "1", image.path)
        func lasting(_ text: String) -> [Substring] {
            text.split(separator: "\n").filter { !$0.hasPrefix("Last sector") && !$0.hasPrefix("Partition size") }
        }
        #expect(lasting(after) == lasting(before))
        #expect(try provision(wanted) == [.keep])
    }

    @Test("a table that lost a copy reads as it was, and is mended with the next change")
    func damage() throws {
        let image = try Image(64 << 20)
        let wanted = try config(image, #"{"label": "a", "sizeMiB": 10}"#)
        try provision(wanted)
        func damage() throws -> [FoundGPT.Damage]? {
            guard case .gpt(let gpt) = try DiskProber().disk(image.path, node: image.path).table else { return nil }
            return gpt.damage
        }
        let size = image.size
        for (range, expected) in [
            (512..<1024, FoundGPT.Damage.primary), (1024..<2048, .primary), (size - 512..<size, .backup),
            (size - 33 * 512..<size - 512, .backup), (0..<512, .protectiveMBR),
        ] {
            try image.zero(range)
            #expect(try damage() == [expected])
            let untouched = try image.digest()
            #expect(try provision(wanted) == [expected == .protectiveMBR ? .repair : .keep])
            if expected != .protectiveMBR {
                #expect(try image.digest() == untouched)
                // Any change writes both copies.
                try provision(config(image, #"{"label": "a"}, {"number": 9, "label": "b", "sizeMiB": 1}"#))
                try provision(
                    config(image, #"{"label": "a"}, {"number": 9, "shouldExist": false, "wipePartitionEntry": true}"#))
            }
            #expect(try damage() == [])
            #expect(try run("sgdisk", "-v", image.path).contains("No problems found"))
        }
        try image.zero(512..<1024)
        try image.zero(size - 512..<size)
        #expect(refusal(wanted) == "\(image.path) holds a GPT of which neither copy can be read.")
    }

    @Test("a disk that has grown keeps its table until something changes")
    func grown() throws {
        let image = try Image(64 << 20)
        try provision(config(image, #"{"label": "a"}"#))
        #expect(truncate(image.path, 128 << 20) == 0)
        let before = try image.digest()
        #expect(try provision(config(image, wipe: true, #"{"label": "a", "sizeMiB": 0}"#)) == [.keep])
        #expect(try image.digest() == before)
        #expect(try provision(config(image, #"{"number": 1, "label": "a", "sizeMiB": 20, "resize": true}"#)) == [.edit])
        #expect(try sgdisk(image) == ["1 2048 43007 a"])
        #expect(try run("sgdisk", "-v", image.path).contains("No problems found"))
    }

    @Test(
        "of a disk that has lost sectors at its end, as behind another controller, no partition is overwritten",
        arguments: [1, 2, 33, 34, 2048, 65_536], [true, false])
    func shrunk(_ sectors: Int, _ isEdited: Bool) throws {
        let size = 64 << 20
        let image = try Image(size)
        try provision(config(image, #"{"label": "a", "sizeMiB": 10}, {"label": "b"}"#))
        // The second partition ends where the table's second copy begins.
        #expect(truncate(image.path, size - sectors * 512) == 0)
        let before = try image.digest()
        let first = isEdited ? #"{"label": "a", "sizeMiB": 5, "resize": true}"# : #"{"label": "a"}"#
        let wanted = try config(image, #"\#(first), {"label": "b"}"#)
        let said = refusal(wanted)
        switch sectors {
        case 34...:
            let more = ByteCount(512 * sectors)
            #expect(said?.contains("a GPT of a disk that has \(more) more") == true, "\(said ?? "")")
        case _ where isEdited:
            #expect(said?.hasPrefix("\(image.path)2 reaches to the end of its disk") == true, "\(said ?? "")")
        default: #expect(try provision(wanted) == [.keep])
        }
        #expect(try image.digest() == before)
    }

    @Test("such a disk is edited and repaired where its partitions leave room for the second copy")
    func shrunkWithRoom() throws {
        let size = 64 << 20
        let image = try Image(size)
        try provision(config(image, #"{"label": "a", "sizeMiB": 10}, {"label": "b"}"#))
        #expect(truncate(image.path, size - 2 * 512) == 0)
        let whole = try image.bytes(0..<512)
        // Without its protective MBR the table would be written, too.
        try image.zero(0..<512)
        let kept = #"{"label": "a"}, {"label": "b"}"#
        #expect(refusal(try config(image, kept))?.contains("2 reaches to the end") == true)
        try image.write(whole, at: 0)
        let smaller = #"{"label": "a"}, {"label": "b", "sizeMiB": 20, "resize": true}"#
        #expect(try provision(config(image, smaller)) == [.edit])
        #expect(try sgdisk(image) == ["1 2048 22527 a", "2 22528 63487 b"])
        #expect(try run("sgdisk", "-v", image.path).contains("No problems found"))
        #expect(truncate(image.path, size - 4 * 512) == 0)
        try image.zero(0..<512)
        #expect(try provision(config(image, kept)) == [.repair])
        #expect(try run("sgdisk", "-v", image.path).contains("No problems found"))
    }

    @Test(
        "a boot loader between the header and entries that stand elsewhere is not overwritten",
        arguments: [nil, .backup, .protectiveMBR] as [FoundGPT.Damage?])
    func entriesElsewhere(_ damage: FoundGPT.Damage?) throws {
        let size = 64 << 20
        let image = try Image(size)
        _ = try run("sgdisk", "-j", "1000", "-n", "1:2048:+10M", "-c", "1:a", image.path)
        let loader = [UInt8](repeating: 0xa5, count: 32 * 512)
        try image.write(loader, at: 1024)
        switch damage {
        case .backup: try image.zero(size - 512..<size)
        case .protectiveMBR: try image.zero(0..<512)
        default: break
        }
        #expect(try provision(config(image, #"{"label": "a"}"#)) == [damage == .protectiveMBR ? .repair : .keep])
        #expect(try provision(config(image, #"{"label": "a"}, {"label": "b", "sizeMiB": 4}"#)) == [.edit])
        #expect(try image.bytes(1024..<1024 + loader.count) == loader)
        #expect(try run("sgdisk", "-v", image.path).contains("No problems found"))
    }

    /// The table's parts in the order in which they reach the disk: the second copy's entries and
    /// header, the first copy's, the protective MBR.
    private func parts(_ size: Int) -> [Range<Int>] {
        [size - 33 * 512..<size - 512, size - 512..<size, 1024..<17408, 512..<1024, 0..<512]
    }

    @Test(
        "a power cut between any two writes of a table leaves what the next boot finishes",
        arguments: ["blank", "another table", "one more partition"], [false, true])
    func powerCut(_ start: String, wipe: Bool) throws {
        let size = 64 << 20
        let before = try Image(size)
        let wanted = #"{"label": "a", "sizeMiB": 10}, {"label": "b"}"#
        switch start {
        case "another table":
            guard wipe else { return }
            try provision(config(before, #"{"number": 7, "label": "old", "startMiB": 20}"#))
        case "one more partition": try provision(config(before, #"{"label": "a", "sizeMiB": 10}"#))
        default: break
        }
        let after = try Image(size)
        for part in parts(size) { try after.write(before.bytes(part), at: part.lowerBound) }
        try provision(config(after, wipe: wipe, wanted))
        let made = try partitions(after)

        for written in 0...5 {
            for torn in [false, true] {
                let image = try Image(size)
                for (index, part) in parts(size).enumerated() {
                    try image.write((index < written ? after : before).bytes(part), at: part.lowerBound)
                    // Of a write of many sectors only the first may have arrived.
                    if torn, index == written, part.count > 512 {
                        try image.write(
                            after.bytes(part.lowerBound..<part.lowerBound + 512), at: part.lowerBound)
                    }
                }
                try provision(config(image, wipe: wipe, wanted))
                #expect(try partitions(image) == made, "after \(written) writes\(torn ? " and a part" : "")")
            }
        }
    }

    private func partitions(_ image: Image) throws -> [String] {
        try DiskProber().disk(image.path, node: image.path).table.partitions.map {
            "\($0.number) \($0.sectors) \($0.label)"
        }
    }

    @Test("an MBR is refused, and its partitions named when it is wiped")
    func mbr() throws {
        let image = try Image(64 << 20)
        var sector = [UInt8](repeating: 0, count: 512)
        sector.replaceSubrange(446..<462, with: [0, 0, 2, 0, 0x83, 0xff, 0xff, 0xff, 0, 8, 0, 0, 0, 0, 1, 0])
        sector.replaceSubrange(510..<512, with: [0x55, 0xaa])
        try image.write(sector, at: 0)
        #expect(
            refusal(try config(image, #"{"label": "a"}"#))
                == "\(image.path) holds an MBR partition table; only a GPT can be edited. "
                + "In its partitions: 1: nothing.")
        let wiping = try config(image, wipe: true, #"{"label": "a", "sizeMiB": 10}"#)
        let plan = try DiskStage.plan(wiping, access: .settled)
        #expect(plan.destroyed.map(\.line) == ["\(image.path)1 nothing known in it, 32 MiB (wipeTable, config.ign:1)"])
        try DiskStage.apply(plan, access: .settled)
        #expect(try sgdisk(image) == ["1 2048 22527 a"])
        #expect(try provision(wiping) == [.keep])
    }

    /// A disk with an MBR of one partition from 1 MiB on, and bytes in it that no mark explains.
    private func withMBR(_ size: Int, partition: Int) throws -> Image {
        let image = try Image(size)
        var sector = [UInt8](repeating: 0, count: 512)
        let count = UInt32(partition / 512)
        let length = (0..<4).map { UInt8(truncatingIfNeeded: count >> (8 * UInt32($0))) }
        sector.replaceSubrange(446..<462, with: [0, 0, 2, 0, 0x83, 0xff, 0xff, 0xff, 0, 8, 0, 0] + length)
        sector.replaceSubrange(510..<512, with: [0x55, 0xaa])
        try image.write(sector, at: 0)
        try image.write(Array("unknown bytes".utf8), at: 1 << 20)
        return image
    }

    @Test("a power cut while a GPT takes the place of an MBR costs no byte of a partition that stays in its place")
    func powerCutOverMBR() throws {
        let size = 64 << 20
        let before = try withMBR(size, partition: 20 << 20)
        let wanted = #"{"label": "a", "sizeMiB": 20}, {"label": "b"}"#
        func apply(_ image: Image) throws {
            let plan = try DiskStage.plan(config(image, wipe: true, wanted), access: .settled)
            #expect(plan.destroyed.isEmpty && plan.disks[0].zeroed == [2] || plan.disks[0].action == .keep)
            try DiskStage.apply(plan, access: .settled)
            #expect(try image.bytes(1 << 20..<(1 << 20) + 13) == Array("unknown bytes".utf8))
        }
        func copy() throws -> Image {
            let image = try Image(size)
            try image.write(before.bytes(0..<size), at: 0)
            return image
        }
        let after = try copy()
        try apply(after)
        let made = try sgdisk(after)
        for written in 0...5 {
            let image = try copy()
            for part in parts(size).prefix(written) { try image.write(after.bytes(part), at: part.lowerBound) }
            let found = try DiskStage.plan(config(image, wipe: true, wanted), access: .settled)
            #expect(found.destroyed.isEmpty && found.disks[0].partitions[0].change != .create, "\(written)")
            try DiskStage.apply(found, access: .settled)
            #expect(try image.bytes(1 << 20..<(1 << 20) + 13) == Array("unknown bytes".utf8), "\(written)")
            #expect(try sgdisk(image) == made)
        }
        // After what is erased before the table is written.
        let image = try copy()
        let plan = try DiskStage.plan(config(image, wipe: true, wanted), access: .settled)
        try DiskStage.eraseOld(plan.disks[0])
        try apply(image)
        #expect(try sgdisk(image) == made)
    }

    @Test("marks of a partition that goes with an MBR go before the table does")
    func marksOverMBR() throws {
        let image = try withMBR(64 << 20, partition: 63 << 20)
        // The member of an old array, to the end of the disk: without its partition it would be the disk's own.
        let inner = try Image(63 << 20)
        try inner.put(.raid090)
        try image.copy(inner, at: 1 << 20)
        let wanted = try config(image, wipe: true, #"{"label": "a", "sizeMiB": 20}"#)
        let plan = try DiskStage.plan(wanted, access: .settled)
        #expect(plan.destroyed.map(\.content.description) == ["RAID member"])
        try DiskStage.apply(plan, access: .settled)
        #expect(try DiskStage.plan(wanted, access: .settled).isEmpty)
        #expect(try !DiskProber().disk(image.path, node: image.path).content.isKnown)
    }

    @Test("a filesystem on the bare disk is not overrun", .enabled(if: isInstalled("mkfs.ext4")))
    func bareDisk() throws {
        let image = try Image(64 << 20)
        try run("mkfs.ext4", "-q", "-F", "-L", "backup", image.path)
        let before = try image.digest()
        #expect(
            refusal(try config(image, #"{"label": "a"}"#))?.contains("holds ext4 \"backup\" without a partition table")
                == true)
        #expect(try image.digest() == before)
        #expect(try provision(config(image, wipe: true, #"{"label": "a"}"#)) == [.replace])
        #expect(try !DiskProber().disk(image.path, node: image.path).content.isKnown)
    }

    @Test("a signature beside a GPT is nothing to write past", .enabled(if: isInstalled("mkfs.btrfs")))
    func besideTable() throws {
        let image = try Image(200 << 20)
        try run("mkfs.btrfs", "-q", image.path)
        let superblock = try image.bytes(64 << 10..<68 << 10)
        try image.partition("1: start=2048, size=10MiB, name=old")
        try image.write(superblock, at: 64 << 10)
        let before = try image.digest()
        let edit = try config(image, #"{"label": "a", "number": 2, "sizeMiB": 10}"#)
        #expect(refusal(edit)?.contains("holds btrfs beside a GPT partition table") == true)
        #expect(try image.digest() == before)
        let wiping = try config(image, wipe: true, #"{"label": "b"}"#)
        let destroyed = try DiskStage.plan(wiping, access: .settled).destroyed
        #expect(destroyed.first?.content.signatures.map(\.type) == ["btrfs"])
        #expect(try provision(wiping) == [.replace])
        #expect(try !DiskProber().disk(image.path, node: image.path).content.isKnown)
    }

    @Test("erases a table where none is wanted")
    func erases() throws {
        let image = try Image(64 << 20)
        try provision(config(image, #"{"label": "a"}"#))
        #expect(try provision(config(image, wipe: true, "")) == [.erase])
        #expect(try DiskProber().disk(image.path, node: image.path).table == .none)
        #expect(try provision(config(image, wipe: true, "")) == [.keep])
    }

    @Test("writes nothing to a disk that changed after it was planned")
    func changed() throws {
        let image = try Image(64 << 20)
        let plan = try DiskStage.plan(config(image, #"{"label": "a"}"#), access: .settled)
        try image.partition("1: start=2048")
        let before = try image.digest()
        #expect(throws: BootFailure.self) { try DiskStage.apply(plan, access: .settled) }
        #expect(try image.digest() == before)
    }

    @Test("headers with flipped bits lead to a plan or a refusal, never to a write", arguments: 0..<100)
    func hostile(_ seed: UInt64) throws {
        let image = try Image(64 << 20)
        try provision(config(image, #"{"label": "a", "sizeMiB": 10}, {"label": "b", "sizeMiB": 10}"#))
        var state = seed
        func random(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
        for _ in 0...random(6) {
            let place = random(2) == 0 ? random(2048) : image.size - 1 - random(17 * 1024)
            try image.write([UInt8(random(256))], at: place)
        }
        let before = try image.digest()
        _ = refusal(try config(image, wipe: seed % 2 == 0, #"{"number": 1, "label": "a"}, {"label": "c"}"#))
        _ = try DeviceDescription(image.path)
        #expect(try image.digest() == before)
    }
}
