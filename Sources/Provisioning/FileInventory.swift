// What the target root already holds where the config wants something: plain values that TargetRoot reads.

import IgnitionConfig
import Reporting

/// The part of the target root that a config touches.
public struct TargetInventory: Equatable, Sendable {
    /// What is at each path, by the path as the config writes it; those of units and drop-ins too.
    public var places: [String: TargetPlace]
    /// The users and groups.
    public var accounts: TargetAccounts
    /// The target's own settings for new accounts.
    public var accountSettings = AccountSettings()
    /// The owners of folders that stand where new users without a given number will have their homes, by user name.
    public var homeOwners: [String: UInt32] = [:]
    /// The text of ``FilesPlan/presetFile``.
    public var presets: String?
    /// The units to disable that are enabled now; read only where Ignition's behaviour is followed.
    public var unitsToDisable: [String] = []

    /// Makes an inventory of what was found.
    public init(
        places: [String: TargetPlace] = [:], accounts: TargetAccounts = .init(), presets: String? = nil
    ) {
        self.places = places
        self.accounts = accounts
        self.presets = presets
    }
}

/// What is at one path of the target.
public struct TargetPlace: Equatable, Sendable {
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

extension TargetPlace.Found {
    /// The thing in words, as part of a sentence: `a directory`.
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

/// The users and groups of a target.
public struct TargetAccounts: Equatable, Sendable {
    /// A line of `passwd`, with the hash of `shadow`.
    public struct User: Equatable, Sendable {
        /// The login name.
        public var name: String
        /// The user's number.
        public var uid: UInt32
        /// The number of the primary group.
        public var gid: UInt32
        /// The comment field, such as the full name.
        public var gecos: String
        /// The absolute path of the home.
        public var home: String
        /// The absolute path of the login shell; empty where the line has none.
        public var shell: String
        /// The hash in `shadow`, or in `passwd` where that does not refer to `shadow`.
        public var passwordHash: String?

        /// Makes a user of the fields of its line.
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

    /// A line of `group`, with the hash of `gshadow`.
    public struct Group: Equatable, Sendable {
        /// The group's name.
        public var name: String
        /// The group's number.
        public var gid: UInt32
        /// The names of the members.
        public var members: [String]
        /// Whether it comes from the image's own database (`/usr/lib/group`), not from `/etc/group`.
        public var isImages = false
        /// The hash in `gshadow`, or in `group` where that does not refer to `gshadow`.
        public var passwordHash: String?

        /// Makes a group of the fields of its line.
        public init(name: String, gid: UInt32, members: [String] = [], passwordHash: String? = nil) {
            self.name = name
            self.gid = gid
            self.members = members
            self.passwordHash = passwordHash
        }
    }

    /// The users in the order of the files.
    public var users: [User] = []
    /// The groups in the order of the files.
    public var groups: [Group] = []

    /// Makes a target without accounts.
    public init() {}

    /// Parses the texts of `/etc/passwd`, `/etc/group`, `/etc/shadow` and `/etc/gshadow`; malformed lines are skipped.
    public init(passwd: String, group: String, shadow: String = "", gshadow: String = "") {
        func fields(_ text: String, atLeast count: Int) -> [[String]] {
            lines(of: text).map { line in
                line.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
            }.filter { $0.count >= count && !$0[0].isEmpty && !$0[0].hasPrefix("#") }
        }
        func hashes(_ text: String) -> [String: String] {
            Dictionary(fields(text, atLeast: 2).map { ($0[0], $0[1]) }, uniquingKeysWith: { first, _ in first })
        }
        // "x" says that the hash is in the shadow file; anything else is the hash itself.
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

    /// Adds the accounts of the image's own database after those of `/etc`, which take precedence.
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

    /// The first user of that name.
    public func user(named name: String) -> User? { users.first { $0.name == name } }
    /// The first group of that name.
    public func group(named name: String) -> Group? { groups.first { $0.name == name } }

    /// The names of the groups that list the user as a member.
    func supplementaryGroups(of user: String) -> Set<String> {
        Set(groups.filter { $0.members.contains(user) }.map(\.name))
    }
}
