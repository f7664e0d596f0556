// Reads what the disks of a config hold: tables, signatures, users. Writes nothing.

import CLinux
import DiskFormats
import DiskPlanning
import Glibc
import IgnitionConfig
import LinuxSystem
import SystemPackage

/// The machine's disks as `/dev`, `/sys` and `/proc` show them.
public struct DiskProber: Sendable {
    private let users: DeviceUsers
    /// Image files that stand for the devices of another machine, by the paths of the config.
    private let images: [String: String]

    /// Reads who uses which device.
    ///
    /// - Parameters:
    ///   - images: Image files by the paths of the config that they stand for. Where there are any, no device of this
    ///     machine counts.
    ///   - medium: The medium that the system runs from, or will: it counts as mounted.
    public init(images: [String: String] = [:], medium: String? = nil) {
        users = DeviceUsers(medium: medium)
        self.images = images
    }

    /// Reads what the config names: its disks, and the devices of filesystems, LUKS volumes and arrays that are there.
    ///
    /// - Parameter storage: The config.
    /// - Returns: What was found, by the config's paths; a path that leads nowhere is missing.
    /// - Throws: ``DiskFailure/unreadable(_:_:)``.
    public func inventory(_ storage: IgnitionConfig.Storage) throws(DiskFailure) -> DiskInventory {
        var inventory = DiskInventory(disks: [])
        inventory.disks = try present(storage.disks.map(\.device)) { path, node throws(DiskFailure) in
            try disk(path, node: node)
        }
        let paths =
            storage.filesystems.map(\.device) + storage.luks.compactMap(\.device) + storage.raid.flatMap(\.devices)
        inventory.devices = try present(paths.filter { !storage.isMade($0) }) { path, node throws(DiskFailure) in
            try device(path, node: node)
        }
        inventory.nodes = nodes(storage)
        guard images.isEmpty else { return inventory }
        // A link to a disk may be made of what stands on it, too.
        let names = (paths + storage.disks.map(\.device)).map { (path: $0, name: DeviceName($0)) }
        let held = names.contains { $0.name.isOfContent } ? DiskProber.everythingHeld() : Held()
        let parts = names.contains { $0.name.isOfPartition } ? DiskProber.partitionNames() : PartitionNames()
        inventory.unread = Set(held.unread + parts.unread).sorted()
        for (path, name) in names {
            inventory.twins[path] =
                name.isOfPartition ? parts.nodes(linkedAs: name) : DiskProber.twins(name, among: held.signatures)
        }
        return inventory
    }

    /// The kernel's name of the device at a path.
    ///
    /// Where udev does not run, libdevmapper makes device nodes of its own in place of links.
    static func node(_ path: String) -> String? {
        guard let end = Files.resolved(FilePath(path)) else { return nil }
        guard end.starts(with: "/dev/mapper"), let device = Files.status(end), device.st_mode & S_IFMT == S_IFBLK
        else { return end.string }
        let folder = FilePath("/sys/dev/block").appending(Files.deviceNumber(device.st_rdev))
        return Files.resolved(folder)?.lastComponent.map { "/dev/\($0.string)" } ?? end.string
    }

    /// The same, or the image that stands for the device.
    private func node(of path: String) -> String? {
        guard !images.isEmpty else { return DiskProber.node(path) }
        return images[path].flatMap { Files.resolved(FilePath($0))?.string }
    }

    /// Kernel names of the disks that the config's paths spell, as far as they are there.
    func nodes(_ storage: IgnitionConfig.Storage) -> [String: String] {
        let pairs = storage.disksSpelled.compactMap { path in
            node(of: path).map { (path, $0) }
        }
        return Dictionary(pairs) { first, _ in first }
    }

    /// The labels and GUIDs of partitions, from which links to them are made.
    struct PartitionNames {
        var all: [(node: String, label: String, guid: String)] = []
        /// Partitions whose GUID could not be read.
        var unread: [String] = []

        /// The partitions to which a link may lead.
        func nodes(linkedAs name: DeviceName) -> [String] {
            all.filter { name.isLink(ofPartition: $0.label, guid: $0.guid) }.map(\.node).sorted()
        }
    }

