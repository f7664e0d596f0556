// A config and the target's state give steps, things that are kept, and conflicts.

import Accounts
import IgnitionConfig

/// Makes a ``FilesPlan``, part by part in the order in which things are done.
struct FilesPlanner {
    let config: IgnitionConfig
    let inventory: TargetInventory
    let mountFolders: [String]
    let policy: RerunPolicy
    /// Directories of the target that the config overwrites, and whose content is removed; each ends with a slash.
    let emptied: [String]

    var steps: [FilesPlan.Step] = []
    var kept: [FilesPlan.Kept] = []
    var conflicts: [FileConflict] = []

    init(_ config: IgnitionConfig, _ inventory: TargetInventory, mountFolders: [String], policy: RerunPolicy) {
        self.config = config
        self.policy = policy
        self.inventory = inventory
        self.mountFolders = mountFolders
        emptied = config.storage.directories.filter { $0.overwrite == true }.compactMap { directory in
            guard let place = inventory.places[directory.path], case .folder = place.found else { return nil }
            return place.resolved + "/"
        }
    }

    /// Adds a conflict where the owner is named and neither exists nor is created.
    private mutating func checkOwner(_ owner: PlannedOwner, of path: String, _ origin: IgnitionConfig.Origin) {
        if case .name(let name) = owner.user, !willExist(user: name) {
            conflicts.append(.init(path, .unknownUser(name), origin))
        }
        if case .name(let name) = owner.group, !willExist(group: name) {
            conflicts.append(.init(path, .unknownGroup(name), origin))
        }
    }

    private func willExist(user name: String) -> Bool {
        config.passwd.users.first { $0.name == name }.map { $0.shouldExist != false }
            ?? (inventory.accounts.user(named: name) != nil)
    }

    private func willExist(group name: String) -> Bool {
        if let group = config.passwd.groups.first(where: { $0.name == name }) { return group.shouldExist != false }
        if inventory.accounts.group(named: name) != nil { return true }
        // useradd makes a group of the user's name.
        return config.passwd.users.contains {
            $0.name == name && $0.shouldExist != false && $0.noUserGroup != true && $0.primaryGroup == nil
        }
    }

    // MARK: Directories, files, links

    /// Plans directories, files and links by the depth of where they lead, so that parents come first; hard links last.
    mutating func planNodes() {
        let storage = config.storage
        let nodes: [Node] =
            storage.directories.map { .directory($0) } + storage.files.map { .file($0) }
            + storage.links.filter { $0.hard != true }.map { .link($0) }
        let hardLinks = storage.links.filter { $0.hard == true }.map { Node.link($0) }
        let ordered =
            nodes.map { ($0, depth: depth(place(of: $0.path).resolved)) }.enumerated()
            .sorted { ($0.element.depth, $0.offset) < ($1.element.depth, $1.offset) }.map(\.element.0) + hardLinks

        var taken: [String: String] = [:]
        for node in ordered {
            let place = place(of: node.path)
            if let other = taken.updateValue(node.path, forKey: place.resolved) {
                conflicts.append(.init(node.path, .samePlace(as: other, resolved: place.resolved), node.origin))
                continue
            }
            if !isReachable(place) {
                conflicts.append(.init(node.path, .unreachable(place.found), node.origin))
                continue
            }
            if node.isOwned { checkOwner(node.owner, of: node.path, node.origin) }
            if node.overwrites, case .folder(holdsMounts: true) = place.found {
                conflicts.append(.init(node.path, .holdsMounts, node.origin))
                continue
            }
            switch node {
            case .directory(let directory): plan(directory, place.found)
            case .file(let file): plan(file, place)
            case .link(let link): if link.hard == true { planHard(link, place) } else { plan(link, place.found) }
            }
        }
    }

    private enum Node {
        case directory(IgnitionConfig.Directory)
        case file(IgnitionConfig.File)
        case link(IgnitionConfig.Link)

        private var fields: (String, Bool?, IgnitionConfig.Owner, IgnitionConfig.Owner, IgnitionConfig.Origin) {
            switch self {
            case .directory(let node): (node.path, node.overwrite, node.user, node.group, node.origin)
            case .file(let node): (node.path, node.overwrite, node.user, node.group, node.origin)
            case .link(let node): (node.path, node.overwrite, node.user, node.group, node.origin)
            }
        }

        var path: String { fields.0 }
        var overwrites: Bool { fields.1 == true }
        var owner: PlannedOwner { PlannedOwner(fields.2, fields.3) }
        /// Whether the owner counts: a hard link has that of its target.
        var isOwned: Bool {
            guard case .link(let link) = self else { return true }
            return link.hard != true
        }
        var origin: IgnitionConfig.Origin { fields.4 }
    }

    /// What is at a path when its turn comes: nothing, if it is inside a directory that the config makes anew.
    private func place(of path: String) -> TargetPath {
        guard let place = inventory.places[path] else { return TargetPath(resolved: path, found: .nothing) }
        let isCleared = emptied.contains { place.resolved.hasPrefix($0) }
        return isCleared ? TargetPath(resolved: place.resolved, found: .nothing) : place
    }

