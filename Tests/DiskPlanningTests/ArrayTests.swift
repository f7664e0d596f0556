import DiskFormats
import IgnitionConfig
import Testing

@testable import DiskPlanning

@Suite struct Arrays {
    private static let disks = """
        "disks": [{"device": "/dev/vda", "wipeTable": true, "partitions": [{"label": "a"}]},
                  {"device": "/dev/vdb", "wipeTable": true, "partitions": [{"label": "b"}]}],
        """

    private func storage(_ array: String = "", members: String? = nil) throws -> IgnitionConfig.Storage {
        let members = members ?? #""/dev/disk/by-partlabel/a", "/dev/disk/by-partlabel/b""#
        let level = array.contains("\"level\"") ? "" : #""level": "raid1", "#
        let text = """
            {"ignition": {"version": "3.4.0"}, "storage": {\(Self.disks)
             "raid": [{"name": "data", \(level)\(array)\(array.isEmpty ? "" : ", ")"devices": [\(members)]}],
             "filesystems": [{"device": "/dev/md/data", "format": "xfs", "label": "d", "path": "/var"}]}}
            """
        return try IgnitionConfig.parse(Array(text.utf8), name: "config.ign").checked().storage
    }

    private func disk(_ node: String, label: String?) -> FoundDisk {
        let linux = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
        let partition = FoundPartition(
            number: 1, label: label ?? "", guid: "0A1B2C3D-0000-4000-8000-000000000001", type: linux,
            sectors: (label == "other" ? 4096 : 2048)..<(1 << 21) - 33)
        let table: FoundTable =
            label == nil ? .none : .gpt(FoundGPT(usable: 34..<(1 << 21) - 33, partitions: [partition]))
        return FoundDisk(path: node, node: node, size: 1 << 30, table: table)
    }

    /// Both disks as an earlier boot left them.
    private func layout(_ storage: IgnitionConfig.Storage, labels: [String?] = ["a", "b"]) -> DiskLayout {
        let found = zip(["/dev/vda", "/dev/vdb"], labels).map { disk($0, label: $1) }
        return DiskLayout(storage, on: DiskInventory(disks: found))
    }

    private func member(
        _ role: ArrayMember.Role, name: String = "any:data", level: Int = 1, devices: Int = 2, events: UInt64 = 7,
        chunk: UInt64 = 0, uuid: String = "u", isRebuilding: Bool = false, data: Content.Kind = .blank
    ) -> Content {
        let member = ArrayMember(
            uuid: uuid, name: name, level: level, devices: devices, role: role, events: events, chunk: chunk,
            isRebuilding: isRebuilding, data: data)
        return Content([Signature(type: "linux_raid_member", version: "1.2", label: name, member: member)])
    }

    private func contents(_ layout: DiskLayout, _ first: Content, _ second: Content) -> [DiskArea: Content] {
        var contents = Dictionary(uniqueKeysWithValues: zip(layout.areas, [first, second]))
        for array in layout.arrayPlans(contents) where array.action == .keep { contents[array.area] = .blank }
        return contents
    }

