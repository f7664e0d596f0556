import LinuxSystem
import LiveImage
import Reporting
import SystemPackage
import Testing

@testable import InitramfsImage

extension WholeImages {
    /// A folder of modules as a package of some distribution has them, each compressed, with depmod's files.
    private func kernelFolder(_ compression: String, in folder: borrowing TemporaryFolder) throws -> FilePath {
        let (ending, program): (String, [String]) =
            switch compression {
            case "zstd": (".zst", ["zstd", "--quiet", "--stdout"])
            case "xz": (".xz", ["xz", "--check=crc32", "--stdout"])
            case "gzip": (".gz", ["gzip", "--stdout"])
            default: ("", [])
            }
        let place = "unpacked/\(compression)"
        for name in Files.names(in: fixtures.appending("modules")) {
            var text = try Files.read(fixtures.appending("modules").appending(name))
            if name == "modules.dep", !ending.isEmpty {
                // depmod names the files as they are.
                text = Array(String(decoding: text, as: UTF8.self).replacing(".ko", with: ".ko\(ending)").utf8)
            }
            try folder.file("\(place)/\(name)", text)
        }
        for path in try moduleIndex().paths {
            var bytes = moduleWith(["vermagic=6.12.38-amd64 SMP preempt mod_unload", "name=\(path)"])
            if !program.isEmpty {
                bytes = try Command(program[0], Array(program.dropFirst()), input: bytes).run().standardOutput
            }
            try folder.file("\(place)/\(path)\(ending)", bytes)
        }
        return folder.path.appending(place)
    }

    /// The files below `usr` of an image.
    private func unpacked(_ image: FilePath, in folder: borrowing TemporaryFolder) throws -> FilePath {
        let bytes = try Files.read(image)
        let length = try #require(ZstandardFrame.length(bytes[...]))
        let offset = length + (4 - length % 4) % 4 + 124
        let goal = folder.path.appending("usr-\(image.lastComponent?.string ?? "")")
        try HostProgram.listSquashfs.run(["-q", "-n", "-o", "\(offset)", "-d", goal.string, image.string])
        return goal
    }

    @Test(
        "any kernel's folder will do, however its modules are compressed", arguments: ["plain", "zstd", "xz", "gzip"])
    func kernelFolders(compression: String) throws {
        let folder = try TemporaryFolder()
        var initramfs = try initramfs(in: folder)
        // Nothing of what is installed counts.
        initramfs.host.modules = "/nonexistent"
        initramfs.host.kernelFolder = try kernelFolder(compression, in: folder)
        let image = folder.path.appending(compression)
        let outcome = try initramfs.write(to: image)
        // Not the name of the folder.
        #expect(outcome.kernel == "6.12.38-amd64")
        let modules = try unpacked(image, in: folder).appending("lib/modules/6.12.38-amd64")
        let module = try Files.read(modules.appending("kernel/fs/xfs/xfs.ko"))
        #expect(module == moduleWith(["vermagic=6.12.38-amd64 SMP preempt mod_unload", "name=kernel/fs/xfs/xfs.ko"]))
        let table = String(decoding: try Files.read(modules.appending("modules.dep")), as: UTF8.self)
        #expect(table.contains("kernel/fs/xfs/xfs.ko:") && !table.contains(".ko."))
        #expect(Files.linkTarget(modules.appending("kernel/drivers/block/loop.ko")) == "/early/loop.ko")
        #expect(try initramfs.explanation().hasPrefix("Linux 6.12.38-amd64: "))
    }

    @Test func aFolderWithoutDepmodsFilesIsRefused() throws {
        let folder = try TemporaryFolder()
        var initramfs = try initramfs(in: folder)
        initramfs.host.kernelFolder = folder.path.appending("modules")
        let failure = #expect(throws: BootFailure.self) { try initramfs.write(to: folder.path.appending("image")) }
        #expect(failure.map { "\($0.cause)" } == "there is no modules.dep in \(folder.path)/modules")
        #expect(failure?.advice.first?.contains("depmod -b ROOT VERSION") == true)
    }

    @Test func aModuleThatTellsNoVersionHasTheFoldersName() throws {
        let folder = try TemporaryFolder()
        var initramfs = try initramfs(in: folder)
        initramfs.host.kernelFolder = folder.path.appending("modules/6.1.0")
        #expect(try initramfs.write(to: folder.path.appending("image")).kernel == "6.1.0")
    }

    // MARK: An older root image

    /// A root image around a squashfs, with a folder of modules for each of the kernels.
    private func rootImage(
        _ name: String, kernels: [String], in folder: borrowing TemporaryFolder
    ) throws -> FilePath {
        try folder.file("\(name)/etc/os-release", Array("ID=\(name)\n".utf8))
        for kernel in kernels { try folder.file("\(name)/usr/lib/modules/\(kernel)/modules.dep", []) }
        let image = folder.path.appending("\(name).squashfs")
        let tree = folder.path.appending(name).string
        try HostProgram.makeSquashfs.run([tree, image.string, "-quiet", "-no-progress"])
        let output = folder.path.appending("\(name).img")
        try RootImageArchive(image: image, version: name).write(to: output)
        return output
    }

    @Test func theHashOfAnOlderImageIsKeptBesideThatOfTheNewOne() throws {
        let folder = try TemporaryFolder()
        var initramfs = try initramfs(in: folder)
        let old = try rootImage("old", kernels: ["6.1.0", "6.0.0"], in: folder)
        initramfs.rootfs = try rootImage("new", kernels: ["6.1.0"], in: folder)
        initramfs.fallback = old
        let image = folder.path.appending("image")
        #expect(try initramfs.write(to: image).warnings.filter { $0.contains("modules") } == [])
        var texts: [String: InitramfsArchive.Content] = [:]
        try InitramfsArchive.forEach(in: image) { try $0.forEachFile { texts[$0] = $1 } }
        let hash = try RootImageArchive.stamps(of: #require(initramfs.rootfs)).streamHash
        #expect(texts[LiveImageName.wantedStreamHash] == .bytes(Array(hash.utf8)))
        let oldHash = try RootImageArchive.stamps(of: old).streamHash
        #expect(texts[LiveImageName.wantedFallbackHash] == .bytes(Array(oldHash.utf8)))
    }

    @Test func anOlderImageWithoutThisKernelsModulesIsRefused() throws {
        let folder = try TemporaryFolder()
        var initramfs = try initramfs(in: folder)
        let image = folder.path.appending("image")
        initramfs.rootfs = try rootImage("new", kernels: ["6.1.0"], in: folder)
        initramfs.fallback = try rootImage("old", kernels: ["6.0.0"], in: folder)
        let failure = #expect(throws: BootFailure.self) { try initramfs.write(to: image) }
        #expect(
            failure.map { "\($0.cause)" }
                == "\(folder.path)/old.img cannot be the fallback: it has no modules for Linux 6.1.0")
        #expect(failure?.advice.isEmpty == false && !Files.exists(image))
        // A system that does without modules does so in every version.
        initramfs.rootfs = try rootImage("bare", kernels: [], in: folder)
        #expect(try initramfs.write(to: image).warnings.filter { $0.contains("has no modules") }.count == 2)
    }
}
