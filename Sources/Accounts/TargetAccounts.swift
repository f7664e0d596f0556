// The users and groups that a root has already.

import Reporting

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
