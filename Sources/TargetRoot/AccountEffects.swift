// Homes: what belongs to a user beside the lines in the account files.

import Accounts
import FilePlanning
import Glibc
import LinuxSystem
import SystemPackage

extension AccountApplier {
    /// Carries out one effect of a change to the accounts.
    ///
    /// - Parameter effect: The effect.
    /// - Returns: A warning where something stays that was to be removed.
    /// - Throws: ``TargetFault`` or ``PathFault``.
    func perform(_ effect: AccountEffect) throws -> String? {
        switch effect {
        case .makeHome(let path, let owner, let mode, let skeleton):
            try makeHome(path, owner, mode: mode, skeleton: skeleton)
        case .moveHome(let path, let newPath, let old, let new, let inner):
            try moveHome(path, to: newPath, from: old, to: new, innerHomes: inner)
        case .changeOwner(let path, let old, let new, let inner):
            let home = try tree.entry(try tree.follow(path))
            guard let status = home.status, status.st_mode & S_IFMT == S_IFDIR,
                [old.user, new.user].contains(status.st_uid)
            else { return nil }
            try home.changeTree(OwnerChange(from: old, to: new, innerHomes: inner.compactMap { try? tree.follow($0) }))
        case .removeHome(let path, let user, let others): return removeHome(path, of: user, beside: others)
        }
        return nil
    }

    // MARK: Homes

    /// Makes the home of a user that has none, as that of a new user.
    ///
    /// - Parameter user: The user's name.
    /// - Returns: The home, absolute in the target.
    /// - Throws: ``TargetFault`` or ``PathFault``.
    func makeHome(of user: String) throws -> String {
        guard let account = tree.accounts().user(named: user) else { throw TargetFault.noSuchUser(user) }
        _ = try perform(tree.accountSettings.newHome(account.home, owner: .init(account.uid, account.gid)))
        return try tree.follow(account.home)
    }

    /// Makes a home beside its place, complete with its content, and moves it there.
    private func makeHome(
        _ path: String, _ owner: AccountEffect.Owner, mode: UInt32, skeleton: String
    ) throws {
        let resolved = try tree.follow(path)
        if case .folder = tree.component(at: resolved) { return }
        _ = try tree.makeParents(of: resolved)
        let home = try tree.entry(resolved)
        guard case .nothing = home.component else { return }
        let new = home.temporary("home")
        try? new.removeTree()
        try new.makeFolder(mode: 0o700)
        do {
            if let descriptor = try? tree.open(skeleton, O_RDONLY | O_DIRECTORY) {
                var copy = TreeCopy(rewriting: skeleton, to: path, withLabels: false) { _, _ in owner }
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
        _ path: String, to newPath: String, from old: AccountEffect.Owner, to new: AccountEffect.Owner,
        innerHomes: [String]
    ) throws {
        var source: TargetEntry?
        do {
            source = try tree.entry(try tree.resolve(path))
        } catch TargetFault.cannot(_, _, .noSuchFileOrDirectory) {}
        // The inner homes, where they are now and where they move along to.
        var change = OwnerChange(from: old, to: new, innerHomes: innerHomes.compactMap { try? tree.follow($0) })
        func follow(to goal: TargetEntry) {
            let places = [path, source?.path ?? path]
            change.innerHomes += (innerHomes + change.innerHomes).flatMap { inner in
                places.filter { inner.hasPrefix($0 + "/") }.map { goal.path + inner.dropFirst($0.count) }
            }
        }
        guard let source, case .folder = source.component else {
            // The home never existed, or a run was stopped between moving the home and changing all owners.
            guard let goal = try? tree.entry(try tree.resolve(newPath)), goal.status?.st_uid == old.user else { return }
            follow(to: goal)
            return try goal.changeTree(change)
        }
        let goal = try tree.entry(try tree.resolve(newPath))
        follow(to: goal)
        guard case .nothing = goal.component else {
            throw TargetFault.cannot("move a home to", path: newPath, .fileExists)
        }
        if renameat(source.folder.descriptor, source.name, goal.folder.descriptor, goal.name) == 0 {
            return try goal.changeTree(change)
        }
        let reason = errno
        guard reason == EXDEV else {
            throw TargetFault.cannot("move a home to", path: newPath, Errno(rawValue: reason))
        }
        let half = goal.temporary("home")
        try? half.removeTree()
        do {
            var copy = TreeCopy(rewriting: path, to: newPath, withLabels: true) { path, status in
                .init(
                    change.user(of: status) ?? status.st_uid, change.group(of: status, at: path) ?? status.st_gid)
            }
            try copy.copy(source, to: half)
            try half.move(to: goal)
        } catch {
            try? half.removeTree()
            throw error
        }
        try source.removeTree()
    }

    private func removeHome(_ path: String, of user: UInt32, beside others: [AccountEffect.Home]) -> String? {
        guard let home = try? tree.entry(try tree.resolve(path)), let status = home.status else { return nil }
        guard status.st_uid == user, home.path != "/" else { return "\(path) is not the user's; it stays" }
        // As userdel does.
        let inner = others.first { other in
            guard let place = try? tree.entry(try tree.resolve(other.path)), place.status != nil else { return false }
            return place.path == home.path || place.path.hasPrefix(home.path + "/")
        }
        if let inner { return "\(path) holds the home of \(inner.user); it stays" }
        do throws(TargetFault) {
            try home.removeTree()
            return nil
        } catch {
            return "\(error)"
        }
    }
}
