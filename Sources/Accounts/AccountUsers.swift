// Users: what useradd, usermod and userdel of shadow 4.13 make of the account files and of homes.

extension AccountEdit {
    // MARK: A new user

    mutating func add(_ user: AccountRequest.NewUser) throws(AccountFault) {
        let name = user.name
        guard Self.isName(name) else { throw .badUserName(name) }
        try check(user.fields, of: name)
        let home = user.fields.home ?? "\(settings.homes)/\(name)"
        let groups = try groups(user.fields.groups ?? [], of: name)
        let hasOwnGroup = user.fields.primaryGroup == nil && user.mayHaveGroup && settings.isSet("USERGROUPS_ENAB")
        // `shadow` names the user and `passwd` does not: an earlier run was stopped in between. What it made is used.
        let isResumed = try entry(name, in: .shadow) != nil

        let uid: UInt32
        if let wanted = user.fields.uid {
            uid = try id(wanted, of: name)
            try checkUnused(user: uid, for: name)
        } else {
            uid = try freeID("UID", for: name, isSystem: user.isSystem)
        }
        let gid: UInt32
        if let wanted = user.fields.primaryGroup {
            guard let group = group(wanted) else { throw .noGroup(wanted, wantedBy: name) }
            gid = group.id
        } else if hasOwnGroup {
            gid = try ownGroup(of: name, uid, isSystem: user.isSystem, isResumed: isResumed)
        } else {
            gid = settings.group.flatMap { group($0)?.id } ?? 100
        }

        let hash = user.fields.hash ?? "!"
        let line = [
            name, files[.shadow] == nil ? hash : "x", String(uid), String(gid), user.fields.gecos ?? "", home,
            user.fields.shell ?? settings.shell,
        ]
        try files[.passwd]?.put(line.map { Array($0.utf8) })
        let ages = user.isSystem ? Array(repeating: "", count: 5) : settings.ages
        let shadow = [name, hash, lastChange] + ages + [""]
        try files[.shadow]?.put(shadow.map { Array($0.utf8) })
        if !user.isSystem, isOrdinary(user.fields.uid) {
            try addRange(.subuid, "SUB_UID", of: name, isResumed: isResumed)
            try addRange(.subgid, "SUB_GID", of: name, isResumed: isResumed)
        }
        setGroups(groups, of: name, isWhole: false)

        let owner = AccountEffect.Owner(uid, gid)
        if user.hasHome { effects.append(settings.newHome(home, owner: owner)) }
    }

    /// Today as a field; empty on the first day of 1970, which would demand a new password at login.
    private var lastChange: String { today > 0 ? String(today) : "" }

    private func check(_ fields: AccountRequest.UserFields, of name: String) throws(AccountFault) {
        try check(fields.hash, "password hash", of: name)
        try check(fields.gecos, "gecos", of: name)
        try check(fields.home, "home", of: name, isPath: true)
        let hasPath = fields.shell.map { !$0.isEmpty && !$0.hasPrefix("*") } ?? false
        try check(fields.shell, "shell", of: name, isPath: hasPath)
    }

    private func checkUnused(user id: UInt32, for name: String) throws(AccountFault) {
        if let other = ids(.passwd).first(where: { $0.id == id }) {
            throw .userIDInUse(id, by: other.name, wantedBy: name)
        }
    }

    /// The names of groups that are given by name or number.
    private func groups(_ wanted: [String], of name: String) throws(AccountFault) -> Set<String> {
        var names: Set<String> = []
        for text in wanted {
            guard let group = group(text) else { throw .noGroup(text, wantedBy: name) }
            names.insert(group.name)
        }
        return names
    }

    /// Makes the user's own group, with the user's number if that is free, and returns the group's number.
    private mutating func ownGroup(
        of name: String, _ uid: UInt32, isSystem: Bool, isResumed: Bool
    ) throws(AccountFault) -> UInt32 {
        if let other = ids(.group).first(where: { $0.name == name }) {
            let present = try entry(name, in: .group)
            guard isResumed, present?.fields[3].isEmpty == true else { throw .groupIsThere(name) }
            return other.id
        }
        let gid = try freeID("GID", for: name, wanted: uid, isSystem: isSystem)
        try putUserGroup(name, gid)
        return gid
    }

    /// Whether the user gets subordinate ids: yes, unless the requested id is outside the range of ordinary users.
    private func isOrdinary(_ wanted: Int?) -> Bool {
        guard let wanted, wanted != 0 else { return true }
        return wanted >= settings.number("UID_MIN") ?? 1000 && wanted <= settings.number("UID_MAX") ?? 60000
    }

    private mutating func addRange(
        _ file: AccountFileName, _ kind: String, of name: String, isResumed: Bool
    ) throws(AccountFault) {
        guard let present = files[file] else { return }
        let range = settings.subordinates(kind)
        if range.count == 0 { return }
        if isResumed, present.entries.contains(where: { $0.fields[0] == Array(name.utf8) }) { return }
        guard range.lowest <= range.highest, range.count < range.highest,
            let start = files[file]?.takeRange(lowest: range.lowest, highest: range.highest, count: range.count)
        else { throw .noFreeID(of: name, setting: "\(kind)_MIN to \(kind)_MAX") }
        files[file]?.append([name, String(start), String(range.count)].map { Array($0.utf8) })
    }

    // MARK: A changed user

