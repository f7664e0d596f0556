import Glibc
import LinuxSystem
import SystemPackage
import Testing

@testable import InitramfsImage

private let hasSquashfsTools = Command("mksquashfs", []).isInstalled && Command("unsquashfs", []).isInstalled

@Suite("kernel modules of a root image") struct RootModulesTests {
    /// A squashfs of a small root, whose /lib is a link as in every merged system.
    private func image(
        in folder: borrowing TemporaryFolder, modules: [String], options: [String] = ["-comp", "gzip", "-b", "64K"]
    ) throws -> FilePath {
        let root = folder.path.appending("tree")
        try Files.makeFolder(root.appending("usr/lib"))
        try Files.makeLink(root.appending("lib"), to: "usr/lib")
        try folder.file("tree/etc/hostname", Array("box\n".utf8), mode: 0o640)
        for kernel in modules { try folder.file("tree/usr/lib/modules/\(kernel)/modules.dep", []) }
        try Files.makeFolder(root.appending("usr/lib/modules/6.0.0-empty"))
        let image = folder.path.appending("root.squashfs")
        try HostProgram.makeSquashfs.run([root.string, image.string, "-quiet", "-no-progress"] + options)
        return image
    }

    private func host(in folder: borrowing TemporaryFolder) throws -> HostSystem {
        var host = HostSystem()
        host.modules = folder.path.appending("host")
        try folder.file("host/6.1.0/modules.dep", Array("kernel/net/nf_tables.ko:\n".utf8))
        try folder.file("host/6.1.0/kernel/net/nf_tables.ko", Array("module".utf8))
        try Files.makeLink(host.modules.appending("6.1.0/build"), to: "/usr/src/linux")
        return host
    }

    @Test("are looked for in it", .enabled(if: hasSquashfsTools)) func kernels() throws {
        let folder = try TemporaryFolder()
        let image = try image(in: folder, modules: ["6.1.0", "5.10.0-9-amd64"])
        #expect(RootImageContent(file: image, format: .squashfs).kernels()?.sorted() == ["5.10.0-9-amd64", "6.1.0"])
        let bytes = try Files.read(image)
        let wrapped = try folder.file("wrapped", [UInt8](repeating: 0, count: 124) + bytes)
        #expect(RootImageContent(file: wrapped, offset: 124, format: .squashfs).kernels()?.count == 2)
        #expect(RootImageContent(file: folder.path.appending("none"), format: .squashfs).kernels() == nil)
    }

    @Test func dumpsOfErofsAreRead() {
        let text = """
            File : /usr/lib/modules
            Size: 52  On-disk size: 52  directory

                   NID TYPE  FILENAME
                    55    2  .
                    51    2  ..
                    59    2  6.1.0-9-amd64

            """
        #expect(RootImageContent.kernels(inDump: text) == ["6.1.0-9-amd64"])
    }

    @Test("are missed with a warning", .enabled(if: hasSquashfsTools)) func missing() throws {
        let folder = try TemporaryFolder()
        var root = RootImageArchive(image: try image(in: folder, modules: ["5.10.0"]), version: "1")
        root.host = try host(in: folder)
        let outcome = try root.make(folder.path.appending("rootfs.img"))
        let warning = try #require(outcome.warnings.first)
        #expect(warning.hasPrefix("warning: \(root.image) has no modules for Linux 6.1.0, but for 5.10.0."))
        #expect(warning.hasSuffix("--kernel 6.1.0 adds them."))
        #expect("\(outcome)".hasSuffix(", squashfs, version 1"))
        let lines = warning.split(separator: "\n").dropFirst()
        #expect(lines.allSatisfy { $0.count <= 80 })
    }

    @Test("are added on request", .enabled(if: hasSquashfsTools && geteuid() == 0)) func added() throws {
        let folder = try TemporaryFolder()
        var root = RootImageArchive(image: try image(in: folder, modules: []), version: "1")
        root.host = try host(in: folder)
        root.kernel = "6.1.0"
        var told: [String] = []
        let output = folder.path.appending("rootfs.img")
        let outcome = try root.make(output) { told.append($0) }
        #expect(outcome.warnings.isEmpty && told.count == 4)
        let facts = try RootImageFacts(reading: output)
        #expect(facts.content.kernels() == ["6.1.0"])
        let listing = try HostProgram.listSquashfs.run(["-lls", "-offset", "\(facts.content.offset)", output.string])
            .text
        #expect(listing.contains("squashfs-root/usr/lib/modules/6.1.0/kernel/net/nf_tables.ko"))
        #expect(!listing.contains("modules/6.1.0/build"))
        #expect(listing.contains("-rw-r-----"))
        // Packed as it was.
        let head = Array(try Files.read(output)[Int(facts.content.offset)...].prefix(96))
        #expect(SquashfsOptions(head: head).arguments == ["-comp", "gzip", "-b", "65536"])
        #expect(Files.names(in: folder.path).filter { $0.hasPrefix("firstlight-image") }.isEmpty)
    }

    @Test(
        "stay in the image, wherever its links lead", .enabled(if: hasSquashfsTools && geteuid() == 0),
        arguments: ["usr/lib/modules", "usr/lib", "usr"])
    func links(_ link: String) throws {
        let folder = try TemporaryFolder()
        let outside = folder.path.appending("outside")
        try Files.makeFolder(outside)
        let tree = folder.path.appending("tree")
        try Files.makeLink(tree.appending("lib"), to: "usr/lib")
        // Where the image is the root, it is a folder of the image; here it is one of this machine.
        try Files.makeFolder(tree.appending(outside.removingRoot().components))
        try Files.makeLink(tree.appending(link), to: outside.string)
        let image = folder.path.appending("linked.squashfs")
        try HostProgram.makeSquashfs.run([tree.string, image.string, "-quiet", "-no-progress"])
        let addition = RootModulesAddition(image: image, kernel: "6.1.0", host: try host(in: folder))
        let made = try addition.make(in: folder.path) { _ in }
        #expect(Files.names(in: outside) == [])
        let listing = try HostProgram.listSquashfs.run(["-l", made.string]).text
        #expect(listing.contains("squashfs-root\(outside)/") && listing.contains("6.1.0/kernel/net/nf_tables.ko"))
    }

    @Test("are found in what ostree has deployed", .enabled(if: hasSquashfsTools)) func deployed() throws {
        let folder = try TemporaryFolder()
        try folder.file("root/ostree/deploy/coreos/deploy/8f3a.0/usr/lib/modules/6.1.0/modules.dep", [])
        let file = folder.path.appending("root.squashfs")
        try HostProgram.makeSquashfs.run([folder.path.appending("root").string, file.string, "-quiet", "-no-progress"])
        #expect(RootImageContent(file: file, format: .squashfs).kernels() == ["6.1.0"])
    }

    @Test func anUnknownKernelIsRefused() throws {
        let folder = try TemporaryFolder()
        var root = RootImageArchive(image: try folder.file("root.squashfs", squashfs(4096)), version: "1")
        root.host = try host(in: folder)
        root.kernel = "9.9.9"
        #expect(throws: HostSystem.Failure.self) { try root.make(folder.path.appending("rootfs.img")) }
    }
}
