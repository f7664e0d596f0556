import DiskFormats
import IgnitionConfig
import SeededNumbers
import Testing

@testable import DiskPlanning

private let mebi: UInt64 = 2048  // sectors of 512 bytes
private let guid = "11111111-2222-4333-8444-555555555555"
private let esp = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"

/// A config entry; what is left out stays absent.
private func want(
    _ number: Int? = 2, label: String? = nil, start: Int? = nil, size: Int? = nil, type: String? = nil,
    guid: String? = nil, exists: Bool? = nil, wipe: Bool? = nil, resize: Bool? = nil
) -> IgnitionConfig.Partition {
    var wanted = IgnitionConfig.Partition()
    wanted.number = number
    wanted.label = label
    wanted.startMiB = start
    wanted.sizeMiB = size
    wanted.typeGuid = type
    wanted.guid = guid
    wanted.shouldExist = exists
    wanted.wipePartitionEntry = wipe
    wanted.resize = resize
    return wanted
}

private func disk(_ wanted: [IgnitionConfig.Partition], wipeTable: Bool = false) -> IgnitionConfig.Disk {
    var disk = IgnitionConfig.Disk()
    disk.device = "/dev/vda"
    disk.wipeTable = wipeTable
    disk.partitions = wanted
    return disk
}

private func found(
    _ number: Int, _ miB: Range<UInt64>, label: String = "", type: String = PlannedPartition.defaultType,
    guid partitionGUID: String = guid, perMiB: UInt64 = mebi, users: [DeviceUse] = []
) -> FoundPartition {
    FoundPartition(
        number: number, label: label, guid: partitionGUID, type: type,
        sectors: miB.lowerBound * perMiB..<miB.upperBound * perMiB, users: users)
}

/// A disk of 1000 MiB.
private func machine(_ partitions: [FoundPartition]?, sectorSize: UInt64 = 512) -> FoundDisk {
    let size: UInt64 = 1000 << 20
    let usable = SectorGeometry(sectorSize: sectorSize).usable(diskSize: size)
    return FoundDisk(
        path: "/dev/vda", node: "/dev/vda", size: size, sectorSize: sectorSize,
        table: partitions.map { .gpt(FoundGPT(usable: usable, partitions: $0)) } ?? .none)
}

/// What becomes of the table in a few words: `2 keep 100+100`, `conflict size`.
private func story(_ config: IgnitionConfig.Disk, on disk: FoundDisk) -> [String] {
    let outcome = PartitionPlanner(config, on: disk).plan()
    let perMiB = (1 << 20) / disk.sectorSize
    func miB(_ sectors: UInt64) -> String {
        sectors.isMultiple(of: perMiB) ? "\(sectors / perMiB)" : "\(sectors)s"
    }
    guard outcome.conflicts.isEmpty else { return outcome.conflicts.map { "conflict: \($0)" } }
    var words = outcome.plan.partitions.filter { $0.entry != nil }.map {
        "\($0.number) \($0.change.word) \(miB($0.sectors.lowerBound))+\(miB($0.sectors.length))"
    }
    words += outcome.plan.lost.map { "\($0.number) lost" }
    return ["\(outcome.plan.action)"] + words
}

/// The same disk, grown by 200 MiB: its second copy is where its end was.
private func grown(_ partitions: [FoundPartition]) -> FoundDisk {
    var disk = machine(partitions)
    disk.size = 1200 << 20
    let usable = SectorGeometry(sectorSize: 512).usable(diskSize: 1000 << 20)
    let moved = SectorGeometry(sectorSize: 512).usable(diskSize: disk.size)
    disk.table = .gpt(FoundGPT(usable: usable, usableWhenMoved: moved, partitions: partitions))
    return disk
}

@Suite struct GrownDisks {
    private let whole = FoundPartition(
        number: 1, label: "var", guid: guid, type: PlannedPartition.defaultType, sectors: mebi..<1000 * mebi - 33)

