// `coreos/miniso.dat`: what makes a minimal ISO, the one without a root image, of the full one.

import Reporting

/// What a full ISO holds of a minimal one: the place of each file that both have, and all the rest, packed.
///
/// The file is written as bincode 1 does it, integers of varying length, little endian: magic and version, the name
/// of the program, the table, the SHA-256 of the minimal ISO, and an xz stream. Zeros may follow.
public struct MinimalISO: Equatable, Sendable {
    static let magic: [UInt8] = Array("MINISO".utf8) + [0, 0]
    static let version: UInt32 = 1
    /// The greatest number of bytes that are read.
    public static let longest = 1 << 20

    /// A file that both images have.
    public struct File: Equatable, Sendable {
        /// Its first sector in the minimal ISO.
        public var minimal: UInt32
        /// Its first sector in the full ISO.
        public var full: UInt32
        /// In bytes.
        public var length: UInt32

        /// Creates a file from its two first sectors and its length in bytes.
        public init(minimal: UInt32, full: UInt32, length: UInt32) {
            self.minimal = minimal
            self.full = full
            self.length = length
        }

        var start: UInt64 { UInt64(minimal) * UInt64(ISO9660.sectorSize) }
        var end: UInt64 { start + UInt64(length) }
    }

    /// Where a part of the minimal ISO comes from.
    public enum Piece: Equatable, Sendable {
        /// So many bytes of the packed data.
        case packed(UInt64)
        /// So many bytes of the full ISO.
        case full(offset: UInt64, count: UInt64)
        /// All that is left of the packed data.
        case rest
    }

    /// The program that packed it.
    public var program: String
    /// By their place in the minimal ISO.
    public private(set) var files: [File]
    /// SHA-256 of the minimal ISO.
    public var digest: [UInt8]
    /// The minimal ISO without these files, as an xz stream.
    public var packed: [UInt8]

    /// - Throws: Where files overlap or there are none.
    public init(program: String, files: [File], digest: [UInt8], packed: [UInt8]) throws {
        self.program = program
        self.files = files
        self.digest = digest
        self.packed = packed
        try step("validating table") { try Self.check(files) }
    }

    private static func check(_ files: [File]) throws(MediaFault) {
        guard !files.isEmpty else { throw MediaFault("table is empty; ISOs have no files in common?") }
        for (file, next) in zip(files, files.dropFirst()) where file.end > next.start {
            throw MediaFault("Files at offsets \(file.start) and \(next.start) overlap")
        }
    }

    /// The table for two images.
    ///
    /// - Parameters:
    ///   - minimal: The files of the minimal ISO, by path.
    ///   - full: Those of the full one.
    /// - Returns: The files by their place in the minimal ISO, none of them empty or there twice.
    /// - Throws: Where a file is missing in the full ISO, lengths differ, files overlap, or none is left.
    public static func table(
        minimal: [(path: String, entry: ISO9660.Entry)], full: [(path: String, entry: ISO9660.Entry)]
    ) throws -> [File] {
        let others = Dictionary(full.map { ($0.path, $0.entry) }, uniquingKeysWith: { _, last in last })
        var files: [File] = []
        for (path, entry) in minimal {
            guard let other = others[path] else { throw MediaFault("missing minimal file \(path) in full ISO") }
            guard other.length == entry.length else {
                throw MediaFault("File \(path) has different lengths in full and minimal ISOs")
            }
            // An empty file may lie anywhere.
            if entry.length > 0 {
                files.append(File(minimal: entry.sector, full: other.sector, length: entry.length))
            }
        }
        files.sort { ($0.minimal, $0.full, $0.length) < ($1.minimal, $1.full, $1.length) }
        // Hard links.
        var unique: [File] = []
        for file in files where unique.last != file { unique.append(file) }
        let table = unique
        try step("validating table") { try check(table) }
        return table
    }

