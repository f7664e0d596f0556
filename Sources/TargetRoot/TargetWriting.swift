// Writing: carries out the steps of a plan, one after the other.

import Accounts
import Encoding
import FilePlanning
import Glibc
import IgnitionConfig
import LinuxSystem
import Reporting
import SystemPackage

extension TargetRoot {
    /// What applying a plan left behind.
    public struct Applied {
        /// Paths that were made or changed, absolute in the target; for new folders only the topmost.
        public var touched: [String] = []
        /// Failures that do not stop the boot.
        public var warnings: [String] = []
        /// The files of SSH keys that were written.
        public var keyFiles: [KeyFile] = []
        /// Files to overwrite that turned out to be as wanted when their content was fetched.
        public var kept: [FilesPlan.Kept] = []
        /// A place for the content of files that exist, where the target's filesystem has no unnamed files.
        var scratch: Place
        /// The accounts as they are now; `nil` until they are needed.
        var accounts: TargetAccounts?
        /// How many of the plan's steps are done.
        var done = 0
        /// Folders that were made above entries, parents first.
        var parents: [String] = []
    }

    /// Carries out a plan in its order; files that follow each other are fetched several at a time.
    ///
    /// - Parameters:
    ///   - plan: The plan.
    ///   - scratch: A folder of ours, made if it is missing.
    ///   - written: Called with what was changed, as a phrase, also where the plan fails.
    ///   - onFailure: Called when a file fails, so that the others need not be fetched any more.
    ///   - fetch: Gets the content of a resource.
    /// - Returns: What was changed.
    /// - Throws: ``BootFailure``, which names the step and its place in the config. Steps before it are done.
    public func apply(
        _ plan: FilesPlan, scratch: FilePath, written: (String) -> Void = { _ in }, onFailure: () -> Void = {},
        fetch: FetchContent
    ) throws -> Applied {
        var applied = Applied(scratch: try scratchPlace(scratch))
        defer { if let phrase = plan.written(applied.done) { written(phrase) } }
        do {
            try carryOut(plan, onFailure: onFailure, fetch: fetch, &applied)
        } catch {
            // Folders that are in use stay, since they are not empty.
            for folder in applied.parents.reversed() { try? place(folder).removeEmptyFolder() }
            // A program that fails may have changed something by then.
            if case .failed? = (error as? BootFailure)?.cause as? Command.Failure { applied.done += 1 }
            throw error
        }
        return applied
    }

    private func carryOut(
        _ plan: FilesPlan, onFailure: () -> Void, fetch: FetchContent, _ applied: inout Applied
    ) throws {
        var rest = plan.steps[...]
        while !rest.isEmpty {
            // Each file holds two descriptors until it is written.
            let files = rest.prefix(200).prefix(while: \.action.isFile)
            let next = files.isEmpty ? rest.prefix(1) : files
            if next.count(where: \.action.isFetched) > 1 {
                try writeFiles(Array(next), onFailure: onFailure, fetch: fetch, &applied)
            } else {
                for planned in next {
                    try named(planned) { try perform(planned.action, fetch: fetch, &applied) }
                    applied.done += 1
                }
            }
            rest = rest.dropFirst(next.count)
        }
    }

    func named<Result>(_ planned: FilesPlan.Step, _ body: () throws -> Result) throws -> Result {
        try step("\(planned)", body)
    }

    func perform(_ action: FileAction, fetch: FetchContent, _ applied: inout Applied) throws {
        switch action {
        case .account(let request):
            if let warning = try perform(request) { applied.warnings.append(warning) }
            applied.accounts = nil
            applied.touched += Self.accountFiles
            // A new user's home is new too.
            if let user = accounts().user(named: request.name) {
                applied.touched.append(user.home)
            }
        case .claim(let folders, let user):
            guard let owner = accounts().user(named: user) else { throw TargetFault.noSuchUser(user) }
            for folder in folders {
                let place = try place(try resolve(folder))
                try place.setOwner(owner.uid, owner.gid)
                try place.setMode(0o700)
            }
        case .authorizedKeys(let user, let text):
            guard let path = try writeAuthorizedKeys(text, of: user) else { return }
            applied.touched.append(path)
            applied.keyFiles.append(KeyFile(user: user, path: path))
        case .makeFolder(let path, let mode, let owner, let replacing):
            let ids = try ids(of: owner, &applied)
            if replacing, let place = try? place(try resolve(path)), place.isEmptyFolder {
                // An empty folder, probably made for this entry at an earlier boot, is as good as a new one.
                try place.setOwner(ids.user ?? 0, ids.group ?? 0)
                try place.setMode(mode)
                return
            }
            let place = try prepare(path, &applied)
            if replacing { try clear(place) }
            try place.makeFolder(mode: 0o700)
            try place.setOwner(ids.user, ids.group)
            try place.setMode(mode)
        case .writeFile(let path, let content, let mode, let owner, let replacing):
            try writeFile(path, content, mode: mode, owner: owner, replacing: replacing, fetch: fetch, &applied)
        case .append(let path, let resources, let present, let repeats):
            try append(
                resources, to: path, after: present, repeats: repeats, scratch: applied.scratch, fetch: fetch)
            applied.touched.append(path)
        case .setAttributes(let path, let mode, let owner):
            let place = try place(try resolve(path))
            try setOwner(of: place, owner, &applied)
            if let mode { try place.setMode(mode) }
            applied.touched.append(place.path)
        case .makeLink(let path, let target, let owner, let replacing):
            let place = try prepare(path, &applied)
            let temporary = place.temporary("link")
            try? temporary.remove()
            try temporary.makeLink(to: target)
            try setOwner(of: temporary, owner, &applied)
            try move(temporary, to: place, replacing: replacing)
        case .makeHardLink(let path, let target, let replacing):
            let original = try self.place(try resolve(target))
            // The file that it should link to stayed, and the link is already right.
            if let one = try? self.place(try resolve(path)).status, let other = original.status,
                one.st_ino == other.st_ino, one.st_dev == other.st_dev
            {
                return
            }
            let place = try prepare(path, &applied)
            let temporary = place.temporary("link")
            try? temporary.remove()
            try temporary.makeHardLink(to: original)
            try move(temporary, to: place, replacing: replacing)
        case .removeLink(let path): try place(try resolve(path)).remove()
        case .preset(let enabled, let disabled): applied.warnings += try preset(enabled, disabled)
        case .disable(let unit):
            _ = try systemctl(["disable", unit])
        }
    }

