import DiskPlanning
import Glibc
import LinuxSystem
import SystemPackage
import Testing

@testable import BlockDevices

extension Partitioning {
    @Test("a partition of the kernel's is compared with the table that its disk has now")
    func misplaced() throws {
        let image = try Image(64 << 20)
        try provision(config(image, #"{"number": 1, "startMiB": 1, "sizeMiB": 8}, {"number": 2, "label": "b"}"#))
        let folder = FilePath("\(image.path).sysfs")
        defer { _ = try? Command("rm", ["-r", folder.string]).run() }
        let part = folder.appending("class/block/p1")
        try run("mkdir", "-p", part.string)
        func found(_ start: Int, _ count: Int, number: Int = 1) throws -> MisplacedPartition? {
            try Files.write("\(start)\n", to: part.appending("start"))
            try Files.write("\(count)\n", to: part.appending("size"))
            return try KernelPartitions.misplaced(
                "/dev/p1", PartitionAddress(disk: image.path, number: number), sysfs: folder)
        }
        let (here, there): (Range<UInt64>, Range<UInt64>) = (1 << 20..<9 << 20, 2 << 20..<10 << 20)
        #expect(try found(2048, 16384) == nil)
        #expect(try found(4096, 16384) == MisplacedPartition(found: there, wanted: here))
        #expect(try found(2048, 16384, number: 3) == MisplacedPartition(found: here, wanted: nil))
        #expect(try found(2048, .max) == MisplacedPartition(found: nil, wanted: here))
        // An MBR, whose logical partitions the kernel may number otherwise.
        try run("sh", "-c", "printf 'label: dos\\nstart=2048, size=16384\\n' | sfdisk --quiet \(image.path)")
        #expect(try found(2048, 16384, number: 5) == nil)
        #expect(try found(4096, 16384) != nil)
        try image.zero(0..<1 << 20)
        try image.zero((63 << 20)..<(64 << 20))
        #expect(try found(2048, 16384) == MisplacedPartition(found: here, wanted: nil))
    }

    @Test("a config that names such a partition alone is refused, whatever it wants there")
    func misplacedAlone() throws {
        let place = MisplacedPartition(found: 2 << 20..<3 << 20, wanted: nil)
        let device = FoundDevice(
            path: "/dev/sda1", node: "/dev/sda1", size: 1 << 20,
            partition: PartitionAddress(disk: "/dev/sda", number: 1), misplaced: place)
        for entry in [
            #""filesystems": [{"device": "/dev/sda1", "format": "ext4"}]"#,
            #""luks": [{"name": "v", "device": "/dev/sda1", "wipeVolume": true}]"#,
            #""raid": [{"name": "data", "level": "raid0", "devices": ["/dev/sda1"]}]"#,
        ] {
            let layout = DiskLayout(try storage("{\(entry)}"), on: DiskInventory(disks: [], devices: [device]))
            #expect(layout.conflicts.map(\.problem) == [.misplaced(place)])
            #expect(layout.conflicts.first?.description.hasSuffix("the table has no such partition") == true)
        }
    }
}
