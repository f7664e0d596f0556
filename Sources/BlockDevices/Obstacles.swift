// What prevents devices from being written to, found before the first write.

import DiskPlanning
import Glibc
import LinuxSystem
import SystemPackage

/// What the kernel tells of the devices that a plan writes to.
struct Obstacles {
    private let sysfs: FilePath
    private var folder: FilePath { sysfs.appending("class/block") }
    /// The names of whole disks by their identity.
    private var paths: [String: [String]] = [:]

    /// Finds devices that the plan writes to and that cannot or must not be written to.
    ///
    /// - Parameters:
    ///   - plan: The plan.
    ///   - sysfs: Where the kernel describes its devices.
    /// - Returns: At most two conflicts for each device.
    static func conflicts(in plan: StoragePlan, sysfs: FilePath = "/sys") -> [DiskConflict] {
        let obstacles = Obstacles(sysfs)
        var seen: Set<String> = []
        let found = plan.written.filter { seen.insert($0.node).inserted }.flatMap(obstacles.conflicts)
        var told: [DiskConflict] = []
        for conflict in found + obstacles.misplaced(in: plan)
        where !told.contains(where: { $0.device == conflict.device && $0.problem == conflict.problem }) {
            told.append(conflict)
        }
        return told
    }

    private init(_ sysfs: FilePath) {
        self.sysfs = sysfs
        for name in Files.names(in: folder).sorted() {
            if let identity = identity(name) { paths[identity, default: []].append(name) }
        }
    }

    private func conflicts(_ written: StoragePlan.Written) -> [DiskConflict] {
        let node = DiskProber.node(written.node) ?? written.node
        let devices = devices(below: FilePath(node).lastComponent?.string ?? "")
        func conflict(_ name: String, _ problem: DiskConflict.Problem) -> DiskConflict {
            DiskConflict("/dev/\(name)", problem, at: written.origin)
        }
        // If the disk of a partition is read-only, the conflict names the disk and not the partition.
        let locked = devices.last { Files.line(folder.appending("\($0)/ro")) == "1" }
        // A multipath map knows the paths that it is made of; one that it lacks yet is not an obstacle to it.
        let joined = Set(devices.filter(isMultipath).flatMap { Files.names(in: folder.appending("\($0)/slaves")) })
        let others = devices.filter { !joined.contains($0) }.compactMap { name -> DiskConflict? in
            guard let other = identity(name).flatMap({ paths[$0] })?.first(where: { $0 != name }) else { return nil }
            return conflict(name, .anotherPath("/dev/\(other)"))
        }
        return (locked.map { [conflict($0, .readOnly)] } ?? []) + others
    }

    /// A device itself, the disk that it is a partition of, and whatever both are made of, the nearest first.
    private func devices(below name: String) -> [String] {
        var found = [name]
        var next = 0
        while next < found.count {
            let device = folder.appending(found[next])
            var below = Files.names(in: device.appending("slaves")).sorted()
            if Files.exists(device.appending("partition")),
                let disk = Files.resolved(device)?.removingLastComponent().lastComponent
            {
                below.append(disk.string)
            }
            found += below.filter { !found.contains($0) }
            next += 1
        }
        return found
    }

    private func isMultipath(_ name: String) -> Bool {
        Files.line(folder.appending("\(name)/dm/uuid"))?.hasPrefix("mpath-") == true
    }

    /// An identity that no other disk has.
    ///
    /// A `t10.` name is not one: it holds a vendor's text, which may be the same on every stick of that vendor. A
    /// `nvme.` name holds a serial number beside the vendor, and an `iqn.` name the number of the logical unit.
    private func identity(_ name: String) -> String? {
        let disk = folder.appending(name)
        // NVMe hides the paths to a disk that it joins itself.
        if Files.exists(disk.appending("partition")) || Files.line(disk.appending("hidden")) == "1" { return nil }
        let identity = Files.line(disk.appending("device/wwid")) ?? Files.line(disk.appending("wwid"))
        return identity.flatMap { text in
            ["naa.", "eui.", "uuid.", "nvme.", "iqn."].contains { text.hasPrefix($0) } ? text : nil
        }
    }

    /// Partitions that stay as the table has them, and whose nodes show something else, as after a change by another
    /// host.
    private func misplaced(in plan: StoragePlan) -> [DiskConflict] {
        let used =
            plan.filesystems.map { ($0.partition, $0.node, $0.wanted.origin) }
            + plan.volumes.map { ($0.partition, $0.node, $0.wanted.origin) }
            + plan.arrays.flatMap { array in array.members.map { ($0.partition, $0.node, array.wanted.origin) } }
        return used.compactMap { address, node, origin in
            guard let disk = plan.disks.first(where: { $0.disk.node == address?.disk }), !disk.isWrittenInFull,
                let partition = disk.partitions.first(where: { $0.number == address?.number }),
                partition.change == .keep, node == disk.disk.partitionNode(partition.number)
            else { return nil }
            let wanted = disk.area(partition).bytes
            // A map that nobody uses is corrected, and the plan has a conflict for a map that somebody uses.
            guard let found = KernelPartitions.bytes(node, sysfs), found != wanted else { return nil }
            return DiskConflict(node, .misplaced(MisplacedPartition(found: found, wanted: wanted)), at: origin)
        }
    }
}
