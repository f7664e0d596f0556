// One disk as the plan will leave it: its table, its partitions, and which old ones are lost.

import DiskFormats
import IgnitionConfig

/// What becomes of one disk and its partition table.
public struct DiskPlan: Equatable, Sendable {
    /// The disk as it was found.
    public var disk: FoundDisk
    /// The entry of the config.
    public var wanted: IgnitionConfig.Disk
    /// What is done to the table.
    public var action: TableAction
    /// The partitions that the disk will have, by number.
    public var partitions: [PlannedPartition]
    /// Old partitions whose content is out of reach afterwards.
    public var lost: [FoundPartition]
    /// The numbers of new partitions over bytes that no mark explains.
    ///
    /// Their first MiB is zeroed before the table is written, so that the next boot takes no remains for content.
    public var zeroed: Set<Int> = []

    /// What is done to a partition table.
    public enum TableAction: String, Sendable {
        /// Nothing is written.
        case keep = "keep"
        /// A table is written where there was none.
        case create = "create"
        /// Entries of the table change.
        case edit = "edit"
        /// The table lacks a part that the kernel needs, and is written again with the same entries.
        case repair = "repair"
        /// What the disk holds is erased, and a new table is written.
        case replace = "replace"
        /// What the disk holds is erased, and no table is written.
        case erase = "erase"
    }

    /// The sector arithmetic of the disk.
    public var geometry: SectorGeometry { SectorGeometry(sectorSize: disk.sectorSize) }

    /// The area of a partition, as a range of the disk.
    public func area(_ partition: PlannedPartition) -> DiskArea { area(partition.sectors) }
    func area(_ sectors: Range<UInt64>) -> DiskArea { DiskArea(node: disk.node, bytes: geometry.bytes(sectors)) }
    var wholeArea: DiskArea { DiskArea(node: disk.node, bytes: 0..<disk.size) }

    /// What claims the whole disk beside the table.
    public var owner: Content? { disk.table != .none && disk.content.isKnown && !isBegun ? disk.content : nil }

    /// The area of a partition of the old table.
    public func area(_ old: FoundPartition) -> DiskArea { area(old.sectors) }

    /// The part of a new partition that is zeroed.
    public func head(_ partition: PlannedPartition) -> DiskArea {
        let bytes = area(partition).bytes
        return DiskArea(node: disk.node, bytes: bytes.lowerBound..<min(bytes.upperBound, bytes.lowerBound + 1 << 20))
    }

    /// The partition that still has the whole content of an old one.
    func survivor(of old: FoundPartition) -> PlannedPartition? {
        partitions.first {
            $0.sectors.lowerBound == old.sectors.lowerBound && $0.sectors.upperBound >= old.sectors.upperBound
        }
    }
}

/// A partition that the disk will have.
public struct PlannedPartition: Equatable, Sendable {
    /// From 1.
    public var number: Int
    /// The name in the entry; empty where there is none.
    public var label: String
    /// `nil`: a random one is chosen when the partition is created.
    public var guid: String?
    /// The type's GUID in upper case.
    public var type: String
    /// Logical sectors, end excluded.
    public var sectors: Range<UInt64>
    /// What is done to the entry.
    public var change: Change
    /// The index in the disk's `partitions`; `nil` where the config does not name the partition.
    public var entry: Int?

    /// What is done to an entry of a table.
    public enum Change: Equatable, Sendable {
        case keep
        case create
        /// The entry is written anew; `from` are its old sectors.
        case recreate(from: Range<UInt64>)
        case resize(from: Range<UInt64>)
    }

    /// Makes a planned partition.
    public init(
        number: Int, label: String, guid: String?, type: String, sectors: Range<UInt64>, change: Change, entry: Int?
    ) {
        self.number = number
        self.label = label
        self.guid = guid
        self.type = type
        self.sectors = sectors
        self.change = change
        self.entry = entry
    }

    /// The type of Linux filesystem data.
    public static let defaultType = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
}

// MARK: What was there, and what becomes of it

extension DiskPlan {
    /// A new partition that begins where an old one began has that one's content, whatever became of its entry.
    mutating func takeOver(_ old: [FoundPartition]) {
        for index in partitions.indices where partitions[index].change == .create {
            let start = partitions[index].sectors.lowerBound
            guard let same = old.first(where: { $0.sectors.lowerBound == start }) else { continue }
            partitions[index].change = .recreate(from: same.sectors)
        }
    }

    /// The former area of a partition that starts where it did and ends elsewhere.
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

    /// Partitions that start where they did, keep their content, and end elsewhere.
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

