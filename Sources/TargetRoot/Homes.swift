// Homes, mailboxes and records of logins: what belongs to a user beside the lines in the account files.

import Accounts
import FilePlanning
import Glibc
import LinuxSystem
import SystemPackage

extension TargetRoot {
    /// Carries out one effect of a change to the accounts.
    ///
    /// - Parameter effect: The effect.
    /// - Returns: A warning where something stays that was to be removed.
    /// - Throws: ``TargetFault`` or ``PathFault``.
    func perform(_ effect: AccountEffect) throws -> String? {
        switch effect {
        case .makeHome(let path, let owner, let mode, let skeleton):
            try makeHome(path, owner, mode: mode, skeleton: skeleton)
        case .makeMailbox(let path, let owner, let mode): try makeMailbox(path, owner, mode: mode)
        case .moveHome(let path, let newPath, let old, let new): try moveHome(path, to: newPath, from: old, to: new)
        case .changeOwner(let path, let old, let new):
            let home = try place(try follow(path))
            guard let status = home.status, status.st_mode & S_IFMT == S_IFDIR,
                [old.user, new.user].contains(status.st_uid)
            else { return nil }
            try home.changeTree(from: old, to: new)
        case .changeMailboxOwner(let path, let old, let new):
            guard let box = try? place(try follow(path)), box.status?.st_uid == old else { return nil }
            try box.setOwner(new, nil)
        case .clearLoginRecords(let user):
            for record in LoginRecord.all { try change(record, of: user, to: { _ in nil }) }
        case .copyLoginRecords(let old, let new):
            for record in LoginRecord.all {
                try change(record, of: new) { descriptor in record.bytes(of: old, descriptor) }
            }
        case .removeHome(let path, let user): return removeHome(path, of: user)
        case .removeMailbox(let path, let user):
            guard let box = try? place(try resolve(path)), let status = box.status else { return nil }
            guard status.st_uid == user else { return "\(path) is not the user's; it stays" }
            try box.remove()
        }
        return nil
    }

    // MARK: Homes

    /// Makes a home beside its place, complete with its content, and moves it there.
    private func makeHome(
        _ path: String, _ owner: AccountEffect.Owner, mode: UInt32, skeleton: String
    ) throws {
        let resolved = try follow(path)
        if case .folder = component(at: resolved) { return }
        _ = try makeParents(of: resolved)
        let home = try place(resolved)
        guard case .nothing = home.component else { return }
        let new = home.temporary("home")
        try? new.removeTree()
        try new.makeFolder(mode: 0o700)
        do {
            if let descriptor = try? open(skeleton, O_RDONLY | O_DIRECTORY) {
                var copy = TreeCopy(rewriting: skeleton, to: path) { _ in owner }
                try copy.copyContent(of: OpenFolder(owning: descriptor), named: skeleton, into: try new.openFolder())
            }
            try new.setOwner(owner.user, owner.group)
            try new.setMode(mode)
            try new.move(to: home)
        } catch {
            try? new.removeTree()
            throw error
        }
    }

    private func moveHome(
        _ path: String, to newPath: String, from old: AccountEffect.Owner, to new: AccountEffect.Owner
    ) throws {
        let source = try place(try resolve(path))
        guard case .folder = source.component else {
            // It never existed, or a run was stopped after it moved the home and before it had changed all owners.
            guard let goal = try? place(try resolve(newPath)), goal.status?.st_uid == old.user else { return }
            return try goal.changeTree(from: old, to: new)
        }
        let goal = try place(try resolve(newPath))
        guard case .nothing = goal.component else {
            throw TargetFault.cannot("move a home to", path: newPath, .fileExists)
        }
        if renameat(source.folder.descriptor, source.name, goal.folder.descriptor, goal.name) == 0 {
            return try goal.changeTree(from: old, to: new)
        }
        let reason = errno
        guard reason == EXDEV else {
            throw TargetFault.cannot("move a home to", path: newPath, Errno(rawValue: reason))
        }
        let half = goal.temporary("home")
        try? half.removeTree()
        do {
            var copy = TreeCopy(rewriting: path, to: newPath) { status in
                .init(
                    status.st_uid == old.user ? new.user : status.st_uid,
                    status.st_gid == old.group ? new.group : status.st_gid)
            }
            try copy.copy(source, to: half)
            try half.move(to: goal)
        } catch {
            try? half.removeTree()
            throw error
        }
        try source.removeTree()
    }

    private func removeHome(_ path: String, of user: UInt32) -> String? {
        guard let home = try? place(try resolve(path)), let status = home.status else { return nil }
        guard status.st_uid == user, home.path != "/" else { return "\(path) is not the user's; it stays" }
        do throws(TargetFault) {
            try home.removeTree()
            return nil
        } catch {
            return "\(error)"
        }
    }

