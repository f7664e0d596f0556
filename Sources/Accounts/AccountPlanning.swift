// Users and groups: what has to be done to make them what the config wants.

import IgnitionConfig

extension TargetAccounts {
    /// The request that makes a group what the config wants; `nil` where nothing has to be done.
    ///
    /// - Parameters:
    ///   - group: The group of the config.
    ///   - policy: Whether every given field is set even where nothing differs, as Ignition does.
    /// - Returns: At most one request.
    package func request(for group: IgnitionConfig.Group, policy: RerunPolicy = .own) -> AccountRequest? {
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

    /// The request that makes a user what the config wants; `nil` where nothing has to be done.
    package func request(for user: IgnitionConfig.User, policy: RerunPolicy = .own) -> AccountRequest? {
        let present = self.user(named: user.name)
        if user.shouldExist == false { return present == nil ? nil : .removeUser(user.name) }
        guard let present else { return .addUser(newUser(user)) }
        let fields = change(present, to: user, policy: policy)
        // Without a change, usermod only says "no changes". Ignition calls it nevertheless.
        return fields == .init() ? nil : .changeUser(user.name, fields)
    }

    private func newUser(_ user: IgnitionConfig.User) -> AccountRequest.NewUser {
        var new = AccountRequest.NewUser(user.name)
        new.hasHome = user.noCreateHome != true
        new.mayHaveGroup = user.noUserGroup != true
        new.isSystem = user.system == true
        new.clearsLoginRecords = user.noLogInit != true
        // No password can match "*"; sshd may take useradd's "!" for a locked account.
        new.fields.hash = given(user.passwordHash) ?? "*"
        new.fields.uid = user.uid
        new.fields.gecos = given(user.gecos)
        new.fields.primaryGroup = given(user.primaryGroup)
        new.fields.groups = user.groups.isEmpty ? nil : user.groups
        new.fields.shell = given(user.shell)
        new.fields.home = given(user.homeDir)
        return new
    }

    /// The fields that differ; `usermod` refuses others or repeats work for them.
    private func change(
        _ present: User, to user: IgnitionConfig.User, policy: RerunPolicy
    ) -> AccountRequest.UserFields {
        let repeats = policy.repeatsAll
        var fields = AccountRequest.UserFields()
        // usermod drops the last slash.
        let home = given(user.homeDir).map(withoutLastSlash)
        if let home = repeats ? given(user.homeDir) : home, repeats || home != withoutLastSlash(present.home) {
            fields.home = home
        }
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

/// Treats an empty text as a missing one, as Ignition does.
private func given(_ text: String?) -> String? { text == "" ? nil : text }

extension IgnitionConfig.User {
    /// The text of the key file, one key per line; `nil` where there are no keys.
    package var authorizedKeys: String? {
        if sshAuthorizedKeys.isEmpty { return nil }
        let text = sshAuthorizedKeys.joined(separator: "\n")
        return text.hasSuffix("\n") ? text : text + "\n"
    }
}

/// A folder's path as it is compared: `/home/core/` is `/home/core`.
package func withoutLastSlash(_ path: String) -> String {
    path.utf8.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
}
