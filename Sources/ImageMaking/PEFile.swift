// Programs of UEFI: PE files. Reading their headers, and adding sections.

import Encoding

/// The headers of a PE32+ file.
///
/// Every number in it comes from outside; none is trusted to be in the file.
/// - SeeAlso: Microsoft's PE Format; the UEFI Specification 2.10, section 2.1.1.
struct PEFile: Equatable {
    struct Section: Equatable {
        var name: String
        /// Bytes in memory, and where it lies there.
        var virtualSize: UInt32
        var address: UInt32
        /// Bytes in the file, and where they start.
        var storedSize: UInt32
        var offset: UInt32
    }

    enum Failure: Error, Equatable, CustomStringConvertible {
        case notPE
        case notEFI(subsystem: UInt16)
        case malformed(String)
        case noRoom
        case tooLarge

        var description: String {
            switch self {
            case .notPE: "this is not a UEFI program"
            case .notEFI(let subsystem): "this program is for subsystem \(subsystem), not for UEFI"
            case .malformed(let what): "its headers are broken: \(what)"
            case .noRoom: "its headers have no room for more sections"
            case .tooLarge: "with what is added it would be larger than 4 GiB"
            }
        }
    }

    /// Where the COFF header starts, behind the signature.
    private(set) var coff = 0
    private(set) var sections: [Section] = []
    private(set) var sectionAlignment: UInt32
    private(set) var fileAlignment: UInt32
    private(set) var headersSize: UInt32
    /// 0x8664 is x86-64, 0xaa64 is arm64.
    private(set) var machine: UInt16
    private var optionalSize: UInt16
    /// Bytes of signatures.
    private(set) var signatureSize: UInt32 = 0

    var isSigned: Bool { signatureSize > 0 }

    private var optional: Int { coff + 20 }
    private var table: Int { optional + Int(optionalSize) }

    /// Reads the headers of a file of `size` bytes.
    ///
    /// `read` returns up to `count` bytes from an offset on. Throws what `read` throws, and ``Failure``.
    init(reading read: (_ offset: UInt64, _ count: UInt64) throws -> [UInt8], size: UInt64) throws {
        try self.init(head: try read(0, 64 << 10), size: size)
    }

    /// Reads the headers of a file of `size` bytes.
    ///
    /// `head` is the first 64 KiB of the file, or all of it. Throws where they are broken, or are not those of a UEFI
    /// program.
    init(head: [UInt8], size: UInt64) throws(Failure) {
        func number<Number: FixedWidthInteger & BitwiseCopyable>(_ type: Number.Type, at offset: Int) throws(Failure)
            -> Number
        {
            guard let number = head.withUnsafeBytes({ $0.littleEndian(type, at: offset) }) else {
                throw .malformed("they end early")
            }
            return number
        }
        guard head.count > 64, head[0] == UInt8(ascii: "M"), head[1] == UInt8(ascii: "Z") else { throw .notPE }
        let start = Int(try number(UInt32.self, at: 0x3c))
        guard start < head.count, head[start...].starts(with: [0x50, 0x45, 0, 0]) else { throw .notPE }
        coff = start + 4
        machine = try number(UInt16.self, at: coff)
        let count = Int(try number(UInt16.self, at: coff + 2))
        optionalSize = try number(UInt16.self, at: coff + 16)
        let optional = coff + 20
        guard try number(UInt16.self, at: optional) == 0x20b, optionalSize >= 112 else { throw .notPE }
        sectionAlignment = try number(UInt32.self, at: optional + 32)
        fileAlignment = try number(UInt32.self, at: optional + 36)
        headersSize = try number(UInt32.self, at: optional + 60)
        let subsystem = try number(UInt16.self, at: optional + 68)
        guard 10...13 ~= subsystem else { throw .notEFI(subsystem: subsystem) }
        guard sectionAlignment.nonzeroBitCount == 1, fileAlignment.nonzeroBitCount == 1 else {
            throw .malformed("an alignment that is not a power of two")
        }
        let directories = try number(UInt32.self, at: optional + 108)
        // The fifth directory tells where signatures are.
        if directories > 4, optionalSize >= 112 + 40 {
            signatureSize = try number(UInt32.self, at: optional + 112 + 4 * 8 + 4)
        }
        guard count <= 96 else { throw .malformed("\(count) sections") }
        for index in 0..<count {
            let at = optional + Int(optionalSize) + 40 * index
            guard at + 40 <= head.count else { throw .malformed("they end early") }
            let name = String(decoding: head[at..<at + 8].prefix { $0 != 0 }, as: UTF8.self)
            let section = Section(
                name: name, virtualSize: try number(UInt32.self, at: at + 8),
                address: try number(UInt32.self, at: at + 12), storedSize: try number(UInt32.self, at: at + 16),
                offset: try number(UInt32.self, at: at + 20))
            guard UInt64(section.offset) + UInt64(section.storedSize) <= size else {
                throw .malformed("section \(name) lies beyond the end")
            }
            sections.append(section)
        }
    }