    /// The names of all partitions that the kernel knows, without those of disks that something holds as a whole.
    ///
    /// They are read from the tables, because the kernel's own `PARTNAME` keeps only the lower eight bits of each
    /// character, so that two labels can look alike. `PARTNAME` is used only where the table says nothing of a
    /// partition that the kernel has, because the disk failed after the kernel had read it.
    static func partitionNames(sysfs: FilePath = "/sys", devices: FilePath = "/dev") -> PartitionNames {
        let folder = sysfs.appending("class/block")
        var parts: [String: [(node: String, number: Int, known: String?)]] = [:]
        for name in Files.names(in: folder).sorted() {
            guard let place = Files.resolved(folder.appending(name)),
                let number = Files.line(place.appending("partition")).flatMap({ Int($0) }),
                let disk = place.removingLastComponent().lastComponent?.string, !isOfHeldDisk(name, sysfs: sysfs)
            else { continue }
            let known = (Files.line(place.appending("uevent")) ?? "").split(separator: "\n")
                .first { $0.hasPrefix("PARTNAME=") }.map { String($0.dropFirst("PARTNAME=".count)) }
            parts[disk, default: []].append((devices.appending(name).string, number, known))
        }
        let disks = parts.keys.sorted()
        let tables = sideBySide(disks) { disk in try? Look.table(devices.appending(disk).string) }
        var names = PartitionNames()
        for (disk, table) in zip(disks, tables) {
            for part in parts[disk] ?? [] {
                if let found = table?.partitions.first(where: { $0.number == part.number }) {
                    names.all.append((part.node, found.label, found.guid))
                } else {
                    names.unread.append(part.node)
                    if let known = part.known { names.all.append((part.node, known, "")) }
                }
            }
        }
        return names
    }

    /// Whether something holds a partition's whole disk; a multipath map or an array has partitions of its own.
    private static func isOfHeldDisk(_ name: String, sysfs: FilePath = "/sys") -> Bool {
        let partition = Files.resolved(sysfs.appending("class/block").appending(name))
        guard let partition, Files.exists(partition.appending("partition")) else { return false }
        return !Files.names(in: partition.removingLastComponent().appending("holders")).isEmpty
    }

    /// The content of devices that nothing else is built on.
    struct Held {
        var signatures: [(node: String, signature: Signature)] = []
        /// Devices whose content could not be read.
        var unread: [String] = []

        /// Sorts the results of looking at devices; `nil` stands for a device that could not be read.
        init(_ looks: [(node: String, signatures: [Signature]?)] = []) {
            for (node, found) in looks {
                guard let found else {
                    unread.append(node)
                    continue
                }
                // No link leads to a device with two signatures, or to a member of an array.
                if found.count == 1, let one = found.first { signatures.append((node, one)) }
            }
        }
    }

    /// Looks at all devices that nothing else is built on.
    private static func everythingHeld() -> Held {
        let folder: FilePath = "/sys/class/block"
        let names = Files.names(in: folder).sorted().filter { name in
            // An empty optical or floppy drive may take seconds to say so, and holds nothing to create or keep.
            !["sr", "fd", "ram"].contains { name.hasPrefix($0) } && Files.line(folder.appending("\(name)/size")) != "0"
                && Files.names(in: folder.appending("\(name)/holders")).isEmpty && !isOfHeldDisk(name)
        }
        return Held(sideBySide(names.map { "/dev/\($0)" }) { node in (node: node, signatures: signatures(of: node)) })
    }

    /// The signatures of a device; `nil` where it cannot be read, and none where a drive has no medium.
    static func signatures(of node: String) -> [Signature]? {
        do throws(DiskFailure) {
            return try Look(node).content.signatures
        } catch {
            if case .unreadable(_, let reason) = error,
                [Errno(rawValue: ENOMEDIUM), .noSuchAddressOrDevice].contains(reason)
            {
                return []
            }
            return nil
        }
    }

    /// The devices that have the label or UUID of a link; `nil` for other links.
    private static func twins(
        _ name: DeviceName, among held: [(node: String, signature: Signature)]
    ) -> [String]? {
        guard name.isOfContent else { return nil }
        var shared: Set<String> = []
        return held.filter { name.isLink(of: $0.signature) }.filter { found in
            // All devices of one btrfs share its label and UUID.
            found.signature.type != "btrfs" || shared.insert(found.signature.uuid ?? found.node).inserted
        }.map(\.node)
    }

