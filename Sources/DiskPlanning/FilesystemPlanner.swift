// One filesystem: what the config wants and what its device holds give keep, create, erase, or a conflict.

import DiskFormats
import IgnitionConfig
import Reporting

/// What becomes of one entry of `storage.filesystems`.
public struct FilesystemPlan: Equatable, Sendable {
    /// The index in `storage.filesystems`.
    public var entry: Int
    /// The entry itself.
    public var wanted: IgnitionConfig.Filesystem
    /// The entry's format.
    public var format: FilesystemFormat
    /// The kernel's name of the device, which may exist only when its partition is made.
    public var node: String
    /// The area that the filesystem takes.
    public var area: DiskArea
    /// The partition, where it is one of a disk of the config.
    public var partition: PartitionAddress?
    /// What the area holds before anything is changed.
    public var found: Content
    /// What is done to the area.
    public var action: Action

    /// What is done to the area of a filesystem.
    public enum Action: String, Sendable {
        /// Nothing is written.
        case keep = "keep"
        /// Created on an area without known content, or after the signatures in `found` are erased.
        case create = "create"
        /// The signatures in `found` are erased, and no filesystem is created.
        case erase = "erase"
    }
}

/// A device of the config, once partitions are planned.
struct DeviceTarget: Equatable {
    var node: String
    var area: DiskArea
    var partition: PartitionAddress?
    /// Who uses it now, as phrases.
    var users: [DeviceUse] = []
    /// Whether it existed before and is not a disk, so that noise in it may be somebody's.
    var wasThere = false

    /// Whether its node is a partition, not what is made inside one.
    var isPartition: Bool { partition != nil && !node.hasPrefix("/dev/mapper/") || area.node != node }

    /// Whether two targets have a byte in common: a disk and one of its partitions have, whatever their nodes.
    func shares(_ other: DeviceTarget) -> Bool {
        func isDisk(of target: DeviceTarget, _ disk: DeviceTarget) -> Bool {
            disk.partition == nil && disk.area.node == target.partition?.disk
        }
        return area.overlaps(other.area) || isDisk(of: self, other) || isDisk(of: other, self)
    }
}

struct FilesystemPlanner {
    let wanted: IgnitionConfig.Filesystem
    let format: FilesystemFormat
    let target: DeviceTarget
    let found: Content

    func action() throws(DiskConflict) -> FilesystemPlan.Action {
        let action = try decide()
        if action == .create, let fault = format.fault(of: wanted.options, label: wanted.label, uuid: wanted.uuid) {
            throw conflict(.programOption(fault))
        }
        if action != .keep, !target.users.isEmpty {
            throw DiskConflict(target.node, .deviceInUse(target.users), at: wanted.origin)
        }
        return action
    }

    private func decide() throws(DiskConflict) -> FilesystemPlan.Action {
        let isWiped = wanted.wipeFilesystem == true
        switch found.kind {
        case .notLooked: throw conflict(.notLooked)
        case .noise where !isWiped && target.wasThere && format != .none:
            throw conflict(.looksEncrypted(wanted: wanted.wantedContent))
        case .blank, .unknown, .noise: return format == .none ? .keep : .create
        case .known: return isWiped ? (format == .none ? .erase : .create) : try reuse()
        }
    }

    private func conflict(_ problem: DiskConflict.Problem) -> DiskConflict {
        DiskConflict(target.node, problem, at: wanted.origin).ofPartition(target.isPartition)
    }

    private func reuse() throws(DiskConflict) -> FilesystemPlan.Action {
        // Its maker says that it never finished: it holds no data yet, and perhaps not even its label.
        if found.table == nil, found.signatures.count == 1, let only = found.signatures.first, only.isUnfinished,
            only.type == format.rawValue
        {
            return .create
        }
        guard let match = found.signatures.first(where: accepts) else {
            throw conflict(.otherContent(found, wanted: wanted.wantedContent))
        }
        // Whichever of the two is right, mounting the filesystem would write over the other.
        guard found.signatures.count == 1, found.table == nil else {
            throw conflict(.severalSignatures(found, wanted: match))
        }
        let size = target.area.bytes.length
        if let needed = match.size, needed > size { throw conflict(.longerThanPartition(match, size: size)) }
        return .keep
    }

    /// Whether the config accepts the filesystem.
    ///
    /// Without a label it accepts any, and with an empty one only none; an empty UUID counts as none that is wanted,
    /// since whatever is made gets one.
    private func accepts(_ signature: Signature) -> Bool {
        guard signature.type == format.rawValue else { return false }
        if let label = wanted.label, format.readBack(label) != format.readBack(signature.label ?? "") { return false }
        if let uuid = wanted.uuid, !uuid.isEmpty, !format.sameUUID(uuid, signature.uuid ?? "") { return false }
        return true
    }
}
