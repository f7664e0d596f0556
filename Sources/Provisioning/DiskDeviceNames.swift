// The names under which a partition of the config will be found once it is there.

import IgnitionConfig

/// A device path as a config writes it, read for what it says of partitions.
struct DeviceName {
    private let path: String
    private let label: String?
    private let guid: String?

    init(_ path: String) {
        self.path = path
        label = DeviceName.last(of: path, in: "/dev/disk/by-partlabel/").map(DeviceName.unescaped)
        guid = DeviceName.last(of: path, in: "/dev/disk/by-partuuid/")?.uppercased()
    }

    /// Whether it will be the name of that partition.
    func names(_ partition: PlannedPartition, of disk: FoundDisk) -> Bool {
        if let label { return partition.entry != nil && label == partition.label }
        if let guid { return partition.guid == guid }
        return DeviceName.paths(of: partition.number, on: [disk.path, disk.node]).contains(path)
    }

    /// Whether it may be the name of a partition that the config creates, so that nobody should wait for
    /// it before the partitions are made.
    func mayName(_ wanted: IgnitionConfig.Partition, of disk: String) -> Bool {
        guard wanted.shouldExist != false else { return false }
        if let label { return wanted.label == label }
        if let guid { return wanted.guid?.uppercased() == guid }
        if let number = wanted.number, number != 0 {
            return DeviceName.paths(of: number, on: [disk]).contains(path)
        }
        guard path.hasPrefix(disk) else { return false }
        let digits = path.dropFirst(disk.count).drop { !$0.isNumber }
        return Int(digits).map { DeviceName.paths(of: $0, on: [disk]).contains(path) } ?? false
    }

    private static func paths(of number: Int, on disks: [String]) -> [String] {
        disks.map { $0.hasPrefix("/dev/disk/") ? "\($0)-part\(number)" : partitionNodeName(disk: $0, number: number) }
    }

    private static func last(of path: String, in folder: String) -> String? {
        path.hasPrefix(folder) ? String(path.dropFirst(folder.count)) : nil
    }

    /// udev writes unusual characters of a label as `\x20`.
    private static func unescaped(_ name: String) -> String {
        var bytes: [UInt8] = []
        var rest = Array(name.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\\"), rest.first == UInt8(ascii: "x"), rest.count >= 3,
                let code = UInt8(String(decoding: rest.dropFirst().prefix(2), as: UTF8.self), radix: 16)
            {
                bytes.append(code)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension IgnitionConfig.Storage {
    /// The devices that must be there before anything can be planned: disks, and what filesystems name
    /// unless a partition of the config may become it.
    public var devicesToWaitFor: [String] {
        let inner = filesystems.filter { !($0.format ?? "").isEmpty }.map(\.device)
        let lone = (luks.compactMap(\.device) + inner).filter { !mayBePlanned($0) && !isMade($0) }
        var seen: Set<String> = []
        return (disks.map(\.device) + lone).filter { seen.insert($0).inserted }
    }

    /// Members of arrays that must be there too, unless their array can do without them.
    public var membersToWaitFor: [String] {
        let others = devicesToWaitFor
        var seen: Set<String> = []
        return raid.flatMap(\.devices).filter {
            !mayBePlanned($0) && !others.contains($0) && seen.insert($0).inserted
        }
    }

    /// Whether a path is the inside of something else of the config.
    public func isMade(_ path: String) -> Bool { volume(named: path) != nil || array(named: path) != nil }

    /// What of the config makes a path, in words.
    func maker(of path: String) -> String? {
        array(named: path).map { "the array \"\(raid[$0].arrayName)\"" }
            ?? volume(named: path).map { "the LUKS volume \"\(luks[$0].name)\"" }
    }

    /// The entry of `raid` that a path is the inside of.
    public func array(named path: String) -> Int? {
        raid.firstIndex { path == $0.node || path == "/dev/disk/by-id/md-name-any:\($0.arrayName)" }
    }

    /// The entry of `luks` that a path is the inside of.
    public func volume(named path: String) -> Int? {
        luks.firstIndex { path == $0.mappedNode || path == "/dev/disk/by-id/dm-name-\($0.name)" }
    }

    func mayBePlanned(_ path: String) -> Bool {
        let name = DeviceName(path)
        return disks.contains { disk in disk.partitions.contains { name.mayName($0, of: disk.device) } }
    }
}
