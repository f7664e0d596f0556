// What is to be done to the target's users and groups, and the program of shadow that does it.

/// One change of the target's accounts; fields that are `nil` stay as they are or take the program's defaults.
public enum AccountRequest: Equatable, Sendable {
    case addGroup(name: String, gid: Int? = nil, hash: String? = nil, isSystem: Bool = false)
    case changeGroup(name: String, gid: Int? = nil, hash: String? = nil)
    case removeGroup(String)
    /// Copy a group of the image's own database into `/etc/group`, the only file in which members are written.
    case copyGroup(String, gid: UInt32, members: [String])
    case addUser(NewUser)
    case changeUser(String, UserFields)
    /// Remove a user with its home.
    case removeUser(String)

    /// The fields of a user that a request sets.
    public struct UserFields: Equatable, Sendable {
        /// The hash of the password, as `shadow` holds it.
        public var hash: String?
        /// The user's number.
        public var uid: Int?
        /// The comment field, such as the full name.
        public var gecos: String?
        /// The name or number of the primary group.
        public var primaryGroup: String?
        /// The names or numbers of the other groups; `nil` leaves the user in its groups.
        public var groups: [String]?
        /// The absolute path of the login shell.
        public var shell: String?
        /// The absolute path of the home; the home of a user that exists moves there.
        public var home: String?
        /// Whether the home moves; `false` where it goes along with the one that it is in.
        public var movesHome = true
        /// The homes of others below the user's own.
        ///
        /// Only what is the user's gets another group there; `usermod` would change all that has the old one.
        public var innerHomes: [String] = []

        /// Makes fields that set nothing.
        public init() {}
    }

    /// A user to create.
    public struct NewUser: Equatable, Sendable {
        /// The name of the user.
        public var name: String
        /// The fields that are not left to the program's defaults.
        public var fields = UserFields()
        /// Whether a home is made.
        public var hasHome = true
        /// Whether the user may get a group of its own; `false` overrides the target's settings.
        public var mayHaveGroup = true
        /// Whether it is a system user: its id comes from another range, and its password does not age.
        public var isSystem = false
        /// Whether programs clear the records of logins that an earlier user of the same id left.
        public var clearsLoginRecords = true

        /// Makes a request for a user with a home and default settings.
        public init(_ name: String) { self.name = name }
    }

    /// The name of the user or the group.
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

/// A program and its arguments.
public struct AccountCommand: Equatable, Sendable, CustomStringConvertible {
    /// The program's name.
    public var program: String
    /// The arguments, secrets included.
    public var arguments: [String]

    /// Makes a command of a program and its arguments.
    public init(_ program: String, _ arguments: [String]) {
        self.program = program
        self.arguments = arguments
    }

    /// The command as a line, without the values of secrets.
    public var description: String {
        var shown = arguments
        for index in arguments.indices.dropFirst() where arguments[index - 1] == "--password" { shown[index] = "..." }
        return ([program] + shown).joined(separator: " ")
    }
}

extension AccountRequest {
    /// The command that does it, as Ignition calls it.
    ///
    /// `nil` for ``copyGroup(_:gid:members:)``: groupadd refuses a name that any database of the target has; and for a
    /// user of another group in whose home others live.
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
        case .changeUser(_, let fields) where !fields.innerHomes.isEmpty: return nil
        case .changeUser(let name, let fields):
            let moving = fields.home.map { ["--home", $0] + (fields.movesHome ? ["--move-home"] : []) } ?? []
            return AccountCommand("usermod", moving + fields.options + [name])
        }
    }
}

extension AccountRequest.UserFields {
    /// The options that useradd and usermod share.
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
