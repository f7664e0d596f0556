// Whole files, folders and links.

import CLinux
import Glibc
import SystemPackage

/// Reads an open descriptor to its end, at most `buffer` bytes at a time.
public func readAll(_ descriptor: Int32, buffer size: Int = 64 << 10) throws(Errno) -> [UInt8] {
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: size)
    while true {
        let count = read(descriptor, &buffer, buffer.count)
        if count == 0 { return bytes }
        if count < 0 {
            let reason = errno
            if reason == EINTR { continue }
            throw Errno(rawValue: reason)
        }
        bytes.append(contentsOf: buffer[..<count])
    }
}

/// Files, folders and links by path. Every function throws the errno of the call that failed.
public enum Files {
    public static func read(_ path: FilePath) throws(Errno) -> [UInt8] {
        let descriptor = open(path.string, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Errno(rawValue: errno) }
        defer { close(descriptor) }
        return try readAll(descriptor)
    }

    /// Reads a file of the tree below `root`: no link and no `..` of the path leads out of it.
    public static func read(_ path: String, inside root: FilePath) throws(Errno) -> [UInt8] {
        let descriptor = firstlight_open_inside(root.string, path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Errno(rawValue: -descriptor) }
        defer { close(descriptor) }
        return try readAll(descriptor)
    }

    /// The text of a small file (sysfs, procfs) without its last newline, or `nil` where it cannot be read.
    public static func line(_ path: FilePath) -> String? {
        guard var bytes = try? read(path) else { return nil }
        while bytes.last == 0x0a { bytes.removeLast() }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Replaces the file in one step: a reader sees the old content or the new, also after a power cut.
    public static func write(_ bytes: [UInt8], to path: FilePath, mode: mode_t = 0o644) throws(Errno) {
        let temporary = path.removingLastComponent().appending(".\(path.lastComponent?.string ?? "").firstlight")
        unlink(temporary.string)
        let descriptor = open(temporary.string, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw Errno(rawValue: errno) }
        do throws(Errno) {
            defer { close(descriptor) }
            try writeAll(bytes, to: descriptor)
            guard fchmod(descriptor, mode) == 0, fsync(descriptor) == 0,
                rename(temporary.string, path.string) == 0
            else { throw Errno(rawValue: errno) }
        } catch {
            unlink(temporary.string)
            throw error
        }
    }

    public static func write(_ text: String, to path: FilePath, mode: mode_t = 0o644) throws(Errno) {
        try write(Array(text.utf8), to: path, mode: mode)
    }

    /// Writes into what is there, without replacing it: sysfs and procfs attributes, devices.
    public static func put(_ text: String, into path: FilePath) throws(Errno) {
        let descriptor = open(path.string, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Errno(rawValue: errno) }
        defer { close(descriptor) }
        try writeAll(Array(text.utf8), to: descriptor)
    }

    public static func writeAll(_ bytes: some Collection<UInt8>, to descriptor: Int32) throws(Errno) {
        var rest = Array(bytes)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 {
                let reason = errno
                if reason == EINTR { continue }
                throw Errno(rawValue: reason)
            }
            rest = rest.dropFirst(count)
        }
    }