    /// The minimal ISO from front to back.
    public var pieces: [Piece] {
        var pieces: [Piece] = []
        var position: UInt64 = 0
        for file in files {
            if file.start > position { pieces.append(.packed(file.start - position)) }
            pieces.append(
                .full(offset: UInt64(file.full) * UInt64(ISO9660.sectorSize), count: UInt64(file.length)))
            position = max(position, file.start) + UInt64(file.length)
        }
        return pieces + [.rest]
    }

    // MARK: Reading and writing

    /// Parses the file, of which the first ``longest`` bytes suffice; throws where it is not of this format and version.
    public init(parsing bytes: [UInt8]) throws {
        var reader = Reader(bytes[...])
        let program = try step("failed to deserialize header") {
            let magic = try reader.bytes(8)
            guard magic == Self.magic else { throw MediaFault("not a miniso file!") }
            let version = try reader.number32()
            let program = String(decoding: try reader.text(), as: UTF8.self)
            guard version == Self.version else {
                throw MediaFault(
                    "incompatible miniso file version: \(Self.version) vs \(version) (created by \(program.prefix(80)))"
                )
            }
            return program
        }
        let (files, digest, packed) = try step("failed to deserialize data") {
            let count = try reader.number()
            var files: [File] = []
            // Each file takes at least three bytes, which bounds the memory that is set aside.
            guard count <= UInt64(bytes.count / 3) else { throw EndOfImage(length: UInt64(bytes.count)) }
            for _ in 0..<count {
                files.append(
                    File(
                        minimal: try reader.number32(), full: try reader.number32(), length: try reader.number32()))
            }
            return (files, try reader.bytes(32), try reader.text())
        }
        try self.init(program: program, files: files, digest: digest, packed: packed)
    }

    /// The file, without the zeros that fill it.
    public var bytes: [UInt8] {
        var bytes = Self.magic
        Self.append(UInt64(Self.version), to: &bytes)
        Self.append(UInt64(program.utf8.count), to: &bytes)
        bytes += Array(program.utf8)
        Self.append(UInt64(files.count), to: &bytes)
        for file in files {
            for number in [file.minimal, file.full, file.length] { Self.append(UInt64(number), to: &bytes) }
        }
        bytes += digest
        Self.append(UInt64(packed.count), to: &bytes)
        return bytes + packed
    }

    /// Below 251 as one byte, else a byte that tells the width and the number in 2, 4 or 8 bytes.
    private static func append(_ number: UInt64, to bytes: inout [UInt8]) {
        let width: Int
        switch number {
        case 0..<251:
            bytes.append(UInt8(number))
            return
        case 0..<(1 << 16): (width, _) = (2, bytes.append(251))
        case 0..<(1 << 32): (width, _) = (4, bytes.append(252))
        default: (width, _) = (8, bytes.append(253))
        }
        bytes += (0..<width).map { UInt8(truncatingIfNeeded: number >> UInt64(8 * $0)) }
    }

    private struct Reader {
        private var rest: ArraySlice<UInt8>

        init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

        mutating func bytes(_ count: Int) throws -> [UInt8] {
            guard count <= rest.count else { throw EndOfImage(length: UInt64(rest.endIndex)) }
            defer { rest = rest.dropFirst(count) }
            return Array(rest.prefix(count))
        }

        mutating func number() throws -> UInt64 {
            let first = try bytes(1)[0]
            switch first {
            case 0..<251: return UInt64(first)
            case 251: return try fixed(2)
            case 252: return try fixed(4)
            case 253: return try fixed(8)
            default: throw MediaFault("a number of more than 64 bits")
            }
        }

        mutating func number32() throws -> UInt32 {
            guard let number = UInt32(exactly: try number()) else { throw MediaFault("a number of more than 32 bits") }
            return number
        }

        private mutating func fixed(_ width: Int) throws -> UInt64 {
            try bytes(width).enumerated().reduce(0) { $0 | UInt64($1.element) << UInt64(8 * $1.offset) }
        }

        /// A length, and as many bytes.
        mutating func text() throws -> [UInt8] {
            guard let count = Int(exactly: try number()) else { throw EndOfImage(length: UInt64(rest.endIndex)) }
            return try bytes(count)
        }
    }
}
