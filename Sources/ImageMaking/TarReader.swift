// Reading tar archives: ustar, GNU's long names, and pax records.

/// One member of a tar archive.
struct TarEntry: Equatable {
    enum Kind: Equatable {
        case folder, file, link, pipe
        /// Its data is that of an earlier member.
        case hardLink
        case device(isBlock: Bool, major: UInt32, minor: UInt32)
    }

    var path: [UInt8]
    var kind: Kind
    var attributes: TreeAttributes
    /// Of a link of either kind.
    var target: [UInt8] = []
    /// Where a file's data is in the archive, in bytes.
    var offset: UInt64 = 0
    var size: UInt64 = 0
}

/// Why bytes are not a tar archive that can be read.
///
/// Offsets count from the start of the archive, in bytes.
enum TarFault: Error, Equatable, CustomStringConvertible {
    case checksum(offset: UInt64)
    case number(offset: UInt64)
    case endsEarly(offset: UInt64)
    case extendedHeader(offset: UInt64)
    case sparse(String)
    case tooLong(offset: UInt64)

    var description: String {
        switch self {
        case .checksum(let offset): "no tar header where one should be, at byte \(offset)"
        case .number(let offset): "a tar header with a malformed number, at byte \(offset)"
        case .endsEarly(let offset): "the archive is cut short at byte \(offset)"
        case .extendedHeader(let offset): "a broken pax header, at byte \(offset)"
        case .sparse(let name): "\(name) is stored with holes; make the archive without --sparse"
        case .tooLong(let offset): "a header of more than 1 MiB, at byte \(offset)"
        }
    }
}

/// Goes through an archive that lies in a file; data is passed over, not read.
struct TarReader {
    /// Up to `count` bytes from `offset` of the archive on; fewer only at its end.
    typealias Read = (_ offset: UInt64, _ count: UInt64) throws -> [UInt8]

    private let read: Read
    /// Where the archive starts in its file, and how long it is, in bytes.
    private let start: UInt64
    private let count: UInt64
    private var at: UInt64 = 0
    private var global: [[UInt8]: [UInt8]] = [:]

    private static let block: UInt64 = 512
    private static let longestHeader: UInt64 = 1 << 20

    /// Creates a reader of an archive of `count` bytes that stands from `start` of its file on.
    init(start: UInt64 = 0, count: UInt64, read: @escaping Read) {
        self.start = start
        self.count = count
        self.read = read
    }

    /// The next member; `nil` at the end.
    ///
    /// Members of kinds that no root filesystem has are left out.
    mutating func next() throws -> TarEntry? {
        var pax: [[UInt8]: [UInt8]] = [:]
        var longName: [UInt8]?
        var longTarget: [UInt8]?
        while true {
            let start = at
            let header = try read(at, Self.block)
            // Archives end with blocks of zeros; some writers leave them out.
            if header.isEmpty || header.allSatisfy({ $0 == 0 }) { return nil }
            guard header.count == Int(Self.block) else { throw TarFault.endsEarly(offset: at) }
            guard Self.checksumIsRight(header) else { throw TarFault.checksum(offset: at) }
            var size = try Self.number(header[124..<136], at: start)
            let type = header[156]
            if let text = pax[key("size")] {
                guard let number = UInt64(String(decoding: text, as: UTF8.self)) else {
                    throw TarFault.extendedHeader(offset: start)
                }
                size = number
            }
            // Links and devices have no data, whatever their size says.
            let stored = Self.hasData(type) ? size : 0
            let data = start + Self.block
            let (end, isBeyond) = data.addingReportingOverflow(stored)
            let (padded, isFarBeyond) = end.addingReportingOverflow((Self.block - stored % Self.block) % Self.block)
            guard !isBeyond, !isFarBeyond, end <= count else { throw TarFault.endsEarly(offset: start) }
            at = padded
            switch type {
            case UInt8(ascii: "x"), UInt8(ascii: "g"), UInt8(ascii: "L"), UInt8(ascii: "K"):
                guard size <= Self.longestHeader else { throw TarFault.tooLong(offset: start) }
                let bytes = try read(data, size)
                switch type {
                case UInt8(ascii: "x"): try Self.read(pax: bytes, into: &pax, at: start)
                case UInt8(ascii: "g"): try Self.read(pax: bytes, into: &global, at: start)
                case UInt8(ascii: "L"): longName = Array(bytes.prefix { $0 != 0 })
                default: longTarget = Array(bytes.prefix { $0 != 0 })
                }
                continue
            default: break
            }
            let records = global.merging(pax) { $1 }
            let path = records[key("path")] ?? longName ?? Self.name(header)
            guard type != UInt8(ascii: "S"), !records.keys.contains(where: { $0.starts(with: key("GNU.sparse.")) })
            else { throw TarFault.sparse(String(decoding: path, as: UTF8.self)) }
            guard let kind = try Self.kind(type, header, path: path, at: start) else {
                pax = [:]
                longName = nil
                longTarget = nil
                continue
            }
            return TarEntry(
                path: path, kind: kind, attributes: try Self.attributes(header, records, at: start),
                target: records[key("linkpath")] ?? longTarget ?? Array(header[157..<257].prefix { $0 != 0 }),
                offset: self.start + data, size: kind == .file ? size : 0)
        }
    }

    private static func hasData(_ type: UInt8) -> Bool {
        !(UInt8(ascii: "1")...UInt8(ascii: "6") ~= type)
    }

