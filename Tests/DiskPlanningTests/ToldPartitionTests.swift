import DiskFormats
import IgnitionConfig
import Testing

@testable import DiskPlanning

/// No advice takes what its refusal does not name.
@Suite struct ToldPartitions {
    private let photos = Content([Signature(type: "ext4", label: "p", used: 3 << 30)])

    /// A disk of 1 GiB whose partition 1, "photos", ends before the middle, and partition 2 behind it.
    private func gpt(_ type: String? = nil) -> FoundDisk {
        let partitions = [(1, "photos", UInt64(2048)..<1 << 20), (2, "", 1 << 20..<(1 << 21) - 33)].map {
            FoundPartition(
                number: $0.0, label: $0.1, guid: "0A1B2C3D-0000-4000-8000-00000000000\($0.0)",
                type: PlannedPartition.defaultType, sectors: $0.2)
        }
        let table = FoundGPT(usable: 34..<(1 << 21) - 33, partitions: partitions)
        return FoundDisk(
            path: "/dev/vda", node: "/dev/vda", size: 1 << 30,
            table: type.map { .other($0, partitions) } ?? .gpt(table))
    }

    private func refusal(_ text: String, _ disk: FoundDisk?, _ devices: [FoundDevice] = []) throws -> DiskRefusal? {
        let config = "{\"ignition\": {\"version\": \"3.4.0\"}, \"storage\": {\(text)}}"
        let storage = try IgnitionConfig.parse(Array(config.utf8), name: "config.ign").checked().storage
        let layout = DiskLayout(storage, on: DiskInventory(disks: disk.map { [$0] } ?? [], devices: devices))
        let contents = layout.areas.map { area -> (DiskArea, Content) in
            switch area.bytes.lowerBound {
            case 1 << 20: (area, photos)
            case 1 << 29: (area, .unknown)
            default: (area, Content(table: "gpt"))
            }
        }
        do throws(DiskRefusal) {
            _ = try layout.plan(Dictionary(uniqueKeysWithValues: contents))
            return nil
        } catch { return error }
    }

    private func entry(_ partitions: String, _ more: String = "") -> String {
        "\"disks\": [{\"device\": \"/dev/vda\", \"partitions\": [\(partitions)]}]\(more)"
    }

    private let both = ". In its partitions: 1 \"photos\": ext4 \"p\", 3 GiB used; 2: unknown bytes."

    @Test("a partition that is in the way is told with what it holds")
    func onePartition() throws {
        for partition in [#"{"number": 1, "label": "var"}"#, #"{"number": 1, "shouldExist": false}"#] {
            let refusal = try refusal(entry(partition), gpt())
            #expect(refusal?.description.hasSuffix("; it holds ext4 \"p\", 3 GiB used.") == true)
            #expect(refusal?.advice.contains { $0.contains("wipePartitionEntry") } == true)
        }
    }

    @Test("a table that is in the way is told with its partitions, each with what it holds")
    func tables() throws {
        let one = #"{"number": 3, "label": "var", "sizeMiB": 100}"#
        var damaged = gpt()
        if case .gpt(var table) = damaged.table {
            table.damage = [.primary]
            table.usableWhenMoved = 34..<(1 << 22) - 33
            damaged.table = .gpt(table)
        }
        var owned = gpt()
        owned.content = Content([Signature(type: "LVM2_member", offset: 0x218)])
        let whole = FoundDevice(path: "/dev/vda", node: "/dev/vda", size: 1 << 30)
        let filesystem = #", "filesystems": [{"device": "/dev/vda", "format": "xfs"}]"#
        for (text, disk, field) in [
            (entry(one), gpt(), "wipePartitionEntry"), (entry(one), gpt("dos"), "wipeTable"),
            (entry(one), damaged, "wipeTable"), (entry(one), owned, "wipeTable"),
            (entry("", filesystem), gpt(), "wipeFilesystem"),
        ] {
            let refusal = try refusal(text, disk, [whole])
            #expect(refusal?.description.hasSuffix(both) == true, "\(refusal?.description ?? "no refusal")")
            #expect(refusal?.advice.contains { $0.contains(field) } == true)
        }
    }

    @Test("so is one of a device that the config takes as a whole, and no command is given for what nobody can name")
    func wholeDevices() throws {
        var device = FoundDevice(path: "/dev/vda", node: "/dev/vda", size: 1 << 30, partitions: gpt().table.partitions)
        let filesystem = #""filesystems": [{"device": "/dev/vda", "format": "xfs"}]"#
        let array = #""raid": [{"name": "data", "level": "raid1", "devices": ["/dev/vda", "/dev/vdb"]}]"#
        for (text, way) in [(filesystem, "wipeFilesystem"), (array, "wipefs -a -t gpt,PMBR /dev/vda")] {
            let refusal = try refusal(text, nil, [device])
            #expect(refusal?.description.hasSuffix(both) == true, "\(refusal?.description ?? "no refusal")")
            #expect(refusal?.advice.contains { $0.contains(way) } == true)
        }
        // A table without partitions takes nothing along; whose partitions nobody has read, may.
        device.partitions = []
        #expect(try refusal(array, nil, [device])?.advice.contains { $0.contains("wipefs") } == true)
        let inside = FoundDevice(
            path: "/dev/vda", node: "/dev/vda1", size: 1 << 30, partition: PartitionAddress(disk: "/dev/vda", number: 1)
        )
        let nested = try refusal(array, nil, [inside])
        #expect(nested?.description.contains("/dev/vda1 holds a GPT partition table") == true)
        #expect(nested?.advice.last == "To destroy it:         from another system, which can show its partitions.")
    }
}
