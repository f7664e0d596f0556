// TargetRoot reads and writes the system that is being provisioned, below its mount point. FilePlanning's FilesPlan
// decides what is written.

import Accounts
import BootReport
import FilePlanning
import Glibc
import IgnitionConfig
import LinuxSystem
import Reporting
import SystemPackage

/// The root of the system that is being provisioned; paths in its functions are absolute inside it.
public struct TargetRoot {
    /// Writes the verified, decompressed bytes of a resource into an open, empty file.
    ///
    /// It is never called for a resource without a source. Up to eight threads call it at once.
    public typealias FetchContent = (IgnitionConfig.Resource, Int32) throws -> Void

    /// Where the root is mounted.
    public let root: FilePath
    /// Whether SSH keys go to `.ssh/authorized_keys.d/ignition` rather than `.ssh/authorized_keys`.
    ///
    /// `nil` follows the configuration of the target's sshd.
    public var writesKeyFragment: Bool?
    let folder: RootFolder
    let run: (Command) throws(Command.Failure) -> Command.Output

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
        self.root = root
        folder = RootFolder(root)
        self.run = run
    }

    /// What a run of the files stage reports.
    public struct Outcome: Equatable, Sendable {
        /// What the config asked for: `3 files, 1 user, 2 units`.
        public var summary: String
        /// What was already as wanted.
        public var kept: [FilesPlan.Kept]
        /// What was kept, created, changed and destroyed.
        public var deeds: ChangeSummary
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
    ///   - scratch: A folder of ours for content that is compared with what is there.
    ///   - conformance: How closely Ignition is followed.
    ///   - leavesResult: Whether this provisions a system, which gets a result file and labels.
    ///   - written: Called with what was changed, as a phrase for ``FailureReport``, also where the rest fails.
    ///   - onFailure: Called when a file fails, so that the others need not be fetched any more.
    ///   - fetch: Gets the content of a resource.
    /// - Returns: What was done.
    /// - Throws: ``FileConflicts`` before anything is written; ``BootFailure``, which names the step that failed.
    public func provision(
        _ config: IgnitionConfig, mountFolders: [String] = [], userConfigProvided: Bool, scratch: FilePath,
        conformance: Conformance = .own, leavesResult: Bool = true, written: (String) -> Void = { _ in },
        onFailure: () -> Void = {}, fetch: FetchContent
    ) throws -> Outcome {
        let inventory = try inventory(for: config, scratch: scratch, conformance: conformance, fetch: fetch)
        let plan = try FilesPlan(config, on: inventory, mountFolders: mountFolders, conformance: conformance)
        var applied = try apply(plan, scratch: scratch, written: written, onFailure: onFailure, fetch: fetch)
        let warning = instanceWarning(for: config.systemd.units) {
            (try? run(command("systemctl", ["--version"])))?.text
        }
        if let warning { applied.warnings.append(warning) }
        if leavesResult {
            try writeResult(userConfigProvided: userConfigProvided, isLive: conformance == .own || isLiveImage)
            written(ProvisioningResult.path)
            applied.touched.append(ProvisioningResult.path)
            if conformance != .own { applied.touched += labelledByOriginal(config) }
            if let warning = try relabel(applied.touched) { applied.warnings.append(warning) }
        }
        let deeds = plan.deeds(
            config, on: inventory, alsoKept: applied.kept, keysOf: applied.keyFiles.map(\.user))
        return Outcome(
            summary: plan.summary, kept: plan.kept + applied.kept, deeds: deeds, warnings: applied.warnings,
            keyFiles: applied.keyFiles)
    }

    /// The target's users and groups as its files hold them, including those of the image's own database.
    func accounts() -> TargetAccounts {
        let (shadow, gshadow) = (text("/etc/shadow") ?? "", text("/etc/gshadow") ?? "")
        func accounts(in folder: String) -> TargetAccounts {
            TargetAccounts(
                passwd: text("\(folder)/passwd") ?? "", group: text("\(folder)/group") ?? "", shadow: shadow,
                gshadow: gshadow)
        }
        return accounts(in: "/etc").merged(withImages: accounts(in: "/usr/lib"))
    }

    /// Whether the image says that it is a live one, which Ignition checks before it drops an earlier result.
    public var isLiveImage: Bool { (try? run(Command("is-live-image", []))) != nil }

    /// Runs the initramfs's own program on the target, as Ignition does, or the target's where it has none.
    ///
    /// - Parameters:
    ///   - theirs: The target's program, which sees only the target.
    ///   - ours: The initramfs's program, whose arguments tell where the target is.
    /// - Returns: The program's output.
    /// - Throws: ``Command/Failure/missing(_:)`` where neither has it.
    func runOnTarget(_ theirs: Command, ours: Command) throws(Command.Failure) -> Command.Output {
        if root.string != "/" {
            do throws(Command.Failure) {
                return try run(ours)
            } catch {
                guard case .missing = error else { throw error }
            }
        }
        return try run(theirs)
    }

    /// A program of the target, which sees only the target.
    func command(_ program: String, _ arguments: [String], input: [UInt8]? = nil) -> Command {
        // With this, systemctl works on files only, whatever it finds at /proc and /run.
        Command(
            program, arguments, environment: Command.defaultEnvironment + ["SYSTEMD_OFFLINE=1"], input: input,
            root: root.string == "/" ? nil : root)
    }
}

/// Why the target could not be read or written.
public enum TargetFault: Error, Equatable, CustomStringConvertible, Advising {
    /// `path` is absolute in the target.
    case cannot(String, path: String, Errno)
    case noSuchUser(String)
    case noSuchGroup(String)
    case noHome(user: String, path: String)
    case holdsMount(String)
    case noResult(String)
    /// `by` is the number of the process that holds the lock.
    case locked(String, by: String)

    /// One sentence without its full stop.
    public var description: String {
        switch self {
        case .cannot(let act, let path, let reason): "cannot \(act) \(path): \(reason)"
        case .noSuchUser(let name): "the target has no user \(name)"
        case .noSuchGroup(let name): "the target has no group \(name)"
        case .noHome(let user, let path): "the home directory of \(user), \(path), is not there"
        case .holdsMount(let path): "\(path) is on another filesystem; it is not removed"
        case .noResult(let path): "\(path) is there and is not JSON"
        case .locked(let path, let process): "the accounts are locked: \(path) is held by process \(process)"
        }
    }

    /// What the operator can do; empty where there is nothing to suggest.
    public var advice: [String] {
        switch self {
        case .cannot(_, _, .noSpace): ["Make room on the target's filesystem."]
        case .cannot(_, _, .readOnlyFileSystem): ["The target is mounted read-only; it must be writable here."]
        case .noHome(let user, _): ["Leave out \"noCreateHome\" of \(user), or add the directory to storage.directories."]
        case .locked(let path, _): ["If no program changes accounts, an earlier one was stopped: remove \(path)."]
        default: []
        }
    }
}
