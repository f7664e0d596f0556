// One disk as the plan will leave it: its table, its partitions, and what of the old ones goes.

import IgnitionConfig

/// What becomes of one disk and its partition table.
public struct DiskPlan: Equatable, Sendable {
    public var disk: FoundDisk
    public var wanted: IgnitionConfig.Disk
    public var action: TableAction
    /// The partitions that the disk will have, by number.
    public var partitions: [PlannedPartition]
    /// Partitions whose content is out of reach afterwards.
    public var lost: [FoundPartition]
    /// New partitions, by number, over bytes that nobody knows: their first MiB is zeroed before the table is written,
    /// so that nothing of what was there is taken for content at the next boot.
    public var zeroed: Set<Int> = []

    public enum TableAction: String, Sendable {
        /// Nothing is written.
        case keep = "keep"
        /// There was no table.
        case create = "create"
        /// Entries of the table change.
        case edit = "edit"
        /// Of the table something is missing that the kernel needs to see it; it is written as it was.
        case repair = "repair"
        /// What stood on the disk goes, and a new table is written.
        case replace = "replace"
        /// What stood on the disk goes, and no table is wanted.
        case erase = "erase"
    }

    public var geometry: SectorGeometry { SectorGeometry(sectorSize: disk.sectorSize) }

    public func area(_ partition: PlannedPartition) -> DiskArea { area(partition.sectors) }
    func area(_ sectors: Range<UInt64>) -> DiskArea { DiskArea(node: disk.node, bytes: geometry.bytes(sectors)) }
    var wholeArea: DiskArea { DiskArea(node: disk.node, bytes: 0..<disk.size) }

    /// What says beside the table that the whole disk is its own.
    var owner: Content? { disk.table != .none && disk.content.isKnown ? disk.content : nil }

    /// What is zeroed of a new partition.
    public func head(_ partition: PlannedPartition) -> DiskArea {
        let bytes = area(partition).bytes
        return DiskArea(node: disk.node, bytes: bytes.lowerBound..<min(bytes.upperBound, bytes.lowerBound + 1 << 20))
    }

    /// The partition in which the content of an old one is still whole.
    func survivor(of old: FoundPartition) -> PlannedPartition? {
        partitions.first {
            $0.sectors.lowerBound == old.sectors.lowerBound && $0.sectors.upperBound >= old.sectors.upperBound
        }
    }
}

public struct PlannedPartition: Equatable, Sendable {
    public var number: Int
    public var label: String
    /// `nil`: a random one, chosen when it is created.
    public var guid: String?
    public var type: String
    public var sectors: Range<UInt64>
    public var change: Change
    /// Which entry of the disk's `partitions` asks for it; `nil` where the config does not name it.
    public var entry: Int?

    public enum Change: Equatable, Sendable {
        case keep
        case create
        /// The entry is written anew; `from` are its old sectors.
        case recreate(from: Range<UInt64>)
        case resize(from: Range<UInt64>)
    }

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

    /// Linux filesystem data.
    public static let defaultType = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
}

// MARK: What was there, and what becomes of it

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
