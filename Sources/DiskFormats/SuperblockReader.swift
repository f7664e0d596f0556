// How much a filesystem spans and holds, read from its superblock: a plan tells it before it destroys something, and
// checks it before a partition shrinks.

import Encoding

/// Reads the sizes that superblocks record.
public enum SuperblockReader {
    /// The sizes of a filesystem.
    public struct Usage: Equatable, Sendable {
        /// Bytes from the start of the device.
        public var size: UInt64
        /// Bytes in use; `nil` where the superblock does not say.
        public var used: UInt64?
        /// Whether the superblock says that its creation never finished.
        public var isUnfinished = false
    }

    /// Reads the sizes of a filesystem.
    ///
    /// - Parameters:
    ///   - type: libblkid's name of the filesystem.
    ///   - read: Returns `count` bytes at a position from the start of the filesystem, or `nil`.
    /// - Returns: `nil` where the type is unknown here, or the superblock contradicts itself.
    /// - SeeAlso: The kernel's `fs/ext4/ext4.h`, `fs/xfs/libxfs/xfs_format.h`, `fs/btrfs` (`btrfs_super_block`),
    ///   `include/linux/swap.h`; Microsoft's FAT specification 1.03.
    public static func usage(_ type: String, read: (UInt64, Int) -> [UInt8]?) -> Usage? {
        let usage: Usage? =
            switch type {
            case "ext2", "ext3", "ext4": read(1024, 1024).flatMap { ext(ByteFields($0)) }
            case "xfs": read(0, 512).flatMap { xfs(ByteFields($0), read: read) }
            case "btrfs": read(64 << 10, 4096).flatMap { btrfs(ByteFields($0)) }
            case "swap": read(1024, 512).flatMap { swap(ByteFields($0)) }
            case "vfat": read(0, 512).flatMap { fat(ByteFields($0), read: read) }
            default: nil
            }
        guard var usage, usage.size > 0, usage.size <= UInt64(Int64.max) else { return nil }
        if let used = usage.used, used > usage.size { usage.used = nil }
        return usage
    }

    private static func ext(_ block: ByteFields) -> Usage? {
        let shift = block.little32(0x18)
        guard shift <= 6 else { return nil }
        let wide = block.little32(0x60) & 0x80 != 0  // INCOMPAT_64BIT
        let blocks = UInt64(block.little32(0x04)) | (wide ? UInt64(block.little32(0x150)) << 32 : 0)
        let free = UInt64(block.little32(0x0c)) | (wide ? UInt64(block.little32(0x158)) << 32 : 0)
        return usage(blocks: blocks, free: free, blockSize: 1024 << UInt64(shift))
    }

    private static func xfs(_ block: ByteFields, read: (UInt64, Int) -> [UInt8]?) -> Usage? {
        let blockSize = UInt64(block.big32(0x04))
        guard blockSize >= 512, blockSize <= 65536,
            var usage = usage(blocks: block.big64(0x08), free: block.big64(0x90), blockSize: blockSize)
        else { return nil }
        // sb_inprogress counts only where the checksum proves that mkfs.xfs wrote it, and that no bit flipped since.
        usage.isUnfinished = block[0x7e] != 0 && isSealedXFS(block, read: read)
        return usage
    }

    /// Whether the superblock has a checksum, as it does by default, and the checksum is right.
    private static func isSealedXFS(_ block: ByteFields, read: (UInt64, Int) -> [UInt8]?) -> Bool {
        let (version, sector) = (UInt16(bigEndian: block.little16(0x64)), UInt16(bigEndian: block.little16(0x66)))
        guard version & 0xf == 5, (512...4096).contains(sector), var whole = read(0, Int(sector)) else { return false }
        whole.replaceSubrange(0xe0..<0xe4, with: [0, 0, 0, 0])
        return crc32c(whole) == block.little32(0xe0)
    }

    /// Whether an XFS filesystem was never mounted for writing.
    ///
    /// Its log then holds no record but the first, two blocks long, which mkfs.xfs writes.
    ///
    /// - Parameter read: Returns `count` bytes at a position from the start of the filesystem, or `nil`.
    /// - Returns: `false` also where that cannot be told.
    ///
    /// - SeeAlso: Linux, `fs/xfs/libxfs/xfs_log_format.h` (`xlog_rec_header`).
    public static func isUnusedXFS(read: (UInt64, Int) -> [UInt8]?) -> Bool {
        guard let block = read(0, 512).map({ ByteFields($0) }) else { return false }
        let (blockSize, start) = (UInt64(block.big32(0x04)), block.big64(0x30))
        let (groupBlocks, logBlocks) = (UInt64(block.big32(0x54)), UInt64(block.big32(0x60)))
        // The high bits of a block number are the allocation group's.
        let bits = UInt64(block[0x7c])
        guard (512...65536).contains(blockSize), start > 0, start < 1 << 46, bits < 32, logBlocks > 0 else {
            return false
        }
        let (group, isBeyond) = (start >> bits).multipliedReportingOverflow(by: groupBlocks)
        guard !isBeyond, group < 1 << 46 else { return false }
        let position = (group + start & (1 << bits - 1)) * blockSize
        // A record has at most 256 KiB, so this much of a log that has wrapped round contains some.
        guard let log = read(position, Int(min(logBlocks * blockSize, 1 << 20))) else { return false }
        let uuid = block.bytes[0x20..<0x30]
        return stride(from: 0, to: log.count - 511, by: 512).allSatisfy { place in
            let record = log[place..<place + 512]
            let isOwn = record.starts(with: [0xfe, 0xed, 0xba, 0xbe]) && record.dropFirst(304).starts(with: uuid)
            return !isOwn || place == 0 && record.dropFirst(4).starts(with: [0, 0, 0, 1])
        }
    }

