// A disk that is a map of device-mapper, such as a multipath disk: each of its partitions is a linear map of its own.

import IgnitionConfig

/// A disk that is a map of device-mapper, and the maps of its partitions.
public struct FoundMap: Equatable, Sendable {
    /// The map's name, such as `mpatha`.
    public var name: String
    /// The maps of its partitions that exist, by number.
    public var partitions: [Int: Partition]
    /// The names of the machine's other maps.
    public var otherNames: Set<String>

    /// The map of a partition.
    public struct Partition: Equatable, Sendable {
        /// The map's name.
        public var name: String
        /// The bytes of the disk that the map shows; `nil` where it is anything but one part of that disk.
        public var bytes: Range<UInt64>?
        /// Whether a program, a mount or another map uses it.
        public var isOpen: Bool

        /// Makes the map of a partition.
        public init(name: String, bytes: Range<UInt64>?, isOpen: Bool = false) {
            self.name = name
            self.bytes = bytes
            self.isOpen = isOpen
        }
    }

    /// Makes a disk that is a map.
    public init(name: String, partitions: [Int: Partition] = [:], otherNames: Set<String> = []) {
        self.name = name
        self.partitions = partitions
        self.otherNames = otherNames
    }

    /// The name that the map of a partition has or will get; Debian's rules for kpartx give the same.
    public func partitionName(_ number: Int) -> String { partitions[number]?.name ?? "\(name)-part\(number)" }
}

extension DiskPlan {
    /// The maps to remove: their partition goes, or there is no such partition and nobody uses the map.
    public var mapsToRemove: [String] {
        guard let map = disk.map, action != .keep else { return [] }
        let stay = action == .erase ? [] : partitions.map(\.number)
        return map.partitions.filter { number, map in
            !stay.contains(number) && (!map.isOpen || disk.table.partitions.contains { $0.number == number })
        }.map(\.value.name).sorted()
    }

    /// Conflicts of maps that cannot become what the plan needs.
    var mapConflicts: [DiskConflict] {
        guard let map = disk.map else { return [] }
        let old = Dictionary(disk.table.partitions.map { ($0.number, area($0.sectors).bytes) }) { first, _ in first }
        let new = Dictionary(partitions.map { ($0.number, area($0).bytes) }) { first, _ in first }
        return Set(old.keys).union(new.keys).sorted().compactMap { number in
            // A user of a map that agrees with the table uses the partition, which has a conflict of its own.
            if let there = map.partitions[number], there.isOpen, let bytes = old[number] ?? new[number],
                there.bytes != bytes
            {
                let problem = DiskConflict.Problem.mapDiffers(found: there.bytes, wanted: bytes)
                return DiskConflict(disk.partitionNode(number), problem, at: origin(ofNumber: number))
            }
            if map.partitions[number] == nil, new[number] != nil, map.otherNames.contains(map.partitionName(number)) {
                return DiskConflict(disk.partitionNode(number), .mapNameTaken, at: origin(ofNumber: number))
            }
            return nil
        }
    }
}