    /// Partitions that are written anew and take no sector of an old one whose content stays.
    ///
    /// What is lost is told, and so is a table that cannot be read.
    var heads: [PlannedPartition] {
        partitions.filter { new in
            switch new.change {
            case .keep, .resize: false
            case .create, .recreate:
                !isNamedAtTheEnd(new)
                    && disk.table.partitions.allSatisfy {
                        !$0.sectors.overlaps(new.sectors) || lost.contains($0) || erasesFirst
                    }
            }
        }
    }

    /// Whether the old table goes before the new one is written.
    ///
    /// A power cut in between leaves a disk without a table, on which nobody knows where a partition was. A GPT is
    /// replaced in place, copy by copy, and an MBR goes with the last sector of the new table that is written. Whoever
    /// has the disk as a whole can have marks anywhere, and they go first.
    var erasesFirst: Bool {
        guard action == .replace else { return false }
        return switch disk.table {
        case .none: false
        case .gpt, .other("dos", _): owner != nil
        case .other, .unreadableGPT: true
        }
    }

    /// Whether an MBR stays until the protective MBR of the new table takes its place.
    public var replacesMBR: Bool {
        if case .other("dos", _) = disk.table { return action == .replace && !erasesFirst }
        return false
    }

    /// Whether a GPT beside a table of another kind is the one that the plan makes: the power went before its protective
    /// MBR was written.
    var isBegun: Bool {
        guard action == .replace, disk.content.signatures.isEmpty, let begun = disk.beside else { return false }
        return isMade(by: begun)
    }

    /// Whether a table has the partitions of the plan, and no other.
    public func isMade(by table: FoundGPT) -> Bool {
        table.partitions.count == partitions.count
            && zip(table.partitions, partitions).allSatisfy { found, planned in
                found.number == planned.number && found.sectors == planned.sectors && found.label == planned.label
                    && found.type == planned.type && (planned.guid ?? found.guid) == found.guid
            }
    }

    /// Old partitions that stay and that the config names.
    var named: [FoundPartition] {
        disk.table.partitions.filter { survivor(of: $0)?.entry != nil }
    }

    /// A table whose loss is listed as a whole, since its partitions are not known.
    var unlistedTable: String? {
        switch disk.table {
        case .unreadableGPT: "broken gpt"
        case .other(let type, []): type
        case .gpt where endIsAnothers: "second gpt"
        case .other, .gpt, .none: nil
        }
    }

    /// Whether the disk has a second copy of a table, which any write of this one would overwrite, and which names
    /// partitions that the plan does not make.
    ///
    /// What the power cut off of an edit names just what the same edit makes again.
    var endIsAnothers: Bool {
        guard case .gpt(let gpt) = disk.table else { return false }
        return gpt.endIsAnothers
            || gpt.namedAtTheEnd.contains { named in
                !partitions.contains { $0.number == named.number && $0.sectors == named.sectors }
            }
    }

    /// The conflict of a write over that copy.
    var conflictAtTheEnd: DiskConflict {
        DiskConflict(disk.node, .endIsAnothers(mark: disk.endMark), at: wanted.origin)
    }

    /// Whether the second copy has a new partition in the place where the plan makes it, so that it may hold something.
    func isNamedAtTheEnd(_ partition: PlannedPartition) -> Bool {
        guard case .gpt(let gpt) = disk.table else { return false }
        return gpt.namedAtTheEnd.contains { survivor(of: $0) == partition }
    }

    /// Whether a partition ends where the table, on a disk that has grown, has no room yet.
    public var needsMovedCopy: Bool {
        guard case .gpt(let gpt) = disk.table, !createsTable else { return false }
        return partitions.contains { $0.change != .keep && $0.sectors.upperBound > gpt.usable.upperBound }
    }

    /// The partitions that the second copy names, and that nothing does while that copy makes way for this table's.
    var unnamedMeanwhile: [PlannedPartition] { needsMovedCopy ? partitions.filter { isNamedAtTheEnd($0) } : [] }

    /// What the second copy names, where no partition of the table stands in its place and the plan does not keep it.
    var lostAtTheEnd: [FoundPartition] {
        guard action == .replace || action == .erase else { return [] }
        return disk.table.everyPartition.filter { !disk.table.partitions.contains($0) && survivor(of: $0) == nil }
    }

    /// The entry of the config for a partition number, or that of the disk as a whole.
    func origin(ofNumber number: Int) -> IgnitionConfig.Origin {
        let entry =
            partitions.first { $0.number == number }?.entry
            ?? wanted.partitions.firstIndex { $0.number == number }
        return entry.map { wanted.partitions[$0].origin } ?? wanted.origin
    }
}
