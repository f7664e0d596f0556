// Packing members into the bytes of an initramfs.

import Glibc
import LinuxSystem
import LiveImage
import SystemPackage

/// Writes the two parts: a zstd-compressed archive, then a plain one that has the squashfs images, if any, and what is
/// small.
struct Packing {
    /// The modification time of all members, in seconds since 1970.
    var time: UInt32
    /// Paths in the squashfs that are stored first, in this order.
    var first: [String]
    /// Whether to pack in seconds, at the cost of a larger image.
    var isFast = false
    /// Where what is packed is kept; `nil` keeps nothing.
    var cache: PackedCache?

    /// The options of mksquashfs: 256 KiB blocks and level 19, than which 22 is slower by a quarter and no smaller.
    ///
    /// With 1 MiB a generic set is 1.3 MB smaller, but Linux takes three blocks of RAM for each mount and two more for
    /// each processor. xz would save 2 MB, but takes five times as long to decompress.
    private var squashfsCompression: [String] {
        ["-comp", "zstd", "-Xcompression-level", isFast ? "3" : "19", "-b", "256K"]
    }
    private var archiveCompression: String { isFast ? "-3" : "-19" }

    /// Writes the image.
    ///
    /// - Parameters:
    ///   - root: What the kernel unpacks and most images have in common: the agent above all.
    ///   - own: What it unpacks besides, and what makes this image another one than the last: config, keyfiles, stamps.
    ///     Where `root` has a member of that path, that one counts.
    ///   - usr: What is mounted on `/usr`; `nil` where everything is unpacked.
    ///   - drivers: What is mounted on the folder of drivers; nothing where it is empty.
    ///   - output: Where the image is written.
    ///   - isPrivate: Whether it is for its owner alone.
    /// - Throws: Why a part cannot be packed, or the image not be written.
    func write(
        root: FileTree, own: FileTree, usr: FileTree?, drivers: FileTree = FileTree(), to output: FilePath,
        isPrivate: Bool
    ) throws {
        let own = own.without(root)
        let whole = root.adding(own)
        try whole.check()
        try usr?.check(at: "usr/")
        var images = usr.map { [(name: InitramfsPath.usr, tree: $0)] } ?? []
        if !drivers.members.isEmpty { images.append((InitramfsPath.drivers, drivers)) }
        let folder = try TemporaryFolder()
        let place = folder.path
        // Without a second archive the first one holds everything. It is not kept then, because secrets may be in it.
        let archive = try archive(usr == nil ? whole : root)
        let cache = usr == nil ? nil : cache
        // Both take most of their time on processors of their own.
        let packed = Monitor<Result<FilePath, any Error>?>(nil)
        let files = try withThread {
            let result = Result { try compressed(archive, in: place, cache) }
            packed.change { $0 = result }
        } meanwhile: {
            try images.map { try (name: $0.name, file: squashfs(of: $0.tree, named: $0.name, in: place)) }
        }
        var file = try PendingFile(output)
        try file.write(contentsOf: packed.wait { $0 }.get())
        // An archive that is not compressed has to start at a multiple of 4.
        try file.write(NewcWriter.padding(after: file.length))
        guard !files.isEmpty else { return try file.finish(permissions: isPrivate ? 0o600 : 0o644) }
        var writer = NewcWriter(modificationTime: time)
        for image in files {
            let size = Files.size(image.file) ?? 0
            try file.write(writer.header(image.name, .file, permissions: 0o644, size: size))
            try file.write(contentsOf: image.file)
            try file.write(NewcWriter.padding(after: size))
        }
        // Small, and not worth a decompressor's start at every boot.
        try file.write(members(of: own, &writer))
        // Its length is a multiple of 4 too, so that another archive can follow.
        try file.write(NewcWriter.trailer())
        try file.finish(permissions: isPrivate ? 0o600 : 0o644)
    }

    /// The whole tree as one archive.
    func archive(_ tree: FileTree) throws -> [UInt8] {
        var writer = NewcWriter(modificationTime: time)
        return try members(of: tree, &writer) + NewcWriter.trailer()
    }

