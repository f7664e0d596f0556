// The account files of a target on the disk: written as shadow's programs write them, under their locks.

import Accounts
import Glibc
import LinuxSystem
import SystemPackage

/// New account files that are complete and have not replaced the old ones yet.
final class WrittenFiles {
    private var files: [(new: TargetEntry, backup: TargetEntry?, place: TargetEntry)] = []

    /// Writes a file as shadow's programs do.
    ///
    /// It gets owner and mode of the present file, but is never executable, nor writable for all. The present file
    /// stays as a backup with its times.
    func write(_ file: AccountFile, beside etc: TargetEntry, shadowGroup: gid_t) throws {
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
        _ place: TargetEntry, with bytes: [UInt8], like present: stat?, orMode mode: UInt32, group: gid_t
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

    /// Gives each finished file its name.
    func publish() throws {
        while let file = files.first {
            if let backup = file.backup { try backup.move(to: file.place.beside("\(file.place.nameText)-")) }
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
final class AccountLocks {
    private var descriptor: Int32
    private var held: [TargetEntry] = []

    /// - SeeAlso: lckpwdf(3), which waits as long.
    private static let secondsToWait = 15

    init(beside etc: TargetEntry) throws {
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

    private func lock(_ whole: TargetEntry) throws(TargetFault) {
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
    private func take(_ lock: TargetEntry) throws {
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
