// SSH keys, written where the target's sshd reads them.

import Accounts
import CLinux
import Glibc
import LinuxSystem
import Reporting
import SystemPackage

extension AccountApplier {
    /// Writes a user's keys, replacing those that were there.
    ///
    /// The files are accessed with the user's own rights: the home may come from an earlier boot, and no link that its
    /// owner made there may lead root astray.
    ///
    /// - Parameters:
    ///   - text: One key per line.
    ///   - user: The user's name.
    /// - Returns: The file, and the folder of the home that it is in, absolute in the target; `nil` where it was already
    ///   as wanted.
    /// - Throws: ``TargetFault`` or ``PathFault``.
    func writeAuthorizedKeys(_ text: String, of user: String) throws -> (path: String, folder: String)? {
        guard let account = tree.accounts().user(named: user) else { throw TargetFault.noSuchUser(user) }
        let home = account.home == "/" ? "" : account.home
        guard case .folder = tree.component(at: try tree.follow(account.home)) else {
            throw TargetFault.noHome(user: user, path: account.home)
        }
        let names = authorizedKeysName.split(separator: "/").map(String.init)
        let previous = firstlight_set_file_identity(account.uid, account.gid)
        defer { firstlight_set_file_identity(previous.user, previous.group) }
        var path = home
        var made: [TargetEntry] = []
        for name in names.dropLast() {
            path += "/\(name)"
            let folder = try tree.entry(try tree.follow(path))
            if case .nothing = folder.component {
                try folder.makeFolder(mode: 0o700)
                made.append(folder)
            }
        }
        let file = try tree.entry(try tree.resolve("\(path)/\(names.last ?? "")"))
        if let status = file.status, status.st_mode == S_IFREG | 0o600, status.st_uid == account.uid,
            file.bytes == Array(text.utf8)
        {
            return nil
        }
        do {
            try file.replace(Array(text.utf8), mode: 0o600)
        } catch {
            for folder in made.reversed() { try? folder.removeEmptyFolder() }
            throw error
        }
        return (file.path, try tree.follow("\(home)/\(names[0])"))
    }

    /// The key file, relative to a home.
    ///
    /// It is `.ssh/authorized_keys.d/ignition` where the target's sshd reads that folder, so that keys written by hand
    /// stay; otherwise `.ssh/authorized_keys`, which every sshd reads.
    var authorizedKeysName: String {
        let fragment = ".ssh/authorized_keys.d/ignition"
        let whole = ".ssh/authorized_keys"
        if let writesKeyFragment { return writesKeyFragment ? fragment : whole }
        let folders = ["/etc/ssh", "/usr/etc/ssh"]
        let files = folders.flatMap { folder in
            let more = tree.names(in: "\(folder)/sshd_config.d")
            return ["\(folder)/sshd_config"] + more.map { "\(folder)/sshd_config.d/\($0)" }
        }
        let isRead = files.contains { path in
            (tree.text(path) ?? "").split(whereSeparator: \.isNewline).contains { line in
                let words = line.drop(while: \.isWhitespace)
                // Some read a folder of that name below /etc. ssh-key-dir is the helper that prints the keys of that folder.
                return !words.hasPrefix("#")
                    && (words.contains(".ssh/authorized_keys.d") || words.contains("ssh-key-dir"))
            }
        }
        return isRead ? fragment : whole
    }

    /// Whether a user's keys are as wanted already.
    func hasAuthorizedKeys(_ text: String, of user: String) -> Bool {
        guard let (account, file) = keyFile(of: user), let status = file.status else { return false }
        return status.st_mode == S_IFREG | 0o600 && status.st_uid == account.uid && file.bytes == Array(text.utf8)
    }

    /// The keys of a user's file that are not among those of the config, as a phrase; `nil` where there are none.
    func lostKeys(_ text: String, of user: String) -> String? {
        guard let file = keyFile(of: user)?.file, let bytes = file.bytes else { return nil }
        func keys(_ text: String) -> Set<Substring> {
            Set(text.split(whereSeparator: \.isNewline).filter { !$0.hasPrefix("#") })
        }
        let lost = keys(String(decoding: bytes, as: UTF8.self)).subtracting(keys(text))
        return lost.isEmpty ? nil : "\(counted(lost.count, "other key")) in \(file.path)"
    }

    private func keyFile(of user: String) -> (account: TargetAccounts.User, file: TargetEntry)? {
        guard let account = tree.accounts().user(named: user),
            let file = try? tree.entry(try tree.resolve("\(account.home)/\(authorizedKeysName)"))
        else { return nil }
        return (account, file)
    }
}