    private func members(of tree: FileTree, _ writer: inout NewcWriter) throws -> [UInt8] {
        var bytes: [UInt8] = []
        for member in tree.members {
            let (kind, data): (NewcWriter.Kind, [UInt8]) =
                switch member.content {
                case .folder: (.folder, [])
                case .link(let target): (.link, Array(target.utf8))
                case .bytes(let contents): (.file, contents)
                case .copy(let source): (.file, try Self.read(source))
                }
            bytes += try writer.member(member.path, kind, permissions: member.permissions, data: data)
        }
        return bytes
    }

    /// The compressed archive, made in `folder` or taken from the cache.
    private func compressed(_ archive: [UInt8], in folder: FilePath, _ cache: PackedCache?) throws -> FilePath {
        // One thread, because the output of several depends on their number.
        let options = [archiveCompression, "-T1", "--quiet", "--stdout"]
        let key = try cache.map { _ in
            // Another version of the program makes other bytes.
            try PackedCache.key(archive, options: [HostProgram.zstd.run(["--version"]).text] + options)
        }
        if let key, let packed = cache?.file(key, .archive) { return packed }
        let file = folder.appending("root.zst")
        try Files.write(HostProgram.zstd.run(options, input: archive).standardOutput, to: file, mode: 0o600)
        if let key { cache?.keep(file, as: key, .archive) }
        return file
    }

    /// The tree as a squashfs, made in `folder` or taken from the cache.
    private func squashfs(of tree: FileTree, named name: String, in folder: FilePath) throws -> FilePath {
        let image = folder.appending(name)
        let staging = folder.appending("\(name).tree")
        guard let cache else {
            try makeSquashfs(tree, at: image, staging: staging)
            return image
        }
        // Another version of the program makes other bytes.
        let version = try HostProgram.makeSquashfs.run(["-version"]).text.prefix { $0 != "\n" }
        let key = try PackedCache.key(tree, options: [String(version), "\(time)"] + squashfsCompression + first)
        if let packed = cache.file(key, .squashfs) { return packed }
        try makeSquashfs(tree, at: image, staging: staging)
        cache.keep(image, as: key, .squashfs)
        return image
    }

    /// Writes the tree below `staging` and compresses it.
    private func makeSquashfs(_ tree: FileTree, at image: FilePath, staging: FilePath) throws {
        try Files.makeFolder(staging)
        for member in tree.members { try lay(member, below: staging) }
        let order = FilePath("\(image).order")
        // Higher is earlier; every other file has 0.
        let priorities = first.filter { tree[$0] != nil }.enumerated().map { "\($1) \(max(1, 30_000 - $0))\n" }
        try Files.write(priorities.joined(), to: order)
        try HostProgram.makeSquashfs.run(
            [staging.string, image.string, "-noappend", "-no-progress", "-quiet", "-sort", order.string]
                + ["-mkfs-time", "\(time)", "-all-time", "\(time)", "-force-uid", "0", "-force-gid", "0"]
                + ["-no-exports", "-no-xattrs"] + squashfsCompression)
    }

    private func lay(_ member: Member, below folder: FilePath) throws {
        let path = folder.appending(member.path)
        switch member.content {
        case .folder: try Files.makeFolder(path)
        case .link(let target): return try Files.makeLink(path, to: target)
        case .bytes(let contents): try write(contents, to: path)
        case .copy(let source): try write(Self.read(source), to: path)
        }
        guard chmod(path.string, mode_t(member.permissions)) == 0 else {
            throw FileFault("write", path, Errno(rawValue: errno))
        }
    }

    private static func read(_ path: FilePath) throws(FileFault) -> [UInt8] {
        try Files.read(path)
    }

    private func write(_ bytes: [UInt8], to path: FilePath) throws(FileFault) {
        let descriptor = open(path.string, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw FileFault("write", path, Errno(rawValue: errno)) }
        defer { close(descriptor) }
        try Files.naming("write", path) { () throws(Errno) in try Files.writeAll(bytes, to: descriptor) }
    }
}
