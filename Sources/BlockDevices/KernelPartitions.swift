// What the kernel knows of a disk's partitions, and how it learns of changes.

import CLinux
import DiskPlanning
import Glibc
import LinuxSystem
import SystemPackage

enum KernelPartitions {
    /// Whether the kernel's view of the changed partitions agrees with the plan.
    static func agree(with plan: DiskPlan) -> Bool {
        let present = plan.partitions.filter { $0.change != .keep || plan.isWrittenInFull }
        let gone = plan.disk.table.partitions.filter { old in !plan.partitions.contains { $0.number == old.number } }
        return present.allSatisfy { matches(plan.disk.partitionNode($0.number), plan.area($0)) }
            && !gone.contains { Files.exists(folder(plan.disk.partitionNode($0.number))) }
    }

    /// Checks before a write that the kernel's view of a node is the planned area.
    static func require(_ node: String, _ area: DiskArea) throws(DiskFailure) {
        guard matches(node, area) else { throw .tableNotAsPlanned(node) }
    }

    /// Checks before a write that a partition, by its own node alone, is the one that the table of its disk has now.
    static func requireAsInTable(_ node: String) throws(DiskFailure) {
        guard let address = address(node) else { return }
        guard try misplaced(node, address) == nil else { throw .tableChanged(address.disk) }
    }

    /// The disk and the number of a partition, also of one that is a map; `nil` for other devices.
    static func address(_ node: String, sysfs: FilePath = "/sys") -> PartitionAddress? {
        let folder = folder(node, sysfs)
        guard let number = Files.line(folder.appending("partition")).flatMap({ Int($0) }),
            let disk = Files.resolved(folder)?.removingLastComponent().lastComponent?.string
        else { return MapPartitions.address(node, sysfs: sysfs) }
        return PartitionAddress(disk: "/dev/\(disk)", number: number)
    }

    /// Compares what a partition's node shows with the table of its disk; `nil` where both agree.
    static func misplaced(
        _ node: String, _ address: PartitionAddress, sysfs: FilePath = "/sys"
    ) throws(DiskFailure) -> MisplacedPartition? {
        let file = try BlockFile(address.disk)
        let geometry = SectorGeometry(sectorSize: file.sectorSize)
        let table = try Look.table(address.disk)
        // The kernel cuts off what is beyond the end of the disk.
        let places = table.partitions.map { ($0.number, geometry.bytes($0.sectors).clamped(to: 0..<file.size)) }
        let found = bytes(node, sysfs) ?? MapPartitions.bytes(node, of: address.disk)
        let wanted = places.first { $0.0 == address.number }?.1
        // Of other tables than a GPT, the kernel and libblkid number some partitions differently.
        if case .other = table, places.contains(where: { $0.1 == found }) { return nil }
        return found != nil && found == wanted ? nil : MisplacedPartition(found: found, wanted: wanted)
    }

    /// The bytes of its disk that a partition of the kernel's shows.
    static func bytes(_ node: String, _ sysfs: FilePath) -> Range<UInt64>? {
        // Both are in units of 512 bytes, whatever the sector size.
        guard let start = number("start", of: node, sysfs), let count = number("size", of: node, sysfs),
            start <= UInt64.max >> 10, count <= UInt64.max >> 10
        else { return nil }
        return start << 9..<(start + count) << 9
    }

    /// Makes the kernel read the whole table again; none of its partitions may be in use.
    static func reread(_ disk: String) throws(DiskFailure) {
        let descriptor = open(disk, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .unreadable(disk, Errno(rawValue: errno)) }
        defer { close(descriptor) }
        try whileBusy(disk) { firstlight_reread_partitions(descriptor) != -EBUSY }
    }

    /// Repeats `attempt` until it returns `true`, for at most five seconds.
    ///
    /// udev looks at a partition when it appears and whenever its disk was written. While it has the partition open,
    /// for some milliseconds, the kernel neither removes nor resizes it, and does not tell when that is over.
    static func whileBusy(_ disk: String, _ attempt: () -> Bool) throws(DiskFailure) {
        for _ in 0..<100 {
            if attempt() { return }
            usleep(50_000)
        }
        throw .tableNotWritten(disk, doing: "tell the kernel of its partitions", .resourceBusy)
    }

    /// Waits until the kernel has all of these partitions exactly where they were planned, and keeps it that way.
    ///
    /// - Returns: What has to live as long as the partitions are worked on; `nil` where there are none.
    static func hold(_ partitions: [PlannedPartition], of plan: DiskPlan) throws(DiskFailure) -> HeldPartition? {
        guard let first = partitions.first.map({ plan.disk.partitionNode($0.number) }) else { return nil }
        var missing = first
        for _ in 0..<100 {
            if let held = HeldPartition(first) {
                let wrong = partitions.first { !matches(plan.disk.partitionNode($0.number), plan.area($0)) }
                guard let wrong else { return held }
                missing = plan.disk.partitionNode(wrong.number)
            }
            usleep(50_000)
        }
        throw .tableNotAsPlanned(missing)
    }

    /// Whether the kernel has a partition of that name at exactly that place.
    static func matches(_ node: String, _ area: DiskArea) -> Bool {
        if node.hasPrefix("/dev/mapper/") { return MapPartitions.matches(node, area) }
        return bytes(node, "/sys") == area.bytes
    }

    private static func number(_ attribute: String, of node: String, _ sysfs: FilePath) -> UInt64? {
        Files.line(folder(node, sysfs).appending(attribute)).flatMap { UInt64($0) }
    }

    private static func folder(_ node: String, _ sysfs: FilePath = "/sys") -> FilePath {
        sysfs.appending("class/block/\(FilePath(node).lastComponent?.string ?? "")")
    }
}

/// A partition held open, closed when the value goes away.
///
/// While one of them is open, the kernel does not read the table of its disk again, which would first remove all
/// partitions. udev asks it to whenever somebody has closed the disk after writing.
final class HeldPartition: Sendable {
    private let descriptor: Int32

    fileprivate init?(_ node: String) {
        descriptor = open(node, O_RDONLY | O_CLOEXEC)
        if descriptor < 0 { return nil }
    }

    deinit { close(descriptor) }
}

extension DiskPlan {
    /// Whether the kernel has to read the whole table, because it knows none of it yet, or another one.
    var isWrittenInFull: Bool {
        if case .gpt(let gpt) = disk.table, gpt.damage.contains(.protectiveMBR) { return true }
        // The kernel ignores the second copy, but still knows what it read before the first was lost.
        if case .gpt(let gpt) = disk.table, gpt.damage.contains(.primary) {
            return gpt.partitions.allSatisfy(\.users.isEmpty)
        }
        return createsTable || action == .erase
    }
}
