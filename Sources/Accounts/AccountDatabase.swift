// What a request for a user or a group makes of the target's account files, decided without any program of the target.

/// The accounts of a target, as plain values that TargetRoot reads.
public struct AccountDatabase: Equatable, Sendable {
    /// The account files that are there; `passwd` and `group` always are, even if empty.
    var files: [AccountFileName: AccountFile]
    /// The accounts of the target's other databases, such as the image's own in `/usr/lib`.
    let elsewhere: TargetAccounts
    let settings: AccountSettings
    /// Days since 1970.
    let today: Int

    /// Parses the account files.
    ///
    /// - Parameters:
    ///   - files: The whole bytes of each file that is there.
    ///   - elsewhere: The accounts of the target's other databases.
    ///   - settings: The target's own settings for new accounts.
    ///   - today: Days since 1970.
    public init(
        files: [AccountFileName: [UInt8]], elsewhere: TargetAccounts = .init(), settings: AccountSettings = .init(),
        today: Int
    ) {
        self.files = Dictionary(
            uniqueKeysWithValues: files.map { name, bytes in (name, AccountFile(name, parsing: bytes)) })
        for name in [AccountFileName.passwd, .group] where self.files[name] == nil {
            self.files[name] = AccountFile(name, parsing: [])
        }
        self.elsewhere = elsewhere
        self.settings = settings
        self.today = today
    }
}

extension AccountDatabase {
    /// The group of a newly made `shadow` or `gshadow`, as Debian's shadow chooses it.
    public var shadowGroup: UInt32 { AccountEdit(self).group("shadow")?.id ?? 0 }
}

/// What one request changes.
public struct AccountChange: Equatable, Sendable {
    /// The effects in their order; they come before the files, since `passwd` names a user when all else is done.
    public var effects: [AccountEffect] = []
    /// The files to write, each as a whole.
    public var files: [AccountFile] = []
}

/// One effect beside the account files, with paths that are absolute in the target.
public enum AccountEffect: Equatable, Sendable {
    /// The numbers of a user and a group.
    public struct Owner: Hashable, Sendable {
        /// The user's number.
        public var user: UInt32
        /// The group's number.
        public var group: UInt32

        /// Makes an owner of a user's and a group's number.
        public init(_ user: UInt32, _ group: UInt32) {
            self.user = user
            self.group = group
        }
    }

    /// A user's home.
    public struct Home: Equatable, Sendable {
        /// The user's name.
        public var user: String
        /// The path in the target.
        public var path: String

        /// Makes a home of a user's name and a path.
        public init(of user: String, _ path: String) {
            self.user = user
            self.path = path
        }
    }

    /// Make a home and copy the folder `skeleton` into it; a home that exists is left alone.
    case makeHome(String, owner: Owner, mode: UInt32, skeleton: String)
    /// Move a home, and give what belongs to `owner` in it to `newOwner`; a home that does not exist is not an error.
    case moveHome(String, to: String, owner: Owner, newOwner: Owner, innerHomes: [String] = [])
    /// Give what belongs to the first owner in a home to the second, if the home belongs to one of them. In the homes
    /// of others inside it, only the user's own files get the new group.
    case changeOwner(of: String, from: Owner, to: Owner, innerHomes: [String] = [])
    /// Remove a home with all that is in it, if the user owns it and none of the other users' homes is in it.
    case removeHome(String, of: UInt32, beside: [Home])
}

extension AccountDatabase {
    /// The changes that make the request true.
    ///
    /// - Parameter request: One change of the target's accounts.
    /// - Returns: Effects and files; the database itself stays as it is.
    /// - Throws: ``AccountFault`` where the request cannot be met.
    public func change(for request: AccountRequest) throws(AccountFault) -> AccountChange {
        var edit = AccountEdit(self)
        switch request {
        case .addGroup(let name, let gid, let hash, let isSystem):
            try edit.addGroup(name, gid: gid, hash: hash, isSystem: isSystem)
        case .changeGroup(let name, let gid, let hash): try edit.changeGroup(name, gid: gid, hash: hash)
        case .removeGroup(let name): try edit.removeGroup(name)
        case .copyGroup(let name, let gid, let members): try edit.copyGroup(name, gid: gid, members: members)
        case .addUser(let user): try edit.add(user)
        case .changeUser(let name, let fields): try edit.change(name, fields)
        case .removeUser(let name): try edit.remove(name)
        }
        var order = AccountFileName.allCases
        if case .changeGroup = request {
            // Users of the group's old number get the new one when `passwd` is written; `group` is written after it.
            order.removeAll { $0 == .group }
            order.append(.group)
        }
        return AccountChange(
            effects: edit.effects, files: order.compactMap { edit.files[$0] }.filter(\.isChanged))
    }
}

