// Looks at what the target already has where the config wants something.

import Accounts
import FilePlanning
import Glibc
import IgnitionConfig
import LinuxSystem
import Reporting
import SystemPackage

/// What fetching and comparing takes beside the target: a folder of ours, and what fills files.
struct TargetWork {
    /// An entry of the folder, for files without a name.
    let scratch: TargetEntry
    let writer: ContentWriter
    let appender: Appender

    /// Makes the folder where it is missing, and opens it.
    ///
    /// `keys` are those of LUKS volumes, by name; `fetch` gets the content of a resource. Throws where the folder
    /// cannot be made or opened.
    init(
        in folder: FilePath, keys: [String: SecretBytes] = [:], fetch: @escaping TargetRoot.FetchContent
    ) throws {
        try Files.makeFolder(folder, mode: 0o700)
        let open = try Files.naming("open", folder) { () throws(Errno) in try RootFolder(folder).open() }
        scratch = TargetEntry(folder: open, name: "content", path: folder.string)
        writer = ContentWriter(fetch: fetch, keys: keys)
        appender = Appender(fragments: FragmentStore(writer, in: scratch), scratch: scratch)
    }
}

/// Reads a target, and writes nothing into it.
struct TargetInspector {
    private let tree: TargetTree
    private let programs: TargetPrograms
    private let work: TargetWork
    private let mounts = Mounts.all().map(\.target)
    /// Nothing changes meanwhile, and most files share their parents.
    private var seen: [String: PathComponent] = [:]

    init(_ tree: TargetTree, _ programs: TargetPrograms, _ work: TargetWork) {
        self.tree = tree
        self.programs = programs
        self.work = work
    }

    /// Reads everything that the plan needs to know of the target.
    ///
    /// Content is fetched here only for files that exist and that the config does not overwrite.
    ///
    /// - Parameters:
    ///   - config: A checked config.
    ///   - policy: How closely Ignition is followed.
    /// - Returns: What is at the config's paths, and the accounts.
    /// - Throws: ``TargetFault``, or why a content cannot be fetched.
    mutating func inventory(
        for config: IgnitionConfig, policy: RerunPolicy = .own
    ) throws -> TargetInventory {
        try tree.checkAccountFiles()
        var inventory = TargetInventory(accounts: tree.accounts(), presets: tree.text(FilesPlan.presetFile))
        inventory.accountSettings = tree.accountSettings
        inventory.homeOwners = homeOwners(
            of: config.passwd.users, inventory.accounts, homes: inventory.accountSettings.homes)
        inventory.innerHomes = innerHomes(of: config.passwd.users, inventory.accounts)
        inventory.homeNumbers = try homeNumbers(in: inventory.accountSettings.homes)
        inventory.presentHomes = try presentHomes(of: config, inventory.accounts)
        try look(at: { _ in true }, for: config, policy, into: &inventory)
        return inventory
    }

    /// Looks again at what the accounts of a plan may have made, changed or removed, now that they are done.
    ///
    /// - Returns: Whether the config wants anything there.
    mutating func lookBelowHomes(
        for config: IgnitionConfig, policy: RerunPolicy, into inventory: inout TargetInventory
    ) throws -> Bool {
        seen = [:]
        let (before, after) = (inventory.accounts, tree.accounts())
        let homes = config.passwd.users.flatMap { user in
            [before, after].compactMap { $0.user(named: user.name).map { withoutLastSlash($0.home) } }
        }
        let places = inventory.places
        let known = homes + homes.compactMap { try? tree.follow($0) }
        func isMeant(_ path: String) -> Bool {
            [plainPath(path), places[path]?.resolved ?? path].contains { path in
                TargetTree.accountFiles.contains(path) || known.contains { path == $0 || path.hasPrefix($0 + "/") }
            }
        }
        guard places.keys.contains(where: isMeant) else { return false }
        try look(at: isMeant, for: config, policy, into: &inventory)
        return true
    }

    /// Reads the presets again, and asks which units are enabled, once those of the config are there.
    func lookAtPresets(for config: IgnitionConfig, _ policy: RerunPolicy, into inventory: inout TargetInventory) {
        inventory.presets = tree.text(FilesPlan.presetFile)
        guard policy.followsOriginal else { return }
        inventory.unitsToDisable = disabledPresets(of: config.systemd.units).filter { name in
            (try? programs.systemctl(["is-enabled", name])) != nil
        }
    }

