// What is left for the system itself: the result file, and SELinux labels.

import Accounts
import BootReport
import CLinux
import FilePlanning
import Glibc
import IgnitionConfig
import JSONText
import LinuxSystem
import SystemPackage

extension TargetRoot {
    /// Writes ``ProvisioningResult/path``, mode 0600.
    ///
    /// - Parameter isLive: The root is new at every boot: what an image or an earlier boot left there is dropped.
    public func writeResult(userConfigProvided: Bool, isLive: Bool = true) throws {
        let resolved = try resolve(ProvisioningResult.path)
        _ = try makeParents(of: resolved)
        let place = try place(resolved)
        var previous: JSONValue?
        if !isLive, let bytes = place.bytes {
            guard let node = try? JSONNode(parsing: bytes) else { throw TargetFault.noResult(resolved) }
            previous = JSONValue(node)
        }
        let result = ProvisioningResult(
            bootID: Files.line("/proc/sys/kernel/random/boot_id") ?? "", date: Int64(time(nil)),
            userConfigProvided: userConfigProvided, previous: previous)
        // Once more in the same boot: nothing has changed but the time.
        if isLive, let node = place.bytes.flatMap({ try? JSONNode(parsing: $0) }), !result.bootID.isEmpty,
            JSONValue(node)["provisioningBootID"]?.string == result.bootID,
            JSONValue(node)["userConfigProvided"]?.bool == userConfigProvided,
            JSONValue(node)["previousReport"] == nil
        {
            return
        }
        try place.replace(Array(result.text.utf8), mode: 0o600)
    }

    /// What the original has relabelled beside what it makes: what is kept, and all that accounts have part in.
    func labelledByOriginal(_ config: IgnitionConfig) -> [String] {
        let (storage, passwd) = (config.storage, config.passwd)
        let nodes = storage.directories.map(\.path) + storage.files.map(\.path) + storage.links.map(\.path)
        var paths = nodes.compactMap { try? resolve($0) }
        for unit in config.systemd.units where !unit.dropins.isEmpty {
            paths.append("\(FilesPlan.unitFolder)/\(unit.name).d")
        }
        if passwd.users.isEmpty && passwd.groups.isEmpty { return paths }
        let accounts = accounts()
        let homes = passwd.users.compactMap { accounts.user(named: $0.name)?.home }.compactMap { try? follow($0) }
        // Of a user who lives in / everything would be relabelled.
        return paths + Self.accountFiles + homes.filter { $0.count > 1 }
    }

    /// What accounts are kept in.
    static let accountFiles = AccountFileName.allCases.flatMap { ["/etc/\($0)", "/etc/\($0)-"] } + ["/etc/.pwd.lock"]

    /// Gives files the labels of the target's SELinux policy, where it has one.
    ///
    /// - Parameter paths: Absolute in the target; those that are not there any more are passed over, and those on a
    ///   filesystem that keeps no labels, as a vfat.
    /// - Returns: A warning where there is a policy but no program to apply it.
    public func relabel(_ paths: [String]) throws(Command.Failure) -> String? {
        let setting = (text("/etc/selinux/config") ?? "").split(whereSeparator: \.isNewline)
            .last { $0.hasPrefix("SELINUXTYPE=") }
        guard let type = setting?.dropFirst("SELINUXTYPE=".count), !type.isEmpty else { return nil }
        let contexts = "/etc/selinux/\(type)/contexts/files/file_contexts"
        guard text(contexts) != nil else { return nil }
        let present = Set(paths).filter { canBeLabelled($0) }.sorted()
        if present.isEmpty { return nil }
        // The initramfs's takes the root that it is told of off the paths again. Of a last path without its end
        // setfiles cuts a letter off.
        func list(_ prefix: String) -> [UInt8] { present.flatMap { Array("\(prefix)\($0)\0".utf8) } }
        let prefix = root.string == "/" ? "" : root.string
        do {
            _ = try runOnTarget(
                command("setfiles", ["-F", "-0", "-f", "-", contexts], input: list("")),
                ours: Command("setfiles", ["-vF0", "-r", prefix, prefix + contexts, "-f", "-"], input: list(prefix)))
            return nil
        } catch .missing {
            return "the target has an SELinux policy but no setfiles: new files have no labels"
        }
    }

    /// setfiles takes what it cannot label for a failure.
    private func canBeLabelled(_ path: String) -> Bool {
        guard let place = try? place(path), place.status != nil else { return false }
        return withExtendedLifetime(place.folder) { folder in
            let name = "/proc/self/fd/\(folder.descriptor)/\(place.name)"
            return lgetxattr(name, "security.selinux", nil, 0) >= 0 || errno != EOPNOTSUPP
        }
    }
}
