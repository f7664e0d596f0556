// What a device holds, as the readers of this room and libblkid tell it.

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
    /// Bytes from the start of the range to marks that libblkid, and so wipefs, does not find; the first four bytes of
    /// each make it one.
    public var marks: [UInt64]

    /// Makes a signature; only the type is always known.
    public init(
        type: String, version: String? = nil, label: String? = nil, uuid: String? = nil, size: UInt64? = nil,
        used: UInt64? = nil, isUnfinished: Bool = false, member: ArrayMember? = nil, offset: UInt64? = nil,
        marks: [UInt64] = []
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
        self.marks = marks
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
    /// Bytes from the start to the headers of a GPT that nobody else can read.
    public var tableMarks: [UInt64] = []
    /// Bytes of the disk for which its GPT was made, where that is larger than this one; `nil` elsewhere.
    public var largerDisk: UInt64?
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
    public enum Kind: String, Sendable {
        case notLooked = "notLooked"
        case blank = "blank"
        case unknown = "unknown"
        case noise = "noise"
        /// A signature or a table tells what it is.
        case known = "known"
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
        case .notLooked: "something that was not read"
        case .blank: "nothing"
        case .unknown: "unknown bytes"
        case .noise: "data that looks encrypted or compressed and has no header"
        }
    }
}

/// A kind of partition table as people write it, with its article.
package func tableName(_ type: String) -> String {
    switch type {
    case "gpt": "a GPT partition table"
    case "dos": "an MBR partition table"
    case "PMBR": "a protective MBR without a readable GPT"
    case "second gpt": "another GPT partition table, whose copy is at the end of the disk"
    case "broken gpt": "a GPT of which neither copy can be read"
    case "gpt 512", "gpt 4096": "a GPT partition table of a disk with sectors of \(type.dropFirst(4)) bytes"
    default: "a partition table (\(type))"
    }
}
