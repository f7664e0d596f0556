// Entries of open folders of the target, so that no action on one can be led out of the target.
//
// The kernel resolves every path as if the target's root were / (openat2, RESOLVE_IN_ROOT). Everything after that names
// one entry of the folder that was opened, so between looking and acting there is no path that somebody could replace
// by a link.

import CLinux
import FilePlanning
import Glibc
import LinuxSystem
import SystemPackage

/// An open folder, closed with its last user.
final class OpenFolder: Sendable {
    let descriptor: Int32

    init(owning descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    /// The names in it, sorted byte by byte; each ends with a zero byte.
    ///
    /// `path` is the folder's, for messages.
    func names(at path: String) throws(TargetFault) -> [[CChar]] {
        do throws(Errno) {
            return try Files.byteNames(inOwned: fcntl(descriptor, F_DUPFD_CLOEXEC, 0))
        } catch {
            throw .cannot("read", path: path, error)
        }
    }
}

private func text(of name: [CChar]) -> String {
    String(decoding: name.dropLast().lazy.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

/// One entry of an open folder, whether something is there or not; a link there is never followed.
struct TargetEntry: Sendable {
    let folder: OpenFolder
    /// Bytes that need not be UTF-8, with a zero byte at the end.
    let name: [CChar]
    /// The path in messages, absolute in the target.
    let path: String

    init(folder: OpenFolder, name: [CChar], path: String) {
        self.folder = folder
        self.name = name
        self.path = path
    }

    init(folder: OpenFolder, name: String, path: String) {
        self.init(folder: folder, name: Array(name.utf8CString), path: path)
    }

    /// The entry of that name in the folder `inner`, which is at this path.
    func inside(_ inner: OpenFolder, _ name: [CChar]) -> TargetEntry {
        TargetEntry(folder: inner, name: name, path: "\(path)/\(text(of: name))")
    }

    /// The name as a text, in which bytes that are not UTF-8 are replaced.
    var nameText: String { text(of: name) }

    /// Another entry of the same folder.
    func beside(_ name: String) -> TargetEntry {
        let parent = path[..<(path.lastIndex(of: "/") ?? path.startIndex)]
        return TargetEntry(folder: folder, name: name, path: "\(parent)/\(name)")
    }

    /// An entry with a name of ours in the same folder.
    ///
    /// The name is the same at every run, so that the next run replaces what a killed one left. Messages name the entry
    /// that it is for.
    func temporary(_ purpose: String) -> TargetEntry {
        // FNV-1a: entries that share a folder must not share the name, and theirs may already have the full length.
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in name.dropLast() { hash = (hash ^ UInt64(UInt8(bitPattern: byte))) &* 0x100_0000_01b3 }
        return TargetEntry(folder: folder, name: ".firstlight-\(purpose)-\(String(hash, radix: 16))", path: path)
    }

    // MARK: Looking

    /// `nil` where nothing is there.
    var status: stat? {
        var status = stat()
        return fstatat(folder.descriptor, name, &status, AT_SYMLINK_NOFOLLOW) == 0 ? status : nil
    }

    /// What is there; `nil` where nothing is, and an error where nobody can tell.
    ///
    /// A disk that cannot be read must not look like an empty one.
    func found() throws(TargetFault) -> stat? {
        var status = stat()
        if fstatat(folder.descriptor, name, &status, AT_SYMLINK_NOFOLLOW) == 0 { return status }
        let reason = Errno(rawValue: errno)
        if reason == .noSuchFileOrDirectory || reason == .notDirectory { return nil }
        throw .cannot("look at", path: path, reason)
    }

    var component: PathComponent {
        guard let status else { return .nothing }
        switch status.st_mode & S_IFMT {
        case S_IFDIR: return .folder
        case S_IFLNK: return linkTarget.map { .link(target: $0) } ?? .other
        default: return .other
        }
    }

    var linkTarget: String? {
        linkBytes.map { String(decoding: $0.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self) }
    }

    /// The same, byte by byte and with a zero byte at its end.
    var linkBytes: [CChar]? {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlinkat(folder.descriptor, name, &buffer, buffer.count)
        return count < 0 ? nil : buffer[..<count] + [0]
    }

    /// Opens what is there; a pipe without a writer does not block.
    func open(_ flags: Int32, mode: mode_t = 0o600) throws(Errno) -> Int32 {
        let descriptor = openat(folder.descriptor, name, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, mode)
        guard descriptor >= 0 else { throw Errno(rawValue: errno) }
        return descriptor
    }

    /// The content of a file; `nil` where there is none.
    var bytes: [UInt8]? {
        guard let descriptor = try? open(O_RDONLY) else { return nil }
        defer { close(descriptor) }
        return try? readAll(descriptor)
    }

    /// Whether an empty folder is there; one that cannot be read may hold something.
    var isEmptyFolder: Bool {
        guard let descriptor = try? open(O_RDONLY | O_DIRECTORY) else { return false }
        return (try? Files.byteNames(inOwned: descriptor))?.isEmpty == true
    }

    // MARK: Acting

    private func check(_ act: String, _ result: Int32) throws(TargetFault) {
        if result != 0 { throw .cannot(act, path: path, Errno(rawValue: errno)) }
    }

    /// Creates a file of mode 0600 and opens it; a file of the same name is removed first.
    func create() throws(TargetFault) -> Int32 {
        let flags = O_RDWR | O_CREAT | O_EXCL
        do throws(Errno) {
            do throws(Errno) {
                return try open(flags)
            } catch .fileExists {
                unlinkat(folder.descriptor, name, 0)
                return try open(flags)
            }
        } catch {
            throw .cannot("write", path: path, error)
        }
    }

    func makeFolder(mode: mode_t) throws(TargetFault) { try check("make", mkdirat(folder.descriptor, name, mode)) }

    func makeLink(to target: String) throws(TargetFault) { try makeLink(to: Array(target.utf8CString)) }

    /// `target` ends with a zero byte.
    func makeLink(to target: [CChar]) throws(TargetFault) {
        try check("link", symlinkat(target, folder.descriptor, name))
    }

    /// Makes another name for the file at `original`.
    func makeHardLink(to original: TargetEntry) throws(TargetFault) {
        try check("link", linkat(original.folder.descriptor, original.name, folder.descriptor, name, 0))
    }

    /// Replaces what is at `other`, in one step.
    func move(to other: TargetEntry) throws(TargetFault) {
        try other.check("write", renameat(folder.descriptor, name, other.folder.descriptor, other.name))
    }

    func remove() throws(TargetFault) { try check("remove", unlinkat(folder.descriptor, name, 0)) }

    /// Sets the owner without following a link; `nil` leaves the user or the group.
    ///
    /// An owner that is already right is not set again, since that would clear setuid bits. See lchown(2).
    func setOwner(_ user: uid_t?, _ group: gid_t?) throws(TargetFault) {
        if let status, user ?? status.st_uid == status.st_uid, group ?? status.st_gid == status.st_gid { return }
        try check(
            "set the owner of",
            fchownat(
                folder.descriptor, name, user ?? uid_t.max, group ?? gid_t.max, AT_SYMLINK_NOFOLLOW))
    }

    /// Sets the mode, after the owner: a change of owner clears the setuid bit.
    ///
    /// A link has no mode, and stays as it is.
    func setMode(_ mode: UInt32) throws(TargetFault) {
        guard let status, status.st_mode & S_IFMT != S_IFLNK, status.st_mode & 0o7777 != mode else { return }
        try check("set the mode of", fchmodat(folder.descriptor, name, mode, AT_SYMLINK_NOFOLLOW))
    }

    func removeEmptyFolder() throws(TargetFault) {
        try check("remove", unlinkat(folder.descriptor, name, AT_REMOVEDIR))
    }

    /// Removes a folder and what is in it; nothing at all where a filesystem is mounted inside.
    func removeTree() throws(TargetFault) {
        try checkHoldsNoMount()
        try removeChecked()
    }

    /// Throws ``TargetFault/holdsMount(_:)`` where a filesystem is mounted inside of this folder.
    func checkHoldsNoMount() throws(TargetFault) {
        try eachInside { entry, isFolder throws(TargetFault) in
            if isFolder { try entry.checkHoldsNoMount() }
        }
    }

    private func removeChecked() throws(TargetFault) {
        try eachInside { entry, isFolder throws(TargetFault) in
            if isFolder { try entry.removeChecked() } else { try entry.remove() }
        }
        try removeEmptyFolder()
    }

    /// Calls `body` with each entry of this folder; a folder of another filesystem is a failure.
    private func eachInside(
        _ body: (_ entry: TargetEntry, _ isFolder: Bool) throws(TargetFault) -> Void
    ) throws(TargetFault) {
        let inner: OpenFolder
        do throws(Errno) {
            inner = OpenFolder(owning: try open(O_RDONLY | O_DIRECTORY))
        } catch {
            throw .cannot("remove", path: path, error)
        }
        var whole = stat()
        guard fstat(inner.descriptor, &whole) == 0 else { throw .cannot("remove", path: path, Errno(rawValue: errno)) }
        for name in try inner.names(at: path) {
            let entry = inside(inner, name)
            guard let status = try entry.found() else { continue }
            let isFolder = status.st_mode & S_IFMT == S_IFDIR
            // Only a folder's device number counts: in an overlay, a file may have that of the image below.
            if isFolder, status.st_dev != whole.st_dev { throw .holdsMount(entry.path) }
            try body(entry, isFolder)
        }
    }

    /// Replaces what is there by a file, in one step.
    func replace(_ bytes: [UInt8], mode: UInt32, user: uid_t? = nil, group: gid_t? = nil) throws(TargetFault) {
        let file = temporary("file")
        let descriptor = try file.create()
        do throws(TargetFault) {
            defer { close(descriptor) }
            do throws(Errno) {
                try Files.writeAll(bytes, to: descriptor)
            } catch {
                throw .cannot("write", path: path, error)
            }
            if fsync(descriptor) != 0 { throw .cannot("write", path: path, Errno(rawValue: errno)) }
            try file.setOwner(user, group)
            try file.setMode(mode)
            try file.move(to: self)
        } catch {
            unlinkat(folder.descriptor, file.name, 0)
            throw error
        }
    }
}
