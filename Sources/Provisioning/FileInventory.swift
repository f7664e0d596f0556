// What the target root holds already where the config wants something: plain values that TargetRoot reads.

import IgnitionConfig
import Reporting

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

// MARK: Accounts

/// The target's users and groups.
public struct TargetAccounts: Equatable, Sendable {
    public struct User: Equatable, Sendable {
        public var name: String
        public var uid: UInt32
        public var gid: UInt32
        public var gecos: String
        public var home: String
        public var shell: String
        /// From the shadow file, or from passwd where that refers to none.
        public var passwordHash: String?

        public init(
            name: String, uid: UInt32, gid: UInt32, gecos: String = "", home: String, shell: String = "",
            passwordHash: String? = nil
        ) {
            self.name = name
            self.uid = uid
            self.gid = gid
            self.gecos = gecos
            self.home = home
            self.shell = shell
            self.passwordHash = passwordHash
        }
    }

    public struct Group: Equatable, Sendable {
        public var name: String
        public var gid: UInt32
        public var members: [String]
        /// Whether it stands in the image's own database (`/usr/lib/group`) and not in `/etc/group`.
        public var isImages = false
        /// From the shadow file, or from the group file where that refers to none.
        public var passwordHash: String?

        public init(name: String, gid: UInt32, members: [String] = [], passwordHash: String? = nil) {
            self.name = name
            self.gid = gid
            self.members = members
            self.passwordHash = passwordHash
        }
    }

    public var users: [User] = []
    public var groups: [Group] = []

    public init() {}

    /// Reads the texts of `/etc/passwd`, `/etc/group`, `/etc/shadow` and `/etc/gshadow`.
    /// Lines that are not of their form are passed over.
    public init(passwd: String, group: String, shadow: String = "", gshadow: String = "") {
        func fields(_ text: String, atLeast count: Int) -> [[String]] {
            lines(of: text).map { line in
                line.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
            }.filter { $0.count >= count && !$0[0].isEmpty && !$0[0].hasPrefix("#") }
        }
        func hashes(_ text: String) -> [String: String] {
            Dictionary(fields(text, atLeast: 2).map { ($0[0], $0[1]) }, uniquingKeysWith: { first, _ in first })
        }
        // "x" says that the hash is in the shadow file; what else stands there is one.
        func hash(_ entry: [String], _ shadow: [String: String]) -> String? {
            shadow[entry[0]] ?? (entry[1] == "x" ? nil : entry[1])
        }
        let userHashes = hashes(shadow)
        let groupHashes = hashes(gshadow)
        users = fields(passwd, atLeast: 7).compactMap { entry in
            guard let uid = UInt32(entry[2]), let gid = UInt32(entry[3]) else { return nil }
            return User(
                name: entry[0], uid: uid, gid: gid, gecos: entry[4], home: entry[5], shell: entry[6],
                passwordHash: hash(entry, userHashes))
        }
        groups = fields(group, atLeast: 4).compactMap { entry in
            guard let gid = UInt32(entry[2]) else { return nil }
            return Group(
                name: entry[0], gid: gid, members: entry[3].split(separator: ",").map(String.init),
                passwordHash: hash(entry, groupHashes))
        }
    }

    /// With the accounts of the image's own database, behind those of `/etc`, which go before them.
    public func merged(withImages other: TargetAccounts) -> TargetAccounts {
        var merged = self
        merged.users += other.users
        merged.groups += other.groups.map { group in
            var group = group
            group.isImages = true
            return group
        }
        return merged
    }

    public func user(named name: String) -> User? { users.first { $0.name == name } }
    public func group(named name: String) -> Group? { groups.first { $0.name == name } }

    /// The names of the groups that list the user as a member.
    func supplementaryGroups(of user: String) -> Set<String> {
        Set(groups.filter { $0.members.contains(user) }.map(\.name))
    }
}
