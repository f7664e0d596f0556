// passwd and systemd: users, groups and units.

extension IgnitionConfig {
    public struct Passwd: Equatable, Sendable {
        public var users: [User] = []
        public var groups: [Group] = []
        public var origin = Origin()

        public init() {}
    }

    public struct User: Equatable, Sendable {
        public var name = ""
        /// A crypt(5) hash; empty locks the account.
        public var passwordHash: String?
        public var sshAuthorizedKeys: [String] = []
        public var uid: Int?
        public var gecos: String?
        public var homeDir: String?
        public var noCreateHome: Bool?
        public var primaryGroup: String?
        public var groups: [String] = []
        public var noUserGroup: Bool?
        public var noLogInit: Bool?
        public var shell: String?
        public var shouldExist: Bool?
        public var system: Bool?
        public var origin = Origin()

        public init() {}
    }

    public struct Group: Equatable, Sendable {
        public var name = ""
        public var gid: Int?
        public var passwordHash: String?
        public var shouldExist: Bool?
        public var system: Bool?
        public var origin = Origin()

        public init() {}
    }

    public struct Systemd: Equatable, Sendable {
        public var units: [Unit] = []
        public var origin = Origin()

        public init() {}
    }

    public struct Unit: Equatable, Sendable {
        public var name = ""
        /// `nil` leaves the unit as it is.
        public var enabled: Bool?
        public var mask: Bool?
        public var contents: String?
        public var dropins: [Dropin] = []
        public var origin = Origin()

        public init() {}
    }

    public struct Dropin: Equatable, Sendable {
        public var name = ""
        public var contents: String?
        public var origin = Origin()

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