    @Test("what the disk has grown by is free for a new partition, and for one that may be resized")
    func room() {
        #expect(
            story(disk([want(1, label: "var"), want(2, label: "new", size: 100)]), on: grown([whole]))
                == ["edit", "1 keep 1+2045919s", "2 create 1000+100"])
        #expect(
            story(disk([want(1, label: "var", size: 0, resize: true)]), on: grown([whole])) == [
                "edit", "1 resize 1+2455519s",
            ])
    }

    @Test("what another table's copy at the end may name is not free")
    func another() {
        var there = grown([whole])
        guard case .gpt(var gpt) = there.table else { return }
        gpt.endIsAnothers = true
        there.table = .gpt(gpt)
        let wanted = disk([want(1, label: "var"), want(2, label: "new", size: 100)])
        let conflicts = PartitionPlanner(wanted, on: there).plan().conflicts
        #expect(
            conflicts.first?.description.hasSuffix(
                "; the end of the disk has the copy of another table, which names partitions") == true)
        #expect(conflicts.count == 1 && conflicts.first?.advice.last?.contains("sgdisk --move-second-header") == true)
        // Any change would have libfdisk move this table's copy there.
        let smaller = disk([want(1, label: "var", size: 500, resize: true)])
        #expect(
            story(smaller, on: there) == [
                "conflict: /dev/vda has at its end the copy of another table, which names partitions; a change would "
                    + "overwrite it"
            ])
        #expect(
            story(disk([want(1, label: "var", size: 0, resize: true)]), on: there) == ["keep", "1 keep 1+2045919s"])
    }

    @Test("a partition that may not be resized stays what it is")
    func stays() {
        #expect(story(disk([want(1, label: "var", size: 0)]), on: grown([whole])) == ["keep", "1 keep 1+2045919s"])
        #expect(
            story(disk([want(1, label: "var", resize: true)]), on: grown([whole])) == ["keep", "1 keep 1+2045919s"])
        // Its 0 is the end that it had; a partition behind it would have to follow another table.
        #expect(
            story(disk([want(1, label: "var", size: 0), want(2, label: "new")]), on: grown([whole])).first?
                .hasPrefix("conflict") == true)
    }
}

@Suite struct PartitionMatching {
    struct Row: CustomTestStringConvertible, Sendable {
        var testDescription: String
        var wanted: IgnitionConfig.Partition
        var story: [String]
        init(_ name: String, _ wanted: IgnitionConfig.Partition, _ story: String...) {
            testDescription = name
            self.wanted = wanted
            self.story = story
        }
    }

    /// On the disk: 1 "root" 1...100 MiB (not in the config), 2 "data" 100...200 MiB, of type ESP.
    private let present = [found(1, 1..<100, label: "root"), found(2, 100..<200, label: "data", type: esp)]
    private static let differs = "conflict: /dev/vda2 \"data\" is not what the config wants: "

