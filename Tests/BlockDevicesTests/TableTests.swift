import DiskPlanning
import Glibc
import LinuxSystem
import SystemPackage
import Testing

@testable import BlockDevices

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
        let found = DiskProber.partitionLabels(sysfs: folder, devices: devices)
        #expect(found.map(\.label) == ["größe", "Łódź"])
        #expect(found.map(\.node) == ["\(image.path)1", "\(image.path)2"])
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
