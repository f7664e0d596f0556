// Any bytes as the superblock of a RAID member or of a filesystem. md's checksum is made right.

@testable import DiskFormats
@testable import DiskPlanning
@testable import Encoding

private let types = ["ext2", "ext4", "xfs", "btrfs", "swap", "vfat", "none"]
private let versions = ["1.0", "1.1", "1.2"]

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count > 2 else { return 0 }
    let block = Array(UnsafeBufferPointer(start: data + 2, count: count - 2))
    let size = UInt64(data[1]) << UInt64(data[0] % 50)
    let type = types[Int(data[0]) % types.count]
    // The block stands everywhere, and the device may end before it.
    let isThere = data[1] & 1 == 0
    let read = { (position: UInt64, count: Int) -> [UInt8]? in
        precondition(position <= UInt64(Int64.max))
        return isThere ? Array(block.prefix(count)) + [UInt8](repeating: 0, count: max(0, count - block.count)) : nil
    }
    let usage = SuperblockReader.usage(type, read: read)
    _ = SuperblockReader.isEmptyFAT(read: read)
    _ = SuperblockReader.isUnusedXFS(read: read)
    if let usage {
        precondition(usage.size > 0 && usage.size <= UInt64(Int64.max))
        precondition(usage.used ?? 0 <= UInt64(Int64.max))
    }
    let sealed = sealedMember(block)
    let member = ArrayMember.read(version: versions[Int(data[1]) % versions.count], size: size) { _, count in
        Array(sealed.prefix(count)) + [UInt8](repeating: 0, count: max(0, count - sealed.count))
    }
    if let member {
        precondition(member.uuid.utf8.count == 32 && member.name.utf8.count <= 32 * 3)
        precondition(member.dataOffset <= size && member.dataSize <= size - member.dataOffset)
        precondition(member.devices >= 0)
        _ = ArrayLevel.size(member.level, of: [member.dataSize, size], active: member.devices)
        precondition(ArrayLevel.needed(member.level, of: member.devices) <= max(member.devices, 1))
    }
    return 0
}

private func sealedMember(_ given: [UInt8]) -> [UInt8] {
    var block = given + [UInt8](repeating: 0, count: max(0, 256 - given.count))
    func put(_ value: UInt32, at offset: Int) {
        withUnsafeBytes(of: value.littleEndian) { block.replaceSubrange(offset..<offset + 4, with: $0) }
    }
    put(0xa92b_4efc, at: 0)
    put(1, at: 4)
    let roles = Int(ByteFields(block).little32(220))
    guard roles <= 4096 else { return block }
    let length = 256 + 2 * roles
    block += [UInt8](repeating: 0, count: max(0, length - block.count))
    // The sum of its words, the checksum itself left out; see the kernel's calc_sb_1_csum.
    let fields = ByteFields(Array(block.prefix(length)))
    var sum: UInt64 = 0
    for index in stride(from: 0, to: length - 3, by: 4) where index != 216 { sum += UInt64(fields.little32(index)) }
    if length % 4 == 2 { sum += UInt64(fields.little16(length - 2)) }
    put(UInt32(truncatingIfNeeded: (sum & 0xffff_ffff) + (sum >> 32)), at: 216)
    return block
}
