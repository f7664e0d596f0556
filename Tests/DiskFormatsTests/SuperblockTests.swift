import Testing

@testable import DiskFormats

@Suite struct SuperblockSizes {
    /// A superblock of zeros but for these bytes.
    private func block(_ count: Int, _ bytes: [(Int, [UInt8])]) -> [UInt8] {
        bytes.reduce(into: [UInt8](repeating: 0, count: count)) { block, part in
            block.replaceSubrange(part.0..<(part.0 + part.1.count), with: part.1)
        }
    }

    private func usage(_ type: String, _ block: [UInt8]) -> SuperblockReader.Usage? {
        SuperblockReader.usage(type) { _, count in Array(block.prefix(count)) }
    }

    @Test("reads sizes and what is in use")
    func sizes() {
        let ext = block(1024, [(4, [0, 4, 0, 0]), (0xc, [0, 1, 0, 0]), (0x18, [2])])
        #expect(usage("ext4", ext) == .init(size: 4_194_304, used: 3_145_728))
        let xfs = block(512, [(6, [0x10]), (14, [4, 0]), (0x96, [1, 0]), (0x7e, [1])])
        #expect(usage("xfs", xfs) == .init(size: 4_194_304, used: 3_145_728, isUnfinished: false))
        // Only with the right checksum is it mkfs.xfs that says so.
        var half = block(512, [(6, [0x10]), (14, [4, 0]), (0x64, [0xb4, 0xa5, 2, 0]), (0x7e, [1])])
        #expect(usage("xfs", half)?.isUnfinished == false)
        let sum = crc32c(half)
        half.replaceSubrange(0xe0..<0xe4, with: (0..<4).map { UInt8(truncatingIfNeeded: sum >> (8 * $0)) })
        #expect(usage("xfs", half)?.isUnfinished == true)
        let swap = block(512, [(0, [1]), (4, [255])])
        #expect(usage("swap", swap) == .init(size: 256 * 4096, used: nil))
        #expect(usage("ntfs", swap) == nil)
    }

    @Test("an xfs tells that its log or its real-time part is elsewhere")
    func furtherDevices() {
        let needs = { (bytes: [(Int, [UInt8])]) in
            SuperblockReader.needsFurtherDevice { _, count in
                Array(self.block(512, [(0, Array("XFSB".utf8))] + bytes).prefix(count))
            }
        }
        #expect(!needs([(0x37, [9])]))
        #expect(needs([]) && needs([(0x37, [9]), (0x17, [1])]))
        #expect(!SuperblockReader.needsFurtherDevice { _, count in [UInt8](repeating: 0, count: count) })
    }

    @Test("a filesystem never holds more than it spans")
    func fuller() {
        // One device of 64 KiB, and 2^63 bytes in use of as many.
        let btrfs = block(4096, [(0x77, [0x80]), (0x7f, [0x80]), (0x88, [1]), (0xd3, [1])])
        #expect(usage("btrfs", btrfs) == .init(size: 65536, used: nil))
    }

    @Test("a superblock that contradicts itself tells nothing", arguments: ["ext4", "xfs", "btrfs", "vfat"])
    func hostile(_ type: String) {
        #expect(usage(type, [UInt8](repeating: 0xff, count: 4096)) == nil)
        #expect(usage(type, []) == nil)
    }
}

@Suite struct Checksums {
    @Test("the standards' check values") func known() {
        #expect(crc32(Array("123456789".utf8)) == 0xcbf4_3926)
        #expect(crc32c(Array("123456789".utf8)) == 0xe306_9283)
    }
}
