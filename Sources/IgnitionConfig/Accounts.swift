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
    init(from reader: inout ObjectReader) {
        users = reader.list("users")
        groups = reader.list("groups")
        origin = reader.origin
    }
}

extension IgnitionConfig.User: ConfigObject {
    init(from reader: inout ObjectReader) {
        name = reader.string("name") ?? ""
        passwordHash = reader.string("passwordHash")
        sshAuthorizedKeys = reader.strings("sshAuthorizedKeys")
        uid = reader.integer("uid")
        gecos = reader.string("gecos")
        homeDir = reader.string("homeDir")
        noCreateHome = reader.bool("noCreateHome")
        primaryGroup = reader.string("primaryGroup")
        groups = reader.strings("groups")
        noUserGroup = reader.bool("noUserGroup")
        noLogInit = reader.bool("noLogInit")
        shell = reader.string("shell")
        shouldExist = reader.bool("shouldExist", since: .v32)
        system = reader.bool("system")
        origin = reader.origin
    }
}

extension IgnitionConfig.Group: ConfigObject {
    init(from reader: inout ObjectReader) {
        name = reader.string("name") ?? ""
        gid = reader.integer("gid")
        passwordHash = reader.string("passwordHash")
        shouldExist = reader.bool("shouldExist", since: .v32)
        system = reader.bool("system")
        origin = reader.origin
    }
}

extension IgnitionConfig.Systemd: ConfigObject {
    init(from reader: inout ObjectReader) {
        units = reader.list("units")
        origin = reader.origin
    }
}

extension IgnitionConfig.Unit: ConfigObject {
    init(from reader: inout ObjectReader) {
        name = reader.string("name") ?? ""
        enabled = reader.bool("enabled")
        mask = reader.bool("mask")
        contents = reader.string("contents")
        dropins = reader.list("dropins")
        origin = reader.origin
    }
}

extension IgnitionConfig.Dropin: ConfigObject {
    init(from reader: inout ObjectReader) {
        name = reader.string("name") ?? ""
        contents = reader.string("contents")
        origin = reader.origin
    }
}
