// What a range of bytes holds. Every plan, every check before a write and every stage asks here, and nobody else asks
// libblkid, so that there is one answer.

import DiskFormats
import DiskPlanning
import Glibc
import LinuxSystem
import SystemPackage

/// The type of the filesystem on a whole device, such as `iso9660` or `vfat`.
///
/// - Parameter device: A block device or an image file.
/// - Returns: `nil` where there is none, or several; where several are on one disc by design, libblkid's first.
/// - Throws: ``DiskFailure/unreadable(_:_:)``.
public func filesystemType(of device: String) throws(DiskFailure) -> String? {
    let content = try Look(device).content
    return content.signatures.count == 1 || content.isImage ? content.signatures.first?.type : nil
}

/// A look at a device, an image file, or a range of one; nothing is written.
///
/// It combines libblkid's signatures, including those that libblkid hides behind the first, and its tables; our own
/// reader of GPTs, which also finds those that lost a copy or their protective MBR; and marks that libblkid does not
/// know. Where none of them finds anything, the bytes themselves tell blank from unknown.
struct Look {
    var table: FoundTable
    /// What holds the range as a whole; the content of a partition of the table is not part of it.
    var content: Content
    /// The GPT beside a table of another kind.
    var beside: FoundGPT?

    /// Looks at a range.
    ///
    /// - Parameters:
    ///   - path: A block device or an image file.
    ///   - bytes: The range to look at; `nil` is the whole device.
    ///   - given: Bytes of a logical sector; `nil` asks the device, and is 512 for an image.
    /// - Throws: ``DiskFailure/unreadable(_:_:)``.
    init(_ path: String, bytes: Range<UInt64>? = nil, sectorSize given: UInt64? = nil) throws(DiskFailure) {
        try self.init(path, bytes, given, withData: true)
    }

    /// The same; `withData` also looks at what an array that was never started would show.
    private init(
        _ path: String, _ bytes: Range<UInt64>?, _ given: UInt64?, withData: Bool
    ) throws(DiskFailure) {
        let file = try BlockFile(path)
        // A table can name sectors that its disk does not have.
        let range = (bytes ?? 0..<file.size).clamped(to: 0..<file.size)
        let size = range.upperBound - range.lowerBound
        let sectorSize = given ?? file.sectorSize
        func read(_ position: UInt64, _ count: Int) -> [UInt8]? {
            guard count > 0, position <= size, UInt64(count) <= size - position else { return nil }
            return file.read(at: range.lowerBound + position, count: count)
        }
        table = .none
        content = .blank
        guard size > 0 else { return }
        guard !Look.isPrivate(path) else {
            content = .notLooked
            return
        }
        try readTable(try BlockProbe(path, bytes: range, sectorSize: sectorSize), size, sectorSize, read)
        let geometry = SectorGeometry(sectorSize: sectorSize)
        let inner = table.partitions.map { geometry.bytes($0.sectors).clamped(to: 0..<size) }.filter { range in
            // An entry that covers the table itself does not own what it covers.
            range.lowerBound >= 2 * sectorSize && !range.isEmpty
        }
        for mark in try Look.marks(path, range, sectorSize, hasTable: table != .none) {
            var isInside = false
            for partition in inner where !isInside {
                isInside = try Look.belongs(mark, to: partition, of: range, path, sectorSize)
            }
            if !isInside { content.signatures.append(mark) }
        }
        for index in content.signatures.indices where withData {
            guard let member = content.signatures[index].member, member.events == 0 else { continue }
            let start = range.lowerBound + member.dataOffset
            let data = try Look(path, start..<start + member.dataSize, sectorSize, withData: false).whole
            content.signatures[index].member?.data = data.kind
        }
        if !content.isKnown, table == .none { content.rest = try Samples(0..<size, read).rest(path) }
    }

