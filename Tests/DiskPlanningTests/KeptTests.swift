import DiskFormats
import IgnitionConfig
import Testing

@testable import DiskPlanning

/// What a config keeps, and what it wrote itself, stops no later boot, and goes with nothing else.
@Suite struct WhatIsKept {
    private func storage(_ text: String) throws -> IgnitionConfig.Storage {
        let config = "{\"ignition\": {\"version\": \"3.4.0\"}, \"storage\": \(text)}"
        return try IgnitionConfig.parse(Array(config.utf8), name: "config.ign").checked().storage
    }

    private func device(_ node: String) -> FoundDevice { FoundDevice(path: node, node: node, size: 1 << 30) }

    private func whole(_ node: String) -> DiskArea { DiskArea(node: node, bytes: 0..<1 << 30) }

    private func gpt(_ node: String) -> FoundDisk {
        let partition = FoundPartition(
            number: 1, label: "old", guid: "0A1B2C3D-0000-4000-8000-000000000001", type: PlannedPartition.defaultType,
            sectors: 2048..<1 << 20)
        let table = FoundTable.gpt(FoundGPT(usable: 34..<(1 << 21) - 33, partitions: [partition]))
        return FoundDisk(path: node, node: node, size: 1 << 30, table: table)
    }

    @Test("an entry of a disk that has nothing to do stops nothing, and lets nothing be written to a disk in use")
    func nothingToDo() throws {
        func plan(_ filesystem: String, _ disk: FoundDisk, _ devices: [FoundDevice], _ content: Content) throws
            -> StoragePlan
        {
            let text = "{\"disks\": [{\"device\": \"/dev/vda\"}], \"filesystems\": [\(filesystem)]}"
            let layout = DiskLayout(try storage(text), on: DiskInventory(disks: [disk], devices: devices))
            return try layout.plan(Dictionary(uniqueKeysWithValues: layout.areas.map { ($0, content) }))
        }
        let ext4 = Content([Signature(type: "ext4", label: "var")])
        var lone = FoundDisk(path: "/dev/vda", node: "/dev/vda", size: 1 << 30, table: .none, content: ext4)
        lone.users = [.mounted(on: "/srv")]
        var mounted = device("/dev/vda")
        mounted.users = lone.users
        let kept = #"{"device": "/dev/vda", "format": "ext4", "label": "var"}"#
        #expect(try plan(kept, lone, [mounted], ext4).isEmpty)
        let wiped = #"{"device": "/dev/vda", "format": "ext4", "wipeFilesystem": true}"#
        #expect(throws: DiskRefusal.self) { try plan(wiped, lone, [mounted], ext4) }
        // A partition of a disk that somebody has as a whole, and one of an MBR.
        var held = gpt("/dev/vda")
        held.users = [.held(by: "dm-0")]
        let address = PartitionAddress(disk: "/dev/vda", number: 1)
        let first = FoundDevice(path: "/dev/vda1", node: "/dev/vda1", size: 511 << 20, partition: address)
        let inside = #"{"device": "/dev/vda1", "format": "ext4""#
        var mbr = gpt("/dev/vda")
        mbr.table = .other("dos", mbr.table.partitions)
        for disk in [held, mbr] {
            #expect(try plan(inside + "}", disk, [first], ext4).isEmpty)
        }
        #expect(try plan(inside + "}", mbr, [first], .blank).filesystems.map(\.action) == [.create])
        let refusal = #expect(throws: DiskRefusal.self) { try plan(inside + "}", held, [first], .blank) }
        #expect(
            refusal?.description
                == "/dev/vda1 is a partition of vda, which is held by dm-0; the config creates it anew.")
        // A repair is a write, too.
        held.table = .gpt(FoundGPT(usable: 34..<1 << 20, partitions: held.table.partitions, damage: [.primary]))
        #expect(throws: DiskRefusal.self) { try plan(inside + "}", held, [first], ext4) }
    }

    @Test("where only the UUID differs, the refusal and its advice name the one that is there")
    func otherUUID() throws {
        let text = #"{"device": "/dev/vda", "format": "ext4", "label": "var", "uuid": "\#(uuid("2"))"}"#
        let layout = DiskLayout(
            try storage("{\"filesystems\": [\(text)]}"), on: DiskInventory(disks: [], devices: [device("/dev/vda")]))
        let found = Content([Signature(type: "ext4", label: "var", uuid: uuid("1"))])
        let refusal = #expect(throws: DiskRefusal.self) { try layout.plan([whole("/dev/vda"): found]) }
        #expect(
            refusal?.description == "/dev/vda holds ext4 \"var\" with UUID \(uuid("1")); "
                + "the config wants ext4 \"var\" with UUID \(uuid("2")).")
        #expect(
            refusal?.advice.prefix(2) == [
                #"To keep what is there: another device, or "format": "ext4", "label": "var","#,
                #"                       "uuid": "\#(uuid("1"))""#,
            ])
    }

    private func uuid(_ end: String) -> String { "0a1b2c3d-0000-4000-8000-00000000000\(end)" }

    @Test("no device of a btrfs that is kept is destroyed, whichever field asks for that")
    func severalDevices() throws {
        func signature(_ uuid: String, used: UInt64? = nil) -> Content {
            Content([Signature(type: "btrfs", label: "bb", uuid: uuid, used: used)])
        }
        let kept = #"{"device": "/dev/vda", "format": "btrfs"}"#
        for (rest, node, reason) in [
            (
                #""filesystems": [\#(kept), {"device": "/dev/vdb", "format": "xfs", "wipeFilesystem": true}]"#,
                "/dev/vdb", "wipeFilesystem"
            ),
            (
                #""filesystems": [\#(kept)], "luks": [{"name": "v", "device": "/dev/vdb", "wipeVolume": true, "#
                    + #""keyFile": {"source": "data:,x"}}]"#, "/dev/vdb", "wipeVolume"
            ),
            (
                #""filesystems": [\#(kept)], "disks": [{"device": "/dev/vdc", "wipeTable": true, "#
                    + #""partitions": [{"number": 1, "startMiB": 8}]}]"#, "/dev/vdc1", "wipeTable"
            ),
            (
                #""filesystems": [\#(kept)], "disks": [{"device": "/dev/vdc", "#
                    + #""partitions": [{"number": 1, "shouldExist": false, "wipePartitionEntry": true}]}]"#,
                "/dev/vdc1", "wipePartitionEntry"
            ),
        ] {
            let inventory = DiskInventory(disks: [gpt("/dev/vdc")], devices: [device("/dev/vda"), device("/dev/vdb")])
            let layout = DiskLayout(try storage("{\(rest)}"), on: inventory)
            func plan(_ other: Content, used: UInt64? = nil) throws -> StoragePlan {
                let contents = layout.areas.map { ($0, $0 == whole("/dev/vda") ? signature("u", used: used) : other) }
                return try layout.plan(Dictionary(uniqueKeysWithValues: contents))
            }
            let refusal = #expect(throws: DiskRefusal.self) { try plan(signature("u")) }
            #expect(
                refusal?.description
                    == "\(node) belongs to the btrfs \"bb\" on /dev/vda, which storage.filesystems[0] keeps; "
                    + "\"\(reason)\" would destroy a part of it.")
            #expect(refusal?.advice.contains { $0.contains("To destroy") } == false)
            // Another filesystem, or a copy of one that has a single device.
            #expect(try plan(signature("v")).destroyed.map(\.device) == [node])
            #expect(try plan(signature("u", used: 1 << 20), used: 1 << 20).destroyed.map(\.device) == [node])
        }
    }
}
