// One filesystem: what the config wants + what its device holds -> keep, create, erase, or a conflict.

import IgnitionConfig
import Reporting

/// What becomes of one entry of `storage.filesystems`.
public struct FilesystemPlan: Equatable, Sendable {
    /// Which entry of `storage.filesystems`.
    public var entry: Int
    public var wanted: IgnitionConfig.Filesystem
    public var format: FilesystemFormat
    /// The kernel's name that the device has, or will have when its partition is there.
    public var node: String
    public var area: DiskArea
    /// The partition, where it is one of a disk of the config.
    public var partition: PartitionAddress?
    /// What the area holds before anything is changed.
    public var found: Content
    public var action: Action

    public enum Action: String, Sendable {
        /// Nothing is written.
        case keep = "keep"
        /// Made on a blank area, or after erasing the signatures of what is `found`.
        case create = "create"
        /// The signatures of what is `found` are erased, and no filesystem is made.
        case erase = "erase"
    }
}

/// The place of a filesystem, once partitions are planned.
struct FilesystemTarget: Equatable {
    var node: String
    var area: DiskArea
    var partition: PartitionAddress?
    /// What uses it now.
    var users: [String] = []
    /// Whether it is a partition that was there before: what it holds may be somebody's.
    var wasThere = false
}

struct FilesystemPlanner {
    let wanted: IgnitionConfig.Filesystem
    let format: FilesystemFormat
    let target: FilesystemTarget
    let found: Content

    func action() throws(DiskConflict) -> FilesystemPlan.Action {
        let action = try decide()
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
            throw conflict(.looksEncrypted(wanted: wanted.wantedName))
        case .blank, .unknown, .noise: return format == .none ? .keep : .create
        case .known: return isWiped ? (format == .none ? .erase : .create) : try reuse()
        }
    }

    private func conflict(_ problem: DiskConflict.Problem) -> DiskConflict {
        DiskConflict(target.node, problem, at: wanted.origin)
    }

    private func reuse() throws(DiskConflict) -> FilesystemPlan.Action {
        // Its maker says that it never finished: no data can be in it, and its label may be yet to come.
        if found.table == nil, found.signatures.count == 1, let only = found.signatures.first, only.isUnfinished,
            only.type == format.rawValue
        {
            return .create
        }
        guard let match = found.signatures.first(where: accepts) else {
            throw conflict(.otherContent(found, wanted: wanted.wantedName))
        }
        // Whichever of two is the right one, mounting the other would write into it.
        guard found.signatures.count == 1, found.table == nil else {
            throw conflict(.severalSignatures(found, wanted: match))
        }
        let size = target.area.bytes.length
        if let needed = match.size, needed > size { throw conflict(.longerThanPartition(match, size: size)) }
        return .keep
    }

    /// A label or UUID that the config leaves out accepts any; an empty one accepts only none.
    private func accepts(_ signature: Signature) -> Bool {
        guard signature.type == format.rawValue else { return false }
        if let label = wanted.label, label != signature.label ?? "" { return false }
        if let uuid = wanted.uuid, !format.sameUUID(uuid, signature.uuid ?? "") { return false }
        return true
    }
}
