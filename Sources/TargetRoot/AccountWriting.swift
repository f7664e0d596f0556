// Users and groups: changed by programs where there are any, otherwise in the account files themselves.

import Accounts
import Glibc
import LinuxSystem
import SystemPackage

extension TargetRoot {
    /// Makes, changes or removes an account with the initramfs's own program, the target's, or without any.
    ///
    /// - Parameter request: The change.
    ///
    /// - Returns: A warning where the account is as wanted and something else is not.
    /// - Throws: What the program says, ``AccountFault`` or ``TargetFault``.
    func perform(_ request: AccountRequest) throws -> String? {
        guard let wanted = request.command else { return try performNatively(request) }
        do throws(Command.Failure) {
            _ = try runOnTarget(
                command(wanted.program, wanted.arguments),
                ours: Command(wanted.program, ["--root", root.string] + wanted.arguments))
            return nil
        } catch {
            switch error {
            case .missing: return try performNatively(request)
            // The user is removed; a home that others share, or that does not exist, is not. See userdel(8).
            case .failed(_, status: 12, let said) where wanted.program == "userdel": return said
            default: throw error
            }
        }
    }

    private func performNatively(_ request: AccountRequest) throws -> String? {
        let etc = try place("/etc/passwd")
        let locks = try AccountLocks(beside: etc)
        defer { locks.release() }
        let database = try accountDatabase(etc)
        let change = try database.change(for: request)
        var warning: String?
        let written = WrittenFiles()
        defer { written.abandon() }
        // All files are complete on the disk before the first one is replaced, so that a full disk changes nothing.
        for file in change.files { try written.write(file, beside: etc, shadowGroup: database.shadowGroup) }
        for effect in change.effects {
            if let said = try perform(effect) { warning = said }
        }
        try written.settle()
        return warning
    }

    private func accountDatabase(_ etc: Place) throws -> AccountDatabase {
        var files: [AccountFileName: [UInt8]] = [:]
        for name in AccountFileName.allCases {
            let place = etc.beside(name.rawValue)
            if case .nothing = place.component { continue }
            do throws(Errno) {
                let descriptor = try place.open(O_RDONLY)
                defer { close(descriptor) }
                files[name] = try readAll(descriptor)
            } catch {
                throw TargetFault.cannot("read", path: place.path, error)
            }
        }
        return AccountDatabase(
            files: files,
            elsewhere: TargetAccounts(passwd: text("/usr/lib/passwd") ?? "", group: text("/usr/lib/group") ?? ""),
            settings: accountSettings, today: Int(time(nil)) / 86400)
    }

    /// The target's own settings for new accounts.
    var accountSettings: AccountSettings {
        AccountSettings(loginDefs: text("/etc/login.defs") ?? "", useradd: text("/etc/default/useradd") ?? "")
    }
}

/// New account files that are complete and have not replaced the old ones yet.
private final class WrittenFiles {
    private var files: [(new: Place, backup: Place?, place: Place)] = []

    /// Writes a file as shadow's programs do.
    ///
    /// It gets owner and mode of the present file, but is never executable, nor writable for all. The present file
    /// stays as a backup with its times.
    func write(_ file: AccountFile, beside etc: Place, shadowGroup: gid_t) throws {
        let place = etc.beside(file.name.rawValue)
        let new = place.temporary("account")
        let present = place.status
        files.append((new, nil, place))
        try fill(new, with: file.bytes, like: present, orMode: file.name.newMode, group: shadowGroup)
        guard let present, let bytes = place.bytes else { return }
        let backup = place.temporary("backup")
        files[files.count - 1].backup = backup
        try fill(backup, with: bytes, like: present, orMode: 0, group: 0)
        var times = [present.st_atim, present.st_mtim]
        utimensat(backup.folder.descriptor, backup.name, &times, AT_SYMLINK_NOFOLLOW)
    }