/// A working copy of the account files, changed step by step.
struct AccountEdit {
    typealias Field = AccountFile.Field

    var files: [AccountFileName: AccountFile]
    var effects: [AccountEffect] = []
    let elsewhere: TargetAccounts
    let settings: AccountSettings
    let today: Int

    init(_ database: AccountDatabase) {
        files = database.files
        elsewhere = database.elsewhere
        settings = database.settings
        today = database.today
    }

    // MARK: Looking up

    func entry(_ name: String, in file: AccountFileName) throws(AccountFault) -> (line: Int, fields: [Field])? {
        try files[file]?.entry(name)
    }

    /// Names and ids of all users or groups, those of the file first.
    func ids(_ file: AccountFileName) -> [(name: String, id: UInt32)] {
        let local = (files[file]?.entries ?? []).compactMap { entry in
            files[file]?.id(entry.fields).map { (String(decoding: entry.fields[0], as: UTF8.self), $0) }
        }
        return local
            + (file == .passwd ? elsewhere.users.map { ($0.name, $0.uid) } : elsewhere.groups.map { ($0.name, $0.gid) })
    }

    /// Finds a group by its number or its name.
    func group(_ text: String) -> (name: String, id: UInt32)? {
        if let id = UInt32(text) { return ids(.group).first { $0.id == id } }
        return ids(.group).first { $0.name == text }
    }

    func freeID(_ kind: String, for name: String, wanted: UInt32? = nil, isSystem: Bool) throws(AccountFault) -> UInt32
    {
        let file = kind == "UID" ? AccountFileName.passwd : .group
        let setting = "\(isSystem ? "SYS_" : "")\(kind)_MIN to \(isSystem ? "SYS_" : "")\(kind)_MAX"
        let taken = Set((files[file]?.entries ?? []).compactMap { files[file]?.id($0.fields) })
        let others = Set(kind == "UID" ? elsewhere.users.map(\.uid) : elsewhere.groups.map(\.gid))
        guard let range = settings.range(kind, isSystem: isSystem),
            let id = range.free(taken, elsewhere: others, wanted: wanted, isSystem: isSystem)
        else { throw .noFreeID(of: name, setting: setting) }
        return id
    }

    // MARK: Checking

    /// Whether useradd on Debian accepts the name; unlike useradd, this refuses names that could be a path.
    static func isName(_ name: String) -> Bool {
        guard let first = name.utf8.first, name.utf8.count <= 32, !"-+~".utf8.contains(first) else { return false }
        return name != "." && name != ".." && name.utf8.allSatisfy { $0 > 32 && $0 != 127 && !":,/".utf8.contains($0) }
    }

    func check(_ text: String?, _ field: String, of name: String, isPath: Bool = false) throws(AccountFault) {
        guard let text else { return }
        let fits = text.utf8.allSatisfy { $0 >= 32 && $0 != 127 && $0 != UInt8(ascii: ":") }
        if !fits || (isPath && text.utf8.first != UInt8(ascii: "/")) { throw .badField(field, of: name) }
    }

    func id(_ number: Int, of name: String) throws(AccountFault) -> UInt32 {
        guard let id = UInt32(exactly: number), id != .max else { throw .badID(number, of: name) }
        return id
    }

    // MARK: Groups

    mutating func addGroup(_ name: String, gid: Int?, hash: String?, isSystem: Bool) throws(AccountFault) {
        guard Self.isName(name) else { throw .badGroupName(name) }
        try check(hash, "password hash", of: name)
        if ids(.group).contains(where: { $0.name == name }) { throw .groupExists(name) }
        let id: UInt32
        if let gid {
            id = try self.id(gid, of: name)
            try checkUnused(group: id, for: name)
        } else {
            id = try freeID("GID", for: name, isSystem: isSystem)
        }
        try putGroup(name, id, hash: hash)
    }