    @Test(
        "follows the contract's table",
        arguments: [
            // Not there
            Row("absent, unwanted", want(3, exists: false), "keep"),
            Row("absent, unwanted, wiped", want(3, exists: false, wipe: true), "keep"),
            Row("absent, wanted", want(3, size: 50), "edit", "3 create 200+50"),
            Row("absent, wanted, wiped", want(3, size: 50, wipe: true), "edit", "3 create 200+50"),
            // There and unwanted
            Row(
                "present, unwanted", want(exists: false),
                "conflict: /dev/vda2 \"data\" is there; the config wants it gone"),
            Row("present, unwanted, wiped", want(exists: false, wipe: true), "edit", "2 lost"),
            // There and right
            Row("number alone", want(), "keep", "2 keep 100+100"),
            Row("number alone, wiped", want(wipe: true), "keep", "2 keep 100+100"),
            Row(
                "all given", want(label: "data", start: 100, size: 100, type: esp, guid: guid), "keep", "2 keep 100+100"
            ),
            Row("lower case GUIDs", want(type: esp.lowercased(), guid: guid.lowercased()), "keep", "2 keep 100+100"),
            Row("empty GUIDs are not given", want(type: "", guid: ""), "keep", "2 keep 100+100"),
            Row("all given, wiped", want(label: "data", start: 100, size: 100, wipe: true), "keep", "2 keep 100+100"),
            Row(
                "all given, resize", want(label: "data", start: 100, size: 100, resize: true), "keep", "2 keep 100+100"),
            // There and different
            Row("label", want(label: "var"), differs + "label is \"data\", wanted \"var\""),
            Row("an empty label is given", want(label: ""), differs + "label is \"data\", wanted \"\""),
            Row("labels are exact", want(label: "DATA"), differs + "label is \"data\", wanted \"DATA\""),
            Row("start", want(start: 101), differs + "startMiB is 100 MiB, wanted 101 MiB"),
            Row("size", want(size: 50), differs + "sizeMiB is 100 MiB, wanted 50 MiB"),
            Row(
                "type", want(type: PlannedPartition.defaultType),
                differs + "typeGuid is \(esp), wanted \(PlannedPartition.defaultType)"),
            Row("guid", want(guid: esp), differs + "guid is \(guid), wanted \(esp)"),
            Row(
                "all differences at once", want(label: "var", size: 50),
                differs + "label is \"data\", wanted \"var\"; sizeMiB is 100 MiB, wanted 50 MiB"),
            // There, different and wiped: from the config alone
            Row("label, wiped", want(label: "var", wipe: true), "edit", "2 recreate 100+1843167s"),
            Row(
                "label, wiped, place given", want(label: "var", start: 100, size: 100, wipe: true),
                "edit", "2 recreate 100+100"),
            Row("start, wiped", want(start: 300, size: 100, wipe: true), "edit", "2 recreate 300+100", "2 lost"),
            Row("size, wiped", want(start: 100, size: 50, wipe: true), "edit", "2 recreate 100+50", "2 lost"),
            Row("wipe beats resize", want(size: 50, wipe: true, resize: true), "edit", "2 recreate 100+50", "2 lost"),
            // Resizing
            Row("grows", want(size: 300, resize: true), "edit", "2 resize 100+300"),
            Row("shrinks", want(size: 50, resize: true), "edit", "2 resize 100+50"),
            Row("grows to the end", want(size: 0, resize: true), "edit", "2 resize 100+1843167s"),
            Row(
                "resize changes size alone", want(label: "var", size: 50, resize: true),
                differs + "label is \"data\", wanted \"var\"; sizeMiB is 100 MiB, wanted 50 MiB"),
            Row(
                "resize needs room", want(size: 950, resize: true),
                "conflict: /dev/vda has no room for partition 2 of 950 MiB; the largest free block has 900 MiB"),
            // 0 is the largest block or its rest, absent is whatever it is
            Row("start 0", want(start: 0, size: 100), "keep", "2 keep 100+100"),
            Row("size 0", want(size: 0), differs + "sizeMiB is 204800 sectors, wanted 1843167 sectors"),
        ])
    func table(_ row: Row) {
        #expect(story(disk([row.wanted]), on: machine(present)) == row.story)
    }

