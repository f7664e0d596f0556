// A partition table as it is on a disk.

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
    /// What uses it now.
    public var users: [DeviceUse]

    /// Makes an entry of what a table says.
    public init(
        number: Int, label: String, guid: String, type: String, sectors: Range<UInt64>, users: [DeviceUse] = []
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
    /// Whether its partitions are known: there may be none.
    package var isReadable: Bool { self != .unreadableGPT }

    /// The entries of the table, if it can be read.
    public var partitions: [FoundPartition] {
        switch self {
        case .gpt(let gpt): gpt.partitions
        case .other(_, let partitions): partitions
        case .none, .unreadableGPT: []
        }
    }

    /// The entries of the table, and what a second copy names where none of these stands.
    public var everyPartition: [FoundPartition] {
        guard case .gpt(let gpt) = self else { return partitions }
        return gpt.partitions
            + gpt.namedAtTheEnd.filter { named in !gpt.partitions.contains { $0.sectors.overlaps(named.sectors) } }
    }

    /// What a GPT has lost, in words: `primary copy and protective MBR`.
    package var damage: String {
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
    /// What partitions may take once the second copy stands at the end of a disk that has grown; `nil` where it does.
    public var usableWhenMoved: Range<UInt64>?
    /// The first of the sectors at the end of the disk that a write of the table takes for its second copy.
    ///
    /// On a disk that has lost sectors since, partitions may stand there.
    public var secondCopy: UInt64 = .max
    /// Whether the end of the disk has the copy of another table, which names partitions, as after an image was written
    /// over a disk or a clone was broken off.
    public var endIsAnothers = false
    /// What the copy at the end names and this table does not, at that number and in that place.
    ///
    /// Of the same disk it is what an edit makes that the power cut off, or what was there before an image was written
    /// over the disk once more.
    public var namedAtTheEnd: [FoundPartition] = []
    /// Bytes from the start to the header of that copy, where it is another's or names more.
    public var endMark: UInt64?
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
    public init(
        usable: Range<UInt64>, usableWhenMoved: Range<UInt64>? = nil, capacity: Int = 128,
        partitions: [FoundPartition], damage: [Damage] = []
    ) {
        self.usable = usable
        self.usableWhenMoved = usableWhenMoved
        self.capacity = capacity
        self.partitions = partitions
        self.damage = damage
    }
}
