// The names under which devices of the config are found, now and after the plan is applied.

import DiskFormats
import Encoding
import IgnitionConfig

/// A device path of a config, parsed for what it says of partitions and content.
public struct DeviceName {
    private let path: String
    private let label: String?
    private let guid: String?
    /// The label and the UUID of a device's content.
    private let contentLabel: String?
    private let contentUUID: String?
    /// The disk and the partition number that the path spells.
    private let stem: (disk: String, number: Int)?

    /// Parses a path as the config writes it.
    public init(_ path: String) {
        self.path = path
        label = DeviceName.last(of: path, in: "/dev/disk/by-partlabel/").map(DeviceName.unescaped)
        guid = DeviceName.last(of: path, in: "/dev/disk/by-partuuid/")?.uppercased()
        contentLabel = DeviceName.last(of: path, in: "/dev/disk/by-label/").map(DeviceName.unescaped)
        contentUUID = DeviceName.last(of: path, in: "/dev/disk/by-uuid/").map(DeviceName.unescaped)
        let isOfDisk = label == nil && guid == nil && contentLabel == nil && contentUUID == nil
        stem = isOfDisk ? DeviceName.stem(of: path) : nil
    }

    /// The disk that the path spells, such as `/dev/disk/by-path/x` in `/dev/disk/by-path/x-part1`.
    ///
    /// It may have other names.
    var disk: String? { stem?.disk }

    /// Whether the path will be a name of that partition.
    ///
    /// - Parameters:
    ///   - partition: A partition of the plan.
    ///   - disk: Its disk.
    ///   - nodes: Kernel names of disks, by the links that lead to them.
    /// - Returns: `true` for any of the partition's names.
    func names(_ partition: PlannedPartition, of disk: FoundDisk, _ nodes: [String: String]) -> Bool {
        if let label { return partition.entry != nil && label == partition.label }
        // Disks are copied: a partition that the config does not name may share its GUID with another.
        if let guid { return partition.entry != nil && guid == partition.guid }
        if let stem, stem.number == partition.number, nodes[stem.disk] == disk.node { return true }
        return DeviceName.paths(of: partition.number, on: [disk.path, disk.node]).contains(path)
    }

    /// Whether the path was a name of that partition before the plan.
    func named(_ partition: FoundPartition) -> Bool {
        if let label { return label == partition.label }
        if let guid { return guid == partition.guid }
        return true
    }

    /// Whether the path is the link of a partition's label or GUID.
    public func isLink(ofPartition other: String, guid otherGUID: String) -> Bool {
        if let label { return label == other }
        return guid != nil && guid == otherGUID
    }

    /// Whether only bytes tell that the path is not a name of a device; the kernel knows labels of partitions.
    var isOfBytes: Bool { isOfContent || guid != nil }

    /// Whether the path names a partition by its label or GUID.
    public var isOfPartition: Bool { label != nil || guid != nil }

    /// Whether the path names a device by its content's label or UUID.
    public var isOfContent: Bool { contentLabel != nil || contentUUID != nil }

    /// Whether the path is the link of the signature's label or UUID.
    public func isLink(of signature: Signature) -> Bool {
        if let contentLabel { return signature.label == contentLabel }
        return contentUUID != nil && signature.uuid == contentUUID
    }

    /// Whether the path may name a partition that the config creates; such a path is not waited for before the
    /// partitions are made.
    func mayName(_ wanted: IgnitionConfig.Partition, of disk: String, _ nodes: [String: String]) -> Bool {
        guard wanted.shouldExist != false else { return false }
        if let label { return wanted.label == label }
        if let guid { return wanted.guid?.uppercased() == guid }
        let isOfDisk = stem.map { nodes[disk] != nil && nodes[$0.disk] == nodes[disk] } ?? false
        if let number = wanted.number, number != 0 {
            return isOfDisk && stem?.number == number || DeviceName.paths(of: number, on: [disk]).contains(path)
        }
        if isOfDisk { return true }
        guard path.hasPrefix(disk) else { return false }
        let digits = path.dropFirst(disk.count).drop { !$0.isNumber }
        return Int(digits).map { DeviceName.paths(of: $0, on: [disk]).contains(path) } ?? false
    }