    private func fill(
        _ place: Place, with bytes: [UInt8], like present: stat?, orMode mode: UInt32, group: gid_t
    ) throws {
        let descriptor = try place.create()
        defer { close(descriptor) }
        do throws(Errno) {
            try Files.writeAll(bytes, to: descriptor)
            if fsync(descriptor) != 0 { throw Errno(rawValue: errno) }
        } catch {
            throw TargetFault.cannot("write", path: place.path, error)
        }
        try place.setOwner(present?.st_uid ?? 0, present?.st_gid ?? group)
        try place.setMode((present?.st_mode ?? mode) & 0o664)
    }

    func settle() throws {
        while let file = files.first {
            if let backup = file.backup { try backup.move(to: file.place.beside("\(file.place.name)-")) }
            try file.new.move(to: file.place)
            files.removeFirst()
        }
    }

    /// Removes files that did not replace the old ones.
    func abandon() {
        for file in files {
            try? file.new.remove()
            try? file.backup?.remove()
        }
    }
}

/// The locks of shadow's programs and the C library, so that nobody else changes an account meanwhile.
private final class AccountLocks {
    private var descriptor: Int32
    private var held: [Place] = []

    /// - SeeAlso: lckpwdf(3), which waits as long.
    private static let secondsToWait = 15

    init(beside etc: Place) throws {
        let whole = etc.beside(".pwd.lock")
        do throws(Errno) {
            descriptor = try whole.open(O_WRONLY | O_CREAT, mode: 0o600)
        } catch {
            throw TargetFault.cannot("lock", path: whole.path, error)
        }
        do {
            try lock(whole)
            for name in AccountFileName.allCases.reversed()
            where name.isAlways || etc.beside(name.rawValue).status != nil {
                let lock = etc.beside("\(name.rawValue).lock")
                try take(lock)
                held.append(lock)
            }
        } catch {
            release()
            throw error
        }
    }

    func release() {
        for lock in held.reversed() { try? lock.remove() }
        held = []
        if descriptor >= 0 { close(descriptor) }
        descriptor = -1
    }

    private func lock(_ whole: Place) throws(TargetFault) {
        var wanted = flock()
        wanted.l_type = Int16(F_WRLCK)
        wanted.l_whence = Int16(SEEK_SET)
        for _ in 0..<Self.secondsToWait * 10 {
            if fcntl(descriptor, F_SETLK, &wanted) == 0 { return }
            let reason = errno
            if reason != EACCES, reason != EAGAIN, reason != EINTR {
                throw .cannot("lock", path: whole.path, Errno(rawValue: reason))
            }
            usleep(100_000)
        }
        throw .cannot("lock", path: whole.path, .resourceTemporarilyUnavailable)
    }

    /// Takes a lock, which is a link to a file that holds this process's number.
    ///
    /// A lock is stale if its process is gone, or if it names this process, which does not hold it. A run that was
    /// stopped left it.
    private func take(_ lock: Place) throws {
        let file = lock.temporary("lock")
        let descriptor = try file.create()
        defer {
            close(descriptor)
            try? file.remove()
        }
        do throws(Errno) {
            try Files.writeAll(Array("\(getpid())\0".utf8), to: descriptor)
        } catch {
            throw TargetFault.cannot("write", path: file.path, error)
        }
        for _ in 0..<2 {
            if linkat(file.folder.descriptor, file.name, lock.folder.descriptor, lock.name, 0) == 0 { return }
            let reason = errno
            guard reason == EEXIST else { throw TargetFault.cannot("lock", path: lock.path, Errno(rawValue: reason)) }
            let text = String(decoding: (lock.bytes ?? []).prefix { $0 != 0 }, as: UTF8.self)
            guard let holder = pid_t(text), holder == getpid() || kill(holder, 0) != 0 else {
                throw TargetFault.locked(lock.path, by: text)
            }
            try lock.remove()
        }
        throw TargetFault.cannot("lock", path: lock.path, .fileExists)
    }
}

extension AccountFileName {
    /// Whether the file is created where it is missing.
    fileprivate var isAlways: Bool { self == .passwd || self == .group }
}
