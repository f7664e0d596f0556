// passwd and systemd: users, groups and units.

extension IgnitionConfig {
    /// The section `passwd`: users and groups.
    public struct Passwd: Equatable, Sendable {
        /// Accounts, keyed by name.
        public var users: [User] = []
        /// Groups, keyed by name.
        public var groups: [Group] = []
        /// Where this was written.
        public var origin = Origin()

        /// Creates a section without entries.
        public init() {}
    }

    /// An account to create, change or remove.
    public struct User: Equatable, Sendable {
        /// The login name.
        public var name = ""
        /// A crypt(5) hash; empty locks the account.
        public var passwordHash: String?
        /// Lines of `authorized_keys`.
        public var sshAuthorizedKeys: [String] = []
        /// The user number, 0 to 4294967294.
        public var uid: Int?
        /// The comment field of passwd(5).
        public var gecos: String?
        /// The path of the home directory.
        public var homeDir: String?
        /// Whether the home directory is not created.
        public var noCreateHome: Bool?
        /// The name of the primary group.
        public var primaryGroup: String?
        /// Names of supplementary groups.
        public var groups: [String] = []
        /// Whether no group with the user's name is made.
        public var noUserGroup: Bool?
        /// Whether the user is left out of lastlog and faillog.
        public var noLogInit: Bool?
        /// The path of the login shell.
        public var shell: String?
        /// `false` removes the account; `nil` is `true`.
        public var shouldExist: Bool?
        /// Whether this is a system account.
        public var system: Bool?
        /// Where this was written.
        public var origin = Origin()

        /// Creates a value with every field absent.
        public init() {}
    }

    /// A group to create, change or remove.
    public struct Group: Equatable, Sendable {
        /// The name of the group.
        public var name = ""
        /// The group number, 0 to 4294967294.
        public var gid: Int?
        /// A crypt(5) hash for newgrp(1).
        public var passwordHash: String?
        /// `false` removes the group; `nil` is `true`.
        public var shouldExist: Bool?
        /// Whether this is a system group.
        public var system: Bool?
        /// Where this was written.
        public var origin = Origin()

        /// Creates a value with every field absent.
        public init() {}
    }

    /// The section `systemd`: units.
    public struct Systemd: Equatable, Sendable {
        /// Units, keyed by name.
        public var units: [Unit] = []
        /// Where this was written.
        public var origin = Origin()

        /// Creates a value with every field absent.
        public init() {}
    }

    /// A systemd unit.
    public struct Unit: Equatable, Sendable {
        /// The full name, suffix included: `foo.service`.
        public var name = ""
        /// `nil` leaves the unit as it is.
        public var enabled: Bool?
        /// Whether the unit is masked; `nil` leaves it as it is.
        public var mask: Bool?
        /// The text of the unit file; `nil` or empty writes none.
        public var contents: String?
        /// Drop-in files, keyed by name.
        public var dropins: [Dropin] = []
        /// Where this was written.
        public var origin = Origin()

        /// Creates a value with every field absent.
        public init() {}
    }

    /// A drop-in file of a unit.
    public struct Dropin: Equatable, Sendable {
        /// The file name, which ends in `.conf`.
        public var name = ""
        /// The text of the file; `nil` or empty writes none.
        public var contents: String?
        /// Where this was written.
        public var origin = Origin()

        /// Creates a value with every field absent.
        public init() {}
    }
}

extension IgnitionConfig.Passwd: ConfigObject {
    mutating func describe(to fields: any FieldVisitor) {
        fields.list("users", &users)
        fields.list("groups", &groups)
    }
}

extension IgnitionConfig.User: ConfigObject {
    mutating func describe(to fields: any FieldVisitor) {
        fields.key("name", &name)
        fields.string("passwordHash", &passwordHash)
        fields.strings("sshAuthorizedKeys", &sshAuthorizedKeys)
        fields.integer("uid", &uid)
        fields.string("gecos", &gecos)
        fields.string("homeDir", &homeDir)
        fields.bool("noCreateHome", &noCreateHome)
        fields.string("primaryGroup", &primaryGroup)
        fields.strings("groups", &groups)
        fields.bool("noUserGroup", &noUserGroup)
        fields.bool("noLogInit", &noLogInit)
        fields.string("shell", &shell)
        fields.bool("shouldExist", &shouldExist, since: .v32)
        fields.bool("system", &system)
    }
}

extension IgnitionConfig.Group: ConfigObject {
    mutating func describe(to fields: any FieldVisitor) {
        fields.key("name", &name)
        fields.integer("gid", &gid)
        fields.string("passwordHash", &passwordHash)
        fields.bool("shouldExist", &shouldExist, since: .v32)
        fields.bool("system", &system)
    }
}

extension IgnitionConfig.Systemd: ConfigObject {
    mutating func describe(to fields: any FieldVisitor) {
        fields.list("units", &units)
    }
}

extension IgnitionConfig.Unit: ConfigObject {
    mutating func describe(to fields: any FieldVisitor) {
        fields.key("name", &name)
        fields.bool("enabled", &enabled)
        fields.bool("mask", &mask)
        fields.string("contents", &contents)
        fields.list("dropins", &dropins)
    }
}

extension IgnitionConfig.Dropin: ConfigObject {
    mutating func describe(to fields: any FieldVisitor) {
        fields.key("name", &name)
        fields.string("contents", &contents)
    }
}
