// Whole files, folders and links.

import CLinux
import Glibc
import SystemPackage

/// Reads an open descriptor to its end, at most `size` bytes at a time.
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

/// Reads from a position of an open file or device until `buffer` is full or the file ends.
///
/// Returns how many bytes were read. A position beyond 2^63 is `EINVAL`, which is not a failure of the file.
public func fill(
    _ buffer: UnsafeMutableRawBufferPointer, from descriptor: Int32, at position: UInt64
) throws(Errno) -> Int {
    guard let start = off_t(exactly: position), !start.addingReportingOverflow(off_t(buffer.count)).overflow else {
        throw .invalidArgument
    }
    var filled = 0
    while filled < buffer.count {
        let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
        let count = pread(descriptor, rest.baseAddress, rest.count, start + off_t(filled))
        if count == 0 { break }
        if count < 0 {
            let reason = errno
            if reason == EINTR { continue }
            throw Errno(rawValue: reason)
        }
        filled += count
    }
    return filled
}

/// Up to `count` bytes from a position of an open file or device on; fewer only at its end.
public func readBytes(_ descriptor: Int32, at position: UInt64, count: Int) throws(Errno) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    let filled = try bytes.withUnsafeMutableBufferPointer { buffer throws(Errno) in
        try fill(UnsafeMutableRawBufferPointer(buffer), from: descriptor, at: position)
    }
    bytes.removeLast(count - filled)
    return bytes
}

/// Files, folders and links by path.
///
/// A failure names what was to be done, and to which file.
public enum Files {
    /// The whole content.
    public static func read(_ path: FilePath) throws(FileFault) -> [UInt8] {
        let descriptor = open(path.string, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .last("read", path) }
        defer { close(descriptor) }
        return try naming("read", path) { () throws(Errno) in try readAll(descriptor) }
    }

    /// All that standard input gives.
    public static func readStandardInput() throws(FileFault) -> [UInt8] {
        try naming("read", "standard input") { () throws(Errno) in try readAll(0) }
    }

    /// Reads a file of the tree below `root`: no link and no `..` of the path leads out of it.
    public static func read(_ path: String, inside root: FilePath) throws(FileFault) -> [UInt8] {
        let outside = path.split(separator: "/").reduce(root) { $0.appending(String($1)) }
        let descriptor = firstlight_open_inside(root.string, path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileFault("read", outside, Errno(rawValue: -descriptor)) }
        defer { close(descriptor) }
        return try naming("read", outside) { () throws(Errno) in try readAll(descriptor) }
    }

