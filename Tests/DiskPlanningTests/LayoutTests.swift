import DiskFormats
import IgnitionConfig
import SeededNumbers
import Testing

@testable import DiskPlanning

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
    func unchangedFirst() {
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