    private func depth(_ path: String) -> Int { path.utf8.count { $0 == UInt8(ascii: "/") } }

    /// Whether the parents of a place are folders, or the config replaces what is in the way by a directory.
    private func isReachable(_ place: TargetPath) -> Bool {
        switch place.found {
        case .circular: false
        case .blocked(let path):
            config.storage.directories.contains {
                $0.overwrite == true && self.place(of: $0.path).resolved == path
            }
        default: true
        }
    }

    private mutating func plan(_ directory: IgnitionConfig.Directory, _ found: TargetPath.Found) {
        let owner = PlannedOwner(directory.user, directory.group)
        let mode = directory.mode.map { UInt32(clamping: $0) }
        let isNew = directory.overwrite == true || found.isFree
        guard !isNew else {
            return add(
                .makeFolder(.init(directory.path, mode: mode ?? 0o755, owner: owner, replacing: !found.isFree)),
                directory.origin)
        }
        guard case .folder = found else {
            conflicts.append(.init(directory.path, .inTheWay(found, wanted: "a directory"), directory.origin))
            return
        }
        keep(directory.path, .exists, mode, owner, directory.origin)
    }

    private mutating func plan(_ file: IgnitionConfig.File, _ place: TargetPath) {
        let found = place.found
        let owner = PlannedOwner(file.user, file.group)
        let mode = file.mode.map { UInt32(clamping: $0) }
        let content = file.plannedContent
        if found.isFree || file.overwrite == true {
            var planned = PlannedFile(
                file.path, content, mode: mode ?? 0o644, owner: owner, replacing: !found.isFree)
            planned.recordsParts = file.onlyAppends && !file.append.isEmpty && !policy.repeatsAll
            return add(.writeFile(planned), file.origin)
        }
        guard case .file(let hasWantedContent) = found else {
            conflicts.append(.init(file.path, .inTheWay(found, wanted: "a file"), file.origin))
            return
        }
        if (hasWantedContent && !policy.repeatsAll) || content.parts.isEmpty {
            keep(file.path, hasWantedContent ? .sameContent : .exists, mode, owner, file.origin)
        } else if file.onlyAppends {
            let fragments = policy.repeatsAll ? file.append : place.missingFragments.map { file.append[$0] }
            let present = file.append.indices.filter { !policy.repeatsAll && !place.missingFragments.contains($0) }
            add(
                .append(
                    .init(
                        file.path, fragments, after: present.map { file.append[$0] }, repeats: policy.repeatsAll)),
                file.origin)
            if mode != nil || owner != .unchanged {
                add(.setAttributes(file.path, mode: mode, owner: owner), file.origin)
            }
        } else {
            conflicts.append(.init(file.path, .otherContent(place.difference), file.origin))
        }
    }

    private mutating func plan(_ link: IgnitionConfig.Link, _ found: TargetPath.Found) {
        let target = link.target ?? ""
        if link.overwrite != true, !found.isFree {
            if case .link(let present) = found, plainPath(present) == plainPath(target) {
                kept.append(.init(link.path, .sameTarget))
            } else {
                conflicts.append(.init(link.path, .inTheWay(found, wanted: "a link to \(target)"), link.origin))
            }
            return
        }
        let owner = PlannedOwner(link.user, link.group)
        if case .link(target) = found, !policy.repeatsAll {
            return keep(link.path, .sameTarget, nil, owner, link.origin)
        }
        add(.makeLink(.init(link.path, target: target, owner: owner, replacing: !found.isFree)), link.origin)
    }

    /// Plans a hard link; a relative target counts from the root, as in Ignition.
    private mutating func planHard(_ link: IgnitionConfig.Link, _ place: TargetPath) {
        let target = plainPath("/" + (link.target ?? ""))
        let there = self.place(of: target)
        let writer = config.storage.files.first { self.place(of: $0.path).resolved == there.resolved }
        let isMade =
            writer != nil
            || config.storage.links.contains { self.place(of: $0.path).resolved == there.resolved }
        switch there.found {
        case .folder:
            conflicts.append(.init(link.path, .linkToFolder(target), link.origin))
            return
        case .nothing, .blocked, .circular:
            if !isMade {
                conflicts.append(.init(link.path, .noLinkTarget(target), link.origin))
                return
            }
        case .file, .link, .other: break
        }
        let isSame = place.identity != nil && place.identity == there.identity
        if link.overwrite != true, !place.found.isFree, !isSame {
            conflicts.append(.init(link.path, .inTheWay(place.found, wanted: "a hard link to \(target)"), link.origin))
        } else if isSame, writer?.overwrite != true {
            kept.append(.init(link.path, .sameTarget))
        } else {
            // Overwriting the target gives it a new inode; the link has to follow.
            add(.makeHardLink(link.path, target: target, replacing: !place.found.isFree), link.origin)
        }
    }

    mutating func add(_ action: FileAction, _ origin: IgnitionConfig.Origin) {
        steps.append(.init(action, origin))
    }