    /// The text of a small file (sysfs, procfs) without its last newlines; `nil` if it cannot be read.
    public static func line(_ path: FilePath) -> String? {
        guard var bytes = try? read(path) else { return nil }
        while bytes.last == 0x0a { bytes.removeLast() }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Replaces the file in one step: a reader sees the old content or the new, also after a power cut.
    public static func write(_ bytes: [UInt8], to path: FilePath, mode: mode_t = 0o644) throws(FileFault) {
        let temporary = path.removingLastComponent().appending(".\(path.lastComponent?.string ?? "").firstlight")
        unlink(temporary.string)
        let descriptor = open(temporary.string, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .last("write", path) }
        do throws(FileFault) {
            defer { close(descriptor) }
            try naming("write", path) { () throws(Errno) in try writeAll(bytes, to: descriptor) }
            guard fchmod(descriptor, mode) == 0, fsync(descriptor) == 0,
                rename(temporary.string, path.string) == 0
            else { throw FileFault.last("write", path) }
        } catch {
            unlink(temporary.string)
            throw error
        }
    }

    /// The same for a text.
    public static func write(_ text: String, to path: FilePath, mode: mode_t = 0o644) throws(FileFault) {
        try write(Array(text.utf8), to: path, mode: mode)
    }

    /// Writes into what is there, without replacing it: sysfs and procfs attributes, devices.
    public static func put(_ text: String, into path: FilePath) throws(FileFault) {
        let descriptor = open(path.string, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .last("write", path) }
        defer { close(descriptor) }
        try naming("write", path) { () throws(Errno) in try writeAll(Array(text.utf8), to: descriptor) }
    }

    /// Writes into an open file, of which only the caller knows the name.
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

    /// Writes bytes without copying them first.
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
    public static func makeFolder(_ path: FilePath, mode: mode_t = 0o755) throws(FileFault) {
        if path.isEmpty { return }
        if mkdir(path.string, mode) == 0 || errno == EEXIST { return }
        let reason = Errno(rawValue: errno)
        guard reason == .noSuchFileOrDirectory, path.components.count > 1 else { throw FileFault("make", path, reason) }
        try makeFolder(path.removingLastComponent(), mode: 0o755)
        guard mkdir(path.string, mode) == 0 || errno == EEXIST else { throw .last("make", path) }
    }

    /// Makes the folder `path` of the tree below `root` and those above it, where they are missing.
    ///
    /// Links are followed as if `root` were `/`: none leads out of it.
    ///
    /// - Returns: The folder's path from outside, without links.
    public static func makeFolder(_ path: String, inside root: FilePath) throws(FileFault) -> FilePath {
        guard let top = resolved(root) else { throw FileFault("make", root, .noSuchFileOrDirectory) }
        var place = top
        for name in path.split(separator: "/") {
            let next = place.appending(String(name))
            let inner = "/" + next.components.dropFirst(top.components.count).map(\.string).joined(separator: "/")
            if !exists(next), mkdir(next.string, 0o755) != 0 { throw .last("make", next) }
            let descriptor = firstlight_open_inside(
                top.string, inner, Int32(FIRSTLIGHT_O_PATH) | O_DIRECTORY | O_CLOEXEC)
            guard descriptor >= 0 else { throw FileFault("make", next, Errno(rawValue: -descriptor)) }
            defer { close(descriptor) }
            guard let real = linkTarget(FilePath("/proc/self/fd/\(descriptor)")) else { throw .last("make", next) }
            place = FilePath(real)
        }
        return place
    }

    /// Points `path` at `target`, replacing a link that is there in one step.
    public static func makeLink(_ path: FilePath, to target: String) throws(FileFault) {
        try makeFolder(path.removingLastComponent())
        let temporary = path.string + ".firstlight"
        unlink(temporary)
        guard symlink(target, temporary) == 0, rename(temporary, path.string) == 0 else { throw .last("make", path) }
    }

    /// The target of a link; `nil` if there is no link.
    public static func linkTarget(_ path: FilePath) -> String? {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink(path.string, &buffer, buffer.count)
        return count < 0 ? nil : String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// The path with all links followed; `nil` if a part of it is missing.
    public static func resolved(_ path: FilePath) -> FilePath? {
        guard let real = realpath(path.string, nil) else { return nil }
        defer { free(real) }
        return FilePath(String(cString: real))
    }

    /// The names in a folder, sorted; empty if the folder cannot be opened.
    public static func names(in folder: FilePath) -> [String] {
        let descriptor = open(folder.string, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        return descriptor < 0 ? [] : names(inOwned: descriptor)
    }

    /// The names in a folder, sorted; throws where it cannot be read.
    public static func list(_ folder: FilePath) throws(FileFault) -> [String] {
        let descriptor = open(folder.string, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .last("read", folder) }
        return try naming("read", folder) { () throws(Errno) in texts(of: try byteNames(inOwned: descriptor)) }
    }

    /// The names in an open folder, sorted; empty if it cannot be read.
    ///
    /// The descriptor is closed.
    public static func names(inOwned descriptor: Int32) -> [String] {
        texts(of: (try? byteNames(inOwned: descriptor)) ?? [])
    }

    private static func texts(of names: [[CChar]]) -> [String] {
        names.map { name in String(decoding: name.dropLast().lazy.map { UInt8(bitPattern: $0) }, as: UTF8.self) }
    }

    /// The names in an open folder, sorted byte by byte, since they need not be UTF-8; each ends with a zero byte.
    ///
    /// - Parameter descriptor: Closed in any case.
    /// - Returns: Without `.` and `..`.
    /// - Throws: Where not all of it can be read: what is left out could be taken for something that is not there.
    public static func byteNames(inOwned descriptor: Int32) throws(Errno) -> [[CChar]] {
        guard let handle = fdopendir(descriptor) else {
            let reason = Errno(rawValue: errno)
            close(descriptor)
            throw reason
        }
        defer { closedir(handle) }
        var names: [[CChar]] = []
        while true {
            errno = 0
            guard let entry = readdir(handle) else {
                if errno != 0 { throw Errno(rawValue: errno) }
                break
            }
            let name = withUnsafeBytes(of: entry.pointee.d_name) { $0.prefix { $0 != 0 }.map(CChar.init(bitPattern:)) }
            if name != [CChar(0x2e)], name != [CChar(0x2e), CChar(0x2e)] { names.append(name + [0]) }
        }
        return names.sorted { first, second in
            first.lazy.map(UInt8.init(bitPattern:)).lexicographicallyPrecedes(second.lazy.map(UInt8.init(bitPattern:)))
        }
    }

    /// Whether something exists at the path, even a dangling link.
    public static func exists(_ path: FilePath) -> Bool {
        status(path, followingLinks: false) != nil
    }

    /// Whether a folder exists at the path, with links followed.
    public static func isFolder(_ path: FilePath) -> Bool {
        status(path).map { $0.st_mode & S_IFMT == S_IFDIR } ?? false
    }

    /// Checks that a folder is there, with links followed.
    ///
    /// - Throws: Why it cannot be looked into.
    public static func requireFolder(_ path: FilePath) throws(FileFault) {
        let descriptor = open(path.string, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .last("look into", path) }
        close(descriptor)
    }

    /// A file's length in bytes, with links followed; `nil` if it is missing.
    public static func size(_ path: FilePath) -> UInt64? {
        status(path).map { UInt64($0.st_size) }
    }

    /// A device number as in `/sys/dev`: `254:0`.
    public static func deviceNumber(_ number: dev_t) -> String {
        "\((number >> 8) & 0xfff | (number >> 32) & ~0xfff):\(number & 0xff | (number >> 12) & ~0xff)"
    }

    /// The result of stat(2), or of lstat(2) if links are not followed; `nil` if that fails.
    public static func status(_ path: FilePath, followingLinks: Bool = true) -> stat? {
        var status = stat()
        let flags = followingLinks ? 0 : AT_SYMLINK_NOFOLLOW
        return fstatat(AT_FDCWD, path.string, &status, flags) == 0 ? status : nil
    }

    /// Takes the place of what is at `other`, in one step; both on one filesystem.
    public static func move(_ path: FilePath, to other: FilePath) throws(FileFault) {
        guard rename(path.string, other.string) == 0 else { throw .last("write", other) }
    }

    /// Removes a file or a link; one that is not there is no failure.
    public static func remove(_ path: FilePath) throws(FileFault) {
        guard unlink(path.string) == 0 || errno == ENOENT else { throw .last("remove", path) }
    }
}

// Removing files without a trace.
extension Files {
    /// Overwrites a file with zeros and removes it: in RAM nothing of it is left then.
    ///
    /// A folder goes with its content.
    public static func erase(_ path: FilePath) throws(FileFault) {
        guard let status = status(path, followingLinks: false) else { return }
        if status.st_mode & S_IFMT == S_IFDIR {
            for name in names(in: path) { try erase(path.appending(name)) }
            guard rmdir(path.string) == 0 else { throw .last("remove", path) }
            return
        }
        if status.st_mode & S_IFMT == S_IFREG {
            let descriptor = open(path.string, O_WRONLY | O_NOFOLLOW | O_CLOEXEC)
            guard descriptor >= 0 else { throw .last("erase", path) }
            defer { close(descriptor) }
            let zeros = [UInt8](repeating: 0, count: Int(status.st_size))
            try naming("erase", path) { () throws(Errno) in try writeAll(zeros, to: descriptor) }
        }
        try remove(path)
    }
}

// What is needed before the root is changed.
extension Files {
    /// Whether `path` is an executable file, looked up as if `root` were `/`.
    public static func isExecutable(_ path: String, inside root: FilePath) -> Bool {
        let descriptor = firstlight_open_inside(root.string, path, Int32(FIRSTLIGHT_O_PATH) | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var status = stat()
        return fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFREG && status.st_mode & 0o111 != 0
    }

    /// Whether the filesystem at `path` is a tmpfs or ramfs.
    public static func isInRAM(_ path: FilePath) -> Bool {
        // The numbers are TMPFS_MAGIC and RAMFS_MAGIC of linux/magic.h.
        [0x0102_1994, 0x8584_58f6].contains(firstlight_filesystem_magic(path.string))
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