    /// A section to add: read-only data.
    struct Addition {
        var name: String
        var size: UInt64
    }

    /// A stub's bytes with headers for further sections, and where the data of each has to start in the file.
    ///
    /// `stub` is the whole file. Throws where it is broken, where it is signed, as a signature would no longer be
    /// right, and where the sections do not fit.
    static func adding(_ additions: [Addition], to stub: [UInt8]) throws(Failure) -> (head: [UInt8], offsets: [UInt64])
    {
        let pe = try PEFile(head: stub, size: UInt64(stub.count))
        guard !pe.isSigned else { throw .malformed("it is signed already") }
        func put<Number: FixedWidthInteger>(_ value: Number, at offset: Int, into bytes: inout [UInt8]) {
            for index in 0..<MemoryLayout<Number>.size {
                bytes[offset + index] = UInt8(truncatingIfNeeded: value >> Number(8 * index))
            }
        }
        let count = pe.sections.count + additions.count
        // The table grows into the headers' padding; behind that the first section's data begins.
        let firstData = pe.sections.filter { $0.storedSize > 0 }.map { Int($0.offset) }.min() ?? Int(pe.headersSize)
        guard pe.table + 40 * count <= min(Int(pe.headersSize), firstData, stub.count), count <= 96 else {
            throw .noRoom
        }
        var bytes = stub
        var address = pe.sections.map { UInt64($0.address) + UInt64($0.virtualSize) }.max() ?? UInt64(pe.headersSize)
        var offset = UInt64(stub.count)
        var offsets: [UInt64] = []
        var added: UInt64 = 0
        for (index, addition) in additions.enumerated() {
            address = aligned(address, to: pe.sectionAlignment)
            offset = aligned(offset, to: pe.fileAlignment)
            let stored = aligned(addition.size, to: pe.fileAlignment)
            guard let size32 = UInt32(exactly: addition.size), let stored32 = UInt32(exactly: stored),
                let address32 = UInt32(exactly: address), let offset32 = UInt32(exactly: offset),
                UInt32(exactly: aligned(address + addition.size, to: pe.sectionAlignment)) != nil,
                UInt32(exactly: offset + stored) != nil
            else { throw .tooLarge }
            let at = pe.table + 40 * (pe.sections.count + index)
            let name = Array(addition.name.utf8.prefix(8))
            bytes.replaceSubrange(at..<at + 40, with: name + [UInt8](repeating: 0, count: 40 - name.count))
            put(size32, at: at + 8, into: &bytes)
            put(address32, at: at + 12, into: &bytes)
            put(stored32, at: at + 16, into: &bytes)
            put(offset32, at: at + 20, into: &bytes)
            // Initialized data, to be read.
            put(UInt32(0x4000_0040), at: at + 36, into: &bytes)
            offsets.append(offset)
            address += addition.size
            offset += stored
            added += stored
        }
        put(UInt16(count), at: pe.coff + 2, into: &bytes)
        // The size of the image in memory, and of all initialized data.
        guard let imageSize = UInt32(exactly: aligned(address, to: pe.sectionAlignment)) else { throw .tooLarge }
        put(imageSize, at: pe.optional + 56, into: &bytes)
        let data = (0..<4).reduce(UInt64(0)) { $0 | UInt64(stub[pe.optional + 8 + $1]) << UInt64(8 * $1) }
        put(UInt32(clamping: data + added), at: pe.optional + 8, into: &bytes)
        // The old checksum would be wrong; UEFI does not look at it.
        put(UInt32(0), at: pe.optional + 64, into: &bytes)
        return (bytes, offsets)
    }
}

/// Rounded up to a power of two.
func aligned(_ value: UInt64, to alignment: UInt32) -> UInt64 {
    let mask = UInt64(alignment) - 1
    let (sum, isBeyond) = value.addingReportingOverflow(mask)
    return isBeyond ? value : sum & ~mask
}