    /// Splits a path at `-part1` of udev's links, or at the digits at the end: `vda1`, `nvme0n1p1`.
    private static func stem(of path: String) -> (String, Int)? {
        let digits = path.reversed().prefix { $0.isASCII && $0.isNumber }.count
        guard digits > 0, digits < path.count, let number = Int(path.suffix(digits)) else { return nil }
        let rest = path.dropLast(digits)
        if rest.hasSuffix("-part") { return (String(rest.dropLast("-part".count)), number) }
        if rest.hasSuffix("p"), rest.dropLast().last?.isNumber == true { return (String(rest.dropLast()), number) }
        return (String(rest), number)
    }

    private static func paths(of number: Int, on disks: [String]) -> [String] {
        disks.map { $0.hasPrefix("/dev/disk/") ? "\($0)-part\(number)" : partitionNodeName(disk: $0, number: number) }
    }

    private static func last(of path: String, in folder: String) -> String? {
        path.hasPrefix(folder) ? String(path.dropFirst(folder.count)) : nil
    }

    /// Decodes the `\x20` by which udev writes unusual characters of a label.
    private static func unescaped(_ name: String) -> String {
        var bytes: [UInt8] = []
        var rest = Array(name.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\\"), rest.first == UInt8(ascii: "x"), rest.count >= 3,
                let code = Encoding.bytes(hexadecimal: rest.dropFirst().prefix(2))
            {
                bytes += code
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension IgnitionConfig.Storage {
    /// The devices that have to be there before planning.
    ///
    /// These are the disks, and the devices of filesystems and LUKS volumes, without those that the config may create.
    ///
    /// - Parameter nodes: Kernel names of disks by the links that lead to them, as far as they are there.
    /// - Returns: Paths as the config writes them, each once.
    public func devicesToWaitFor(_ nodes: [String: String] = [:]) -> [String] {
        let inner = filesystems.filter { !($0.format ?? "").isEmpty }.map(\.device)
        let lone = (luks.compactMap(\.device) + inner).filter { !mayBePlanned($0, nodes) && !isMade($0) }
        var seen: Set<String> = []
        return (disks.map(\.device) + lone).filter { seen.insert($0).inserted }
    }

    /// Members of arrays that are waited for too; an array may do without one.
    ///
    /// - Parameter nodes: Kernel names of disks by the links that lead to them, as far as they are there.
    /// - Returns: Paths as the config writes them, each once.
    public func membersToWaitFor(_ nodes: [String: String] = [:]) -> [String] {
        let others = devicesToWaitFor(nodes)
        var seen: Set<String> = []
        return raid.flatMap(\.devices).filter {
            !mayBePlanned($0, nodes) && !others.contains($0) && seen.insert($0).inserted
        }
    }

    /// Whether the path names an array or an opened LUKS volume of the config.
    public func isMade(_ path: String) -> Bool { volume(named: path) != nil || array(named: path) != nil }

    /// What of the config creates the device at a path, in words.
    func maker(of path: String) -> String? {
        array(named: path).map { "the array \"\(raid[$0].arrayName)\"" }
            ?? volume(named: path).map { "the LUKS volume \"\(luks[$0].name)\"" }
    }

    /// The index in `raid` of the array that has this path.
    public func array(named path: String) -> Int? {
        raid.firstIndex { path == $0.node || path == "/dev/disk/by-id/md-name-any:\($0.arrayName)" }
    }

    /// The index in `luks` of the opened volume that has this path.
    public func volume(named path: String) -> Int? {
        luks.firstIndex { path == $0.mappedNode || path == "/dev/disk/by-id/dm-name-\($0.name)" }
    }

    /// The paths that tell which devices are partitions of the config's disks.
    ///
    /// These are the disks themselves, and what other paths spell as the disk of a partition.
    public var disksSpelled: [String] {
        let paths = filesystems.map(\.device) + luks.compactMap(\.device) + raid.flatMap(\.devices)
        return disks.map(\.device) + paths.compactMap { DeviceName($0).disk }
    }

    func mayBePlanned(_ path: String, _ nodes: [String: String]) -> Bool {
        let name = DeviceName(path)
        return disks.contains { disk in disk.partitions.contains { name.mayName($0, of: disk.device, nodes) } }
    }
}
