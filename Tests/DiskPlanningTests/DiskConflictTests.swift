import DiskFormats
import IgnitionConfig
import Reporting
import Testing

@testable import DiskPlanning

@Suite struct DiskConflicts {
    private func storage(_ text: String) throws -> IgnitionConfig.Storage {
        let config = "{\"ignition\": {\"version\": \"3.4.0\"}, \"storage\": \(text)}"
        return try IgnitionConfig.parse(Array(config.utf8), name: "config.ign").checked().storage
    }

    private func disk(_ partitions: [FoundPartition], content: Content = .blank) -> FoundDisk {
        FoundDisk(
            path: "/dev/vda", node: "/dev/vda", size: 1 << 30,
            table: .gpt(FoundGPT(usable: 34..<(1 << 21) - 33, partitions: partitions)), content: content)
    }

    private func partition(_ number: Int, _ sectors: Range<UInt64>, label: String = "") -> FoundPartition {
        FoundPartition(
            number: number, label: label, guid: "0A1B2C3D-0000-4000-8000-00000000000\(number)",
            type: PlannedPartition.defaultType, sectors: sectors)
    }

    @Test("a link by a label or a UUID names whatever bears it")
    func linksOfContent() {
        let signature = Signature(type: "ext4", label: "a b", uuid: "1234-ABCD")
        #expect(DeviceName("/dev/disk/by-label/a\\x20b").isLink(of: signature))
        #expect(DeviceName("/dev/disk/by-uuid/1234-ABCD").isLink(of: signature))
        #expect(!DeviceName("/dev/disk/by-label/a").isLink(of: signature))
        #expect(!DeviceName("/dev/disk/by-label/").isLink(of: Signature(type: "ext4")))
        #expect(DeviceName("/dev/disk/by-uuid/x").isOfContent && !DeviceName("/dev/disk/by-partuuid/x").isOfContent)
    }

    @Test("a partition that stays is not said to go away with a plan that was refused")
    func noSecond() throws {
        let storage = try storage(
            """
            {"disks": [{"device": "/dev/vda", "partitions": [{"number": 1, "label": "a", "sizeMiB": 100}]}],
             "filesystems": [{"device": "/dev/disk/by-label/data", "format": "ext4"}]}
            """)
        let data = FoundDevice(
            path: "/dev/disk/by-label/data", node: "/dev/vda1", size: 4 << 20,
            partition: PartitionAddress(disk: "/dev/vda", number: 1))
        let inventory = DiskInventory(disks: [disk([partition(1, 128..<8192, label: "a")])], devices: [data])
        let refusal = #expect(throws: DiskRefusal.self) { try DiskLayout(storage, on: inventory).planBlank() }
        #expect(refusal?.conflicts.count == 1)
        #expect(refusal?.description.contains("sizeMiB is 8064 sectors, wanted 204800 sectors") == true)
    }

    @Test(
        "nobody waits for partitions that the config makes, whatever their disk is called",
        arguments: [
            "/dev/vda1", "/dev/disk/by-path/a-part1", "/dev/disk/by-id/x-part1", "/dev/mapper/mpatha1",
        ])
    func spelled(path: String) throws {
        let nodes = [
            "/dev/vda": "/dev/vda", "/dev/disk/by-path/a": "/dev/vda", "/dev/disk/by-id/x": "/dev/vda",
            "/dev/disk/by-id/y": "/dev/vdb", "/dev/mapper/mpatha": "/dev/vda",
        ]
        for entry in [#""number": 1"#, #""label": "new""#] {
            let storage = try storage(
                """
                {"disks": [{"device": "/dev/disk/by-id/x", "partitions": [{\(entry)}]}],
                 "filesystems": [{"device": "\(path)", "format": "ext4"}],
                 "luks": [{"name": "v", "device": "/dev/disk/by-id/y-part1"}]}
                """)
            #expect(Set(nodes.keys).isSuperset(of: storage.disksSpelled))
            #expect(storage.devicesToWaitFor(nodes) == ["/dev/disk/by-id/x", "/dev/disk/by-id/y-part1"])
            // A disk that nobody has seen yet may be another one.
            #expect(storage.devicesToWaitFor().contains(path) == !path.hasPrefix("/dev/disk/by-id/x"))
        }
    }