    private func makeMailbox(_ path: String, _ owner: AccountEffect.Owner, mode: UInt32) throws {
        guard let box = try? place(try resolve(path)), case .nothing = box.component else { return }
        close(try box.create())
        try box.setOwner(owner.user, owner.group)
        try box.setMode(mode)
    }

    // MARK: Records of logins

    /// A file with a record of fixed size for each user id.
    private struct LoginRecord {
        var path: String
        var size: Int

        /// lastlog(8) has a time, a terminal of 32 bytes and a host of 256; faillog(5) has counts, a terminal and two
        /// times.
        static let all = [
            LoginRecord(path: "/var/log/lastlog", size: 292), LoginRecord(path: "/var/log/faillog", size: 32),
        ]

        func bytes(of user: UInt32, _ descriptor: Int32) -> [UInt8]? {
            var bytes = [UInt8](repeating: 0, count: size)
            return pread(descriptor, &bytes, size, off_t(user) * off_t(size)) == size ? bytes : nil
        }
    }

    /// Writes a user's record: what `find` returns, or zeros if there was one.
    private func change(_ record: LoginRecord, of user: UInt32, to find: (Int32) -> [UInt8]?) throws {
        guard let descriptor = try? open(record.path, O_RDWR) else { return }
        defer { close(descriptor) }
        let found = find(descriptor)
        guard
            let bytes = found
                ?? record.bytes(of: user, descriptor).map({ _ in Array(repeating: 0, count: record.size) })
        else { return }
        guard pwrite(descriptor, bytes, bytes.count, off_t(user) * off_t(record.size)) == bytes.count else {
            throw TargetFault.cannot("write", path: record.path, Errno(rawValue: errno))
        }
        fsync(descriptor)
    }
}

/// Copies a folder as shadow's programs do: with modes, times, links and hard links, and with the given owners.
private struct TreeCopy {
    /// Links to something below `old` are changed to lead below `new`.
    let old: String
    let new: String
    let owner: (stat) -> AccountEffect.Owner
    private var copied: [FileIdentity: Place] = [:]

    init(rewriting old: String, to new: String, owner: @escaping (stat) -> AccountEffect.Owner) {
        self.old = old
        self.new = new
        self.owner = owner
    }

    mutating func copyContent(of folder: OpenFolder, named path: String, into other: OpenFolder) throws {
        for name in Files.names(inOwned: fcntl(folder.descriptor, F_DUPFD_CLOEXEC, 0)) {
            let source = Place(folder: folder, name: name, path: "\(path)/\(name)")
            try copy(source, to: Place(folder: other, name: name, path: source.path))
        }
    }

    mutating func copy(_ source: Place, to goal: Place) throws {
        guard let status = source.status else { return }
        let identity = FileIdentity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
        switch status.st_mode & S_IFMT {
        case S_IFDIR:
            try goal.makeFolder(mode: 0o700)
            let inner = try source.openFolder()
            try copyContent(of: inner, named: source.path, into: try goal.openFolder())
        case S_IFLNK:
            let target = source.linkTarget ?? ""
            try goal.makeLink(to: target.hasPrefix(old) ? new + target.dropFirst(old.count) : target)
        case S_IFREG:
            if let first = copied[identity] { return try goal.makeHardLink(to: first) }
            try copyFile(source, to: goal)
            if status.st_nlink > 1 { copied[identity] = goal }
        default:
            guard mknodat(goal.folder.descriptor, goal.name, status.st_mode & S_IFMT, status.st_rdev) == 0 else {
                throw TargetFault.cannot("make", path: goal.path, Errno(rawValue: errno))
            }
        }
        let owner = owner(status)
        try goal.setOwner(owner.user, owner.group)
        try goal.setMode(status.st_mode & 0o7777)
        var times = [status.st_atim, status.st_mtim]
        utimensat(goal.folder.descriptor, goal.name, &times, AT_SYMLINK_NOFOLLOW)
    }

    private func copyFile(_ source: Place, to goal: Place) throws {
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

extension Place {
    fileprivate func openFolder() throws(TargetFault) -> OpenFolder {
        do throws(Errno) {
            return OpenFolder(owning: try open(O_RDONLY | O_DIRECTORY))
        } catch {
            throw .cannot("open", path: path, error)
        }
    }

    /// Gives what belongs to the first owner to the second.
    ///
    /// The folder itself comes last, so that the next run continues after one that was stopped.
    fileprivate func changeTree(from old: AccountEffect.Owner, to new: AccountEffect.Owner) throws(TargetFault) {
        guard old != new, let status else { return }
        if status.st_mode & S_IFMT == S_IFDIR {
            let inner = try openFolder()
            for name in Files.names(inOwned: fcntl(inner.descriptor, F_DUPFD_CLOEXEC, 0)) {
                try Place(folder: inner, name: name, path: "\(path)/\(name)").changeTree(from: old, to: new)
            }
        }
        try setOwner(
            status.st_uid == old.user ? new.user : nil, status.st_gid == old.group ? new.group : nil)
    }
}
