// What stands on the disks before anything is changed: plain values that BlockDevices reads.

import Reporting

/// A mark on a device that tells the kind of its content: a filesystem, LUKS, RAID, swap.
public struct Signature: Equatable, Sendable {
    /// libblkid's name: `ext4`, `xfs`, `vfat`, `swap`, `crypto_LUKS`, `linux_raid_member`.
    public var type: String
    public var version: String?
    public var label: String?
    public var uuid: String?
    /// Bytes that the content spans from the start of its device, where that is cheaply known.
    public var size: UInt64?
    /// Bytes in use, where that is cheaply known.
    public var used: UInt64?
    /// Whether a mark says that it was never finished: `mkfs.xfs` clears one of its own as its last act, vfat has ours.
    public var isUnfinished: Bool
    /// Of a member of a RAID array: what it says of the array.
    public var member: ArrayMember?
    /// Bytes from the start of what was looked at to the mark itself, where that is known.
    public var offset: UInt64?

    public init(
        type: String, version: String? = nil, label: String? = nil, uuid: String? = nil, size: UInt64? = nil,
        used: UInt64? = nil, isUnfinished: Bool = false, member: ArrayMember? = nil, offset: UInt64? = nil
    ) {
        self.type = type
        self.version = version
        self.label = label
        self.uuid = uuid
        self.size = size
        self.used = used
        self.isUnfinished = isUnfinished
        self.member = member
        self.offset = offset
    }
}

extension Signature: CustomStringConvertible {
    /// `ext4 "backup"`, `LUKS2 "cache"`, `swap`.
    public var description: String { label.map { "\(name) \"\($0)\"" } ?? name }

    /// The type as people write it.
    public var name: String {
        switch type {
        case "crypto_LUKS": "LUKS\(version ?? "")"
        case "linux_raid_member": "RAID member"
        case "LVM2_member": "LVM volume"
        default: type
        }
    }
}

/// What stands in a device, or in a range of one. That nobody looked, that it is blank and that nobody knows what
/// it holds are three different answers, and ``kind`` tells them apart.
public struct Content: Equatable, Sendable {
    /// In libblkid's order, RAID first; those that it does not know last.
    public var signatures: [Signature]
    /// The partition table that stands in it: `gpt`, `dos`, `PMBR` (a protective MBR alone).
    public var table: String?
    /// What its bytes look like where no mark was found.
    public var rest: Rest

    /// Bytes that nothing is known of.
    public enum Rest: Equatable, Sendable {
        case notLooked
        /// All bytes that were read are the same, 0 or 0xff.
        case blank
        /// Something was written there once.
        case unknown
        /// Start, middle and end read like noise: encrypted or compressed, and without a header.
        case noise
    }

    public enum Kind: String, Sendable {
        case notLooked = "notLooked"
        case blank = "blank"
        case unknown = "unknown"
        case noise = "noise"
        /// A signature or a table says what it is.
        case known = "known"
    }

    public init(_ signatures: [Signature] = [], table: String? = nil, rest: Rest = .blank) {
        self.signatures = signatures
        self.table = table
        self.rest = rest
    }

    public static let blank = Content()
    public static let notLooked = Content(rest: .notLooked)
    public static let unknown = Content(rest: .unknown)
    public static let noise = Content(rest: .noise)

    public var kind: Kind {
        guard signatures.isEmpty, table == nil else { return .known }
        return switch rest {
        case .notLooked: .notLooked
        case .blank: .blank
        case .unknown: .unknown
        case .noise: .noise
        }
    }

    public var isKnown: Bool { kind == .known }
}

extension Content: CustomStringConvertible {
    /// `ext4 "backup"`, `xfs "a" and swap`, `an MBR partition table`, `nothing`.
    public var description: String {
        var parts = signatures.map(\.description)
        if let table { parts.append(tableName(table)) }
        if !parts.isEmpty { return parts.joined(separator: " and ") }
        return switch rest {
        case .notLooked: "something that nobody looked at"
        case .blank: "nothing"
        case .unknown: "bytes that nobody knows"
        case .noise: "what looks encrypted or compressed and has no header"
        }
    }
}

/// A kind of partition table as people write it, with its article.
func tableName(_ type: String) -> String {
    switch type {
    case "gpt": "a GPT partition table"
    case "dos": "an MBR partition table"
    case "PMBR": "a protective MBR without a readable GPT"
    case "broken gpt": "a GPT of which neither copy can be read"
    case "gpt 512", "gpt 4096": "a GPT partition table of a disk with sectors of \(type.dropFirst(4)) bytes"
    default: "a partition table (\(type))"
    }
}

/// One entry of a GPT.
public struct FoundPartition: Equatable, Sendable {
    /// From 1.
    public var number: Int
    public var label: String
    /// Upper case, as is ``type``.
    public var guid: String
    public var type: String
    /// Logical sectors, end excluded.
    public var sectors: Range<UInt64>
    /// What uses it, as phrases: `mounted on /srv`, `held by dm-0`, `in use as swap`.
    public var users: [String]

    public init(
        number: Int, label: String, guid: String, type: String, sectors: Range<UInt64>, users: [String] = []
    ) {
        self.number = number
        self.label = label
        self.guid = guid
        self.type = type
        self.sectors = sectors
        self.users = users
    }
}

public enum FoundTable: Equatable, Sendable {
    case none
    case gpt(FoundGPT)
    /// A table of another kind, by libblkid's name for it, and its partitions.
    case other(String, [FoundPartition])
    /// Something says GPT, but neither of its two copies can be read.
    case unreadableGPT
}

extension FoundTable {
    public var partitions: [FoundPartition] {
        switch self {
        case .gpt(let gpt): gpt.partitions
        case .other(_, let partitions): partitions
        case .none, .unreadableGPT: []
        }
    }

    /// What a GPT has lost, in words: `primary copy and protective MBR`.
    var damage: String {
        guard case .gpt(let gpt) = self else { return "" }
        return gpt.damage.map(\.rawValue).joined(separator: " and ")
    }

    /// In a word: `GPT`, `MBR`, or `nil` where there is none.
    public var name: String? {
        switch self {
        case .none: nil
        case .gpt: "GPT"
        case .other("dos", _): "MBR"
        case .other(let type, _): "\(type) table"
        case .unreadableGPT: "broken GPT"
        }
    }
}

public struct FoundGPT: Equatable, Sendable {
    /// The sectors that partitions may take, end excluded, as the table itself says.
    public var usable: Range<UInt64>
    /// How many partitions the table has room for.
    public var capacity: Int
    public var partitions: [FoundPartition]
    /// What is missing of it; at least one of its two copies is whole.
    public var damage: [Damage]

    public enum Damage: String, Equatable, Sendable {
        case primary = "primary copy"
        case backup = "backup copy"
        /// Without it the kernel sees no partitions. A power cut while libfdisk writes a new table
        /// leaves this: it writes the protective MBR last.
        case protectiveMBR = "protective MBR"
    }

    public init(usable: Range<UInt64>, capacity: Int = 128, partitions: [FoundPartition], damage: [Damage] = []) {
        self.usable = usable
        self.capacity = capacity
        self.partitions = partitions
        self.damage = damage
    }
}

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