    @Test("advice to destroy is a command to run once, or a field to take out again")
    func once() {
        let origin = IgnitionConfig.Disk().origin
        func advice(_ problem: DiskConflict.Problem) -> [String] {
            DiskConflict("/dev/vdb", problem, at: origin).advice
        }
        let raid = Signature(type: "linux_raid_member", version: "1.0", offset: 0x1000)
        let ext4 = Signature(type: "ext4", label: "data", offset: 0x438)
        for problem: DiskConflict.Problem in [
            .luks1, .tableNotGPT(.unreadableGPT), .partitionUnwanted(label: "x"),
            .otherContent(.blank, wanted: .filesystem("xfs")), .looksEncrypted(wanted: .volume("v")),
        ] {
            #expect(advice(problem).last == DiskConflict.once)
        }
        #expect(
            advice(.deviceInUse([.disk("vda", .held(by: "md127"))])).first?.contains("mdadm --stop /dev/md127, once")
                == true)
        #expect(advice(.deviceInUse([.held(by: "md127")])).first?.contains("mdadm --stop /dev/md127, once") == true)
        #expect(
            advice(.severalSignatures(Content([raid, ext4]), wanted: ext4)).first
                == "To keep ext4 \"data\": wipefs -o 0x1000 /dev/vdb, once.")
        // Fields of a filesystem's entry are none of an array's.
        let wanted = WantedContent.array("data")
        #expect(advice(.otherContent(Content([ext4]), wanted: wanted)).first?.contains("\"label\"") == false)
        let several = DiskRefusal([
            DiskConflict("/dev/vdb", .luks1, at: origin), DiskConflict("/dev/vdc", .luks1, at: origin),
        ])
        #expect(several.advice.filter { $0 == DiskConflict.once }.count == 1)
    }

    @Test("no advice to keep partitions touches their table, and none is given where no table can be read")
    func keepingPartitions() {
        let lvm = Signature(type: "LVM2_member", offset: 0x218)
        for (table, name) in [
            (FoundTable.unreadableGPT, "gpt 4096"), (.unreadableGPT, nil), (.other("dos", []), "gpt"),
            (.other("dos", []), nil), (.gpt(FoundGPT(usable: 34..<2000, partitions: [])), nil),
        ] {
            for signatures in [[], [lvm]] {
                if case .gpt = table, signatures.isEmpty { continue }
                var content = Content(signatures, table: name)
                if table == .unreadableGPT { content.tableMarks = [4096, 1 << 20] }
                let conflict = DiskConflict(
                    "/dev/vdb", .ownerBesideTable(content, table: table), at: IgnitionConfig.Disk().origin)
                let keeping = conflict.advice.filter { $0.contains("keep the partitions") }
                #expect(keeping.allSatisfy { !$0.contains("gpt") && !$0.contains("PMBR") && !$0.contains("dd ") })
                if case .gpt = table {
                    #expect(keeping == ["To keep the partitions: wipefs -o 0x218 /dev/vdb, once, at this console."])
                } else {
                    #expect(keeping.isEmpty)
                }
            }
        }
    }

    @Test("what is to be done about several devices is told once where it is the same")
    func shared() throws {
        let origin = IgnitionConfig.Disk().origin
        let medium: [DeviceUse] = [.mounted(on: DeviceUse.liveMedium)]
        let refusal = DiskRefusal([
            DiskConflict("/dev/sda1", .partitionInUse(medium), at: origin),
            DiskConflict("/dev/sda2", .partitionInUse([.claimed]), at: origin),
            DiskConflict("/dev/sda3", .partitionInUse(medium), at: origin),
            DiskConflict("/dev/sda", .diskInUse(medium), at: origin),
            DiskConflict("/dev/sda", .deviceInUse(medium), at: origin),
            DiskConflict("/dev/vdb", .wrongKey(name: "v"), at: origin),
            DiskConflict("/dev/vdc", .wrongKey(name: "v"), at: origin),
        ])
        let lines = refusal.advice
        #expect(
            lines.filter { $0.hasSuffix(":") } == [
                "/dev/sda1, /dev/sda3, /dev/sda:", "/dev/sda2:", "/dev/vdb, /dev/vdc:",
            ])
        #expect(lines.filter { $0.contains("fromram") }.count == 1)
        #expect(lines.filter { $0.contains("wipeVolume") }.count == 1)
        #expect(refusal.description.split(separator: "\n").count == 1 + 2 * 7)
    }

    @Test(
        "advice on content that a new size would harm names the field that the config has there, and none for an array",
        arguments: [
            (#""filesystems": [{"device": "/dev/vda1", "format": "ext4"}]"#, "\"wipeFilesystem\": true"),
            (#""luks": [{"name": "v", "device": "/dev/vda1"}]"#, "\"wipeVolume\": true"),
            (#""raid": [{"name": "data", "level": "raid0", "devices": ["/dev/vda1", "/dev/vdb"]}]"#, ""),
            (#""filesystems": []"#, "wipefs -o 0x1000 /dev/vda1, once"),
        ])
    func sizes(entry: String, line: String) throws {
        for (size, content) in [
            (2, Content([Signature(type: "xfs", label: "x", size: 3 << 20, offset: 0x1000)])),
            (4, Content([Signature(type: "linux_raid_member", version: "1.0", offset: 0x1000)])),
        ] {
            let storage = try storage(
                """
                {"disks": [{"device": "/dev/vda",
                            "partitions": [{"number": 1, "sizeMiB": \(size), "resize": true}]}], \(entry)}
                """)
            let inventory = DiskInventory(
                disks: [disk([partition(1, 2048..<8192, label: "a")])],
                devices: [FoundDevice(path: "/dev/vdb", node: "/dev/vdb", size: 1 << 30)])
            let layout = DiskLayout(storage, on: inventory)
            let contents = Dictionary(layout.areas.map { ($0, content) }) { first, _ in first }
            let refusal = #expect(throws: DiskRefusal.self) { try layout.plan(contents) }
            let told = refusal?.conflicts.first {
                $0.description.contains("another size") || $0.description.contains("would not fit")
            }
            let conflict = try #require(told)
            let destroying = conflict.advice.filter { $0.hasPrefix("To destroy") }
            #expect(destroying.count == (line.isEmpty ? 0 : 1) && destroying.allSatisfy { $0.contains(line) })
        }
    }

    @Test("a disk in whose place a volume or an array is wanted is let go of by the field that they have")
    func inPlaceOfPartitions() throws {
        for (entry, field) in [
            (#""filesystems": [{"device": "/dev/vda", "format": "ext4"}]"#, "wipeFilesystem"),
            (#""luks": [{"name": "v", "device": "/dev/vda"}]"#, "wipeVolume"),
            (#""raid": [{"name": "data", "level": "raid0", "devices": ["/dev/vda", "/dev/vdb"]}]"#, "wipeTable"),
        ] {
            func refusal(_ partitions: String) throws -> DiskRefusal? {
                let storage = try storage(#"{"disks": [{"device": "/dev/vda"\#(partitions)}], \#(entry)}"#)
                let whole = ["/dev/vda", "/dev/vdb"].map { FoundDevice(path: $0, node: $0, size: 1 << 30) }
                let inventory = DiskInventory(disks: [disk([partition(1, 2048..<8192)])], devices: whole)
                return #expect(throws: DiskRefusal.self) { try DiskLayout(storage, on: inventory).planBlank() }
            }
            #expect(try refusal("")?.advice.contains("To destroy them:        \"\(field)\": true") == true)
            // No field helps where the config wants the partitions too.
            #expect(try refusal(#", "partitions": [{"number": 1}]"#)?.advice.contains { $0.contains("wipe") } == false)
        }
    }

    @Test("a damaged table is mended where something of the config stands on it, and only there")
    func damaged() throws {
        func plan(_ config: String, _ devices: [FoundDevice] = []) throws -> DiskPlan.TableAction? {
            var disk = disk([partition(1, 2048..<8192, label: "a")])
            guard case .gpt(var gpt) = disk.table else { return nil }
            gpt.damage = [.protectiveMBR, .primary]
            disk.table = .gpt(gpt)
            let inventory = DiskInventory(disks: [disk], devices: devices)
            return try DiskLayout(storage(config), on: inventory).planBlank().disks.first?.action
        }
        let alone = #""disks": [{"device": "/dev/vda"}]"#
        #expect(try plan("{\(alone)}") == .keep)
        #expect(try plan(#"{"disks": [{"device": "/dev/vda", "partitions": [{"label": "a"}]}]}"#) == .repair)
        let device = FoundDevice(
            path: "/dev/vda1", node: "/dev/vda1", size: 3 << 20,
            partition: PartitionAddress(disk: "/dev/vda", number: 1))
        let filesystem = "{\(alone), \"filesystems\": [{\"device\": \"/dev/vda1\", \"format\": \"ext4\"}]}"
        #expect(try plan(filesystem, [device]) == .repair)
        // A member of an array as well.
        let other = FoundDevice(path: "/dev/vdb", node: "/dev/vdb", size: 3 << 20)
        let array = #""raid": [{"name": "data", "level": "raid1", "devices": ["/dev/vda1", "/dev/vdb"]}]"#
        #expect(try plan("{\(alone), \(array)}", [device, other]) == .repair)
        let refusal = #expect(throws: DiskRefusal.self) {
            try plan(#"{"disks": [{"device": "/dev/vda", "partitions": [{"label": "b"}]}]}"#)
        }
        #expect(refusal?.description.contains("has lost its protective MBR and primary copy") == true)
    }

    @Test("what nobody looked at is not written to")
    func notLooked() throws {
        let storage = try storage(#"{"disks": [{"device": "/dev/vda", "partitions": [{"label": "b"}]}]}"#)
        var disk = disk([])
        disk.table = .none
        disk.content = .notLooked
        let refusal = #expect(throws: DiskRefusal.self) {
            try DiskLayout(storage, on: DiskInventory(disks: [disk])).planBlank()
        }
        #expect(refusal?.description == "/dev/vda was not looked at.")
    }
}
