// What prevents devices from being written to, found before the first write.

import DiskPlanning
import Glibc
import LinuxSystem
import SystemPackage

enum Obstacles {
    /// Finds devices that the plan writes to and that cannot or must not be written to.
    ///
    /// - Parameters:
    ///   - plan: The plan.
    ///   - sysfs: Where the kernel describes its devices.
    /// - Returns: At most two conflicts for each device.
    static func conflicts(in plan: StoragePlan, sysfs: FilePath = "/sys") -> [DiskConflict] {
        let folder = sysfs.appending("class/block")
        let paths = pathsToDisks(folder)
        var seen: Set<String> = []
        return plan.written.filter { seen.insert($0.node).inserted }.flatMap { written -> [DiskConflict] in
            let name = FilePath(written.node).lastComponent?.string ?? ""
            func conflict(_ problem: DiskConflict.Problem) -> DiskConflict {
                DiskConflict(written.node, problem, at: written.origin)
            }
            var conflicts: [DiskConflict] = []
            if Files.line(folder.appending("\(name)/ro")) == "1" { conflicts.append(conflict(.readOnly)) }
            if let identity = identity(folder.appending(name)),
                let other = paths[identity]?.first(where: { $0 != name })
            {
                conflicts.append(conflict(.anotherPath("/dev/\(other)")))
            }
            return conflicts
        }
    }

    /// The names of whole disks by their identity.
    private static func pathsToDisks(_ folder: FilePath) -> [String: [String]] {
        var paths: [String: [String]] = [:]
        for name in Files.names(in: folder).sorted() {
            guard let identity = identity(folder.appending(name)) else { continue }
            paths[identity, default: []].append(name)
        }
        return paths
    }

    /// An identity that no other disk has; a vendor's text may be the same on every stick that it made.
    private static func identity(_ disk: FilePath) -> String? {
        // NVMe hides the paths to a disk that it joins itself.
        if Files.exists(disk.appending("partition")) || Files.line(disk.appending("hidden")) == "1" { return nil }
        let identity = Files.line(disk.appending("device/wwid")) ?? Files.line(disk.appending("wwid"))
        return identity.flatMap { $0.hasPrefix("naa.") || $0.hasPrefix("eui.") ? $0 : nil }
    }
}
