// What the target root already holds where the config wants something: plain values that TargetRoot reads.

import Accounts

/// The part of the target root that a config touches.
public struct TargetInventory: Equatable, Sendable {
    /// What is at each path, by the path as the config writes it; those of units and drop-ins too.
    public var places: [String: TargetPath]
    /// The users and groups.
    public var accounts: TargetAccounts
    /// The target's own settings for new accounts.
    public var accountSettings = AccountSettings()
    /// The owners of folders that stand where new users without a given number will have their homes, by user name.
    public var homeOwners: [String: AccountEffect.Owner] = [:]
    /// The numbers of users and groups that own a folder where homes are, root's left out.
    public var homeNumbers: Set<UInt32> = []
    /// The homes of the config's users that are there already, by user name.
    public var presentHomes: [String: PresentHome] = [:]
    /// The homes of others at or inside of the home of a user that the config moves, by the user's name.
    public var innerHomes: [String: [AccountEffect.Home]] = [:]
    /// The text of ``FilesPlan/presetFile``.
    public var presets: String?
    /// Whether systemd starts next and takes this for the target's first boot, so that it enables units itself.
    public var isBeforeFirstBoot = false
    /// The units to disable that are enabled once all are written; read only where Ignition's behaviour is followed.
    public var unitsToDisable: [String] = []

    /// Makes an inventory of what was found.
    public init(
        places: [String: TargetPath] = [:], accounts: TargetAccounts = .init(), presets: String? = nil
    ) {
        self.places = places
        self.accounts = accounts
        self.presets = presets
    }
}

/// The home of a user that the config changes or removes.
public struct PresentHome: Equatable, Sendable {
    /// Whether no folder is there.
    public var isMissing = false
    /// Whether another filesystem is mounted on it or below it.
    public var holdsMounts = false
    /// Whether it holds something on a filesystem of the config, and is to move off all of these.
    public var leavesFilesystem = false
    /// Who owns the folder that is where the home is to move; `nil` where none is.
    public var ownerOfNew: AccountEffect.Owner?

    /// Makes a home of which nothing is known to be special.
    public init() {}
}

/// What is at one path of the target.
public struct TargetPath: Equatable, Sendable {
    /// The kind of thing that is there.
    public enum Found: Equatable, Sendable {
        case nothing
        /// `hasWantedContent`: whether it holds what the config wants, if the two were compared.
        case file(hasWantedContent: Bool)
        /// `holdsMounts`: whether another filesystem is mounted on it or below it.
        case folder(holdsMounts: Bool)
        case link(target: String)
        /// A device, a socket, a pipe.
        case other
        /// Something on the way is not a folder.
        case blocked(by: String)
        /// Links on the way lead round in circles.
        case circular
    }

    /// Where the path leads when links in its parents are followed; absolute in the target.
    public var resolved: String
    /// What is there.
    public var found: Found
    /// The filesystem and inode; equal for two names of one file.
    public var identity: FileIdentity?
    /// How a file differs from what is wanted, if the two were compared.
    public var difference: ContentDifference?
    /// The fragments that a file does not have yet, by their index in the config.
    public var missingFragments: [Int] = []

    /// Makes a place of what was found.
    public init(resolved: String, found: Found, identity: FileIdentity? = nil) {
        self.resolved = resolved
        self.found = found
        self.identity = identity
    }
}

/// What tells one file from another.
public struct FileIdentity: Hashable, Sendable {
    /// The filesystem's device number.
    public var device: UInt64
    /// The inode number in that filesystem.
    public var inode: UInt64

    /// Makes an identity of a device number and an inode number.
    public init(device: UInt64, inode: UInt64) {
        self.device = device
        self.inode = inode
    }
}

extension TargetPath.Found {
    /// The thing in words, as part of a sentence: `a directory`.
    var noun: String {
        switch self {
        case .nothing: "nothing"
        case .file: "a file"
        case .folder: "a directory"
        case .link(let target): "a link to \(target)"
        case .other: "a special file"
        case .blocked(let path): "below \(path), which is not a directory"
        case .circular: "behind links that lead round in circles"
        }
    }
}