    /// The same without a copy, for bytes that lie in memory as they are.
    public static func writeAll(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32) throws(Errno) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let part = UnsafeRawBufferPointer(rebasing: rest)
            let count = Glibc.write(descriptor, part.baseAddress, part.count)
            if count < 0 {
                let reason = errno
                if reason == EINTR { continue }
                throw Errno(rawValue: reason)
            }
            rest = rest.dropFirst(count)
        }
    }

    /// Makes the folder and those above it; one that is there already is fine, as is the working directory: "".
    public static func makeFolder(_ path: FilePath, mode: mode_t = 0o755) throws(Errno) {
        if path.isEmpty { return }
        if mkdir(path.string, mode) == 0 || errno == EEXIST { return }
        let reason = errno
        guard reason == ENOENT, path.components.count > 1 else { throw Errno(rawValue: reason) }
        try makeFolder(path.removingLastComponent(), mode: 0o755)
        guard mkdir(path.string, mode) == 0 || errno == EEXIST else { throw Errno(rawValue: errno) }
    }

    /// Points `path` at `target`, replacing a link that is there in one step.
    public static func makeLink(_ path: FilePath, to target: String) throws(Errno) {
        try makeFolder(path.removingLastComponent())
        let temporary = path.string + ".firstlight"
        unlink(temporary)
        guard symlink(target, temporary) == 0, rename(temporary, path.string) == 0 else {
            throw Errno(rawValue: errno)
        }
    }

    /// What a link says, or `nil` where there is no link.
    public static func linkTarget(_ path: FilePath) -> String? {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink(path.string, &buffer, buffer.count)
        return count < 0 ? nil : String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// The path with every link followed, or `nil` where something on the way is missing.
    public static func resolved(_ path: FilePath) -> FilePath? {
        guard let real = realpath(path.string, nil) else { return nil }
        defer { free(real) }
        return FilePath(String(cString: real))
    }

    /// The names in a folder, sorted; empty where there is no such folder.
    public static func names(in folder: FilePath) -> [String] {
        let descriptor = open(folder.string, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        return descriptor < 0 ? [] : names(inOwned: descriptor)
    }

    /// The names in an open folder, sorted; the descriptor is closed.
    public static func names(inOwned descriptor: Int32) -> [String] {
        guard let handle = fdopendir(descriptor) else {
            close(descriptor)
            return []
        }
        defer { closedir(handle) }
        var names: [String] = []
        while let entry = readdir(handle) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// Whether something is there, be it a dangling link.
    public static func exists(_ path: FilePath) -> Bool {
        status(path, followingLinks: false) != nil
    }

    /// Whether a folder is there, links followed.
    public static func isFolder(_ path: FilePath) -> Bool {
        status(path).map { $0.st_mode & S_IFMT == S_IFDIR } ?? false
    }

    /// A file's length in bytes, links followed.
    public static func size(_ path: FilePath) -> UInt64? {
        status(path).map { UInt64($0.st_size) }
    }

    /// A device's number as `/sys/dev` has it: `254:0`.
    public static func deviceNumber(_ number: dev_t) -> String {
        "\((number >> 8) & 0xfff | (number >> 32) & ~0xfff):\(number & 0xff | (number >> 12) & ~0xff)"
    }

    /// stat(2), or lstat(2) where links are not to be followed; `nil` where nothing is there.
    public static func status(_ path: FilePath, followingLinks: Bool = true) -> stat? {
        var status = stat()
        let flags = followingLinks ? 0 : AT_SYMLINK_NOFOLLOW
        return fstatat(AT_FDCWD, path.string, &status, flags) == 0 ? status : nil
    }

    /// Takes the place of what is at `other`, in one step; both on one filesystem.
    public static func move(_ path: FilePath, to other: FilePath) throws(Errno) {
        guard rename(path.string, other.string) == 0 else { throw Errno(rawValue: errno) }
    }

    public static func remove(_ path: FilePath) throws(Errno) {
        guard unlink(path.string) == 0 || errno == ENOENT else { throw Errno(rawValue: errno) }
    }
}

// What leaves nothing behind.
extension Files {
    /// Overwrites a file with zeros and removes it: in RAM nothing of it is left then. A folder goes with its content.
    public static func erase(_ path: FilePath) throws(Errno) {
        guard let status = status(path, followingLinks: false) else { return }
        if status.st_mode & S_IFMT == S_IFDIR {
            for name in names(in: path) { try erase(path.appending(name)) }
            guard rmdir(path.string) == 0 else { throw Errno(rawValue: errno) }
            return
        }
        if status.st_mode & S_IFMT == S_IFREG {
            let descriptor = open(path.string, O_WRONLY | O_NOFOLLOW | O_CLOEXEC)
            guard descriptor >= 0 else { throw Errno(rawValue: errno) }
            defer { close(descriptor) }
            try writeAll([UInt8](repeating: 0, count: Int(status.st_size)), to: descriptor)
        }
        try remove(path)
    }
}

// What only a change of root needs.
extension Files {
    /// Whether `path` names an executable file, looked up as if `root` were `/`.
    public static func isExecutable(_ path: String, inside root: FilePath) -> Bool {
        let descriptor = firstlight_open_inside(root.string, path, Int32(FIRSTLIGHT_O_PATH) | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var status = stat()
        return fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFREG && status.st_mode & 0o111 != 0
    }

    /// Whether the filesystem at `path` is a tmpfs or ramfs.
    public static func isInRAM(_ path: FilePath) -> Bool {
        // TMPFS_MAGIC and RAMFS_MAGIC of linux/magic.h.
        [0x0102_1994, 0x8584_58f6].contains(firstlight_filesystem_magic(path.string))
    }

    /// Deletes everything below `folder` on the filesystem `device`; other filesystems are left alone.
    /// What cannot be deleted stays: the only use is to free RAM.
    public static func removeContents(of folder: FilePath, device: dev_t) {
        for name in names(in: folder) {
            let path = folder.appending(name)
            guard let status = status(path, followingLinks: false), status.st_dev == device else { continue }
            if status.st_mode & S_IFMT == S_IFDIR {
                removeContents(of: path, device: device)
                rmdir(path.string)
            } else {
                unlink(path.string)
            }
        }
    }
}

// Programs run in the root folder: paths that they are given have to start there.
extension Files {
    /// The path from the root folder on, with the working directory in front where it is relative.
    public static func absolute(_ path: FilePath) -> FilePath {
        guard path.isRelative, let folder = getcwd(nil, 0) else { return path }
        defer { free(folder) }
        return FilePath(String(cString: folder)).pushing(path).lexicallyNormalized()
    }
}
