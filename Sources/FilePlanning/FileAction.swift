// One step of a plan for a target root, and what it needs to be carried out.

import Accounts
import IgnitionConfig

/// One effect on the target root; paths are absolute in it and as the config writes them.
public enum FileAction: Equatable, Sendable {
    /// Make, change or remove a user or a group.
    case account(AccountRequest)
    /// Give folders that were made for mounts inside a user's home to that user, with mode 0700.
    case claim(folders: [String], user: String)
    /// Make the home of a user that the image has without one.
    case makeHome(user: String)
    /// Write a user's SSH keys where the target's sshd reads them.
    case authorizedKeys(user: String, text: String)
    /// Make a folder and those above it (0755, root).
    case makeFolder(PlannedFolder)
    /// Write a file in one step.
    case writeFile(PlannedFile)
    /// Append to a file that exists.
    case append(PlannedAppend)
    /// Set owner and mode of something that is kept; `nil` leaves the mode.
    case setAttributes(String, mode: UInt32?, owner: PlannedOwner)
    case makeLink(PlannedLink)
    /// `target` is absolute in the target root.
    case makeHardLink(String, target: String, replacing: Bool)
    case removeLink(String)
    /// Have systemd apply its presets to these units.
    case preset(enabled: [String], disabled: [String])
    /// Have systemd remove the links that enable a unit.
    case disable(String)
}

/// A folder to make.
public struct PlannedFolder: Equatable, Sendable {
    /// Absolute in the target.
    public var path: String
    /// The twelve lower mode bits.
    public var mode: UInt32
    /// Who is to own it.
    public var owner: PlannedOwner
    /// Whether what is there is removed first.
    public var replacing: Bool

    /// Makes a folder of its path, and of what it is to be.
    public init(_ path: String, mode: UInt32, owner: PlannedOwner, replacing: Bool) {
        self.path = path
        self.mode = mode
        self.owner = owner
        self.replacing = replacing
    }
}

/// A file to write.
public struct PlannedFile: Equatable, Sendable {
    /// Absolute in the target.
    public var path: String
    /// What is to be in it.
    public var content: PlannedContent
    /// The twelve lower mode bits.
    public var mode: UInt32
    /// Who is to own it.
    public var owner: PlannedOwner
    /// Whether something is there: a folder is then removed first.
    public var replacing: Bool
    /// Whether the file is to tell later runs that it has each part: the config only appends to it.
    public var recordsParts = false

    /// Makes a file of its path, and of what it is to be.
    public init(_ path: String, _ content: PlannedContent, mode: UInt32, owner: PlannedOwner, replacing: Bool) {
        self.path = path
        self.content = content
        self.mode = mode
        self.owner = owner
        self.replacing = replacing
    }
}

/// What to add to the end of a file.
public struct PlannedAppend: Equatable, Sendable {
    /// Absolute in the target.
    public var path: String
    /// What to add, in this order.
    public var fragments: [IgnitionConfig.Resource]
    /// The fragments of the config that the file already has.
    public var present: [IgnitionConfig.Resource]
    /// Whether the next run adds it again; otherwise that run recognises it.
    public var repeats: Bool

    /// Makes an addition to a file.
    public init(
        _ path: String, _ fragments: [IgnitionConfig.Resource], after present: [IgnitionConfig.Resource], repeats: Bool
    ) {
        self.path = path
        self.fragments = fragments
        self.present = present
        self.repeats = repeats
    }
}

/// A symbolic link to make.
public struct PlannedLink: Equatable, Sendable {
    /// Absolute in the target.
    public var path: String
    /// What the link says.
    public var target: String
    /// Who is to own the link itself.
    public var owner: PlannedOwner
    /// Whether something is there: a folder is then removed first.
    public var replacing: Bool

    /// Makes a link of its path, and of what it is to be.
    public init(_ path: String, target: String, owner: PlannedOwner, replacing: Bool) {
        self.path = path
        self.target = target
        self.owner = owner
        self.replacing = replacing
    }
}

/// What a file is to hold.
public struct PlannedContent: Equatable, Sendable {
    /// One piece of a file.
    public enum Part: Equatable, Sendable {
        case text(String)
        case resource(IgnitionConfig.Resource)
        /// The key of a LUKS volume, which a plan does not hold itself.
        case key(volume: String)
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
        case .account(.copyGroup(let name, _, _)): "copying the image's group \(name) into /etc/group"
        case .account(let request):
            request.command.map { "running \($0)" }
                ?? "changing the user \(request.name), but not the files of others in its home"
        case .claim(let folders, let user): "giving \(folders.joined(separator: ", ")) to \(user)"
        case .makeHome(let user): "making the home of \(user)"
        case .authorizedKeys(let user, _): "writing the SSH keys of \(user)"
        case .makeFolder(let folder): "making the directory \(folder.path)"
        case .writeFile(let file): "writing \(file.path)"
        case .append(let append): "appending to \(append.path)"
        case .setAttributes(let path, _, _): "setting the owner and mode of \(path)"
        case .makeLink(let link): "linking \(link.path) to \(link.target)"
        case .makeHardLink(let path, let target, _): "linking \(path) to the file \(target)"
        case .removeLink(let path): "removing the link \(path)"
        case .preset(let enabled, let disabled):
            "applying the presets of \((enabled + disabled).joined(separator: ", "))"
        case .disable(let unit): "disabling \(unit)"
        }
    }
}
