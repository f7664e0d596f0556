// Reads both copies of a GUID partition table, whole or damaged.
//
// libfdisk writes tables. This reader tells what libfdisk does not: which copy is damaged, and whether only the
// protective MBR is missing. It also checks independently what was written.

import Encoding

/// A GPT's header, as far as a reader needs it.
private struct Header {
    var alternate: UInt64
    /// The disk's GUID, as it is written.
    var disk: [UInt8]
    var usable: Range<UInt64>
    var entriesStart: UInt64
    var entryCount: Int
    var entrySize: Int
    var entriesChecksum: UInt32
}

/// Reads a GUID partition table.
///
/// - SeeAlso: UEFI 2.10, section 5.3.
public struct PartitionTableReader {
    private let sectorSize: Int
    private let lastSector: UInt64
    private let read: (UInt64, Int) -> [UInt8]?

    /// Makes a reader of a disk or an image of one.
    ///
    /// - Parameters:
    ///   - size: Bytes of the disk.
    ///   - sectorSize: Bytes of a logical sector.
    ///   - read: Returns `count` bytes at a position in bytes, or `nil` where they cannot be read.
    public init?(size: UInt64, sectorSize: UInt64, read: @escaping (UInt64, Int) -> [UInt8]?) {
        guard sectorSize >= 512, sectorSize <= 1 << 16, sectorSize & (sectorSize - 1) == 0, size / sectorSize >= 6
        else { return nil }
        self.sectorSize = Int(sectorSize)
        lastSector = size / sectorSize - 1
        self.read = read
    }

    /// The most entries that a table may have.
    private static let mostEntries = 4096

    /// Whether a header at either end claims more entries than any table has.
    ///
    /// libblkid takes as much RAM as they claim, up to 4 GiB, and reads all of it.
    public var claimsTooMuch: Bool {
        [1, lastSector].contains { sector in
            guard let header = bytes(at: sector, count: 92), header.starts(with: Array("EFI PART".utf8)) else {
                return false
            }
            return ByteFields(header).little32(80) > Self.mostEntries
        }
    }

    /// The table, or `nil` where neither copy is whole.
    public func table() -> FoundGPT? {
        let primary = copy(at: 1)
        let backup = copy(at: primary?.header.alternate ?? lastSector)
        guard let whole = primary ?? backup else { return nil }
        var damage: [FoundGPT.Damage] = []
        if !hasProtectiveMBR { damage.append(.protectiveMBR) }
        if primary == nil { damage.append(.primary) }
        // A copy that is whole but differs from the first is useless as a backup.
        if backup?.entries != whole.entries { damage.append(.backup) }
        var found = FoundGPT(
            usable: whole.header.usable, usableWhenMoved: primary.flatMap { usableWhenMoved($0.header) },
            capacity: whole.header.entryCount, partitions: partitions(whole.entries, whole.header), damage: damage)
        found.secondCopy = lastSector - min(lastSector, entrySectors(whole.header))
        // The end of the disk, and where its end was when this table was written.
        for place in [lastSector, whole.header.alternate] where found.endMark == nil { compare(place, whole, &found) }
        return found
    }

    /// Tells what a second copy names that the first does not.
    private func compare(_ place: UInt64, _ whole: (header: Header, entries: [UInt8]), _ found: inout FoundGPT) {
        guard place > 1, let end = copy(at: place), end.entries != whole.entries else { return }
        let named = partitions(end.entries, end.header)
        found.endIsAnothers = end.header.disk != whole.header.disk && !named.isEmpty
        found.namedAtTheEnd = named.filter { one in
            !found.partitions.contains { $0.number == one.number && $0.sectors == one.sectors }
        }
        guard found.endIsAnothers || !found.namedAtTheEnd.isEmpty else { return }
        found.endMark = place * UInt64(sectorSize)
    }

    /// Whether the end of the disk has a whole copy of a table that names partitions.
    public var endNamesPartitions: Bool {
        copy(at: lastSector).map { !partitions($0.entries, $0.header).isEmpty } ?? false
    }

    /// The sectors before the second copy, if that copy has to be moved to the end of the disk.
    private func usableWhenMoved(_ header: Header) -> Range<UInt64>? {
        let entries = entrySectors(header)
        guard header.alternate < lastSector, lastSector > entries, lastSector - entries > header.usable.upperBound
        else {
            return nil
        }
        return header.usable.lowerBound..<lastSector - entries
    }

    private func entrySectors(_ header: Header) -> UInt64 {
        UInt64((header.entryCount * header.entrySize + sectorSize - 1) / sectorSize)
    }

    /// The size in bytes of the disk that a table was made for, where this one is too small for it; `nil` elsewhere.
    public var sizeOfLargerDisk: UInt64? {
        guard let fields = checkedHeader(at: 1), fields.little64(48) > lastSector else { return nil }
        // The second copy's header is in the last sector.
        let (sectors, isTooMuch) = fields.little64(32).addingReportingOverflow(1)
        let (size, overflow) = sectors.multipliedReportingOverflow(by: UInt64(sectorSize))
        return isTooMuch || overflow ? nil : size
    }

    private func copy(at sector: UInt64) -> (header: Header, entries: [UInt8])? {
        guard let header = header(at: sector) else { return nil }
        let length = header.entryCount * header.entrySize
        guard let entries = bytes(at: header.entriesStart, count: length),
            crc32(entries) == header.entriesChecksum
        else { return nil }
        return (header, entries)
    }

