// The plan for all disks is made in two steps, both without effects. This is the first.
//
// It plans the partitions, which tells where every filesystem will be. The second step (StoragePlanning.swift) then
// knows what each of these areas holds, and plans arrays, volumes and filesystems. So all conflicts of all devices are
// found before the first write.

import IgnitionConfig
import Reporting

/// The result of step one: partitions are planned, and filesystems, volumes and arrays are located.
public struct DiskLayout: Equatable, Sendable {
    /// The plan of each disk of the config, in the config's order.
    public var disks: [DiskPlan]
    /// What contradicts the config so far.
    public private(set) var conflicts: [DiskConflict]
    /// What the operator should know of the plan so far.
    public private(set) var warnings: [String]
    /// The nodes of disks whose partitions could not be planned.
    private var refused: Set<String> = []
    /// Devices of the config that are not partitions, whether or not they are in `storage.disks`.
    private(set) var wholeDevices: [FoundDevice] = []

    private(set) var filesystems: [LocatedFilesystem] = []
    /// The arrays, with the areas of their members.
    private(set) var arrays: [LocatedArray] = []
    /// The LUKS volumes, with their areas.
    public private(set) var volumes: [LocatedVolume] = []

    struct LocatedFilesystem: Equatable, Sendable {
        var entry: Int
        var wanted: IgnitionConfig.Filesystem
        var format: FilesystemFormat
        var target: DeviceTarget
        /// The index in `storage.luks` of the volume that it is in.
        var volume: Int?
        /// The index in `storage.raid` of the array that it is in.
        var array: Int?
    }

    /// An entry of the config that needs a device for itself.
    private struct Claim {
        var device: String
        /// Whether the config lets go of what the device holds.
        var wipes = false
        var wanted: WantedContent
        var origin: IgnitionConfig.Origin

        init(_ wanted: IgnitionConfig.Filesystem) {
            device = wanted.device
            wipes = wanted.wipeFilesystem == true
            self.wanted = wanted.wantedContent
            origin = wanted.origin
        }

        init(_ wanted: IgnitionConfig.Luks) {
            device = wanted.device ?? ""
            wipes = wanted.wipeVolume == true
            self.wanted = .volume(wanted.name)
            origin = wanted.origin
        }

        init(_ member: String, of wanted: IgnitionConfig.Raid) {
            device = member
            self.wanted = .array(wanted.arrayName)
            origin = wanted.origin
        }
    }

