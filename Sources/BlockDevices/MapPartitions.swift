// Partitions of a disk that is a map of device-mapper, such as a multipath disk. The kernel makes none there: each is a
// linear map of its own. Where kpartx's udev rules run, they make them; what is missing is made here, with the same
// names and UUIDs, so that whoever comes second finds it there.

import CDevmapper
import Glibc
import LinuxSystem
import Provisioning
import SystemPackage

enum MapPartitions {
    /// What is known of a device that is a map; `nil` for others.
    static func found(_ node: String, sysfs: FilePath = "/sys") -> FoundMap? {
        let folder = sysfs.appending("class/block")
        let device = folder.appending(FilePath(node).lastComponent?.string ?? "")
        guard let name = Files.line(device.appending("dm/name")) else { return nil }
        let uuid = Files.line(device.appending("dm/uuid")) ?? ""
        var partitions: [Int: String] = [:]
        for holder in Files.names(in: device.appending("holders")) {
            let map = folder.appending("\(holder)/dm")
            guard let inner = Files.line(map.appending("name")),
                let number = number(Files.line(map.appending("uuid")) ?? "", of: uuid)
            else { continue }
            partitions[number] = inner
        }
        return FoundMap(name: name, partitions: partitions)
    }

    /// The disk and the number of a map that is a partition of another map.
    static func address(_ node: String, sysfs: FilePath = "/sys") -> PartitionAddress? {
        let folder = sysfs.appending("class/block/\(FilePath(node).lastComponent?.string ?? "")")
        guard let uuid = Files.line(folder.appending("dm/uuid")),
            let disk = Files.names(in: folder.appending("slaves")).first,
            let outer = Files.line(sysfs.appending("class/block/\(disk)/dm/uuid")), let number = number(uuid, of: outer)
        else { return nil }
        return PartitionAddress(disk: "/dev/\(disk)", number: number)
    }

    /// `part3-UUID`, as kpartx names a partition of the map `UUID`.
    private static func number(_ uuid: String, of disk: String) -> Int? {
        guard uuid.hasPrefix("part"), !disk.isEmpty, uuid.hasSuffix("-\(disk)") else { return nil }
        return Int(uuid.dropFirst("part".count).dropLast(disk.count + 1))
    }

    /// Whether a map is just that area of its disk.
    static func matches(_ node: String, _ area: DiskArea) -> Bool {
        guard let disk = number(of: area.node), let name = name(of: node), let place = Place(name) else { return false }
        return place == Place(disk, area)
    }

    /// Maps that are in use and show other sectors than the table says: what is written through them goes elsewhere.
    static func conflicts(in plan: StoragePlan) -> [DiskConflict] {
        plan.disks.flatMap { disk -> [DiskConflict] in
            guard let map = disk.disk.map, let number = number(of: disk.disk.node) else { return [] }
            return disk.disk.table.partitions.compactMap { partition in
                let area = DiskArea(node: disk.disk.node, bytes: disk.geometry.bytes(partition.sectors))
                let wanted = Place(number, area)
                guard let name = map.partitions[partition.number], let place = Place(name), place != wanted,
                    isOpen(name)
                else { return nil }
                return DiskConflict(
                    disk.disk.partitionNode(partition.number),
                    .mapDiffers(
                        found: place.start..<place.start + place.count,
                        wanted: wanted.start..<wanted.start + wanted.count),
                    at: disk.wanted.origin)
            }
        }
    }

    /// Makes, changes and removes maps until they are the partitions of the plan.
    static func follow(_ plan: DiskPlan) throws(DiskFailure) {
        let node = plan.disk.node
        guard let map = found(node), let disk = number(of: node) else { return }
        firstlight_dm_be_quiet()
        let planned = plan.action == .erase ? [] : plan.partitions
        for (number, name) in map.partitions where !planned.contains(where: { $0.number == number }) {
            try KernelPartitions.whileBusy(node) { run(DM_DEVICE_REMOVE, name) || Place(name) == nil }
        }
        let uuid = Files.line(FilePath("/sys/class/block/\(FilePath(node).lastComponent?.string ?? "")/dm/uuid"))
        for partition in planned {
            let place = Place(disk, plan.area(partition))
            let name = map.partitions[partition.number] ?? map.partitionName(partition.number)
            try KernelPartitions.whileBusy(node) {
                if Place(name) == place { return true }
                if Place(name) != nil { return run(DM_DEVICE_RELOAD, name, place) && run(DM_DEVICE_RESUME, name) }
                return run(DM_DEVICE_CREATE, name, place, uuid: uuid.map { "part\(partition.number)-\($0)" })
            }
        }
        dm_task_update_nodes()
    }

    /// - Returns: Whether device-mapper did it.
    private static func run(_ type: Int, _ name: String, _ place: Place? = nil, uuid: String? = nil) -> Bool {
        guard let task = dm_task_create(Int32(type)) else { return false }
        defer { dm_task_destroy(task) }
        guard dm_task_set_name(task, name) == 1 else { return false }
        if let uuid, dm_task_set_uuid(task, uuid) == 0 { return false }
        if let place {
            let added = dm_task_add_target(task, 0, place.count, "linear", "\(place.disk) \(place.start)")
            guard added == 1 else { return false }
        }
        return dm_task_run(task) == 1
    }

    private static func isOpen(_ name: String) -> Bool {
        guard let task = dm_task_create(Int32(DM_DEVICE_INFO)) else { return false }
        defer { dm_task_destroy(task) }
        var info = dm_info()
        return dm_task_set_name(task, name) == 1 && dm_task_run(task) == 1 && dm_task_get_info(task, &info) == 1
            && info.open_count > 0
    }

    /// The part of a disk that a linear map shows, in units of 512 bytes.
    private struct Place: Equatable {
        /// `254:0`
        var disk: String
        var start: UInt64
        var count: UInt64

        init(_ disk: String, _ area: DiskArea) {
            self.disk = disk
            start = area.bytes.lowerBound / 512
            count = (area.bytes.upperBound - area.bytes.lowerBound) / 512
        }

        /// Of the map of that name; `nil` where there is none, or where it is no single linear one.
        init?(_ name: String) {
            guard let task = dm_task_create(Int32(DM_DEVICE_TABLE)) else { return nil }
            defer { dm_task_destroy(task) }
            guard dm_task_set_name(task, name) == 1, dm_task_run(task) == 1 else { return nil }
            var (offset, length): (UInt64, UInt64) = (0, 0)
            var (type, words): (UnsafeMutablePointer<CChar>?, UnsafeMutablePointer<CChar>?)
            let next = dm_get_next_target(task, nil, &offset, &length, &type, &words)
            guard next == nil, let type, let words, String(cString: type) == "linear" else { return nil }
            let parts = String(cString: words).split(separator: " ")
            guard parts.count == 2, let start = UInt64(parts[1]) else { return nil }
            disk = String(parts[0])
            self.start = start
            count = length
        }
    }

    /// `254:0`
    private static func number(of node: String) -> String? {
        Files.line(FilePath("/sys/class/block/\(FilePath(node).lastComponent?.string ?? "")/dev"))
    }

    /// The map's name of a node below `/dev`.
    private static func name(of node: String) -> String? {
        guard let kernel = Survey.node(node), let name = FilePath(kernel).lastComponent else { return nil }
        return Files.line(FilePath("/sys/class/block/\(name.string)/dm/name"))
    }
}
