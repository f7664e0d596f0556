// The plan as people read it: as a tree, and as one line per disk for the console.

import DiskFormats
import Reporting

extension StoragePlan {
    /// The plan as a tree: losses, then each disk, then warnings and a summary; at most 80 columns where names allow.
    public var planLines: [PlanLine] {
        var lines = destroyed.map { PlanLine("DESTROY  \($0.line)", .destroys) }
        for disk in disks { lines += tree(of: disk) }
        for array in arrays { lines += tree(of: array) }
        for volume in volumes where isAlone(volume) {
            lines.append(PlanLine("\(volume.node)   \(ByteCount(volume.area.bytes.length))", .heading))
            lines += tree(of: volume)
        }
        for filesystem in filesystems where isAlone(filesystem) {
            lines.append(PlanLine("\(filesystem.node)   \(ByteCount(filesystem.area.bytes.length))", .heading))
            lines.append(filesystem.line)
        }
        lines += warnings.map { PlanLine("warning: \($0)", .warns) }
        return lines + [PlanLine(summary, destroyed.isEmpty ? .heading : .destroys)]
    }

    /// The texts of ``planLines``.
    public var lines: [String] { planLines.map(\.text) }

    /// One line per disk or lone device: `/dev/vda: 1 partition and xfs "var" kept, nothing destroyed`.
    public var summaryLines: [String] {
        var lines = destroyed.map { "DESTROYS \($0.line)" }
        for disk in disks {
            let inside = volumes.filter { holds(disk, $0.partition, $0.node) }
            lines.append(
                summary(
                    of: disk.disk.node, disk, inside, filesystems.filter { holds(disk, $0.partition, $0.node) }))
        }
        for array in arrays { lines.append(summary(of: array)) }
        for volume in volumes where isAlone(volume) {
            lines.append(
                summary(of: volume.node, nil, [volume], filesystems.filter { $0.node == volume.wanted.mappedNode }))
        }
        for filesystem in filesystems where isAlone(filesystem) {
            lines.append(summary(of: filesystem.node, nil, [], [filesystem]))
        }
        return lines
    }

    private func holds(_ disk: DiskPlan, _ partition: PartitionAddress?, _ node: String) -> Bool {
        partition?.disk == disk.disk.node || node == disk.disk.node
    }

    private func isArray(_ node: String) -> Bool { arrays.contains { $0.wanted.node == node } }

    private func isAlone(_ volume: VolumePlan) -> Bool {
        !isArray(volume.node) && !disks.contains { holds($0, volume.partition, volume.node) }
    }

    /// Whether a filesystem is neither on a disk nor in an array or a volume of the config.
    private func isAlone(_ filesystem: FilesystemPlan) -> Bool {
        !isArray(filesystem.node) && !disks.contains { holds($0, filesystem.partition, filesystem.node) }
            && !volumes.contains { $0.wanted.mappedNode == filesystem.node }
    }

    private func tree(of volume: VolumePlan) -> [PlanLine] {
        [volume.line] + filesystems.filter { $0.node == volume.wanted.mappedNode }.map(\.line)
    }

    private func tree(of array: ArrayPlan) -> [PlanLine] {
        let members = array.members.map(\.node).joined(separator: ", ")
        let over = array.members.map(\.found.overwritten).first { !$0.isEmpty } ?? ""
        var lines = [
            PlanLine("\(array.wanted.node)   \(ByteCount(array.area.bytes.length)) on \(members)", .heading),
            array.action == .keep
                ? row("     \(array.title)", "keep, assemble", .keeps)
                : row("     \(array.title)", "create" + over, .changes),
        ]
        for volume in volumes where volume.node == array.wanted.node { lines += tree(of: volume) }
        return lines + filesystems.filter { $0.node == array.wanted.node }.map(\.line)
    }

    /// `/dev/md/data: raid1 "data" and xfs "var" kept, nothing destroyed`.
    private func summary(of array: ArrayPlan) -> String {
        let inside = volumes.filter { $0.node == array.wanted.node }
        let nodes = [array.wanted.node] + inside.map(\.wanted.mappedNode)
        let inner = filesystems.filter { $0.format != .none && nodes.contains($0.node) }
        func things(kept: Bool) -> String {
            listed(
                ((array.action == .keep) == kept ? [array.title] : [])
                    + inside.filter { ($0.action == .keep) == kept }.map(\.name)
                    + inner.filter { ($0.action == .keep) == kept }.map(\.name))
        }
        let parts = [(things(kept: true), "kept"), (things(kept: false), "created")].filter { !$0.0.isEmpty }
        let lost = destroyed.filter { nodes.contains($0.device) || array.members.map(\.node).contains($0.device) }
        return "\(array.wanted.node): " + parts.map { "\($0.0) \($0.1), " }.joined()
            + (lost.isEmpty ? "nothing destroyed" : "\(lost.count) destroyed")
    }

