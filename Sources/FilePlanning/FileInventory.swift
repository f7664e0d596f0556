// What the target root holds already where the config wants something: plain values that TargetRoot reads.

import Accounts

/// The part of the target root that a config is about.
public struct TargetInventory: Equatable, Sendable {
    /// By the path as it is configured; a unit's and a drop-in's too.
    public var places: [String: TargetPlace]
    public var accounts: TargetAccounts
    /// What new accounts take from the target.
    public var accountSettings = AccountSettings()
    /// Who owns the folder that stands where a user's home is to be, for users that are not there yet and are given no
    /// number; by the user's name.
    public var homeOwners: [String: UInt32] = [:]
    /// The text of ``FilesPlan/presetFile``.
    public var presets: String?
    /// Names of preset lines that disable what is enabled now; looked at only for the original's own behaviour.
    public var unitsToDisable: [String] = []

    public init(
        places: [String: TargetPlace] = [:], accounts: TargetAccounts = .init(), presets: String? = nil
    ) {
        self.places = places
        self.accounts = accounts
        self.presets = presets
    }
}

/// One path of the target.
public struct TargetPlace: Equatable, Sendable {
    public enum Found: Equatable, Sendable {
        case nothing
        /// `hasWantedContent`: whether it holds what the config wants, where that was to be compared.
        case file(hasWantedContent: Bool)
        /// `holdsMounts`: whether another filesystem is mounted on it or below it.
        case folder(holdsMounts: Bool)
        case link(target: String)
        /// A device, a socket, a pipe.
        case other
        /// Something that is no folder stands on the way.
        case blocked(by: String)
        /// Links on the way lead round in circles.
        case circular
    }

    /// Where the path leads, with the links in its parents followed; absolute in the target.
    public var resolved: String
    public var found: Found
    /// Filesystem and inode; equal for two names of one file.
    public var identity: FileIdentity?
    /// How a file differs from what is wanted, where it was compared.
    public var difference: ContentDifference?
    /// The fragments that a file does not have yet, by their index in the config.
    public var missingFragments: [Int] = []

    public init(resolved: String, found: Found, identity: FileIdentity? = nil) {
        self.resolved = resolved
        self.found = found
        self.identity = identity
    }
}

public struct FileIdentity: Hashable, Sendable {
    public var device: UInt64
    public var inode: UInt64

    public init(device: UInt64, inode: UInt64) {
        self.device = device
        self.inode = inode
    }
}

extension TargetPlace.Found {
    /// As part of a sentence: "a directory".
    var noun: String {
        switch self {
        case .nothing: "nothing"
        case .file: "a file"
        case .folder: "a directory"
        case .link(let target): "a link to \(target)"
        case .other: "a special file"
        case .blocked(let path): "below \(path), which is no directory"
        case .circular: "behind links that lead round in circles"
        }
    }
}
