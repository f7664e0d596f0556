// Reading a folder of this machine into a tree.

import CLinux
import Glibc
import LinuxSystem
import SystemPackage

/// What a folder holds, and what of it is not taken along.
struct FolderReader {
    private(set) var tree = RootTree()
    /// Paths below the folder of mount points: what is mounted there is not part of the root.
    private(set) var mounts: [String] = []
    /// Paths of sockets: nobody listens behind them after a boot.
    private(set) var sockets: [String] = []

    private var device: dev_t = 0
    /// The first path of each file that has several names.
    private var seen: [FileNumber: [UInt8]] = [:]

    private struct FileNumber: Hashable {
        var device: dev_t
        var inode: ino_t
    }

    init(_ folder: FilePath) throws {
        guard let status = Files.status(folder) else { throw FileFault("read", folder, .noSuchFileOrDirectory) }
        device = status.st_dev
        let root = folder.string.utf8.last == UInt8(ascii: "/") ? folder.string : folder.string + "/"
        tree.rootAttributes = try attributes(status, of: Array(root.utf8))
        try read([], of: Array(root.utf8))
    }

    /// Paths are bytes: names that are not UTF-8 come through as they are.
    private mutating func read(_ folder: [UInt8], of root: [UInt8]) throws {
        for name in try names(in: root + folder) {
            let path = folder.isEmpty ? name : folder + [UInt8(ascii: "/")] + name
            let place = root + path
            var status = stat()
            guard withPath(place, { lstat($0, &status) }) == 0 else { throw fault("read", place) }
            let attributes = try attributes(status, of: place)
            switch status.st_mode & S_IFMT {
            case S_IFDIR:
                try tree.put(.folder, attributes, at: path)
                if status.st_dev != device {
                    mounts.append(String(decoding: path, as: UTF8.self))
                } else {
                    try read(path, of: root)
                }
                continue
            case S_IFSOCK:
                sockets.append(String(decoding: path, as: UTF8.self))
                continue
            default: break
            }
            if status.st_nlink > 1 {
                let number = FileNumber(device: status.st_dev, inode: status.st_ino)
                if let first = seen[number] {
                    try tree.link(path, to: first)
                    continue
                }
                seen[number] = path
            }
            let size = UInt64(max(0, status.st_size))
            switch status.st_mode & S_IFMT {
            case S_IFREG:
                let file = FilePath(platformBytes: place)
                try tree.put(.file(.file(file, offset: 0, count: size)), attributes, at: path)
            case S_IFLNK: try tree.put(.link(try target(of: place)), attributes, at: path)
            case S_IFBLK, S_IFCHR:
                let kind = RootTree.Kind.device(
                    isBlock: status.st_mode & S_IFMT == S_IFBLK, major: DeviceNumber.major(status.st_rdev),
                    minor: DeviceNumber.minor(status.st_rdev))
                try tree.put(kind, attributes, at: path)
            default: try tree.put(.pipe, attributes, at: path)
            }
        }
    }

    private func names(in folder: [UInt8]) throws -> [[UInt8]] {
        guard let handle = withPath(folder, { opendir($0) }) else { throw fault("read", folder) }
        defer { closedir(handle) }
        var names: [[UInt8]] = []
        while let entry = readdir(handle) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
            if name != Array(".".utf8), name != Array("..".utf8) { names.append(name) }
        }
        return names.sorted { $0.lexicographicallyPrecedes($1) }
    }

    private func target(of link: [UInt8]) throws -> [UInt8] {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = withPath(link) { readlink($0, &buffer, buffer.count) }
        guard count >= 0 else { throw fault("read", link) }
        return buffer[..<count].map { UInt8(bitPattern: $0) }
    }

    private func attributes(_ status: stat, of path: [UInt8]) throws -> RootTree.Attributes {
        RootTree.Attributes(
            permissions: status.st_mode & 0o7777, user: status.st_uid, group: status.st_gid,
            modified: Int64(status.st_mtim.tv_sec), extended: try extended(of: path))
    }

    private func extended(of path: [UInt8]) throws -> [[UInt8]: [UInt8]] {
        let size = withPath(path) { llistxattr($0, nil, 0) }
        // Filesystems without extended attributes say so; a file in /proc may be gone.
        guard size > 0 else { return [:] }
        var list = [CChar](repeating: 0, count: size)
        let count = withPath(path) { llistxattr($0, &list, list.count) }
        guard count >= 0 else { throw fault("read", path) }
        var found: [[UInt8]: [UInt8]] = [:]
        for name in list[..<count].split(separator: 0).map({ $0.map { UInt8(bitPattern: $0) } }) {
            let size = withPath(path) { path in withPath(name) { lgetxattr(path, $0, nil, 0) } }
            guard size >= 0 else { continue }
            var value = [UInt8](repeating: 0, count: size)
            let got = withPath(path) { path in withPath(name) { lgetxattr(path, $0, &value, value.count) } }
            if got >= 0 { found[name] = Array(value[..<got]) }
        }
        return found
    }

    private func fault(_ act: String, _ path: [UInt8]) -> FileFault {
        let reason = errno
        return FileFault(act, FilePath(platformBytes: path), Errno(rawValue: reason))
    }
}

/// Linux's numbers of devices: 12 bits and 20, in two places each.
enum DeviceNumber {
    static func major(_ number: dev_t) -> UInt32 {
        UInt32(truncatingIfNeeded: (number >> 8) & 0xfff | (number >> 32) & ~0xfff)
    }

    static func minor(_ number: dev_t) -> UInt32 {
        UInt32(truncatingIfNeeded: number & 0xff | (number >> 12) & ~0xff)
    }

    static func of(major: UInt32, minor: UInt32) -> dev_t {
        let (major, minor) = (dev_t(major), dev_t(minor))
        return (major & ~0xfff) << 32 | (major & 0xfff) << 8 | (minor & ~0xff) << 12 | minor & 0xff
    }
}

/// Runs `body` with the bytes as a C string.
func withPath<Result>(_ bytes: [UInt8], _ body: (UnsafePointer<CChar>) -> Result) -> Result {
    let characters = (bytes + [0]).map { CChar(bitPattern: $0) }
    return body(characters)
}

extension FilePath {
    /// A path whose bytes may not be UTF-8.
    init(platformBytes bytes: [UInt8]) {
        self.init(platformString: (bytes + [0]).map { CChar(bitPattern: $0) })
    }
}
