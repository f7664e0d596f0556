// Tells what provisioning would do, and does none of it.

import FilePlanning
import Glibc
import IgnitionConfig
import SystemPackage

extension TargetRoot {
    /// Finds what the files stage would change in the target as it is now, and writes nothing into it.
    ///
    /// Other stages' mounts are not treated specially: what is visible below the root counts.
    ///
    /// - Parameters:
    ///   - config: A checked config.
    ///   - scratch: A folder of ours for content that is compared with what is there.
    ///   - fetch: Gets the content of a resource.
    /// - Returns: Only the steps that would change something.
    /// - Throws: ``FileConflicts`` where the config and the target contradict each other.
    public func preview(
        _ config: IgnitionConfig, scratch: FilePath, fetch: @escaping FetchContent
    ) throws -> FilesPreview {
        let work = try TargetWork(in: scratch, fetch: fetch)
        var inspector = TargetInspector(tree, programs, work)
        let inventory = try inspector.inventory(for: config)
        let plan = try namingRoot { () throws(FileConflicts) in try FilesPlan(config, on: inventory) }
        var preview = FilesPreview(root: root.string, kept: plan.kept)
        let previewer = StepPreviewer(tree: tree, accounts: accounts, work: work, owners: TargetOwners(tree))
        let writesPresets = plan.steps.contains { step in
            if case .writeFile(let file) = step.action { file.path == FilesPlan.presetFile } else { false }
        }
        for step in plan.steps {
            // systemd is asked at every boot; if the preset file does not change, it applied these presets before.
            if case .preset = step.action, !writesPresets { continue }
            if try step.named({ try previewer.isDone(step.action) }) {
                if let kept = step.action.keptAsItIs { preview.kept.append(kept) }
                continue
            }
            preview.changes.append(step)
            if let loss = StepLoss(tree: tree, accounts: accounts).loss(by: step.action) {
                preview.destroyed.append(.init(loss, step.origin))
            }
        }
        return preview
    }
}

/// Tells of each step of a plan what it would do.
private struct StepPreviewer {
    let tree: TargetTree
    let accounts: AccountApplier
    let work: TargetWork
    let owners: TargetOwners

    /// Whether an action would change nothing.
    func isDone(_ action: FileAction) throws -> Bool {
        switch action {
        case .setAttributes(let path, let mode, let owner): return has(entry(path), mode: mode, owner)
        case .authorizedKeys(let user, let text): return accounts.hasAuthorizedKeys(text, of: user)
        case .writeFile(let file) where file.replacing:
            // A user that does not exist yet owns nothing.
            guard let owner = try? owners.numbers(of: file.owner), let place = entry(file.path) else { return false }
            let wanted = try work.scratch.createUnnamed()
            try work.writer.fill(wanted, with: file.content, spare: work.scratch.beside("part"))
            return try place.isSame(as: wanted, mode: file.mode, owner: owner)
        case .makeFolder(let folder) where folder.replacing:
            guard let place = entry(folder.path), place.isEmptyFolder else { return false }
            return has(place, mode: folder.mode, folder.owner.orRoot)
        default: return false
        }
    }

    private func entry(_ path: String) -> TargetEntry? { try? tree.entry(try tree.resolve(path)) }

    private func has(_ place: TargetEntry?, mode: UInt32?, _ owner: PlannedOwner) -> Bool {
        guard let status = place?.status, let owner = try? owners.numbers(of: owner) else { return false }
        return (mode ?? status.st_mode & 0o7777) == status.st_mode & 0o7777
            && (owner.user ?? status.st_uid) == status.st_uid && (owner.group ?? status.st_gid) == status.st_gid
    }

}

/// Tells what a step destroys, right before it is carried out.
struct StepLoss {
    let tree: TargetTree
    let accounts: AccountApplier

    private func entry(_ path: String) -> TargetEntry? { try? tree.entry(try tree.resolve(path)) }

    /// What an action destroys, beside the content of files that the config overwrites.
    func loss(by action: FileAction) -> String? {
        if case .account(.removeUser(let name)) = action {
            guard let home = tree.accounts().user(named: name)?.home, let place = try? tree.follow(home),
                case .folder = tree.component(at: place)
            else { return nil }
            return "\(home) and what is in it"
        }
        if case .authorizedKeys(let user, let text) = action { return accounts.lostKeys(text, of: user) }
        guard let path = action.replacedPath, let place = entry(path), case .folder = place.component,
            !place.isEmptyFolder
        else { return nil }
        return "\(path) and what is in it"
    }
}

extension PlannedOwner {
    /// Root, where the config names no owner for something new.
    fileprivate var orRoot: PlannedOwner { PlannedOwner(user: user ?? .number(0), group: group ?? .number(0)) }
}

extension FileAction {
    /// The path at which something is replaced.
    fileprivate var replacedPath: String? {
        switch self {
        case .makeFolder(let folder): folder.replacing ? folder.path : nil
        case .writeFile(let file): file.replacing ? file.path : nil
        case .makeLink(let link): link.replacing ? link.path : nil
        case .makeHardLink(let path, _, let replacing): replacing ? path : nil
        default: nil
        }
    }

    /// What to report where an action finds everything as wanted.
    fileprivate var keptAsItIs: FilesPlan.Kept? {
        switch self {
        case .writeFile(let file): .init(file.path, .sameContent)
        case .makeFolder(let folder): .init(folder.path, .exists)
        case .authorizedKeys(let user, _): .init("the SSH keys of \(user)", .sameContent)
        default: nil
        }
    }
}
