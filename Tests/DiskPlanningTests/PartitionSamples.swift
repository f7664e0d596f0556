// Partitions that are wanted, partitions that are found, and what is planned of them.

import DiskFormats
import IgnitionConfig

@testable import DiskPlanning

let mebi: UInt64 = 2048  // sectors of 512 bytes
let guid = "11111111-2222-4333-8444-555555555555"
let esp = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"

/// A config entry; what is left out stays absent.
func want(
    _ number: Int? = 2, label: String? = nil, start: Int? = nil, size: Int? = nil, type: String? = nil,
    guid: String? = nil, exists: Bool? = nil, wipe: Bool? = nil, resize: Bool? = nil
) -> IgnitionConfig.Partition {
    var wanted = IgnitionConfig.Partition()
    wanted.number = number
    wanted.label = label
    wanted.startMiB = start
    wanted.sizeMiB = size
    wanted.typeGuid = type
    wanted.guid = guid
    wanted.shouldExist = exists
    wanted.wipePartitionEntry = wipe
    wanted.resize = resize
    return wanted
}

func disk(_ wanted: [IgnitionConfig.Partition], wipeTable: Bool = false) -> IgnitionConfig.Disk {
    var disk = IgnitionConfig.Disk()
    disk.device = "/dev/vda"
    disk.wipeTable = wipeTable
    disk.partitions = wanted
    return disk
}

func found(
    _ number: Int, _ miB: Range<UInt64>, label: String = "", type: String = PlannedPartition.defaultType,
    guid partitionGUID: String = guid, perMiB: UInt64 = mebi, users: [DeviceUse] = []
) -> FoundPartition {
    FoundPartition(
        number: number, label: label, guid: partitionGUID, type: type,
        sectors: miB.lowerBound * perMiB..<miB.upperBound * perMiB, users: users)
}

/// A disk of 1000 MiB.
func machine(_ partitions: [FoundPartition]?, sectorSize: UInt64 = 512) -> FoundDisk {
    let size: UInt64 = 1000 << 20
    let usable = SectorGeometry(sectorSize: sectorSize).usable(diskSize: size)
    return FoundDisk(
        path: "/dev/vda", node: "/dev/vda", size: size, sectorSize: sectorSize,
        table: partitions.map { .gpt(FoundGPT(usable: usable, partitions: $0)) } ?? .none)
}

/// What becomes of the table in a few words: `2 keep 100+100`, `conflict size`.
func story(_ config: IgnitionConfig.Disk, on disk: FoundDisk) -> [String] {
    let outcome = PartitionPlanner(config, on: disk).plan()
    let perMiB = (1 << 20) / disk.sectorSize
    func miB(_ sectors: UInt64) -> String {
        sectors.isMultiple(of: perMiB) ? "\(sectors / perMiB)" : "\(sectors)s"
    }
    guard outcome.conflicts.isEmpty else { return outcome.conflicts.map { "conflict: \($0)" } }
    var words = outcome.plan.partitions.filter { $0.entry != nil }.map {
        "\($0.number) \($0.change.word) \(miB($0.sectors.lowerBound))+\(miB($0.sectors.length))"
    }
    words += outcome.plan.lost.map { "\($0.number) lost" }
    return ["\(outcome.plan.action)"] + words
}

/// The same disk, grown by 200 MiB: its second copy is where its end was.
func grown(_ partitions: [FoundPartition]) -> FoundDisk {
    var disk = machine(partitions)
    disk.size = 1200 << 20
    let usable = SectorGeometry(sectorSize: 512).usable(diskSize: 1000 << 20)
    let moved = SectorGeometry(sectorSize: 512).usable(diskSize: disk.size)
    disk.table = .gpt(FoundGPT(usable: usable, usableWhenMoved: moved, partitions: partitions))
    return disk
}
