// Users and groups: what has to be done to make them what the config wants.

import IgnitionConfig

extension TargetAccounts {
    /// What makes the group as wanted; `nil` where it is so already.
    ///
    /// - Parameter policy: Whether everything is asked for, be it so already.
    func request(for group: IgnitionConfig.Group, policy: RerunPolicy = .own) -> AccountRequest? {
        let present = self.group(named: group.name)
        if group.shouldExist == false { return present == nil ? nil : .removeGroup(group.name) }
        let hash = given(group.passwordHash)
        guard let present else {
            return .addGroup(name: group.name, gid: group.gid, hash: hash, isSystem: group.system == true)
        }
        let gid = group.gid.flatMap { policy.repeatsAll || present.gid != UInt32(exactly: $0) ? $0 : nil }
        let newHash = hash.flatMap { policy.repeatsAll || present.passwordHash != $0 ? $0 : nil }
        let isWanted = !policy.repeatsAll && gid == nil && newHash == nil
        return isWanted ? nil : .changeGroup(name: group.name, gid: gid, hash: newHash)
    }

    /// What makes the user as wanted; `nil` where it is so already.
    func request(for user: IgnitionConfig.User, policy: RerunPolicy = .own) -> AccountRequest? {
        let present = self.user(named: user.name)
        if user.shouldExist == false { return present == nil ? nil : .removeUser(user.name) }
        guard let present else { return .addUser(newUser(user)) }
        let fields = change(present, to: user, policy: policy)
        // usermod takes no call without anything to change; the original's says "no changes" and does nothing.
        return fields == .init() ? nil : .changeUser(user.name, fields)
    }

    private func newUser(_ user: IgnitionConfig.User) -> AccountRequest.NewUser {
        var new = AccountRequest.NewUser(user.name)
        new.hasHome = user.noCreateHome != true
        new.mayHaveGroup = user.noUserGroup != true
        new.isSystem = user.system == true
        new.clearsLoginRecords = user.noLogInit != true
        // Without a hash nobody gets in by password: "*" rather than useradd's "!", which sshd may take for locked.
        new.fields.hash = given(user.passwordHash) ?? "*"
        new.fields.uid = user.uid
        new.fields.gecos = given(user.gecos)
        new.fields.primaryGroup = given(user.primaryGroup)
        new.fields.groups = user.groups.isEmpty ? nil : user.groups
        new.fields.shell = given(user.shell)
        new.fields.home = given(user.homeDir)
        return new
    }

    /// Only what differs is asked for; `usermod` refuses or repeats work otherwise.
    private func change(
        _ present: User, to user: IgnitionConfig.User, policy: RerunPolicy
    ) -> AccountRequest.UserFields {
        let repeats = policy.repeatsAll
        var fields = AccountRequest.UserFields()
        // usermod leaves the last slash out.
        let home = given(user.homeDir).map { $0.count > 1 && $0.hasSuffix("/") ? String($0.dropLast()) : $0 }
        if let home = repeats ? given(user.homeDir) : home, repeats || home != present.home { fields.home = home }
        if let hash = user.passwordHash.map({ $0.isEmpty ? "*" : $0 }), repeats || hash != present.passwordHash {
            fields.hash = hash
        }
        if let uid = user.uid, repeats || UInt32(exactly: uid) != present.uid { fields.uid = uid }
        if let gecos = given(user.gecos), repeats || gecos != present.gecos { fields.gecos = gecos }
        let isWantedGroup = { (name: String) in (self.group(named: name)?.gid ?? UInt32(name)) == present.gid }
        if let wanted = given(user.primaryGroup), repeats || !isWantedGroup(wanted) {
            fields.primaryGroup = wanted
        }
        let wantedGroups = user.groups.map { text in
            UInt32(text).flatMap { id in groups.first { $0.gid == id } }?.name ?? text
        }
        if !user.groups.isEmpty, repeats || Set(wantedGroups) != supplementaryGroups(of: user.name) {
            fields.groups = user.groups
        }
        if let shell = given(user.shell), repeats || shell != present.shell { fields.shell = shell }
        return fields
    }
}

/// To the original an empty text is as good as none.
private func given(_ text: String?) -> String? { text == "" ? nil : text }

extension IgnitionConfig.User {
    /// The text of the key file: one key a line; `nil` where there are no keys.
    var authorizedKeys: String? {
        if sshAuthorizedKeys.isEmpty { return nil }
        let text = sshAuthorizedKeys.joined(separator: "\n")
        return text.hasSuffix("\n") ? text : text + "\n"
    }
}