    /// Every mark in a range, whichever of its partitions it belongs to.
    private static func marks(
        _ path: String, _ range: Range<UInt64>, _ sectorSize: UInt64, hasTable: Bool
    ) throws(DiskFailure) -> [Signature] {
        let file = try BlockFile(path)
        let size = range.upperBound - range.lowerBound
        func read(_ position: UInt64, _ count: Int) -> [UInt8]? {
            guard count > 0, position <= size, UInt64(count) <= size - position else { return nil }
            return file.read(at: range.lowerBound + position, count: count)
        }
        var marks = try BlockProbe(path, bytes: range, sectorSize: sectorSize).signatures()
        // Nothing is at the end of a disc, and a drive tries for seconds to read what was never written there.
        guard hasTable || !Content(marks).isImage else { return marks }
        for index in marks.indices where marks[index].type == "zfs_member" {
            marks[index].marks = UnlistedSignatures.zfsMarks(size: size, read: read)
        }
        return marks + UnlistedSignatures.find(size: size, sectorSize: sectorSize, beside: marks, read: read)
    }

    /// Whether a mark of a disk is one of a partition: a look at the partition alone finds it, too.
    ///
    /// Some metadata stands so far from the end of its disk that the last partition contains it.
    private static func belongs(
        _ mark: Signature, to partition: Range<UInt64>, of disk: Range<UInt64>, _ path: String, _ sectorSize: UInt64
    ) throws(DiskFailure) -> Bool {
        guard let offset = mark.offset, partition.contains(offset), !mark.isOfDisksAlone else { return false }
        let range = disk.lowerBound + partition.lowerBound..<disk.lowerBound + partition.upperBound
        let size = partition.upperBound - partition.lowerBound
        return try marks(path, range, sectorSize, hasTable: true).contains { own in
            own.type == mark.type && own.stands(at: offset - partition.lowerBound, ofSize: size)
        }
    }

    /// The partition table of a disk, and nothing else of what it holds.
    static func table(_ path: String) throws(DiskFailure) -> FoundTable {
        let file = try BlockFile(path)
        var look = Look()
        guard file.size > 0, !isPrivate(path) else { return .none }
        try look.readTable(try BlockProbe(path, sectorSize: file.sectorSize), file.size, file.sectorSize) {
            file.read(at: $0, count: $1)
        }
        return look.table
    }

    private init() {
        table = .none
        content = .blank
    }

    /// Whether a device is an inner part of a volume of LVM or Stratis.
    ///
    /// libblkid scans none of these, and reports them like blank ones.
    ///
    /// - SeeAlso: util-linux, `sysfs_devno_is_dm_private`.
    static func isPrivate(_ node: String, sysfs: FilePath = "/sys") -> Bool {
        let name = FilePath(node).lastComponent?.string ?? ""
        guard let id = Files.line(sysfs.appending("class/block/\(name)/dm/uuid")) else { return false }
        if id.hasPrefix("stratis-1-private") { return true }
        // `LVM-`, both UUIDs in one word, and for an inner part also its name.
        return id.hasPrefix("LVM-") && id.dropFirst(4).contains("-") && id.last != "-"
    }

