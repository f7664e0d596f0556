// The files of an initrd, and the archive that they make.

import Encoding
import Reporting

/// Regular files by name, as an initrd holds them.
public struct ArchiveFiles: Equatable, Sendable {
    /// Keyed by the bytes of the name: two names that only Unicode considers equal stay two.
    private var members: [[UInt8]: [UInt8]] = [:]

    /// No files.
    public init() {}

    /// Whether there are none.
    public var isEmpty: Bool { members.isEmpty }
    /// How many there are.
    public var count: Int { members.count }

    /// The names, by their bytes.
    public var names: [String] {
        members.keys.sorted { $0.lexicographicallyPrecedes($1) }.map { String(decoding: $0, as: UTF8.self) }
    }

    /// The contents of a file; assigning `nil` removes it.
    public subscript(name: String) -> [UInt8]? {
        get { members[Array(name.utf8)] }
        set { members[Array(name.utf8)] = newValue }
    }

    /// Those whose names match.
    public func matching(_ glob: ArchiveGlob) -> ArchiveFiles {
        var result = self
        result.members = members.filter { glob.matches($0.key) }
        return result
    }

    /// Takes out those whose names match.
    public mutating func remove(matching glob: ArchiveGlob) {
        members = members.filter { !glob.matches($0.key) }
    }

    /// The Ignition config.
    public var config: [UInt8]? {
        get { self[BootMediaName.config] }
        set { self[BootMediaName.config] = newValue }
    }

    /// The NetworkManager keyfiles.
    public var network: ArchiveFiles { matching(.network) }

    // MARK: Writing

    /// An xz-compressed newc archive, as Linux unpacks it.
    ///
    /// Names are sorted, every folder above a file stands before it, and nothing in it depends on when or by whom it was
    /// made. The check of the xz stream is CRC32, the only one that the kernel knows.
    public func archive() throws -> [UInt8] { try XZ.compress(newc(), check: .crc32) }

    /// The archive before it is compressed.
    func newc() throws -> [UInt8] {
        var archive: [UInt8] = []
        var made: [ArraySlice<UInt8>] = []
        var inode: UInt32 = 0
        func add(_ name: [UInt8], mode: UInt32, links: UInt32 = 1, data: [UInt8] = []) throws {
            guard name.count < 4096 else { throw MediaFault("a name of \(name.count) bytes is too long for an initrd") }
            guard let size = UInt32(exactly: data.count) else {
                throw MediaFault("\(String(decoding: name, as: UTF8.self)) has 4 GiB or more, too much for an initrd")
            }
            archive += Self.header(name, inode: inode, mode: mode, links: links, size: size)
            archive += data
            archive += repeatElement(0, count: -data.count & 3)
            inode += 1
        }
        for name in members.keys.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
            let folders = name.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).dropLast()
            let common = zip(made, folders).prefix { $0 == $1 }.count
            made = Array(folders)
            for depth in common..<folders.count {
                let folder = Array(folders[...depth].joined(separator: [UInt8(ascii: "/")]))
                // The empty part before the slash of an absolute name is not a member.
                if !folder.isEmpty { try add(folder, mode: 0o040755) }
            }
            try add(name, mode: 0o100600, data: members[name] ?? [])
        }
        return archive + Self.header(Array("TRAILER!!!".utf8), inode: 0, mode: 0, links: 0, size: 0)
    }

    private static func header(_ name: [UInt8], inode: UInt32, mode: UInt32, links: UInt32, size: UInt32) -> [UInt8] {
        var bytes = Array("070701".utf8)
        let owner: [UInt32] = [0, 0]
        let devices: [UInt32] = [0, 0, 0, 0]
        let fields = [inode, mode] + owner + [links, 0, size] + devices + [UInt32(name.count + 1), 0]
        for field in fields { bytes += hexadecimalDigits(of: field) }
        bytes += name + [0]
        return bytes + [UInt8](repeating: 0, count: -bytes.count & 3)
    }
}
