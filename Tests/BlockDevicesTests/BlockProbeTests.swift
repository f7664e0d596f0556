import DiskPlanning
import LinuxSystem
import Reporting
import Testing

@testable import BlockDevices

@Suite(.serialized) struct Probing {
    private let size = 320 << 20

    @Test(
        "knows what the mkfs programs make",
        .enabled(if: isInstalled("mkfs.ext4", "mkfs.xfs", "mkfs.btrfs", "mkfs.fat", "mkswap")))
    func formats() throws {
        for (format, uuid) in [
            ("ext4", "0a1b2c3d-0000-4000-8000-000000000001"), ("xfs", "0a1b2c3d-0000-4000-8000-000000000002"),
            ("btrfs", "0a1b2c3d-0000-4000-8000-000000000003"), ("vfat", "1234-abcd"),
            ("swap", "0a1b2c3d-0000-4000-8000-000000000005"),
        ] {
            let image = try Image(size)
            let maker = try #require(FilesystemFormat(rawValue: format)?.maker(options: [], label: "DATA", uuid: uuid))
            try run(maker.program, maker.arguments + [image.path])
            let content = try Look(image.path).whole
            let signature = try #require(content.signatures.first)
            #expect(content.signatures.count == 1 && content.table == nil)
            #expect(signature.type == format && signature.label == "DATA")
            #expect(signature.uuid?.lowercased() == uuid)
            #expect(!signature.isUnfinished)
            // The sizes are those of the image, and little of it is in use.
            let spans = try #require(signature.size)
            #expect(spans <= UInt64(size) && spans > UInt64(size) - (1 << 20), "\(format) spans \(spans)")
            #expect((signature.used ?? 0) < 96 << 20, "\(format) uses \(signature.used ?? 0)")
        }
    }

    private func run(_ program: String, _ arguments: [String]) throws {
        try Command(program, arguments).run()
    }

    @Test("names whose lengths are longer than their room are not read out of our own memory")
    func lyingLengths() throws {
        let image = try Image(size)
        try image.write([1, 0, 0, 0, 2, 0, 0, 0] + Array("OracleCFS".utf8), at: 8192 - 8)
        try image.write(Array("OracleCFS".utf8), at: 8192)
        // The label, its length, and what follows.
        try image.write([UInt8](repeating: 0x41, count: 64) + [0xff, 0xff], at: 8192 + 512 + 48)
        let content = try Look(image.path).whole
        #expect(content.signatures.map(\.type) == ["ocfs"] && content.signatures.first?.label == nil)
        try Eraser.erase(image.path)
        #expect(try !Look(image.path).whole.isKnown)
    }

    @Test("sees a range of a disk as the partition it may become", .enabled(if: isInstalled("mkfs.ext4")))
    func range() throws {
        let inner = try Image(16 << 20)
        try run("mkfs.ext4", ["-q", "-F", "-L", "inner", inner.path])
        let image = try Image(64 << 20)
        try image.copy(inner, at: 8 << 20)
        let area: Range<UInt64> = 8 << 20..<24 << 20
        #expect(try Look(image.path, bytes: area).whole.description == "ext4 \"inner\"")
        #expect(try Look(image.path, bytes: 0..<8 << 20).whole.kind == .blank)
        // Neither its start nor its end nor its middle has been written.
        #expect(try Look(image.path).whole.kind == .blank)
    }

    @Test(
        "lists every signature where several exclude each other", .enabled(if: isInstalled("mkfs.btrfs", "mkfs.ext4")))
    func ambiguous() throws {
        let image = try Image(size)
        try run("mkfs.btrfs", ["-q", "-L", "b", image.path])
        let other = try Image(size)
        try run("mkfs.ext4", ["-q", "-F", "-L", "e", other.path])
        // An ext4 superblock beside the one of btrfs.
        try image.write(other.bytes(1024..<2048), at: 1024)
        let content = try Look(image.path).whole
        #expect(Set(content.signatures.map(\.type)) == ["btrfs", "ext4"])
    }

    @Test("erases every signature and nothing else", .enabled(if: isInstalled("mkfs.btrfs", "sfdisk")))
    func wipes() throws {
        let image = try Image(size)
        try run("mkfs.btrfs", ["-q", image.path])
        try image.write(Array("payload".utf8), at: 100 << 20)
        try Eraser.erase(image.path)
        #expect(try !Look(image.path).whole.isKnown)
        #expect(try image.bytes(100 << 20..<(100 << 20) + 7) == Array("payload".utf8))
        try image.partition("1: start=2048")
        #expect(try Look(image.path).whole.table == "gpt")
        try Eraser.erase(image.path)
        #expect(try !Look(image.path).whole.isKnown)
        #expect(try DiskProber().disk(image.path, node: image.path).table == .none)
    }

    @Test("who may not look is told so, and not to check the cabling")
    func notAllowed() {
        #expect(
            DiskFailure.unreadable("/dev/vda", .permissionDenied).advice
                == ["Run it as root: only root may read disks."])
    }

    @Test("a file that cannot be read is an error that names it")
    func unreadable() {
        #expect(throws: DiskFailure.unreadable("/nonexistent", .noSuchFileOrDirectory)) {
            _ = try BlockProbe("/nonexistent")
        }
    }
}

@Suite(.serialized) struct Describing {
    @Test(
        "tells the label, UUID and version of a LUKS header", .enabled(if: isInstalled("cryptsetup")),
        arguments: [1, 2])
    func luks(_ version: Int) throws {
        let image = try Image(32 << 20)
        let uuid = "0a1b2c3d-0000-4000-8000-00000000000\(version)"
        let label = version == 2 ? ["--label", "cache"] : []
        let format = Command(
            "cryptsetup",
            ["luksFormat", "--batch-mode", "--type", "luks\(version)", "--uuid", uuid, "--pbkdf", "pbkdf2"]
                + ["--pbkdf-force-iterations", "1000", "--key-file", "-"] + label + [image.path],
            input: Array("secret".utf8))
        try format.run()
        let before = try image.digest()
        #expect(try LUKSHeader.read(image.path) == LUKSHeader(version: version, uuid: uuid, label: label.last))
        let description = try DeviceDescription(image.path)
        #expect(description.json["luks"]?["version"]?.integer == Int64(version))
        #expect(description.json["type"]?.string == "crypto_LUKS")
        // A damaged copy of the header is left as it is: looking writes nothing.
        if version == 2 {
            try image.write([0xff], at: 100)
            let damaged = try image.digest()
            #expect(try LUKSHeader.read(image.path)?.uuid == uuid)
            #expect(try image.digest() == damaged)
        } else {
            #expect(try image.digest() == before)
        }
    }

    @Test("what is not a LUKS header is none")
    func noLUKS() throws {
        for size in [0, 1, 4096, 1 << 20] {
            let image = try Image(size)
            #expect(try LUKSHeader.read(image.path) == nil)
        }
    }

    @Test("tells of a partition table", .enabled(if: isInstalled("sfdisk")))
    func table() throws {
        let image = try Image(64 << 20)
        try image.partition("3: start=2048, size=8MiB, name=var")
        let description = try DeviceDescription(image.path)
        let partition = description.json["table"]?["partitions"]?.elements?.first
        #expect(description.json["table"]?["type"]?.string == "GPT")
        #expect(partition?["number"]?.integer == 3)
        #expect(partition?["label"]?.string == "var")
        #expect(partition?["sectors"]?.integer == 16384)
        #expect(description.lines == ["\(image.path)   64 MiB, GPT", "  3  \"var\"  8 MiB"])
    }
}
