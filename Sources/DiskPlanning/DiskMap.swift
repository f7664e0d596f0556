// A disk that is a map of device-mapper, such as a multipath disk: each of its partitions is a linear map of its own.

import IgnitionConfig

/// What device-mapper knows of a disk that is one of its maps.
public struct FoundMap: Equatable, Sendable {
    /// `mpatha`
    public var name: String
    /// The maps of its partitions that are there, by number.
    public var partitions: [Int: Partition]
    /// Names of the machine's other maps.
    public var otherNames: Set<String>

    /// The map of a partition.
    public struct Partition: Equatable, Sendable {
        public var name: String
        /// The bytes of the disk that it shows; `nil` where it is anything but one part of it.
        public var bytes: Range<UInt64>?
        /// Whether a program, a mount or another map uses it.
        public var isOpen: Bool

        public init(name: String, bytes: Range<UInt64>?, isOpen: Bool = false) {
            self.name = name
            self.bytes = bytes
            self.isOpen = isOpen
        }
    }

    public init(name: String, partitions: [Int: Partition] = [:], otherNames: Set<String> = []) {
        self.name = name
        self.partitions = partitions
        self.otherNames = otherNames
    }

    /// The name that the map of a partition has, or will have: as Debian's rules for kpartx give it.
    public func partitionName(_ number: Int) -> String { partitions[number]?.name ?? "\(name)-part\(number)" }
}

extension DiskPlan {
    /// Maps of partitions that go: the plan removes the partition, or there never was one and nobody uses the map.
    public var mapsToRemove: [String] {
        guard let map = disk.map, action != .keep else { return [] }
        let stay = action == .erase ? [] : partitions.map(\.number)
        return map.partitions.filter { number, map in
            !stay.contains(number) && (!map.isOpen || disk.table.partitions.contains { $0.number == number })
        }.map(\.value.name).sorted()
    }

    /// Maps that cannot become what the plan needs them to be.
    var mapConflicts: [DiskConflict] {
        guard let map = disk.map else { return [] }
        let old = Dictionary(disk.table.partitions.map { ($0.number, area($0.sectors).bytes) }) { first, _ in first }
        let new = Dictionary(partitions.map { ($0.number, area($0).bytes) }) { first, _ in first }
        return Set(old.keys).union(new.keys).sorted().compactMap { number in
            // What uses a map that shows what the table says uses the partition.
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
