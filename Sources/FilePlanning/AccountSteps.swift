// Users and groups of a plan: what is made, changed and removed, and with which numbers.

import Accounts
import IgnitionConfig

/// The numbers of new accounts where earlier boots have left homes.
struct AccountNumbers {
    let settings: AccountSettings
    /// The owners of kept homes, by the names of their users.
    var kept: [String: AccountEffect.Owner] = [:]
    /// The numbers of the accounts that are there.
    var present: Set<UInt32> = []
    /// The numbers that no other new account may have; empty where the programs choose well enough by themselves.
    var taken: Set<UInt32> = []
    /// The numbers of groups that are there, or that the config gives.
    var groups: Set<UInt32> = []

    init(settings: AccountSettings) { self.settings = settings }

    /// A number that nobody has, and no home; `nil` leaves the choice to the program.
    ///
    /// A user's own group gets the user's number, so each number is free as both.
    mutating func next(_ kind: String, isSystem: Bool) -> Int? {
        if taken.isEmpty { return nil }
        guard let number = settings.freeNumber(kind, after: present, beside: taken, isSystem: isSystem) else {
            return nil
        }
        taken.insert(number)
        return Int(number)
    }
}

extension FilesPlanner {
    mutating func planAccounts() {
        let accounts = inventory.accounts
        var numbers = policy.repeatsAll ? AccountNumbers(settings: inventory.accountSettings) : accountNumbers()
        for group in config.passwd.groups {
            var request = accounts.request(for: group, policy: policy)
            if case .addGroup(let name, nil, let hash, let isSystem)? = request {
                let gid = numbers.next("GID", isSystem: isSystem)
                request = .addGroup(name: name, gid: gid, hash: hash, isSystem: isSystem)
            }
            add(request, name: "group \(group.name)", group.origin)
        }
        if !policy.repeatsAll { copyGroups() }
        for user in config.passwd.users {
            var request = accounts.request(for: user, policy: policy)
            if case .addUser(let new)? = request { request = .addUser(numbered(new, &numbers, user.origin)) }
            if case .removeUser? = request { checkMounts(of: user) }
            if !policy.repeatsAll {
                checkHome(request, of: user)
                request = sparingInnerHomes(movingOnce(request, of: user))
            }
            add(request, name: "user \(user.name)", user.origin)
            if user.shouldExist == false { continue }
            if user.noCreateHome != true, !mountFolders.isEmpty {
                let home = givenHome(user) ?? accounts.user(named: user.name)?.home ?? usualHome(user)
                let folders = mountFolders.filter { $0 == home || $0.hasPrefix(home + "/") }
                if !folders.isEmpty { steps.append(.init(.claim(folders: folders, user: user.name), user.origin)) }
            }
            // Ignition sets a given hash twice, which shows in the passwd- that it leaves.
            if policy.repeatsAll, let hash = user.passwordHash {
                var again = AccountRequest.UserFields()
                again.hash = hash.isEmpty ? "*" : hash
                add(.changeUser(user.name, again), name: "user \(user.name)", user.origin)
            }
            if let text = user.authorizedKeys {
                // The image has the user, and the config mounts an empty filesystem where homes are.
                if inventory.presentHomes[user.name]?.isMissing == true, user.noCreateHome != true,
                    !policy.followsOriginal
                {
                    steps.append(.init(.makeHome(user: user.name), user.origin))
                }
                steps.append(.init(.authorizedKeys(user: user.name, text: text), user.origin))
            }
        }
    }

    /// The home that the config gives; an empty one counts as none, as everywhere in a config.
    private func givenHome(_ user: IgnitionConfig.User) -> String? {
        user.homeDir.flatMap { $0.isEmpty ? nil : withoutLastSlash($0) }
    }

    private func usualHome(_ user: IgnitionConfig.User) -> String {
        "\(inventory.accountSettings.homes)/\(user.name)"
    }

