// What stands on the disks before anything is changed: plain values that BlockDevices reads.

import DiskFormats

/// A disk that the config names below `storage.disks`.
public struct FoundDisk: Equatable, Sendable {
    /// As the config writes it.
    public var path: String
    /// The kernel's own name: `/dev/vda`.
    public var node: String
    /// Bytes.
    public var size: UInt64
    /// Bytes of a logical sector: 512 or 4096.
    public var sectorSize: UInt64
    public var table: FoundTable
    /// Signatures on the disk as a whole, beside or instead of a table.
    public var content: Content
    /// What uses the disk as a whole, not one of its partitions.
    public var users: [String]
    /// Where it is a map of device-mapper: the kernel knows nothing of its partitions.
    public var map: FoundMap?

    public init(
        path: String, node: String, size: UInt64, sectorSize: UInt64 = 512, table: FoundTable,
        content: Content = .blank, users: [String] = [], map: FoundMap? = nil
    ) {
        self.map = map
        self.path = path
        self.node = node
        self.size = size
        self.sectorSize = sectorSize
        self.table = table
        self.content = content
        self.users = users
    }

    /// The name of a partition: `/dev/vda1`, `/dev/nvme0n1p1`, `/dev/mapper/mpatha-part1`.
    public func partitionNode(_ number: Int) -> String {
        guard let map else { return partitionNodeName(disk: node, number: number) }
        return "/dev/mapper/" + map.partitionName(number)
    }
}

/// The kernel puts a `p` between where the disk's own name ends in a digit.
public func partitionNodeName(disk: String, number: Int) -> String {
    let endsInDigit = disk.utf8.last.map { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } ?? false
    return disk + (endsInDigit ? "p" : "") + String(number)
}

/// An existing device that a filesystem of the config names and that no planned partition stands for.
public struct FoundDevice: Equatable, Sendable {
    /// As the config writes it.
    public var path: String
    public var node: String
    /// Bytes.
    public var size: UInt64
    /// The disk and number where it is a partition.
    public var partition: PartitionAddress?
    public var users: [String]
    /// The partitions of the table that stands in it.
    public var partitions: [FoundPartition]
    /// Bytes of a logical sector.
    public var sectorSize: UInt64

    public init(
        path: String, node: String, size: UInt64, partition: PartitionAddress? = nil, users: [String] = [],
        partitions: [FoundPartition] = [], sectorSize: UInt64 = 512
    ) {
        self.path = path
        self.node = node
        self.size = size
        self.partition = partition
        self.users = users
        self.partitions = partitions
        self.sectorSize = sectorSize
    }
}

extension FoundDevice {
    func area(_ partition: FoundPartition) -> DiskArea {
        DiskArea(node: node, bytes: SectorGeometry(sectorSize: sectorSize).bytes(partition.sectors))
    }
}

/// A partition by its disk's node and its number.
public struct PartitionAddress: Hashable, Sendable {
    public var disk: String
    public var number: Int

    public init(disk: String, number: Int) {
        self.disk = disk
        self.number = number
    }
}

/// Everything found, by the paths of the config.
public struct DiskInventory: Equatable, Sendable {
    public var disks: [FoundDisk]
    public var devices: [FoundDevice]
    /// Kernel names of disks, by the links that lead to them.
    public var nodes: [String: String]
    /// Of links by a label or a UUID: the partitions that bear it, where there are several.
    public var twins: [String: [String]]

    public init(
        disks: [FoundDisk], devices: [FoundDevice] = [], nodes: [String: String] = [:], twins: [String: [String]] = [:]
    ) {
        self.disks = disks
        self.devices = devices
        self.nodes = nodes
        self.twins = twins
    }
}

/// A range of a device, in bytes, whose content decides what may be done there.
public struct DiskArea: Hashable, Sendable {
    public var node: String
    public var bytes: Range<UInt64>

    public init(node: String, bytes: Range<UInt64>) {
        self.node = node
        self.bytes = bytes
    }
}
