// Folders of the target that are there at every boot, whatever the config says.

import Glibc
import LinuxSystem
import SystemPackage

extension TargetRoot {
    /// Makes folders of root's where there is nothing.
    ///
    /// - Parameter folders: Absolute in the target, with modes.
    /// - Returns: Those that were made.
    /// - Throws: ``TargetFault`` or ``PathFault``.
    public func makeFolders(_ folders: [(path: String, mode: UInt32)]) throws -> [String] {
        var made: [String] = []
        for (path, mode) in folders where !has(path) {
            let resolved = try tree.resolve(path)
            _ = try tree.makeParents(of: resolved)
            let place = try tree.entry(resolved)
            try place.makeFolder(mode: mode_t(mode))
            try place.setMode(mode)
            made.append(resolved)
        }
        return made
    }

    /// Removes a folder with all it holds; one that is not there is no failure.
    ///
    /// - Throws: ``TargetFault`` or ``PathFault``.
    public func removeFolder(_ path: String) throws {
        guard has(path) else { return }
        try tree.entry(try tree.resolve(path)).removeTree()
    }

    /// Whether the system itself mounts a filesystem on `/var`: by a unit, or by a line of its fstab.
    public var mountsVar: Bool {
        let unit = "/etc/systemd/system/var.mount"
        return (has(unit) && link(at: unit) != "/dev/null") || Self.mountsVar(fstab: text("/etc/fstab") ?? "")
    }

    static func mountsVar(fstab: String) -> Bool {
        fstab.split(whereSeparator: \.isNewline).contains { line in
            let fields = line.split { $0 == " " || $0 == "\t" }
            guard fields.count >= 3, !fields[0].hasPrefix("#"), fields[1] == "/var" else { return false }
            return fields.count < 4 || !fields[3].split(separator: ",").contains("noauto")
        }
    }
}
