// TargetRoot reads and writes the system that is being provisioned, below its mount point. FilePlanning's FilesPlan
// decides what is written. TargetTree confines every path to the target; FileApplier and AccountApplier write.

import BootReport
import FilePlanning
import IgnitionConfig
import LinuxSystem
import SystemPackage

/// The root of the system that is being provisioned; paths in its functions are absolute inside it.
public struct TargetRoot {
    /// Writes the verified, decompressed bytes of a resource into an open, empty file.
    ///
    /// It is never called for a resource without a source. Up to eight threads call it at once.
    public typealias FetchContent = @Sendable (IgnitionConfig.Resource, Int32) throws -> Void

    /// Where the root is mounted.
    public var root: FilePath { tree.root }
    /// Whether SSH keys go to `.ssh/authorized_keys.d/ignition` rather than `.ssh/authorized_keys`.
    ///
    /// `nil` follows the configuration of the target's sshd.
    public var writesKeyFragment: Bool?
    /// The init of the target that is started next, with nothing to keep it from taking that for a first boot.
    ///
    /// `nil` where none is known to be.
    public var nextInit: String?
    let tree: TargetTree
    let programs: TargetPrograms
    var accounts: AccountApplier {
        AccountApplier(tree: tree, programs: programs, writesKeyFragment: writesKeyFragment)
    }

    /// Makes a value for a root; nothing is opened yet.
    ///
    /// - Parameters:
    ///   - root: Where the root is mounted, or will be.
    ///   - run: Runs a program; tests replace it.
    public init(
        _ root: FilePath,
        run: @escaping (Command) throws(Command.Failure) -> Command.Output = { command throws(Command.Failure) in
            try command.run()
        }
    ) {
        tree = TargetTree(root)
        programs = TargetPrograms(root: root, run: run)
    }

    /// What a run of the files stage reports.
    public struct Outcome: Equatable, Sendable {
        /// What the config asked for: `3 files, 1 user, 2 units`.
        public var summary: String
        /// What was already as wanted.
        public var kept: [FilesPlan.Kept]
        /// What was kept, created, changed and destroyed.
        public var changes: ChangeSummary
        /// Failures that do not stop the boot.
        public var warnings: [String]
        /// The files of SSH keys that were written.
        public var keyFiles: [KeyFile]
    }

    /// A file of SSH keys that was written.
    public struct KeyFile: Equatable, Sendable {
        /// The user's name.
        public var user: String
        /// Absolute in the target.
        public var path: String
    }

    /// Makes the target what the config wants: looks, plans, writes, leaves the result file, relabels.
    ///
    /// - Parameters:
    ///   - config: A checked config.
    ///   - mountFolders: Folders that were made for mounting the config's filesystems, absolute in the target.
    ///   - userConfigProvided: Whether somebody gave a config; without one, `config` is empty.
    ///   - keys: Of the LUKS volumes for which the config has a key file, by name.
    ///   - scratch: A folder of ours for content that is compared with what is there.
    ///   - policy: How closely Ignition is followed where an earlier run left something.
    ///   - leavesResult: Whether this provisions a system, which gets a result file and labels.
    ///   - written: Called with what was changed, as a phrase for ``FailureReport``, also where the rest fails.
    ///   - onFailure: Called when a file fails, so that the others need not be fetched any more.
    ///   - fetch: Gets the content of a resource.
    /// - Returns: What was done.
    /// - Throws: ``FileConflicts`` before anything is written; ``BootFailure``, which names the step that failed.
    public func provision(
        _ config: IgnitionConfig, mountFolders: [String] = [], userConfigProvided: Bool,
        keys: [String: SecretBytes] = [:], scratch: FilePath,
        policy: RerunPolicy = .own, leavesResult: Bool = true, written: (String) -> Void = { _ in },
        onFailure: @escaping () -> Void = {}, fetch: @escaping FetchContent
    ) throws -> Outcome {
        for volume in config.storage.files.compactMap(\.volumeKey) where keys[volume] == nil {
            throw TargetFault.noKey(volume: volume)
        }
        let work = try TargetWork(in: scratch, keys: keys, fetch: fetch)
        var inspector = TargetInspector(tree, programs, work)
        var inventory = try inspector.inventory(for: config, policy: policy)
        inventory.isBeforeFirstBoot = isBeforeFirstBoot
        // All of it, before anything is written; what the first steps change is planned again when they are done.
        var plan = try namingRoot { () throws(FileConflicts) in
            try FilesPlan(config, on: inventory, mountFolders: mountFolders, policy: policy)
        }
        let applier = FileApplier(tree, programs, accounts, work, onFailure: onFailure)
        var applied = try applier.apply(
            &plan,
            after: { part, plan in
                switch part {
                case .accounts:
                    guard plan.accountSteps > 0,
                        try inspector.lookBelowHomes(for: config, policy: policy, into: &inventory)
                    else { return plan }
                case .units:
                    guard plan.presetSteps > 0 || policy.followsOriginal else { return plan }
                    inspector.lookAtPresets(for: config, policy, into: &inventory)
                }
                return try namingRoot(comeLate: true) { () throws(FileConflicts) in
                    try plan.again(after: part, config, on: inventory, policy: policy)
                }
            }, written: written)
        let warning = instanceWarning(for: config.systemd.units) { programs.systemctlVersion }
        if let warning { applied.warnings.append(warning) }
        if leavesResult {
            try writeResult(userConfigProvided: userConfigProvided, isLive: !policy.followsOriginal || isLiveImage)
            written(ProvisioningResult.path)
            applied.touched.append(ProvisioningResult.path)
            if policy.followsOriginal { applied.touched += labelledByOriginal(config) }
            if let warning = try relabel(applied.touched) { applied.warnings.append(warning) }
        }
        var changes = plan.changes(
            config, on: inventory, alsoKept: applied.kept, keysOf: applied.keyFiles.map(\.user))
        changes.destroyed = applied.destroyed
        return Outcome(
            summary: plan.summary, kept: plan.kept + applied.kept, changes: changes, warnings: applied.warnings,
            keyFiles: applied.keyFiles)
    }

