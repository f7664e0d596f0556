import DiskFormats
import IgnitionConfig
import Testing

@testable import DiskPlanning

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
        // The last sector of the disk has that copy's header.
        let command = "dd if=/dev/zero of=/dev/vda bs=512 seek=2457599 count=1 conv=notrunc, once, at this console."
        #expect(conflicts.count == 1 && conflicts.first?.advice.last == "To use its room:       \(command)")
        // Any change would have libfdisk move this table's copy there.
        let smaller = disk([want(1, label: "var", size: 500, resize: true)])
        #expect(
            story(smaller, on: there) == [
                "conflict: /dev/vda ends with the copy of another table, which names partitions; a change or a "
                    + "repair would overwrite it"
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

    @Test("what a table would hold as something else is refused before it is written")
    func unwritable() {
        var zeros = want(0, label: "a")
        zeros.typeGuid = "00000000-0000-0000-0000-000000000000"
        let emoji = want(0, label: "a\u{1f4be}b")
        for there in [machine(nil), machine([]), machine([found(1, 1..<2, label: "x")])] {
            #expect(
                story(disk([emoji]), on: there).first?.hasSuffix(
                    "the label \"a\u{1f4be}b\" has a character that libfdisk cannot write") == true)
            #expect(
                story(disk([zeros]), on: there).first?.hasSuffix(
                    "a \"typeGuid\" of zeros marks an entry that is not used") == true)
        }
        // What is there by another program's hand is kept.
        #expect(
            story(disk([emoji]), on: machine([found(1, 1..<2, label: "a\u{1f4be}b")])) == ["keep", "1 keep 1+1"])
    }

    @Test("numbers entries after what stays")
    func numbers() {
        let config = disk([want(0, label: "a", size: 1), want(3, size: 1), want(0, label: "b", size: 1)])
        #expect(
            story(config, on: machine([found(1, 1..<2)]))
                == ["edit", "2 create 3+1", "3 create 2+1", "4 create 4+1"])
        // A number that is freed is free.
        let freed = disk([want(0, label: "a", size: 1), want(1, exists: false, wipe: true)])
        #expect(story(freed, on: machine([found(1, 1..<2)])) == ["edit", "1 recreate 1+1"])
        #expect(
            story(disk([want(129, size: 1)]), on: machine([]))
                == ["conflict: /dev/vda has a table of 128 partitions; the config wants number 129"])
    }
}
