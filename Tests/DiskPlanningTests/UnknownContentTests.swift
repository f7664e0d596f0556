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

    private func contents(
        _ layout: DiskLayout, _ known: [Range<UInt64>: Content], else rest: Content = .blank
    ) -> [DiskArea: Content] {
        var contents = Dictionary(layout.areas.map { ($0, rest) }) { first, _ in first }
        for (miB, content) in known {
            contents[DiskArea(node: "/dev/vda", bytes: miB.lowerBound << 20..<miB.upperBound << 20)] = content
        }
        return contents
    }

    @Test("over partitions that are told as lost, a new one is zeroed where nothing with a name begins")
    func overLost() throws {
        let wanted = try storage(
            """
            {"disks": [{"device": "/dev/vda", "wipeTable": true, "partitions":
                [{"number": 1, "sizeMiB": 32}, {"number": 2, "sizeMiB": 900}]}],
             "filesystems": [{"device": "/dev/vda2", "format": "xfs"}]}
            """)
        let old = [found(1, 1..<101), found(2, 101..<900)]
        let layout = DiskLayout(wanted, on: DiskInventory(disks: [machine(old)]))
        let luks = Content([Signature(type: "crypto_LUKS", version: "2")])
        for (here, isZeroed) in [(Content.noise, true), (.unknown, true), (.blank, true), (.notLooked, false)] {
            let contents = contents(layout, [101..<900: luks, 33..<933: here])
            guard here != .notLooked else { continue }
            let plan = try layout.plan(contents)
            #expect(plan.destroyed.map(\.device).contains("/dev/vda2"))
            #expect(plan.disks[0].zeroed.contains(2) == isZeroed, "\(here)")
        }
        // What begins just there has a name: it is kept, or stops the boot.
        let xfs = Content([Signature(type: "xfs")])
        #expect(try !layout.plan(contents(layout, [101..<900: luks, 33..<933: xfs])).disks[0].zeroed.contains(2))
        // Where the old table cannot be read it is lost as a whole, and told so.
        var broken = machine(nil)
        broken.table = .unreadableGPT
        let unread = DiskLayout(wanted, on: DiskInventory(disks: [broken]))
        let plan = try unread.plan(contents(unread, [:], else: .noise))
        #expect(plan.disks[0].zeroed == [1, 2] && plan.destroyed.count == 1)
    }

    @Test("a new partition in the place of a deleted one has its content, by whatever number or label")
    func deletedPlace() throws {
        let array = Content([Signature(type: "linux_raid_member", version: "1.0", offset: 100 << 20 - 8192)])
        for (number, size) in [(1, 100), (2, 100), (2, 200)] {
            let wanted = try storage(
                """
                {"disks": [{"device": "/dev/vda", "partitions": [
                    {"number": 1, "shouldExist": false, "wipePartitionEntry": true},
                    {"\(number == 1 ? "label\": \"data" : "number\": 2, \"label\": \"data")", "startMiB": 1,
                     "sizeMiB": \(size)}]}],
                 "filesystems": [{"device": "/dev/disk/by-partlabel/data", "format": "xfs"}]}
                """)
            let layout = DiskLayout(wanted, on: DiskInventory(disks: [machine([found(1, 1..<101, label: "secret")])]))
            func refusal(_ old: Content, _ now: Content) -> String? {
                var known = [1..<UInt64(1 + size): now]
                if size > 100 { known[1..<101] = old }
                do { _ = try layout.plan(contents(layout, known)) } catch { return "\(error)" }
                return nil
            }
            #expect(refusal(.noise, .noise)?.contains("reads like noise") == true, "\(number) \(size)")
            #expect(refusal(array, size > 100 ? .unknown : array)?.contains("RAID") == true, "\(number) \(size)")
            #expect(refusal(.blank, .blank) == nil && refusal(.unknown, .unknown) == nil)
        }
    }

    @Test("a partition made anew over a lost one is zeroed, and over one that stays it is not")
    func anewOverLost() throws {
        for (size, zeroed) in [(50, Set([1])), (100, []), (200, [])] {
            let wanted = try storage(
                """
                {"disks": [{"device": "/dev/vda", "wipeTable": true, "partitions":
                    [{"number": 1, "label": "new", "sizeMiB": \(size)}]}]}
                """)
            let layout = DiskLayout(wanted, on: DiskInventory(disks: [machine([found(1, 1..<101)])]))
            let plan = try layout.plan(contents(layout, [:], else: .unknown))
            #expect(plan.disks[0].zeroed == zeroed)
            #expect(plan.destroyed.map(\.device) == (zeroed.isEmpty ? [] : ["/dev/vda1"]))
        }
    }

    @Test("what no mark explains goes, and is told, where the old table has to go before the new one is there")
    func erasedFirst() throws {
        let wanted = try storage(
            #"{"disks": [{"device": "/dev/vda", "wipeTable": true, "partitions": [{"number": 1, "sizeMiB": 100}]}]}"#)
        let lvm = Content([Signature(type: "LVM2_member", offset: 0x218)])
        func plan(_ table: FoundTable, beside owner: Content = .blank, _ inside: Content) throws -> StoragePlan {
            var disk = machine(nil)
            disk.table = table
            disk.content = owner
            let layout = DiskLayout(wanted, on: DiskInventory(disks: [disk]))
            return try layout.plan(contents(layout, [:], else: inside))
        }
        let old = [found(1, 1..<101)]
        let gpt = FoundTable.gpt(FoundGPT(usable: 34..<2_047_967, partitions: old))
        for (table, owner, isErasedFirst) in [
            (gpt, lvm, true), (.other("sun", old), Content.blank, true), (.other("dos", old), lvm, true),
            (.other("dos", old), .blank, false),
        ] {
            for content in [Content.unknown, .noise] {
                let plan = try plan(table, beside: owner, content)
                #expect(plan.disks[0].zeroed == (isErasedFirst ? [1] : []), "\(table)")
                #expect(plan.destroyed.map(\.device).contains("/dev/vda1") == isErasedFirst, "\(table)")
                #expect(plan.lines.contains { $0.hasSuffix("content stays") } == !isErasedFirst)
            }
            #expect(try !plan(table, beside: owner, .blank).destroyed.map(\.device).contains("/dev/vda1"))
        }
    }
}
