// One disk's partitions: what the config wants and the table that is there give the new table, or conflicts.
//
// Partitions are matched by number, as Ignition does. In addition, an entry without a number means the one existing
// partition that carries its label, so that a config finds its partitions again.

import DiskFormats
import IgnitionConfig
import Reporting

/// Plans the partition table of one disk.
///
/// - SeeAlso: Ignition's disks stage, `partitions`; sgdisk(8) for the meaning of 0.
struct PartitionPlanner {
    struct Outcome: Equatable {
        var plan: DiskPlan
        var conflicts: [DiskConflict] = []
    }

    private let config: IgnitionConfig.Disk
    private let disk: FoundDisk
    private let geometry: SectorGeometry

    init(_ config: IgnitionConfig.Disk, on disk: FoundDisk) {
        self.config = config
        self.disk = disk
        geometry = SectorGeometry(sectorSize: disk.sectorSize)
    }

    func plan() -> Outcome {
        var outcome = planTable()
        // As Ignition does: a program that holds the whole disk would be cut off from its partitions.
        if !disk.users.isEmpty, outcome.plan.action != .keep || !outcome.conflicts.isEmpty {
            outcome.conflicts.append(conflict(.diskInUse(disk.users)))
        }
        outcome.conflicts += outcome.plan.mapConflicts
        return outcome
    }

    private func planTable() -> Outcome {
        let wantsPartitions = config.partitions.contains { $0.shouldExist != false }
        switch disk.table {
        case .none where !wantsPartitions:
            return Outcome(plan: unchanged([]))
        case .none where disk.content.kind == .notLooked:
            return refused(.notLooked)
        case .none where !disk.content.isKnown && !(disk.isMade && disk.content.kind == .noise):
            return anew(.create)
        case .none:
            return config.wipeTable == true ? anew(.replace) : refused(.contentWithoutTable(disk.content))
        case .gpt(let gpt):
            let edited = edit(gpt)
            if disk.content.isKnown { return besideOwner(edited, wantsPartitions) }
            guard config.wipeTable == true, !isWhatTheConfigMakes(edited) else {
                var outcome = mended(edited, gpt)
                // Every write of the table puts its second copy at the end of the disk.
                if outcome.conflicts.isEmpty, outcome.plan.action != .keep {
                    outcome.conflicts = conflictsAtTheEnd(outcome.plan, gpt)
                }
                return outcome
            }
            return anew(wantsPartitions ? .replace : .erase)
        case .other, .unreadableGPT:
            let isOwned = !disk.content.signatures.isEmpty || disk.content.table == "gpt"
            // What can be read of its partitions stays, and nothing of them is asked for.
            if config.wipeTable != true, !isOwned, isContent {
                return Outcome(plan: unchanged(disk.table.partitions.map { planned($0, .keep, entry: nil) }))
            }
            guard config.wipeTable == true else {
                if isOwned { return refused(.ownerBesideTable(disk.content, table: disk.table)) }
                return refused(
                    disk.content.largerDisk.map { .tableOfLargerDisk($0, disk.size) } ?? .tableNotGPT(disk.table))
            }
            return anew(wantsPartitions ? .replace : .erase)
        }
    }

    /// Whether the entry asks for no partition, and for none to go that the table has.
    private var isContent: Bool {
        config.partitions.allSatisfy { wanted in
            wanted.shouldExist == false && disk.table != .unreadableGPT
                && !disk.table.partitions.contains { $0.number == wanted.number }
        }
    }

    /// Plans a disk that holds a GPT and something that claims the whole disk.
    ///
    /// Either of them may be outdated, and writing as if one were would overwrite the other.
    private func besideOwner(_ edited: Outcome, _ wantsPartitions: Bool) -> Outcome {
        let mayStay = config.wipeTable != true || isWhatTheConfigMakes(edited)
        // An image for discs and sticks holds both by design, and so does a disk with a hybrid MBR.
        if disk.content.isImage || disk.content.isHybridMBR, mayStay, edited.conflicts.isEmpty,
            [.keep, .repair].contains(edited.plan.action)
        {
            return Outcome(plan: unchanged(edited.plan.partitions))
        }
        guard config.wipeTable == true else { return refused(.ownerBesideTable(disk.content, table: disk.table)) }
        return anew(wantsPartitions ? .replace : .erase)
    }