    private mutating func readTable(
        _ probe: borrowing BlockProbe, _ size: UInt64, _ sectorSize: UInt64,
        _ read: @escaping (UInt64, Int) -> [UInt8]?
    ) throws(DiskFailure) {
        let type = try probe.table()
        func reader(_ sectorSize: UInt64) -> PartitionTableReader? {
            PartitionTableReader(size: size, sectorSize: sectorSize, read: read)
        }
        let own = reader(sectorSize)?.table()
        let other: UInt64 = sectorSize == 512 ? 4096 : 512
        let isPlain = type == nil || type == "gpt" || type == "PMBR"
        if var own, isPlain {
            // The owner of the other table still needs it, whatever its sector size is.
            if own.damage.contains(.backup) || own.usableWhenMoved != nil, reader(other)?.endNamesPartitions == true {
                own.endIsAnothers = true
                own.endMark = own.endMark ?? (size / other - 1) * other
            }
            table = .gpt(own)
            // Two tables, each of which names something.
            if reader(sectorSize)?.isHybrid(beside: own) == true { content.table = "dos" }
            return
        }
        if !isPlain, let type {
            table = .other(type, try probe.partitions())
            // Two tables, either of which may be the valid one.
            if own != nil { content.table = "gpt" }
            beside = own
            return
        }
        func marks(_ sectorSize: UInt64) -> [UInt64] {
            GPTMark.places(size: size, sectorSize: sectorSize).filter {
                read($0, GPTMark.bytes.count) == GPTMark.bytes
            }
        }
        if reader(other)?.table() != nil {
            content.table = "gpt \(other)"
        } else if type == nil, marks(sectorSize).isEmpty {
            return
        }
        table = .unreadableGPT
        content.tableMarks = marks(sectorSize) + marks(other)
        content.largerDisk = reader(sectorSize)?.sizeOfLargerDisk
    }

    /// The content including the table, for areas in which a table is somebody's content.
    var whole: Content {
        var whole = content
        switch table {
        case .none: break
        case .gpt: whole.table = "gpt"
        // The boot code in a filesystem's first sector ends like a table without entries.
        case .other("dos", []) where content.isKnown: break
        case .other(let type, _): whole.table = type
        case .unreadableGPT: whole.table = content.table ?? "broken gpt"
        }
        return whole
    }
}

/// The mark at the start of a GPT's header.
enum GPTMark {
    static let bytes = Array("EFI PART".utf8)

    /// Where a header can be at either end, for this sector size.
    static func places(size: UInt64, sectorSize: UInt64) -> [UInt64] {
        guard size / sectorSize >= 6 else { return [] }
        return [sectorSize, (size / sectorSize - 1) * sectorSize]
    }
}

/// Samples that tell blank, noise and anything else apart: 64 KiB at the start, in the middle and at the end.
private struct Samples {
    private let places: [UInt64]
    private let count: Int
    private let read: (UInt64, Int) -> [UInt8]?

    static let size: UInt64 = 64 << 10
    /// Bits per byte; this many random bytes have 7.997, and compressed ones little less.
    private static let noise = 7.99

    init(_ range: Range<UInt64>, _ read: @escaping (UInt64, Int) -> [UInt8]?) {
        let length = range.upperBound - range.lowerBound
        let size = min(Samples.size, length)
        let middle = (range.lowerBound + (length - size) / 2) / 4096 * 4096
        places = [range.lowerBound, max(middle, range.lowerBound), range.upperBound - size]
        count = Int(size)
        self.read = read
    }

    func rest(_ path: String) throws(DiskFailure) -> Content.Rest {
        guard count > 0 else { return .blank }
        var kinds: [Content.Rest] = []
        for place in places {
            guard let bytes = read(place, count) else { throw .unreadable(path, .ioError) }
            kinds.append(Samples.kind(bytes))
            // One unknown sample, or two that differ, settle the answer.
            if kinds.last == .unknown || kinds.last != kinds.first { return .unknown }
        }
        return kinds.first ?? .blank
    }

    private static func kind(_ bytes: [UInt8]) -> Content.Rest {
        let first = bytes[0]
        if first == 0 || first == 0xff, bytes.allSatisfy({ $0 == first }) { return .blank }
        return bytes.count == size && entropy(bytes) > noise ? .noise : .unknown
    }

    /// The entropy in bits per byte.
    private static func entropy(_ bytes: [UInt8]) -> Double {
        var counts = [Int](repeating: 0, count: 256)
        for byte in bytes { counts[Int(byte)] += 1 }
        return counts.reduce(0) { sum, count in
            guard count > 0 else { return sum }
            let share = Double(count) / Double(bytes.count)
            return sum - share * log2(share)
        }
    }
}
