// The superblock of md, format 1: what a member of a RAID array says of its array.

import Encoding

/// The superblock of one member.
public struct ArrayMember: Equatable, Sendable {
    /// The array's UUID: 32 hexadecimal digits.
    public var uuid: String
    /// The name as the superblock holds it: `any:data`, `host:data`, `data`.
    public var name: String
    /// md's number of the level; -1 is linear.
    public var level: Int
    /// How many devices the array has, without spares.
    public var devices: Int
    /// What this member is in the array.
    public var role: Role
    /// A counter that grows with every change of the array's state.
    ///
    /// A member with a lower one is out of date. A redundant array that was never started has 0, and others always have.
    public var events: UInt64
    /// Bytes of content that stand on one member before the next one's begin; 0 where the level has no such parts.
    public var chunk: UInt64
    /// Bytes from the start of the member to the array's content.
    public var dataOffset: UInt64
    /// Bytes of the member that the array uses.
    public var dataSize: UInt64
    /// Whether the member is still being filled.
    public var isRebuilding: Bool
    /// What the range of its data holds, where that was looked at.
    public var data: Content.Kind

    /// What a member is in its array.
    public enum Role: Equatable, Sendable {
        case active(Int)
        case spare
        /// A failed device or a journal, which holds none of the array's content.
        case other
    }

    /// Makes a member of what its superblock says.
    public init(
        uuid: String, name: String, level: Int, devices: Int, role: Role, events: UInt64 = 1,
        chunk: UInt64 = 0, dataOffset: UInt64 = 1 << 20, dataSize: UInt64 = 0, isRebuilding: Bool = false,
        data: Content.Kind = .notLooked
    ) {
        self.uuid = uuid
        self.name = name
        self.level = level
        self.devices = devices
        self.role = role
        self.events = events
        self.chunk = chunk
        self.dataOffset = dataOffset
        self.dataSize = dataSize
        self.isRebuilding = isRebuilding
        self.data = data
    }

    /// Whether the array has that name, on whichever host.
    package func isNamed(_ wanted: String) -> Bool {
        // The field has 32 bytes, and mdadm leaves the host out where it does not fit.
        let short = String(decoding: Array(wanted.utf8.prefix(32)), as: UTF8.self)
        return name == short || name.split(separator: ":", maxSplits: 1).last.map(String.init) == wanted
    }
}

extension ArrayMember {
    /// Reads the superblock of a member.
    ///
    /// - Parameters:
    ///   - version: libblkid's word for the format, `1.2` and its like. The older 0.90 has no name, so it is not read.
    ///   - size: Bytes of the member.
    ///   - read: Returns `count` bytes at a position from the member's start, or `nil`.
    /// - Returns: `nil` where there is no superblock, or it contradicts itself.
    /// - SeeAlso: The kernel's `include/uapi/linux/raid/md_p.h`, `struct mdp_superblock_1`.
    public static func read(version: String, size: UInt64, read: (UInt64, Int) -> [UInt8]?) -> ArrayMember? {
        guard let place = place(version: version, size: size), let head = read(place, 256).map({ ByteFields($0) }),
            head.little32(0) == 0xa92b_4efc, head.little32(4) == 1
        else { return nil }
        let roles = Int(head.little32(220))
        guard roles <= 4096, let whole = read(place, 256 + 2 * roles).map({ ByteFields($0) }),
            checksum(whole.bytes) == head.little32(216)
        else { return nil }
        let number = Int(head.little32(160))
        let role: Role =
            switch number < roles ? whole.little16(256 + 2 * number) : 0xffff {
            case 0xffff: .spare
            case let active where active < 0xff00: .active(Int(active))
            default: .other
            }
        let (offset, offsetOverflow) = head.little64(128).multipliedReportingOverflow(by: 512)
        let (length, lengthOverflow) = head.little64(136).multipliedReportingOverflow(by: 512)
        guard !offsetOverflow, !lengthOverflow, offset <= size, length <= size - offset else { return nil }
        return ArrayMember(
            uuid: hexadecimal(head.bytes[16..<32]),
            name: String(decoding: head.bytes[32..<64].prefix { $0 != 0 }, as: UTF8.self),
            level: Int(Int32(bitPattern: head.little32(72))), devices: Int(head.little32(92)), role: role,
            events: head.little64(200), chunk: UInt64(head.little32(88)) * 512, dataOffset: offset, dataSize: length,
            // MD_FEATURE_RECOVERY_OFFSET
            isRebuilding: head.little32(8) & 2 != 0)
    }

    /// Bytes from the start of a member to its superblock; `nil` where it does not fit, or the version is unknown.
    static func place(version: String, size: UInt64) -> UInt64? {
        switch version {
        // In units of 4 KiB, at least 8 KiB from the end.
        case "1.0": size >= 8192 ? (size / 512 - 16) / 8 * 8 * 512 : nil
        case "1.1": 0
        case "1.2": 4096
        default: nil
        }
    }

    /// The sum of the superblock's words, without the checksum itself.
    private static func checksum(_ bytes: [UInt8]) -> UInt32 {
        let block = ByteFields(bytes)
        var sum: UInt64 = 0
        for index in stride(from: 0, to: bytes.count - 3, by: 4) where index != 216 {
            sum += UInt64(block.little32(index))
        }
        if bytes.count % 4 == 2 { sum += UInt64(block.little16(bytes.count - 2)) }
        return UInt32(truncatingIfNeeded: (sum & 0xffff_ffff) + (sum >> 32))
    }
}
