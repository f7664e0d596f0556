// The plan for all disks, in two steps, both without effects.
//
// First the partitions (`DiskLayout`), which tells where every filesystem will be; then, knowing what
// stands in each of these areas, the filesystems (`StoragePlan`). So all conflicts of all devices are
// found before the first write.

import IgnitionConfig
import Reporting

/// Step one: partitions planned, filesystems placed.
public struct DiskLayout: Equatable, Sendable {
    public var disks: [DiskPlan]
    public private(set) var conflicts: [DiskConflict]
    public private(set) var warnings: [String]

    private var placed: [Placed] = []

    private struct Placed: Equatable, Sendable {
        var entry: Int
        var wanted: IgnitionConfig.Filesystem
        var format: FilesystemFormat
        var target: FilesystemTarget
    }

    public init(_ storage: IgnitionConfig.Storage, on inventory: DiskInventory) {
        disks = []
        conflicts = []
        warnings = []
        planDisks(storage.disks, inventory)
        for (entry, wanted) in storage.filesystems.enumerated() {
            guard let name = wanted.format, !name.isEmpty else { continue }
            do throws(DiskConflict) {
                guard let format = FilesystemFormat(rawValue: name) else {
                    throw DiskConflict(wanted.device, .unknownFormat(name), at: wanted.origin)
                }
                guard let target = try target(wanted, storage, inventory) else { continue }
                if let other = placed.first(where: { $0.target.area == target.area }) {
                    throw DiskConflict(
                        wanted.device, .sameDevice(as: other.wanted.origin.describe()), at: wanted.origin)
                }
                placed.append(Placed(entry: entry, wanted: wanted, format: format, target: target))
            } catch {
                conflicts.append(error)
            }
        }
    }

    private mutating func planDisks(_ configs: [IgnitionConfig.Disk], _ inventory: DiskInventory) {
        for config in configs {
            guard let disk = inventory.disks.first(where: { $0.path == config.device }) else {
                conflicts.append(DiskConflict(config.device, .noSuchDevice, at: config.origin))
                continue
            }
            if let twin = disks.first(where: { $0.disk.node == disk.node }) {
                conflicts.append(DiskConflict(config.device, .sameDisk(as: twin.disk.path), at: config.origin))
                continue
            }
            let outcome = PartitionPlanner(config, on: disk).plan()
            disks.append(outcome.plan)
            conflicts += outcome.conflicts
            warnings += DiskLayout.warnings(outcome.plan)
        }
    }

    private static func warnings(_ plan: DiskPlan) -> [String] {
        var warnings: [String] = []
        if case .gpt(let gpt) = plan.disk.table, !gpt.damage.isEmpty, plan.action != .replace, plan.action != .erase {
            let damage = gpt.damage.map(\.rawValue).joined(separator: " and ")
            warnings.append(
                "\(plan.disk.node): the GPT has lost its \(damage); "
                    + (plan.action == .keep ? "left as it is, since nothing else changes" : "repaired with this change")
            )
        }
        for partition in plan.partitions where partition.entry != nil && !partition.label.isEmpty {
            let same = plan.partitions.filter { $0.label == partition.label }
            if same.count > 1, same.first(where: { $0.entry != nil })?.number == partition.number {
                let numbers = same.map { String($0.number) }.joined(separator: ", ")
                warnings.append("\(plan.disk.node): partitions \(numbers) share the label \"\(partition.label)\"")
            }
        }
        return warnings
    }

    // MARK: Where filesystems are

    /// `nil` where a partition that could not be planned may be meant: that conflict says enough.
    private mutating func target(
        _ wanted: IgnitionConfig.Filesystem, _ storage: IgnitionConfig.Storage, _ inventory: DiskInventory
    ) throws(DiskConflict) -> FilesystemTarget? {
        let names = DeviceName(wanted.device)
        let existing = inventory.devices.first { $0.path == wanted.device }
        let planned = disks.flatMap { disk in
            disk.partitions.filter { names.names($0, of: disk.disk) }.map { (disk, $0) }
        }
        if planned.count > 1 {
            let nodes = planned.map { $0.0.disk.partitionNode($0.1.number) }
            throw DiskConflict(wanted.device, .ambiguousDevice(nodes), at: wanted.origin)
        }
        if let (disk, partition) = planned.first {
            let target = try target(partition, of: disk, wanted)
            if let existing, existing.node != target.node, existing.partition?.disk != disk.disk.node {
                warnings.append(
                    "\(wanted.device) also names \(existing.node); the config's own \(target.node) is meant")
            }
            return target
        }
        if !conflicts.isEmpty, storage.mayBePlanned(wanted.device) { return nil }
        guard let existing else { throw DiskConflict(wanted.device, .noSuchDevice, at: wanted.origin) }
        if let address = existing.partition, let disk = disks.first(where: { $0.disk.node == address.disk }) {
            guard let old = disk.disk.table.partitions.first(where: { $0.number == address.number }),
                let partition = disk.survivor(of: old)
            else { throw DiskConflict(wanted.device, .deviceRemoved, at: wanted.origin) }
            return try target(partition, of: disk, wanted)
        }
        if let disk = disks.first(where: { $0.disk.node == existing.node }) {
            return try wholeDisk(disk, existing, wanted)
        }
        return FilesystemTarget(
            node: existing.node, area: DiskArea(node: existing.node, bytes: 0..<existing.size),
            partition: existing.partition, users: existing.users)
    }

