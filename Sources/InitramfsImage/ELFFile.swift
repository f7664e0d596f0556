// What an image needs to know about a program: its loader, its libraries, where it looks for them.

import Encoding

/// What a 64-bit little-endian ELF file needs from the system that runs it.
///
/// - SeeAlso: System V ABI, "Program Header" and "Dynamic Section"; elf(5).
struct ELFFile: Equatable {
    /// The path of the program's loader (PT_INTERP); `nil` for a static program and for a library.
    var interpreter: String?
    /// The names of the shared libraries (DT_NEEDED), in order.
    var needed: [String] = []
    /// Folders that are searched before the system's own (DT_RUNPATH, DT_RPATH); `$ORIGIN` is the file's own folder.
    var searchPath: [String] = []
    var machine: Machine

    enum Machine: UInt16 {
        case x86 = 62
        case arm = 183

        /// Debian's name for the library folder of this architecture.
        var multiarch: String {
            switch self {
            case .x86: "x86_64-linux-gnu"
            case .arm: "aarch64-linux-gnu"
            }
        }
    }

    enum Failure: Error, Equatable, CustomStringConvertible {
        case notELF
        case unsupported
        case damaged

        var description: String {
            switch self {
            case .notELF: "not an ELF file"
            case .unsupported: "an ELF file for another architecture than x86-64 or 64-bit Arm"
            case .damaged: "a damaged ELF file"
            }
        }
    }

    static func isELF(_ bytes: [UInt8]) -> Bool { bytes.starts(with: [0x7f, 0x45, 0x4c, 0x46]) }

    init(_ bytes: [UInt8]) throws(Failure) {
        guard ELFFile.isELF(bytes) else { throw .notELF }
        let file = LittleEndian(bytes)
        // Class 2 is 64 bits, data 1 is little-endian.
        guard bytes.count > 5, bytes[4] == 2, bytes[5] == 1,
            let machine = Machine(rawValue: UInt16(truncatingIfNeeded: try file.number(at: 18, width: 2)))
        else { throw .unsupported }
        self.machine = machine
        let segments = try Segment.all(in: file)
        if let segment = segments.first(where: { $0.type == Segment.interpreter }) {
            interpreter = try file.string(at: segment.offset)
        }
        guard let dynamic = segments.first(where: { $0.type == Segment.dynamic }) else { return }
        try readDynamic(dynamic, of: file, segments: segments)
    }

    private mutating func readDynamic(_ dynamic: Segment, of file: LittleEndian, segments: [Segment]) throws(Failure) {
        let (end, neededTag, stringsTag, rpathTag, runpathTag) = (0, 1, 5, 15, 29)
        var entries: [(tag: Int, value: Int)] = []
        var at = dynamic.offset
        while at + 16 <= dynamic.offset + dynamic.size {
            let entry = (tag: try file.number(at: at, width: 8), value: try file.number(at: at + 8, width: 8))
            if entry.tag == end { break }
            entries.append(entry)
            at += 16
        }
        guard let address = entries.first(where: { $0.tag == stringsTag })?.value else { return }
        guard
            let segment = segments.first(where: { $0.type == Segment.load && $0.addresses.contains(address) })
        else { throw .damaged }
        let strings = segment.offset + address - segment.address
        func name(_ offset: Int) throws(Failure) -> String {
            let (at, overflow) = strings.addingReportingOverflow(offset)
            if overflow { throw .damaged }
            return try file.string(at: at)
        }
        for entry in entries where entry.tag == neededTag { needed.append(try name(entry.value)) }
        for entry in entries where entry.tag == rpathTag || entry.tag == runpathTag {
            searchPath += try name(entry.value).split(separator: ":").map(String.init)
        }
    }
}

extension ELFFile {
    /// The bytes of a section, for example of a kernel module; `nil` if there is no section of that name.
    static func section(_ name: String, of bytes: [UInt8]) throws(Failure) -> ArraySlice<UInt8>? {
        guard isELF(bytes) else { throw .notELF }
        guard bytes.count > 5, bytes[4] == 2, bytes[5] == 1 else { throw .unsupported }
        let file = LittleEndian(bytes)
        let table = try file.number(at: 40, width: 8)
        let length = try file.number(at: 58, width: 2)
        let count = try file.number(at: 60, width: 2)
        let names = try file.number(at: 62, width: 2)
        // Entries that overlap would be as many as a file says, whatever its size.
        guard (0..<1 << 48).contains(table), length >= 64 || count == 0 else { throw .damaged }
        func range(_ index: Int) throws(Failure) -> Range<Int> {
            let at = table + index * length
            let start = try file.number(at: at + 24, width: 8)
            let size = try file.number(at: at + 32, width: 8)
            guard start >= 0, size >= 0, start <= bytes.count, size <= bytes.count - start else { throw .damaged }
            return start..<start + size
        }
        guard names < count else { return nil }
        let strings = try range(names)
        for index in 0..<count {
            let offset = try file.number(at: table + index * length, width: 4)
            guard offset < strings.count else { throw .damaged }
            if try file.string(at: strings.lowerBound + offset) == name { return bytes[try range(index)] }
        }
        return nil
    }
}

private struct Segment {
    static let (load, dynamic, interpreter) = (1, 2, 3)

    var type: Int
    var offset: Int
    var address: Int
    var size: Int

    var addresses: Range<Int> { address..<address + size }

    static func all(in file: LittleEndian) throws(ELFFile.Failure) -> [Segment] {
        let table = try file.number(at: 32, width: 8)
        let length = try file.number(at: 54, width: 2)
        let count = try file.number(at: 56, width: 2)
        guard (0..<1 << 48).contains(table), length >= 56 || count == 0 else { throw .damaged }
        var segments: [Segment] = []
        for index in 0..<count {
            let at = table + index * length
            let segment = Segment(
                type: try file.number(at: at, width: 4), offset: try file.number(at: at + 8, width: 8),
                address: try file.number(at: at + 16, width: 8), size: try file.number(at: at + 32, width: 8))
            // Later sums of these must not overflow.
            guard [segment.offset, segment.address, segment.size].allSatisfy({ $0 >= 0 && $0 < 1 << 48 }) else {
                throw .damaged
            }
            segments.append(segment)
        }
        return segments
    }
}

/// Reads numbers and strings from a file's bytes; a position outside of them means a damaged file.
private struct LittleEndian {
    private let fields: ByteFields
    private var bytes: [UInt8] { fields.bytes }

    init(_ bytes: [UInt8]) { fields = ByteFields(bytes) }

    func number(at offset: Int, width: Int) throws(ELFFile.Failure) -> Int {
        guard offset >= 0, offset <= bytes.count - width else { throw .damaged }
        return switch width {
        case 2: Int(fields.little16(offset))
        case 4: Int(fields.little32(offset))
        default: Int(truncatingIfNeeded: fields.little64(offset))
        }
    }

    /// The bytes up to the next NUL, as text.
    func string(at offset: Int) throws(ELFFile.Failure) -> String {
        guard offset >= 0, offset < bytes.count, let end = bytes[offset...].firstIndex(of: 0) else { throw .damaged }
        return String(decoding: bytes[offset..<end], as: UTF8.self)
    }
}
