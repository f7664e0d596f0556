// What will be done to the disks, and what is kept: a value that can be shown, compared and applied.

import IgnitionConfig
import JSONText
import Reporting

/// The plan for all disks and filesystems of a config.
public struct StoragePlan: Equatable, Sendable {
    public var disks: [DiskPlan]
    /// In the config's order.
    public var arrays: [ArrayPlan]
    /// In the config's order.
    public var volumes: [VolumePlan]
    /// In the config's order.
    public var filesystems: [FilesystemPlan]
    /// What the config asks to destroy.
    public var destroyed: [Destruction]
    public var warnings: [String]

    public init(
        disks: [DiskPlan] = [], arrays: [ArrayPlan] = [], volumes: [VolumePlan] = [],
        filesystems: [FilesystemPlan] = [], destroyed: [Destruction] = [],
        warnings: [String] = []
    ) {
        self.disks = disks
        self.arrays = arrays
        self.volumes = volumes
        self.filesystems = filesystems
        self.destroyed = destroyed
        self.warnings = warnings
    }

    /// Whether there is nothing to do.
    public var isEmpty: Bool {
        disks.allSatisfy { $0.action == .keep } && arrays.allSatisfy { $0.action == .keep }
            && volumes.allSatisfy { $0.action == .keep } && filesystems.allSatisfy { $0.action == .keep }
    }
}

/// Something that will be out of reach once the plan is applied.
public struct Destruction: Equatable, Sendable {
    public var device: String
    /// The partition's label; empty where it has none.
    public var label: String
    /// Bytes of the device.
    public var size: UInt64
    public var content: Content
    /// The field of the config that asks for it.
    public var reason: String
    public var origin: IgnitionConfig.Origin

    public init(
        device: String, label: String, size: UInt64, content: Content, reason: String, origin: IgnitionConfig.Origin
    ) {
        self.device = device
        self.label = label
        self.size = size
        self.content = content
        self.reason = reason
        self.origin = origin
    }

    /// `/dev/vdb1 ntfs "Photos", 212 GiB used (wipeTable, config.ign:9)`.
    public var line: String {
        var what = content.signatures.map(\.description).joined(separator: " and ")
        if let table = content.table {
            what += (what.isEmpty ? "" : " and ") + tableName(table)
        }
        if !content.isKnown {
            let nothing = content.kind == .noise ? "\(content)" : "nothing known in it"
            what = (label.isEmpty ? "" : "\"\(label)\", ") + nothing
        }
        let used = content.signatures.compactMap(\.used).first.map { "\(ByteCount($0)) used" }
        let amount = used ?? "\(ByteCount(size))"
        let place = origin.place(of: reason).map { ", \(origin.source):\($0.line)" } ?? ""
        return "\(device) \(what), \(amount) (\(reason)\(place))"
    }
}

extension StoragePlan {
    /// `2 kept, 6 created, nothing destroyed.`
    public var summary: String { deeds.summary + "." }
}

extension StoragePlan {
    /// A device, or the disk of one, that the plan writes to, and which entry of the config has it so.
    public struct Written: Equatable, Sendable {
        public var node: String
        public var origin: IgnitionConfig.Origin
    }

    /// Kernel names of the devices that filesystems and LUKS volumes are on, by the config's paths.
    public var nodes: [String: String] {
        let pairs = filesystems.map { ($0.wanted.device, $0.node) } + volumes.map { ($0.wanted.device ?? "", $0.node) }
        return Dictionary(pairs) { first, _ in first }
    }

    /// All of them; a device that several entries write to is there several times.
    public var written: [Written] {
        var written = disks.filter { $0.action != .keep }.map { Written(node: $0.disk.node, origin: $0.wanted.origin) }
        for array in arrays where array.action == .create {
            written += array.members.map { Written(node: $0.area.node, origin: array.wanted.origin) }
        }
        for volume in volumes where volume.action == .create {
            written.append(Written(node: volume.area.node, origin: volume.wanted.origin))
        }
        for filesystem in filesystems where filesystem.action != .keep {
            written.append(Written(node: filesystem.area.node, origin: filesystem.wanted.origin))
        }
        // A partition can be read-only by itself.
        let partitions = filesystems.filter { $0.action != .keep && $0.node != $0.area.node }
        return written + partitions.map { Written(node: $0.node, origin: $0.wanted.origin) }
    }
}

extension DiskPlan {
    public var createsTable: Bool { action == .create || action == .replace }
}

// MARK: For programs

extension StoragePlan {
    public var json: JSONValue {
        let deeds = deeds
        return [
            "kept": JSONValue(deeds.kept.count), "created": JSONValue(deeds.created.count),
            "changed": JSONValue(deeds.changed.count),
            "destroyed": .array(destroyed.map(\.json)), "disks": .array(disks.map(\.json)),
            "raid": .array(arrays.map(\.json)), "luks": .array(volumes.map(\.json)),
            "filesystems": .array(filesystems.map(\.json)),
            "warnings": .array(warnings.map { .string($0) }),
        ]
    }
}

extension Destruction {
    var json: JSONValue {
        [
            "device": .string(device), "label": .string(label), "size": JSONValue(size), "content": content.json,
            "reason": .string(reason), "place": .string(origin.describe(reason)),
        ]
    }
}

extension Content {
    public var json: JSONValue {
        ["kind": .string(kind.rawValue), "signatures": .array(signatures.map(\.json)), "table": JSONValue(table)]
    }
}

extension Signature {
    public var json: JSONValue {
        [
            "type": .string(type), "version": JSONValue(version), "label": JSONValue(label), "uuid": JSONValue(uuid),
            "size": size.map { JSONValue($0) } ?? .null, "used": used.map { JSONValue($0) } ?? .null,
            "offset": offset.map { JSONValue($0) } ?? .null,
        ]
    }
}

extension DiskPlan {
    var json: JSONValue {
        [
            "device": .string(wanted.device), "node": .string(disk.node), "size": JSONValue(disk.size),
            "sectorSize": JSONValue(disk.sectorSize), "table": JSONValue(disk.table.name),
            "action": .string(action.rawValue),
            "partitions": .array(
                partitions.map { partition in
                    [
                        "number": JSONValue(partition.number), "node": .string(disk.partitionNode(partition.number)),
                        "label": .string(partition.label), "guid": JSONValue(partition.guid),
                        "type": .string(partition.type), "start": JSONValue(partition.sectors.lowerBound),
                        "sectors": JSONValue(partition.sectors.length), "action": .string(partition.change.word),
                        "named": .bool(partition.entry != nil), "zeroed": .bool(zeroed.contains(partition.number)),
                    ]
                }),
        ]
    }
}

extension PlannedPartition.Change {
    var word: String {
        switch self {
        case .keep: "keep"
        case .create: "create"
        case .recreate: "recreate"
        case .resize: "resize"
        }
    }
}

extension FilesystemPlan {
    var json: JSONValue {
        [
            "device": .string(wanted.device), "node": .string(node), "format": .string(format.rawValue),
            "label": JSONValue(wanted.label), "path": JSONValue(wanted.path), "action": .string(action.rawValue),
            "found": found.json, "place": .string(wanted.origin.describe()),
        ]
    }
}
