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

        deinit { _ = try? run("rm", "-rf", path.string) }
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
