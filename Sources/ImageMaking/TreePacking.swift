// Making a filesystem image of a tree.

import CLinux
import Glibc
import InitramfsImage
import LinuxSystem
import LiveImage
import Reporting
import SystemPackage

/// Packs a tree with the host's own programs.
struct TreePacking {
    var tree: RootTree
    var format: RootImageFormat.Filesystem
    /// The image's own time, in seconds since 1970.
    var time: UInt32
    /// Files' times later than this become this; `nil` leaves all as they are.
    var latest: Int64?
    var isFast = false

    enum Failure: Error, CustomStringConvertible, Advising {
        case needsRoot

        var description: String { "an erofs is made of files on disk, and only root can give them their owners" }

        var advice: [String] { ["Run it as root, or make a squashfs: --format squashfs"] }
    }

    /// The time that no file of the image is younger than, in seconds since 1970.
    ///
    /// mksquashfs 4.5 gives the root folder of a tar stream the present time, whatever it is told; this alone limits it.
    /// It limits only a time that has come: a file that is dated ahead would leave the present time in the image.
    private var youngest: UInt32 {
        let all = tree.entries.map { tree.nodes[$0.node].attributes.modified } + [tree.rootAttributes.modified]
        return UInt32(clamping: latest ?? all.max() ?? 0)
    }

    /// Bytes of all the files in it.
    private var total: UInt64 {
        tree.entries.reduce(0) { sum, entry in
            guard entry.firstPath == nil, case .file(let source) = tree.nodes[entry.node].kind else { return sum }
            return sum &+ source.count
        }
    }

    /// What the format has no room for, a phrase each: a squashfs holds attributes of three kinds alone.
    var leftOut: [String] {
        guard format == .squashfs else { return [] }
        let kinds = ["user.", "trusted.", "security."].map { Array($0.utf8) }
        func phrases(_ attributes: RootTree.Attributes, _ path: String) -> [String] {
            let names = attributes.extended.keys.filter { name in !kinds.contains { name.starts(with: $0) } }
            let texts = names.map { String(decoding: $0, as: UTF8.self) }.sorted()
            let rest = texts.filter { !$0.hasPrefix("system.posix_acl_") }
            return (rest.count < texts.count ? ["the POSIX ACL of \(path)"] : [])
                + rest.map { "the attribute \($0) of \(path)" }
        }
        return phrases(tree.rootAttributes, "/")
            + tree.entries.filter { $0.firstPath == nil }.flatMap {
                phrases(tree.nodes[$0.node].attributes, "/\($0.pathText)")
            }
    }

    /// Packs the tree into a new file.
    ///
    /// `folder` needs room for what an erofs is made of: all files of the tree. Throws where a file cannot be read or
    /// written, a program is missing or fails, or an erofs is made by somebody other than root.
    func write(to image: FilePath, in folder: FilePath, telling progress: MakingProgress) throws {
        switch format {
        case .squashfs: try writeSquashfs(to: image, telling: progress)
        case .erofs: try writeErofs(to: image, in: folder, telling: progress)
        }
    }

    /// mksquashfs reads a tar stream: nothing is written to disk in between, and nobody has to be root.
    private func writeSquashfs(to image: FilePath, telling progress: MakingProgress) throws {
        let root = tree.rootAttributes
        let writer = TarWriter(latest: latest)
        let command = Command(
            HostProgram.makeSquashfs.name,
            ["-", image.string, "-tar", "-noappend", "-no-progress", "-quiet", "-comp", "zstd"]
                + (isFast ? ["-Xcompression-level", "3"] : [])
                + ["-root-mode", String(root.permissions, radix: 8)]
                + ["-root-uid", "\(root.user)", "-root-gid", "\(root.group)"],
            environment: Command.defaultEnvironment + ["SOURCE_DATE_EPOCH=\(youngest)"])
        let total = total
        waitForThePresent()
        do {
            try command.run { pipe in
                // Headers are small, so many of them are written with one call.
                var gathered: [UInt8] = []
                func flush() throws {
                    try Files.naming("write to", "mksquashfs") { () throws(Errno) in
                        try Files.writeAll(gathered, to: pipe)
                    }
                    gathered.removeAll(keepingCapacity: true)
                }
                try writer.write(
                    tree,
                    to: { bytes in
                        gathered += bytes
                        if gathered.count >= 1 << 20 { try flush() }
                    }, progress: { progress.bytes($0, total) })
                try flush()
            }
        } catch Command.Failure.missing {
            throw HostSystem.Failure.missing(.makeSquashfs)
        }
    }

    /// Waits until the youngest file's time has come, so that the same tree makes the same image at once and later.
    ///
    /// Archives round times to the next second, so a layer that has just been made is dated up to a second ahead. A file
    /// further ahead has a wrong date, for which nobody waits: there, SOURCE_DATE_EPOCH makes the image reproducible.
    private func waitForThePresent() {
        while case let ahead = Int(youngest) - Glibc.time(nil), ahead > 0, ahead <= 2 { usleep(50_000) }
    }

