import LiveImage
import Testing

@Suite struct RootImageReading {
    private struct Result: Equatable {
        var format: RootImageFormat?
        var offset: UInt64 = 0
        var length: UInt64 = 0
        var image: [UInt8] = []
        var version: String?
        var installImages: [String: [UInt8]] = [:]
    }

    private func read(_ bytes: [UInt8], slices: Int = 1000) throws -> Result {
        var reader = RootImageReader()
        var result = Result()
        var installImage = ""
        try inSlices(of: slices, bytes) { slice, _ in
            var rest = slice
            while let event = try reader.next(&rest) {
                switch event {
                case .image(let format, let offset, let length):
                    result.format = format
                    result.offset = offset
                    result.length = length
                case .imageData(let data): result.image += data
                case .version(let text): result.version = text
                case .installImage(let name, _): installImage = name
                case .installImageData(let data): result.installImages[installImage, default: []] += data
                }
            }
        }
        try reader.finish()
        return result
    }

    private func fault(_ bytes: [UInt8]) -> RootImageFault? {
        do {
            _ = try read(bytes)
            return nil
        } catch { return error as? RootImageFault }
    }

    @Test("takes an archive apart", arguments: ["squashfs", "erofs"], [1, 7, 124, 2048, 2173, 100_000])
    func archive(filesystem: String, slices: Int) throws {
        let result = try read(try rootImageFixture("rootfs-\(filesystem).img"), slices: slices)
        #expect(result.format?.description == filesystem)
        #expect(result.offset == 124)
        #expect(result.length == 4096)
        #expect(result.image == (try rootImageFixture("tiny.\(filesystem)")))
        #expect(result.version == "40.20240101.0")
        #expect(result.installImages == ["fedora-metal.osmet": Array("packed\n".utf8)])
    }

    @Test("takes a bare image as it is", arguments: ["squashfs", "erofs"], [1, 2048, 100_000])
    func bare(filesystem: String, slices: Int) throws {
        let image = try rootImageFixture("tiny.\(filesystem)")
        let result = try read(image + [UInt8](repeating: 7, count: 5000), slices: slices)
        #expect(result.format?.description == filesystem)
        #expect(result.offset == 0)
        #expect(result.image == image)
        #expect(result.version == nil)
    }

    @Test func superblocksTellTheLength() throws {
        let squashfs = try rootImageFixture("tiny.squashfs").withUnsafeBytes(RootImageFormat.init(head:))
        // mksquashfs pads its 4 KiB file; what counts is shorter.
        #expect(squashfs?.filesystem == .squashfs)
        #expect(96..<4096 ~= squashfs?.length ?? 0)
        let erofs = try rootImageFixture("tiny.erofs").withUnsafeBytes(RootImageFormat.init(head:))
        #expect(erofs == RootImageFormat(.erofs, length: 4096))
    }

    @Test("a superblock that names more blocks than there can be is none", arguments: [12, 16])
    func hugeSuperblocks(blockBits: UInt8) throws {
        var image = try rootImageFixture("tiny.erofs")
        image[1024 + 12] = blockBits
        // The number of blocks with all its 48 bits.
        image.replaceSubrange(1024 + 36..<1024 + 40, with: [0xff, 0xff, 0xff, 0xff])
        image.replaceSubrange(1024 + 14..<1024 + 16, with: [0xff, 0xff])
        image[1024 + 80] |= 0x80
        let found = fault(image)
        if blockBits == 16 {
            #expect(found == .unknown(what: nil))
        } else {
            #expect(found == .truncated(RootImageFormat(.erofs, length: ((1 << 48) - 1) << 12), has: 4096))
        }
    }

    @Test func aTruncatedImageIsToldFromItsSuperblock() throws {
        var image = try rootImageFixture("tiny.squashfs")
        image.replaceSubrange(40..<48, with: [0, 0, 1, 0, 0, 0, 0, 0])
        let format = RootImageFormat(.squashfs, length: 65536)
        #expect(fault(image) == .truncated(format, has: 4096))
        #expect(fault(newcArchive([("root.squashfs", image)])) == .truncated(format, has: 4096))
        #expect(fault(Array(image[..<100])) == .truncated(format, has: 100))
    }

    @Test func anArchiveNeedsOneImage() throws {
        let image = try rootImageFixture("tiny.erofs")
        #expect(fault(newcArchive([("etc/motd", [1, 2])])) == .noImage)
        let two = newcArchive([("root.erofs", image), ("./root.squashfs", image)])
        #expect(fault(two) == .twoImages(second: "root.squashfs"))
        #expect(try read(newcArchive([("etc/motd", [1]), ("./root.erofs", image)])).image == image)
        let cut = newcArchive([("root.erofs", image)])[..<3000]
        #expect(fault(Array(cut)) == .archive(.endsEarly(offset: 3000, member: "root.erofs")))
        #expect(fault([]) == .empty)
        #expect(fault(newcArchive([("root.erofs", [])])) == .empty)
    }

    @Test(
        "says what else it was given",
        arguments: [
            ("<!DOCTYPE html><title>Sign in</title>", "an HTML or XML page"),
            ("\n  <html>", "an HTML or XML page"),
            ("\u{1f}\u{8b}\u{8}", nil),
            ("#!ipxe\nboot", "a text"),
            ("070702000", "a cpio archive with checksums; plain newc is needed"),
            ("ab\u{1}\u{2}", nil),
        ] as [(String, String?)])
    func says(text: String, what: String?) {
        #expect(fault(Array(text.utf8)) == .unknown(what: what))
    }

    @Test func knowsCompressedAndForeignImages() throws {
        let rest = pattern(40000)
        #expect(fault([0x1f, 0x8b] + rest) == .unknown(what: "gzip-compressed data"))
        #expect(fault([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0] + rest) == .unknown(what: "xz-compressed data"))
        #expect(fault([0x28, 0xb5, 0x2f, 0xfd] + rest) == .unknown(what: "zstd-compressed data"))
        #expect(fault(rest) == .unknown(what: nil))
        var iso = [UInt8](repeating: 0, count: 40000)
        iso.replaceSubrange(32769..<32774, with: "CD001".utf8)
        var reader = RootImageReader()
        iso.withUnsafeBytes { bytes in
            var slice = bytes
            #expect {
                _ = try reader.next(&slice)
            } throws: { "\($0)".hasPrefix("this is an ISO image; the root image is images/pxeboot/rootfs.img") }
        }
        let inside = fault(newcArchive([("root.squashfs", [0x1f, 0x8b] + rest)]))
        #expect(inside.map { "\($0)" } == "root.squashfs is gzip-compressed data")
    }
}
