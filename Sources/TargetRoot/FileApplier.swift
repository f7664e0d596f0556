// Carries out a plan for a target root: its steps, one after the other.

import Accounts
import Encoding
import FilePlanning
import Glibc
import IgnitionConfig
import LinuxSystem
import Reporting

/// What carrying out a plan left behind.
struct TargetChanges {
    /// Paths that were made or changed, absolute in the target; for new folders only the topmost.
    var touched: [String] = []
    /// Failures that do not stop the boot.
    var warnings: [String] = []
    /// The files of SSH keys that were written.
    var keyFiles: [TargetRoot.KeyFile] = []
    /// What was removed or replaced with all that was in it.
    var destroyed: [String] = []
    /// Files to overwrite that turned out to be as wanted when their content was fetched.
    var kept: [FilesPlan.Kept] = []
}

/// Makes folders, files, links and units of a target what a plan wants, and has its accounts made.
final class FileApplier {
    let tree: TargetTree
    let programs: TargetPrograms
    let accounts: AccountApplier
    let writer: ContentWriter
    let appender: Appender
    /// A place for the content of files that exist, where the target's filesystem has no unnamed files.
    let scratch: TargetEntry
    let owners: TargetOwners
    var changes = TargetChanges()
    /// Called when a file fails, so that the others need not be fetched any more.
    let onFailure: () -> Void
    /// How many of the plan's steps are done.
    var done = 0
    /// Folders that were made above entries, parents first.
    private var parents: [String] = []

    init(
        _ tree: TargetTree, _ programs: TargetPrograms, _ accounts: AccountApplier, _ work: TargetWork,
        onFailure: @escaping () -> Void
    ) {
        self.tree = tree
        self.programs = programs
        self.accounts = accounts
        writer = work.writer
        appender = work.appender
        scratch = work.scratch
        owners = TargetOwners(tree)
        self.onFailure = onFailure
    }

    /// Carries out a plan in its order; files that follow each other are fetched several at a time.
    ///
    /// - Parameters:
    ///   - plan: The plan.
    ///   - replan: Gives the plan whose rest fits what the target holds after a part.
    ///   - written: Called with what was changed, as a phrase, also where the plan fails.
    /// - Returns: What was changed.
    /// - Throws: ``BootFailure``, which names the step and its place in the config, or what `replan` throws. Steps before
    ///   it are done.
    func apply(
        _ plan: inout FilesPlan,
        after replan: (FilesPlan.Part, FilesPlan) throws -> FilesPlan = { (_, plan) in plan },
        written: (String) -> Void
    ) throws -> TargetChanges {
        defer { if let phrase = plan.written(done) { written(phrase) } }
        do {
            try carryOut(plan.steps.prefix(plan.accountSteps))
            plan = try replan(.accounts, plan)
            try carryOut(plan.steps[plan.accountSteps...].dropLast(plan.presetSteps))
            plan = try replan(.units, plan)
            try carryOut(plan.steps.suffix(plan.presetSteps))
        } catch {
            // Folders that are in use stay, since they are not empty.
            for folder in parents.reversed() { try? tree.entry(folder).removeEmptyFolder() }
            // A program that fails may have changed something by then, and half of a folder may be gone.
            let cause = (error as? BootFailure)?.cause
            if case .failed? = cause as? Command.Failure { done += 1 }
            if case .cannot("remove", _, _)? = cause as? TargetFault { done += 1 }
            throw error
        }
        return changes
    }

    private func carryOut(_ steps: ArraySlice<FilesPlan.Step>) throws {
        var rest = steps
        while !rest.isEmpty {
            // Each file holds two descriptors until it is written.
            let files = rest.prefix(200).prefix(while: \.action.isFile)
            let next = files.isEmpty ? rest.prefix(1) : files
            if next.count(where: \.action.isFetched) > 1 {
                try writeFiles(Array(next))
            } else {
                for planned in next {
                    try planned.named { try destroying(planned.action) { try perform(planned.action) } }
                    done += 1
                }
            }
            rest = rest.dropFirst(next.count)
        }
    }

    /// Carries out an action, and keeps what it destroys.
    private func destroying(_ action: FileAction, _ body: () throws -> Void) throws {
        guard let loss = StepLoss(tree: tree, accounts: accounts).loss(by: action) else { return try body() }
        try body()
        changes.destroyed.append(loss)
    }