    /// Looks at the config's places that `isMeant` chooses by their paths, and at its units.
    private mutating func look(
        at isMeant: (String) -> Bool, for config: IgnitionConfig, _ policy: RerunPolicy,
        into inventory: inout TargetInventory
    ) throws {
        let storage = config.storage
        for directory in storage.directories where isMeant(directory.path) {
            inventory.places[directory.path] = try place(at: directory.path)
        }
        for link in storage.links {
            if isMeant(link.path) { inventory.places[link.path] = try place(at: link.path) }
            let target = plainPath("/" + (link.target ?? ""))
            if link.hard == true, isMeant(target) { inventory.places[target] = try place(at: target) }
        }
        let (work, tree) = (work, tree)
        for file in storage.files where isMeant(file.path) {
            // What Ignition would do does not depend on the content.
            if policy.repeatsAll || file.overwrite == true {
                inventory.places[file.path] = try place(at: file.path)
            } else {
                let isClosed = storage.isClosed(file)
                inventory.places[file.path] = try place(at: file.path) { open, place in
                    try step("comparing \(file.path) with \(file.origin)") {
                        let isSecret = isClosed || tree.isClosed(place.resolved)
                        return try work.compare(open, with: file, isSecret: isSecret, &place)
                    }
                }
            }
        }
        for unit in config.systemd.units where isMeant(FilesPlan.unitFolder) {
            let path = "\(FilesPlan.unitFolder)/\(unit.name)"
            inventory.places[path] = try place(at: path) { open, _ in open.isUnit(unit.contents) }
            for dropin in unit.dropins {
                let path = "\(path).d/\(dropin.name)"
                inventory.places[path] = try place(at: path) { open, _ in open.isUnit(dropin.contents) }
            }
        }
    }

    /// The owners of folders that will be the homes of new users without a given number, by user name.
    private func homeOwners(
        of users: [IgnitionConfig.User], _ accounts: TargetAccounts, homes: String
    ) -> [String: AccountEffect.Owner] {
        var owners: [String: AccountEffect.Owner] = [:]
        for user in users
        where user.shouldExist != false && user.uid == nil && accounts.user(named: user.name) == nil {
            let path = user.homeDir.flatMap { $0.isEmpty ? nil : $0 } ?? "\(homes)/\(user.name)"
            guard let status = try? tree.entry(try tree.follow(path)).status, status.st_mode & S_IFMT == S_IFDIR else {
                continue
            }
            owners[user.name] = .init(status.st_uid, status.st_gid)
        }
        return owners
    }

    /// The numbers that own folders where homes are, root's left out.
    ///
    /// - Throws: Where homes cannot be read: a new user could get the number of somebody else's.
    private func homeNumbers(in homes: String) throws -> Set<UInt32> {
        guard let path = try? tree.follow(homes), let place = try? tree.entry(path),
            let found = try place.found(), found.st_mode & S_IFMT == S_IFDIR
        else { return [] }
        let folder = try place.openFolder()
        let owners = try folder.names(at: path).compactMap { name -> [UInt32]? in
            guard let status = try place.inside(folder, name).found(), status.st_mode & S_IFMT == S_IFDIR else {
                return nil
            }
            return [status.st_uid, status.st_gid]
        }
        return Set(owners.joined()).subtracting([0])
    }

    /// What stands in the homes of the config's users that are there already.
    private func presentHomes(of config: IgnitionConfig, _ accounts: TargetAccounts) throws -> [String: PresentHome] {
        let filesystems = config.storage.filesystems.compactMap(\.path).filter { $0.hasPrefix("/") }
            .compactMap { try? tree.follow($0) }
        /// Whether a resolved path is on a filesystem of the config.
        func isKept(_ path: String) -> Bool { filesystems.contains { FilePath(path).starts(with: FilePath($0)) } }
        var homes: [String: PresentHome] = [:]
        for user in config.passwd.users {
            guard let path = accounts.user(named: user.name)?.home, path != "/", let place = try? tree.follow(path)
            else { continue }
            var home = PresentHome()
            // A home on a disk that cannot be read is not missing.
            home.isMissing = try entry(place)?.found() == nil
            home.holdsMounts = holdsMounts(place)
            if let new = user.homeDir, !new.isEmpty, let goal = try? tree.follow(new), goal != place {
                let isEmpty = (try? tree.entry(place))?.isEmptyFolder ?? true
                home.leavesFilesystem = !home.isMissing && !isEmpty && isKept(place) && !isKept(goal)
                home.ownerOfNew = (try? tree.entry(goal))?.status.flatMap { status in
                    status.st_mode & S_IFMT == S_IFDIR ? .init(status.st_uid, status.st_gid) : nil
                }
            }
            homes[user.name] = home
        }
        return homes
    }

    /// Whether a filesystem is mounted on a folder or below it.
    private func holdsMounts(_ resolved: String) -> Bool {
        let outside = FilePath(tree.root.string == "/" ? resolved : tree.root.string + resolved)
        return mounts.contains { $0.starts(with: outside) }
    }

    /// The homes of others at or inside of the homes that the config moves, by whatever path, by user name.
    private func innerHomes(
        of users: [IgnitionConfig.User], _ accounts: TargetAccounts
    ) -> [String: [AccountEffect.Home]] {
        /// `nil` where no folder is.
        func folder(of home: String) -> String? {
            guard home.hasPrefix("/"), let path = try? tree.follow(home), case .folder = tree.component(at: path) else {
                return nil
            }
            return withoutLastSlash(path)
        }
        var inner: [String: [AccountEffect.Home]] = [:]
        for user in users where user.shouldExist != false {
            guard let present = accounts.user(named: user.name) else { continue }
            let given = user.homeDir ?? ""
            let moves = !given.isEmpty && withoutLastSlash(given) != withoutLastSlash(present.home)
            guard moves || user.primaryGroup?.isEmpty == false, let home = folder(of: present.home) else { continue }
            let others = accounts.users.filter { other in
                guard other.name != user.name, let place = folder(of: other.home) else { return false }
                return place == home || place.hasPrefix(home + "/")
            }
            if !others.isEmpty { inner[user.name] = others.map { .init(of: $0.name, $0.home) } }
        }
        return inner
    }

