// What a plan makes of the disks, for the report and for the sum of the plan.

import BootReport

extension StoragePlan {
    /// What the plan keeps, creates, changes and destroys.
    ///
    /// A table, a partition, an array, a LUKS volume and a filesystem count as one thing each; partitions that the
    /// config does not name do not count.
    public var changes: ChangeSummary {
        var changes = ChangeSummary(destroyed: destroyed.map(\.line))
        for disk in disks {
            if disk.createsTable { changes.created.append("GPT on \(disk.disk.node)") }
            if disk.action == .repair { changes.changed.append("GPT on \(disk.disk.node)") }
            for partition in disk.partitions where partition.entry != nil {
                let label = partition.label.isEmpty ? "" : " \"\(partition.label)\""
                let name = disk.disk.partitionNode(partition.number) + label
                switch partition.change {
                case .keep: changes.kept.append(name)
                case .create: changes.created.append(name)
                case .recreate, .resize: changes.changed.append(name)
                }
            }
        }
        func add(_ name: String, isKept: Bool) {
            if isKept { changes.kept.append(name) } else { changes.created.append(name) }
        }
        for array in arrays { add(array.title, isKept: array.action == .keep) }
        for volume in volumes { add("\(volume.name) on \(volume.node)", isKept: volume.action == .keep) }
        for filesystem in filesystems where filesystem.format != .none {
            add("\(filesystem.name) on \(filesystem.node)", isKept: filesystem.action == .keep)
        }
        return changes
    }
}
