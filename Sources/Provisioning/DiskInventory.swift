// What the disks hold before anything is changed: plain values that BlockDevices reads.

import Reporting

/// A mark that tells what a device holds: a filesystem, LUKS, RAID, swap.
public struct Signature: Equatable, Sendable {
    /// libblkid's name: `ext4`, `xfs`, `vfat`, `swap`, `crypto_LUKS`, `linux_raid_member`.
    public var type: String
    /// The format's version, where there are several.
    public var version: String?
    /// The label; `nil` where there is none.
    public var label: String?
    /// The UUID as libblkid writes it; `nil` where there is none.
    public var uuid: String?
    /// Bytes from the start of the device that the content spans, where that is cheap to know.
    public var size: UInt64?
    /// Bytes in use, where that is cheap to know.
    public var used: UInt64?
    /// Whether a mark says that creating it never finished: `mkfs.xfs` clears its own mark last, vfat has one of ours.
    public var isUnfinished: Bool
    /// What a member of a RAID array says of the array.
    public var member: ArrayMember?
    /// Bytes from the start of the range that was read to the mark, where known.
    public var offset: UInt64?

    /// Makes a signature; only the type is always known.
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
    /// The name with the label: `ext4 "backup"`, `LUKS2 "cache"`, `swap`.
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

/// What a device, or a range of one, holds.
///
/// Not looked at, blank, and unknown are three different answers; ``kind`` tells them apart.
public struct Content: Equatable, Sendable {
    /// In libblkid's order, RAID first; marks that libblkid does not know come last.
    public var signatures: [Signature]
    /// The partition table in it: `gpt`, `dos`, or `PMBR`, a protective MBR alone.
    public var table: String?
    /// What the bytes look like where no mark was found.
    public var rest: Rest

    /// What bytes without a mark look like.
    public enum Rest: Equatable, Sendable {
        case notLooked
        /// All bytes that were read are 0, or all are 0xff.
        case blank
        /// Something was written there once.
        case unknown
        /// Start, middle and end look random: encrypted or compressed data without a header.
        case noise
    }

    /// The answer in one word.
    public enum Kind: Equatable, Sendable {
        case notLooked, blank, unknown, noise
        /// A signature or a table tells what it is.
        case known
    }

    /// Makes the content of a range; `rest` counts only where there is neither a signature nor a table.
    public init(_ signatures: [Signature] = [], table: String? = nil, rest: Rest = .blank) {
        self.signatures = signatures
        self.table = table
        self.rest = rest
    }

    /// A range that was read and is blank.
    public static let blank = Content()
    /// A range that nobody has read.
    public static let notLooked = Content(rest: .notLooked)
    /// A range that was read and holds something that no mark explains.
    public static let unknown = Content(rest: .unknown)
    /// A range that looks random.
    public static let noise = Content(rest: .noise)

    /// What is known of the content.
    public var kind: Kind {
        guard signatures.isEmpty, table == nil else { return .known }
        return switch rest {
        case .notLooked: .notLooked
        case .blank: .blank
        case .unknown: .unknown
        case .noise: .noise
        }
    }

    /// Whether a signature or a table tells what it is.
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

/// One entry of a partition table.
public struct FoundPartition: Equatable, Sendable {
    /// From 1.
    public var number: Int
    /// The name in the entry; empty where there is none.
    public var label: String
    /// The entry's GUID in upper case.
    public var guid: String
    /// The type's GUID in upper case.
    public var type: String
    /// Logical sectors, end excluded.
    public var sectors: Range<UInt64>
    /// Who uses it, as phrases: `mounted on /srv`, `held by dm-0`, `in use as swap`.
    public var users: [String]

    /// Makes an entry of what a table says.
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

/// The partition table of a disk.
public enum FoundTable: Equatable, Sendable {
    case none
    case gpt(FoundGPT)
    /// A table of another kind, by libblkid's name for it, and its partitions.
    case other(String, [FoundPartition])
    /// There are marks of a GPT, but neither of its two copies can be read.
    case unreadableGPT
}

extension FoundTable {
    /// The entries of the table, if it can be read.
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

    /// The kind of table, such as `GPT` or `MBR`; `nil` where there is none.
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

/// A GUID partition table of which at least one copy can be read.
public struct FoundGPT: Equatable, Sendable {
    /// The sectors that partitions may take, end excluded, as the table says.
    public var usable: Range<UInt64>
    /// How many entries the table has room for.
    public var capacity: Int
    /// The entries in use, by number.
    public var partitions: [FoundPartition]
    /// What is missing; at least one copy is whole.
    public var damage: [Damage]

    /// A part of a GPT that can be missing.
    public enum Damage: String, Equatable, Sendable {
        case primary = "primary copy"
        case backup = "backup copy"
        /// Without it the kernel sees no partitions. libfdisk writes it last, so that a power cut can leave a new table
        /// without it.
        case protectiveMBR = "protective MBR"
    }

    /// Makes a table of what a reader found.
    public init(usable: Range<UInt64>, capacity: Int = 128, partitions: [FoundPartition], damage: [Damage] = []) {
        self.usable = usable
        self.capacity = capacity
        self.partitions = partitions
        self.damage = damage
    }
}

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
    /// Who uses the disk as a whole, beside its partitions.
    public var users: [String]
    /// Set where the disk is a map of device-mapper, of whose partitions the kernel knows nothing.
    public var map: FoundMap?

    /// Makes a disk of what was found on it.
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
    /// Who uses it, as phrases.
    public var users: [String]
    /// The partitions of a table on it.
    public var partitions: [FoundPartition]
    /// Bytes of a logical sector.
    public var sectorSize: UInt64

    /// Makes a device of what was found.
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
}
