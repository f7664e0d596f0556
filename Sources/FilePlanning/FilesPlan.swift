// What the files stage will do, decided before anything is written.

import Accounts
import IgnitionConfig
import Reporting

/// The steps that make the target root what a config wants: accounts, directories, files, links, units.
public struct FilesPlan: Equatable, Sendable {
    /// One thing to do, and the entry of the config that asks for it.
    public struct Step: Equatable, Sendable, CustomStringConvertible {
        /// The effect.
        public var action: FileAction
        /// The entry of the config.
        public var origin: IgnitionConfig.Origin

        /// The action as failures name it, with its place in the config.
        public var description: String {
            let place = origin.description
            return "\(action)" + (place.isEmpty ? "" : " (\(place))")
        }

        /// Makes a step of an action and the entry that asks for it.
        public init(_ action: FileAction, _ origin: IgnitionConfig.Origin) {
            self.action = action
            self.origin = origin
        }
    }

    /// Something that is already as wanted.
    public struct Kept: Equatable, Sendable {
        /// Why nothing has to be done.
        public enum Reason: String, Sendable {
            case sameContent = "holds the same already"
            case exists = "is there already"
            case sameTarget = "points there already"
            case sameAccount = "is as wanted already"
        }

        /// What it is: a path, an account, a unit.
        public var name: String
        /// Why nothing has to be done.
        public var reason: Reason

        /// Makes an entry of a name and a reason.
        public init(_ name: String, _ reason: Reason) {
            self.name = name
            self.reason = reason
        }
    }

    /// The steps in the order in which they are carried out.
    public var steps: [Step] = []
    /// What is already as wanted.
    public var kept: [Kept] = []
    /// What the config asks for: `3 files, 1 user, 2 units`, or `nothing asked for`.
    public var summary: String
    /// How many of the first steps are about users and groups.
    public var accountSteps = 0
    /// How many of the last steps are about presets.
    public var presetSteps = 0

    /// Makes a plan.
    public init(steps: [Step] = [], kept: [Kept] = [], summary: String) {
        self.steps = steps
        self.kept = kept
        self.summary = summary
    }

    /// What a failure report says was written after that many steps; `nil` where nothing was.
    public func written(_ done: Int) -> String? {
        done == 0 ? nil : "\(done) of \(counted(steps.count, "change")) to the real root"
    }

    /// Where units are written.
    public static let unitFolder = "/etc/systemd/system"
    /// Where a system has its identifier; it is there from its first boot on.
    public static let identifierFile = "/etc/machine-id"
    /// Where the units to enable and disable are named.
    public static let presetFile = "/etc/systemd/system-preset/20-ignition.preset"
}

extension FilesPlan {
    /// Makes the plan of a config for a target.
    ///
    /// - Parameters:
    ///   - config: A checked config.
    ///   - inventory: What the target holds.
    ///   - mountFolders: Folders that were made for mounting the config's filesystems, absolute in the target.
    ///   - policy: How closely Ignition is followed.
    /// - Throws: Every place where the config and the target contradict each other.
    public init(
        _ config: IgnitionConfig, on inventory: TargetInventory, mountFolders: [String] = [],
        policy: RerunPolicy = .own
    ) throws(FileConflicts) {
        var planner = FilesPlanner(config, inventory, mountFolders: mountFolders, policy: policy)
        planner.planAccounts()
        let accountSteps = planner.steps.count
        planner.planNodes()
        planner.planUnits()
        try self.init(planner, of: config, accountSteps: accountSteps)
    }

    /// The end of planning: presets.
    private init(
        _ planner: consuming FilesPlanner, of config: IgnitionConfig, accountSteps: Int
    ) throws(FileConflicts) {
        let before = planner.steps.count
        planner.planPresets()
        if !planner.conflicts.isEmpty { throw FileConflicts(planner.conflicts) }
        self.init(steps: planner.steps, kept: planner.kept, summary: FilesPlan.summary(of: config))
        self.accountSteps = accountSteps
        presetSteps = steps.count - before
    }

    /// What is done before the rest is planned again: it changes what the rest finds.
    public enum Part: Sendable {
        /// Users and groups: their homes are there now, with what every new home gets.
        case accounts
        /// All but the presets: units are there now that systemd can be asked about.
        case units
    }

    /// The plan with what follows a part made anew, on what the target holds once the part is done.
    ///
    /// - Parameters:
    ///   - part: What is done.
    ///   - config: The config of this plan.
    ///   - inventory: What the target holds by now.
    ///   - policy: How closely Ignition is followed.
    /// - Returns: The plan, of which the part that is done is as it was.
    /// - Throws: Every place where the config and the target contradict each other now.
    public func again(
        after part: Part, _ config: IgnitionConfig, on inventory: TargetInventory, policy: RerunPolicy
    ) throws(FileConflicts) -> FilesPlan {
        var planner = FilesPlanner(config, inventory, mountFolders: [], policy: policy)
        switch part {
        case .accounts:
            planner.steps = Array(steps.prefix(accountSteps))
            planner.kept = kept.filter { $0.reason == .sameAccount }
            planner.planNodes()
            planner.planUnits()
        case .units:
            planner.steps = Array(steps.dropLast(presetSteps))
            planner.kept = kept.filter { $0.name != FilesPlan.presetFile }
        }
        return try FilesPlan(planner, of: config, accountSteps: accountSteps)
    }

    static func summary(of config: IgnitionConfig) -> String {
        let storage = config.storage
        let counts: [(Int, String, String?)] = [
            (storage.files.count, "file", nil), (storage.directories.count, "directory", "directories"),
            (storage.links.count, "link", nil), (config.passwd.groups.count, "group", nil),
            (config.passwd.users.count, "user", nil), (config.systemd.units.count, "unit", nil),
        ]
        let parts = counts.filter { $0.0 > 0 }.map { counted($0.0, $0.1, plural: $0.2) }
        return parts.isEmpty ? "nothing asked for" : parts.joined(separator: ", ")
    }
}