    mutating func change(_ name: String, _ wanted: AccountRequest.UserFields) throws(AccountFault) {
        guard let present = try entry(name, in: .passwd), let uid = files[.passwd]?.id(present.fields),
            let gid = files[.passwd]?.id(present.fields, 3)
        else { throw .notInFile(name, .passwd) }
        try check(wanted, of: name)
        var fields = present.fields
        let home = String(decoding: fields[5], as: UTF8.self)
        var owner = AccountEffect.Owner(uid, gid)
        let newID = try wanted.uid.map { id throws(AccountFault) in try self.id(id, of: name) }
        if let new = newID, new != uid {
            try checkUnused(user: new, for: name)
            owner.user = new
            fields[2] = Array(String(new).utf8)
        }
        if let text = wanted.primaryGroup {
            guard let group = group(text) else { throw .noGroup(text, wantedBy: name) }
            owner.group = group.id
            fields[3] = Array(String(group.id).utf8)
        }
        if let gecos = wanted.gecos { fields[4] = Array(gecos.utf8) }
        if let shell = wanted.shell { fields[6] = Array(shell.utf8) }
        let newHome = wanted.home.flatMap { $0 == home ? nil : $0 }
        if let newHome {
            fields[5] = Array((newHome.count > 1 && newHome.hasSuffix("/") ? newHome.dropLast() : newHome[...]).utf8)
        }
        let groups = try wanted.groups.map { names throws(AccountFault) in try self.groups(names, of: name) }
        if let hash = wanted.hash { try setHash(hash, of: name, &fields) }
        // Setting a password also makes usermod write `passwd`.
        if fields != present.fields || wanted.hash != nil { files[.passwd]?.set(fields, line: present.line) }
        if let groups { setGroups(groups, of: name, isWhole: true) }
        let old = AccountEffect.Owner(uid, gid)
        if let newHome, wanted.movesHome {
            effects.append(
                .moveHome(home, to: newHome, owner: old, newOwner: owner, innerHomes: wanted.innerHomes))
        } else if old != owner {
            effects.append(.changeOwner(of: home, from: old, to: owner, innerHomes: wanted.innerHomes))
        }
    }

    /// Sets the hash in `shadow`, and in `passwd` where that does not refer to `shadow`.
    private mutating func setHash(_ hash: String, of name: String, _ fields: inout [Field]) throws(AccountFault) {
        let isShadowed = files[.shadow] != nil && fields[1] == Array("x".utf8)
        if !isShadowed { fields[1] = Array(hash.utf8) }
        if var shadow = try entry(name, in: .shadow) {
            shadow.fields[1] = Array(hash.utf8)
            shadow.fields[2] = Array(lastChange.utf8)
            files[.shadow]?.set(shadow.fields, line: shadow.line)
        } else if isShadowed {
            let shadow = [name, hash, lastChange] + settings.ages.prefix(3) + ["", "", ""]
            try files[.shadow]?.put(shadow.map { Array($0.utf8) })
        }
    }

    // MARK: Removing a user

    mutating func remove(_ name: String) throws(AccountFault) {
        guard let (line, fields) = try entry(name, in: .passwd), let uid = files[.passwd]?.id(fields),
            let gid = files[.passwd]?.id(fields, 3)
        else { throw .notInFile(name, .passwd) }
        files[.passwd]?.remove(line: line)
        if let shadow = try entry(name, in: .shadow) { files[.shadow]?.remove(line: shadow.line) }
        for file in [AccountFileName.subuid, .subgid] {
            while let range = files[file]?.entries.first(where: { $0.fields[0] == Array(name.utf8) }) {
                files[file]?.remove(line: range.line)
            }
        }
        setGroups([], of: name, isWhole: true)
        for entry in files[.gshadow]?.entries ?? [] {
            let administrators = AccountFile.members(entry.fields, 2)
            guard administrators.contains(Array(name.utf8)) else { continue }
            files[.gshadow]?.setMembers(administrators.filter { $0 != Array(name.utf8) }, 2, line: entry.line)
        }
        if settings.isSet("USERGROUPS_ENAB") { try removeOwnGroup(of: name, gid) }
        effects.append(.removeHome(String(decoding: fields[5], as: UTF8.self), of: uid, beside: homes))
    }

    /// The homes of all users that there are now.
    private var homes: [AccountEffect.Home] {
        let own = (files[.passwd]?.entries ?? []).map { entry in
            AccountEffect.Home(
                of: String(decoding: entry.fields[0], as: UTF8.self), String(decoding: entry.fields[5], as: UTF8.self))
        }
        return (own + elsewhere.users.map { AccountEffect.Home(of: $0.name, $0.home) }).filter {
            $0.path.hasPrefix("/")
        }
    }

    /// Removes the group of the user's name if it was the user's own: it has no members and is nobody's primary group.
    private mutating func removeOwnGroup(of name: String, _ gid: UInt32) throws(AccountFault) {
        guard let (line, fields) = try entry(name, in: .group), files[.group]?.id(fields) == gid, fields[3].isEmpty,
            !(files[.passwd]?.entries ?? []).contains(where: { files[.passwd]?.id($0.fields, 3) == gid }),
            !elsewhere.users.contains(where: { $0.gid == gid })
        else { return }
        files[.group]?.remove(line: line)
        if let shadow = try entry(name, in: .gshadow) { files[.gshadow]?.remove(line: shadow.line) }
    }
}