    // MARK: Places

    /// Finds the entry at a path, and makes the folders above it.
    func prepare(_ path: String, _ applied: inout Applied) throws -> Place {
        if let place = straightPlace(path) {
            applied.touched.append(path)
            return place
        }
        let resolved = try resolve(path)
        let topmost = try makeParents(of: resolved) { applied.parents.append($0) }
        applied.touched.append(topmost ?? resolved)
        return try place(resolved)
    }

    private func clear(_ place: Place) throws {
        switch place.component {
        case .nothing: break
        case .folder: try place.removeTree()
        case .link, .other: try place.remove()
        }
    }

    /// Moves something new to its place, after everything that could fail.
    ///
    /// A folder is removed before, if the config says so; everything else is replaced in one step.
    func move(_ new: Place, to place: Place, replacing: Bool) throws {
        do {
            if replacing, case .folder = place.component { try place.removeTree() }
            try new.move(to: place)
        } catch {
            try? new.remove()
            throw error
        }
    }

    /// Makes missing folders above a resolved path with mode 0755, and returns the topmost new one.
    func makeParents(of resolved: String, made: (String) -> Void = { _ in }) throws -> String? {
        guard let slash = resolved.lastIndex(of: "/"), slash > resolved.startIndex else { return nil }
        let parent = String(resolved[..<slash])
        if case .folder = component(at: parent) { return nil }
        let topmost = try makeParents(of: parent, made: made)
        let place = try place(parent)
        try place.makeFolder(mode: 0o755)
        made(parent)
        try place.setMode(0o755)
        return topmost ?? parent
    }

    // MARK: Owners

    /// The numbers of a planned owner in the target; `nil` where the owner stays.
    func ids(of owner: PlannedOwner, _ applied: inout Applied) throws -> (user: uid_t?, group: gid_t?) {
        if owner == .unchanged { return (nil, nil) }
        let accounts = applied.accounts ?? accounts()
        applied.accounts = accounts
        var (user, group): (uid_t?, gid_t?)
        switch owner.user {
        case nil: break
        case .number(let id): user = id
        case .name(let name):
            user = accounts.user(named: name)?.uid
            if user == nil { throw TargetFault.noSuchUser(name) }
        }
        switch owner.group {
        case nil: break
        case .number(let id): group = id
        case .name(let name):
            group = accounts.group(named: name)?.gid
            if group == nil { throw TargetFault.noSuchGroup(name) }
        }
        return (user, group)
    }

    func setOwner(of place: Place, _ owner: PlannedOwner, _ applied: inout Applied) throws {
        let ids = try ids(of: owner, &applied)
        if ids.user != nil || ids.group != nil { try place.setOwner(ids.user, ids.group) }
    }

    // MARK: Units

    /// Runs systemctl on the links of the target's units, as Ignition does.
    func systemctl(_ arguments: [String]) throws(Command.Failure) -> Command.Output {
        try runOnTarget(
            command("systemctl", arguments), ours: Command("systemctl", ["--root", root.string] + arguments))
    }

    /// Has the target's systemctl make and remove the links that enable units.
    ///
    /// - Returns: Why some units are not enabled; the boot goes on, as it would if the target itself failed to enable
    ///   them.
    private func preset(_ enabled: [String], _ disabled: [String]) throws(Command.Failure) -> [String] {
        do throws(Command.Failure) {
            _ = try run(command("systemctl", ["preset"] + enabled + disabled))
            return []
        } catch {
            switch error {
            case .missing: return ["the target has no systemctl: no unit is enabled or disabled"]
            case .failed(_, _, let said) where enabled.count + disabled.count == 1:
                // A unit that cannot be disabled would not start either.
                return enabled.map { "\($0) is not enabled: \(said)" }
            case .failed: break
            case .unstartable: throw error
            }
        }
        // A unit that fails keeps systemctl from handling the others.
        var warnings: [String] = []
        for unit in enabled { warnings += try preset([unit], []) }
        for unit in disabled { warnings += try preset([], [unit]) }
        return warnings
    }
}

extension FileAction {
    var isFile: Bool {
        guard case .writeFile = self else { return false }
        return true
    }

    /// Whether another machine has to be asked for some of the content.
    var isFetched: Bool {
        guard case .writeFile(_, let content, _, _, _) = self else { return false }
        return content.parts.contains { part in
            guard case .resource(let resource) = part, let source = resource.source, !source.isEmpty else {
                return false
            }
            return !DataURL.isOne(source)
        }
    }
}
