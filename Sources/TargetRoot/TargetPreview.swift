// Tells what provisioning would do, and does none of it.

import FilePlanning
import Glibc
import IgnitionConfig
import LinuxSystem
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
        _ config: IgnitionConfig, scratch: FilePath, fetch: FetchContent
    ) throws -> FilesPreview {
        let plan = try FilesPlan(config, on: try inventory(for: config, scratch: scratch, fetch: fetch))
        var preview = FilesPreview(root: root.string, kept: plan.kept)
        var looked = Applied(scratch: try scratchPlace(scratch))
        let writesPresets = plan.steps.contains { step in
            if case .writeFile(FilesPlan.presetFile, _, _, _, _) = step.action { true } else { false }
        }
        for step in plan.steps {
            // systemd is asked at every boot; if the preset file does not change, it applied these presets before.
            if case .preset = step.action, !writesPresets { continue }
            let isSettled = try named(step) { try isDone(step.action, &looked, fetch: fetch) }
            if isSettled {
                if let kept = step.action.keptAsItIs { preview.kept.append(kept) }
                continue
            }
            preview.changes.append(step)
            if let loss = loss(by: step.action) { preview.destroyed.append(.init(loss, step.origin)) }
        }
        return preview
    }

    /// Whether an action would change nothing.
    private func isDone(_ action: FileAction, _ looked: inout Applied, fetch: FetchContent) throws -> Bool {
        switch action {
        case .setAttributes(let path, let mode, let owner):
            return has(try? place(try resolve(path)), mode: mode, owner, &looked)
        case .authorizedKeys(let user, let text): return hasAuthorizedKeys(text, of: user)
        case .writeFile(let path, let content, let mode, let owner, replacing: true):
            // A user that does not exist yet owns nothing.
            guard let ids = try? ids(of: owner, &looked), let place = try? place(try resolve(path)) else {
                return false
            }
            let wanted = try looked.scratch.create()
            try? looked.scratch.remove()
            defer { close(wanted) }
            try fill(wanted, with: content, spare: looked.scratch.beside("part"), fetch: fetch)
            return try isSame(place, as: wanted, mode: mode, user: ids.user ?? 0, group: ids.group ?? 0)
        case .makeFolder(let path, let mode, let owner, replacing: true):
            guard let place = try? place(try resolve(path)), place.isEmptyFolder else { return false }
            return has(place, mode: mode, owner.orRoot, &looked)
        default: return false
        }
    }

    private func has(_ place: Place?, mode: UInt32?, _ owner: PlannedOwner, _ looked: inout Applied) -> Bool {
        guard let status = place?.status, let ids = try? ids(of: owner, &looked) else { return false }
        return (mode ?? status.st_mode & 0o7777) == status.st_mode & 0o7777
            && (ids.user ?? status.st_uid) == status.st_uid && (ids.group ?? status.st_gid) == status.st_gid
    }

    private func hasAuthorizedKeys(_ text: String, of user: String) -> Bool {
        guard let account = accounts().user(named: user),
            let file = try? place(try resolve("\(account.home)/\(authorizedKeysName)")), let status = file.status
        else { return false }
        return status.st_mode == S_IFREG | 0o600 && status.st_uid == account.uid && file.bytes == Array(text.utf8)
    }

    /// What an action destroys, beside the content of files that the config overwrites.
    private func loss(by action: FileAction) -> String? {
        switch action {
        case .makeFolder(let path, _, _, replacing: true), .writeFile(let path, _, _, _, replacing: true),
            .makeLink(let path, _, _, replacing: true), .makeHardLink(let path, _, replacing: true):
            guard let place = try? place(try resolve(path)), case .folder = place.component, !place.isEmptyFolder else {
                return nil
            }
            return "\(path) and what is in it"
        case .account(.removeUser(let name)):
            return accounts().user(named: name).map { "\($0.home) and what is in it" }
        default: return nil
        }
    }
}

extension PlannedOwner {
    /// Root, where the config names no owner for something new.
    fileprivate var orRoot: PlannedOwner { PlannedOwner(user: user ?? .number(0), group: group ?? .number(0)) }
}

extension FileAction {
    /// What to report where an action finds everything as wanted.
    fileprivate var keptAsItIs: FilesPlan.Kept? {
        switch self {
        case .writeFile(let path, _, _, _, _): .init(path, .sameContent)
        case .makeFolder(let path, _, _, _): .init(path, .exists)
        case .authorizedKeys(let user, _): .init("the SSH keys of \(user)", .sameContent)
        default: nil
        }
    }
}
