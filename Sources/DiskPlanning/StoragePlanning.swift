// The plan for all disks, step two: the content of every area that step one (DiskLayout.swift) found is known now. This
// decides what becomes of arrays, volumes and filesystems, and lists what is destroyed.

import DiskFormats
import IgnitionConfig
import Reporting

extension DiskLayout {
    /// The areas whose content step two needs: areas of filesystems, of what is lost, and of what shrinks.
    public var areas: [DiskArea] {
        var areas = arrays.flatMap(\.members).compactMap(\.target?.area)
        areas += volumes.filter { $0.array == nil }.map(\.area)
        areas += filesystems.filter { $0.volume == nil && $0.array == nil }.map(\.target.area)
        for disk in disks {
            areas += (disk.lost + disk.lostAtTheEnd).map { disk.area($0) }
            areas += disk.partitions.compactMap { disk.formerArea($0) } + disk.heads.map { disk.area($0) }
            areas += disk.unnamedMeanwhile.map { disk.area($0) }
            if disk.erasesFirst { areas += disk.disk.table.partitions.map { disk.area($0) } }
            if disk.owner != nil { areas += disk.named.map { disk.area($0.sectors) } }
            if let whole = clearedDisk(disk) { areas += whole.disk.table.everyPartition.map { disk.area($0) } }
        }
        areas += (cleared + joined).flatMap { device in device.partitions.map { device.area($0) } }
        areas += conflicts.flatMap { told(by: $0).map(\.area) }
        var seen: Set<DiskArea> = []
        return areas.filter { !$0.bytes.isEmpty && seen.insert($0).inserted }
    }

    /// The disk itself, if a filesystem or a volume of the config takes the place of its partitions.
    private func clearedDisk(_ disk: DiskPlan) -> DiskPlan? {
        let takesAll = (filesystems.map(\.target.area) + volumes.map(\.area)).contains(disk.wholeArea)
        return takesAll && disk.action != .erase ? disk : nil
    }

    /// Devices outside `storage.disks` that hold partitions, and that something of the config takes as a whole.
    private var cleared: [FoundDevice] {
        let taken = filesystems.map(\.target.area) + volumes.map(\.area)
        return wholeDevices.filter { device in
            !device.partitions.isEmpty && taken.contains(device.wholeArea)
                && !disks.contains { $0.disk.node == device.node }
        }
    }

    /// Devices that hold partitions, and that are to be members of arrays as a whole.
    private var joined: [FoundDevice] {
        let taken = arrays.flatMap(\.members).compactMap(\.target?.area)
        return wholeDevices.filter { !$0.partitions.isEmpty && taken.contains($0.wholeArea) }
    }

    /// Plans the arrays, so that those that stay can be assembled and looked into.
    ///
    /// - Parameter contents: What each of ``areas`` holds now.
    /// - Returns: The arrays without conflicts.
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

    /// Plans everything.
    ///
    /// - Parameters:
    ///   - contents: What each of ``areas``, and each array that stays, holds now. An area that is missing was not
    ///     looked at, and nothing is written there.
    ///   - found: What is known of the LUKS2 volumes that exist, by their index in `storage.luks`.
    /// - Returns: A plan without conflicts.
    /// - Throws: ``DiskRefusal`` with every conflict of every device.
    public func plan(
        _ contents: [DiskArea: Content], volumes found: [Int: FoundVolume] = [:]
    ) throws(DiskRefusal) -> StoragePlan {
        var conflicts = conflicts
        var warnings = warnings
        var filesystemPlans: [FilesystemPlan] = []
        let truncations = disks.flatMap { disk in disk.moved.compactMap { truncation($0, of: disk, contents) } }
        conflicts += truncations + disks.compactMap { keptBesideOwner($0, contents) }
        conflicts += disks.compactMap { namedAtTheEndAlone($0, contents) }
        let arrayPlans = arrayPlans(contents, &conflicts, &warnings)
        func isPlanned(_ array: Int?) -> Bool { array == nil || arrayPlans.contains { $0.entry == array } }
        /// The content of a new array was looked at with its members.
        func inside(_ array: Int?, _ target: DeviceTarget) -> Content {
            let isNew = arrayPlans.contains { $0.entry == array && $0.action == .create }
            return isNew ? .blank : content(of: target, contents)
        }
        var volumePlans: [VolumePlan] = []
        for volume in volumes
        where !truncations.contains(where: { $0.device == volume.node }) && isPlanned(volume.array) {
            do throws(DiskConflict) {
                volumePlans.append(try volume.plan(inside(volume.array, volume.target), found[volume.entry]))
            } catch {
                conflicts.append(error)
            }
        }
        for item in filesystems
        where !truncations.contains(where: { $0.device == item.target.node }) && isPlanned(item.array) {
            var found = item.volume.map { found[$0]?.content ?? .notLooked } ?? inside(item.array, item.target)
            if let volume = item.volume {
                guard let outer = volumePlans.first(where: { $0.entry == volume }) else { continue }
                if outer.action == .create { found = .blank }
            }
            do throws(DiskConflict) {
                let planner = FilesystemPlanner(
                    wanted: item.wanted, format: item.format, target: item.target, found: found)
                let action = try planner.action()
                filesystemPlans.append(
                    FilesystemPlan(
                        entry: item.entry, wanted: item.wanted, format: item.format, node: item.target.node,
                        area: item.target.area, partition: item.target.partition, found: found, action: action))
            } catch {
                conflicts.append(error)
            }
        }
        var destroyed = disks.flatMap { destructions($0, contents) }
        destroyed += arrayPlans.flatMap { destructions($0, contents) }
        destroyed += cleared.flatMap { destructions($0, filesystemPlans, volumePlans, contents) }
        destroyed += volumePlans.compactMap(\.destruction)
        destroyed += filesystemPlans.flatMap { destructions($0, contents) }
        conflicts += destroyed.compactMap { partOfKept($0, filesystemPlans) }
        guard conflicts.isEmpty else { throw DiskRefusal(conflicts.map { informed($0, contents) }) }
        return StoragePlan(
            disks: disks.map { zeroing($0, contents) }, arrays: arrayPlans, volumes: volumePlans,
            filesystems: filesystemPlans, destroyed: destroyed, warnings: warnings)
    }

