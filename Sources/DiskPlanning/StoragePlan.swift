// What will be done to the disks, and what is kept: a value that can be printed, compared and applied.

import DiskFormats
import IgnitionConfig
import JSONText
import Reporting

/// The plan for all disks and filesystems of a config.
public struct StoragePlan: Equatable, Sendable {
    /// The disks, in the config's order.
    public var disks: [DiskPlan]
    /// The RAID arrays, in the config's order.
    public var arrays: [ArrayPlan]
    /// The LUKS volumes, in the config's order.
    public var volumes: [VolumePlan]
    /// The filesystems, in the config's order.
    public var filesystems: [FilesystemPlan]
    /// What the config asks to destroy.
    public var destroyed: [Destruction]
    /// What the operator should know before the plan is applied.
    public var warnings: [String]

    /// Makes a plan; without arguments nothing is to be done.
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
    /// The kernel's name of the device.
    public var device: String
    /// The partition's label; empty where there is none.
    public var label: String
    /// Bytes of the device.
    public var size: UInt64
    /// What the device holds.
    public var content: Content
    /// The field of the config that asks for it.
    public var reason: String
    /// The entry of the config.
    public var origin: IgnitionConfig.Origin

    /// Makes a destruction of a device's content, and of the field that asks for it.
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

    /// One line: `/dev/vdb1 ntfs "Photos", 212 GiB used (wipeTable, config.ign:9)`.
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
        let place = origin.place(of: reason).map { ", \($0.text):\($0.line)" } ?? ""
        return "\(device) \(what), \(amount) (\(reason)\(place))"
    }
}

extension StoragePlan {
    /// The numbers of changes as one sentence: `2 kept, 6 created, nothing destroyed` and a full stop.
    public var summary: String { changes.summary + "." }
}

extension StoragePlan {
    /// A device that the plan writes to, or the disk of one, and the entry of the config that asks for it.
    public struct Written: Equatable, Sendable {
        /// The kernel's name of the device.
        public var node: String
        /// The entry of the config.
        public var origin: IgnitionConfig.Origin
    }

    /// Kernel names of the devices of filesystems and LUKS volumes, by the config's paths.
    public var nodes: [String: String] {
        let pairs = filesystems.map { ($0.wanted.device, $0.node) } + volumes.map { ($0.wanted.device ?? "", $0.node) }
        return Dictionary(pairs) { first, _ in first }
    }

    /// Every device that the plan writes to, and what the arrays and volumes are made of that it writes into; a device
    /// is listed once for each entry that does.
    public var written: [Written] {
        var written = disks.filter { $0.action != .keep }.map { Written(node: $0.disk.node, origin: $0.wanted.origin) }
        // A partition can be read-only by itself, and its disk too.
        func add(_ nodes: [String], _ origin: IgnitionConfig.Origin) {
            written += nodes.flatMap(underlying).map { Written(node: $0, origin: origin) }
        }
        for array in arrays where array.action == .create { add([array.wanted.node], array.wanted.origin) }
        for volume in volumes where volume.action == .create {
            add([volume.node, volume.area.node], volume.wanted.origin)
        }
        for filesystem in filesystems where filesystem.action != .keep {
            add([filesystem.node, filesystem.area.node], filesystem.wanted.origin)
        }
        return written
    }

    /// The devices that an array or a volume of the plan is made of; for any other device, the device itself.
    private func underlying(_ node: String) -> [String] {
        if let volume = volumes.first(where: { $0.wanted.mappedNode == node }) {
            return [volume.node, volume.area.node].flatMap(underlying)
        }
        guard let array = arrays.first(where: { $0.wanted.node == node }) else { return [node] }
        return array.members.flatMap { [$0.node, $0.area.node] }
    }
}

extension DiskPlan {
    /// Whether a new table is written.
    public var createsTable: Bool { action == .create || action == .replace }
}

// MARK: For programs

extension StoragePlan {
    /// The plan for programs.
    public var json: JSONValue {
        let changes = changes
        return [
            "kept": JSONValue(changes.kept.count), "created": JSONValue(changes.created.count),
            "changed": JSONValue(changes.changed.count),
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
    /// The content for programs.
    public var json: JSONValue {
        ["kind": .string(kind.rawValue), "signatures": .array(signatures.map(\.json)), "table": JSONValue(table)]
    }
}

extension Signature {
    /// The signature for programs; sizes are in bytes.
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