    private func target(
        _ partition: PlannedPartition, of disk: DiskPlan, _ wanted: IgnitionConfig.Filesystem
    ) throws(DiskConflict) -> FilesystemTarget {
        let node = disk.disk.partitionNode(partition.number)
        // A table can say that two partitions share sectors; writing to one would then destroy the other.
        if let other = disk.partitions.first(where: {
            $0.number != partition.number && $0.sectors.overlaps(partition.sectors)
        }) {
            throw DiskConflict(node, .overlaps(number: other.number), at: wanted.origin)
        }
        let old = disk.disk.table.partitions.filter { $0.sectors.overlaps(partition.sectors) }
        return FilesystemTarget(
            node: node, area: disk.area(partition),
            partition: PartitionAddress(disk: disk.disk.node, number: partition.number), users: old.flatMap(\.users))
    }

    private func wholeDisk(
        _ disk: DiskPlan, _ existing: FoundDevice, _ wanted: IgnitionConfig.Filesystem
    ) throws(DiskConflict) -> FilesystemTarget {
        let namesPartitions = disk.partitions.contains { $0.entry != nil }
        let keepsTable = disk.action != .erase && disk.disk.table != .none
        guard !namesPartitions, !keepsTable || wanted.wipeFilesystem == true else {
            throw DiskConflict(existing.node, .diskIsPartitioned, at: wanted.origin)
        }
        let users = existing.users + disk.disk.table.partitions.flatMap(\.users)
        return FilesystemTarget(node: existing.node, area: disk.wholeArea, users: users)
    }

    // MARK: Step two

    /// The areas whose content step two needs to know: where filesystems will be, what goes, what shrinks.
    public var areas: [DiskArea] {
        var areas = placed.map(\.target.area)
        for disk in disks {
            areas += disk.lost.map { disk.area($0.sectors) } + disk.partitions.compactMap { disk.formerArea($0) }
            if let whole = clearedDisk(disk) { areas += whole.disk.table.partitions.map { disk.area($0.sectors) } }
        }
        var seen: Set<DiskArea> = []
        return areas.filter { !$0.bytes.isEmpty && seen.insert($0).inserted }
    }

    /// The disk itself, where a filesystem of the config takes the place of its partitions.
    private func clearedDisk(_ disk: DiskPlan) -> DiskPlan? {
        let takesAll = placed.contains { $0.target.area == disk.wholeArea }
        return takesAll && disk.action != .erase ? disk : nil
    }

    /// - Parameter contents: What stands in each of ``areas`` now; one that is missing counts as blank.
    public func plan(_ contents: [DiskArea: Content]) throws(DiskRefusal) -> StoragePlan {
        var conflicts = conflicts
        var warnings = warnings
        var filesystems: [FilesystemPlan] = []
        let truncations = disks.flatMap { disk in disk.shrunk.compactMap { truncation($0, of: disk, contents) } }
        conflicts += truncations
        for item in placed where !truncations.contains(where: { $0.device == item.target.node }) {
            let found = content(of: item.target, contents)
            do throws(DiskConflict) {
                let planner = FilesystemPlanner(
                    wanted: item.wanted, format: item.format, target: item.target, found: found)
                let action = try planner.action()
                filesystems.append(
                    FilesystemPlan(
                        entry: item.entry, wanted: item.wanted, format: item.format, node: item.target.node,
                        area: item.target.area, partition: item.target.partition, found: found, action: action))
                if found.signatures.count > 1, action == .keep {
                    warnings.append("\(item.target.node) carries several signatures: \(found); the first one counts")
                }
            } catch {
                conflicts.append(error)
            }
        }
        var destroyed = disks.flatMap { destructions($0, contents) }
        destroyed += filesystems.flatMap { destructions($0, contents) }
        guard conflicts.isEmpty else { throw DiskRefusal(conflicts) }
        return StoragePlan(disks: disks, filesystems: filesystems, destroyed: destroyed, warnings: warnings)
    }