    @Test("is never planned larger than numbers reach, nor with fewer devices than none")
    func bounds() throws {
        #expect(ArrayLevel.size(-1, of: [.max, 5], active: 2) == .max)
        #expect(ArrayLevel.size(5, of: [.max, .max, .max], active: 3) == .max)
        var array = try storage(#""spares": 1"#, members: #""/dev/vda", "/dev/vdb", "/dev/vdc""#).raid[0]
        #expect(array.activeDevices == 2)
        for spares in [4, Int.max, Int.min] {
            array.spares = spares
            #expect((0...3).contains(array.activeDevices))
        }
    }

    @Test("a refusal names what stands beside an old superblock, and its command takes that and nothing else")
    func besideAnOldOne() throws {
        let layout = layout(try storage())
        func beside(_ name: String, uuid: String = "u") -> Content {
            var content = member(.active(0), name: name, uuid: uuid)
            content.signatures[0].version = "1.0"
            content.signatures[0].offset = 0x3f_e000
            return Content(content.signatures + [Signature(type: "ext4", label: "photos", offset: 0x438)])
        }
        for (first, second, node) in [
            (beside("any:old"), member(.active(1), name: "any:old"), "/dev/vda1"),
            (member(.active(0)), beside("any:old", uuid: "v"), "/dev/vdb1"),
        ] {
            let refusal = #expect(throws: DiskRefusal.self) { try layout.plan(contents(layout, first, second)) }
            let conflict = try #require(refusal?.conflicts.first { $0.device == node })
            #expect(conflict.description.contains("ext4 \"photos\""), "\(conflict)")
            #expect(
                conflict.advice.last
                    == "To destroy it:         wipefs -o 0x3fe000 -o 0x438 \(node), once, at this console.")
        }
        // Whichever member of the config's own name is the stale one, no command is given for the other.
        let refusal = #expect(throws: DiskRefusal.self) {
            try layout.plan(contents(layout, member(.active(0), name: "any:old"), member(.active(1), uuid: "v")))
        }
        #expect(refusal?.conflicts.map(\.device).sorted() == ["/dev/vda1", "/dev/vdb1"])
        #expect(refusal?.advice.contains { $0.contains("wipefs") && $0.contains("/dev/vdb1") } == false)
    }

    @Test("is used again where the old tables cannot be read and the new ones put its members where they were")
    func unreadTables() throws {
        let disks = ["/dev/vda", "/dev/vdb"].map {
            FoundDisk(path: $0, node: $0, size: 1 << 30, table: .unreadableGPT)
        }
        let layout = DiskLayout(try storage(), on: DiskInventory(disks: disks))
        let plan = try layout.plan(contents(layout, member(.active(0)), member(.active(1))))
        #expect(plan.arrays.map(\.action) == [.keep])
        #expect(plan.destroyed.map(\.device) == ["/dev/vda", "/dev/vdb"])
        // Another's members are not let go of either: nobody has seen the partitions that they were.
        for other in [member(.active(0), name: "any:old"), Content([Signature(type: "ext4")])] {
            #expect(throws: DiskRefusal.self) { try layout.plan(contents(layout, other, other)) }
        }
    }

    @Test("is created on blank members, and what stands in it with it")
    func blank() throws {
        let layout = layout(try storage(), labels: [nil, nil])
        let plan = try layout.planBlank()
        #expect(plan.arrays.map(\.action) == [.create] && plan.filesystems.map(\.action) == [.create])
        #expect(
            plan.arrays[0].creation == [
                "--create", "data", "--force", "--run", "--homehost", "any", "--level", "raid1", "--raid-devices", "2",
                "/dev/vda1", "/dev/vdb1",
            ])
        #expect(plan.summary == "6 created, nothing destroyed.")
        #expect(
            plan.summaryLines.last == "/dev/md/data: raid1 \"data\" and xfs \"d\" created, nothing destroyed")
        #expect(plan.lines.contains("     member of raid1 \"data\""))
    }

    @Test("spares and options reach mdadm before the devices")
    func spares() throws {
        let storage = try storage(#""spares": 1, "options": ["--bitmap=internal"]"#)
        let plan = try layout(storage, labels: [nil, nil]).planBlank()
        #expect(
            plan.arrays[0].creation.suffix(7) == [
                "--raid-devices", "1", "--spare-devices", "1", "--bitmap=internal", "/dev/vda1", "/dev/vdb1",
            ])
    }

    @Test("spares alone make none", arguments: [2, 3, Int.max])
    func sparesAlone(spares: Int) throws {
        let layout = layout(try storage(#""spares": \#(spares)"#), labels: [nil, nil])
        let refusal = #expect(throws: DiskRefusal.self) { try layout.plan([:]) }
        #expect(refusal?.conflicts.first?.problem == .arraySpares(spares, of: 2))
    }

    @Test("is kept where the superblocks are the config's, and so is what stands in it")
    func kept() throws {
        let layout = layout(try storage())
        var contents = contents(layout, member(.active(0)), member(.active(1)))
        let array = try #require(layout.arrayPlans(contents).first)
        #expect(array.action == .keep)
        contents[array.area] = Content([Signature(type: "xfs", label: "d")])
        let plan = try layout.plan(contents)
        #expect(plan.isEmpty && plan.warnings.isEmpty && plan.destroyed.isEmpty)
        #expect(plan.summary == "4 kept, nothing destroyed.")
        contents[array.area] = Content([Signature(type: "ext4", label: "mine")])
        #expect(throws: DiskRefusal.self) { try layout.plan(contents) }
    }

    @Test("a degraded one is kept, and told")
    func degraded() throws {
        let layout = layout(try storage())
        for (second, words) in [
            (Content.blank, "/dev/vdb1 is not part of it"),
            (member(.active(1), events: 5), "/dev/vdb1 is out of date"),
            (member(.other), "/dev/vdb1 has failed"),
            (member(.active(1), isRebuilding: true), "/dev/vdb1 is being rebuilt"),
        ] {
            let plan = try layout.plan(contents(layout, member(.active(0)), second))
            #expect(plan.arrays[0].action == .keep)
            // What is there, and is not being filled already, is to be added.
            let command = words.contains("rebuilt") ? "" : "; once, when it runs: mdadm /dev/md/data --add /dev/vdb1"
            #expect(plan.warnings == ["/dev/md/data is degraded, with 1 of 2 devices: \(words)\(command)"])
        }
        // One event behind is what a power cut leaves.
        let plan = try layout.plan(contents(layout, member(.active(0)), member(.active(1), events: 6)))
        #expect(plan.warnings.isEmpty)
    }

    @Test("a member whose device is not there leaves the array degraded")
    func missing() throws {
        let storage = try storage(members: #""/dev/disk/by-partlabel/a", "/dev/vdc""#)
        let layout = layout(storage)
        let array = try #require(layout.arrayPlans([layout.areas[0]: member(.active(0))]).first)
        let plan = try layout.plan([layout.areas[0]: member(.active(0)), array.area: .blank])
        #expect(plan.warnings == ["/dev/md/data is degraded, with 1 of 2 devices: /dev/vdc is not there"])
        // To create one, all must be there.
        let refusal = #expect(throws: DiskRefusal.self) { try layout.planBlank() }
        #expect(refusal?.conflicts.map(\.problem) == [.noSuchDevice])
        #expect(storage.membersToWaitFor() == ["/dev/vdc"])
    }

    @Test(
        "what is not the config's array stops the boot",
        arguments: [
            ("", "name is \"any:old\"", "any:old", 1, 2), ("", "level is raid5", "any:data", 5, 2),
            (#""level": "raid0""#, "level is raid1, wanted raid0", "any:data", 1, 2),
            ("", "devices is 3", "any:data", 1, 3),
        ])
    func differs(json: String, words: String, name: String, level: Int, devices: Int) throws {
        let layout = layout(try storage(json))
        let found = member(.active(0), name: name, level: level, devices: devices)
        let refusal = #expect(throws: DiskRefusal.self) { try layout.plan(contents(layout, found, found)) }
        #expect(refusal?.description.contains(words) == true)
        #expect(
            refusal?.advice.last
                == "To destroy it:         wipefs -a -t linux_raid_member /dev/vda1, once, at this console.")
    }

    @Test("members of two arrays, or something else in the place of a member, stop the boot")
    func foreign() throws {
        let layout = layout(try storage())
        for (second, words) in [
            (member(.active(1), uuid: "v"), "and is a member of another RAID array than /dev/vda1"),
            (Content([Signature(type: "ext4", label: "mine")]), "/dev/vdb1 holds ext4 \"mine\""),
            (Content([Signature(type: "crypto_LUKS", version: "2")]), "/dev/vdb1 holds LUKS2"),
            (Content([Signature(type: "linux_raid_member", version: "0.90.0")]), "/dev/vdb1 holds RAID member"),
            (Content(table: "gpt"), "/dev/vdb1 holds a GPT partition table"),
        ] {
            let refusal = #expect(throws: DiskRefusal.self) {
                try layout.plan(contents(layout, member(.active(0)), second))
            }
            #expect(refusal?.description.contains(words) == true, "\(words)")
        }
    }

    @Test("one that a power cut left half made is made again, but never one that may hold something")
    func unfinished() throws {
        let layout = layout(try storage())
        let never = member(.active(0), events: 0)
        #expect(try layout.plan(contents(layout, never, .blank)).arrays[0].action == .create)
        #expect(try layout.plan(contents(layout, never, member(.active(1), events: 0))).arrays[0].action == .keep)
        // Somebody can lay an array around what is there.
        let around = member(.active(0), events: 0, data: .unknown)
        #expect(try layout.plan(contents(layout, around, .blank)).arrays[0].action == .keep)
        // raid0 counts no events: with a member gone, what it held may still be mended by hand, unless its start,
        // where all that has a name begins, is there and blank.
        for (name, number) in [("raid0", 0), ("linear", -1)] {
            let striped = self.layout(try storage(#""level": "\#(name)""#))
            func half(_ role: Int, chunk: UInt64 = 512 << 10, data: Content.Kind = .blank) -> Content {
                member(.active(role), level: number, events: 0, chunk: number == 0 ? chunk : 0, data: data)
            }
            #expect(try striped.plan(contents(striped, half(0), .blank)).arrays[0].action == .create)
            let others = [half(1), half(0, data: .known), half(0, data: .unknown), half(0, data: .notLooked)]
            for other in others + (number == 0 ? [half(0, chunk: 64 << 10)] : []) {
                let refusal = #expect(throws: DiskRefusal.self) { try striped.plan(contents(striped, other, .blank)) }
                #expect(refusal?.description.contains("1 of the 2 devices that its \(name) needs") == true)
            }
        }
    }

    @Test("a member reads like noise: an array is not made over it")
    func noise() throws {
        let layout = layout(try storage())
        let refusal = #expect(throws: DiskRefusal.self) { try layout.plan(contents(layout, .noise, .blank)) }
        #expect(refusal?.description.contains("/dev/vda1 reads like noise") == true)
        #expect(throws: DiskRefusal.self) { try layout.plan([layout.areas[0]: .blank]) }
        #expect(try layout.plan(contents(layout, .unknown, .blank)).arrays[0].action == .create)
    }

    @Test("noise in an array that is kept is somebody's, and no filesystem or volume is made over it")
    func noiseInside() throws {
        let wanted = try storage()
        var encrypted = wanted
        encrypted.luks = try IgnitionConfig.parse(
            Array(
                #"{"ignition": {"version": "3.4.0"}, "storage": {"luks": [{"name": "v", "device": "/dev/md/data"}]}}"#
                    .utf8), name: "config.ign"
        ).checked().storage.luks
        encrypted.filesystems = []
        for storage in [wanted, encrypted] {
            let layout = layout(storage)
            var contents = contents(layout, member(.active(0)), member(.active(1)))
            contents[layout.arrays[0].area] = .noise
            let refusal = #expect(throws: DiskRefusal.self) { try layout.plan(contents) }
            #expect(refusal?.description.contains("/dev/md/data reads like noise") == true)
            // One that is made shows what stood on its members before.
            let new = self.layout(storage, labels: [nil, nil])
            #expect(try new.planBlank().destroyed.isEmpty)
        }
    }

    @Test("an array that was never started is kept where the range of its data holds noise")
    func noiseInOneNeverStarted() throws {
        let layout = layout(try storage())
        let half = member(.active(0), events: 0, data: .noise)
        #expect(try layout.plan(contents(layout, half, .unknown)).arrays[0].action == .keep)
    }

    @Test("RAID goes first: what shows beside a superblock is the array's, or was there before it")
    func beside() throws {
        let layout = layout(try storage())
        func plan(_ version: String, _ other: Content) throws -> ArrayPlan.Action? {
            var first = member(.active(0))
            first.signatures[0].version = version
            first.signatures += other.signatures
            first.table = other.table
            return try layout.plan(contents(layout, first, member(.active(1)))).arrays.first?.action
        }
        #expect(try plan("1.0", Content([Signature(type: "ext4")], table: "gpt")) == .keep)
        #expect(try plan("1.2", Content([Signature(type: "ext4", offset: 1080)])) == .keep)
        for other in [
            Content([Signature(type: "zfs_member", offset: 16384)]), Content(table: "PMBR"),
            Content([Signature(type: "xfs", offset: 2 << 20)]),
            Content([Signature(type: "linux_raid_member", version: "1.0")]),
        ] {
            let refusal = #expect(throws: DiskRefusal.self) { try plan("1.2", other) }
            #expect(refusal?.description.contains("which exclude each other") == true)
            #expect(refusal?.advice.contains { $0.contains("wipefs -a /dev/vda1") } == false)
        }
    }

    @Test("an array of arrays, or of volumes of the config, is refused by name")
    func nested() throws {
        var storage = try storage()
        storage.raid.append(storage.raid[0])
        storage.raid[1].name = "outer"
        storage.raid[1].devices = ["/dev/md/data", "/dev/vdc"]
        let refusal = #expect(throws: DiskRefusal.self) { try layout(storage, labels: [nil, nil]).planBlank() }
        #expect(refusal?.conflicts.map(\.problem) == [.memberIsMade("/dev/md/data", by: "the array \"data\"")])
    }

    @Test("one of whole disks is kept where udev has started it, with wipeTable as well")
    func wholeDisksInUse() throws {
        let text = """
            {"ignition": {"version": "3.4.0"}, "storage": {
             "disks": [{"device": "/dev/vda", "wipeTable": true}, {"device": "/dev/vdb", "wipeTable": true}],
             "raid": [{"name": "data", "level": "raid1", "devices": ["/dev/vda", "/dev/vdb"]}]}}
            """
        let storage = try IgnitionConfig.parse(Array(text.utf8), name: "config.ign").checked().storage
        var inventory = DiskInventory(disks: [])
        for (number, node) in ["/dev/vda", "/dev/vdb"].enumerated() {
            var disk = disk(node, label: nil)
            disk.content = member(.active(number))
            disk.users = [.held(by: "md127")]
            inventory.disks.append(disk)
            inventory.devices.append(FoundDevice(path: node, node: node, size: 1 << 30, users: disk.users))
        }
        let layout = DiskLayout(storage, on: inventory)
        let plan = try layout.plan(contents(layout, member(.active(0)), member(.active(1))))
        #expect(plan.isEmpty && plan.destroyed.isEmpty)
    }

    @Test("what belongs to a table that the config replaces goes with it")
    func replaced() throws {
        let layout = layout(try storage(), labels: ["other", "other"])
        let old = member(.active(0), name: "any:old")
        let plan = try layout.plan(Dictionary(uniqueKeysWithValues: layout.areas.map { ($0, old) }))
        #expect(plan.arrays[0].action == .create && plan.arrays[0].members.allSatisfy(\.isLetGo))
        #expect(plan.destroyed.map(\.device) == ["/dev/vda1", "/dev/vdb1"])
    }

    @Test("metadata by which it would not be found again is refused")
    func metadata() throws {
        for option in [
            #""--metadata=0.90""#, #""-e", "ddf""#, #""-e0""#,
            // As getopt reads them: cut short, behind a value, and sharing a dash.
            #""--metad=0.90""#, #""--me", "0.90""#, #""-Re0.90""#, #""-Re", "0.90""#, #""-c64", "-e0""#,
        ] {
            let layout = layout(try storage("\"options\": [\(option)]"), labels: [nil, nil])
            #expect(throws: DiskRefusal.self) { try layout.planBlank() }
        }
        for option in [#""--metadata=1.0""#, #""--meta", "1.2""#, #""-be0.90""#, #""-c", "-e0""#, #""--mdadm=0.90""#] {
            let layout = layout(try storage("\"options\": [\(option)]"), labels: [nil, nil])
            #expect(try layout.planBlank().arrays.count == 1)
        }
    }

    @Test("options do not say what the entry's fields say, nor give it a name by which it would not be found again")
    func optionsBesideFields() throws {
        func refusal(_ options: String, _ found: Content = .blank) throws -> DiskRefusal? {
            let layout = self.layout(
                try storage("\"options\": [\(options)]"), labels: found == .blank ? [nil, nil] : ["a", "b"])
            do throws(DiskRefusal) {
                _ = try layout.plan(contents(layout, found, found))
                return nil
            } catch { return error }
        }
        for (options, told) in [
            (#""--name=x""#, "--name x\" has a field of its own, \"name\""), (#""-N", "x""#, "-N x"),
            (#""--nam", "h:x""#, "--nam h:x"), (#""--level=raid5""#, "has a field of its own, \"level\""),
            (#""-l1""#, "\"level\""), (#""--raid-disks=3""#, "\"devices\""), (#""-n3""#, "\"devices\""),
            (#""--spare-devices=1""#, "\"spares\""), (#""-x", "1""#, "\"spares\""),
        ] {
            #expect(try refusal(options)?.description.contains(told) == true, "\(options)")
        }
        for options in [#""--name=data""#, #""-N", "any:data""#, #""--layout=f2", "--size=max", "--homehost=h""#] {
            #expect(try refusal(options) == nil, "\(options)")
        }
        // One that an earlier boot made so is not to be destroyed, and one that has the entry's name is kept.
        let made = try refusal(#""--name=x""#, member(.active(0), name: "any:x"))
        #expect(made?.description.contains("the option \"--name x\"") == true)
        #expect(made?.advice.contains { $0.contains("destroy") } == false)
        let other = try refusal(#""--name=x""#, member(.active(0), name: "any:y"))
        #expect(other?.description.contains("name is \"any:y\"") == true)
        let layout = self.layout(try storage(#""options": ["--name=x"]"#))
        #expect(try layout.plan(contents(layout, member(.active(0)), member(.active(1)))).arrays[0].action == .keep)
    }

    @Test("advice for an array that the config wants, and that does not start, destroys nothing and names its devices")
    func notStarted() throws {
        let layout = layout(try storage(#""level": "raid5""#, members: #""/dev/vda1", "/dev/vdb1", "/dev/vdc""#))
        let found = member(.active(0), level: 5, devices: 3)
        let incomplete = #expect(throws: DiskRefusal.self) { try layout.plan(contents(layout, found, .blank)) }
        #expect(
            incomplete?.advice == [
                "Attach what is missing, then `exit`. What the devices say that are there:",
                "mdadm --examine /dev/vda1",
            ])
        let second = member(.active(1), level: 5, devices: 3)
        let plan = try #require(layout.arrayPlans(contents(layout, found, second)).first)
        let conflict = DiskConflict(plan.wanted.node, plan.notAssembled("mdadm: x"), at: plan.wanted.origin)
        #expect(conflict.description == "/dev/md/data cannot be assembled: mdadm: x")
        #expect(
            conflict.advice == [
                "What its devices say: mdadm --examine /dev/vda1 /dev/vdb1",
                "Where the kernel cannot do it: an initramfs with the module raid456.",
                "Where another array is /dev/md/data: mdadm --stop /dev/md/data, once.",
            ])
    }

    @Test(
        "has the name that mdadm gives it",
        arguments: [
            ("data", "/dev/md/data", "data"), ("/dev/md/data", "/dev/md/data", "data"), ("/dev/md0", "/dev/md0", "0"),
            ("/dev/md_home", "/dev/md_home", "home"), ("md-boot", "/dev/md/md-boot", "md-boot"),
        ])
    func names(name: String, node: String, inSuperblock: String) {
        var array = IgnitionConfig.Raid()
        array.name = name
        #expect(array.node == node && array.arrayName == inSuperblock)
        var storage = IgnitionConfig.Storage()
        storage.raid = [array]
        #expect(storage.array(named: node) == 0)
        #expect(storage.array(named: "/dev/disk/by-id/md-name-any:\(inSuperblock)") == 0)
    }
}