    /// Plans the partitions, and locates everything else.
    public init(_ storage: IgnitionConfig.Storage, on inventory: DiskInventory) {
        disks = []
        conflicts = []
        warnings = []
        wholeDevices = inventory.devices.filter { $0.partition == nil }
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
                    try refuseTwins(Claim(wanted), target)
                    filesystems.append(
                        LocatedFilesystem(entry: entry, wanted: wanted, format: format, target: target, array: array))
                    continue
                }
                let claim = Claim(wanted)
                guard let target = try target(claim, storage, inventory) else { continue }
                try refuseTwins(claim, target)
                filesystems.append(LocatedFilesystem(entry: entry, wanted: wanted, format: format, target: target))
            } catch {
                conflicts.append(error)
            }
        }
        repairTablesInUse()
        for disk in disks { warnings += DiskLayout.warnings(disk) }
    }

    /// Repairs damaged tables of disks that the config uses.
    ///
    /// The kernel reads only the first copy of a GPT, and only behind a protective MBR.
    private mutating func repairTablesInUse() {
        let members = arrays.flatMap(\.members).map(\.target?.partition)
        let used = Set(
            (members + volumes.map(\.partition) + filesystems.map(\.target.partition)).compactMap { $0?.disk })
        for index in disks.indices where disks[index].action == .keep && used.contains(disks[index].disk.node) {
            guard case .gpt(let gpt) = disks[index].disk.table, disks[index].owner == nil,
                gpt.damage.contains(.primary) || gpt.damage.contains(.protectiveMBR)
            else { continue }
            if disks[index].endIsAnothers {
                conflicts.append(disks[index].conflictAtTheEnd)
            } else if !disks[index].disk.users.isEmpty {
                let disk = disks[index]
                conflicts.append(DiskConflict(disk.disk.node, .diskInUse(disk.disk.users), at: disk.wanted.origin))
            } else {
                disks[index].action = .repair
            }
        }
    }

    private mutating func placeVolumes(_ storage: IgnitionConfig.Storage, _ inventory: DiskInventory) {
        for (entry, wanted) in storage.luks.enumerated() {
            let claim = Claim(wanted)
            do throws(DiskConflict) {
                if storage.volume(named: claim.device) != nil {
                    throw DiskConflict(claim.device, .volumeInVolume, at: wanted.origin)
                }
                let array = storage.array(named: claim.device)
                let place = if let array { inside(array) } else { try target(claim, storage, inventory) }
                guard let place else { continue }
                try refuseTwins(claim, place)
                volumes.append(
                    LocatedVolume(
                        entry: entry, wanted: wanted, node: place.node, area: place.area,
                        partition: place.partition, array: array, users: place.users, wasThere: place.wasThere))
            } catch {
                conflicts.append(error)
            }
        }
    }

    private mutating func placeArrays(_ storage: IgnitionConfig.Storage, _ inventory: DiskInventory) {
        for (entry, wanted) in storage.raid.enumerated() {
            var array = LocatedArray(entry: entry, wanted: wanted, members: [])
            var isWhole = true
            for device in wanted.devices {
                let claim = Claim(device, of: wanted)
                do throws(DiskConflict) {
                    if let maker = storage.maker(of: device) {
                        throw DiskConflict(wanted.node, .memberIsMade(device, by: maker), at: wanted.origin)
                    }
                    // A missing member need not stop the boot: the others decide.
                    guard
                        storage.mayBePlanned(device, inventory.nodes)
                            || inventory.devices.contains(where: { $0.path == device })
                    else {
                        array.members.append(LocatedArray.Member(device: device))
                        continue
                    }
                    guard let target = try target(claim, storage, inventory) else {
                        isWhole = false
                        continue
                    }
                    try refuseTwins(claim, target)
                    guard !array.members.contains(where: { $0.target?.shares(target) == true }) else {
                        throw DiskConflict(device, .sameDevice(as: wanted.origin.describe()), at: wanted.origin)
                    }
                    array.members.append(
                        LocatedArray.Member(device: device, target: target, isLetGo: letsGo(of: target)))
                } catch {
                    isWhole = false
                    conflicts.append(error)
                }
            }
            // A member that could not be located has a conflict of its own.
            if isWhole { arrays.append(array) }
        }
    }

    /// Whether the plan removes the partition or the table that an area's content belongs to.
    private func letsGo(of target: DeviceTarget) -> Bool {
        guard let disk = disks.first(where: { $0.disk.node == target.area.node }) else { return false }
        let old = disk.disk.table.partitions.filter { disk.area($0.sectors).bytes.overlaps(target.area.bytes) }
        guard old.isEmpty else { return old.allSatisfy { disk.lost.contains($0) } }
        // Of a table that nobody can read, the area may well be a partition that is put back where it was.
        return disk.action == .replace && disk.disk.table.isReadable
    }

    /// The inside of an array, if the array could be located; the inside of a new array counts as blank.
    private func inside(_ array: Int) -> DeviceTarget? {
        guard let outer = arrays.first(where: { $0.entry == array }) else { return nil }
        return DeviceTarget(node: outer.wanted.node, area: outer.area, wasThere: true)
    }

    /// Locates a filesystem inside a LUKS volume; a volume that could not be located has a conflict of its own.
    private mutating func place(
        _ wanted: IgnitionConfig.Filesystem, _ entry: Int, _ format: FilesystemFormat, in volume: Int
    ) throws(DiskConflict) {
        guard let outer = volumes.first(where: { $0.entry == volume }) else { return }
        // The header takes some of the area; its size is known once the header is there.
        let area = DiskArea(node: outer.wanted.mappedNode, bytes: 0..<outer.area.bytes.length)
        let target = DeviceTarget(
            node: outer.wanted.mappedNode, area: area, partition: outer.partition, wasThere: true)
        try refuseTwins(Claim(wanted), target)
        filesystems.append(
            LocatedFilesystem(entry: entry, wanted: wanted, format: format, target: target, volume: volume))
    }

    /// Refuses a device if another entry has a part of it: a disk and one of its partitions also count as one place.
    private func refuseTwins(_ claim: Claim, _ target: DeviceTarget) throws(DiskConflict) {
        let other =
            arrays.first { $0.members.contains { $0.target?.shares(target) == true } }?.wanted.origin
            ?? volumes.first { $0.target.shares(target) }?.wanted.origin
            ?? filesystems.first { $0.target.shares(target) }?.wanted.origin
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
            do throws(DiskConflict) { try refuseAmbiguous(config.device, inventory, at: config.origin) } catch {
                conflicts.append(error)
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

    /// Finds the area of a device path; `nil` where a conflict of a partition already explains why there is none.
    private mutating func target(
        _ claim: Claim, _ storage: IgnitionConfig.Storage, _ inventory: DiskInventory
    ) throws(DiskConflict) -> DeviceTarget? {
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
                    "\(claim.device) also names \(existing.node); the config means its own, \(target.node)")
            }
            return target
        }
        if !conflicts.isEmpty, storage.mayBePlanned(claim.device, inventory.nodes) { return nil }
        guard let existing else { throw DiskConflict(claim.device, .noSuchDevice, at: claim.origin) }
        try refuseAmbiguous(claim.device, inventory, at: claim.origin)
        if names.isOfBytes, !inventory.unread.isEmpty {
            warnings.append(
                "\(inventory.unread.joined(separator: ", ")) cannot be read: it is unknown whether \(claim.device) "
                    + "is a name of it, too")
        }
        if let address = existing.partition, let disk = disks.first(where: { $0.disk.node == address.disk }) {
            guard let old = disk.disk.table.partitions.first(where: { $0.number == address.number }),
                let partition = disk.survivor(of: old)
            else {
                // A plan that was refused removes nothing; its own conflicts say enough.
                if refused.contains(address.disk) { return nil }
                throw DiskConflict(claim.device, .deviceRemoved, at: claim.origin)
            }
            return try target(partition, of: disk, claim)
        }
        if let disk = disks.first(where: { $0.disk.node == existing.node }) {
            return try wholeDisk(disk, existing, claim)
        }
        if let misplaced = existing.misplaced {
            throw DiskConflict(existing.node, .misplaced(misplaced), at: claim.origin)
        }
        return DeviceTarget(
            node: existing.node, area: DiskArea(node: existing.node, bytes: 0..<existing.size),
            partition: existing.partition, users: existing.users, wasThere: existing.partition != nil || existing.isMade
        )
    }

    /// Refuses a link that could lead to any of several devices.
    private func refuseAmbiguous(
        _ path: String, _ inventory: DiskInventory, at origin: IgnitionConfig.Origin
    ) throws(DiskConflict) {
        guard let twins = inventory.twins[path], twins.count > 1 else { return }
        throw DiskConflict(path, .ambiguousLink(twins), at: origin)
    }

    /// Whether a partition did not have that name before.
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
    ) throws(DiskConflict) -> DeviceTarget {
        let node = disk.disk.partitionNode(partition.number)
        // A table can say that two partitions share sectors; writing to one would destroy the other.
        if let other = disk.partitions.first(where: {
            $0.number != partition.number && $0.sectors.overlaps(partition.sectors)
        }) {
            throw DiskConflict(node, .overlaps(number: other.number), at: claim.origin)
        }
        let old = disk.disk.table.partitions.filter { $0.sectors.overlaps(partition.sectors) }
        // Who has the disk as a whole has its partitions, too; a disk that was refused says so itself.
        let users = refused.contains(disk.disk.node) ? [] : disk.disk.users
        let name = disk.disk.node.split(separator: "/").last.map(String.init) ?? disk.disk.node
        return DeviceTarget(
            node: node, area: disk.area(partition),
            partition: PartitionAddress(disk: disk.disk.node, number: partition.number),
            users: old.flatMap(\.users) + users.map { .disk(name, $0) },
            wasThere: partition.change != .create || disk.isNamedAtTheEnd(partition))
    }

    private func wholeDisk(
        _ disk: DiskPlan, _ existing: FoundDevice, _ claim: Claim
    ) throws(DiskConflict) -> DeviceTarget {
        let namesPartitions = disk.partitions.contains { $0.entry != nil }
        let keepsTable = disk.action != .erase && disk.disk.table != .none
        guard !namesPartitions, !keepsTable || claim.wipes else {
            let problem = DiskConflict.Problem.diskIsPartitioned(wanted: claim.wanted, named: namesPartitions)
            throw DiskConflict(existing.node, problem, at: claim.origin)
        }
        let users = existing.users + disk.disk.table.partitions.flatMap(\.users)
        return DeviceTarget(
            node: existing.node, area: disk.wholeArea, users: users,
            wasThere: existing.isMade && disk.action != .erase)
    }
}
