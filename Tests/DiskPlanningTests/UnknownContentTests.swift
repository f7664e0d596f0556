import DiskFormats
import IgnitionConfig
import Testing

@testable import DiskPlanning

/// Bytes that no mark explains may be somebody's, wherever they stand.
@Suite struct UnknownContent {
    private func storage(_ json: String) throws -> IgnitionConfig.Storage {
        let text = "{\"ignition\": {\"version\": \"3.4.0\"}, \"storage\": \(json)}"
        return try IgnitionConfig.parse(Array(text.utf8), name: "config.ign").checked().storage
    }

    @Test(
        "a partition that holds them is not made smaller",
        arguments: [(Content.blank, true), (.unknown, false), (.noise, false), (.notLooked, false)])
    func shrinking(_ content: Content, isAllowed: Bool) throws {
        let wanted = try storage(
            """
            {"disks": [{"device": "/dev/vda", "partitions":
                [{"number": 1, "sizeMiB": 100, "resize": true}, {"label": "new"}]}],
             "filesystems": [{"device": "/dev/disk/by-partlabel/new", "format": "xfs"}]}
            """)
        let layout = DiskLayout(wanted, on: DiskInventory(disks: [machine([found(1, 1..<900)])]))
        var contents = Dictionary(uniqueKeysWithValues: layout.areas.map { ($0, Content.blank) })
        contents[DiskArea(node: "/dev/vda", bytes: 1 << 20..<900 << 20)] = content
        guard !isAllowed else {
            #expect(try layout.plan(contents).destroyed.isEmpty)
            return
        }
        let refusal = #expect(throws: DiskRefusal.self) { try layout.plan(contents) }
        #expect(refusal?.conflicts.map(\.device) == ["/dev/vda1"])
        if content != .notLooked {
            #expect(refusal?.conflicts.map(\.problem) == [.wouldTruncate(content, wanted: nil)])
            #expect(refusal?.description.contains("\(content)") == true)
        }
    }

    @Test("noise in a device that was made of others is somebody's; on a disk it is not", arguments: [true, false])
    func made(_ isMade: Bool) throws {
        for entry in [
            #"{"filesystems": [{"device": "/dev/vg/data", "format": "xfs"}]}"#,
            #"{"luks": [{"name": "v", "device": "/dev/vg/data"}]}"#,
            #"{"raid": [{"name": "a", "level": "raid1", "devices": ["/dev/vg/data"]}]}"#,
        ] {
            var device = FoundDevice(path: "/dev/vg/data", node: "/dev/dm-0", size: 1 << 30)
            device.isMade = isMade
            let layout = DiskLayout(try storage(entry), on: DiskInventory(disks: [], devices: [device]))
            let contents = [layout.areas[0]: Content.noise]
            guard isMade else {
                #expect(try layout.plan(contents).destroyed.isEmpty)
                continue
            }
            let refusal = #expect(throws: DiskRefusal.self) { try layout.plan(contents) }
            #expect(refusal?.description.contains("/dev/dm-0 reads like noise") == true)
        }
        // The same where it also stands among the disks.
        let entry = #"{"device": "/dev/vda", "format": "xfs"}"#
        for wipes in [true, false] {
            let wanted = try storage(
                #"{"disks": [{"device": "/dev/vda", "wipeTable": \#(wipes)}], "filesystems": [\#(entry)]}"#)
            var disk = machine(nil)
            disk.content = .noise
            disk.isMade = isMade
            var device = FoundDevice(path: "/dev/vda", node: "/dev/vda", size: disk.size)
            device.isMade = isMade
            let layout = DiskLayout(wanted, on: DiskInventory(disks: [disk], devices: [device]))
            let contents = Dictionary(uniqueKeysWithValues: layout.areas.map { ($0, Content.noise) })
            // There is no table that wipeTable could let go of; the filesystem has a wipe of its own.
            if isMade {
                #expect(throws: DiskRefusal.self) { try layout.plan(contents) }
            } else {
                #expect(try layout.plan(contents).filesystems.map(\.action) == [.create])
            }
        }
        // The same for a table.
        for wipes in [true, false] {
            let wanted = try storage(
                #"{"disks": [{"device": "/dev/vda", "wipeTable": \#(wipes), "partitions": [{"label": "a"}]}]}"#)
            var disk = machine(nil)
            disk.content = .noise
            disk.isMade = isMade
            let layout = DiskLayout(wanted, on: DiskInventory(disks: [disk]))
            let contents = Dictionary(uniqueKeysWithValues: layout.areas.map { ($0, Content.noise) })
            guard wipes || !isMade else {
                #expect(throws: DiskRefusal.self) { try layout.plan(contents) }
                continue
            }
            #expect(try layout.plan(contents).destroyed.map(\.reason) == (isMade ? ["wipeTable"] : []))
        }
    }

    @Test("noise in a LUKS volume that is kept is somebody's")
    func volume() throws {
        let wanted = try storage(
            """
            {"luks": [{"name": "v", "device": "/dev/vdb", "keyFile": {"source": "data:,x"}}],
             "filesystems": [{"device": "/dev/mapper/v", "format": "xfs"}]}
            """)
        let device = FoundDevice(path: "/dev/vdb", node: "/dev/vdb", size: 1 << 30)
        let layout = DiskLayout(wanted, on: DiskInventory(disks: [], devices: [device]))
        let luks = Content([Signature(type: "crypto_LUKS", version: "2")])
        func plan(_ inside: Content) throws -> StoragePlan {
            let found = FoundVolume(uuid: "u", isOpenedByKey: true, content: inside)
            return try layout.plan([layout.areas[0]: luks], volumes: [0: found])
        }
        let refusal = #expect(throws: DiskRefusal.self) { try plan(.noise) }
        #expect(refusal?.description.contains("/dev/mapper/v reads like noise") == true)
        #expect(try plan(.unknown).filesystems.map(\.action) == [.create])
        // A new one shows noise, whatever is below it.
        #expect(try layout.plan([layout.areas[0]: .blank]).filesystems.map(\.action) == [.create])
    }
}
