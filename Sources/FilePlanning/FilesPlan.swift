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
            case sameAccount = "is so already"
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
    /// Where the units to enable and disable are named.
    public static let presetFile = "/etc/systemd/system-preset/20-ignition.preset"
}

/// One effect on the target root; paths are absolute in it and as the config writes them.
public enum FileAction: Equatable, Sendable {
    /// Make, change or remove a user or a group.
    case account(AccountRequest)
    /// Give folders that were made for mounts inside a user's home to that user, with mode 0700.
    case claim(folders: [String], user: String)
    /// Write a user's SSH keys where the target's sshd reads them.
    case authorizedKeys(user: String, text: String)
    /// Make a folder and those above it (0755, root); with `replacing`, what is there is removed first.
    case makeFolder(String, mode: UInt32, owner: PlannedOwner, replacing: Bool)
    /// Write a file in one step; with `replacing`, a folder that is there is removed first.
    case writeFile(String, PlannedContent, mode: UInt32, owner: PlannedOwner, replacing: Bool)
    /// Append to a file that has the fragments `after`; unless `repeats`, the next run recognises what was added.
    case append(String, [IgnitionConfig.Resource], after: [IgnitionConfig.Resource], repeats: Bool)
    /// Set owner and mode of something that is kept; `nil` leaves the mode.
    case setAttributes(String, mode: UInt32?, owner: PlannedOwner)
    case makeLink(String, target: String, owner: PlannedOwner, replacing: Bool)
    /// `target` is absolute in the target root.
    case makeHardLink(String, target: String, replacing: Bool)
    case removeLink(String)
    /// Have systemd apply its presets to these units.
    case preset(enabled: [String], disabled: [String])
    /// Have systemd remove the links that enable a unit.
    case disable(String)
}

/// What a file is to hold.
public struct PlannedContent: Equatable, Sendable {
    /// One piece of a file.
    public enum Part: Equatable, Sendable {
        case text(String)
        case resource(IgnitionConfig.Resource)
    }

    /// The pieces in their order; no piece makes an empty file.
    public var parts: [Part]

    /// Makes a content of its pieces.
    public init(_ parts: [Part]) { self.parts = parts }
    /// Makes a content of one text.
    public init(text: String) { parts = [.text(text)] }
}

/// Who is to own something; `nil` leaves the owner, which is root for new things.
public struct PlannedOwner: Equatable, Sendable {
    /// A user or a group.
    public enum Identifier: Equatable, Sendable {
        case number(UInt32)
        /// Looked up in the target once its accounts are made.
        case name(String)
    }

    /// The user.
    public var user: Identifier?
    /// The group.
    public var group: Identifier?

    /// Makes an owner; what is left out stays as it is.
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

    /// Leaves user and group as they are.
    public static let unchanged = PlannedOwner()
}

extension FileAction: CustomStringConvertible {
    /// The action for logs and failures, such as `writing /etc/motd`; it holds no secrets.
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

/// How closely Ignition's behaviour is followed where ours differs.
public enum Conformance: Sendable {
    /// Our own: what is as wanted is left alone, and systemd applies the presets at every boot.
    case own
    /// Existing things as in `own`; units and the result file are left as Ignition leaves them, because the
    /// distribution whose initramfs calls this program by Ignition's name relies on that.
    case dropIn
    /// Byte for byte: a file with contents that the config does not overwrite is a conflict whatever it holds, appended
    /// fragments are appended again, and accounts are set even where nothing differs.
    case strict
}

extension FilesPlan {
    /// Makes the plan of a config for a target.
    ///
    /// - Parameters:
    ///   - config: A checked config.
    ///   - inventory: What the target holds.
    ///   - mountFolders: Folders that were made for mounting the config's filesystems, absolute in the target.
    ///   - conformance: How closely Ignition is followed.
    /// - Throws: Every place where the config and the target contradict each other.
    public init(
        _ config: IgnitionConfig, on inventory: TargetInventory, mountFolders: [String] = [],
        conformance: Conformance = .own
    ) throws(FileConflicts) {
        var planner = FilesPlanner(config, inventory, mountFolders: mountFolders, conformance: conformance)
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