    /// Repairs a damaged GPT only where it holds something of the config.
    ///
    /// Without its protective MBR or first copy nobody else sees the table: it may be a remnant on a disk that somebody
    /// used for something else since.
    private func mended(_ edited: Outcome, _ gpt: FoundGPT) -> Outcome {
        guard gpt.damage.contains(.protectiveMBR) || gpt.damage.contains(.primary),
            !edited.plan.partitions.contains(where: { $0.entry != nil && $0.change != .create })
        else { return edited }
        var outcome = edited
        switch edited.plan.action {
        case .repair: outcome.plan.action = .keep
        case .edit: return refused(.damagedTable(disk.table))
        case .keep, .create, .replace, .erase: break
        }
        return outcome
    }

    /// What a write of the table would overwrite at the end of the disk.
    private func conflictsAtTheEnd(_ plan: DiskPlan, _ gpt: FoundGPT) -> [DiskConflict] {
        let covered = plan.partitions.filter { $0.sectors.upperBound > gpt.secondCopy }
        return (plan.endIsAnothers ? [plan.conflictAtTheEnd] : [])
            + covered.map { conflict(.noRoomForCopy, device: disk.partitionNode($0.number)) }
    }

    /// Whether wiping the table and creating it again would give the same partitions: the config names each of them,
    /// and each is right in all that the config gives.
    private func isWhatTheConfigMakes(_ edited: Outcome) -> Bool {
        edited.conflicts.isEmpty && edited.plan.lost.isEmpty
            && edited.plan.partitions.allSatisfy { $0.change == .keep && $0.entry != nil }
    }

    private func unchanged(_ partitions: [PlannedPartition]) -> DiskPlan {
        DiskPlan(disk: disk, wanted: config, action: .keep, partitions: partitions, lost: [])
    }

    private func refused(_ problem: DiskConflict.Problem) -> Outcome {
        Outcome(plan: unchanged([]), conflicts: [conflict(problem)])
    }

    // MARK: A new table

    private func anew(_ action: DiskPlan.TableAction) -> Outcome {
        let old = disk.table.partitions
        let empty = FoundGPT(usable: geometry.usable(diskSize: disk.size), partitions: [])
        var outcome = edit(empty)
        outcome.plan.action = action
        outcome.conflicts += old.filter { !$0.users.isEmpty }.map {
            conflict(.partitionInUse($0.users), device: disk.partitionNode($0.number))
        }
        outcome.plan.takeOver(old)
        let plan = outcome.plan
        outcome.plan.lost = old.filter { plan.survivor(of: $0) == nil }
        return outcome
    }

    // MARK: Entries of a table

    /// An entry of the config, and the partition that it is or becomes.
    private struct Target {
        var entry: Int
        var wanted: IgnitionConfig.Partition
        var number: Int
        var existing: FoundPartition?
        /// Whether it was found by its label, not by its number.
        var isByLabel = false
        var isWanted: Bool { wanted.shouldExist != false }
        /// Whether the partition is right in all that the config gives, so that nothing moves it.
        var isUnchanged = false
    }

    /// Lays partitions out in the room that the table gives.
    ///
    /// A disk that has grown has more room behind it. That room is taken where an entry makes a partition or lets one
    /// grow, and nothing else changes its place because of it. A given 0 of a partition that may not be resized keeps
    /// the end that the partition had. Where another table's copy ends the disk, nobody knows what its partitions hold
    /// there, and no change is written over it.
    private func edit(_ gpt: FoundGPT) -> Outcome {
        var outcome = layOut(gpt)
        outcome.plan.takeOver(gpt.partitions)
        return outcome
    }

    private func layOut(_ gpt: FoundGPT) -> Outcome {
        let within = arrange(gpt)
        guard let room = gpt.usableWhenMoved, !gpt.endIsAnothers,
            !within.conflicts.isEmpty || within.plan.partitions.contains(where: { $0.change == .create })
                || config.partitions.contains(where: { $0.resize == true })
        else { return within }
        var moved = gpt
        moved.usable = room
        let beyond = arrange(moved)
        return beyond.conflicts.isEmpty && beyond.plan.lost.count <= within.plan.lost.count ? beyond : within
    }

    /// Lays partitions out as Ignition does; where that conflicts with the disk, partitions that are already right are
    /// placed first, if nothing is lost that way.
    ///
    /// Ignition first forgets all named partitions and then places them in the config's order, so a new entry can take
    /// the place of a later one that exists. Its order is tried first, because a given 0 leads to the same place again
    /// only in the order in which the partitions were made.
    private func arrange(_ gpt: FoundGPT) -> Outcome {
        let inOrder = edit(gpt, unchangedFirst: false)
        guard !inOrder.conflicts.isEmpty else { return inOrder }
        let unchangedFirst = edit(gpt, unchangedFirst: true)
        return unchangedFirst.conflicts.isEmpty && unchangedFirst.plan.lost.isEmpty ? unchangedFirst : inOrder
    }