    @Test("takes an entry without a number and without a label for the one such partition that is as it says")
    func unlabelled() {
        let wanted = disk([want(0, label: "", size: 100)])
        let root = found(1, 1..<100, label: "root")
        #expect(story(wanted, on: machine([root])) == ["edit", "2 create 100+100"])
        #expect(story(wanted, on: machine([root, found(2, 200..<300)])) == ["keep", "2 keep 200+100"])
        // Somebody's, of another size.
        #expect(story(wanted, on: machine([root, found(2, 200..<250)])) == ["edit", "3 create 250+100"])
        #expect(
            story(wanted, on: machine([root, found(2, 200..<300), found(3, 300..<400)])) == [
                "conflict: /dev/vda has 2 partitions without a label (2, 3); the config does not say which one it means"
            ])
    }

    @Test("takes an entry without a number for the one that carries its label")
    func byLabel() {
        #expect(story(disk([want(nil, label: "data")]), on: machine(present)) == ["keep", "2 keep 100+100"])
        #expect(story(disk([want(0, label: "new", size: 5)]), on: machine(present)) == ["edit", "3 create 200+5"])
        let twins = [found(1, 1..<10, label: "data"), found(4, 10..<20, label: "data")]
        #expect(
            story(disk([want(nil, label: "data")]), on: machine(twins)) == [
                "conflict: /dev/vda has 2 partitions labelled \"data\" (1, 4); the config does not say which one it means"
            ])
        // Number 1 is spoken for, so there is but one left.
        #expect(
            story(disk([want(nil, label: "data"), want(1)]), on: machine(twins))
                == ["keep", "1 keep 1+9", "4 keep 10+10"])
    }

    @Test("never destroys what it found by a label alone")
    func byLabelIsSafe() {
        let moved = disk([want(nil, label: "data", start: 300, size: 100, wipe: true)])
        #expect(story(moved, on: machine(present)) == [Self.differs + "startMiB is 100 MiB, wanted 300 MiB"])
        let inPlace = disk([want(nil, label: "data", start: 100, size: 100, guid: esp, wipe: true)])
        #expect(story(inPlace, on: machine(present)) == ["edit", "2 recreate 100+100"])
    }

    @Test("an empty label is nobody's name")
    func emptyLabel() {
        let unnamed = machine([found(1, 1..<10)])
        #expect(story(disk([want(0, label: "", size: 5)]), on: unnamed) == ["edit", "2 create 10+5"])
    }

    @Test("leaves a partition in use alone")
    func inUse() {
        let busy = machine([found(2, 100..<200, users: [.mounted(on: "/srv")])])
        #expect(story(disk([want(size: 100)]), on: busy) == ["keep", "2 keep 100+100"])
        let refusal = ["conflict: /dev/vda2 is mounted on /srv; the config changes it"]
        #expect(story(disk([want(size: 50, resize: true)]), on: busy) == refusal)
        #expect(story(disk([want(size: 50, wipe: true)]), on: busy) == refusal)
        #expect(story(disk([want(exists: false, wipe: true)]), on: busy) == refusal)
        #expect(story(disk([want(3, size: 50)], wipeTable: true), on: busy) == refusal)
        #expect(story(disk([want(3, size: 50)]), on: busy) == ["edit", "3 create 200+50"])
    }

    @Test("numbers entries after what stays")
    func numbers() {
        let config = disk([want(0, label: "a", size: 1), want(3, size: 1), want(0, label: "b", size: 1)])
        #expect(
            story(config, on: machine([found(1, 1..<2)]))
                == ["edit", "2 create 3+1", "3 create 2+1", "4 create 4+1"])
        // A number that is freed is free.
        let freed = disk([want(0, label: "a", size: 1), want(1, exists: false, wipe: true)])
        #expect(story(freed, on: machine([found(1, 1..<2)])) == ["edit", "1 create 1+1"])
        #expect(
            story(disk([want(129, size: 1)]), on: machine([]))
                == ["conflict: /dev/vda has a table of 128 partitions; the config wants number 129"])
    }
}

@Suite struct WipingTables {
    private let config = [want(1, label: "a", size: 100), want(0, label: "b")]
    private var made: [FoundPartition] {
        [
            found(1, 1..<101, label: "a"),
            FoundPartition(
                number: 2, label: "b", guid: guid, type: PlannedPartition.defaultType, sectors: 101 * mebi..<2_047_967),
        ]
    }

