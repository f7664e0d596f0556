// Copying and giving away whole folders of the target.

import Accounts
import CLinux
import FilePlanning
import Glibc
import LinuxSystem
import SystemPackage

/// Copies a folder as shadow's programs do: with modes, times, links, hard links, access lists and other extended
/// attributes, and with the given owners.
struct TreeCopy {
    /// Links to something below `old` are changed to lead below `new`.
    let old: String
    let new: String
    /// Whether labels of SELinux are copied; those of a skeleton are not those of a home.
    let withLabels: Bool
    /// Given the path of what is copied.
    let owner: (String, stat) -> AccountEffect.Owner
    private var copied: [FileIdentity: TargetEntry] = [:]

    init(
        rewriting old: String, to new: String, withLabels: Bool,
        owner: @escaping (String, stat) -> AccountEffect.Owner
    ) {
        self.old = old
        self.new = new
        self.withLabels = withLabels
        self.owner = owner
    }

    mutating func copyContent(of folder: OpenFolder, named path: String, into other: OpenFolder) throws {
        let above = TargetEntry(folder: folder, name: ".", path: path)
        for name in try folder.names(at: path) {
            let source = above.inside(folder, name)
            try copy(source, to: TargetEntry(folder: other, name: name, path: source.path))
        }
    }

    mutating func copy(_ source: TargetEntry, to goal: TargetEntry) throws {
        guard let status = source.status else { return }
        let identity = FileIdentity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
        switch status.st_mode & S_IFMT {
        case S_IFDIR:
            try goal.makeFolder(mode: 0o700)
            let inner = try source.openFolder()
            try copyContent(of: inner, named: source.path, into: try goal.openFolder())
        case S_IFLNK:
            let target = source.linkTarget ?? ""
            if target == old || target.hasPrefix(old + "/") {
                try goal.makeLink(to: new + target.dropFirst(old.count))
            } else {
                try goal.makeLink(to: source.linkBytes ?? [0])
            }
        case S_IFREG:
            if let first = copied[identity] { return try goal.makeHardLink(to: first) }
            try copyFile(source, to: goal)
            if status.st_nlink > 1 { copied[identity] = goal }
        default:
            guard mknodat(goal.folder.descriptor, goal.name, status.st_mode & S_IFMT, status.st_rdev) == 0 else {
                throw TargetFault.cannot("make", path: goal.path, Errno(rawValue: errno))
            }
        }
        let owner = owner(source.path, status)
        try goal.setOwner(owner.user, owner.group)
        try goal.setMode(status.st_mode & 0o7777)
        // After the owner, whose change takes capabilities away, and after what is in a folder, which would inherit
        // its default access list.
        if [S_IFDIR, S_IFREG].contains(status.st_mode & S_IFMT) { try copyAttributes(of: source, to: goal) }
        var times = [status.st_atim, status.st_mtim]
        utimensat(goal.folder.descriptor, goal.name, &times, AT_SYMLINK_NOFOLLOW)
    }

    private func copyAttributes(of source: TargetEntry, to goal: TargetEntry) throws(TargetFault) {
        let given = try source.openFile(O_RDONLY, to: "read")
        let made = try goal.openFile(O_RDONLY, to: "copy")
        for name in given.attributeNames where withLabels || name != "security.selinux" {
            guard let value = given.attribute(name) else { continue }
            // Not every filesystem has attributes: content matters more.
            if fsetxattr(made.descriptor, name, value, value.count, 0) != 0, errno != EOPNOTSUPP {
                throw .cannot("copy", path: goal.path, Errno(rawValue: errno))
            }
        }
    }

    private func copyFile(_ source: TargetEntry, to goal: TargetEntry) throws {
        do throws(Errno) {
            let input = try source.open(O_RDONLY)
            defer { close(input) }
            let output = try goal.open(O_WRONLY | O_CREAT | O_EXCL)
            defer { close(output) }
            var buffer = [UInt8](repeating: 0, count: 64 << 10)
            while true {
                let count = read(input, &buffer, buffer.count)
                if count == 0 { break }
                if count < 0 {
                    if errno == EINTR { continue }
                    throw Errno(rawValue: errno)
                }
                try Files.writeAll(buffer[..<count], to: output)
            }
            if fsync(output) != 0 { throw Errno(rawValue: errno) }
        } catch {
            throw TargetFault.cannot("copy", path: goal.path, error)
        }
    }
}

/// Gives what belongs to one owner to another.
///
/// In the homes of others, only the user's own files get the group.
struct OwnerChange {
    var old: AccountEffect.Owner
    var new: AccountEffect.Owner
    /// Paths of folders in which others live.
    var innerHomes: [String]

    init(from old: AccountEffect.Owner, to new: AccountEffect.Owner, innerHomes: [String] = []) {
        self.old = old
        self.new = new
        self.innerHomes = innerHomes.map(withoutLastSlash)
    }

    /// The new user of a file; `nil`: as it is.
    func user(of status: stat) -> UInt32? { status.st_uid == old.user ? new.user : nil }

    /// The new group of the file at that path; `nil`: as it is.
    func group(of status: stat, at path: String) -> UInt32? {
        guard status.st_gid == old.group else { return nil }
        let isOthers = innerHomes.contains { path == $0 || path.hasPrefix($0 + "/") }
        // A run that was stopped has given some of it the new user.
        return isOthers && ![old.user, new.user].contains(status.st_uid) ? nil : new.group
    }
}

extension TargetEntry {
    func openFolder() throws(TargetFault) -> OpenFolder {
        do throws(Errno) {
            return OpenFolder(owning: try open(O_RDONLY | O_DIRECTORY))
        } catch {
            throw .cannot("open", path: path, error)
        }
    }

    /// Changes the owners of this and of all that is in it.
    ///
    /// The folder itself comes last, so that the next run continues after one that was stopped.
    func changeTree(_ change: OwnerChange) throws(TargetFault) {
        guard change.old != change.new, let status else { return }
        if status.st_mode & S_IFMT == S_IFDIR {
            let inner = try openFolder()
            for name in try inner.names(at: path) {
                try inside(inner, name).changeTree(change)
            }
        }
        try setOwner(change.user(of: status), change.group(of: status, at: path))
    }
}
