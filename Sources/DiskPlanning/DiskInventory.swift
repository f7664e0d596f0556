// What the disks hold before anything is changed: plain values that BlockDevices reads.

import DiskFormats

/// A disk that the config names in `storage.disks`.
public struct FoundDisk: Equatable, Sendable {
    /// The path as the config writes it.
    public var path: String
    /// The kernel's name: `/dev/vda`.
    public var node: String
    /// Bytes.
    public var size: UInt64
    /// Bytes of a logical sector: 512 or 4096.
    public var sectorSize: UInt64
    /// The partition table.
    public var table: FoundTable
    /// Signatures on the disk as a whole, beside a table or without one.
    public var content: Content
    /// The GPT beside a table of another kind, where there is one.
    public var beside: FoundGPT?
    /// Who uses the disk as a whole, beside its partitions.
    public var users: [DeviceUse]
    /// Set where the disk is a map of device-mapper, of whose partitions the kernel knows nothing.
    public var map: FoundMap?
    /// Whether it is not a disk but was made of others: noise in it is what somebody encrypted, not a shredded disk.
    public var isMade = false

    /// Makes a disk of what was found on it.
    public init(
        path: String, node: String, size: UInt64, sectorSize: UInt64 = 512, table: FoundTable,
        content: Content = .blank, users: [DeviceUse] = [], map: FoundMap? = nil
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

    /// Bytes to the header of another table's copy, which is in the disk's last sector where nothing else is known.
    var endMark: UInt64 {
        if case .gpt(let gpt) = table, let mark = gpt.endMark { return mark }
        return max(size / sectorSize, 1) * sectorSize - sectorSize
    }

    /// The node of a partition: `/dev/vda1`, `/dev/nvme0n1p1`, `/dev/mapper/mpatha-part1`.
    public func partitionNode(_ number: Int) -> String {
        guard let map else { return partitionNodeName(disk: node, number: number) }
        return "/dev/mapper/" + map.partitionName(number)
    }
}

/// The node of a partition; the kernel puts a `p` before the number where the disk's name ends in a digit.
public func partitionNodeName(disk: String, number: Int) -> String {
    let endsInDigit = disk.utf8.last.map { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } ?? false
    return disk + (endsInDigit ? "p" : "") + String(number)
}

/// A device of the config's filesystems, LUKS volumes or arrays that exists before the plan.
public struct FoundDevice: Equatable, Sendable {
    /// The path as the config writes it.
    public var path: String
    /// The kernel's name.
    public var node: String
    /// Bytes.
    public var size: UInt64
    /// The disk and number, where it is a partition.
    public var partition: PartitionAddress?
    /// Set where it is a partition that shows other bytes of its disk than the table says.
    public var misplaced: MisplacedPartition?
    /// Who uses it, as phrases.
    public var users: [DeviceUse]
    /// The partitions of a table on it.
    public var partitions: [FoundPartition]
    /// Bytes of a logical sector.
    public var sectorSize: UInt64
    /// Whether it is not a disk but was made of others: a logical volume, an array.
    public var isMade = false

    /// Makes a device of what was found.
    public init(
        path: String, node: String, size: UInt64, partition: PartitionAddress? = nil,
        misplaced: MisplacedPartition? = nil, users: [DeviceUse] = [], partitions: [FoundPartition] = [],
        sectorSize: UInt64 = 512
    ) {
        self.path = path
        self.node = node
        self.size = size
        self.partition = partition
        self.misplaced = misplaced
        self.users = users
        self.partitions = partitions
        self.sectorSize = sectorSize
    }
}

extension FoundDevice {
    var wholeArea: DiskArea { DiskArea(node: node, bytes: 0..<size) }

    func area(_ partition: FoundPartition) -> DiskArea {
        DiskArea(node: node, bytes: SectorGeometry(sectorSize: sectorSize).bytes(partition.sectors))
    }
}

/// A partition, by its disk's node and its number.
public struct PartitionAddress: Hashable, Sendable {
    /// The kernel's name of the disk.
    public var disk: String
    /// From 1.
    public var number: Int

    /// Makes an address of a disk's node and a number.
    public init(disk: String, number: Int) {
        self.disk = disk
        self.number = number
    }
}

/// A partition whose node shows other bytes of its disk than the table says, in bytes of the disk.
///
/// This happens when somebody else, another host for instance, has changed the table since.
public struct MisplacedPartition: Hashable, Sendable {
    /// What the node shows; `nil` where that is anything but one part of the disk.
    public var found: Range<UInt64>?
    /// What the table says; `nil` where it has no such partition.
    public var wanted: Range<UInt64>?

    /// Makes a misplaced partition of both places.
    public init(found: Range<UInt64>?, wanted: Range<UInt64>?) {
        self.found = found
        self.wanted = wanted
    }
}

/// Everything found, by the paths of the config.
public struct DiskInventory: Equatable, Sendable {
    /// The disks that are there.
    public var disks: [FoundDisk]
    /// The other devices that are there.
    public var devices: [FoundDevice]
    /// Kernel names of disks, by the links that lead to them.
    public var nodes: [String: String]
    /// Devices that share a label or UUID, by the link that is made of it.
    public var twins: [String: [String]]
    /// Devices that cannot be read, so that nobody can tell whether they have a label or UUID of a link; only where the
    /// config names a device by one.
    public var unread: [String] = []

    /// Makes an inventory of what was found.
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
    /// The kernel's name of the device.
    public var node: String
    /// End excluded.
    public var bytes: Range<UInt64>

    /// Makes an area of a device's node and a range of bytes.
    public init(node: String, bytes: Range<UInt64>) {
        self.node = node
        self.bytes = bytes
    }

    /// Whether two areas share a byte.
    package func overlaps(_ other: DiskArea) -> Bool { node == other.node && bytes.overlaps(other.bytes) }
}