    /// A sector that is a header, and right by its checksum.
    private func checkedHeader(at sector: UInt64) -> ByteFields? {
        guard sector <= lastSector, let block = bytes(at: sector, count: sectorSize) else { return nil }
        let fields = ByteFields(block)
        let size = Int(fields.little32(12))
        guard block.starts(with: Array("EFI PART".utf8)), (92...sectorSize).contains(size) else { return nil }
        var summed = Array(block[..<size])
        summed.replaceSubrange(16..<20, with: [0, 0, 0, 0])
        return crc32(summed) == fields.little32(16) && fields.little64(24) == sector ? fields : nil
    }

    private func header(at sector: UInt64) -> Header? {
        guard let fields = checkedHeader(at: sector) else { return nil }
        let first = fields.little64(40)
        let last = fields.little64(48)
        let count = Int(fields.little32(80))
        let entrySize = Int(fields.little32(84))
        guard first <= last, last <= lastSector, (1...Self.mostEntries).contains(count),
            (128...4096).contains(entrySize),
            entrySize.isMultiple(of: 8)
        else { return nil }
        return Header(
            alternate: fields.little64(32), disk: Array(fields.bytes[56..<72]), usable: first..<(last + 1),
            entriesStart: fields.little64(72),
            entryCount: count, entrySize: entrySize, entriesChecksum: fields.little32(88))
    }

    private func partitions(_ entries: [UInt8], _ header: Header) -> [FoundPartition] {
        (0..<header.entryCount).compactMap { index in
            let start = index * header.entrySize
            let entry = ByteFields(Array(entries[start..<(start + header.entrySize)]))
            let type = entry.guid(0)
            let first = entry.little64(32)
            let (end, overflow) = entry.little64(40).addingReportingOverflow(1)
            // An entry that ends before it starts takes no sectors, yet it exists.
            guard type != "00000000-0000-0000-0000-000000000000" else { return nil }
            let units = (0..<36).map { entry.little16(56 + 2 * $0) }.prefix { $0 != 0 }
            return FoundPartition(
                number: index + 1, label: String(decoding: units, as: UTF16.self), guid: entry.guid(16), type: type,
                sectors: first..<(overflow ? .max : max(first, end)))
        }
    }

    /// Whether the MBR names a partition where the GPT names none: whoever wrote it reads the MBR of this disk.
    public func isHybrid(beside gpt: FoundGPT) -> Bool {
        guard let block = bytes(at: 0, count: 512), block[510] == 0x55, block[511] == 0xaa else { return false }
        let fields = ByteFields(block)
        return (0..<4).contains { entry in
            let at = 446 + 16 * entry
            let start = UInt64(fields.little32(at + 8))
            let end = start + UInt64(fields.little32(at + 12))
            // A hybrid image for discs and sticks has one that begins with the disk.
            guard block[at + 4] != 0, block[at + 4] != 0xee, start > 0, end > start else { return false }
            return !gpt.partitions.contains { $0.sectors.lowerBound <= start && end <= $0.sectors.upperBound }
        }
    }

    /// Whether an entry of the MBR protects a GPT.
    private var hasProtectiveMBR: Bool {
        guard let block = bytes(at: 0, count: 512), block[510] == 0x55, block[511] == 0xaa else { return false }
        return (0..<4).contains { entry in
            block[446 + 16 * entry + 4] == 0xee && ByteFields(block).little32(446 + 16 * entry + 8) == 1
        }
    }

    private func bytes(at sector: UInt64, count: Int) -> [UInt8]? {
        let (position, overflow) = sector.multipliedReportingOverflow(by: UInt64(sectorSize))
        guard !overflow, let bytes = read(position, count), bytes.count == count else { return nil }
        return bytes
    }
}

extension ByteFields {
    /// A GUID as text; its first three parts are little-endian numbers, the other two plain bytes.
    fileprivate func guid(_ index: Int) -> String {
        let order = guidOrder
        return String(unsafeUninitializedCapacity: 36) { text in
            var length = 0
            func append(_ byte: UInt8) {
                text[length] = byte
                length += 1
            }
            for position in 0..<16 {
                if position == 4 || position == 6 || position == 8 || position == 10 { append(UInt8(ascii: "-")) }
                let byte = self[index + order[position]]
                append(hexadecimalDigit(byte >> 4, isUpper: true))
                append(hexadecimalDigit(byte & 15, isUpper: true))
            }
            return length
        }
    }
}

private let guidOrder = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15]

/// The checksum of IEEE 802.3, which GPT uses.
func crc32(_ bytes: [UInt8]) -> UInt32 { checksum(bytes, crcOfByte) }

/// The checksum of Castagnoli, which XFS uses.
public func crc32c(_ bytes: [UInt8]) -> UInt32 { checksum(bytes, castagnoliOfByte) }

private func checksum(_ bytes: [UInt8], _ ofByte: [UInt32]) -> UInt32 {
    var sum = ~UInt32(0)
    for byte in bytes { sum = (sum >> 8) ^ ofByte[Int(UInt8(truncatingIfNeeded: sum) ^ byte)] }
    return ~sum
}

private let crcOfByte = checksumsOfBytes(0xedb8_8320)
private let castagnoliOfByte = checksumsOfBytes(0x82f6_3b78)

private func checksumsOfBytes(_ polynomial: UInt32) -> [UInt32] {
    (0..<256).map { byte in
        (0..<8).reduce(UInt32(byte)) { sum, _ in sum & 1 == 0 ? sum >> 1 : (sum >> 1) ^ polynomial }
    }
}