    private static func kind(
        _ type: UInt8, _ header: [UInt8], path: [UInt8], at offset: UInt64
    ) throws(TarFault) -> TarEntry.Kind? {
        switch type {
        // Before POSIX a folder was a file whose name ends in a slash.
        case 0, UInt8(ascii: "0"), UInt8(ascii: "7"): return path.last == UInt8(ascii: "/") ? .folder : .file
        case UInt8(ascii: "1"): return .hardLink
        case UInt8(ascii: "2"): return .link
        case UInt8(ascii: "3"), UInt8(ascii: "4"):
            let major = try number(header[329..<337], at: offset)
            let minor = try number(header[337..<345], at: offset)
            // Linux has 12 and 20 bits for them.
            guard major < 1 << 12, minor < 1 << 20 else { throw .number(offset: offset) }
            return .device(isBlock: type == UInt8(ascii: "4"), major: UInt32(major), minor: UInt32(minor))
        case UInt8(ascii: "5"): return .folder
        case UInt8(ascii: "6"): return .pipe
        default: return nil
        }
    }

    private static func attributes(
        _ header: [UInt8], _ records: [[UInt8]: [UInt8]], at offset: UInt64
    ) throws(TarFault) -> TreeAttributes {
        func own(_ name: String, _ field: Range<Int>) throws(TarFault) -> UInt64 {
            guard let text = records[key(name)] else { return try number(header[field], at: offset) }
            guard let value = UInt64(String(decoding: text, as: UTF8.self)) else {
                throw .extendedHeader(offset: offset)
            }
            return value
        }
        let user = try own("uid", 108..<116)
        let group = try own("gid", 116..<124)
        guard let user = UInt32(exactly: user), let group = UInt32(exactly: group) else {
            throw .number(offset: offset)
        }
        var modified = Int64(clamping: (try? number(header[136..<148], at: offset)) ?? 0)
        if let text = records[key("mtime")] {
            // Seconds with a fraction, and before 1970 with a sign.
            let whole = text.prefix { $0 != UInt8(ascii: ".") }
            guard let seconds = Int64(String(decoding: whole, as: UTF8.self)) else {
                throw .extendedHeader(offset: offset)
            }
            modified = seconds
        }
        var extended: [[UInt8]: [UInt8]] = [:]
        let prefix = key("SCHILY.xattr.")
        for (name, value) in records where name.starts(with: prefix) {
            extended[Array(name.dropFirst(prefix.count))] = value
        }
        return TreeAttributes(
            permissions: UInt32(try number(header[100..<108], at: offset) & 0o7777), user: user, group: group,
            modified: modified, extended: extended)
    }

    /// The name and its prefix, which only POSIX archives have.
    private static func name(_ header: [UInt8]) -> [UInt8] {
        let name = Array(header[0..<100].prefix { $0 != 0 })
        let isPOSIX = header[257..<263].elementsEqual(Array("ustar\0".utf8))
        let prefix = isPOSIX ? Array(header[345..<500].prefix { $0 != 0 }) : []
        return prefix.isEmpty ? name : prefix + [UInt8(ascii: "/")] + name
    }

    /// Octal digits, or a binary number where the first bit is set.
    static func number(_ field: ArraySlice<UInt8>, at offset: UInt64) throws(TarFault) -> UInt64 {
        if let first = field.first, first & 0x80 != 0 {
            // A negative number has all its first bits set: it is a time before 1970, which nobody needs.
            guard first == 0x80 else { throw .number(offset: offset) }
            var value: UInt64 = 0
            for byte in field.dropFirst() {
                guard value >> 56 == 0 else { throw .number(offset: offset) }
                value = value << 8 | UInt64(byte)
            }
            return value
        }
        let digits = field.drop { $0 == UInt8(ascii: " ") }.prefix { $0 != 0 && $0 != UInt8(ascii: " ") }
        var value: UInt64 = 0
        for byte in digits {
            guard UInt8(ascii: "0")...UInt8(ascii: "7") ~= byte else { throw .number(offset: offset) }
            value = value << 3 | UInt64(byte - UInt8(ascii: "0"))
        }
        return value
    }

    /// The sum of the header's bytes, its own field taken as blanks; some old writers summed signed ones.
    private static func checksumIsRight(_ header: [UInt8]) -> Bool {
        guard let wanted = try? number(header[148..<156], at: 0) else { return false }
        var unsigned: UInt64 = 0
        var signed: Int64 = 0
        for (index, byte) in header.enumerated() {
            let value = 148..<156 ~= index ? UInt8(ascii: " ") : byte
            unsigned += UInt64(value)
            signed += Int64(Int8(bitPattern: value))
        }
        return wanted == unsigned || Int64(exactly: wanted) == signed
    }

    /// Records such as `25 path=usr/share/something\n`; the number counts the whole record.
    private static func read(
        pax bytes: [UInt8], into records: inout [[UInt8]: [UInt8]], at offset: UInt64
    ) throws(TarFault) {
        var rest = bytes[...]
        while let first = rest.first, first != 0 {
            let digits = rest.prefix { $0 != UInt8(ascii: " ") }
            guard let length = Int(String(decoding: digits, as: UTF8.self)), length > digits.count + 2,
                length <= rest.count, rest[rest.startIndex + length - 1] == UInt8(ascii: "\n")
            else { throw .extendedHeader(offset: offset) }
            let record = rest.prefix(length).dropFirst(digits.count + 1).dropLast()
            guard let equals = record.firstIndex(of: UInt8(ascii: "=")) else { throw .extendedHeader(offset: offset) }
            let value = Array(record[record.index(after: equals)...])
            // An empty value cancels an earlier record.
            records[Array(record[..<equals])] = value.isEmpty ? nil : value
            rest = rest.dropFirst(length)
        }
    }
}

private func key(_ text: String) -> [UInt8] { Array(text.utf8) }
