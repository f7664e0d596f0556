// What stands in a device: values that the readers of this room and libblkid fill.

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

    public enum Kind: Equatable, Sendable {
        case notLooked, blank, unknown, noise
        /// A signature or a table says what it is.
        case known
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
package func tableName(_ type: String) -> String {
    switch type {
    case "gpt": "a GPT partition table"
    case "dos": "an MBR partition table"
    case "PMBR": "a protective MBR without a readable GPT"
    case "broken gpt": "a GPT of which neither copy can be read"
    case "gpt 512", "gpt 4096": "a GPT partition table of a disk with sectors of \(type.dropFirst(4)) bytes"
    default: "a partition table (\(type))"
    }
}
