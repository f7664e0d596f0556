// Any bytes as the sectors of a GPT. Checksums are made right: nobody finds them by trying.

@testable import DiskFormats
@testable import DiskPlanning
@testable import Encoding

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count > 3 else { return 0 }
    let sectorSize: UInt64 = data[0] & 1 == 0 ? 512 : 4096
    let size = (UInt64(data[1]) + 6) * 128 * sectorSize
    // Two headers of 92 bytes, then entries, one after the other.
    let bytes = Array(UnsafeBufferPointer(start: data + 2, count: count - 2))
    let last = size / sectorSize - 1
    let entries = Array(bytes.dropFirst(184))
    let primary = header(Array(bytes.prefix(92)), at: 1, entries: entries, seals: data[0] & 2 != 0)
    let backup = header(Array(bytes.dropFirst(92).prefix(92)), at: last, entries: entries, seals: data[0] & 4 != 0)
    // An entry beside the one that protects the table.
    var mbr = protectiveMBR
    mbr.replaceSubrange(462..<478, with: ([UInt8](repeating: 0, count: 16) + bytes).suffix(16))
    let reader = PartitionTableReader(size: size, sectorSize: sectorSize) { position, count in
        guard position <= size, UInt64(count) <= size - position else { return nil }
        let content =
            switch position / sectorSize {
            case 0: mbr
            case 1: primary
            case last: backup
            default: entries
            }
        return Array(content.prefix(count)) + [UInt8](repeating: 0, count: max(0, count - content.count))
    }
    guard let table = reader?.table() else { return 0 }
    precondition(table.usable.upperBound <= last + 1)
    precondition((1...4096).contains(table.capacity) && table.partitions.count <= table.capacity)
    _ = reader?.isHybrid(beside: table)
    let geometry = SectorGeometry(sectorSize: sectorSize)
    for partition in table.partitions {
        precondition(partition.guid.utf8.count == 36 && (1...table.capacity).contains(partition.number))
        let bytes = geometry.bytes(partition.sectors)
        precondition(bytes.lowerBound <= bytes.upperBound)
    }
    return 0
}

private let protectiveMBR: [UInt8] = {
    var block = [UInt8](repeating: 0, count: 512)
    block[446 + 4] = 0xee
    block[446 + 8] = 1
    block[510] = 0x55
    block[511] = 0xaa
    return block
}()

/// The bytes as a header, with what they have to say to be one.
private func header(_ given: [UInt8], at sector: UInt64, entries: [UInt8], seals: Bool) -> [UInt8] {
    var block = given + [UInt8](repeating: 0, count: 92 - given.count)
    guard seals else { return block }
    func put(_ value: some FixedWidthInteger, at offset: Int) {
        withUnsafeBytes(of: value.littleEndian) { block.replaceSubrange(offset..<offset + $0.count, with: $0) }
    }
    block.replaceSubrange(0..<8, with: "EFI PART".utf8)
    put(UInt32(92), at: 12)
    put(sector, at: 24)
    let fields = ByteFields(block)
    let length = Int(fields.little32(80)).multipliedReportingOverflow(by: Int(fields.little32(84)))
    if !length.overflow, length.partialValue <= 1 << 16 {
        let part = Array(entries.prefix(length.partialValue))
        put(crc32(part + [UInt8](repeating: 0, count: length.partialValue - part.count)), at: 88)
    }
    put(UInt32(0), at: 16)
    put(crc32(block), at: 16)
    return block
}
