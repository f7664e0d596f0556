import DiskFormats
import IgnitionConfig
import Testing

@testable import DiskPlanning

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
        #expect(story(config, on: machine([found(1, 1..<6, label: "old")])) == ["edit", "1 recreate 1+5"])
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
        // Nothing is to be edited where the entry asks for nothing.
        #expect(story(disk([]), on: mbr) == ["keep"])
        #expect(story(disk([want(2, exists: false)]), on: mbr) == ["keep"])
        #expect(
            story(disk([want(1, exists: false)]), on: mbr) == [
                "conflict: /dev/vda holds an MBR partition table; only a GPT can be edited"
            ])
        #expect(PartitionPlanner(disk([]), on: mbr).plan().plan.partitions.map(\.number) == [1])
        #expect(story(disk([], wipeTable: true), on: mbr) == ["erase", "1 lost"])
        mbr.table = .unreadableGPT
        #expect(story(disk([]), on: mbr) == ["keep"])
        #expect(story(disk([want(1, exists: false)]), on: mbr).first?.hasPrefix("conflict") == true)
        mbr.table = .other("dos", [found(1, 1..<900)])
        #expect(
            story(disk([want(1, size: 10)], wipeTable: true), on: mbr) == ["replace", "1 recreate 1+10", "1 lost"])
    }

    @Test("whoever holds the whole disk keeps it")
    func held() {
        var held = machine([found(1, 1..<10)])
        held.users = [.held(by: "dm-0")]
        #expect(story(disk([want(2, size: 10)]), on: held) == ["conflict: /dev/vda is held by dm-0"])
        // An entry that changes nothing takes it from nobody.
        #expect(story(disk([want(1)]), on: held) == ["keep", "1 keep 1+9"])
        #expect(story(disk([]), on: held) == ["keep"])
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