    /// Has the programs that ``provision(_:mountFolders:userConfigProvided:keys:scratch:policy:leavesResult:written:onFailure:fetch:)``
    /// will run read into RAM, as far as they are the target's; changes nothing.
    ///
    /// - Parameter config: A checked config.
    public func readPrograms(for config: IgnitionConfig) {
        if !isBeforeFirstBoot, config.systemd.units.contains(where: { $0.enabled != nil }) {
            programs.read("systemctl")
        }
        if !config.passwd.groups.isEmpty { programs.read("groupadd") }
        if !config.passwd.users.isEmpty { programs.read("useradd") }
    }

    /// Whether systemd starts next and takes this for the target's first boot.
    private var isBeforeFirstBoot: Bool {
        !tree.has(FilesPlan.identifierFile)
            && nextInit.flatMap { tree.destination(of: $0) }?.hasSuffix("/systemd/systemd") == true
    }

    /// Whether the image says that it is a live one, which Ignition checks before it drops an earlier result.
    public var isLiveImage: Bool { programs.isLiveImage }
}

// Small files that other code than the files stage reads or writes.
extension TargetRoot {
    /// The text of a file of the target; links at its end are followed, and `nil` means that it cannot be read.
    public func text(_ path: String) -> String? { tree.text(path) }

    /// The names in a folder of the target, sorted; empty where there is none.
    public func names(in path: String) -> [String] { tree.names(in: path) }

    /// Whether something is at a path, even a dangling link; links in its parents are followed.
    public func has(_ path: String) -> Bool { tree.has(path) }

    /// The target of the link at a path; `nil` where there is no link.
    public func link(at path: String) -> String? { tree.link(at: path) }

    /// Where a path leads when links at its end are followed too; `nil` where nothing is there.
    public func destination(of path: String) -> String? { tree.destination(of: path) }

    /// Replaces what is at a path by a file of root's, in one step; a link at the end is replaced, not followed.
    ///
    /// - Parameters:
    ///   - path: Absolute in the target.
    ///   - bytes: The content.
    ///   - mode: The mode of the file.
    ///   - folderMode: The mode of the file's folder if that is missing; missing folders above it get 0755.
    /// - Throws: ``TargetFault/cannot(_:path:_:)``.
    public func replaceFile(
        _ path: String, with bytes: [UInt8], mode: UInt32 = 0o644, folderMode: UInt32 = 0o755
    ) throws(TargetFault) {
        try tree.replaceFile(path, with: bytes, mode: mode, folderMode: folderMode)
    }

    /// Makes a plan; the advice about its conflicts is for this root.
    func namingRoot<Plan>(
        comeLate: Bool = false, _ body: () throws(FileConflicts) -> Plan
    ) throws(FileConflicts) -> Plan {
        do throws(FileConflicts) { return try body() } catch {
            var conflicts = error
            conflicts.root = root.string
            conflicts.comeLate = comeLate
            throw conflicts
        }
    }
}