    @Test("is done already where the table is what the config makes of it")
    func satisfied() {
        #expect(
            story(disk(config, wipeTable: true), on: machine(nil)) == [
                "create", "1 create 1+100", "2 create 101+1841119s",
            ])
        #expect(
            story(disk(config, wipeTable: true), on: machine(made)) == ["keep", "1 keep 1+100", "2 keep 101+1841119s"])
        let explicit = [want(1, label: "a", start: 0, size: 100), want(2, label: "b", start: 0, size: 0)]
        #expect(
            story(disk(explicit, wipeTable: true), on: machine(made))
                == ["keep", "1 keep 1+100", "2 keep 101+1841119s"])
    }

    @Test("finds what an earlier boot made in the place of a deleted partition")
    func madeAgain() {
        let config = disk([want(1, exists: false, wipe: true), want(nil, label: "new", size: 5)])
        #expect(story(config, on: machine([found(1, 1..<6, label: "old")])) == ["edit", "1 create 1+5"])
        #expect(story(config, on: machine([found(1, 1..<6, label: "new")])) == ["keep", "1 keep 1+5"])
    }

    @Test("destroys every partition that the config does not make again in place")
    func unsatisfied() {
        let more = [found(1, 1..<101, label: "a"), found(2, 101..<201, label: "old"), found(7, 300..<400, label: "x")]
        #expect(
            story(disk(config, wipeTable: true), on: machine(more))
                == ["replace", "1 recreate 1+100", "2 recreate 101+1841119s", "7 lost"])
        #expect(story(disk([], wipeTable: true), on: machine(more)) == ["erase", "1 lost", "2 lost", "7 lost"])
        #expect(story(disk([], wipeTable: true), on: machine([])) == ["keep"])
    }

    @Test("an order to remove what is not there is satisfied")
    func removal() {
        let config = disk(config + [want(9, exists: false, wipe: true)], wipeTable: true)
        #expect(story(config, on: machine(made)) == ["keep", "1 keep 1+100", "2 keep 101+1841119s"])
    }

    @Test("a table that is not a GPT needs it")
    func foreign() {
        var mbr = machine(nil)
        mbr.table = .other("dos", [found(1, 1..<900)])
        #expect(
            story(disk([want(1)]), on: mbr) == [
                "conflict: /dev/vda holds an MBR partition table; only a GPT can be edited"
            ])
        #expect(
            story(disk([]), on: mbr) == ["conflict: /dev/vda holds an MBR partition table; only a GPT can be edited"])
        #expect(
            story(disk([want(1, size: 10)], wipeTable: true), on: mbr) == ["replace", "1 recreate 1+10", "1 lost"])
    }

    @Test("whoever holds the whole disk keeps it")
    func held() {
        var held = machine([found(1, 1..<10)])
        held.users = [.held(by: "dm-0")]
        #expect(story(disk([want(1)]), on: held) == ["conflict: /dev/vda is held by dm-0"])
    }

    @Test("partitions of a map of device-mapper are maps, named as they are or as Debian names them")
    func maps() {
        var map = machine([found(1, 1..<10)])
        let asDisk = story(disk([want(1), want(2)]), on: map)
        map.node = "/dev/dm-0"
        map.map = FoundMap(name: "mpatha", partitions: [1: .init(name: "mpatha1", bytes: 512..<5120)])
        #expect(map.partitionNode(1) == "/dev/mapper/mpatha1" && map.partitionNode(2) == "/dev/mapper/mpatha-part2")
        #expect(story(disk([want(1), want(2)]), on: map).count == asDisk.count)
    }

    @Test("a map in use that shows anything but its partition is a conflict, and so is a name that another map has")
    func mapsInUse() {
        func conflicts(_ partition: FoundMap.Partition?, others: Set<String> = []) -> [DiskConflict.Problem] {
            var map = machine([found(1, 1..<10)])
            map.map = FoundMap(name: "mpatha", partitions: partition.map { [1: $0] } ?? [:], otherNames: others)
            let outcome = PartitionPlanner(disk([want(1), want(2)]), on: map).plan()
            return outcome.conflicts.map(\.problem)
        }
        let bytes = SectorGeometry(sectorSize: 512).bytes(found(1, 1..<10).sectors)
        #expect(conflicts(.init(name: "mpatha-part1", bytes: bytes, isOpen: true)).isEmpty)
        #expect(conflicts(.init(name: "mpatha-part1", bytes: 0..<512)).isEmpty)
        #expect(
            conflicts(.init(name: "mpatha-part1", bytes: 0..<512, isOpen: true)) == [
                .mapDiffers(found: 0..<512, wanted: bytes)
            ])
        // What it shows is not known: that is not what it should show.
        #expect(
            conflicts(.init(name: "mpatha-part1", bytes: nil, isOpen: true)) == [
                .mapDiffers(found: nil, wanted: bytes)
            ])
        #expect(conflicts(nil, others: ["mpatha-part2", "vg-lv"]) == [.mapNameTaken])
        #expect(conflicts(.init(name: "mpatha1", bytes: bytes), others: ["mpatha-part1"]).isEmpty)
    }

    @Test("maps go with their partitions; what nobody knows goes where nobody uses it")
    func mapsThatGo() {
        var map = machine([found(1, 1..<10), found(2, 10..<20)])
        map.map = FoundMap(
            name: "a",
            partitions: [
                1: .init(name: "a1", bytes: 0..<1), 2: .init(name: "a2", bytes: 0..<1),
                7: .init(name: "a7", bytes: nil),
                8: .init(name: "a8", bytes: nil, isOpen: true),
            ])
        var plan = PartitionPlanner(disk([want(1)]), on: map).plan().plan
        #expect(plan.mapsToRemove == [])
        plan.action = .edit
        plan.partitions.removeAll { $0.number == 2 }
        #expect(plan.mapsToRemove == ["a2", "a7"])
        plan.action = .erase
        #expect(plan.mapsToRemove == ["a1", "a2", "a7"])
    }

    @Test("a copy that is damaged is mended when something changes, a missing protective MBR always")
    func damage() {
        func damaged(_ damage: FoundGPT.Damage) -> FoundDisk {
            var disk = machine(made)
            disk.table = .gpt(FoundGPT(usable: 34..<2_047_967, partitions: made, damage: [damage]))
            return disk
        }
        #expect(story(disk(config, wipeTable: true), on: damaged(.backup)).first == "keep")
        #expect(story(disk(config), on: damaged(.primary)).first == "keep")
        #expect(story(disk(config), on: damaged(.protectiveMBR)).first == "repair")
        #expect(story(disk(config, wipeTable: true), on: damaged(.protectiveMBR)).first == "repair")
    }
}

