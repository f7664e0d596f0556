// Users and groups: which of the target's own programs make them what the config wants.

import IgnitionConfig

/// A program of the target and its arguments. Its description leaves out the values of secrets.
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

extension TargetAccounts {
    /// What makes the group as wanted; `nil` where it is so already.
    ///
    /// - Parameter strict: Everything is asked for, be it so already: what the original does.
    func command(for group: IgnitionConfig.Group, strict: Bool = false) -> AccountCommand? {
        let present = self.group(named: group.name)
        if group.shouldExist == false {
            return present == nil ? nil : AccountCommand("groupdel", [group.name])
        }
        let hash = (group.passwordHash ?? "").isEmpty ? nil : group.passwordHash
        var options: [String] = []
        if let gid = group.gid, strict || present?.gid != UInt32(exactly: gid) { options += ["--gid", String(gid)] }
        if let hash, strict || present?.passwordHash != hash { options += ["--password", hash] }
        if present != nil {
            return options.isEmpty ? nil : AccountCommand("groupmod", options + [group.name])
        }
        if group.system == true { options.append("--system") }
        return AccountCommand("groupadd", options + [group.name])
    }

    /// What makes the user as wanted; `nil` where it is so already.
    func command(for user: IgnitionConfig.User, strict: Bool = false) -> AccountCommand? {
        let present = self.user(named: user.name)
        if user.shouldExist == false {
            return present == nil ? nil : AccountCommand("userdel", ["--remove", user.name])
        }
        return present.map { change($0, to: user, strict: strict) } ?? creation(of: user)
    }

    private func creation(of user: IgnitionConfig.User) -> AccountCommand {
        var options: [String] = []
        if let home = user.homeDir { options += ["--home-dir", home] }
        options.append(user.noCreateHome == true ? "--no-create-home" : "--create-home")
        if user.noUserGroup == true { options.append("--no-user-group") }
        if user.system == true { options.append("--system") }
        if user.noLogInit == true { options.append("--no-log-init") }
        // Without a hash nobody gets in by password: "*" rather than useradd's "!", which sshd may take for locked.
        let hash = user.passwordHash ?? ""
        options += ["--password", hash.isEmpty ? "*" : hash]
        if let uid = user.uid { options += ["--uid", String(uid)] }
        if let gecos = user.gecos { options += ["--comment", gecos] }
        if let group = user.primaryGroup { options += ["--gid", group] }
        if !user.groups.isEmpty { options += ["--groups", user.groups.joined(separator: ",")] }
        if let shell = user.shell { options += ["--shell", shell] }
        return AccountCommand("useradd", options + [user.name])
    }

    /// Only what differs is asked for; `usermod` refuses or repeats work otherwise.
    private func change(_ present: User, to user: IgnitionConfig.User, strict: Bool) -> AccountCommand? {
        var options: [String] = []
        if let home = user.homeDir, strict || home != present.home { options += ["--home", home, "--move-home"] }
        if let hash = user.passwordHash.map({ $0.isEmpty ? "*" : $0 }), strict || hash != present.passwordHash {
            options += ["--password", hash]
        }
        if let uid = user.uid, strict || UInt32(exactly: uid) != present.uid { options += ["--uid", String(uid)] }
        if let gecos = user.gecos, strict || gecos != present.gecos { options += ["--comment", gecos] }
        if let wanted = user.primaryGroup, strict || (group(named: wanted)?.gid ?? UInt32(wanted)) != present.gid {
            options += ["--gid", wanted]
        }
        if !user.groups.isEmpty, strict || Set(user.groups) != supplementaryGroups(of: user.name) {
            options += ["--groups", user.groups.joined(separator: ",")]
        }
        if let shell = user.shell, strict || shell != present.shell { options += ["--shell", shell] }
        return options.isEmpty ? nil : AccountCommand("usermod", options + [user.name])
    }
}

extension IgnitionConfig.User {
    /// The text of the key file: one key a line; `nil` where there are no keys.
    var authorizedKeys: String? {
        if sshAuthorizedKeys.isEmpty { return nil }
        let text = sshAuthorizedKeys.joined(separator: "\n")
        return text.hasSuffix("\n") ? text : text + "\n"
    }
}
