// Kernel modules in a root image. The initramfs has those that a boot needs, but they are gone with it. A real root
// without modules of its own has no nftables, no autofs, and no drivers for hardware that is plugged in later.

import Glibc
import LinuxSystem
import LiveImage
import Reporting
import SystemPackage

/// A filesystem image in a file, looked into with the host's own tools.
package struct RootImageContent {
    package var file: FilePath
    /// Where the filesystem begins, in bytes.
    package var offset: UInt64 = 0
    package var format: RootImageFormat.Filesystem

    package init(file: FilePath, offset: UInt64 = 0, format: RootImageFormat.Filesystem) {
        self.file = file
        self.offset = offset
        self.format = format
    }

    /// The kernels whose modules are in it; `nil` where nobody here can tell.
    package func kernels() -> [String]? {
        switch format {
        case .squashfs:
            // A root without the folder is not an error; an unreadable image is reported elsewhere.
            func listed(depth: Int, _ folders: [String]) -> [String]? {
                let listing = try? HostProgram.listSquashfs.run(
                    ["-quiet", "-l", "-max-depth", "\(depth)", "-offset", "\(offset)", file.string] + folders)
                return listing.map { Self.kernels(inListing: $0.text) }
            }
            guard let found = listed(depth: 5, ["usr/lib/modules", "lib/modules"]) else { return nil }
            // The root may be what ostree has deployed in the image.
            return found.isEmpty ? listed(depth: 10, ["ostree/deploy/*/deploy/*/usr/lib/modules"]) : found
        case .erofs:
            guard offset == 0 else { return nil }
            let dumps = ["/usr/lib/modules", "/lib/modules"].map { path in
                try? HostProgram(name: "dump.erofs", package: "erofs-utils").run([
                    "--ls", "--path=\(path)", file.string,
                ])
            }
            if dumps.allSatisfy({ $0 == nil }) { return nil }
            return dumps.compactMap(\.self).flatMap { Self.kernels(inDump: $0.text) }
        }
    }

    /// Reads `squashfs-root/usr/lib/modules/6.1.0-9-amd64/modules.dep`; a folder alone is not enough.
    static func kernels(inListing text: String) -> [String] {
        text.split(separator: "\n").compactMap { line in
            let parts = line.split(separator: "/")
            guard parts.count >= 3, parts.last == "modules.dep", parts[parts.count - 3] == "modules" else { return nil }
            return String(parts[parts.count - 2])
        }
    }

    /// Reads `        59    2  6.1.0-9-amd64`, after a line with the names of the columns.
    static func kernels(inDump text: String) -> [String] {
        let lines = text.split(separator: "\n").drop { !$0.contains("FILENAME") }.dropFirst()
        return lines.compactMap { line in
            let parts = line.split(separator: " ")
            return parts.count == 3 && !parts[2].hasPrefix(".") ? String(parts[2]) : nil
        }
    }

    /// A warning that the real root lacks this kernel's modules; `nil` if it has them or that is unknown.
    ///
    /// `advice` is its last sentence: how to add them.
    package func warning(kernel: String, advice: String) -> String? {
        guard let present = kernels(), !present.contains(kernel) else { return nil }
        let others = present.isEmpty ? "" : ", but for \(present.joined(separator: ", "))"
        return "warning: \(file) has no modules for Linux \(kernel)\(others).\n"
            + "  The real root will have no nftables, no autofs and no driver that is not\n"
            + "  loaded by then. \(advice)"
    }
}

extension RootImageArchive {
    /// Makes the image.
    ///
    /// The modules of ``kernel``, or those of the host's ``HostSystem/kernelFolder``, are added. Without either a warning says if the root has no modules for the
    /// newest kernel here.
    ///
    /// - Parameters:
    ///   - output: Where the image is written.
    ///   - tell: Receives what takes long, when it begins.
    /// - Returns: What was made.
    /// - Throws: What stopped it, as an error with a description.
    public func make(_ output: FilePath, telling tell: (String) -> Void = { _ in }) throws -> Outcome {
        guard kernel != nil || host.kernelFolder != nil else {
            var outcome = try write(to: output)
            if let newest = host.kernels.last {
                let content = RootImageContent(file: image, format: outcome.format)
                let warning = content.warning(kernel: newest, advice: "--kernel \(newest) adds them.")
                outcome.warnings += warning.map { [$0] } ?? []
            }
            return outcome
        }
        // The folder of the result has room for something of its size.
        let folder = try TemporaryFolder(in: Files.absolute(output).removingLastComponent())
        var whole = self
        // Programs run in the root folder.
        var addition = RootModulesAddition(image: Files.absolute(image), kernel: try host.kernel(kernel), host: host)
        addition.latest = latest
        addition.isFast = isFast
        whole.image = try addition.make(in: folder.path, telling: tell)
        tell("writing \(output)")
        return try whole.write(to: output)
    }
}

