// Reading an initrd: archives one after the other, each plain or compressed.

import LiveImage
import Reporting

/// How much an initrd may hold before it is taken for an attack on the memory.
public struct ArchiveLimits: Equatable, Sendable {
    /// Bytes that all its compressed archives unpack to.
    public var unpacked: UInt64
    /// Bytes of the files that are kept, their names and what each takes in memory besides.
    public var kept: UInt64

    /// Creates limits, both in bytes.
    public init(unpacked: UInt64, kept: UInt64) {
        self.unpacked = unpacked
        self.kept = kept
    }

    /// An embed area has 256 KiB; what it holds was once given as files.
    public static let embedArea = ArchiveLimits(unpacked: 512 << 20, kept: 512 << 20)
    /// An initramfs of which config and keyfiles are looked at.
    public static let settings = ArchiveLimits(unpacked: 4 << 30, kept: 256 << 20)
    /// An initramfs, and a root image appended to it.
    public static let initrd = ArchiveLimits(unpacked: 4 << 30, kept: 2 << 30)
}

extension ArchiveFiles {
    /// Reads an initrd that lies in memory.
    public init(
        reading bytes: [UInt8], keeping glob: ArchiveGlob = .all, limits: ArchiveLimits = .initrd
    ) throws {
        var rest: [UInt8]? = bytes
        try self.init(keeping: glob, limits: limits) {
            defer { rest = nil }
            return rest ?? []
        }
    }

    /// Reads an initrd: any number of archives, each plain newc or compressed with gzip, xz or zstd, zeros between them.
    ///
    /// Of a name that occurs more than once the last file counts, as in the kernel. Folders, links and devices are
    /// passed over.
    ///
    /// `glob` matches the names of the files to keep, and `namesOnly` leaves them empty. `next` gives the next part of the
    /// initrd, empty at its end. `passOver` skips that many bytes before it and
    /// returns whether it could; where it can, files that are not kept are never read.
    /// Throws where an archive is damaged, the limits are exceeded, or `next` throws.
    public init(
        keeping glob: ArchiveGlob, limits: ArchiveLimits = .initrd, namesOnly: Bool = false,
        passOver: @escaping (_ count: UInt64) -> Bool = { _ in false }, next: () throws -> [UInt8]
    ) throws {
        try withoutActuallyEscaping(next) { next in
            var input = Input(next, passOver)
            var collector = Collector(glob: glob, limits: limits, namesOnly: namesOnly)
            while try input.skipZeros() {
                let start = try input.peek(6)
                if let decoder = try decoder(forDataStartingWith: start) {
                    try Self.readCompressed(&input, decoder, &collector)
                } else {
                    try Self.readPlain(&input, &collector)
                }
            }
            self = collector.files
        }
    }

    private static func readPlain(_ input: inout Input, _ collector: inout Collector) throws {
        collector.begin()
        try step("reading CPIO entry") {
            while !collector.isAtEnd {
                guard try input.fill() else { throw collector.endsEarly }
                try input.take { slice in
                    var rest = slice
                    try collector.add(&rest)
                    return slice.count - rest.count
                }
                if let unwanted = collector.unwanted, input.skip(unwanted) { collector.skipData() }
            }
        }
    }