    /// Looks once at each path that exists.
    private func present<Found: Sendable>(
        _ paths: [String], _ look: @Sendable (_ path: String, _ node: String) throws(DiskFailure) -> Found
    ) throws(DiskFailure) -> [Found] {
        var seen: Set<String> = []
        let nodes = paths.filter { seen.insert($0).inserted }.compactMap { path in
            node(of: path).map { (path, $0) }
        }
        return try sideBySide(nodes) { node throws(DiskFailure) in try look(node.0, node.1) }
    }

    /// Reads a disk or an image of one.
    ///
    /// - Parameters:
    ///   - path: The path as the config writes it.
    ///   - node: The kernel's name.
    ///   - given: Bytes of a logical sector; `nil` asks the device, and is 512 for an image.
    /// - Returns: The table, the content beside it, and who uses what.
    /// - Throws: ``DiskFailure/unreadable(_:_:)``.
    public func disk(
        _ path: String, node: String, sectorSize given: UInt64? = nil
    ) throws(DiskFailure) -> FoundDisk {
        let file = try BlockFile(node)
        let sectorSize = given ?? file.sectorSize
        let look = try Look(node, sectorSize: sectorSize)
        var disk = FoundDisk(
            path: path, node: node, size: file.size, sectorSize: sectorSize, table: look.table, content: look.content,
            map: MapPartitions.found(node))
        disk.beside = look.beside
        disk.isMade = DiskProber.isMade(node)
        disk.table = withUsers(disk)
        let isShared = disk.table.partitions.contains { !$0.users.isEmpty }
        // The maps of its partitions hold a map; the users of those maps are in the table.
        disk.users = users.of(node, beside: disk.map.map(maps) ?? []).filter { !isShared || $0 != .claimed }
        return disk
    }

    /// Adds who uses the partitions; whoever uses a partition has also claimed its disk.
    private func withUsers(_ disk: FoundDisk) -> FoundTable {
        let isClaimed = users.isClaimed(disk.node)
        // A filesystem on the whole disk, such as an ISO's, has claimed each of the partitions, or is about to.
        let mounts = (isClaimed ? users.of(disk.node) : users.named(disk.node)).filter(\.isMount)
        let table = disk.table
        let partitions = table.partitions.map { partition in
            var partition = partition
            let path = disk.partitionNode(partition.number)
            let name = disk.map == nil ? path : DiskProber.node(path) ?? path
            // A loop device claims nothing.
            partition.users = isClaimed ? users.of(name) : users.named(name)
            if partition.users.allSatisfy({ $0 == .claimed }), !mounts.isEmpty { partition.users = mounts }
            return partition
        }
        switch table {
        case .gpt(var gpt):
            gpt.partitions = partitions
            return .gpt(gpt)
        case .other(let type, _): return .other(type, partitions)
        case .none, .unreadableGPT: return table
        }
    }

    private func device(_ path: String, node: String) throws(DiskFailure) -> FoundDevice {
        let file = try BlockFile(node)
        let name = FilePath(node).lastComponent?.string ?? ""
        let folder = FilePath("/sys/class/block/\(name)")
        let partition = KernelPartitions.address(node)
        var users = users.of(node)
        var misplaced: MisplacedPartition?
        if let partition {
            // Whoever uses the disk as a whole uses this part of it.
            let disk = FilePath(partition.disk).lastComponent?.string ?? ""
            users += self.users.listed(partition.disk, beside: MapPartitions.found(partition.disk).map(maps) ?? [])
                .map { .disk(disk, $0) }
            misplaced = try KernelPartitions.misplaced(node, partition)
        } else {
            // A filesystem on the whole disk would take the place of its partitions.
            for child in Files.names(in: folder) where Files.exists(folder.appending("\(child)/partition")) {
                users += self.users.of("/dev/\(child)").map { .partition(child, $0) }
            }
        }
        let inner = partition == nil ? try Look(node).table.everyPartition : []
        var device = FoundDevice(
            path: path, node: node, size: file.size, partition: partition, misplaced: misplaced, users: users,
            partitions: inner, sectorSize: file.sectorSize)
        device.isMade = DiskProber.isMade(node)
        return device
    }

    /// The nodes of the maps of a map's partitions, by the kernel's names.
    private func maps(_ map: FoundMap) -> [String] {
        map.partitions.keys.sorted().compactMap { DiskProber.node("/dev/mapper/\(map.partitionName($0))") }
    }