    /// The content of a device after the tables are written and before any filesystem is created.
    private func content(of target: DeviceTarget, _ contents: [DiskArea: Content]) -> Content {
        if let disk = disks.first(where: { $0.wholeArea == target.area }), disk.action == .erase { return .blank }
        var content = contents[target.area] ?? .notLooked
        // Some signatures are at the end: when the partition's end moves, the new area does not show them.
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

    /// The conflict of content that would be cut off, or would not find its metadata, when a partition's end moves.
    private func truncation(
        _ moved: DiskPlan.Moved, of disk: DiskPlan, _ contents: [DiskArea: Content]
    ) -> DiskConflict? {
        let content = contents[disk.area(moved.old.sectors)] ?? .notLooked
        guard !isWiped(disk.area(moved.now)) else { return nil }
        func conflict(_ problem: DiskConflict.Problem) -> DiskConflict {
            DiskConflict(
                disk.disk.partitionNode(moved.old.number), problem, at: disk.origin(ofNumber: moved.now.number)
            ).ofPartition(true)
        }
        if content.kind == .notLooked { return conflict(.notLooked) }
        if content.table == "gpt" || content.signatures.contains(where: \.isAtTheEnd) {
            return conflict(.metadataAtEnd(content, wanted: wanted(on: disk.area(moved.now))))
        }
        let size = disk.geometry.size(moved.now.sectors)
        let isShrunk = moved.now.sectors.upperBound < moved.old.sectors.upperBound
        // Where unknown bytes end is unknown, too.
        let fits =
            content.kind == .blank
            || content.isKnown && content.table == nil && content.signatures.allSatisfy { ($0.size ?? .max) <= size }
        guard moved.isResized, isShrunk, !fits else { return nil }
        return conflict(.wouldTruncate(content, wanted: wanted(on: disk.area(moved.now))))
    }

    /// What the config has on an area, if anything.
    private func wanted(on area: DiskArea) -> WantedContent? {
        filesystems.first { $0.target.area == area }.map(\.wanted.wantedContent)
            ?? volumes.first { $0.area == area }.map { .volume($0.wanted.name) }
            ?? arrays.first { $0.members.contains { $0.target?.area == area } }.map { .array($0.wanted.arrayName) }
    }

    /// Whether the config lets go of what the area holds.
    private func isWiped(_ area: DiskArea) -> Bool {
        filesystems.contains { $0.target.area == area && $0.wanted.wipeFilesystem == true }
            || volumes.contains { $0.area == area && $0.wanted.wipeVolume == true }
    }

    /// The conflict of a table that is wiped with what is beside it, while the config keeps partitions that hold
    /// something.
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

    /// The conflict of a device that is lost while a btrfs that stays may be spread over it, too.
    private func partOfKept(_ lost: Destruction, _ plans: [FilesystemPlan]) -> DiskConflict? {
        let kept = plans.filter { $0.action == .keep && $0.format == .btrfs }
        for plan in kept where plan.node != lost.device {
            // Its superblock tells what is in use only where it has one device: another of that UUID is a copy.
            guard let own = plan.found.signatures.first, own.used == nil, let uuid = own.uuid,
                lost.content.signatures.contains(where: { $0.type == own.type && $0.uuid == uuid })
            else { continue }
            return DiskConflict(
                lost.device,
                .partOfKept(own, keptOn: plan.node, by: plan.wanted.origin, reason: lost.reason), at: lost.origin)
        }
        return nil
    }

    /// The conflict of bytes without a name that only a second copy tells from free room.
    ///
    /// A power cut while that copy moves would leave them to nobody. What has a name is found again.
    private func namedAtTheEndAlone(_ disk: DiskPlan, _ contents: [DiskArea: Content]) -> DiskConflict? {
        let isAlone = disk.unnamedMeanwhile.contains { partition in
            let kind = contents[disk.area(partition)]?.kind ?? .notLooked
            return kind != .known && kind != .blank
        }
        return isAlone ? disk.conflictAtTheEnd : nil
    }

    /// Sets what is zeroed: never where known content begins, nor what an old entry holds that stays.
    private func zeroing(_ disk: DiskPlan, _ contents: [DiskArea: Content]) -> DiskPlan {
        func isUnnamed(_ area: DiskArea) -> Bool {
            switch contents[area]?.kind {
            case .blank, .unknown, .noise: true
            case .notLooked, .known, nil: false
            }
        }
        var disk = disk
        disk.zeroed = Set(
            disk.heads.filter { partition in
                let staying = disk.disk.table.partitions.filter { disk.survivor(of: $0) == partition }
                return isUnnamed(disk.area(partition)) && staying.allSatisfy { isUnnamed(disk.area($0)) }
            }.map(\.number))
        return disk
    }

    /// Old partitions in whose place something stays, but for bytes without a name: a power cut between the old table
    /// and the new one would leave them to nobody.
    private func exposed(_ disk: DiskPlan, _ contents: [DiskArea: Content]) -> [FoundPartition] {
        guard disk.erasesFirst else { return [] }
        return disk.disk.table.partitions.filter { old in
            let kind = contents[disk.area(old)]?.kind
            return !disk.lost.contains(old) && (kind == .unknown || kind == .noise)
        }
    }

    // MARK: What is destroyed

    private func destructions(_ disk: DiskPlan, _ contents: [DiskArea: Content]) -> [Destruction] {
        var destroyed: [Destruction] = []
        let wipesTable = disk.action == .replace || disk.action == .erase
        var whole = disk.disk.content
        whole.table = (disk.isBegun ? nil : whole.table) ?? disk.unlistedTable
        if wipesTable, whole.isSomebodys {
            destroyed.append(
                Destruction(
                    device: disk.disk.node, label: "", size: disk.disk.size, content: whole, reason: "wipeTable",
                    origin: disk.wanted.origin))
        }
        // The kernel knows no such partitions.
        destroyed += disk.lostAtTheEnd.map { named in
            Destruction(
                device: disk.disk.node, label: named.label, size: disk.geometry.size(named.sectors),
                content: contents[disk.area(named)] ?? .notLooked, reason: "wipeTable", origin: disk.wanted.origin)
        }
        for old in disk.lost + exposed(disk, contents) {
            destroyed.append(
                Destruction(
                    device: disk.disk.partitionNode(old.number), label: old.label,
                    size: disk.geometry.size(old.sectors), content: contents[disk.area(old.sectors)] ?? .notLooked,
                    reason: wipesTable ? "wipeTable" : "wipePartitionEntry",
                    origin: wipesTable ? disk.wanted.origin : disk.origin(ofNumber: old.number)))
        }
        if let whole = clearedDisk(disk) {
            let filesystem = filesystems.first { $0.target.area == disk.wholeArea }?.wanted.origin
            let volume = volumes.first { $0.area == disk.wholeArea }?.wanted.origin
            destroyed += whole.disk.table.everyPartition.map { old in
                Destruction(
                    device: disk.disk.partitionNode(old.number), label: old.label,
                    size: disk.geometry.size(old.sectors), content: contents[disk.area(old.sectors)] ?? .notLooked,
                    reason: filesystem == nil ? "wipeVolume" : "wipeFilesystem",
                    origin: filesystem ?? volume ?? disk.wanted.origin)
            }
        }
        return destroyed
    }

    /// What is lost with the partitions of a device that is not among the config's disks.
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

    /// What is lost with an array's members, without partitions of the old table, which are listed already.
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