    /// The entry at a resolved path; `nil` where there is no folder for it.
    private func entry(_ resolved: String) throws(TargetFault) -> TargetEntry? {
        do throws(TargetFault) {
            return try tree.entry(resolved)
        } catch {
            switch error {
            case .cannot(_, _, .noSuchFileOrDirectory), .cannot(_, _, .notDirectory): return nil
            default: throw error
            }
        }
    }

    /// What is at a path of the config.
    ///
    /// `compare` says of a file whether it holds what the config wants. Throws what `compare` throws, and where the
    /// target cannot be read.
    private mutating func place(
        at path: String, _ compare: (OpenFile, inout TargetPath) throws -> Bool = { _, _ in false }
    ) throws -> TargetPath {
        let resolved: String
        do throws(PathFault) {
            resolved = try resolveParents(of: path) { path in
                if let known = seen[path] { return known }
                let component = tree.component(at: path)
                seen[path] = component
                return component
            }
        } catch {
            switch error {
            case .blocked(let other): return TargetPath(resolved: path, found: .blocked(by: other))
            case .tooManyLinks: return TargetPath(resolved: path, found: .circular)
            }
        }
        guard let place = try entry(resolved), let status = try place.found() else {
            return TargetPath(resolved: resolved, found: .nothing)
        }
        var found = TargetPath(
            resolved: resolved, found: .other,
            identity: FileIdentity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino)))
        switch status.st_mode & S_IFMT {
        case S_IFREG:
            let isWanted = try compare(try place.openFile(O_RDONLY, to: "read"), &found)
            found.found = .file(hasWantedContent: isWanted)
        case S_IFDIR:
            found.found = .folder(holdsMounts: holdsMounts(resolved))
        case S_IFLNK: found.found = .link(target: place.linkTarget ?? "")
        default: break
        }
        return found
    }
}

extension TargetWork {
    /// Whether a file holds what the config puts into it; if the config only appends, whether it has all fragments.
    fileprivate func compare(
        _ open: OpenFile, with file: IgnitionConfig.File, isSecret: Bool, _ place: inout TargetPath
    ) throws -> Bool {
        let content = file.plannedContent
        if content.parts.isEmpty { return false }
        if file.onlyAppends {
            place.missingFragments = try appender.missing(file.append, of: open)
            return place.missingFragments.isEmpty
        }
        let wanted = try scratch.createUnnamed()
        try writer.fill(wanted, with: content, spare: scratch.beside("part"))
        if try open.equals(wanted) { return true }
        place.difference = try open.difference(from: wanted, isSecret: isSecret)
        return false
    }
}

extension IgnitionConfig.Storage {
    /// Whether the config keeps a file from others, by its own mode or by that of a folder above it.
    fileprivate func isClosed(_ file: IgnitionConfig.File) -> Bool {
        let path = plainPath(file.path)
        func isAbove(_ folder: String) -> Bool { folder == "/" || path.hasPrefix(folder + "/") }
        return file.mode.map { $0 & 0o004 == 0 } ?? false
            || directories.contains { ($0.mode.map { $0 & 0o001 == 0 } ?? false) && isAbove(plainPath($0.path)) }
    }
}

extension TargetTree {
    /// Whether a folder above a path, below the root itself, keeps others out or cannot be asked.
    fileprivate func isClosed(_ resolved: String) -> Bool {
        var folder = FilePath(resolved)
        while folder.removeLastComponent(), !folder.components.isEmpty {
            guard let mode = try? entry(folder.string).found()?.st_mode, mode & 0o001 != 0 else { return true }
        }
        return false
    }
}

extension OpenFile {
    /// Whether a file has this text and the mode of unit files.
    fileprivate func isUnit(_ text: String?) -> Bool {
        guard let text, let status = try? status() else { return false }
        return Int(status.st_size) == text.utf8.count && status.st_mode & 0o7777 == 0o644
            && (try? bytes()) == Array(text.utf8)
    }

    /// How two files differ, in words; for files that not everybody may reach and read, only by their sizes.
    fileprivate func difference(from wanted: OpenFile, isSecret: Bool) throws(TargetFault) -> ContentDifference {
        let (here, other) = (try status(), try wanted.status())
        let sizes = ContentDifference.sizes(here: UInt64(here.st_size), wanted: UInt64(other.st_size))
        let limit = off_t(64 << 10)
        if isSecret || here.st_mode & 0o004 == 0 || max(here.st_size, other.st_size) > limit { return sizes }
        return ContentDifference(here: try bytes(), wanted: try wanted.bytes()) ?? sizes
    }
}