    func perform(_ action: FileAction) throws {
        switch action {
        case .account(let request): try perform(request)
        case .claim(let folders, let user): try claim(folders, for: user)
        case .makeHome(let user): changes.touched.append(try accounts.makeHome(of: user))
        case .authorizedKeys(let user, let text):
            guard let written = try accounts.writeAuthorizedKeys(text, of: user) else { return }
            changes.touched.append(written.folder)
            changes.keyFiles.append(TargetRoot.KeyFile(user: user, path: written.path))
        case .makeFolder(let folder): try make(folder)
        case .writeFile(let file): try write(file)
        case .append(let append):
            try appender.append(append, to: try tree.entry(try tree.resolve(append.path)))
            changes.touched.append(append.path)
        case .setAttributes(let path, let mode, let owner):
            let place = try tree.entry(try tree.resolve(path))
            try place.setOwner(try owners.numbers(of: owner))
            if let mode { try place.setMode(mode) }
            changes.touched.append(place.path)
        case .makeLink(let link): try make(link)
        case .makeHardLink(let path, let target, let replacing):
            try makeHardLink(path, to: target, replacing: replacing)
        case .removeLink(let path): try tree.entry(try tree.resolve(path)).remove()
        case .preset(let enabled, let disabled):
            let before = tree.enablements()
            changes.warnings += try programs.preset(enabled, disabled)
            changes.touched += tree.enablements().filter { before[$0.key] != $0.value }.keys.sorted()
        case .disable(let unit): _ = try programs.systemctl(["disable", unit])
        }
    }

    // MARK: Accounts

    private func perform(_ request: AccountRequest) throws {
        if let warning = try accounts.apply(request) { changes.warnings.append(warning) }
        owners.forget()
        changes.touched += TargetTree.accountFiles
        // A new user's home is new too; that of some services is the root itself.
        if let home = tree.accounts().user(named: request.name)?.home, let place = try? tree.follow(home), place != "/"
        {
            changes.touched.append(place)
        }
    }

    private func claim(_ folders: [String], for user: String) throws {
        guard let owner = tree.accounts().user(named: user) else { throw TargetFault.noSuchUser(user) }
        for folder in folders {
            let place = try tree.entry(try tree.resolve(folder))
            try place.setOwner(owner.uid, owner.gid)
            try place.setMode(0o700)
        }
    }

    // MARK: Folders and links

    private func make(_ folder: PlannedFolder) throws {
        let owner = try owners.numbers(of: folder.owner)
        if folder.replacing, let place = try? tree.entry(try tree.resolve(folder.path)), place.isEmptyFolder {
            // An empty folder, probably made for this entry at an earlier boot, is as good as a new one.
            try place.setOwner(owner.user ?? 0, owner.group ?? 0)
            try place.setMode(folder.mode)
            return
        }
        let place = try prepare(folder.path)
        if folder.replacing { try place.clear() }
        // As a whole: the next boot leaves a folder without a mode in the config as it is.
        let new = place.temporary("folder")
        try? new.removeTree()
        try new.makeFolder(mode: 0o700)
        try new.setOwner(owner.user, owner.group)
        try new.setMode(folder.mode)
        try new.move(to: place, replacing: folder.replacing)
    }

    private func make(_ link: PlannedLink) throws {
        let place = try prepare(link.path)
        let temporary = place.temporary("link")
        try? temporary.remove()
        try temporary.makeLink(to: link.target)
        try temporary.setOwner(try owners.numbers(of: link.owner))
        try temporary.move(to: place, replacing: link.replacing)
    }

    /// Makes a hard link, unless it is there already.
    ///
    /// `target` is absolute in the target.
    private func makeHardLink(_ path: String, to target: String, replacing: Bool) throws {
        let original = try tree.entry(try tree.resolve(target))
        // The file that it should link to stayed, and the link is already right.
        if let one = try? tree.entry(try tree.resolve(path)).status, let other = original.status,
            one.st_ino == other.st_ino, one.st_dev == other.st_dev
        {
            return
        }
        let place = try prepare(path)
        let temporary = place.temporary("link")
        try? temporary.remove()
        try temporary.makeHardLink(to: original)
        try temporary.move(to: place, replacing: replacing)
    }

    /// Finds the entry at a path, and makes the folders above it.
    func prepare(_ path: String) throws -> TargetEntry {
        if let place = tree.straightEntry(path) {
            changes.touched.append(path)
            return place
        }
        let resolved = try tree.resolve(path)
        let topmost = try tree.makeParents(of: resolved) { parents.append($0) }
        changes.touched.append(topmost ?? resolved)
        return try tree.entry(resolved)
    }
}

extension FilesPlan.Step {
    /// Runs `body`; its failure names the step and its place in the config.
    func named<Result>(_ body: () throws -> Result) throws -> Result { try step("\(self)", body) }
}

extension TargetEntry {
    /// Removes whatever is there.
    fileprivate func clear() throws(TargetFault) {
        switch component {
        case .nothing: break
        case .folder: try removeTree()
        case .link, .other: try remove()
        }
    }

    /// Moves something new to its place, after everything that could fail; it is removed where that fails.
    ///
    /// `replacing` removes a folder that is there before; everything else is replaced in one step.
    func move(to place: TargetEntry, replacing: Bool) throws(TargetFault) {
        do throws(TargetFault) {
            if replacing, case .folder = place.component { try place.removeTree() }
            try move(to: place)
        } catch {
            try? remove()
            throw error
        }
    }
}

extension FileAction {
    var isFile: Bool {
        guard case .writeFile = self else { return false }
        return true
    }

    /// Whether another machine has to be asked for some of the content.
    var isFetched: Bool {
        guard case .writeFile(let file) = self else { return false }
        return file.content.parts.contains { part in
            guard case .resource(let resource) = part else { return false }
            return resource.isElsewhere
        }
    }
}
