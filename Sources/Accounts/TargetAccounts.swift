// The users and groups that a root has already.

import Reporting

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
