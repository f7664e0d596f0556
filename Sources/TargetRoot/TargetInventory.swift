// Looking: what is there already where the config wants something.

import Glibc
import IgnitionConfig
import LinuxSystem
import Provisioning
import Reporting
import SystemPackage

extension TargetRoot {
    /// Everything the plan has to know of the target. Writes nothing into it.
    ///
    /// Content is fetched here only where a file is there already and the config does not overwrite it.
    /// - Parameter scratch: Our folder for such content; made where it is missing.
    public func inventory(
        for config: IgnitionConfig, scratch: FilePath, policy: RerunPolicy = .own, fetch: FetchContent
    ) throws -> TargetInventory {
        let mounts = Mounts.all().map(\.target)
        var inventory = TargetInventory(accounts: accounts(), presets: text(FilesPlan.presetFile))
        inventory.accountSettings = accountSettings
        inventory.homeOwners = homeOwners(
            of: config.passwd.users, inventory.accounts, homes: inventory.accountSettings.homes)
        // Nothing changes while we look, and most files share their parents.
        var seen: [String: PathComponent] = [:]
        let spare = try scratchPlace(scratch)
        func look(_ path: String, _ compare: (Int32, inout TargetPlace) throws -> Bool = { _, _ in false }) throws {
            inventory.places[path] = try placeFound(at: path, mounts: mounts, &seen, compare)
        }
        let storage = config.storage
        for directory in storage.directories { try look(directory.path) }
        for link in storage.links {
            try look(link.path)
            if link.hard == true { try look(plainPath("/" + (link.target ?? ""))) }
        }
        for file in storage.files {
            // What the original would do does not depend on the content.
            if policy.repeatsAll || file.overwrite == true {
                try look(file.path)
            } else {
                try look(file.path) { descriptor, place in
                    try step("comparing \(file.path) with \(file.origin)") {
                        try compare(descriptor, with: file, spare: spare, fetch: fetch, &place)
                    }
                }
            }
        }
        for unit in config.systemd.units {
            let path = "\(FilesPlan.unitFolder)/\(unit.name)"
            try look(path) { descriptor, _ in holds(unit.contents, descriptor) }
            for dropin in unit.dropins {
                try look("\(path).d/\(dropin.name)") { descriptor, _ in holds(dropin.contents, descriptor) }
            }
        }
        if policy.followsOriginal {
            inventory.unitsToDisable = disabledPresets(of: config.systemd.units).filter { name in
                (try? systemctl(["is-enabled", name])) != nil
            }
        }
        return inventory
    }

    /// Who owns the folders that will be the homes of users that are not there yet and are given no number.
    private func homeOwners(
        of users: [IgnitionConfig.User], _ accounts: TargetAccounts, homes: String
    ) -> [String: UInt32] {
        var owners: [String: UInt32] = [:]
        for user in users
        where user.shouldExist != false && user.uid == nil && accounts.user(named: user.name) == nil {
            let path = user.homeDir.flatMap { $0.isEmpty ? nil : $0 } ?? "\(homes)/\(user.name)"
            guard let status = try? place(try follow(path)).status, status.st_mode & S_IFMT == S_IFDIR else { continue }
            owners[user.name] = status.st_uid
        }
        return owners
    }

    func scratchPlace(_ scratch: FilePath) throws -> Place {
        try Files.makeFolder(scratch, mode: 0o700)
        return Place(folder: try RootFolder(scratch).open(), name: "content", path: scratch.string)
    }

    private func placeFound(
        at path: String, mounts: [FilePath], _ seen: inout [String: PathComponent],
        _ compare: (Int32, inout TargetPlace) throws -> Bool
    ) throws -> TargetPlace {
        let resolved: String
        do throws(PathFault) {
            resolved = try resolveParents(of: path) { path in
                if let known = seen[path] { return known }
                let component = component(at: path)
                seen[path] = component
                return component
            }
        } catch {
            switch error {
            case .blocked(let other): return TargetPlace(resolved: path, found: .blocked(by: other))
            case .tooManyLinks: return TargetPlace(resolved: path, found: .circular)
            }
        }
        guard let place = try? place(resolved), let status = place.status else {
            return TargetPlace(resolved: resolved, found: .nothing)
        }
        var found = TargetPlace(
            resolved: resolved, found: .other,
            identity: FileIdentity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino)))
        switch status.st_mode & S_IFMT {
        case S_IFREG:
            let descriptor: Int32
            do throws(Errno) {
                descriptor = try place.open(O_RDONLY)
            } catch {
                throw TargetFault.cannot("read", path: resolved, error)
            }
            defer { close(descriptor) }
            let isWanted = try compare(descriptor, &found)
            found.found = .file(hasWantedContent: isWanted)
        case S_IFDIR:
            let outside = FilePath(root.string == "/" ? resolved : root.string + resolved)
            found.found = .folder(holdsMounts: mounts.contains { $0.starts(with: outside) })
        case S_IFLNK: found.found = .link(target: place.linkTarget ?? "")
        default: break
        }
        return found
    }

    /// Whether a file has a text and the mode that goes with units.
    private func holds(_ text: String?, _ descriptor: Int32) -> Bool {
        var status = stat()
        guard let text, fstat(descriptor, &status) == 0 else { return false }
        return Int(status.st_size) == text.utf8.count && status.st_mode & 0o7777 == 0o644
            && (try? readAll(descriptor)) == Array(text.utf8)
    }

    /// Whether a file holds what the config puts into it: all of it, or what it is to add where it only appends.
    private func compare(
        _ descriptor: Int32, with file: IgnitionConfig.File, spare: Place, fetch: FetchContent,
        _ place: inout TargetPlace
    ) throws -> Bool {
        let content = file.plannedContent
        if content.parts.isEmpty { return false }
        if file.contents.source == nil {
            place.missingFragments = try missing(file.append, of: descriptor, spare: spare, fetch: fetch)
            return place.missingFragments.isEmpty
        }
        let wanted = try spare.create()
        try? spare.remove()
        defer { close(wanted) }
        try fill(wanted, with: content, spare: spare.beside("part"), fetch: fetch)
        if try endsAlike(descriptor, wanted, whole: true) { return true }
        place.difference = try difference(
            descriptor, wanted, isSecret: file.mode.map { $0 & 0o004 == 0 } ?? false)
        return false
    }

    /// What differs, for people. What not everybody may read is told by its size alone.
    private func difference(_ here: Int32, _ wanted: Int32, isSecret: Bool) throws -> ContentDifference {
        var (one, other) = (stat(), stat())
        guard fstat(here, &one) == 0, fstat(wanted, &other) == 0 else { throw Errno(rawValue: errno) }
        let sizes = ContentDifference.sizes(here: UInt64(one.st_size), wanted: UInt64(other.st_size))
        let limit = off_t(64 << 10)
        if isSecret || one.st_mode & 0o004 == 0 || max(one.st_size, other.st_size) > limit { return sizes }
        func bytes(_ descriptor: Int32) throws(Errno) -> [UInt8] {
            guard lseek(descriptor, 0, SEEK_SET) == 0 else { throw Errno(rawValue: errno) }
            return try readAll(descriptor)
        }
        return ContentDifference(here: try bytes(here), wanted: try bytes(wanted)) ?? sizes
    }
}
