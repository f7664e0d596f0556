// Reading an ISO 9660 image: descriptors, directories, files. No Rock Ridge, no Joliet.

import Encoding
import Reporting

/// An ISO 9660 image with sectors of 2048 bytes.
///
/// Names are the upper-case ones of the standard, without version: `COREOS/IGNINFO.JSO`.
/// - SeeAlso: ECMA-119.
public struct ISO9660: Sendable {
    /// Bytes of a sector.
    public static let sectorSize = 2048
    /// The greatest length of a directory, in bytes.
    private static let longestDirectory: UInt32 = 16 << 20
    /// The greatest number of volume descriptors.
    private static let mostDescriptors = 256

    /// One volume descriptor, as far as it is read.
    public enum Descriptor: Equatable, Sendable {
        case boot(systemID: String, bootID: String)
        case primary(Primary)
        case supplementary
        case unknown(type: UInt8)
    }

    /// The primary volume descriptor.
    public struct Primary: Equatable, Sendable {
        /// Without the blanks behind it.
        public var systemID: String
        /// Without the blanks behind it.
        public var volumeID: String
        /// In sectors.
        public var size: UInt32
        /// The root directory, named ".".
        public var root: Entry
    }

    /// A file or a directory.
    public struct Entry: Equatable, Sendable {
        /// Without version and without a dot at its end.
        public var name: String
        /// A directory, or else a file.
        public var isDirectory: Bool
        /// Where its contents start.
        public var sector: UInt32
        /// In bytes.
        public var length: UInt32

        /// Creates an entry from its parts.
        public init(name: String, isDirectory: Bool, sector: UInt32, length: UInt32) {
            self.name = name
            self.isDirectory = isDirectory
            self.sector = sector
            self.length = length
        }

        /// Where its contents start, in bytes.
        public var offset: UInt64 { UInt64(sector) * UInt64(ISO9660.sectorSize) }
    }

    /// There is no such path.
    public struct NotFound: Error, Equatable, CustomStringConvertible {
        /// The error as a phrase for the user.
        public var description: String
    }

    /// The image.
    public let source: ByteSource
    /// In the order of the image, the end left out.
    public let descriptors: [Descriptor]
    /// The primary volume descriptor.
    public let primary: Primary

    /// Reads the descriptors.
    public init(_ source: ByteSource) throws {
        self.source = source
        var descriptors: [Descriptor] = []
        while let next = try step(
            "getting volume descriptor #\(descriptors.count + 1)",
            { try Self.descriptor(at: UInt64(16 + descriptors.count), of: source) })
        {
            descriptors.append(next)
            guard descriptors.count <= Self.mostDescriptors else {
                throw MediaFault("more than \(Self.mostDescriptors) volume descriptors; corrupt ISO?")
            }
        }
        self.descriptors = descriptors
        let primaries = descriptors.compactMap { if case .primary(let primary) = $0 { primary } else { nil } }
        guard let primary = primaries.first else { throw MediaFault("no primary volume descriptor found in ISO") }
        self.primary = primary
        guard source.holds(UInt64(primary.size) * UInt64(Self.sectorSize), at: 0) else {
            throw MediaFault("ISO image is incomplete")
        }
    }

    // MARK: Looking up

    /// The entry of a path.
    ///
    /// The path is upper case with `/` between components; `.` and `..` are resolved, the root is "". Throws ``NotFound``
    /// where there is no such entry, also where something before the last component is a file.
    public func entry(_ path: String) throws -> Entry {
        var entry = primary.root
        var walked: [String] = []
        for component in Self.components(of: path) {
            guard entry.isDirectory else {
                throw NotFound(description: "\(walked.joined(separator: "/")) in path \(path) is not a directory")
            }
            guard let next = try find(component, in: entry) else {
                throw NotFound(
                    description: "no record for \(component) in directory \(walked.joined(separator: "/"))")
            }
            entry = next
            walked.append(component)
        }
        return entry
    }

    /// The file of a path; a directory there is an error, but not ``NotFound``.
    public func file(_ path: String) throws -> Entry {
        let entry = try entry(path)
        guard !entry.isDirectory else { throw MediaFault("entry \(entry.name) is a directory") }
        return entry
    }

    /// The file of a path, or `nil` where there is nothing.
    public func fileIfPresent(_ path: String) throws -> Entry? {
        do { return try file(path) } catch is NotFound { return nil }
    }