    /// Copies a group of the image's own database; a group that is there already was copied by an earlier run.
    mutating func copyGroup(_ name: String, gid: UInt32, members: [String]) throws(AccountFault) {
        if try entry(name, in: .group) != nil { return }
        if let other = ids(.group).first(where: { $0.id == gid && $0.name != name }) {
            throw .groupIDInUse(gid, by: other.name, wantedBy: name)
        }
        let list = Array(members.joined(separator: ",").utf8)
        try files[.group]?.put([name, "x", String(gid)].map { Array($0.utf8) } + [list])
        try files[.gshadow]?.put([name, "!", ""].map { Array($0.utf8) } + [list])
    }

    func checkUnused(group id: UInt32, for name: String) throws(AccountFault) {
        if let other = ids(.group).first(where: { $0.id == id }) {
            throw .groupIDInUse(id, by: other.name, wantedBy: name)
        }
    }

    private mutating func putGroup(_ name: String, _ id: UInt32, hash: String?) throws(AccountFault) {
        let isShadowed = files[.gshadow] != nil
        let shown = isShadowed ? "x" : hash ?? "x"
        try files[.group]?.put([name, shown, String(id), ""].map { Array($0.utf8) })
        try files[.gshadow]?.put([name, hash ?? "!", "", ""].map { Array($0.utf8) })
    }

    /// The group that a new user gets for itself.
    mutating func putUserGroup(_ name: String, _ id: UInt32) throws(AccountFault) {
        let shown = files[.gshadow] == nil ? "!" : "x"
        try files[.group]?.put([name, shown, String(id), ""].map { Array($0.utf8) })
        try files[.gshadow]?.put([name, "!", "", ""].map { Array($0.utf8) })
    }

    mutating func changeGroup(_ name: String, gid: Int?, hash: String?) throws(AccountFault) {
        try check(hash, "password hash", of: name)
        guard let present = try entry(name, in: .group) else { throw .notInFile(name, .group) }
        var fields = present.fields
        let old = files[.group]?.id(fields)
        let id = try gid.map { gid throws(AccountFault) in try self.id(gid, of: name) }
        if let id, id != old {
            try checkUnused(group: id, for: name)
            fields[2] = Array(String(id).utf8)
            for user in files[.passwd]?.entries ?? [] where files[.passwd]?.id(user.fields, 3) == old {
                var changed = user.fields
                changed[3] = Array(String(id).utf8)
                files[.passwd]?.set(changed, line: user.line)
            }
        }
        if let hash {
            let isShadowed = files[.gshadow] != nil && fields[1] == Array("x".utf8)
            if !isShadowed { fields[1] = Array(hash.utf8) }
            if var shadow = try entry(name, in: .gshadow) {
                shadow.fields[1] = Array(hash.utf8)
                files[.gshadow]?.set(shadow.fields, line: shadow.line)
            } else if isShadowed {
                try files[.gshadow]?.put([fields[0], Array(hash.utf8), [], fields[3]])
            }
        }
        files[.group]?.set(fields, line: present.line)
    }

    mutating func removeGroup(_ name: String) throws(AccountFault) {
        guard let (line, fields) = try entry(name, in: .group) else { throw .notInFile(name, .group) }
        let id = files[.group]?.id(fields)
        if let user = (files[.passwd]?.entries ?? []).first(where: { files[.passwd]?.id($0.fields, 3) == id }) {
            throw .primaryGroup(name, of: String(decoding: user.fields[0], as: UTF8.self))
        }
        if let user = elsewhere.users.first(where: { $0.gid == id }) { throw .primaryGroup(name, of: user.name) }
        files[.group]?.remove(line: line)
        if let shadow = try entry(name, in: .gshadow) { files[.gshadow]?.remove(line: shadow.line) }
    }

    // MARK: Members

    /// Adds the user to the given groups, and removes it from all others if `isWhole`.
    mutating func setGroups(_ names: Set<String>, of user: String, isWhole: Bool) {
        let name = Array(user.utf8)
        for file in [AccountFileName.group, .gshadow] {
            for entry in files[file]?.entries ?? [] {
                let isWanted = names.contains(String(decoding: entry.fields[0], as: UTF8.self))
                let members = AccountFile.members(entry.fields)
                if isWanted, !members.contains(name) {
                    files[file]?.setMembers(members + [name], line: entry.line)
                } else if !isWanted, isWhole, members.contains(name) {
                    files[file]?.setMembers(members.filter { $0 != name }, line: entry.line)
                }
            }
        }
    }
}
