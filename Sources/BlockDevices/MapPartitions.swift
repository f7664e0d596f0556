// Partitions of a disk that is a map of device-mapper, such as a multipath disk. The kernel makes none there; each is a
// linear map of its own. Where kpartx's udev rules are active, they make these maps. Missing ones are made here with
// the same names and UUIDs, so that either side finds what the other has made.

import CDevmapper
import DiskPlanning
import Glibc
import LinuxSystem
import SystemPackage

enum MapPartitions {
    /// Reads a device that is a map; `nil` for others.
    static func found(_ node: String, sysfs: FilePath = "/sys") -> FoundMap? {
        let folder = sysfs.appending("class/block")
        let device = folder.appending(FilePath(node).lastComponent?.string ?? "")
        guard let name = Files.line(device.appending("dm/name")) else { return nil }
        let uuid = Files.line(device.appending("dm/uuid")) ?? ""
        let number = Files.line(device.appending("dev"))
        var map = FoundMap(name: name)
        for child in Files.names(in: folder) {
            let inner = folder.appending("\(child)/dm")
            guard let name = Files.line(inner.appending("name")), name != map.name else { continue }
            guard let own = self.number(Files.line(inner.appending("uuid")) ?? "", of: uuid) else {
                map.otherNames.insert(name)
                continue
            }
            let (place, isOpen) = (Place(name), isOpen(name))
            map.partitions[own] = FoundMap.Partition(
                name: name, bytes: place?.disk == number ? place?.bytes : nil, isOpen: isOpen)
        }
        return map
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

    /// The number in `part3-UUID`, kpartx's UUID for a partition of the map `UUID`.
    private static func number(_ uuid: String, of disk: String) -> Int? {
        guard uuid.hasPrefix("part"), !disk.isEmpty, uuid.hasSuffix("-\(disk)") else { return nil }
        return Int(uuid.dropFirst("part".count).dropLast(disk.count + 1))
    }

    /// Whether a map shows exactly that area of its disk.
    static func matches(_ node: String, _ area: DiskArea) -> Bool {
        guard let disk = number(of: area.node), let name = name(of: node), let place = Place(name) else { return false }
        return place == Place(disk, area)
    }

    /// The bytes of a disk that a map shows; `nil` where it shows anything but one part of it.
    static func bytes(_ node: String, of disk: String) -> Range<UInt64>? {
        guard let number = number(of: disk), let place = name(of: node).flatMap(Place.init), place.disk == number
        else { return nil }
        return place.bytes
    }

    /// Makes, changes and removes maps until they are the partitions of the plan.
    ///
    /// kpartx may do the same meanwhile.
    static func follow(_ plan: DiskPlan) throws(DiskFailure) {
        let node = plan.disk.node
        guard let map = plan.disk.map, let disk = number(of: node) else { return }
        for name in plan.mapsToRemove {
            try KernelPartitions.whileBusy(node) { run(DM_DEVICE_REMOVE, name) || !exists(name) }
        }
        let uuid = Files.line(FilePath("/sys/class/block/\(FilePath(node).lastComponent?.string ?? "")/dm/uuid"))
        for partition in plan.action == .erase ? [] : plan.partitions {
            let (name, place) = (map.partitionName(partition.number), Place(disk, plan.area(partition)))
            try KernelPartitions.whileBusy(node) {
                if Place(name) == place { return true }
                // Only a map whose UUID says that it is this disk's partition is changed: anybody may use the name.
                if found(node)?.partitions[partition.number]?.name == name {
                    return run(DM_DEVICE_RELOAD, name, place) && run(DM_DEVICE_RESUME, name)
                }
                return run(DM_DEVICE_CREATE, name, place, uuid: uuid.map { "part\(partition.number)-\($0)" })
            }
        }
        dm_task_update_nodes()
    }

    /// Has device-mapper make, change or remove a map.
    ///
    /// - Returns: Whether device-mapper did it.
    private static func run(_ type: Int, _ name: String, _ place: Place? = nil, uuid: String? = nil) -> Bool {
        perform(type, name) { task in
            if let uuid, dm_task_set_uuid(task, uuid) == 0 { return false }
            guard let place else { return true }
            return dm_task_add_target(task, 0, place.count, "linear", "\(place.disk) \(place.start)") == 1
        } answer: { _ in
            true
        } ?? false
    }

    private static func information(_ name: String) -> dm_info? {
        perform(DM_DEVICE_INFO, name) { task in
            var info = dm_info()
            return dm_task_get_info(task, &info) == 1 ? info : nil
        }
    }

    /// Whether something uses a map; `true` where device-mapper does not say.
    private static func isOpen(_ name: String) -> Bool { information(name).map { $0.open_count > 0 } ?? true }

    private static func exists(_ name: String) -> Bool { information(name).map { $0.exists != 0 } ?? true }

    /// Has device-mapper do one thing with the map of that name.
    private static func perform<Answer>(
        _ type: Int, _ name: String, prepare: (OpaquePointer) -> Bool = { _ in true },
        answer: (OpaquePointer) -> Answer?
    ) -> Answer? {
        firstlight_dm_be_quiet()
        guard let task = dm_task_create(Int32(type)) else { return nil }
        defer { dm_task_destroy(task) }
        guard dm_task_set_name(task, name) == 1, prepare(task), dm_task_run(task) == 1 else { return nil }
        return answer(task)
    }

    /// The part of a disk that a linear map shows, in units of 512 bytes.
    private struct Place: Equatable {
        /// The disk's device number, such as `254:0`.
        var disk: String
        var start: UInt64
        var count: UInt64

        init(_ disk: String, _ area: DiskArea) {
            self.disk = disk
            start = area.bytes.lowerBound / 512
            count = (area.bytes.upperBound - area.bytes.lowerBound) / 512
        }

        /// Reads the map of that name; `nil` where there is none, or it is anything but one linear target.
        init?(_ name: String) {
            let found = perform(DM_DEVICE_TABLE, name) { task -> Place? in
                var (offset, length): (UInt64, UInt64) = (0, 0)
                var (type, words): (UnsafeMutablePointer<CChar>?, UnsafeMutablePointer<CChar>?)
                let next = dm_get_next_target(task, nil, &offset, &length, &type, &words)
                guard next == nil, let type, let words, String(cString: type) == "linear" else { return nil }
                let parts = String(cString: words).split(separator: " ")
                guard parts.count == 2, let start = UInt64(parts[1]) else { return nil }
                return Place(disk: String(parts[0]), start: start, count: length)
            }
            guard let found else { return nil }
            self = found
        }

        private init(disk: String, start: UInt64, count: UInt64) {
            self.disk = disk
            self.start = start
            self.count = count
        }

        /// The bytes of the disk; `nil` where the kernel's numbers exceed those of any disk.
        var bytes: Range<UInt64>? {
            let (end, isTooFar) = start.addingReportingOverflow(count)
            guard !isTooFar, end <= UInt64.max / 512 else { return nil }
            return start * 512..<end * 512
        }
    }

    /// The device number of a node, such as `254:0`.
    private static func number(of node: String) -> String? {
        Files.line(FilePath("/sys/class/block/\(FilePath(node).lastComponent?.string ?? "")/dev"))
    }

    /// The map's name, by a node below `/dev`.
    private static func name(of node: String) -> String? {
        guard let kernel = DiskProber.node(node), let name = FilePath(kernel).lastComponent else { return nil }
        return Files.line(FilePath("/sys/class/block/\(name.string)/dm/name"))
    }
}