    /// What is in a directory, in its order; `.` and `..` are left out.
    public func entries(of directory: Entry) throws -> [Entry] {
        var records = try Records(directory, of: source)
        var entries: [Entry] = []
        while let entry = try records.next() { entries.append(entry) }
        return entries
    }

    private func find(_ name: String, in directory: Entry) throws -> Entry? {
        try Records(directory, of: source).first(name)
    }

    /// The contents of a small file.
    ///
    /// Throws where the file has more than `limit` bytes or cannot be read.
    public func contents(of file: Entry, limit: Int = 1 << 20) throws -> [UInt8] {
        guard file.length <= limit else {
            throw MediaFault("\(file.name) has \(file.length) bytes, more than the \(limit) that it may have")
        }
        return try source.bytes(at: file.offset, count: Int(file.length))
    }

    /// All paths below the root, directories too, each directory before what is in it.
    ///
    /// - Throws: Where directories contain themselves, or share sectors: there would be no end to it.
    public func walk() throws -> [(path: String, entry: Entry)] {
        var found: [(path: String, entry: Entry)] = []
        var seen = Extents()
        try seen.add(primary.root)
        var open: [(path: String, records: Records)] = [("", try Records(primary.root, of: source))]
        while !open.isEmpty {
            guard let entry = try open[open.count - 1].records.next() else {
                open.removeLast()
                continue
            }
            let path = open[open.count - 1].path + entry.name
            found.append((path, entry))
            if entry.isDirectory {
                try seen.add(entry)
                open.append((path + "/", try Records(entry, of: source)))
            }
        }
        return found
    }

    static func components(of path: String) -> [String] {
        var components: [String] = []
        for part in path.parts(separatedBy: UInt8(ascii: "/")) where !part.isEmpty && part != "." {
            if part == ".." { components = components.dropLast() } else { components.append(part) }
        }
        return components
    }

    // MARK: Descriptors

    private static func descriptor(at sector: UInt64, of source: ByteSource) throws -> Descriptor? {
        let bytes = try step("reading volume descriptor") {
            try source.bytes(at: sector * UInt64(sectorSize), count: sectorSize)
        }
        switch bytes[0] {
        case 0:
            try step("parsing boot descriptor") { try checkHeader(bytes) }
            return .boot(
                systemID: try step("parsing boot system ID") { try Name.text(bytes[7..<39]) },
                bootID: try step("parsing boot ID") { try Name.text(bytes[39..<71]) })
        case 1:
            try step("parsing primary descriptor") { try checkHeader(bytes) }
            let system = try step("parsing system id") { try Name.text(bytes[8..<40]) }
            let volume = try step("parsing volume id") { try Name.text(bytes[40..<72]) }
            var root = Records(bytes: Array(bytes[156..<190]), isRoot: true)
            guard let entry = try root.next(), entry.isDirectory else {
                throw MediaFault("failed to parse root directory record from primary descriptor")
            }
            return .primary(
                Primary(systemID: system, volumeID: volume, size: ByteFields(bytes).little32(80), root: entry))
        case 2: return .supplementary
        case 255: return nil
        case let type: return .unknown(type: type)
        }
    }

    private static func checkHeader(_ bytes: [UInt8]) throws {
        guard Array(bytes[1..<6]) == Array("CD001".utf8) else {
            throw MediaFault("unknown descriptor ID: \(Name.quoted(bytes[1..<6]))")
        }
        guard bytes[6] == 1 else { throw MediaFault("unknown descriptor version: \(bytes[6])") }
    }

    // MARK: Directories