    /// Whether an XFS filesystem has its log or its real-time part on another device.
    ///
    /// - Parameter read: Returns `count` bytes at a position from the start of the filesystem, or `nil`.
    /// - Returns: `false` also where there is no superblock.
    public static func needsFurtherDevice(_ read: (UInt64, Int) -> [UInt8]?) -> Bool {
        guard let block = read(0, 512).map({ ByteFields($0) }), block.bytes.starts(with: Array("XFSB".utf8)) else {
            return false
        }
        // sb_logstart, which is 0 for a log elsewhere, and sb_rblocks.
        return block.big64(0x30) == 0 || block.big64(0x10) > 0
    }

    private static func btrfs(_ block: ByteFields) -> Usage? {
        let total = block.little64(0x70)
        let used = block.little64(0x78)
        // The total of a filesystem on several devices counts all of them; this device's own size is in its item.
        let device = block.little64(0xc9 + 8)
        guard used <= total, device > 0 else { return nil }
        return Usage(size: device, used: block.little64(0x88) == 1 ? used : nil)
    }

    private static func swap(_ block: ByteFields) -> Usage? {
        let (size, overflow) = (UInt64(block.little32(4)) + 1).multipliedReportingOverflow(by: 4096)
        return overflow ? nil : Usage(size: size, used: nil)
    }

    private static func fat(_ block: ByteFields, read: (UInt64, Int) -> [UInt8]?) -> Usage? {
        let sectorSize = UInt64(block.little16(0x0b))
        let perCluster = UInt64(block[0x0d])
        let small = UInt64(block.little16(0x13))
        let sectors = small != 0 ? small : UInt64(block.little32(0x20))
        guard [512, 1024, 2048, 4096].contains(sectorSize), perCluster > 0, sectors > 0 else { return nil }
        let size = sectors * sectorSize
        // FAT32 keeps the number of free clusters in its information sector.
        guard block.little16(0x16) == 0,
            let information = read(UInt64(block.little16(0x30)) * sectorSize, 512).map({ ByteFields($0) }),
            information.little32(0) == 0x4161_5252, information.little32(484) == 0x6141_7272,
            information.little32(488) != .max
        else { return Usage(size: size, used: nil) }
        let free = UInt64(information.little32(488)) * perCluster * sectorSize
        return Usage(size: size, used: free <= size ? size - free : nil)
    }

    /// Whether a FAT filesystem holds nothing.
    ///
    /// Either its table was never written, or the table and the root directory are empty but for the label.
    ///
    /// - Parameter read: Returns `count` bytes at a position from the start of the filesystem, or `nil`.
    /// - Returns: `false` also where that cannot be told.
    ///
    /// - SeeAlso: Microsoft's FAT specification 1.03.
    public static func isEmptyFAT(read: (UInt64, Int) -> [UInt8]?) -> Bool {
        guard let block = read(0, 512).map({ ByteFields($0) }) else { return false }
        let sectorSize = UInt64(block.little16(0x0b))
        let (perCluster, tables) = (UInt64(block[0x0d]), UInt64(block[0x10]))
        let entries = UInt64(block.little16(0x11))
        let is32 = block.little16(0x16) == 0
        let perTable = is32 ? UInt64(block.little32(0x24)) : UInt64(block.little16(0x16))
        let small = UInt64(block.little16(0x13))
        let sectors = small != 0 ? small : UInt64(block.little32(0x20))
        guard [512, 1024, 2048, 4096].contains(sectorSize), perCluster > 0, tables > 0, perTable > 0 else {
            return false
        }
        let table = UInt64(block.little16(0x0e)) * sectorSize
        var root = table + tables * perTable * sectorSize
        let data = root + (entries * 32 + sectorSize - 1) / sectorSize * sectorSize
        guard let head = read(table, Int(min(perTable * sectorSize, 64 << 10))) else { return false }
        let media = block[0x15]
        // The first two entries belong to no file; on FAT32 the third is the root directory's.
        let used: ArraySlice<UInt8>
        if is32 {
            guard head[0] == media, head[1] == 0xff, head[2] == 0xff else { return true }
            used = head.dropFirst(12)
            guard block.little32(0x2c) >= 2 else { return false }
            root = data + UInt64(block.little32(0x2c) - 2) * perCluster * sectorSize
        } else {
            guard head[0] == media, head[1] == 0xff else { return true }
            let clusters = sectors > data / sectorSize ? (sectors - data / sectorSize) / perCluster : 0
            used = head.dropFirst(clusters < 4085 ? 3 : 4)
        }
        let length = is32 ? perCluster * sectorSize : entries * 32
        guard used.allSatisfy({ $0 == 0 }), length >= 32, let folder = read(root, Int(min(length, 64 << 10))) else {
            return false
        }
        for start in stride(from: 0, to: folder.count - 31, by: 32) {
            if folder[start] == 0 { return true }
            if folder[start + 11] & 0x3f != 0x08 { return false }
        }
        return true
    }

    private static func usage(blocks: UInt64, free: UInt64, blockSize: UInt64) -> Usage? {
        let (size, overflow) = blocks.multipliedReportingOverflow(by: blockSize)
        guard !overflow, free <= blocks else { return nil }
        return Usage(size: size, used: size - free * blockSize)
    }
}