    private func edit(_ gpt: FoundGPT, unchangedFirst: Bool) -> Outcome {
        var conflicts: [DiskConflict] = []
        var targets = assign(gpt, &conflicts)
        for index in targets.indices { targets[index].isUnchanged = isUnchanged(targets[index]) }
        if unchangedFirst { targets = targets.filter(\.isUnchanged) + targets.filter { !$0.isUnchanged } }
        let named = Set(targets.compactMap { $0.existing?.number })
        let others = gpt.partitions.filter { !named.contains($0.number) }
        var free = FreeSpace(gpt.usable, without: others.map(\.sectors))
        var placed: [Range<UInt64>] = []
        var result = others.map { planned($0, .keep, entry: nil) }

        for target in targets where target.isWanted {
            guard target.number <= gpt.capacity else {
                conflicts.append(
                    conflict(.numberBeyondTable(target.number, capacity: gpt.capacity), at: target.wanted.origin))
                continue
            }
            guard let sectors = place(target, free, after: placed) else {
                let size = ByteCount(free.largest.map { geometry.size($0) } ?? 0).bytes
                let wanted = describe(target.wanted, number: target.number)
                let mark = gpt.endIsAnothers ? disk.endMark : nil
                let problem = DiskConflict.Problem.noRoom(wanted: wanted, largest: size, another: mark)
                conflicts.append(conflict(problem, at: target.wanted.origin))
                continue
            }
            placed.append(sectors)
            free.take(sectors)
            do throws(DiskConflict) {
                result.append(try decide(target, sectors))
            } catch {
                conflicts.append(error)
            }
        }
        for target in targets where !target.isWanted {
            guard let existing = target.existing else { continue }
            if target.wanted.wipePartitionEntry != true {
                conflicts.append(about(existing, .partitionUnwanted(label: existing.label), target))
            } else if !existing.users.isEmpty {
                conflicts.append(about(existing, .partitionInUse(existing.users), target))
            }
        }

        var plan = unchanged(result.sorted { $0.number < $1.number })
        let gone = targets.compactMap { target -> FoundPartition? in
            guard let existing = target.existing else { return nil }
            guard let now = result.first(where: { $0.number == existing.number }) else { return existing }
            return now.change == .keep ? nil : existing
        }
        plan.lost = gone.filter { old in
            // Resizing moves nothing; whether a smaller partition still holds its content is checked elsewhere.
            if case .resize = plan.partitions.first(where: { $0.number == old.number })?.change { return false }
            return plan.survivor(of: old) == nil
        }
        if !gone.isEmpty || plan.partitions.contains(where: { $0.change != .keep }) {
            plan.action = .edit
        } else if gpt.damage.contains(.protectiveMBR) {
            plan.action = .repair
        }
        return Outcome(plan: plan, conflicts: conflicts)
    }

    /// Assigns numbers: first the entries that give one, in the config's order, then a number for each of the others.
    private func assign(_ gpt: FoundGPT, _ conflicts: inout [DiskConflict]) -> [Target] {
        let entries = Array(config.partitions.enumerated())
        var targets: [Target] = []
        for (entry, wanted) in entries {
            guard let number = wanted.number, number != 0 else { continue }
            let existing = gpt.partitions.first { $0.number == number }
            targets.append(Target(entry: entry, wanted: wanted, number: number, existing: existing))
        }
        let unwanted = Set(targets.filter { !$0.isWanted }.map(\.number))
        var taken = Set(gpt.partitions.map(\.number)).subtracting(unwanted)
        taken.formUnion(targets.filter(\.isWanted).map(\.number))
        for (entry, wanted) in entries {
            guard (wanted.number ?? 0) == 0, wanted.shouldExist != false else { continue }
            // An empty label names nothing: half of all partitions carry it.
            let label = wanted.label.flatMap { $0.isEmpty ? nil : $0 }
            let same = gpt.partitions.filter { found in
                // A partition without a label also has to match everything else that the config gives.
                let isMeant =
                    label == nil
                    ? wanted.label != nil && found.label.isEmpty && differences(wanted, found, sectors: nil).isEmpty
                    : found.label == label
                return isMeant && !targets.contains { $0.isWanted && $0.number == found.number }
            }
            if same.count > 1, let label = wanted.label {
                let problem = DiskConflict.Problem.ambiguousLabel(label, numbers: same.map(\.number))
                conflicts.append(conflict(problem, at: wanted.origin))
            } else if let existing = same.first {
                targets.append(
                    Target(entry: entry, wanted: wanted, number: existing.number, existing: existing, isByLabel: true))
            } else {
                var number = 1
                while taken.contains(number) { number += 1 }
                taken.insert(number)
                targets.append(Target(entry: entry, wanted: wanted, number: number, existing: nil))
            }
        }
        // An earlier boot may have given a deleted partition's number to a new one, which is not deleted again.
        let found = Set(targets.filter(\.isByLabel).map(\.number))
        return targets.filter { $0.isWanted || !found.contains($0.number) }
    }

