// Arithmetic of free space on a disk, in logical sectors.

/// Alignment and bounds of a disk's sectors.
public struct SectorGeometry: Equatable, Sendable {
    /// Bytes of a logical sector.
    public var sectorSize: UInt64

    /// Makes a geometry; a size of 0 counts as 1.
    public init(sectorSize: UInt64) { self.sectorSize = max(sectorSize, 1) }

    /// Sectors in a MiB, the alignment of new partitions.
    public var sectorsPerMiB: UInt64 { max((1 << 20) / sectorSize, 1) }

    /// The sectors that partitions may take in a new table.
    ///
    /// A table of 128 entries stands behind the protective MBR, and its copy at the end of the disk.
    ///
    /// - Parameter bytes: The size of the disk.
    /// - Returns: Sectors, end excluded; empty where the disk is too small.
    public func usable(diskSize bytes: UInt64) -> Range<UInt64> {
        let total = bytes / sectorSize
        let entries = (128 * 128 + sectorSize - 1) / sectorSize
        let first = 2 + entries
        let reserved = 1 + entries
        guard total > first + reserved else { return first..<first }
        return first..<(total - reserved)
    }

    /// The number of sectors; `nil` where `miB` is negative, or the number exceeds 64 bits.
    func sectors(miB: Int) -> UInt64? {
        guard let count = UInt64(exactly: miB) else { return nil }
        let (sectors, overflow) = count.multipliedReportingOverflow(by: sectorsPerMiB)
        return overflow ? nil : sectors
    }

    /// The bytes of a range of sectors, end excluded.
    public func bytes(_ sectors: Range<UInt64>) -> Range<UInt64> {
        multiplied(sectors.lowerBound)..<multiplied(sectors.upperBound)
    }

    /// The bytes that a range of sectors takes.
    public func size(_ sectors: Range<UInt64>) -> UInt64 { multiplied(sectors.length) }

    /// A hostile table may name sectors beyond any disk, so the product is capped.
    private func multiplied(_ sector: UInt64) -> UInt64 {
        let (bytes, overflow) = sector.multipliedReportingOverflow(by: sectorSize)
        return overflow ? .max : bytes
    }
}

/// The blocks of a disk that no partition takes.
struct FreeSpace {
    /// Sorted; no block is empty or touches the next.
    private(set) var blocks: [Range<UInt64>]

    init(_ usable: Range<UInt64>, without taken: some Sequence<Range<UInt64>>) {
        blocks = usable.isEmpty ? [] : [usable]
        for range in taken { take(range) }
    }

    mutating func take(_ range: Range<UInt64>) {
        guard !range.isEmpty else { return }
        blocks = blocks.flatMap { block -> [Range<UInt64>] in
            guard block.overlaps(range) else { return [block] }
            var rest: [Range<UInt64>] = []
            if block.lowerBound < range.lowerBound { rest.append(block.lowerBound..<range.lowerBound) }
            if range.upperBound < block.upperBound { rest.append(range.upperBound..<block.upperBound) }
            return rest
        }
    }

    /// The first of the largest blocks.
    var largest: Range<UInt64>? {
        blocks.reduce(nil) { best, block in
            guard let best, best.length >= block.length else { return block }
            return best
        }
    }

    func block(containing sector: UInt64) -> Range<UInt64>? {
        blocks.first { $0.contains(sector) }
    }

    /// Finds the sectors of a partition.
    ///
    /// - Parameters:
    ///   - start: `nil` means the first aligned sector of the largest block.
    ///   - count: `nil` means the rest of the block.
    ///   - alignment: In sectors; it applies only where `start` is `nil`.
    /// - Returns: `nil` where there is no such room.
    /// - SeeAlso: sgdisk(8), option `--new` with values of 0.
    func place(start: UInt64?, count: UInt64?, alignment: UInt64) -> Range<UInt64>? {
        guard let block = if let start { self.block(containing: start) } else { largest } else { return nil }
        let first: UInt64
        if let start {
            first = start
        } else {
            let rest = block.lowerBound % alignment
            let (aligned, overflow) = block.lowerBound.addingReportingOverflow(rest == 0 ? 0 : alignment - rest)
            guard !overflow else { return nil }
            first = aligned
        }
        guard first < block.upperBound else { return nil }
        guard let count else { return first..<block.upperBound }
        guard count > 0, count <= block.upperBound - first else { return nil }
        return first..<(first + count)
    }
}

extension Range<UInt64> {
    /// The length; unlike `count` it is not limited to what `Int` holds, since a hostile table names any sector.
    var length: UInt64 { upperBound - lowerBound }
}