    private func tree(of disk: DiskPlan) -> [PlanLine] {
        let whole = disk.disk.content
        let table = disk.disk.table.name ?? (whole.kind == .blank ? "blank" : "\(whole)")
        var lines = [PlanLine("\(disk.disk.node)   \(ByteCount(disk.disk.size)), \(table)", .heading)]
        switch disk.action {
        case .create, .replace:
            lines.append(row("     GPT", "create" + (disk.disk.table == .none ? whole.overwritten : ""), .changes))
        case .repair: lines.append(row("     GPT", "repair its \(disk.disk.table.damage)", .changes))
        case .erase: lines.append(row("     \(table)", "erase", .destroys))
        case .keep, .edit: break
        }
        for volume in volumes where volume.node == disk.disk.node { lines += tree(of: volume) }
        for filesystem in filesystems where filesystem.node == disk.disk.node { lines.append(filesystem.line) }
        for partition in disk.partitions {
            lines.append(disk.line(partition))
            let node = disk.disk.partitionNode(partition.number)
            if let array = arrays.first(where: { $0.members.contains { $0.node == node } }) {
                lines.append(PlanLine("     member of \(array.title)", array.action == .keep ? .keeps : .changes))
            }
            for volume in volumes where volume.node == node { lines += tree(of: volume) }
            lines += filesystems.filter { $0.node == node }.map(\.line)
        }
        return lines
    }

    private func summary(
        of node: String, _ disk: DiskPlan?, _ volumes: [VolumePlan], _ filesystems: [FilesystemPlan]
    ) -> String {
        let named = disk?.partitions.filter { $0.entry != nil } ?? []
        func phrase(_ table: Bool, _ change: (PlannedPartition.Change) -> Bool, _ kept: Bool?) -> String {
            let partitions = named.filter { change($0.change) }.count
            let made = filesystems.filter { $0.format != .none && ($0.action == .keep) == kept }
            var things = table ? ["GPT"] : []
            if partitions > 0 { things.append(counted(partitions, "partition")) }
            things += volumes.filter { ($0.action == .keep) == kept }.map(\.name)
            things += made.count <= 2 ? made.map(\.name) : ["\(made.count) filesystems"]
            return listed(things)
        }
        var parts: [String] = []
        let kept = phrase(false, { $0 == .keep }, true)
        if !kept.isEmpty { parts.append("\(kept) kept") }
        let created = phrase(disk?.createsTable ?? false, { $0 == .create }, false)
        if !created.isEmpty { parts.append("\(created) created") }
        let changed = phrase(false, { $0 != .keep && $0 != .create }, nil)
        if !changed.isEmpty { parts.append("\(changed) changed") }
        if disk?.action == .repair { parts.append("GPT repaired") }
        let nodes =
            [node] + volumes.map(\.node)
            + (disk?.disk.table.partitions.map { disk?.disk.partitionNode($0.number) ?? "" } ?? [])
        let lost = destroyed.filter { nodes.contains($0.device) || filesystems.map(\.node).contains($0.device) }
        parts.append(lost.isEmpty ? "nothing destroyed" : "\(lost.count) destroyed")
        return "\(node): " + parts.joined(separator: ", ")
    }
}

extension DiskPlan {
    fileprivate func line(_ partition: PlannedPartition) -> PlanLine {
        let name = rightPadded("\"\(partition.label)\"", to: 9)
        let number = rightPadded("\(partition.number)", to: 3)
        let size = ByteCount(geometry.size(partition.sectors))
        let action =
            switch partition.change {
            case .keep: partition.entry == nil ? "left alone" : "keep"
            case .create: zeroed.contains(partition.number) ? "create, first MiB zeroed" : "create"
            case .recreate where zeroed.contains(partition.number): "create anew, first MiB zeroed"
            case .recreate(let from) where from.lowerBound == partition.sectors.lowerBound && !isLost(partition):
                "create anew, content stays"
            case .recreate: "create anew"
            case .resize(let from): "resize from \(ByteCount(geometry.size(from)))"
            }
        return row("  \(number)\(name)\(size)", action, partition.change == .keep ? .keeps : .changes)
    }

    private func isLost(_ partition: PlannedPartition) -> Bool {
        lost.contains { $0.number == partition.number }
    }
}

extension FilesystemPlan {
    /// `xfs "var"`.
    var name: String {
        let label = action == .keep ? found.signatures.first?.label : wanted.label
        return label.map { $0.isEmpty ? format.rawValue : "\(format.rawValue) \"\($0)\"" } ?? format.rawValue
    }

    fileprivate var line: PlanLine {
        var what = format == .none ? "no filesystem" : name
        if action == .keep, let used = found.signatures.first?.used { what += ", \(ByteCount(used)) used" }
        var does = action == .keep ? "keep" : action == .erase ? "erase \(found)" : "create" + found.overwritten
        if let path = wanted.path, !path.isEmpty, format.isMountable { does += ", mount at \(path)" }
        return row("     \(what)", does, action == .keep ? .keeps : action == .erase ? .destroys : .changes)
    }
}

extension VolumePlan {
    /// `LUKS2 "cache"`, with the name under which it is opened.
    var name: String { "LUKS2 \"\(wanted.name)\"" }

    fileprivate var line: PlanLine {
        action == .keep
            ? row("     \(name)", "keep, open", .keeps)
            : row("     \(name)", "create\(found.overwritten), open", .changes)
    }
}

extension Content {
    /// Words for remains that are overwritten and that nothing identifies.
    fileprivate var overwritten: String { kind == .unknown || kind == .noise ? " over \(self)" : "" }
}

/// A line of two columns: what it is, and what becomes of it.
private func row(_ what: String, _ does: String, _ meaning: PlanLine.Meaning) -> PlanLine {
    PlanLine(rightPadded(what, to: 36) + " " + does, meaning)
}

/// `a`, `a and b`, `a, b and c`.
private func listed(_ things: [String]) -> String {
    guard let last = things.last, things.count > 1 else { return things.first ?? "" }
    return things.dropLast().joined(separator: ", ") + " and " + last
}