    private func isUnchanged(_ target: Target) -> Bool {
        guard let existing = target.existing, target.isWanted else { return false }
        return target.wanted.startMiB != 0 && target.wanted.sizeMiB != 0
            && differences(target.wanted, existing, sectors: nil).isEmpty
    }

    /// The sectors of an entry when the config's partitions are laid out one by one.
    ///
    /// A given 0 means the largest free block or the rest of it, as in a new table. A field that is not given stays as
    /// it is on a partition that stays.
    private func place(_ target: Target, _ free: FreeSpace, after placed: [Range<UInt64>]) -> Range<UInt64>? {
        let wanted = target.wanted
        var start: UInt64?
        var count: UInt64?
        if let miB = wanted.startMiB, miB != 0 {
            guard let sectors = geometry.sectors(miB: miB) else { return nil }
            start = sectors
        }
        if let miB = wanted.sizeMiB, miB != 0 {
            guard let sectors = geometry.sectors(miB: miB) else { return nil }
            count = sectors
        }
        if let existing = target.existing {
            let stays = wanted.wipePartitionEntry != true || differences(wanted, existing, sectors: nil).isEmpty
            if stays, wanted.startMiB == nil { start = existing.sectors.lowerBound }
            if stays, wanted.sizeMiB == nil { count = existing.sectors.length }
            // An existing partition needs no free block of the table; it only must not overlap those placed before.
            if start == existing.sectors.lowerBound, count == existing.sectors.length {
                return placed.contains { $0.overlaps(existing.sectors) } ? nil : existing.sectors
            }
        }
        return free.place(start: start, count: count, alignment: geometry.sectorsPerMiB)
    }

    /// Decides between keep, create, resize and recreate.
    private func decide(_ target: Target, _ sectors: Range<UInt64>) throws(DiskConflict) -> PlannedPartition {
        let wanted = target.wanted
        guard let existing = target.existing else {
            try refuseUnwritable(target)
            return planned(wanted, target, sectors, .create)
        }
        let differences = differences(wanted, existing, sectors: sectors)
        if differences.isEmpty { return planned(existing, .keep, entry: target.entry) }

        let isOnlySize = differences.map(\.field) == ["sizeMiB"]
        if wanted.wipePartitionEntry == true {
            // Ignition never takes a partition by its label, so it would not destroy this one.
            let survives =
                sectors.lowerBound == existing.sectors.lowerBound && sectors.upperBound >= existing.sectors.upperBound
            guard !target.isByLabel || survives else {
                throw about(existing, differing(existing, differences, canBeRecreated: false), target)
            }
        } else if wanted.resize != true || !isOnlySize {
            throw about(existing, differing(existing, differences, canBeRecreated: !target.isByLabel), target)
        }
        guard existing.users.isEmpty else { throw about(existing, .partitionInUse(existing.users), target) }
        if wanted.wipePartitionEntry == true {
            try refuseUnwritable(target)
            return planned(wanted, target, sectors, .recreate(from: existing.sectors))
        }
        var resized = planned(existing, .resize(from: existing.sectors), entry: target.entry)
        resized.sectors = sectors
        return resized
    }

    /// Refuses what the table would hold as something else, which no later boot would take for the config's.
    private func refuseUnwritable(_ target: Target) throws(DiskConflict) {
        let node = disk.partitionNode(target.number)
        func conflict(_ problem: DiskConflict.Problem) -> DiskConflict {
            self.conflict(problem, device: node, at: target.wanted.origin)
        }
        // libfdisk leaves the whole name out then, and says nothing.
        if let label = target.wanted.label, label.unicodeScalars.contains(where: { $0.value > 0xffff }) {
            throw conflict(.unwritableLabel(label))
        }
        if let type = given(target.wanted.typeGuid), type.allSatisfy({ $0 == "0" || $0 == "-" }) {
            throw conflict(.unusedType)
        }
    }

