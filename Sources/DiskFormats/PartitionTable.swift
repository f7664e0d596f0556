// A partition table as it stands on a disk.

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
    package var damage: String {
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
