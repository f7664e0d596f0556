// What the files stage will do: decided before anything is written.

import IgnitionConfig
import Reporting

/// Everything that makes the target root what a config wants: accounts, directories, files, links, units.
public struct FilesPlan: Equatable, Sendable {
    /// One thing to do, and the part of the config that asks for it.
    public struct Step: Equatable, Sendable, CustomStringConvertible {
        public var action: FileAction
        public var origin: IgnitionConfig.Origin

        /// As failures name it, with its place in the config.
        public var description: String {
            let place = origin.description
            return "\(action)" + (place.isEmpty ? "" : " (\(place))")
        }

        public init(_ action: FileAction, _ origin: IgnitionConfig.Origin) {
            self.action = action
            self.origin = origin
        }
    }

    /// Something that is as wanted already.
    public struct Kept: Equatable, Sendable {
        public enum Reason: String, Sendable {
            case sameContent = "holds the same already"
            case exists = "is there already"
            case sameTarget = "points there already"
            case sameAccount = "is so already"
        }

        public var name: String
        public var reason: Reason

        public init(_ name: String, _ reason: Reason) {
            self.name = name
            self.reason = reason
        }
    }

    /// In the order in which they are to be done.
    public var steps: [Step] = []
    public var kept: [Kept] = []
    /// "3 files, 1 user, 2 units"; "nothing asked for".
    public var summary: String

    public init(steps: [Step] = [], kept: [Kept] = [], summary: String) {
        self.steps = steps
        self.kept = kept
        self.summary = summary
    }

    /// What is told of so many steps where the boot stops; `nil`: nothing was written.
    public func written(_ done: Int) -> String? {
        done == 0 ? nil : "\(done) of \(counted(steps.count, "change")) to the real root"
    }

    public static let unitFolder = "/etc/systemd/system"
    public static let presetFile = "/etc/systemd/system-preset/20-ignition.preset"
}

/// One effect on the target root. Paths are absolute in it and as configured.
public enum FileAction: Equatable, Sendable {
    /// Make, change or remove a user or a group.
    case account(AccountRequest)
    /// Give folders that were made for mounts to the user whose home they are part of, mode 0700.
    case claim(folders: [String], user: String)
    /// Write a user's SSH keys where the target's sshd reads them.
    case authorizedKeys(user: String, text: String)
    /// Make a folder and those above it (0755, root); with `replacing`, what is there goes first.
    case makeFolder(String, mode: UInt32, owner: PlannedOwner, replacing: Bool)
    /// Write a file in one step; with `replacing`, what is there goes first where it is a folder.
    case writeFile(String, PlannedContent, mode: UInt32, owner: PlannedOwner, replacing: Bool)
    /// Add to a file that is there and has what stands `after`; without `repeats`, in a way that the next run recognises.
    case append(String, [IgnitionConfig.Resource], after: [IgnitionConfig.Resource], repeats: Bool)
    /// Set owner and mode of something that is kept; `nil` leaves the mode.
    case setAttributes(String, mode: UInt32?, owner: PlannedOwner)
    case makeLink(String, target: String, owner: PlannedOwner, replacing: Bool)
    /// `target` is absolute in the target root.
    case makeHardLink(String, target: String, replacing: Bool)
    case removeLink(String)
    /// Have systemd apply its presets, which name these units.
    case preset(enabled: [String], disabled: [String])
    /// Have systemd remove the links that enable a unit.
    case disable(String)
}

/// What a file is to hold.
public struct PlannedContent: Equatable, Sendable {
    public enum Part: Equatable, Sendable {
        case text(String)
        case resource(IgnitionConfig.Resource)
    }

    /// One after the other; none is an empty file.
    public var parts: [Part]

    public init(_ parts: [Part]) { self.parts = parts }
    public init(text: String) { parts = [.text(text)] }
}

/// Whose something is to be; `nil` leaves it, which for something new is root.
public struct PlannedOwner: Equatable, Sendable {
    public enum Identifier: Equatable, Sendable {
        case number(UInt32)
        /// Looked up in the target once its accounts are made.
        case name(String)
    }

    public var user: Identifier?
    public var group: Identifier?

    public init(user: Identifier? = nil, group: Identifier? = nil) {
        self.user = user
        self.group = group
    }

    init(_ user: IgnitionConfig.Owner, _ group: IgnitionConfig.Owner) {
        func identifier(_ owner: IgnitionConfig.Owner) -> Identifier? {
            if let id = owner.id { return .number(UInt32(clamping: id)) }
            guard let name = owner.name, !name.isEmpty else { return nil }
            return .name(name)
        }
        self.init(user: identifier(user), group: identifier(group))
    }

    public static let unchanged = PlannedOwner()
}

extension FileAction: CustomStringConvertible {
    /// For the log and for failures: "writing /etc/motd". Never a secret.
    public var description: String {
        switch self {
        case .account(let request):
            request.command.map { "running \($0)" } ?? "copying the image's group \(request.name) into /etc/group"
        case .claim(let folders, let user): "giving \(folders.joined(separator: ", ")) to \(user)"
        case .authorizedKeys(let user, _): "writing the SSH keys of \(user)"
        case .makeFolder(let path, _, _, _): "making the directory \(path)"
        case .writeFile(let path, _, _, _, _): "writing \(path)"
        case .append(let path, _, _, _): "appending to \(path)"
        case .setAttributes(let path, _, _): "setting the owner and mode of \(path)"
        case .makeLink(let path, let target, _, _): "linking \(path) to \(target)"
        case .makeHardLink(let path, let target, _): "linking \(path) to the file \(target)"
        case .removeLink(let path): "removing the link \(path)"
        case .preset(let enabled, let disabled):
            "applying the presets of \((enabled + disabled).joined(separator: ", "))"
        case .disable(let unit): "disabling \(unit)"
        }
    }
}

extension FilesPlan {
    /// - Parameter mountFolders: Folders that were made for mounting the config's filesystems, absolute in the target.
    /// - Throws: Every place where the config and the target contradict each other.
    public init(
        _ config: IgnitionConfig, on inventory: TargetInventory, mountFolders: [String] = [],
        policy: RerunPolicy = .own
    ) throws(FileConflicts) {
        var planner = FilesPlanner(config, inventory, mountFolders: mountFolders, policy: policy)
        planner.planAccounts()
        planner.planNodes()
        planner.planUnits()
        if !planner.conflicts.isEmpty { throw FileConflicts(planner.conflicts) }
        self.init(steps: planner.steps, kept: planner.kept, summary: FilesPlan.summary(of: config))
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
