// TargetRoot: the system being provisioned, below its mount point: looking at it and writing into it.
// What is to be written is decided by Provisioning's FilesPlan.

import Glibc
import IgnitionConfig
import LinuxSystem
import Provisioning
import Reporting
import SystemPackage

/// The root of the system that is being provisioned. Paths of its functions are absolute inside it.
public struct TargetRoot {
    /// Writes the verified, decompressed bytes of a resource into an open file, which is empty, from its start.
    /// A resource without a source is never asked for. Up to eight threads call it at once.
    public typealias FetchContent = (IgnitionConfig.Resource, Int32) throws -> Void

    /// Where it is mounted.
    public let root: FilePath
    /// Whether SSH keys go to `.ssh/authorized_keys.d/ignition`, rather than to `.ssh/authorized_keys`;
    /// `nil`: as the target's sshd reads them.
    public var writesKeyFragment: Bool?
    let folder: RootFolder
    let run: (Command) throws(Command.Failure) -> Command.Output

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

    /// What a run of the files stage has to tell.
    public struct Outcome: Equatable, Sendable {
        /// "3 files, 1 user, 2 units".
        public var summary: String
        public var kept: [FilesPlan.Kept]
        public var deeds: ChangeSummary
        /// What did not work and does not stop the boot.
        public var warnings: [String]
        /// Users whose SSH keys were written, and where.
        public var keyFiles: [KeyFile]
    }

    public struct KeyFile: Equatable, Sendable {
        public var user: String
        /// Absolute in the target.
        public var path: String
    }

    /// Makes the target what the config wants: looks, plans, writes, leaves the result file, relabels.
    ///
    /// - Parameters:
    ///   - mountFolders: Folders that were made to mount the config's filesystems on, absolute in the target.
    ///   - userConfigProvided: Whether the config is somebody's, rather than an empty one for want of any.
    ///   - scratch: A folder of ours for content that is compared with what is there.
    ///   - leavesResult: Whether this is the provisioning of a system, which has a result file and labels.
    ///   - written: Told what has been changed, in a phrase for ``FailureReport``, also where the rest fails.
    ///   - onFailure: Called when one file failed: what others are still fetched for is of no use.
    /// - Throws: ``FileConflicts`` before anything is written; ``BootFailure`` naming the step that failed.
    public func provision(
        _ config: IgnitionConfig, mountFolders: [String] = [], userConfigProvided: Bool, scratch: FilePath,
        policy: RerunPolicy = .own, leavesResult: Bool = true, written: (String) -> Void = { _ in },
        onFailure: () -> Void = {}, fetch: FetchContent
    ) throws -> Outcome {
        let inventory = try inventory(for: config, scratch: scratch, policy: policy, fetch: fetch)
        let plan = try FilesPlan(config, on: inventory, mountFolders: mountFolders, policy: policy)
        var applied = try apply(plan, scratch: scratch, written: written, onFailure: onFailure, fetch: fetch)
        let warning = instanceWarning(for: config.systemd.units) {
            (try? run(command("systemctl", ["--version"])))?.text
        }
        if let warning { applied.warnings.append(warning) }
        if leavesResult {
            try writeResult(userConfigProvided: userConfigProvided, isLive: !policy.followsOriginal || isLiveImage)
            written(ProvisioningResult.path)
            applied.touched.append(ProvisioningResult.path)
            if policy.followsOriginal { applied.touched += labelledByOriginal(config) }
            if let warning = try relabel(applied.touched) { applied.warnings.append(warning) }
        }
        let deeds = plan.deeds(
            config, on: inventory, alsoKept: applied.kept, keysOf: applied.keyFiles.map(\.user))
        return Outcome(
            summary: plan.summary, kept: plan.kept + applied.kept, deeds: deeds, warnings: applied.warnings,
            keyFiles: applied.keyFiles)
    }

    /// The target's users and groups as its files hold them, those of the image's own database included.
    func accounts() -> TargetAccounts {
        let (shadow, gshadow) = (text("/etc/shadow") ?? "", text("/etc/gshadow") ?? "")
        func accounts(in folder: String) -> TargetAccounts {
            TargetAccounts(
                passwd: text("\(folder)/passwd") ?? "", group: text("\(folder)/group") ?? "", shadow: shadow,
                gshadow: gshadow)
        }
        return accounts(in: "/etc").merged(withImages: accounts(in: "/usr/lib"))
    }

    /// What the original asks before it drops an earlier result.
    public var isLiveImage: Bool { (try? run(Command("is-live-image", []))) != nil }

    /// Runs a program on the target: the initramfs's own, as the original does, where it has it, or the target's.
    ///
    /// - Parameters:
    ///   - theirs: The target's, which sees nothing but the target.
    ///   - ours: The initramfs's: its arguments tell it where the target is.
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

    /// A program of the target, seeing the target alone.
    func command(_ program: String, _ arguments: [String], input: [UInt8]? = nil) -> Command {
        // systemctl then works on files, whatever it finds in the place of /proc and /run.
        Command(
            program, arguments, environment: Command.defaultEnvironment + ["SYSTEMD_OFFLINE=1"], input: input,
            root: root.string == "/" ? nil : root)
    }
}

/// Why the target could not be looked at or written.
public enum TargetFault: Error, Equatable, CustomStringConvertible, Advising {
    /// `path` is absolute in the target.
    case cannot(String, path: String, Errno)
    case noSuchUser(String)
    case noSuchGroup(String)
    case noHome(user: String, path: String)
    case holdsMount(String)
    case noResult(String)
    /// By the process of that number.
    case locked(String, by: String)

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