    /// Whether a device is made of others: an array, a map of device-mapper that is not a path to a disk.
    static func isMade(_ node: String, sysfs: FilePath = "/sys") -> Bool {
        guard let name = FilePath(node).lastComponent?.string else { return false }
        let folder = sysfs.appending("class/block/\(name)")
        // Disks have a driver, except network disks and images of disks; an image file is not a block device.
        let isDisk = ["device", "partition"].contains { Files.exists(folder.appending($0)) }
        guard Files.exists(folder), !isDisk, !["loop", "nbd", "rbd"].contains(where: name.hasPrefix) else {
            return false
        }
        return Files.line(folder.appending("dm/uuid"))?.hasPrefix("mpath-") != true
    }

    /// Reads what the areas of a layout hold.
    ///
    /// - Parameters:
    ///   - areas: Areas of the layout.
    ///   - layout: The layout, for its disks' sector sizes and nodes.
    /// - Returns: The content of every area.
    /// - Throws: ``DiskFailure/unreadable(_:_:)``.
    public func contents(_ areas: [DiskArea], of layout: DiskLayout) throws(DiskFailure) -> [DiskArea: Content] {
        let contents = try sideBySide(areas) { area throws(DiskFailure) in
            let disk = layout.disks.first { $0.disk.node == area.node }
            return try DiskProber.content(of: disk?.nodeArea(area) ?? area, sectorSize: disk?.disk.sectorSize)
        }
        return Dictionary(zip(areas, contents)) { first, _ in first }
    }

    static func content(of area: DiskArea, sectorSize: UInt64? = nil) throws(DiskFailure) -> Content {
        guard !area.bytes.isEmpty else { return .blank }
        return try Look(area.node, bytes: area.bytes, sectorSize: sectorSize).whole
    }
}

extension DiskPlan {
    /// The same area through the partition's own node, if the kernel has one.
    ///
    /// What was written through that node may not show yet to those who read through the disk.
    fileprivate func nodeArea(_ area: DiskArea) -> DiskArea? {
        let partition = disk.table.partitions.first { geometry.bytes($0.sectors) == area.bytes }
        guard let node = partition.map({ disk.partitionNode($0.number) }), KernelPartitions.matches(node, area)
        else { return nil }
        return DiskArea(node: node, bytes: 0..<(area.bytes.upperBound - area.bytes.lowerBound))
    }
}

/// A block device or an image of one, open for reading.
struct BlockFile: ~Copyable {
    let path: String
    let size: UInt64
    /// Bytes of a logical sector.
    let sectorSize: UInt64
    let isBlockDevice: Bool
    private let descriptor: Int32

    init(_ path: String) throws(DiskFailure) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .unreadable(path, Errno(rawValue: errno)) }
        var status = stat()
        let isThere = fstat(descriptor, &status) == 0
        let kind = status.st_mode & S_IFMT
        let size = kind == S_IFBLK ? firstlight_block_size(descriptor) : Int64(status.st_size)
        let sectorSize = kind == S_IFBLK ? firstlight_sector_size(descriptor) : 512
        guard isThere, kind == S_IFBLK || kind == S_IFREG, size >= 0, sectorSize >= 512 else {
            close(descriptor)
            throw .unreadable(path, kind == S_IFBLK ? .ioError : .invalidArgument)
        }
        self.path = path
        self.descriptor = descriptor
        self.size = UInt64(size)
        self.sectorSize = UInt64(sectorSize)
        isBlockDevice = kind == S_IFBLK
        posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED)
    }

    deinit { close(descriptor) }

    /// The sizes in which the device reads and writes; an image counts as a disk with 512-byte sectors.
    var topology: firstlight_topology {
        var topology = firstlight_topology(logical: 512, physical: 512, minimum: 512, optimal: 0)
        firstlight_read_topology(descriptor, &topology)
        return topology
    }

    /// `count` bytes at a position, or `nil` where not all of them can be read.
    borrowing func read(at position: UInt64, count: Int) -> [UInt8]? {
        wholeBytes(descriptor, at: position, count: count)
    }
}

/// `count` bytes of an open file at a position, or `nil` where not all of them can be read.
func wholeBytes(_ descriptor: Int32, at position: UInt64, count: Int) -> [UInt8]? {
    guard count > 0, let bytes = try? readBytes(descriptor, at: position, count: count), bytes.count == count else {
        return nil
    }
    return bytes
}