/// A copy of a squashfs to which a kernel's modules are added.
struct RootModulesAddition {
    var image: FilePath
    var kernel: String
    var host: HostSystem
    /// What files' times are limited to, and the image's own time, in seconds since 1970; `nil`: files keep theirs.
    var latest: UInt32?
    /// Whether the result is compressed less (zstd level 3), and not as the image was.
    var isFast = false

    enum Failure: Error, CustomStringConvertible, Advising {
        case needsRoot
        case erofs(kernel: String, folder: FilePath)

        var description: String {
            switch self {
            case .needsRoot: "adding modules takes the image apart, and only root can keep its files' owners"
            case .erofs: "modules cannot be added to an erofs image"
            }
        }

        var advice: [String] {
            switch self {
            case .needsRoot: ["Run it as root."]
            case .erofs(let kernel, let folder):
                [
                    "Put them into the tree that it is made of, and make it again:",
                    "cp -a \(folder) ROOT/usr/lib/modules/\(kernel)",
                ]
            }
        }
    }

    /// Unpacks the image, adds the modules, and packs it again with the same options, or faster.
    ///
    /// - Parameters:
    ///   - folder: A folder with room for the whole tree.
    ///   - tell: Receives what takes long, when it begins.
    /// - Returns: The new image, in `folder`.
    /// - Throws: What stopped it, as an error with a description.
    func make(in folder: FilePath, telling tell: (String) -> Void) throws -> FilePath {
        guard geteuid() == 0 else { throw Failure.needsRoot }
        let head = try FileReader(image).next(RootImageFormat.headLength)
        let format = head.withUnsafeBytes { RootImageFormat(head: $0) }
        guard let format else { throw RootImageArchive.Failure.notFilesystem(image) }
        guard format.filesystem == .squashfs else {
            throw Failure.erofs(kernel: kernel, folder: host.folder(of: kernel))
        }
        var options = SquashfsOptions(head: head)
        if isFast { options.compression = "zstd" }
        let root = folder.appending("root")
        tell("taking \(image) apart")
        try HostProgram.listSquashfs.run(["-no-progress", "-quiet", "-dest", root.string, image.string])
        // If /lib is a link, the modules belong below /usr.
        let isMerged = Files.status(root.appending("lib"), followingLinks: false).map { $0.st_mode & S_IFMT } != S_IFDIR
        tell("adding the modules of Linux \(kernel)")
        // The links of the image are followed inside of the image only.
        let modules = try Files.makeFolder(isMerged ? "usr/lib/modules" : "lib/modules", inside: root)
        try HostProgram(name: "cp", package: "coreutils").run(
            ["--archive", "--remove-destination", "--no-target-directory", host.folder(of: kernel).string]
                + [modules.appending(kernel).string])
        // These links lead to the kernel's source on this machine.
        for name in ["build", "source"] { try? Files.remove(modules.appending(kernel).appending(name)) }
        let result = folder.appending("root.squashfs")
        tell("packing the image again")
        try HostProgram.makeSquashfs.run(
            [root.string, result.string, "-noappend", "-no-progress", "-quiet"] + options.arguments
                + (isFast ? ["-Xcompression-level", "3"] : []),
            // It limits files' times, too.
            environment: Command.defaultEnvironment + (latest.map { ["SOURCE_DATE_EPOCH=\($0)"] } ?? []))
        return result
    }
}

/// How a squashfs was packed, by its superblock.
///
/// - SeeAlso: Linux, `fs/squashfs/squashfs_fs.h`.
struct SquashfsOptions: Equatable {
    var compression: String?
    var blockSize: UInt32

    init(head: [UInt8]) {
        func number(_ offset: Int, _ count: Int) -> UInt32 {
            guard head.count >= offset + count else { return 0 }
            return (0..<count).reduce(0) { $0 | UInt32(head[offset + $1]) << UInt32(8 * $1) }
        }
        blockSize = number(12, 4)
        compression = [1: "gzip", 2: "lzma", 3: "lzo", 4: "xz", 5: "lz4", 6: "zstd"][number(20, 2)]
    }

    var arguments: [String] {
        (compression.map { ["-comp", $0] } ?? []) + (blockSize > 0 ? ["-b", "\(blockSize)"] : [])
    }
}