@Suite struct Layouts {
    @Test(
        "knows the bounds of a new table",
        arguments: [(512, 34, 2_047_967), (4096, 6, 255_995)] as [(UInt64, UInt64, UInt64)])
    func bounds(sectorSize: UInt64, first: UInt64, end: UInt64) {
        #expect(SectorGeometry(sectorSize: sectorSize).usable(diskSize: 1000 << 20) == first..<end)
    }

    @Test("has no room on a disk that its own tables fill")
    func tiny() {
        #expect(SectorGeometry(sectorSize: 512).usable(diskSize: 67 * 512).isEmpty)
        #expect(SectorGeometry(sectorSize: 512).usable(diskSize: 68 * 512) == 34..<35)
    }

    @Test("counts in the disk's own sectors")
    func largeSectors() {
        let config = disk([want(1, label: "a", size: 100), want(0, label: "b")])
        #expect(
            story(config, on: machine(nil, sectorSize: 4096))
                == ["create", "1 create 1+100", "2 create 101+230139s"])
        let again = machine(
            [found(1, 1..<101, label: "a", perMiB: 256), found(2, 101..<102, label: "b", perMiB: 256)], sectorSize: 4096
        )
        #expect(story(config, on: again) == ["keep", "1 keep 1+100", "2 keep 101+1"])
    }

    @Test("a start of 0 is the first boundary of the largest block, not of the first hole")
    func largest() {
        let holes = machine([found(1, 100..<200), found(2, 700..<800)])
        #expect(story(disk([want(3, size: 10)]), on: holes) == ["edit", "3 create 200+10"])
        #expect(story(disk([want(3, start: 5, size: 10)]), on: holes) == ["edit", "3 create 5+10"])
        #expect(story(disk([want(3, start: 5)]), on: holes) == ["edit", "3 create 5+95"])
        #expect(
            story(disk([want(3, start: 150, size: 1)]), on: holes)
                == [
                    "conflict: /dev/vda has no room for partition 3 of 1 MiB at 150 MiB; the largest free block has 500 MiB"
                ])
    }

    @Test("a new entry does not take the place of one that is there")
    func settledFirst() {
        let present = machine([found(1, 1..<11, label: "var")])
        let config = disk([want(9, size: 5), want(0, label: "var")])
        #expect(story(config, on: present) == ["edit", "1 keep 1+10", "9 create 11+5"])
        let made = machine([found(1, 1..<11, label: "var"), found(9, 11..<16)])
        #expect(story(config, on: made) == ["keep", "1 keep 1+10", "9 keep 11+5"])
        let explicit = disk([want(9, start: 0, size: 5), want(0, label: "var")])
        #expect(story(explicit, on: present) == ["edit", "1 keep 1+10", "9 create 11+5"])
        #expect(story(explicit, on: made) == ["keep", "1 keep 1+10", "9 keep 11+5"])
    }

    @Test("amounts beyond any disk are refused, not computed", arguments: [Int.max, -1, 1 << 44])
    func absurd(miB: Int) {
        #expect(story(disk([want(1, size: miB)]), on: machine(nil)).first?.contains("has no room") == true)
        #expect(story(disk([want(1, start: miB)]), on: machine(nil)).first?.contains("has no room") == true)
    }

    @Test("never overlaps, never leaves the table's bounds, never moves what stays", arguments: 0..<300)
    func property(seed: UInt64) throws {
        var random = SeededNumbers(seed: seed)
        var present: [FoundPartition] = []
        var place: UInt64 = 1
        for number in 1...Int.random(in: 1...6, using: &random) {
            let start = place + .random(in: 0...120, using: &random)
            let end = start + .random(in: 1...120, using: &random)
            guard end < 999 else { break }
            present.append(found(number, start..<end, label: "p\(number)"))
            place = end
        }
        let wanted = (1...Int.random(in: 1...8, using: &random)).map { _ in
            want(
                Int.random(in: 0...9, using: &random), label: "p\(Int.random(in: 1...9, using: &random))",
                start: [nil, 0, Int.random(in: 1...900, using: &random)].randomElement(using: &random) ?? nil,
                size: [nil, 0, Int.random(in: 1...400, using: &random)].randomElement(using: &random) ?? nil,
                wipe: Bool.random(using: &random), resize: Bool.random(using: &random))
        }
        var numbers: Set<Int> = []
        let config = wanted.filter { $0.number == 0 || numbers.insert($0.number ?? 0).inserted }
        let before = machine(present)
        let outcome = PartitionPlanner(disk(config, wipeTable: seed % 5 == 0), on: before).plan()
        guard outcome.conflicts.isEmpty else { return }
        let result = outcome.plan.partitions
        #expect(Set(result.map(\.number)).count == result.count)
        for (index, one) in result.enumerated() {
            #expect(one.sectors.lowerBound >= 34 && one.sectors.upperBound <= 2_047_967 && !one.sectors.isEmpty)
            #expect(!result[(index + 1)...].contains { $0.sectors.overlaps(one.sectors) })
            let old = present.first { $0.number == one.number }
            switch one.change {
            case .keep: #expect(old?.sectors == one.sectors)
            case .resize: #expect(old?.sectors.lowerBound == one.sectors.lowerBound)
            case .create, .recreate: break
            }
        }
        // What neither stays whole nor is named as lost would be lost in silence.
        for old in present where outcome.plan.survivor(of: old) == nil {
            let shrunk = outcome.plan.moved.contains { $0.old == old }
            #expect(shrunk || outcome.plan.lost.contains(old))
        }
        // The table that is made is the table that is wanted: nothing is left to do.
        guard outcome.plan.action != .erase else { return }
        let made = result.map {
            FoundPartition(
                number: $0.number, label: $0.label, guid: $0.guid ?? guid, type: $0.type, sectors: $0.sectors)
        }
        let again = PartitionPlanner(disk(config), on: machine(made)).plan()
        // (A given 0 may conflict: the largest block is another one by then.)
        #expect(!again.conflicts.isEmpty || again.plan.action == .keep)
    }
}
