// Squashfs images that were made before, by what they were made of: packing the modules of a kernel takes a minute.

import Glibc
import Hashing
import LinuxSystem
import SystemPackage

/// A folder of packed trees.
struct PackedCache {
    /// The folder; it and its files are for their owner alone, since inclusions can hold anything.
    var folder: FilePath

    /// Images that stay: those of a few kernels and choices of modules.
    private static let limit = 4

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
        return digest.finish().map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
    }

    /// The image of that name; `nil` where there is none, or it is not ours alone.
    func image(_ key: String) -> FilePath? {
        let file = file(key)
        guard isOurs(folder, S_IFDIR), isOurs(file, S_IFREG) else { return nil }
        // What was used last is kept longest.
        utimes(file.string, nil)
        return file
    }

    /// Keeps an image; where that fails there will be none to use again, and that is all.
    func keep(_ image: FilePath, as key: String) {
        do {
            try Files.makeFolder(folder, mode: 0o700)
            guard isOurs(folder, S_IFDIR) else { return }
            var copy = try PendingFile(file(key))
            try copy.write(contentsOf: image)
            try copy.finish(permissions: 0o600)
        } catch { return }
        let files = Files.names(in: folder).map { folder.appending($0) }.filter { $0.extension == "squashfs" }
        let byUse = files.sorted { lastUse($0) > lastUse($1) }
        for old in byUse.dropFirst(Self.limit) { try? Files.remove(old) }
    }

    private func file(_ key: String) -> FilePath { folder.appending("usr-\(key).squashfs") }

    /// Whether nobody else can have written to it.
    private func isOurs(_ path: FilePath, _ kind: mode_t) -> Bool {
        guard let status = Files.status(path, followingLinks: false) else { return false }
        return status.st_mode & S_IFMT == kind && status.st_uid == geteuid() && status.st_mode & 0o022 == 0
    }

    private func lastUse(_ path: FilePath) -> Int { Files.status(path)?.st_mtim.tv_sec ?? 0 }
}
