// What is left for the system itself: the result file and SELinux labels.

import BootReport
import CLinux
import FilePlanning
import Glibc
import IgnitionConfig
import JSONText
import LinuxSystem
import SystemPackage

extension TargetRoot {
    /// Writes ``ProvisioningResult/path`` with mode 0600.
    ///
    /// - Parameters:
    ///   - userConfigProvided: Whether somebody gave a config.
    ///   - isLive: Whether the root is new at every boot; a result from an image or an earlier boot is then dropped.
    /// - Throws: ``TargetFault`` or ``PathFault``.
    func writeResult(userConfigProvided: Bool, isLive: Bool = true) throws {
        let resolved = try tree.resolve(ProvisioningResult.path)
        _ = try tree.makeParents(of: resolved)
        let place = try tree.entry(resolved)
        var previous: JSONValue?
        if !isLive, let bytes = place.bytes {
            guard let node = try? JSONNode(parsing: bytes) else { throw TargetFault.noResult(resolved) }
            previous = JSONValue(node)
        }
        let result = ProvisioningResult(
            bootID: Files.line("/proc/sys/kernel/random/boot_id") ?? "", date: Int64(time(nil)),
            userConfigProvided: userConfigProvided, previous: previous)
        // A second run in the same boot changes nothing but the time.
        if isLive, let node = place.bytes.flatMap({ try? JSONNode(parsing: $0) }), !result.bootID.isEmpty,
            JSONValue(node)["provisioningBootID"]?.string == result.bootID,
            JSONValue(node)["userConfigProvided"]?.bool == userConfigProvided,
            JSONValue(node)["previousReport"] == nil
        {
            return
        }
        try place.replace(Array(result.text.utf8), mode: 0o600)
    }

    /// What Ignition relabels beside what it makes: things that are kept, and everything that accounts touch.
    func labelledByOriginal(_ config: IgnitionConfig) -> [String] {
        let (storage, passwd) = (config.storage, config.passwd)
        let nodes = storage.directories.map(\.path) + storage.files.map(\.path) + storage.links.map(\.path)
        var paths = nodes.compactMap { try? tree.resolve($0) }
        for unit in config.systemd.units where !unit.dropins.isEmpty {
            paths.append("\(FilesPlan.unitFolder)/\(unit.name).d")
        }
        if passwd.users.isEmpty && passwd.groups.isEmpty { return paths }
        let accounts = tree.accounts()
        let homes = passwd.users.compactMap { accounts.user(named: $0.name)?.home }.compactMap { try? tree.follow($0) }
        // A user who lives in / would have everything relabelled.
        return paths + TargetTree.accountFiles + homes.filter { $0.count > 1 }
    }

    /// Sets the labels of the target's SELinux policy on files, if there is a policy.
    ///
    /// - Parameter paths: Absolute in the target. Files that are gone are skipped, and so are files on a filesystem
    ///   without labels, such as a vfat.
    /// - Returns: A warning where there is a policy but no program to apply it.
    /// - Throws: What setfiles says.
    public func relabel(_ paths: [String]) throws(Command.Failure) -> String? {
        guard let contexts = policyContexts else { return nil }
        let present = Set(paths).filter { canBeLabelled($0) }.sorted()
        if present.isEmpty { return nil }
        // The initramfs's setfiles removes the root that it is given from the paths again. It cuts a letter off a last
        // path that does not end with a zero byte.
        func list(_ prefix: String) -> [UInt8] { present.flatMap { Array("\(prefix)\($0)\0".utf8) } }
        let prefix = root.string == "/" ? "" : root.string
        do {
            // It reaches files through /proc.
            _ = try programs.withProc { () throws(Command.Failure) in
                try programs.runOnTarget(
                    programs.command("setfiles", ["-F", "-0", "-f", "-", contexts], input: list("")),
                    ours: Command(
                        "setfiles", ["-vF0", "-r", prefix, prefix + contexts, "-f", "-"], input: list(prefix)))
            }
            return nil
        } catch .missing {
            return "the target has an SELinux policy but no setfiles: new files have no labels"
        }
    }

    /// Whether the target has an SELinux policy that it is going to load.
    public var hasPolicy: Bool { policyContexts != nil && policySetting("SELINUX") != "disabled" }

    /// The file of the policy that tells which label a file has; `nil` where there is no policy.
    private var policyContexts: String? {
        guard let type = policySetting("SELINUXTYPE"), !type.isEmpty else { return nil }
        let contexts = "/etc/selinux/\(type)/contexts/files/file_contexts"
        return text(contexts) == nil ? nil : contexts
    }

    private func policySetting(_ name: String) -> Substring? {
        (text("/etc/selinux/config") ?? "").split(whereSeparator: \.isNewline)
            .last { $0.hasPrefix("\(name)=") }?.dropFirst(name.utf8.count + 1)
    }

    /// Whether a file can have a label; setfiles treats one that cannot as a failure.
    private func canBeLabelled(_ path: String) -> Bool {
        guard let place = try? tree.entry(path), place.status != nil else { return false }
        return withExtendedLifetime(place.folder) { folder in
            let name = "/proc/self/fd/\(folder.descriptor)/\(place.nameText)"
            return lgetxattr(name, "security.selinux", nil, 0) >= 0 || errno != EOPNOTSUPP
        }
    }
}
