// Recognizing root images by their first bytes.

import Encoding

/// A filesystem that can be a live root.
public struct RootImageFormat: Equatable, Sendable, CustomStringConvertible {
    /// The kinds of filesystem.
    public enum Filesystem: String, Sendable, CaseIterable {
        case squashfs = "squashfs"
        case erofs = "erofs"
    }

    /// The kind of filesystem.
    public var filesystem: Filesystem
    /// The length in bytes that the superblock states; a shorter file is truncated.
    public var length: UInt64

    /// Creates a format from its parts.
    public init(_ filesystem: Filesystem, length: UInt64) {
        self.filesystem = filesystem
        self.length = length
    }

    /// The name of the filesystem.
    public var description: String { filesystem.rawValue }

    /// The largest length in bytes that is accepted, so that rounding up cannot overflow.
    private static let longest: UInt64 = 1 << 60

    /// How many bytes from the start of an image are enough to recognize it.
    public static let headLength = 2048

    /// Reads the superblock in the first ``headLength`` bytes of an image, or in all of a shorter one.
    ///
    /// - SeeAlso: Linux, `fs/squashfs/squashfs_fs.h` and `fs/erofs/erofs_fs.h`.
    public init?(head: UnsafeRawBufferPointer) {
        if head.starts(with: "hsqs".utf8), let used = head.littleEndian(UInt64.self, at: 40) {
            guard 96...Self.longest ~= used else { return nil }
            self.init(.squashfs, length: used)
        } else if head.littleEndian(UInt32.self, at: 1024) == 0xe0f5_e1e2,
            let features = head.littleEndian(UInt32.self, at: 1024 + 80),
            let low = head.littleEndian(UInt32.self, at: 1024 + 36),
            let high = head.littleEndian(UInt16.self, at: 1024 + 14)
        {
            let bits = UInt64(head[1024 + 12])
            guard 9...16 ~= bits else { return nil }
            let has48BitAddresses = features & 0x80 != 0
            let blocks = UInt64(low) | (has48BitAddresses ? UInt64(high) << 32 : 0)
            guard blocks > 0, blocks <= Self.longest >> bits else { return nil }
            self.init(.erofs, length: blocks << bits)
        } else {
            return nil
        }
    }
}

/// What bytes that are not a root image are instead, for the operator.
///
/// - Parameters:
///   - head: The first ``RootImageFormat/headLength`` bytes, or all there are.
///   - isoMagic: The five bytes at 32769 if they are known.
/// - Returns: A phrase that follows "this is".
package func knownByItsFirstBytes(_ head: UnsafeRawBufferPointer, isoMagic: UnsafeRawBufferPointer) -> String? {
    let magics: [(offset: Int, bytes: [UInt8], name: String)] = [
        (0, [0x1f, 0x8b], "gzip-compressed data"),
        (0, [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], "xz-compressed data"),
        (0, [0x28, 0xb5, 0x2f, 0xfd], "zstd-compressed data"),
        (0, Array("BZh".utf8), "bzip2-compressed data"),
        (0, Array("070707".utf8), "a cpio archive of the old kind; newc is needed"),
        (0, Array("070702".utf8), "a cpio archive with checksums; plain newc is needed"),
        (0, [0x71, 0xc7], "a binary cpio archive; newc is needed"),
        (0, Array("QFI".utf8) + [0xfb], "a qcow2 disk image"),
        (0, [0x7f] + Array("ELF".utf8), "a program"),
        (514, Array("HdrS".utf8), "a Linux kernel"),
        (257, Array("ustar".utf8), "a tar archive"),
        (1080, [0x53, 0xef], "an ext2, ext3 or ext4 filesystem"),
        (0, Array("XFSB".utf8), "an XFS filesystem"),
    ]
    if isoMagic.elementsEqual("CD001".utf8) {
        return "an ISO image; the root image is \(LiveImageName.rootfsOnISO) inside it"
    }
    for magic in magics where head.dropFirst(magic.offset).starts(with: magic.bytes) { return magic.name }
    let text = head.drop { [0x20, 0x09, 0x0a, 0x0d, 0xef, 0xbb, 0xbf].contains($0) }
    if text.first == UInt8(ascii: "<") { return "an HTML or XML page" }
    if head.count >= 512, head[510] == 0x55, head[511] == 0xaa { return "a disk image" }
    let beginning = text.prefix(512)
    let isText = beginning.allSatisfy { $0 >= 0x20 && $0 != 0x7f || [0x09, 0x0a, 0x0d].contains($0) }
    return isText && !beginning.isEmpty ? "a text" : nil
}