    /// The records of a directory, one after the other.
    fileprivate struct Records {
        private let fields: ByteFields
        private let isRoot: Bool
        private var position = 0

        private var bytes: [UInt8] { fields.bytes }

        init(bytes: [UInt8], isRoot: Bool = false) {
            fields = ByteFields(bytes)
            self.isRoot = isRoot
        }

        init(_ directory: Entry, of source: ByteSource) throws {
            let bytes = try step("reading directory \(directory.name)") {
                guard directory.length <= ISO9660.longestDirectory else {
                    throw MediaFault("\(directory.length) bytes are too many for a directory; corrupt ISO?")
                }
                return try source.bytes(at: directory.offset, count: Int(directory.length))
            }
            self.init(bytes: bytes)
        }

        /// The first record of that name; what stands behind it may be broken.
        func first(_ name: String) throws -> Entry? {
            var rest = self
            while let entry = try rest.next() {
                if entry.name.utf8.elementsEqual(name.utf8) { return entry }
            }
            return nil
        }

        mutating func next() throws -> Entry? {
            while position < bytes.count {
                let length = Int(bytes[position])
                if length == 0 {
                    position = (position / ISO9660.sectorSize + 1) * ISO9660.sectorSize
                    continue
                }
                let start = position
                guard length <= bytes.count - start else {
                    throw BootFailure(
                        steps: ["reading next record"],
                        cause: MediaFault("incomplete directory record; corrupt ISO?"))
                }
                let nameLength = length > 33 ? Int(bytes[start + 32]) : 0
                guard length > 33, 33 + nameLength <= length else {
                    throw BootFailure(
                        steps: ["reading next record"],
                        cause: MediaFault("incomplete directory record; corrupt ISO?"))
                }
                position += length
                let name = bytes[(start + 33)..<(start + 33 + nameLength)]
                // The directory itself and the one above it.
                let isDots = nameLength == 1 && name[start + 33] < 2
                if isDots, !(isRoot && name[start + 33] == 0) { continue }
                return Entry(
                    name: isDots
                        ? "."
                        : try step("reading next record") { try step("parsing record name") { try Name.file(name) } },
                    isDirectory: bytes[start + 25] & 2 != 0,
                    sector: fields.little32(start + 2), length: fields.little32(start + 10))
            }
            return nil
        }
    }

    /// The extents of directories that were read; no two of them may share a byte.
    private struct Extents {
        private var ranges: [Range<UInt64>] = []

        mutating func add(_ directory: Entry) throws {
            guard directory.length > 0 else { return }
            let range = directory.offset..<directory.offset + UInt64(directory.length)
            var (low, high) = (0, ranges.count)
            while low < high {
                let middle = (low + high) / 2
                if ranges[middle].lowerBound < range.lowerBound { low = middle + 1 } else { high = middle }
            }
            let neighbours = [low - 1, low].filter(ranges.indices.contains).map { ranges[$0] }
            guard !neighbours.contains(where: { $0.overlaps(range) }) else {
                throw MediaFault(
                    "directory \(directory.name) at sector \(directory.sector) overlaps another one; corrupt ISO?")
            }
            ranges.insert(range, at: low)
        }
    }

    /// The character sets of the standard, as Linux takes them.
    private enum Name {
        private static let fileCharacters = Array("!\"%&'()*+,-.:<=>?".utf8)

        /// A name in a directory, without version.
        static func file(_ bytes: ArraySlice<UInt8>) throws -> String {
            var bytes = bytes
            if bytes.suffix(2) == Array(";1".utf8)[...] { bytes = bytes.dropLast(2) }
            if bytes.last == UInt8(ascii: ".") { bytes = bytes.dropLast() }
            return try characters(bytes) {
                $0 == UInt8(ascii: ";") || $0 == UInt8(ascii: "/") ? UInt8(ascii: ".") : nil
            }
        }

        /// An identifier, without the blanks behind it.
        static func text(_ bytes: ArraySlice<UInt8>) throws -> String {
            var text = try characters(bytes) { $0 == UInt8(ascii: ";") || $0 == UInt8(ascii: "/") ? $0 : nil }
            while text.last == " " { text.removeLast() }
            return text
        }

        private static func characters(_ bytes: ArraySlice<UInt8>, other: (UInt8) -> UInt8?) throws -> String {
            var text: [UInt8] = []
            for byte in bytes {
                switch byte {
                case 0: return String(decoding: text, as: UTF8.self)
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: " "):
                    text.append(byte)
                case let byte where fileCharacters.contains(byte): text.append(byte)
                default:
                    guard let replacement = other(byte) else {
                        throw MediaFault("invalid string name \(quoted(bytes))")
                    }
                    text.append(replacement)
                }
            }
            return String(decoding: text, as: UTF8.self)
        }

        /// For messages: bytes that are not printable are shown in hexadecimal.
        static func quoted(_ bytes: ArraySlice<UInt8>) -> String {
            let parts = bytes.map { byte in
                (0x20..<0x7f).contains(byte) && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
                    ? String(UnicodeScalar(byte)) : "\\x\(hexadecimal([byte]))"
            }
            return "\"\(parts.joined())\""
        }
    }
}
