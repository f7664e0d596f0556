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
    /// Nodes of disks whose partitions could not be planned.
    private var refused: Set<String> = []
    /// Devices outside `storage.disks` that hold partitions.
    private var partitioned: [FoundDevice] = []

    private var placed: [Placed] = []
    /// Where the members of RAID arrays are, or will be.
    private var arrays: [PlacedArray] = []
    /// Where LUKS volumes are, or will be.
    public private(set) var volumes: [PlacedVolume] = []

    private struct Placed: Equatable, Sendable {
        var entry: Int
        var wanted: IgnitionConfig.Filesystem
        var format: FilesystemFormat
        var target: FilesystemTarget
        /// The entry of `storage.luks` whose inside it stands in.
        var volume: Int?
        /// The entry of `storage.raid` whose inside it stands in.
        var array: Int?
    }

    /// An entry of the config that takes a device for itself.
    private struct Claim {
        var device: String
        /// Whether the config lets go what the device holds.
        var wipes: Bool
        var origin: IgnitionConfig.Origin
    }

    public init(_ storage: IgnitionConfig.Storage, on inventory: DiskInventory) {
        disks = []
        conflicts = []
        warnings = []
        partitioned = inventory.devices.filter { !$0.partitions.isEmpty }
        planDisks(storage.disks, inventory)
        placeArrays(storage, inventory)
        placeVolumes(storage, inventory)
        for (entry, wanted) in storage.filesystems.enumerated() {
            guard let name = wanted.format, !name.isEmpty else { continue }
            do throws(DiskConflict) {
                guard let format = FilesystemFormat(rawValue: name) else {
                    throw DiskConflict(wanted.device, .unknownFormat(name), at: wanted.origin)
                }
                if let path = wanted.path, format.isMountable, path.hasPrefix("/"), path.allSatisfy({ $0 == "/" }) {
                    throw DiskConflict(wanted.device, .pathIsRoot, at: wanted.origin)
                }
                if let volume = storage.volume(named: wanted.device) {
                    try place(wanted, entry, format, in: volume)
                    continue
                }
                if let array = storage.array(named: wanted.device) {
                    guard let target = inside(array) else { continue }
                    try refuseTwins(Claim(device: wanted.device, wipes: false, origin: wanted.origin), target)
                    placed.append(Placed(entry: entry, wanted: wanted, format: format, target: target, array: array))
                    continue
                }
                let claim = Claim(
                    device: wanted.device, wipes: wanted.wipeFilesystem == true, origin: wanted.origin)
                guard let target = try target(claim, storage, inventory) else { continue }
                try refuseTwins(claim, target)
                placed.append(Placed(entry: entry, wanted: wanted, format: format, target: target))
            } catch {
                conflicts.append(error)
            }
        }
        repairTablesInUse()
        for disk in disks { warnings += DiskLayout.warnings(disk) }
    }

    /// The kernel reads the first copy of a GPT alone, and only behind a protective MBR: what stands on its partitions
    /// cannot be reached without them.
    private mutating func repairTablesInUse() {
        let used = Set((volumes.map(\.partition) + placed.map(\.target.partition)).compactMap { $0?.disk })
        for index in disks.indices where disks[index].action == .keep && used.contains(disks[index].disk.node) {
            guard case .gpt(let gpt) = disks[index].disk.table, disks[index].owner == nil else { continue }
            if gpt.damage.contains(.primary) || gpt.damage.contains(.protectiveMBR) { disks[index].action = .repair }
        }
    }

    private mutating func placeVolumes(_ storage: IgnitionConfig.Storage, _ inventory: DiskInventory) {
        for (entry, wanted) in storage.luks.enumerated() {
            let claim = Claim(
                device: wanted.device ?? "", wipes: wanted.wipeVolume == true, origin: wanted.origin)
            do throws(DiskConflict) {
                let array = storage.array(named: claim.device)
                let place = if let array { inside(array) } else { try target(claim, storage, inventory) }
                guard let place else { continue }
                try refuseTwins(claim, place)
                volumes.append(
                    PlacedVolume(
                        entry: entry, wanted: wanted, node: place.node, area: place.area,
                        partition: place.partition, array: array, users: place.users, wasThere: place.wasThere))
            } catch {
                conflicts.append(error)
            }
        }
    }

    private mutating func placeArrays(_ storage: IgnitionConfig.Storage, _ inventory: DiskInventory) {
        for (entry, wanted) in storage.raid.enumerated() {
            var array = PlacedArray(entry: entry, wanted: wanted, members: [])
            var isWhole = true
            for device in wanted.devices {
                let claim = Claim(device: device, wipes: false, origin: wanted.origin)
                do throws(DiskConflict) {
                    if let maker = storage.maker(of: device) {
                        throw DiskConflict(wanted.node, .memberIsMade(device, by: maker), at: wanted.origin)
                    }
                    // What is not there need not stop the boot: the others decide.
                    guard
                        storage.mayBePlanned(device, inventory.nodes)
                            || inventory.devices.contains(where: { $0.path == device })
                    else {
                        array.members.append(PlacedArray.Member(device: device))
                        continue
                    }
                    guard let target = try target(claim, storage, inventory) else {
                        isWhole = false
                        continue
                    }
                    try refuseTwins(claim, target)
                    guard !array.members.contains(where: { $0.target?.area == target.area }) else {
                        throw DiskConflict(device, .sameDevice(as: wanted.origin.describe()), at: wanted.origin)
                    }
                    array.members.append(
                        PlacedArray.Member(device: device, target: target, isLetGo: letsGo(of: target)))
                } catch {
                    isWhole = false
                    conflicts.append(error)
                }
            }
            // Where a member could not be placed, its own conflict says so.
            if isWhole { arrays.append(array) }
        }
    }

    /// Whether the plan takes away the partition or the table that the content of an area belongs to.
    private func letsGo(of target: FilesystemTarget) -> Bool {
        guard let disk = disks.first(where: { $0.disk.node == target.area.node }) else { return false }
        let old = disk.disk.table.partitions.filter { disk.area($0.sectors).bytes.overlaps(target.area.bytes) }
        return old.isEmpty ? disk.action == .replace : old.allSatisfy { disk.lost.contains($0) }
    }

    /// The inside of an array, where that could be placed.
    private func inside(_ array: Int) -> FilesystemTarget? {
        guard let outer = arrays.first(where: { $0.entry == array }) else { return nil }
        return FilesystemTarget(node: outer.wanted.node, area: outer.area)
    }

    /// A filesystem inside a LUKS volume of the config. Where that one could not be placed, its own conflict says so.
    private mutating func place(
        _ wanted: IgnitionConfig.Filesystem, _ entry: Int, _ format: FilesystemFormat, in volume: Int
    ) throws(DiskConflict) {
        guard let outer = volumes.first(where: { $0.entry == volume }) else { return }
        // The header takes some of it; how much is known once it is there.
        let area = DiskArea(node: outer.wanted.mappedNode, bytes: 0..<outer.area.bytes.length)
        let target = FilesystemTarget(node: outer.wanted.mappedNode, area: area, partition: outer.partition)
        try refuseTwins(Claim(device: wanted.device, wipes: false, origin: wanted.origin), target)
        placed.append(Placed(entry: entry, wanted: wanted, format: format, target: target, volume: volume))
    }

    private func refuseTwins(_ claim: Claim, _ target: FilesystemTarget) throws(DiskConflict) {
        let other =
            arrays.first { $0.members.contains { $0.target?.area == target.area } }?.wanted.origin
            ?? volumes.first { $0.area == target.area }?.wanted.origin
            ?? placed.first { $0.target.area == target.area }?.wanted.origin
        if let other { throw DiskConflict(claim.device, .sameDevice(as: other.describe()), at: claim.origin) }
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
            if !outcome.conflicts.isEmpty { refused.insert(disk.node) }
            conflicts += outcome.conflicts
        }
    }

    private static func warnings(_ plan: DiskPlan) -> [String] {
        var warnings: [String] = []
        if case .gpt(let gpt) = plan.disk.table, !gpt.damage.isEmpty, plan.action != .replace, plan.action != .erase {
            warnings.append(
                "\(plan.disk.node): the GPT has lost its \(plan.disk.table.damage); "
                    + (plan.action == .keep ? "left as it is, since nothing needs it" : "repaired")
            )
        }
        let ofLabel = Dictionary(grouping: plan.partitions, by: \.label)
        for partition in plan.partitions where partition.entry != nil && !partition.label.isEmpty {
            let same = ofLabel[partition.label] ?? []
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
        _ claim: Claim, _ storage: IgnitionConfig.Storage, _ inventory: DiskInventory
    ) throws(DiskConflict) -> FilesystemTarget? {
        let names = DeviceName(claim.device)
        let existing = inventory.devices.first { $0.path == claim.device }
        let planned = disks.flatMap { disk in
            disk.partitions.filter { names.names($0, of: disk.disk, inventory.nodes) }.map { (disk, $0) }
        }
        if planned.count > 1 {
            let nodes = planned.map { $0.0.disk.partitionNode($0.1.number) }
            throw DiskConflict(claim.device, .ambiguousDevice(nodes), at: claim.origin)
        }
        if let (disk, partition) = planned.first {
            let target = try target(partition, of: disk, claim)
            if let existing, existing.node != target.node, existing.partition?.disk != disk.disk.node {
                // At the next boot the name could lead to either.
                if isNewName(names, partition, of: disk), stays(existing) {
                    throw DiskConflict(
                        claim.device, .namedElsewhere(existing: existing.node, own: target.node), at: claim.origin)
                }
                warnings.append(
                    "\(claim.device) also names \(existing.node); the config's own \(target.node) is meant")
            }
            return target
        }
        if !conflicts.isEmpty, storage.mayBePlanned(claim.device, inventory.nodes) { return nil }
        guard let existing else { throw DiskConflict(claim.device, .noSuchDevice, at: claim.origin) }
        if let twins = inventory.twins[claim.device], twins.count > 1 {
            throw DiskConflict(claim.device, .ambiguousLink(twins), at: claim.origin)
        }
        if let address = existing.partition, let disk = disks.first(where: { $0.disk.node == address.disk }) {
            guard let old = disk.disk.table.partitions.first(where: { $0.number == address.number }),
                let partition = disk.survivor(of: old)
            else {
                // Nothing is removed by a plan that was refused; its own conflicts say enough.
                if refused.contains(address.disk) { return nil }
                throw DiskConflict(claim.device, .deviceRemoved, at: claim.origin)
            }
            return try target(partition, of: disk, claim)
        }
        if let disk = disks.first(where: { $0.disk.node == existing.node }) {
            return try wholeDisk(disk, existing, claim)
        }
        return FilesystemTarget(
            node: existing.node, area: DiskArea(node: existing.node, bytes: 0..<existing.size),
            partition: existing.partition, users: existing.users, wasThere: existing.partition != nil)
    }

    /// Whether a partition has not been called so before.
    private func isNewName(_ name: DeviceName, _ partition: PlannedPartition, of disk: DiskPlan) -> Bool {
        if case .create = partition.change { return true }
        return !disk.disk.table.partitions.contains { $0.number == partition.number && name.named($0) }
    }

    /// Whether the plan leaves a device where it is.
    private func stays(_ device: FoundDevice) -> Bool {
        guard let address = device.partition, let disk = disks.first(where: { $0.disk.node == address.disk }),
            let old = disk.disk.table.partitions.first(where: { $0.number == address.number })
        else { return true }
        return disk.survivor(of: old) != nil
    }

    private func target(
        _ partition: PlannedPartition, of disk: DiskPlan, _ claim: Claim
    ) throws(DiskConflict) -> FilesystemTarget {
        let node = disk.disk.partitionNode(partition.number)
        if disk.disk.isMap { throw DiskConflict(disk.disk.node, .partitionsOfMap, at: claim.origin) }
        // A table can say that two partitions share sectors; writing to one would then destroy the other.
        if let other = disk.partitions.first(where: {
            $0.number != partition.number && $0.sectors.overlaps(partition.sectors)
        }) {
            throw DiskConflict(node, .overlaps(number: other.number), at: claim.origin)
        }
        let old = disk.disk.table.partitions.filter { $0.sectors.overlaps(partition.sectors) }
        return FilesystemTarget(
            node: node, area: disk.area(partition),
            partition: PartitionAddress(disk: disk.disk.node, number: partition.number), users: old.flatMap(\.users),
            wasThere: partition.change != .create)
    }

    private func wholeDisk(
        _ disk: DiskPlan, _ existing: FoundDevice, _ claim: Claim
    ) throws(DiskConflict) -> FilesystemTarget {
        let namesPartitions = disk.partitions.contains { $0.entry != nil }
        let keepsTable = disk.action != .erase && disk.disk.table != .none
        guard !namesPartitions, !keepsTable || claim.wipes else {
            throw DiskConflict(existing.node, .diskIsPartitioned, at: claim.origin)
        }
        let users = existing.users + disk.disk.table.partitions.flatMap(\.users)
        return FilesystemTarget(node: existing.node, area: disk.wholeArea, users: users)
    }

    // MARK: Step two

    /// The areas whose content step two needs to know: where filesystems will be, what goes, what shrinks.
    public var areas: [DiskArea] {
        var areas = arrays.flatMap(\.members).compactMap(\.target?.area)
        areas += volumes.filter { $0.array == nil }.map(\.area)
        areas += placed.filter { $0.volume == nil && $0.array == nil }.map(\.target.area)
        for disk in disks {
            areas += disk.lost.map { disk.area($0.sectors) } + disk.partitions.compactMap { disk.formerArea($0) }
            areas += disk.heads.map { disk.area($0) }
            if disk.owner != nil { areas += disk.named.map { disk.area($0.sectors) } }
            if let whole = clearedDisk(disk) { areas += whole.disk.table.partitions.map { disk.area($0.sectors) } }
        }
        areas += cleared.flatMap { device in device.partitions.map { device.area($0) } }
        var seen: Set<DiskArea> = []
        return areas.filter { !$0.bytes.isEmpty && seen.insert($0).inserted }
    }

    /// The disk itself, where a filesystem of the config takes the place of its partitions.
    private func clearedDisk(_ disk: DiskPlan) -> DiskPlan? {
        let takesAll = (placed.map(\.target.area) + volumes.map(\.area)).contains(disk.wholeArea)
        return takesAll && disk.action != .erase ? disk : nil
    }

    /// Devices outside `storage.disks` whose partitions something of the config takes the place of.
    private var cleared: [FoundDevice] {
        let taken = placed.map(\.target.area) + volumes.map(\.area)
        return partitioned.filter { device in
            taken.contains(DiskArea(node: device.node, bytes: 0..<device.size))
                && !disks.contains { $0.disk.node == device.node }
        }
    }

    /// What becomes of the arrays, so that those that stay can be looked into.
    public func arrayPlans(_ contents: [DiskArea: Content]) -> [ArrayPlan] {
        var conflicts: [DiskConflict] = []
        var warnings: [String] = []
        return arrayPlans(contents, &conflicts, &warnings)
    }

    private func arrayPlans(
        _ contents: [DiskArea: Content], _ conflicts: inout [DiskConflict], _ warnings: inout [String]
    ) -> [ArrayPlan] {
        arrays.compactMap { array in
            array.plan({ content(of: $0, contents) }, conflicts: &conflicts, warnings: &warnings)
        }
    }

    /// - Parameters:
    ///   - contents: What stands in each of ``areas`` now, and in the arrays that stay; one that is missing
    ///     was not looked at, and nothing is written there.
    ///   - found: What is known of the LUKS2 volumes that are there, by their entry in `storage.luks`.
    public func plan(
        _ contents: [DiskArea: Content], volumes found: [Int: FoundVolume] = [:]
    ) throws(DiskRefusal) -> StoragePlan {
        var conflicts = conflicts
        var warnings = warnings
        var filesystems: [FilesystemPlan] = []
        let truncations = disks.flatMap { disk in disk.moved.compactMap { truncation($0, of: disk, contents) } }
        conflicts += truncations + disks.compactMap { keptBesideOwner($0, contents) }
        let arrayPlans = arrayPlans(contents, &conflicts, &warnings)
        func isSettled(_ array: Int?) -> Bool { array == nil || arrayPlans.contains { $0.entry == array } }
        var volumePlans: [VolumePlan] = []
        for volume in volumes
        where !truncations.contains(where: { $0.device == volume.node }) && isSettled(volume.array) {
            do throws(DiskConflict) {
                let isNew = arrayPlans.contains { $0.entry == volume.array && $0.action == .create }
                let content = isNew ? .blank : content(of: volume.target, contents)
                volumePlans.append(try volume.plan(content, found[volume.entry]))
            } catch {
                conflicts.append(error)
            }
        }
        for item in placed
        where !truncations.contains(where: { $0.device == item.target.node }) && isSettled(item.array) {
            var found = item.volume.map { found[$0]?.content ?? .notLooked } ?? content(of: item.target, contents)
            if let volume = item.volume {
                guard let outer = volumePlans.first(where: { $0.entry == volume }) else { continue }
                if outer.action == .create { found = .blank }
            }
            if arrayPlans.contains(where: { $0.entry == item.array && $0.action == .create }) { found = .blank }
            do throws(DiskConflict) {
                let planner = FilesystemPlanner(
                    wanted: item.wanted, format: item.format, target: item.target, found: found)
                let action = try planner.action()
                filesystems.append(
                    FilesystemPlan(
                        entry: item.entry, wanted: item.wanted, format: item.format, node: item.target.node,
                        area: item.target.area, partition: item.target.partition, found: found, action: action))
            } catch {
                conflicts.append(error)
            }
        }
        var destroyed = disks.flatMap { destructions($0, contents) }
        destroyed += arrayPlans.flatMap { destructions($0, contents) }
        destroyed += cleared.flatMap { destructions($0, filesystems, volumePlans, contents) }
        destroyed += volumePlans.compactMap(\.destruction)
        destroyed += filesystems.flatMap { destructions($0, contents) }
        guard conflicts.isEmpty else { throw DiskRefusal(conflicts) }
        return StoragePlan(
            disks: disks.map { zeroing($0, contents) }, arrays: arrayPlans, volumes: volumePlans,
            filesystems: filesystems, destroyed: destroyed, warnings: warnings)
    }

    /// What will stand there when the tables are written and before any filesystem is made.
    private func content(of target: FilesystemTarget, _ contents: [DiskArea: Content]) -> Content {
        if let disk = disks.first(where: { $0.wholeArea == target.area }), disk.action == .erase { return .blank }
        var content = contents[target.area] ?? .notLooked
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

    /// What would be cut off, or would not find its metadata, where the end of a partition moves.
    private func truncation(
        _ moved: DiskPlan.Moved, of disk: DiskPlan, _ contents: [DiskArea: Content]
    ) -> DiskConflict? {
        let content = contents[disk.area(moved.old.sectors)] ?? .notLooked
        guard !isWiped(disk.area(moved.now)) else { return nil }
        func conflict(_ problem: DiskConflict.Problem) -> DiskConflict {
            DiskConflict(
                disk.disk.partitionNode(moved.old.number), problem, at: disk.origin(ofNumber: moved.now.number))
        }
        if content.kind == .notLooked { return conflict(.notLooked) }
        if content.table == "gpt" || content.signatures.contains(where: \.isAtTheEnd) {
            return conflict(.metadataAtEnd(content))
        }
        let size = disk.geometry.size(moved.now.sectors)
        let isShrunk = moved.now.sectors.upperBound < moved.old.sectors.upperBound
        let fits = content.table == nil && content.signatures.allSatisfy { ($0.size ?? .max) <= size }
        return moved.isResized && isShrunk && !fits ? conflict(.wouldTruncate(content)) : nil
    }

    /// Whether the config lets go what the area holds.
    private func isWiped(_ area: DiskArea) -> Bool {
        placed.contains { $0.target.area == area && $0.wanted.wipeFilesystem == true }
            || volumes.contains { $0.area == area && $0.wanted.wipeVolume == true }
    }

    /// A table may be wiped with what stands beside it, but never partitions that the config keeps.
    private func keptBesideOwner(_ disk: DiskPlan, _ contents: [DiskArea: Content]) -> DiskConflict? {
        guard let owner = disk.owner, disk.action == .replace || disk.action == .erase else { return nil }
        let kept = disk.named.compactMap { old -> String? in
            guard let now = disk.survivor(of: old), !isWiped(disk.area(now)) else { return nil }
            let content = contents[disk.area(old.sectors)] ?? .notLooked
            guard content.isKnown || content.kind == .notLooked else { return nil }
            return "\(disk.disk.partitionNode(old.number)) \(content)"
        }
        guard !kept.isEmpty else { return nil }
        return DiskConflict(disk.disk.node, .ownerBesideKept(owner, kept: kept), at: disk.wanted.origin)
    }

    /// Never where something known begins, nor over what an old entry holds: that stays until it is told.
    private func zeroing(_ disk: DiskPlan, _ contents: [DiskArea: Content]) -> DiskPlan {
        var disk = disk
        disk.zeroed = Set(
            disk.heads.filter { partition in
                switch contents[disk.area(partition)]?.kind {
                case .blank, .unknown, .noise: true
                case .notLooked, .known, nil: false
                }
            }.map(\.number))
        return disk
    }

    // MARK: What is destroyed

    private func destructions(_ disk: DiskPlan, _ contents: [DiskArea: Content]) -> [Destruction] {
        var destroyed: [Destruction] = []
        let wipesTable = disk.action == .replace || disk.action == .erase
        var whole = disk.disk.content
        whole.table = whole.table ?? disk.unlistedTable
        if wipesTable, whole.isKnown {
            destroyed.append(
                Destruction(
                    device: disk.disk.node, label: "", size: disk.disk.size, content: whole, reason: "wipeTable",
                    origin: disk.wanted.origin))
        }
        for old in disk.lost {
            destroyed.append(
                Destruction(
                    device: disk.disk.partitionNode(old.number), label: old.label,
                    size: disk.geometry.size(old.sectors), content: contents[disk.area(old.sectors)] ?? .notLooked,
                    reason: wipesTable ? "wipeTable" : "wipePartitionEntry",
                    origin: wipesTable ? disk.wanted.origin : disk.origin(ofNumber: old.number)))
        }
        if let whole = clearedDisk(disk) {
            let filesystem = placed.first { $0.target.area == disk.wholeArea }?.wanted.origin
            let volume = volumes.first { $0.area == disk.wholeArea }?.wanted.origin
            destroyed += whole.disk.table.partitions.map { old in
                Destruction(
                    device: disk.disk.partitionNode(old.number), label: old.label,
                    size: disk.geometry.size(old.sectors), content: contents[disk.area(old.sectors)] ?? .notLooked,
                    reason: filesystem == nil ? "wipeVolume" : "wipeFilesystem",
                    origin: filesystem ?? volume ?? disk.wanted.origin)
            }
        }
        return destroyed
    }

    /// The partitions of a device that is not among the config's disks.
    private func destructions(
        _ device: FoundDevice, _ filesystems: [FilesystemPlan], _ volumes: [VolumePlan],
        _ contents: [DiskArea: Content]
    ) -> [Destruction] {
        let filesystem = filesystems.first { $0.node == device.node && $0.action != .keep }
        let volume = volumes.first { $0.node == device.node && $0.action != .keep }
        guard let origin = filesystem?.wanted.origin ?? volume?.wanted.origin else { return [] }
        return device.partitions.map { old in
            Destruction(
                device: partitionNodeName(disk: device.node, number: old.number), label: old.label,
                size: device.area(old).bytes.length, content: contents[device.area(old)] ?? .notLooked,
                reason: filesystem == nil ? "wipeVolume" : "wipeFilesystem", origin: origin)
        }
    }

    /// Only what belongs to no partition of the old table: those that go are told already.
    private func destructions(_ array: ArrayPlan, _ contents: [DiskArea: Content]) -> [Destruction] {
        array.members.compactMap { member in
            guard member.isLetGo, let disk = disks.first(where: { $0.disk.node == member.area.node }),
                !disk.lost.contains(where: { disk.area($0.sectors).bytes.overlaps(member.area.bytes) })
            else { return nil }
            return Destruction(
                device: member.node, label: "", size: member.area.bytes.length, content: member.found,
                reason: "wipeTable", origin: disk.wanted.origin)
        }
    }

    private func destructions(_ plan: FilesystemPlan, _ contents: [DiskArea: Content]) -> [Destruction] {
        guard plan.action != .keep, plan.found.isSomebodys, plan.wanted.wipeFilesystem == true else { return [] }
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

    struct Moved: Equatable {
        var old: FoundPartition
        var now: PlannedPartition
        var isResized: Bool
    }

    /// Partitions that begin where they did, hold what they held, and end elsewhere.
    var moved: [Moved] {
        partitions.compactMap { now in
            var isResized = false
            let from: Range<UInt64>
            switch now.change {
            case .keep, .create: return nil
            case .recreate(let old): from = old
            case .resize(let old): (from, isResized) = (old, true)
            }
            guard from != now.sectors, from.lowerBound == now.sectors.lowerBound,
                let old = disk.table.partitions.first(where: { $0.sectors == from }), !lost.contains(old)
            else { return nil }
            return Moved(old: old, now: now, isResized: isResized)
        }
    }

    /// New partitions that overlap no old one, of whose bytes nobody has said anything yet.
    var heads: [PlannedPartition] {
        // Where old entries cannot be read, nobody knows what they would overlap.
        if disk.table == .unreadableGPT { return [] }
        return partitions.filter { new in
            new.change == .create && !disk.table.partitions.contains { $0.sectors.overlaps(new.sectors) }
        }
    }

    /// Old partitions that stay, of those that the config names.
    var named: [FoundPartition] {
        disk.table.partitions.filter { survivor(of: $0)?.entry != nil }
    }

    /// A table of which no partition is told when it goes.
    var unlistedTable: String? {
        switch disk.table {
        case .unreadableGPT: "broken gpt"
        case .other(let type, []): type
        case .other, .gpt, .none: nil
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
