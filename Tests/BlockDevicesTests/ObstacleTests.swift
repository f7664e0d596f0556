import DiskFormats
import DiskPlanning
import Glibc
import IgnitionConfig
import LinuxSystem
import SystemPackage
import Testing

@testable import BlockDevices

/// What the kernel tells of devices, in a folder that stands in for `/sys`.
@Suite struct DevicesNotToWriteTo {
    private final class Sysfs {
        let path: FilePath

        init(_ files: [String: String]) throws {
            var template = Array("/tmp/firstlight-sysfs-XXXXXX".utf8CString)
            path = FilePath(String(cString: try #require(mkdtemp(&template))))
            for (name, text) in files {
                let file = path.appending("class/block/\(name)")
                try run("mkdir", "-p", file.removingLastComponent().string)
                try Files.write(Array((text + "\n").utf8), to: file)
            }
        }

        /// Partitions are folders inside of their disk's, as in `/sys/devices`.
        convenience init(_ files: [String: String], partitions: [String: String]) throws {
            try self.init(files)
            for (name, disk) in partitions {
                let folder = path.appending("devices/\(disk)/\(name)")
                try run("mkdir", "-p", folder.string, path.appending("class/block").string)
                try Files.write("1\n", to: folder.appending("partition"))
                let link = path.appending("class/block/\(name)")
                // What the test says of it.
                if Files.exists(link) { try run("sh", "-c", "mv \(link)/* \(folder) && rmdir \(link)") }
                #expect(symlink("../../devices/\(disk)/\(name)", link.string) == 0)
            }
        }

        deinit { _ = try? run("rm", "-rf", path.string) }
    }

    /// The plan for lone devices of 1 GiB, partitions where their name ends in a digit; what is not told of is blank.
    private func lone(_ config: String, _ contents: [String: Content] = [:]) throws -> StoragePlan {
        let nodes = ["/dev/vda1", "/dev/vdb", "/dev/vdb1", "/dev/vdc1", "/dev/dm-0"]
        let devices = nodes.map { node in
            let disk = String(node.dropLast())
            return FoundDevice(
                path: node, node: node, size: 1 << 30,
                partition: node.hasSuffix("1") ? PartitionAddress(disk: disk, number: 1) : nil)
        }
        let layout = DiskLayout(try storage(config), on: DiskInventory(disks: [], devices: devices))
        var found = Dictionary(layout.areas.map { ($0, contents[$0.node] ?? .blank) }) { first, _ in first }
        for array in layout.arrayPlans(found) where array.action == .keep { found[array.area] = .blank }
        var opened: [Int: FoundVolume] = [:]
        for volume in layout.volumes {
            opened[volume.entry] = FoundVolume(uuid: "u", isOpenedByKey: true, content: .blank)
        }
        return try layout.plan(found, volumes: opened)
    }

    private func plan(_ contents: Content = .blank) throws -> StoragePlan {
        let storage = try storage(
            """
            {"disks": [{"device": "/dev/vda", "partitions": [{"number": 1, "label": "a"}]}],
             "filesystems": [{"device": "/dev/vdb", "format": "ext4"}]}
            """)
        let disk = FoundDisk(path: "/dev/vda", node: "/dev/vda", size: 1 << 30, table: .none)
        let device = FoundDevice(path: "/dev/vdb", node: "/dev/vdb", size: 1 << 30)
        let layout = DiskLayout(storage, on: DiskInventory(disks: [disk], devices: [device]))
        return try layout.plan(
            Dictionary(layout.areas.map { ($0, $0.node == "/dev/vdb" ? contents : .blank) }) { first, _ in first })
    }

    @Test("read-only is a conflict where something is written, and nowhere else")
    func readOnly() throws {
        let sysfs = try Sysfs(["vda/ro": "0", "vdb/ro": "1"])
        let conflicts = Obstacles.conflicts(in: try plan(), sysfs: sysfs.path)
        #expect(conflicts.map(\.device) == ["/dev/vdb"] && conflicts.map(\.problem) == [.readOnly])
        let kept = try plan(Content([Signature(type: "ext4")]))
        #expect(Obstacles.conflicts(in: kept, sysfs: sysfs.path).isEmpty)
    }

    @Test("two paths to one disk are told apart from two disks of one maker")
    func paths() throws {
        let sysfs = try Sysfs([
            "vda/device/wwid": "naa.5000c500a1b2c3d4", "sdc/device/wwid": "naa.5000c500a1b2c3d4",
            "vdb/device/wwid": "t10.Some stick", "sdd/device/wwid": "t10.Some stick",
            // NVMe's own paths, and a partition.
            "nvme0c0n1/wwid": "naa.5000c500a1b2c3d5", "nvme0c0n1/hidden": "1",
            "sdc1/device/wwid": "naa.5000c500a1b2c3d4", "sdc1/partition": "1",
        ])
        let conflicts = Obstacles.conflicts(in: try plan(), sysfs: sysfs.path)
        #expect(conflicts.map(\.problem) == [.anotherPath("/dev/sdc")])
        #expect(conflicts.first?.description == "/dev/vda and /dev/sdc are two paths to one disk")
    }

    @Test("a disk that a partition of it is written to for is known by its identity, of whatever kind")
    func disksOfPartitions() throws {
        let plan = try lone(
            """
            {"filesystems": [{"device": "/dev/vda1", "format": "ext4"}],
             "luks": [{"name": "v", "device": "/dev/vdb1"}],
             "raid": [{"name": "data", "level": "raid0", "devices": ["/dev/vdc1"]}]}
            """)
        let sysfs = try Sysfs(
            [
                "vda/device/wwid": "naa.5000c500a1b2c3d4", "sda/device/wwid": "naa.5000c500a1b2c3d4",
                "vdb/wwid": "uuid.0a1b2c3d-0000-4000-8000-000000000001",
                "sdb/wwid": "uuid.0a1b2c3d-0000-4000-8000-000000000001",
                "vdc/wwid": "nvme.1b36-31-51454d55-00000001", "sdc/wwid": "nvme.1b36-31-51454d55-00000001",
            ], partitions: ["vda1": "vda", "vdb1": "vdb", "vdc1": "vdc"])
        let told = Obstacles.conflicts(in: plan, sysfs: sysfs.path).map(\.description).sorted()
        #expect(told == ["a", "b", "c"].map { "/dev/vd\($0) and /dev/sd\($0) are two paths to one disk" })
    }

    @Test("a multipath map is not a second path to the disks that it is made of, nor those to each other")
    func multipath() throws {
        let plan = try lone(#"{"filesystems": [{"device": "/dev/dm-0", "format": "ext4"}]}"#)
        var files = ["dm-0/dm/uuid": "mpath-36", "dm-0/slaves/sda/x": "", "dm-0/slaves/sdb/x": ""]
        for name in ["sda", "sdb", "sdc"] { files["\(name)/device/wwid"] = "naa.5000c500a1b2c3d4" }
        let joined = try Sysfs(files)
        #expect(Obstacles.conflicts(in: plan, sysfs: joined.path).isEmpty)
        files["dm-0/dm/uuid"] = "LVM-abc"
        let apart = try Sysfs(files)
        #expect(!Obstacles.conflicts(in: plan, sysfs: apart.path).isEmpty)
        // A disk below a volume that the config knows nothing of.
        let locked = try Sysfs(["dm-0/slaves/sda1/x": "", "sda/ro": "1"], partitions: ["sda1": "sda"])
        #expect(Obstacles.conflicts(in: plan, sysfs: locked.path).map(\.device) == ["/dev/sda"])
    }

    @Test("a partition that is read-only by itself is one for a new volume and a new array as well")
    func readOnlyPartitions() throws {
        let disks = """
            "disks": [{"device": "/dev/vda", "partitions": [{"number": 1}, {"number": 2}, {"number": 3}]}]
            """
        let entries = [
            #""filesystems": [{"device": "/dev/vda1", "format": "ext4"}]"#,
            #""luks": [{"name": "v", "device": "/dev/vda2"}]"#,
            #""raid": [{"name": "data", "level": "raid0", "devices": ["/dev/vda3"]}]"#,
        ]
        let partitions = (1...3).map { number in
            FoundPartition(
                number: number, label: "", guid: "0A1B2C3D-0000-4000-8000-00000000000\(number)",
                type: PlannedPartition.defaultType, sectors: UInt64(number) << 16..<UInt64(number + 1) << 16)
        }
        let disk = FoundDisk(
            path: "/dev/vda", node: "/dev/vda", size: 1 << 30,
            table: .gpt(FoundGPT(usable: 34..<(1 << 21) - 33, partitions: partitions)))
        let sysfs = try Sysfs(["vda1/ro": "1", "vda2/ro": "1", "vda3/ro": "1", "vda/ro": "0"])
        for (number, entry) in zip(1..., entries) {
            let layout = DiskLayout(try storage("{\(disks), \(entry)}"), on: DiskInventory(disks: [disk]))
            let conflicts = Obstacles.conflicts(in: try layout.planBlank(), sysfs: sysfs.path)
            #expect(conflicts.map(\.device) == ["/dev/vda\(number)"] && conflicts.map(\.problem) == [.readOnly])
        }
        // The kernel's partition is elsewhere, since another host changed the table.
        let layout = DiskLayout(try storage("{\(disks), \(entries[0])}"), on: DiskInventory(disks: [disk]))
        let moved = try Sysfs(["vda1/start": "8192", "vda1/size": "4096"])
        let told = Obstacles.conflicts(in: try layout.planBlank(), sysfs: moved.path)
        #expect(
            told.map(\.description) == [
                "/dev/vda1 does not show the partition of its disk's table: it shows 4096 sectors from 8192 on, "
                    + "the table says 65536 sectors from 65536 on"
            ])
        let inPlace = try Sysfs(["vda1/start": "65536", "vda1/size": "65536"])
        #expect(Obstacles.conflicts(in: try layout.planBlank(), sysfs: inPlace.path).isEmpty)
    }

    @Test("what is written into a volume or an array that stays is written to its disks")
    func insideWhatStays() throws {
        let luks = Content([Signature(type: "crypto_LUKS", version: "2")])
        let member = ArrayMember(
            uuid: "u", name: "any:data", level: 0, devices: 1, role: .active(0), events: 7, isRebuilding: false,
            data: .unknown)
        let raid = Content([Signature(type: "linux_raid_member", version: "1.2", label: "any:data", member: member)])
        let volume = #""luks": [{"name": "v", "device": "/dev/vda1", "keyFile": {"source": "data:,k"}}]"#
        let array = #""raid": [{"name": "data", "level": "raid0", "devices": ["/dev/vdb1"]}]"#
        func told(_ config: String) throws -> [DiskConflict.Problem] {
            let sysfs = try Sysfs(
                ["vda/ro": "1", "vdb/device/wwid": "naa.5000c500a1b2c3d4", "sdb/device/wwid": "naa.5000c500a1b2c3d4"],
                partitions: ["vda1": "vda", "vdb1": "vdb"])
            let plan = try lone(config, ["/dev/vda1": luks, "/dev/vdb1": raid])
            return Obstacles.conflicts(in: plan, sysfs: sysfs.path).map(\.problem)
        }
        #expect(try told("{\(volume)}").isEmpty)
        #expect(
            try told(#"{\#(volume), "filesystems": [{"device": "/dev/mapper/v", "format": "ext4"}]}"#) == [.readOnly])
        #expect(try told("{\(array)}").isEmpty)
        #expect(
            try told(#"{\#(array), "filesystems": [{"device": "/dev/md/data", "format": "ext4"}]}"#)
                == [.anotherPath("/dev/sdb")])
    }

    @Test("what libblkid does not scan is not looked at, and so not blank")
    func inner() throws {
        let sysfs = try Sysfs([
            "dm-0/dm/uuid": "LVM-abcDEFabcDEFabcDEFabcDEFabcDEFabcDEF", "dm-1/dm/uuid": "LVM-abcDEF-tpool",
            "dm-2/dm/uuid": "stratis-1-private-x", "dm-3/dm/uuid": "CRYPT-LUKS2-0a1b-data", "dm-4/dm/uuid": "mpath-36",
        ])
        let inner = (0..<5).filter { Look.isPrivate("/dev/dm-\($0)", sysfs: sysfs.path) }
        #expect(inner == [1, 2])
    }
}