    /// The fields that the config gives and that differ; `sectors` is where the layout would put the partition, and
    /// while it is `nil`, only given numbers are compared.
    private func differences(
        _ wanted: IgnitionConfig.Partition, _ found: FoundPartition, sectors: Range<UInt64>?
    ) -> [FieldDifference] {
        var differences: [FieldDifference] = []
        if let label = wanted.label, label != found.label {
            differences.append(FieldDifference("label", found: "\"\(found.label)\"", wanted: "\"\(label)\""))
        }
        if let guid = given(wanted.guid), guid != found.guid {
            differences.append(FieldDifference("guid", found: found.guid, wanted: guid))
        }
        if let type = given(wanted.typeGuid), type != found.type {
            differences.append(FieldDifference("typeGuid", found: found.type, wanted: type))
        }
        if let start = wanted.startMiB {
            let sector = start == 0 ? sectors?.lowerBound : geometry.sectors(miB: start)
            if start != 0 || sectors != nil, sector != found.sectors.lowerBound {
                differences.append(
                    FieldDifference(
                        "startMiB", found: position(found.sectors.lowerBound, like: sector),
                        wanted: sector.map { position($0, like: found.sectors.lowerBound) } ?? "\(start) MiB"))
            }
        }
        if let size = wanted.sizeMiB {
            let count = size == 0 ? sectors?.length : geometry.sectors(miB: size)
            if size != 0 || sectors != nil, count != found.sectors.length {
                differences.append(
                    FieldDifference(
                        "sizeMiB", found: amount(found.sectors.length, like: count),
                        wanted: count.map { amount($0, like: found.sectors.length) } ?? "\(size) MiB"))
            }
        }
        return differences
    }

    // MARK: Words and values

    private func given(_ guid: String?) -> String? {
        guid.flatMap { $0.isEmpty ? nil : $0.uppercased() }
    }

    private func planned(
        _ wanted: IgnitionConfig.Partition, _ target: Target, _ sectors: Range<UInt64>,
        _ change: PlannedPartition.Change
    ) -> PlannedPartition {
        PlannedPartition(
            number: target.number, label: wanted.label ?? "", guid: given(wanted.guid),
            type: given(wanted.typeGuid) ?? PlannedPartition.defaultType, sectors: sectors, change: change,
            entry: target.entry)
    }

    private func planned(
        _ found: FoundPartition, _ change: PlannedPartition.Change, entry: Int?
    ) -> PlannedPartition {
        PlannedPartition(
            number: found.number, label: found.label, guid: found.guid, type: found.type, sectors: found.sectors,
            change: change, entry: entry)
    }

    /// An amount in MiB, or in sectors where either of the two compared amounts is not whole MiB.
    ///
    /// The exact number matters: `4 GiB` against `4 GiB` would puzzle the reader.
    private func amount(_ sectors: UInt64, like other: UInt64?) -> String {
        areMiB(sectors, other) ? "\(sectors / geometry.sectorsPerMiB) MiB" : "\(sectors) sectors"
    }

    private func position(_ sector: UInt64, like other: UInt64?) -> String {
        areMiB(sector, other) ? "\(sector / geometry.sectorsPerMiB) MiB" : "sector \(sector)"
    }

    private func areMiB(_ one: UInt64, _ other: UInt64?) -> Bool {
        [one, other ?? one].allSatisfy { $0.isMultiple(of: geometry.sectorsPerMiB) }
    }

    private func describe(_ wanted: IgnitionConfig.Partition, number: Int) -> String {
        let name = wanted.label.map { "partition \(number) \"\($0)\"" } ?? "partition \(number)"
        var details: [String] = []
        if let size = wanted.sizeMiB, size != 0 { details.append("of \(size) MiB") }
        if let start = wanted.startMiB, start != 0 { details.append("at \(start) MiB") }
        return ([name] + details).joined(separator: " ")
    }

    private func conflict(
        _ problem: DiskConflict.Problem, device: String? = nil, at origin: IgnitionConfig.Origin? = nil
    ) -> DiskConflict {
        DiskConflict(device ?? disk.node, problem, at: origin ?? config.origin)
    }

    private func about(
        _ existing: FoundPartition, _ problem: DiskConflict.Problem, _ target: Target
    ) -> DiskConflict {
        conflict(problem, device: disk.partitionNode(existing.number), at: target.wanted.origin)
    }

    private func differing(
        _ existing: FoundPartition, _ differences: [FieldDifference], canBeRecreated: Bool
    ) -> DiskConflict.Problem {
        .partitionDiffers(label: existing.label, differences, canBeRecreated: canBeRecreated)
    }
}
