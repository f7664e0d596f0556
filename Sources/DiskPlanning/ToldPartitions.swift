// What the partitions hold that a way out of a conflict would take: no advice destroys what the refusal does not name.

import DiskFormats
import Reporting

extension DiskLayout {
    /// A partition that a conflict tells of.
    struct Told {
        var partition: FoundPartition
        var area: DiskArea
    }

    /// The partitions that a way out of the conflict would take, or give to somebody else.
    func told(by conflict: DiskConflict) -> [Told] {
        if let (disk, partition) = partition(of: conflict) {
            return [Told(partition: partition, area: disk.area(partition))]
        }
        guard let disk = disks.first(where: { $0.disk.node == conflict.device }) else { return [] }
        let table = disk.disk.table
        let partitions: [FoundPartition] =
            switch conflict.problem {
            case .tableNotGPT, .tableOfLargerDisk, .ownerBesideTable, .damagedTable,
                .diskIsPartitioned(_, named: false):
                table.everyPartition
            case .noRoom(_, _, another: nil): table.partitions
            case .noRoom, .endIsAnothers: table.everyPartition.filter { !table.partitions.contains($0) }
            default: []
            }
        return partitions.map { Told(partition: $0, area: disk.area($0)) }
    }

    /// The conflict with what these partitions hold.
    ///
    /// - Parameters:
    ///   - conflict: A conflict of either step.
    ///   - contents: What each area of the layout holds now.
    /// - Returns: The conflict as a refusal tells it.
    func informed(_ conflict: DiskConflict, _ contents: [DiskArea: Content]) -> DiskConflict {
        var conflict = conflict
        let told = told(by: conflict)
        if partition(of: conflict) != nil {
            conflict.content = told.first.flatMap { contents[$0.area] }
        } else if !told.isEmpty {
            conflict.partitions = told.map { line($0, contents) }
        } else if let table = conflict.problem.tableFound,
            let device = wholeDevices.first(where: { $0.node == conflict.device })
        {
            // A table that cannot be read may have some that nobody knows.
            let isKnown = !device.partitions.isEmpty || ["gpt", "dos"].contains(table)
            let told = device.partitions.map { Told(partition: $0, area: device.area($0)) }
            conflict.partitions = isKnown ? told.map { line($0, contents) } : nil
        }
        return conflict
    }

    /// The partition that the conflict is about, whose entry the config may let go of.
    private func partition(of conflict: DiskConflict) -> (DiskPlan, FoundPartition)? {
        switch conflict.problem {
        case .partitionDiffers, .partitionUnwanted: break
        default: return nil
        }
        for disk in disks {
            for old in disk.disk.table.partitions where disk.disk.partitionNode(old.number) == conflict.device {
                return (disk, old)
            }
        }
        return nil
    }

    /// `1 "photos": ext4, 3 GiB used`.
    private func line(_ told: Told, _ contents: [DiskArea: Content]) -> String {
        let label = told.partition.label.isEmpty ? "" : " \"\(told.partition.label)\""
        return "\(told.partition.number)\(label): \((contents[told.area] ?? .notLooked).inWords)"
    }
}

extension DiskConflict.Problem {
    /// The partition table in the content that is in the way.
    fileprivate var tableFound: String? {
        switch self {
        case .otherContent(let content, _), .severalSignatures(let content, _), .arrayDiffers(_, let content),
            .arraysMixed(_, let content, _):
            content.table
        default: nil
        }
    }
}

extension Content {
    /// The content with what of it is in use: `ext4 "photos", 3 GiB used`.
    var inWords: String {
        let used = signatures.compactMap(\.used).first
        return description + (used.map { ", \(ByteCount($0)) used" } ?? "")
    }
}