    private static func readCompressed(
        _ input: inout Input, _ first: any StreamDecoder, _ collector: inout Collector
    ) throws {
        var decoder = first
        collector.begin()
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 16)
        defer { room.deallocate() }
        while true {
            while !decoder.isAtEnd {
                let more = try input.fill()
                var made = 0
                var taken = 0
                try step("reading compressed archive") {
                    try input.take { slice in
                        (taken, made) = try decoder.decode(slice, into: room)
                        return taken
                    }
                    if taken == 0, made == 0, !decoder.isAtEnd {
                        throw more ? CompressionFault.corrupt(decoder.kind) : .endsEarly(decoder.kind)
                    }
                    try collector.count(unpacked: made)
                }
                try collector.addUnpacked(.init(rebasing: room[..<made]))
            }
            // Frames of zstd that follow one another are one archive.
            guard decoder is ZstandardDecoder, isZstandard(try input.peek(4)) else { break }
            decoder = try ZstandardDecoder()
        }
        guard collector.isAtEnd else {
            throw BootFailure(steps: ["reading CPIO entry"], cause: collector.endsEarly)
        }
    }

    /// What comes from outside, with as much of it as is looked at ahead.
    private struct Input {
        private let next: () throws -> [UInt8]
        private let passOver: (UInt64) -> Bool
        private var buffer: [UInt8] = []
        private var position = 0
        private var isAtEnd = false

        init(_ next: @escaping () throws -> [UInt8], _ passOver: @escaping (UInt64) -> Bool) {
            self.next = next
            self.passOver = passOver
        }

        /// Whether a byte is there to be taken.
        mutating func fill() throws -> Bool {
            while position == buffer.count, !isAtEnd {
                buffer = try next()
                position = 0
                isAtEnd = buffer.isEmpty
            }
            return position < buffer.count
        }

        /// The next bytes, without taking them; fewer at the end.
        mutating func peek(_ count: Int) throws -> [UInt8] {
            while buffer.count - position < count, !isAtEnd {
                let more = try next()
                isAtEnd = more.isEmpty
                buffer = Array(buffer[position...]) + more
                position = 0
            }
            return Array(buffer[position...].prefix(count))
        }

        /// Hands over what is there; `use` tells how much of it is used up.
        mutating func take(_ use: (UnsafeRawBufferPointer) throws -> Int) throws {
            position += try buffer.withUnsafeBytes { try use(.init(rebasing: $0[position...])) }
        }

        /// Skips bytes behind the buffered ones; returns whether they could be skipped.
        func skip(_ count: UInt64) -> Bool { position == buffer.count && passOver(count) }

        /// Whether something else than zeros follows; they are passed over.
        mutating func skipZeros() throws -> Bool {
            while try fill() {
                if let other = buffer[position...].firstIndex(where: { $0 != 0 }) {
                    position = other
                    return true
                }
                position = buffer.count
            }
            return false
        }
    }

    /// What is made of the members.
    private struct Collector {
        private(set) var files = ArchiveFiles()
        private let glob: ArchiveGlob
        private let limits: ArchiveLimits
        private let namesOnly: Bool
        private var reader = NewcReader()
        private var open: (name: String, data: [UInt8])?
        private var unpacked: UInt64 = 0
        private var kept: UInt64 = 0
        /// Whether the archive's trailer was read.
        private(set) var isAtEnd = false

        init(glob: ArchiveGlob, limits: ArchiveLimits, namesOnly: Bool) {
            self.glob = glob
            self.limits = limits
            self.namesOnly = namesOnly
        }

        /// One more archive.
        mutating func begin() {
            reader = NewcReader()
            open = nil
            isAtEnd = false
        }

        /// How many bytes follow of a file that is not kept; `nil` where none do.
        var unwanted: UInt64? {
            guard open == nil || namesOnly, reader.dataLeft > 0 else { return nil }
            return reader.dataLeft
        }

        mutating func skipData() { reader.skipData() }

        var endsEarly: NewcError { .endsEarly(offset: reader.offset, member: open?.name) }

        mutating func count(unpacked more: Int) throws(CompressionFault) {
            unpacked += UInt64(more)
            guard unpacked <= limits.unpacked else { throw .tooLarge(limit: limits.unpacked) }
        }

        private mutating func count(kept more: Int) throws(CompressionFault) {
            kept += UInt64(more)
            guard kept <= limits.kept else { throw .tooLarge(limit: limits.kept) }
        }

        /// Takes what belongs to the archive off the front.
        mutating func add(_ slice: inout UnsafeRawBufferPointer) throws {
            while !isAtEnd, let event = try reader.next(&slice) {
                switch event {
                case .member(let header):
                    let isKept = header.isRegularFile && glob.matches(header.name)
                    open = isKept ? (header.name, []) : nil
                    if isKept { try count(kept: header.name.utf8.count + 128) }
                case .data(let part):
                    guard open != nil, !namesOnly else { continue }
                    try count(kept: part.count)
                    open?.data.append(contentsOf: part)
                case .endOfMember:
                    guard let member = open else { continue }
                    files[member.name] = member.data
                    open = nil
                case .endOfArchive: isAtEnd = true
                }
            }
        }

        /// The same for a compressed archive, in which nothing but zeros may follow the trailer.
        mutating func addUnpacked(_ slice: UnsafeRawBufferPointer) throws {
            var rest = slice
            try step("reading CPIO entry") { try add(&rest) }
            guard rest.allSatisfy({ $0 == 0 }) else {
                throw MediaFault("found trailing garbage inside compressed archive")
            }
        }
    }
}