    /// Copies the image's own groups into `/etc/group` where users join them; members are written only there.
    private mutating func copyGroups() {
        let groups = inventory.accounts.groups
        var seen: Set<String> = []
        for user in config.passwd.users where user.shouldExist != false {
            for text in user.groups {
                let name = UInt32(text).flatMap { id in groups.first { $0.gid == id }?.name } ?? text
                guard let image = groups.first(where: { $0.isImages && $0.name == name }),
                    seen.insert(name).inserted
                else { continue }
                if let copy = groups.first(where: { !$0.isImages && $0.name == name }) {
                    guard copy.gid != image.gid else { continue }
                    conflicts.append(
                        .init("/etc/group", .groupMoved(name, here: copy.gid, image: image.gid), user.origin))
                } else {
                    add(.account(.copyGroup(name, gid: image.gid, members: image.members)), user.origin)
                }
            }
        }
    }

    /// The numbers of new accounts beside homes that earlier boots have left.
    ///
    /// Users without a given number get back that of their kept homes, unless another user has it. Only a home that is
    /// named like its user counts as the user's own; others may be shared on purpose.
    private mutating func accountNumbers() -> AccountNumbers {
        let (accounts, passwd) = (inventory.accounts, config.passwd)
        var holders = Dictionary(accounts.users.map { ($0.uid, $0.name) }, uniquingKeysWith: { first, _ in first })
        for user in passwd.users where user.shouldExist != false {
            if let uid = user.uid.flatMap(UInt32.init(exactly:)) { holders[uid] = user.name }
        }
        let groups = accounts.groups.map(\.gid) + passwd.groups.compactMap { $0.gid.flatMap(UInt32.init(exactly:)) }
        var numbers = AccountNumbers(settings: inventory.accountSettings)
        for user in passwd.users {
            guard let owner = inventory.homeOwners[user.name], owner.user != 0, user.uid == nil else { continue }
            let home = givenHome(user) ?? usualHome(user)
            guard home.split(separator: "/").last ?? "" == user.name else { continue }
            if let holder = holders[owner.user] {
                conflicts.append(
                    .init(home, .homeOfAnother(user.name, number: owner.user, holder: holder), user.origin))
            } else {
                holders[owner.user] = user.name
                numbers.kept[user.name] = owner
            }
        }
        let left = inventory.homeNumbers.union(numbers.kept.values.flatMap { [$0.user, $0.group] })
        numbers.groups = Set(groups)
        numbers.present = Set(accounts.users.map(\.uid) + accounts.groups.map(\.gid))
        if !left.isSubset(of: numbers.present) { numbers.taken = left.union(holders.keys).union(groups) }
        return numbers
    }

    /// A new user with a number where one has to be chosen here; a group of its own is made before it where that one
    /// has to have another number.
    private mutating func numbered(
        _ user: AccountRequest.NewUser, _ numbers: inout AccountNumbers, _ origin: IgnitionConfig.Origin
    ) -> AccountRequest.NewUser {
        var user = user
        guard let owner = numbers.kept[user.name] else {
            if user.fields.uid == nil { user.fields.uid = numbers.next("UID", isSystem: user.isSystem) }
            return user
        }
        user.fields.uid = Int(owner.user)
        guard owner.group != owner.user, user.fields.primaryGroup == nil, user.mayHaveGroup,
            inventory.accountSettings.givesOwnGroups, inventory.accounts.group(named: user.name) == nil,
            !config.passwd.groups.contains(where: { $0.name == user.name }),
            numbers.groups.insert(owner.group).inserted
        else { return user }
        add(.account(.addGroup(name: user.name, gid: Int(owner.group), isSystem: user.isSystem)), origin)
        user.fields.primaryGroup = user.name
        return user
    }

    /// Adds a conflict where a filesystem is mounted in a home that goes or moves, whomever this follows otherwise.
    private mutating func checkMounts(of user: IgnitionConfig.User) {
        guard inventory.presentHomes[user.name]?.holdsMounts == true,
            let home = inventory.accounts.user(named: user.name)?.home
        else { return }
        conflicts.append(.init(withoutLastSlash(home), .homeHoldsMounts(user.name), user.origin))
    }

