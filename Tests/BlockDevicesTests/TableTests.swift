import DiskPlanning
import Glibc
import LinuxSystem
import Reporting
import SystemPackage
import Testing

@testable import BlockDevices
@testable import DiskFormats

extension Partitioning {
    @Test("the room of a disk that has grown is there for new partitions and for those that may grow")
    func grownFurther() throws {
        let image = try Image(64 << 20)
        try provision(config(image, #"{"label": "a"}"#))
        #expect(truncate(image.path, 128 << 20) == 0)
        try image.write(Array("payload".utf8), at: 63 << 20)
        #expect(try provision(config(image, #"{"label": "a"}, {"label": "b"}"#)) == [.edit])
        #expect(try sgdisk(image) == ["1 2048 131038 a", "2 131072 262110 b"])
        #expect(try run("sgdisk", "-v", image.path).contains("No problems found"))
        #expect(try provision(config(image, #"{"label": "a"}, {"label": "b"}"#)) == [.keep])

        #expect(truncate(image.path, 256 << 20) == 0)
        let wanted = try config(image, #"{"label": "a"}, {"number": 2, "label": "b", "sizeMiB": 0, "resize": true}"#)
        #expect(try provision(wanted) == [.edit])
        #expect(try sgdisk(image) == ["1 2048 131038 a", "2 131072 524254 b"])
        #expect(try run("sgdisk", "-v", image.path).contains("No problems found"))
        #expect(try provision(wanted) == [.keep])
        #expect(try image.bytes(63 << 20..<(63 << 20) + 7) == Array("payload".utf8))
    }

    /// Does what the advice of a stop has for the room behind a table.
    private func follow(_ stop: BootFailure?) throws {
        let start = "To use its room:"
        let line = try #require(stop?.advice.first { $0.hasPrefix(start) })
        try run("sh", "-c", String(line.dropFirst(start.count).prefix { $0 != "," }))
    }

    @Test("an image that was written over a disk does not take the room of the partitions that were there before")
    func writtenOver() throws {
        let image = try Image(128 << 20)
        // The disk as it was: its second partition stands behind the image that was written over it.
        try provision(config(image, #"{"label": "x", "sizeMiB": 64}, {"label": "data"}"#))
        try image.write(Array("payload".utf8), at: 100 << 20)
        let other = try Image(64 << 20)
        try provision(config(other, #"{"label": "a"}"#))
        try image.write(other.bytes(0..<64 << 20), at: 0)

        let wanted = try config(image, #"{"label": "a"}, {"label": "b"}"#)
        let refusal = #expect(throws: BootFailure.self) { try provision(wanted) }
        #expect(refusal?.description.contains("the end of the disk has the copy of another table") == true)
        #expect(try provision(config(image, #"{"label": "a"}"#)) == [.keep])
        #expect(try image.bytes(100 << 20..<(100 << 20) + 7) == Array("payload".utf8))

        // Wiping the table is leave to go over both.
        let wiped = try DiskStage.plan(config(image, wipe: true, #"{"label": "z"}"#), access: .settled)
        #expect(wiped.destroyed.map(\.label) == ["", "data"])
        #expect(wiped.destroyed.first?.content.description.hasPrefix("another GPT partition table") == true)

        try follow(refusal)
        #expect(try provision(wanted) == [.edit])
        #expect(try sgdisk(image) == ["1 2048 131038 a", "2 131072 262110 b"])
    }

    @Test(
        "the copy of another table at the end stays, whatever else is wrong with the table",
        arguments: ["moved", "cloned"])
    func anothersCopy(_ kind: String) throws {
        let image = try Image(128 << 20)
        try provision(config(image, #"{"label": "x", "sizeMiB": 64}, {"label": "data"}"#))
        try image.write(Array("payload".utf8), at: 100 << 20)
        // An image was written over its start, or a clone of a disk of the same size was broken off.
        let other = try Image(kind == "moved" ? 64 << 20 : 128 << 20)
        try provision(config(other, #"{"label": "a", "sizeMiB": 32}"#))
        try image.write(other.bytes(0..<48 << 20), at: 0)
        if kind == "moved" {
            try image.write(other.bytes(48 << 20..<64 << 20), at: 48 << 20)
            try image.zero(446..<512)
        }

        let before = try image.digest()
        for partitions in [#"{"number": 1, "label": "a"}"#, #"{"label": "a"}, {"label": "b"}"#, #"{"label": "b"}"#] {
            let wanted = try config(image, partitions)
            guard kind == "moved" || partitions.contains(#""b""#) else {
                #expect(try DiskStage.plan(wanted, access: .settled).isEmpty)
                continue
            }
            let refusal = #expect(throws: BootFailure.self) { try provision(wanted) }
            // Where nothing of the config stands on a damaged table, that is told first.
            let isForeign = kind == "moved" && !partitions.contains(#""a""#)
            let words = isForeign ? "none of the config's partitions" : "copy of another table"
            #expect(refusal?.description.contains(words) == true, "\(partitions)")
        }
        // A filesystem on one of its partitions asks for the mended table, too.
        if kind == "moved" {
            let wanted = try storage(
                "{\"disks\": [{\"device\": \"\(image.path)\"}], "
                    + "\"filesystems\": [{\"device\": \"\(image.path)1\", \"format\": \"swap\"}]}")
            let inventory = DiskInventory(
                disks: [try DiskProber().disk(image.path, node: image.path)],
                devices: [
                    FoundDevice(
                        path: "\(image.path)1", node: "\(image.path)1", size: 32 << 20,
                        partition: PartitionAddress(disk: image.path, number: 1))
                ])
            let refusal = #expect(throws: DiskRefusal.self) { try DiskLayout(wanted, on: inventory).planBlank() }
            #expect(refusal?.description.contains("the copy of another table") == true)
        }
        #expect(try DiskStage.plan(config(image, ""), access: .settled).isEmpty)
        let wiped = try DiskStage.plan(config(image, wipe: true, #"{"label": "z"}"#), access: .settled)
        #expect(wiped.destroyed.contains { $0.content.description.hasPrefix("another GPT partition table") })
        #expect(try image.digest() == before)

        let refusal = #expect(throws: BootFailure.self) {
            try provision(config(image, #"{"label": "a"}, {"label": "b"}"#))
        }
        try follow(refusal)
        #expect(try provision(config(image, #"{"label": "a"}, {"label": "b"}"#)) == [.edit])
        #expect(try sgdisk(image).count == 2)
    }

    @Test("an image that was written again over its own disk does not take the room of what was added behind it")
    func writtenAgain() throws {
        let other = try Image(64 << 20)
        try provision(config(other, #"{"label": "a"}"#))
        let image = try Image(128 << 20)
        try image.write(other.bytes(0..<64 << 20), at: 0)
        // Somebody gives the room behind it a partition of its own.
        try run("sgdisk", "-e", image.path)
        try run("sgdisk", "-n", "2:163840:0", "-c", "2:data", image.path)
        let inner = try Image(40 << 20)
        try run("mkfs.ext4", "-q", "-F", "-L", "photos", inner.path)
        try image.copy(inner, at: 80 << 20)
        try image.write(other.bytes(0..<64 << 20), at: 0)

        let before = try image.digest()
        for partitions in [
            #"{"label": "a"}, {"label": "var"}"#, #"{"label": "a", "number": 1, "sizeMiB": 0, "resize": true}"#,
            #"{"label": "a"}, {"number": 2, "label": "data", "startMiB": 80, "sizeMiB": 20}"#,
            #"{"label": "a", "sizeMiB": 20, "resize": true}"#,
        ] {
            let refusal = #expect(throws: BootFailure.self) { try provision(config(image, partitions)) }
            #expect(refusal?.description.contains("the copy of another table") == true, "\(partitions)")
        }
        #expect(try DiskStage.plan(config(image, #"{"label": "a"}"#), access: .settled).isEmpty)
        let wiped = try DiskStage.plan(config(image, wipe: true, #"{"label": "z"}"#), access: .settled)
        #expect(wiped.destroyed.contains { $0.content.description == "ext4 \"photos\"" }, "\(wiped.lines)")
        #expect(wiped.destroyed.contains { $0.content.description.hasPrefix("another GPT partition table") })
        #expect(try image.digest() == before)

        // A partition in just the place of what is there takes nothing: what it holds stays.
        let same = try config(image, #"{"label": "a"}, {"number": 2, "label": "data", "startMiB": 80}"#)
        let plan = try DiskStage.plan(same, access: .settled)
        #expect(plan.disks[0].zeroed == [] && plan.destroyed.isEmpty)
        #expect(try provision(same) == [.edit])
        #expect(try image.bytes(80 << 20..<120 << 20) == inner.bytes(0..<40 << 20))

        // Bytes without a name are told from free room by that copy alone.
        try image.write(other.bytes(0..<64 << 20), at: 0)
        try image.zero(80 << 20..<120 << 20)
        #expect(try DiskStage.plan(same, access: .settled).disks.map(\.action) == [.edit])
        try image.write(Array("payload".utf8), at: 80 << 20)
        #expect(throws: BootFailure.self) { try DiskStage.plan(same, access: .settled) }

        // As the advice has it.
        let wanted = try config(image, #"{"label": "a"}, {"label": "var"}"#)
        try image.write(other.bytes(0..<64 << 20), at: 0)
        try follow(#expect(throws: BootFailure.self) { try provision(wanted) })
        #expect(try provision(wanted) == [.edit])
        #expect(try sgdisk(image) == ["1 2048 131038 a", "2 131072 262110 var"])
    }

    @Test("a power cut while a table moves to the end of a grown disk leaves what the next boot finishes")
    func powerCutGrown() throws {
        let size = 128 << 20
        let wanted = #"{"label": "a"}, {"label": "b", "sizeMiB": 20}, {"label": "c"}"#
        let small = try Image(64 << 20)
        try provision(config(small, #"{"label": "a"}"#))
        func copy(_ source: Image) throws -> Image {
            let image = try Image(size)
            try image.write(source.bytes(0..<source.size), at: 0)
            return image
        }
        let before = try copy(small)
        let moved = try copy(before)
        try TableWriter(DiskProber().disk(moved.path, node: moved.path)).moveSecondCopy()
        let after = try copy(moved)
        try provision(config(after, wanted))
        let made = try sgdisk(after)
        let parts = [size - 33 * 512..<size - 512, size - 512..<size, 1024..<17408, 512..<1024, 0..<512]
        for (from, to) in [(before, moved), (moved, after)] {
            for written in 0...5 {
                let image = try copy(from)
                for part in parts.prefix(written) { try image.write(to.bytes(part), at: part.lowerBound) }
                try provision(config(image, wanted))
                #expect(try sgdisk(image) == made, "after \(written) writes")
            }
        }
    }

    @Test("the second copy of another table stays where a table ended before its disk grew, too")
    func brokenOff() throws {
        let image = try Image(64 << 20)
        try provision(config(image, #"{"label": "x", "sizeMiB": 32}, {"label": "data"}"#))
        try image.write(Array("payload".utf8), at: 50 << 20)
        #expect(truncate(image.path, 128 << 20) == 0)
        // An image of the old size, not all of it.
        let other = try Image(64 << 20)
        try provision(config(other, #"{"label": "a", "sizeMiB": 16}"#))
        try image.write(other.bytes(0..<24 << 20), at: 0)
        let wanted = try config(image, #"{"label": "a"}, {"label": "b"}"#)
        let refusal = #expect(throws: BootFailure.self) { try provision(wanted) }
        #expect(refusal?.description.contains("the copy of another table") == true)
        try follow(refusal)
        #expect(try provision(wanted) == [.edit])
    }

    @Test("a table that claims more entries than any has is one that nobody can read, and nobody reads all of it")
    func endless() throws {
        let image = try Image(64 << 20)
        try provision(config(image, #"{"label": "a", "sizeMiB": 16}"#))
        func claim(_ count: UInt32, at sector: Int) throws {
            var header = try image.bytes(sector * 512..<sector * 512 + 92)
            func put(_ value: UInt32, at place: Int) {
                for byte in 0..<4 { header[place + byte] = UInt8(truncatingIfNeeded: value >> (8 * byte)) }
            }
            put(count, at: 80)
            // Of that many entries without a bit.
            let table = try image.bytes(1024..<1024 + 128 * Int(count))
            put(crc32(table), at: 88)
            put(0, at: 16)
            put(crc32(header), at: 16)
            try image.write(header, at: sector * 512)
        }
        for sector in [1, 131_071] { try claim(4097, at: sector) }
        #expect(try BlockProbe(image.path).table() != "gpt")
        #expect(try Look(image.path).table == .unreadableGPT)
        #expect(throws: BootFailure.self) { try provision(config(image, #"{"label": "a"}, {"label": "b"}"#)) }
    }

    @Test("partitions that only a hybrid MBR names are not free room")
    func hybrid() throws {
        let image = try Image(64 << 20)
        try provision(config(image, #"{"label": "a", "sizeMiB": 16}"#))
        func put(_ start: UInt32, _ count: UInt32) throws {
            var entry: [UInt8] = [0, 0, 0, 0, 0x83, 0, 0, 0]
            for value in [start, count] { entry += (0..<4).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) } }
            try image.write(entry, at: 462)
        }
        let more = try config(image, #"{"label": "a"}, {"label": "data"}"#)
        try put(65_536, 32_768)
        #expect(try provision(config(image, #"{"label": "a"}"#)) == [.keep])
        let before = try image.bytes(0..<1 << 20)
        let refusal = #expect(throws: BootFailure.self) { try provision(more) }
        #expect(refusal?.description.contains("an MBR that names partitions which the GPT does not") == true)
        #expect(try image.bytes(0..<1 << 20) == before)
        let wiped = try DiskStage.plan(config(image, wipe: true, #"{"label": "z"}"#), access: .settled)
        #expect(wiped.destroyed.contains { $0.content.table == "dos" })
        // One that says what the GPT says, as other systems need it.
        try put(2048, 32_768)
        #expect(try provision(more) == [.edit])
    }

    @Test("the code of a boot loader stays when the protective MBR is written again")
    func bootCode() throws {
        let image = try Image(64 << 20)
        let wanted = try config(image, #"{"label": "a"}"#)
        try provision(wanted)
        let code = (0..<446).map { UInt8(truncatingIfNeeded: 7 * $0 + 1) }
        try image.write(code, at: 0)
        try image.zero(446..<512)
        #expect(try provision(wanted) == [.repair])
        #expect(try image.bytes(0..<446) == code)
        #expect(try run("sgdisk", "-v", image.path).contains("No problems found"))
    }

    @Test("labels of partitions are those of the table, whatever the kernel makes of them")
    func labels() throws {
        let image = try Image(64 << 20)
        let guid = #""guid": "0a1b2c3d-0000-4000-8000-000000000001""#
        try provision(
            config(image, #"{"number": 1, "label": "größe", "sizeMiB": 4, \#(guid)}, {"number": 2, "label": "Łódź"}"#))
        // As sysfs shows a disk with two partitions.
        let folder = FilePath("\(image.path).sysfs")
        defer { _ = try? Command("rm", ["-r", folder.string]).run() }
        let name = try #require(FilePath(image.path).lastComponent?.string)
        for number in [1, 2] {
            let part = folder.appending("devices/\(name)/\(name)\(number)")
            try Files.makeFolder(part)
            try Files.write("\(number)\n", to: part.appending("partition"))
            try Files.makeFolder(folder.appending("class/block"))
            let link = folder.appending("class/block/\(name)\(number)")
            #expect(symlink("../../devices/\(name)/\(name)\(number)", link.string) == 0)
        }
        let devices = FilePath(image.path).removingLastComponent()
        let found = DiskProber.partitionNames(sysfs: folder, devices: devices)
        #expect(found.all.map(\.label) == ["größe", "Łódź"] && found.unread.isEmpty)
        #expect(found.all.map(\.node) == ["\(image.path)1", "\(image.path)2"])
        // Links by GUIDs, too: a disk that was copied has them twice.
        func nodes(_ link: String) -> [String] { found.nodes(linkedAs: DeviceName("/dev/disk/\(link)")) }
        #expect(nodes("by-partuuid/0a1b2c3d-0000-4000-8000-000000000001") == ["\(image.path)1"])
        #expect(nodes("by-partlabel/gr\\xc3\\xb6\\xc3\\x9fe") == ["\(image.path)1"])
        #expect(nodes("by-partuuid/00000000-0000-4000-8000-000000000001").isEmpty)

        // A table that cannot be read any more, of partitions that the kernel still has.
        let part = folder.appending("devices/\(name)/\(name)2")
        try Files.write("MAJOR=259\nPARTN=2\nPARTNAME=var\n", to: part.appending("uevent"))
        func again() -> DiskProber.PartitionNames { DiskProber.partitionNames(sysfs: folder, devices: devices) }
        #expect(again().all.map(\.label) == ["größe", "Łódź"])
        try image.zero(0..<1 << 20)
        try image.zero((63 << 20)..<(64 << 20))
        let known = again()
        #expect(known.all.map(\.label) == ["var"] && known.all.map(\.node) == ["\(image.path)2"])
        #expect(known.unread == ["\(image.path)1", "\(image.path)2"])
    }

    @Test("disks are told from what is made of others")
    func made() throws {
        let image = try Image(512)
        let folder = FilePath("\(image.path).sysfs")
        defer { _ = try? Command("rm", ["-r", folder.string]).run() }
        let devices: [(name: String, holds: [String], id: String?, isMade: Bool)] = [
            ("sda", ["device"], nil, false), ("sda1", ["partition"], nil, false), ("nbd0", [], nil, false),
            ("md127", ["md"], nil, true), ("loop0", [], nil, false), ("dm-0", ["dm"], "LVM-abc\n", true),
            ("dm-1", ["dm"], "\n", true), ("dm-2", ["dm"], "mpath-3600a\n", false),
        ]
        for device in devices {
            let place = folder.appending("class/block/\(device.name)")
            for name in device.holds { try Files.makeFolder(place.appending(name)) }
            if device.holds.isEmpty { try Files.makeFolder(place) }
            if let id = device.id { try Files.write(id, to: place.appending("dm/uuid")) }
            #expect(DiskProber.isMade("/dev/\(device.name)", sysfs: folder) == device.isMade, "\(device.name)")
        }
        #expect(!DiskProber.isMade(image.path, sysfs: folder))
    }

    @Test("a device that cannot be read is not one without a label")
    func unread() throws {
        let image = try Image(64 << 20)
        #expect(DiskProber.signatures(of: image.path)?.isEmpty == true)
        #expect(DiskProber.signatures(of: "/nonexistent") == nil)
        let held = DiskProber.Held([("/dev/a", nil), ("/dev/b", [])])
        #expect(held.unread == ["/dev/a"] && held.signatures.isEmpty)
    }
}