    /// Debian 12's mkfs.erofs reads folders alone.
    private func writeErofs(to image: FilePath, in folder: FilePath, telling progress: MakingProgress) throws {
        guard geteuid() == 0 else { throw Failure.needsRoot }
        let root = folder.appending("tree")
        progress.step("laying out the files")
        try TreeLaying(tree: tree, latest: latest).write(to: root)
        progress.step("packing the erofs")
        // `-T` sets the image's own time; each file keeps its own because `--preserve-mtime` comes later.
        try HostProgram(name: "mkfs.erofs", package: "erofs-utils").run([
            "-zlz4hc", "-T\(time)", "--preserve-mtime", "-U\(identity())", "--quiet", image.string, root.string,
        ])
    }

    /// A UUID that depends on what is in the image and on nothing else.
    private func identity() -> String {
        let digest = SHA256Digest()
        for entry in tree.entries {
            let node = tree.nodes[entry.node]
            var size: UInt64 = 0
            if case .file(let source) = node.kind { size = source.count }
            digest.add(entry.path + Array("\0\(node.attributes.permissions) \(size)\n".utf8))
        }
        let digits = Array(digest.finish())
        let groups = [0..<8, 8..<12, 12..<16, 16..<20, 20..<32].map { String(digits[$0]) }
        return groups.joined(separator: "-")
    }
}

/// Writes a tree to disk, into a folder that is made for it: no name in it leads anywhere else, as every folder on the
/// way is one of its own.
struct TreeLaying {
    var tree: RootTree
    var latest: Int64?

    func write(to root: FilePath) throws {
        try check("make", root) { mkdir($0, 0o700) }
        var folders: [(FilePath, RootTree.Attributes)] = [(root, tree.rootAttributes)]
        for entry in tree.entries {
            let place = root.appendingBytes(entry.path)
            let node = tree.nodes[entry.node]
            if let first = entry.firstPath {
                let old = root.appendingBytes(first)
                try check("link", place) { new in old.withPlatformString { Glibc.link($0, new) } }
                continue
            }
            switch node.kind {
            case .folder:
                try check("make", place) { mkdir($0, 0o700) }
                folders.append((place, node.attributes))
                continue
            case .file(let source): try write(source, to: place)
            case .link(let target): try check("make", place) { path in withPath(target) { symlink($0, path) } }
            case .device(let isBlock, let major, let minor):
                let type = isBlock ? S_IFBLK : S_IFCHR
                try check("make", place) { mknod($0, type | 0o600, DeviceNumber.of(major: major, minor: minor)) }
            case .pipe: try check("make", place) { mkfifo($0, 0o600) }
            }
            try setAttributes(node.attributes, of: place, isLink: node.kind.isLink)
        }
        // Making something in a folder changes the folder's time.
        for (place, attributes) in folders.reversed() { try setAttributes(attributes, of: place, isLink: false) }
    }

    private func write(_ source: RootTree.Source, to place: FilePath) throws {
        let output = place.withPlatformString { open($0, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600) }
        guard output >= 0 else { throw FileFault("write", place, Errno(rawValue: errno)) }
        defer { close(output) }
        func put(_ bytes: [UInt8]) throws {
            try Files.naming("write", place) { () throws(Errno) in try Files.writeAll(bytes, to: output) }
        }
        switch source {
        case .bytes(let bytes): try put(bytes)
        case .file(let file, let offset, let count):
            let (end, isBeyond) = offset.addingReportingOverflow(count)
            let input = try ByteRange(file, offset..<(isBeyond ? offset : end))
            var at: UInt64 = 0
            while at < count {
                let bytes = try input.bytes(at: at, count: min(1 << 20, count - at))
                guard !bytes.isEmpty else { throw TarWriter.Failure.shortened(place.string) }
                try put(bytes)
                at += UInt64(bytes.count)
            }
        }
    }

    private func setAttributes(_ attributes: RootTree.Attributes, of place: FilePath, isLink: Bool) throws {
        try check("give its owner to", place) { lchown($0, attributes.user, attributes.group) }
        // This comes after the owner, because changing the owner clears the setuid and setgid bits.
        if !isLink { try check("set the mode of", place) { chmod($0, attributes.permissions) } }
        for (name, value) in attributes.extended {
            try check("set attributes of", place) { path in
                withPath(name) { lsetxattr(path, $0, value, value.count, 0) }
            }
        }
        let seconds = TarWriter(latest: latest).time(attributes.modified)
        let times = [timespec](repeating: timespec(tv_sec: Int(seconds), tv_nsec: 0), count: 2)
        try check("set the time of", place) { utimensat(AT_FDCWD, $0, times, AT_SYMLINK_NOFOLLOW) }
    }

    private func check(_ act: String, _ place: FilePath, _ call: (UnsafePointer<CChar>) -> Int32) throws(FileFault) {
        let (result, reason) = place.withPlatformString { path in
            let result = call(path)
            return (result, errno)
        }
        guard result == 0 else { throw FileFault(act, place, Errno(rawValue: reason)) }
    }
}

extension RootTree.Kind {
    fileprivate var isLink: Bool { if case .link = self { true } else { false } }
}

extension FilePath {
    /// The path below this one; its bytes may be no UTF-8.
    fileprivate func appendingBytes(_ bytes: [UInt8]) -> FilePath { pushing(FilePath(platformBytes: bytes)) }
}
