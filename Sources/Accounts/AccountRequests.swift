// What is to be done to the target's users and groups, and the program of shadow's that does it.

/// One change of the target's accounts; optional fields stay as they are, or take the program's defaults.
public enum AccountRequest: Equatable, Sendable {
    case addGroup(name: String, gid: Int? = nil, hash: String? = nil, isSystem: Bool = false)
    case changeGroup(name: String, gid: Int? = nil, hash: String? = nil)
    case removeGroup(String)
    /// A line in `/etc/group` for a group of the image's own database: members are written there alone.
    case copyGroup(String, gid: UInt32, members: [String])
    case addUser(NewUser)
    case changeUser(String, UserFields)
    /// With home and mailbox.
    case removeUser(String)

    public struct UserFields: Equatable, Sendable {
        public var hash: String?
        public var uid: Int?
        public var gecos: String?
        /// A name or a number.
        public var primaryGroup: String?
        /// Names or numbers; `nil` leaves the user in its groups.
        public var groups: [String]?
        public var shell: String?
        /// One that exists moves there.
        public var home: String?

        public init() {}
    }

    public struct NewUser: Equatable, Sendable {
        public var name: String
        public var fields = UserFields()
        public var hasHome = true
        /// `false`: no group of its own, whatever the target's settings say.
        public var mayHaveGroup = true
        public var isSystem = false
        /// Whether what an earlier user of the same id left in the records of logins goes.
        public var clearsLoginRecords = true

        public init(_ name: String) { self.name = name }
    }

    /// The user or the group.
    public var name: String {
        switch self {
        case .addGroup(let name, _, _, _), .changeGroup(let name, _, _), .removeGroup(let name),
            .copyGroup(let name, _, _):
            name
        case .addUser(let user): user.name
        case .changeUser(let name, _), .removeUser(let name): name
        }
    }
}

/// A program and its arguments. Its description leaves out the values of secrets.
public struct AccountCommand: Equatable, Sendable, CustomStringConvertible {
    public var program: String
    public var arguments: [String]

    public init(_ program: String, _ arguments: [String]) {
        self.program = program
        self.arguments = arguments
    }

    public var description: String {
        var shown = arguments
        for index in arguments.indices.dropFirst() where arguments[index - 1] == "--password" { shown[index] = "..." }
        return ([program] + shown).joined(separator: " ")
    }
}

extension AccountRequest {
    /// What does it, as the original calls it; `nil` where no program does: groupadd takes no name that any database
    /// of the target has.
    public var command: AccountCommand? {
        func option(_ name: String, _ value: (some CustomStringConvertible)?) -> [String] {
            value.map { [name, "\($0)"] } ?? []
        }
        switch self {
        case .addGroup(let name, let gid, let hash, let isSystem):
            return AccountCommand(
                "groupadd",
                option("--gid", gid) + option("--password", hash) + (isSystem ? ["--system"] : []) + [name])
        case .changeGroup(let name, let gid, let hash):
            return AccountCommand("groupmod", option("--gid", gid) + option("--password", hash) + [name])
        case .removeGroup(let name): return AccountCommand("groupdel", [name])
        case .copyGroup: return nil
        case .removeUser(let name): return AccountCommand("userdel", ["--remove", name])
        case .addUser(let user):
            var flags = option("--home-dir", user.fields.home)
            flags.append(user.hasHome ? "--create-home" : "--no-create-home")
            if !user.mayHaveGroup { flags.append("--no-user-group") }
            if user.isSystem { flags.append("--system") }
            if !user.clearsLoginRecords { flags.append("--no-log-init") }
            return AccountCommand("useradd", flags + user.fields.options + [user.name])
        case .changeUser(let name, let fields):
            let moving = fields.home.map { ["--home", $0, "--move-home"] } ?? []
            return AccountCommand("usermod", moving + fields.options + [name])
        }
    }
}

extension AccountRequest.UserFields {
    /// Those that useradd and usermod have in common.
    fileprivate var options: [String] {
        var options: [String] = []
        if let hash { options += ["--password", hash] }
        if let uid { options += ["--uid", String(uid)] }
        if let gecos { options += ["--comment", gecos] }
        if let primaryGroup { options += ["--gid", primaryGroup] }
        if let groups { options += ["--groups", groups.joined(separator: ",")] }
        if let shell { options += ["--shell", shell] }
        return options
    }
}