    /// What will stand there when the tables are written and before any filesystem is made.
    private func content(of target: FilesystemTarget, _ contents: [DiskArea: Content]) -> Content {
        if let disk = disks.first(where: { $0.wholeArea == target.area }), disk.action == .erase { return .blank }
        var content = contents[target.area] ?? .blank
        // Some signatures stand at the end: where the partition's end moves, the new area hides them.
        for disk in disks where disk.disk.node == target.partition?.disk {
            guard let now = disk.partitions.first(where: { $0.number == target.partition?.number }),
                let former = disk.formerArea(now), let before = contents[former]
            else { continue }
            let known = Set(content.signatures.map(\.type))
            content.signatures = before.signatures.filter { !known.contains($0.type) } + content.signatures
            content.table = content.table ?? before.table
        }
        return content
    }

    private func truncation(
        _ shrunk: DiskPlan.Shrunk, of disk: DiskPlan, _ contents: [DiskArea: Content]
    ) -> DiskConflict? {
        let content = contents[disk.area(shrunk.old.sectors)] ?? .blank
        let size = disk.geometry.size(shrunk.now.sectors)
        let fits = content.table == nil && content.signatures.allSatisfy { ($0.size ?? .max) <= size }
        let isWiped = placed.contains {
            $0.target.area == disk.area(shrunk.now) && $0.wanted.wipeFilesystem == true
        }
        guard !fits, !isWiped else { return nil }
        return DiskConflict(
            disk.disk.partitionNode(shrunk.old.number), .wouldTruncate(content),
            at: disk.origin(ofNumber: shrunk.now.number))
    }

    // MARK: What is destroyed

    private func destructions(_ disk: DiskPlan, _ contents: [DiskArea: Content]) -> [Destruction] {
        var destroyed: [Destruction] = []
        let wipesTable = disk.action == .replace || disk.action == .erase
        if wipesTable, !disk.disk.content.signatures.isEmpty {
            destroyed.append(
                Destruction(
                    device: disk.disk.node, label: "", size: disk.disk.size,
                    content: Content(disk.disk.content.signatures), reason: "wipeTable", origin: disk.wanted.origin))
        }
        for old in disk.lost {
            destroyed.append(
                Destruction(
                    device: disk.disk.partitionNode(old.number), label: old.label,
                    size: disk.geometry.size(old.sectors), content: contents[disk.area(old.sectors)] ?? .blank,
                    reason: wipesTable ? "wipeTable" : "wipePartitionEntry",
                    origin: wipesTable ? disk.wanted.origin : disk.origin(ofNumber: old.number)))
        }
        if let whole = clearedDisk(disk), let filesystem = placed.first(where: { $0.target.area == disk.wholeArea }) {
            destroyed += whole.disk.table.partitions.map { old in
                Destruction(
                    device: disk.disk.partitionNode(old.number), label: old.label,
                    size: disk.geometry.size(old.sectors), content: contents[disk.area(old.sectors)] ?? .blank,
                    reason: "wipeFilesystem", origin: filesystem.wanted.origin)
            }
        }
        return destroyed
    }

    private func destructions(_ plan: FilesystemPlan, _ contents: [DiskArea: Content]) -> [Destruction] {
        guard plan.action != .keep, !plan.found.isBlank, plan.wanted.wipeFilesystem == true else { return [] }
        return [
            Destruction(
                device: plan.node, label: "", size: plan.area.bytes.length, content: plan.found,
                reason: "wipeFilesystem", origin: plan.wanted.origin)
        ]
    }
}

extension DiskPlan {
    /// The area a partition had, where it starts as it did and ends elsewhere.
    func formerArea(_ now: PlannedPartition) -> DiskArea? {
        switch now.change {
        case .keep, .create: nil
        case .recreate(let from), .resize(let from):
            from.lowerBound == now.sectors.lowerBound && from != now.sectors ? area(from) : nil
        }
    }

    struct Shrunk: Equatable {
        var old: FoundPartition
        var now: PlannedPartition
    }

    /// Partitions that are resized and end before they did.
    var shrunk: [Shrunk] {
        partitions.compactMap { now in
            guard case .resize(let from) = now.change, now.sectors.upperBound < from.upperBound,
                let old = disk.table.partitions.first(where: { $0.number == now.number })
            else { return nil }
            return Shrunk(old: old, now: now)
        }
    }

    /// Where the config asks for that partition, or for the disk as a whole.
    func origin(ofNumber number: Int) -> IgnitionConfig.Origin {
        let entry =
            partitions.first { $0.number == number }?.entry
            ?? wanted.partitions.firstIndex { $0.number == number }
        return entry.map { wanted.partitions[$0].origin } ?? wanted.origin
    }
}
