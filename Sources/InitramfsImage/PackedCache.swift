// What was packed before, by what it was made of: the modules of a kernel take a minute, the agent ten seconds.

import Encoding
import Glibc
import Hashing
import LinuxSystem
import SystemPackage

/// A folder of packed parts.
struct PackedCache {
    /// The folder; it and its files are for their owner alone, since inclusions can hold anything.
    var folder: FilePath

    /// What is kept.
    enum Kind: String {
        /// A squashfs: that for `/usr`, or that of drivers.
        case squashfs
        /// The archive that the kernel unpacks.
        case archive = "zst"
    }

    /// Files of each kind that stay: those of a few kernels and choices of modules, of which each may have two, and of a
    /// few agents.
    private static let limit = 8
    /// A file that was found within this many seconds may not have been read yet.
    private static let inUse = 600

    /// The name of what `tree` is packed to, from everything that its bytes depend on.
    static func key(_ tree: FileTree, options: [String]) throws -> String {
        var digest = MessageDigest(.sha256)
        func add(_ bytes: [UInt8]) {
            bytes.withUnsafeBytes { digest.update($0) }
        }
        func add(_ text: String) { add(Array("\(text.utf8.count) \(text)\n".utf8)) }
        options.forEach { add($0) }
        for member in tree.members {
            add(member.path)
            add(String(member.permissions, radix: 8))
            switch member.content {
            case .folder: add("folder")
            case .link(let target): add("link \(target)")
            case .bytes(let bytes): add(MessageDigest.sha256(bytes))
            case .copy(let source): add(MessageDigest.sha256(try Files.read(source)))
            }
        }
        return hexadecimal(digest.finish())
    }

    /// The name of what an archive is packed to.
    static func key(_ archive: [UInt8], options: [String]) throws -> String {
        var tree = FileTree()
        tree.addBytes("archive", archive)
        return try key(tree, options: options)
    }

    /// The file of that name; `nil` where there is none, or it is not ours alone.
    func file(_ key: String, _ kind: Kind) -> FilePath? {
        let file = place(key, kind)
        guard isOurs(folder, S_IFDIR), isOurs(file, S_IFREG) else { return nil }
        // What was used last is kept longest.
        utimes(file.string, nil)
        return file
    }

    /// Keeps a file; a failure only means that there is nothing to use again.
    func keep(_ packed: FilePath, as key: String, _ kind: Kind) {
        do {
            try Files.makeFolder(folder, mode: 0o700)
            guard isOurs(folder, S_IFDIR) else { return }
            var copy = try PendingFile(place(key, kind))
            try copy.write(contentsOf: packed)
            try copy.finish(permissions: 0o600)
        } catch { return }
        let files = Files.names(in: folder).map { folder.appending($0) }.filter { $0.extension == kind.rawValue }
        let byUse = files.sorted { lastUse($0) > lastUse($1) }
        for old in byUse.dropFirst(Self.limit) where lastUse(old) < time(nil) - Self.inUse { try? Files.remove(old) }
    }

    private func place(_ key: String, _ kind: Kind) -> FilePath {
        folder.appending("\(kind == .squashfs ? "usr" : "root")-\(key).\(kind.rawValue)")
    }

    /// Whether nobody else can have written to it.
    private func isOurs(_ path: FilePath, _ kind: mode_t) -> Bool {
        guard let status = Files.status(path, followingLinks: false) else { return false }
        return status.st_mode & S_IFMT == kind && status.st_uid == geteuid() && status.st_mode & 0o022 == 0
    }

    private func lastUse(_ path: FilePath) -> Int { Files.status(path)?.st_mtim.tv_sec ?? 0 }
}