    private mutating func keep(
        _ path: String, _ reason: FilesPlan.Kept.Reason, _ mode: UInt32?, _ owner: PlannedOwner,
        _ origin: IgnitionConfig.Origin
    ) {
        kept.append(.init(path, reason))
        if mode != nil || owner != .unchanged { add(.setAttributes(path, mode: mode, owner: owner), origin) }
    }

    // MARK: Units

    mutating func planUnits() {
        for unit in config.systemd.units {
            let path = "\(FilesPlan.unitFolder)/\(unit.name)"
            for dropin in unit.dropins {
                guard let text = dropin.contents else { continue }
                write(text, to: "\(path).d/\(dropin.name)", dropin.origin)
            }
            if unit.mask == true {
                mask(path, unit.origin)
            } else if let text = unit.contents, !text.isEmpty {
                write(text, to: path, unit.origin)
            } else if unit.mask == false, case .link("/dev/null") = place(of: path).found {
                add(.removeLink(path), unit.origin)
            }
        }
    }

    private mutating func write(_ text: String, to path: String, _ origin: IgnitionConfig.Origin) {
        let place = place(of: path)
        if !isReachable(place) {
            conflicts.append(.init(path, .unreachable(place.found), origin))
        } else if case .file(hasWantedContent: true) = place.found {
            kept.append(.init(path, .sameContent))
        } else if case .folder = place.found {
            // A unit has no "overwrite"; the config has not asked to remove what is in there.
            conflicts.append(.init(path, .folderForUnit, origin))
        } else {
            add(
                .writeFile(
                    .init(path, .init(text: text), mode: 0o644, owner: .unchanged, replacing: !place.found.isFree)),
                origin)
        }
    }

    /// Masks a unit; contents that the config gives would be lost, so they are not written first.
    private mutating func mask(_ path: String, _ origin: IgnitionConfig.Origin) {
        let place = place(of: path)
        if !isReachable(place) {
            conflicts.append(.init(path, .unreachable(place.found), origin))
        } else if case .link("/dev/null") = place.found {
            kept.append(.init(path, .sameTarget))
        } else if case .folder = place.found {
            // As where the config gives its contents: nobody has asked to remove what is in there.
            conflicts.append(.init(path, .folderForUnit, origin))
        } else {
            add(
                .makeLink(.init(path, target: "/dev/null", owner: .unchanged, replacing: !place.found.isFree)), origin)
        }
    }

    mutating func planPresets() {
        let units = config.systemd.units
        let origin = config.systemd.origin
        if policy.followsOriginal {
            for unit in inventory.unitsToDisable { add(.disable(unit), origin) }
        }
        let wanted =
            switch policy {
            case .own: presetText(for: units, existing: inventory.presets)
            case .dropIn: presetText(for: units, existing: inventory.presets, disabling: inventory.unitsToDisable)
            case .strict:
                appendedPresets(for: units, existing: inventory.presets, disabling: inventory.unitsToDisable)
            }
        guard let text = wanted else { return }
        if text == inventory.presets {
            kept.append(.init(FilesPlan.presetFile, .sameContent))
        } else {
            add(
                .writeFile(
                    .init(
                        FilesPlan.presetFile, .init(text: text), mode: 0o644, owner: .unchanged,
                        replacing: inventory.presets != nil)), origin)
        }
        if policy.followsOriginal { return }
        let names = { (wanted: Bool) in units.filter { $0.enabled == wanted && $0.mask != true }.map(\.name) }
        if !(names(true) + names(false)).isEmpty, !systemdAppliesPresets {
            add(.preset(enabled: names(true), disabled: names(false)), origin)
        }
    }

    /// Whether the target's systemd is going to do what the presets say, and nothing has to be told of it.
    ///
    /// It applies presets by itself only at a first boot, which is never that of a system with an /etc/machine-id, even
    /// an empty one. Even then it disables nothing. Of a unit that cannot be enabled only its own program tells us.
    private var systemdAppliesPresets: Bool {
        inventory.isBeforeFirstBoot
            && !inventory.places.values.contains { $0.resolved == FilesPlan.identifierFile }
            && config.systemd.units.allSatisfy { unit in
                unit.enabled == nil || unit.mask == true
                    || unit.enabled == true && !unit.name.contains("@")
                        && unit.contents?.split(whereSeparator: \.isNewline).contains("[Install]") == true
            }
    }
}

extension TargetPath.Found {
    /// Whether nothing is there, or what is in the way is removed first.
    var isFree: Bool {
        switch self {
        case .nothing, .blocked: true
        default: false
        }
    }
}

extension IgnitionConfig.File {
    /// Whether the config says nothing of the content except what to append to it.
    public var onlyAppends: Bool { contents.source == nil && volumeKey == nil }

    /// What the file holds in the end where it is newly written.
    public var plannedContent: PlannedContent {
        let whole: [PlannedContent.Part] =
            if let volumeKey { [.key(volume: volumeKey)] } else { contents.source == nil ? [] : [.resource(contents)] }
        return PlannedContent(whole + append.map { .resource($0) })
    }
}