    /// Adds a conflict where what is in a home would be lost by its move, or where the home of another user would go along.
    private mutating func checkHome(_ request: AccountRequest?, of user: IgnitionConfig.User) {
        guard let home = inventory.accounts.user(named: user.name).map({ withoutLastSlash($0.home) }) else { return }
        guard case .changeUser(_, let fields)? = request, let new = fields.home, !isMoved(user) else { return }
        checkMounts(of: user)
        if inventory.presentHomes[user.name]?.leavesFilesystem == true, !policy.followsOriginal {
            conflicts.append(.init(home, .homeLeavesFilesystem(user.name, to: new), user.origin))
        }
        checkMove(of: user, from: home, to: new)
    }

    /// Whether an earlier boot has moved the home of a user.
    ///
    /// Its folder is where the config wants it then, with the owner that the user is to have; a run that was stopped
    /// before all had that owner goes on.
    private func isMoved(_ user: IgnitionConfig.User) -> Bool {
        guard let present = inventory.accounts.user(named: user.name),
            let owner = inventory.presentHomes[user.name]?.ownerOfNew
        else { return false }
        let uid = user.uid.flatMap(UInt32.init(exactly:)) ?? present.uid
        guard let group = user.primaryGroup, !group.isEmpty else { return owner.user == uid }
        return owner.user == uid && owner.group == inventory.accounts.group(named: group)?.gid ?? UInt32(group)
    }

    /// Adds a conflict for each user whose home would go along where another user's home moves.
    ///
    /// A user that is removed does not count, nor does one whose home in the config is where it goes along to.
    private mutating func checkMove(of user: IgnitionConfig.User, from home: String, to new: String) {
        for other in inventory.innerHomes[user.name] ?? [] {
            let wanted = config.passwd.users.first { $0.name == other.user }
            let goesAlong = other.path.hasPrefix(home) ? new + withoutLastSlash(other.path).dropFirst(home.count) : nil
            if let wanted, wanted.shouldExist == false || goesAlong != nil && givenHome(wanted) == goesAlong {
                continue
            }
            conflicts.append(
                .init(home, .homeHolds(user.name, inner: other.path, of: other.user, to: new), user.origin))
        }
    }

    /// Keeps a home from moving by itself if it goes along with the home that it is in, or has moved before.
    private func movingOnce(_ request: AccountRequest?, of user: IgnitionConfig.User) -> AccountRequest? {
        guard case .changeUser(let name, var fields)? = request, let new = fields.home else { return request }
        let goesAlong = config.passwd.users.contains { outer in
            guard outer.shouldExist != false, let moved = givenHome(outer),
                let home = inventory.accounts.user(named: outer.name).map({ withoutLastSlash($0.home) }), moved != home,
                let inner = inventory.innerHomes[outer.name]?.first(where: { $0.user == name })?.path
            else { return false }
            return inner.hasPrefix(home + "/") && new == moved + withoutLastSlash(inner).dropFirst(home.count)
        }
        fields.movesHome = !goesAlong && !isMoved(user)
        return .changeUser(name, fields)
    }

    /// Keeps a change of a user's group from touching the files of others whose homes are in the user's home.
    private func sparingInnerHomes(_ request: AccountRequest?) -> AccountRequest? {
        guard case .changeUser(let name, var fields)? = request, fields.primaryGroup != nil,
            let home = inventory.accounts.user(named: name)?.home
        else { return request }
        let inner = (inventory.innerHomes[name] ?? []).map(\.path)
        fields.innerHomes = inner.filter { withoutLastSlash($0) != withoutLastSlash(home) }
        return .changeUser(name, fields)
    }

    private mutating func add(_ request: AccountRequest?, name: String, _ origin: IgnitionConfig.Origin) {
        if let request {
            steps.append(.init(.account(request), origin))
        } else {
            kept.append(.init(name, .sameAccount))
        }
    }
}
