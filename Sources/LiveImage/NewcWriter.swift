// Writing newc cpio archives, which Linux unpacks as an initramfs.

import Encoding

/// Encodes members in the newc format, one after the other.
///
/// The bytes depend only on what is passed in: the owner is 0:0, inodes are numbered from 1, and all members have the
/// same modification time. The caller writes a member's data, so that an archive larger than memory can be streamed:
/// header, data, padding, and ``trailer()`` at the end.
///
/// - SeeAlso: Documentation/driver-api/early-userspace/buffer-format.rst of Linux.
public struct NewcWriter: Sendable {
    /// The type of a member, as bits of `st_mode`.
    public enum Kind: UInt32, Sendable {
        case folder = 0o040000
        case file = 0o100000
        case link = 0o120000
    }

    /// Why a member cannot be written.
    public enum Failure: Error, Equatable, CustomStringConvertible {
        case tooLarge(path: String, bytes: UInt64)
        case nameTooLong(path: String)

        /// What is wrong, as a phrase that follows the name of the file.
        public var description: String {
            switch self {
            case .tooLarge(let path, let bytes):
                "\(path) has \(bytes) bytes; a cpio archive of this form holds less than 4 GiB in one file"
            case .nameTooLong(let path): "\(path) is longer than the kernel takes (4095 bytes)"
            }
        }
    }

    /// The modification time of all members, in seconds since 1970.
    public let modificationTime: UInt32
    private var inode: UInt32 = 0

    /// Creates a writer at the start of an archive.
    public init(modificationTime: UInt32 = 0) { self.modificationTime = modificationTime }

    /// The bytes before a member's data; their number is a multiple of 4.
    ///
    /// - Parameters:
    ///   - path: The path without a leading slash; the folders above it must have been written before.
    ///   - kind: The type of the member.
    ///   - permissions: The lower twelve mode bits.
    ///   - size: Bytes of data that follow: a file's contents or a link's target; 0 for a folder.
    /// - Returns: The header, the name and their padding.
    /// - Throws: ``Failure`` if the format or the kernel cannot hold the member.
    public mutating func header(
        _ path: String, _ kind: Kind, permissions: UInt32, size: UInt64 = 0
    ) throws(Failure) -> [UInt8] {
        guard let size32 = UInt32(exactly: size) else { throw .tooLarge(path: path, bytes: size) }
        guard path.utf8.count < 4096 else { throw .nameTooLong(path: path) }
        inode += 1
        return NewcWriter.header(
            path, inode: inode, mode: kind.rawValue | permissions & 0o7777, links: kind == .folder ? 2 : 1,
            time: modificationTime, size: size32)
    }

    /// A whole member: header, data, padding.
    public mutating func member(
        _ path: String, _ kind: Kind, permissions: UInt32, data: [UInt8] = []
    ) throws(Failure) -> [UInt8] {
        let header = try header(path, kind, permissions: permissions, size: UInt64(data.count))
        return header + data + NewcWriter.padding(after: UInt64(data.count))
    }

    /// The member that ends an archive; its length is a multiple of 4.
    public static func trailer() -> [UInt8] {
        header("TRAILER!!!", inode: 0, mode: 0, links: 1, time: 0, size: 0)
    }

    /// The zeros that pad `size` bytes to a multiple of 4.
    public static func padding(after size: UInt64) -> [UInt8] {
        Array(repeating: 0, count: Int((4 - size % 4) % 4))
    }

    private static func header(
        _ path: String, inode: UInt32, mode: UInt32, links: UInt32, time: UInt32, size: UInt32
    ) -> [UInt8] {
        let name = Array(path.utf8) + [0]
        let owner: [UInt32] = [0, 0]
        let devices: [UInt32] = [0, 0, 0, 0]
        let checksum: [UInt32] = [0]
        let fields = [inode, mode] + owner + [links, time, size] + devices + [UInt32(name.count)] + checksum
        var bytes = Array("070701".utf8)
        bytes.reserveCapacity(110 + name.count + 3)
        for field in fields { bytes += hexadecimalDigits(of: field, isUpper: true) }
        bytes += name
        return bytes + padding(after: UInt64(bytes.count))
    }
}
