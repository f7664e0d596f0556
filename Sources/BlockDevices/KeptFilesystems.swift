// Checks before anything is changed whether the filesystems that are to be kept can be mounted.

import CLinux
import DiskFormats
import DiskPlanning
import Glibc
import LinuxSystem
import SystemPackage

/// Tries to mount filesystems that are to be kept.
enum KeptFilesystems {
    /// Opens each kept filesystem read-only without replaying its journal, so that nothing is written to it.
    ///
    /// - Parameters:
    ///   - plan: The plan.
    ///   - nodes: The nodes at which LUKS volumes and arrays can be read now, by the nodes that they will have.
    ///   - access: What the stage needs from its caller.
    /// - Returns: A conflict for each filesystem that the kernel refuses.
    static func conflicts(
        in plan: StoragePlan, nodes: [String: String], access: DiskAccess
    ) -> [DiskConflict] {
        let kept = plan.filesystems.filter { $0.action == .keep && $0.format.isMountable }
        makeKnown(Set(kept.map(\.format)), access)
        let guarded = access.guarded()
        let refusals = sideBySide(kept) { refusal(of: $0, nodes, guarded) }
        return zip(kept, refusals).compactMap { filesystem, refusal in
            // A second try alone: the kernel mounts only one of several filesystems with one UUID, as on copied disks.
            guard refusal != nil, let reason = self.refusal(of: filesystem, nodes, access) else { return nil }
            return DiskConflict(
                filesystem.node, .notMountable(filesystem.found, reason), at: filesystem.wanted.origin)
        }
    }

    /// Loads each module once, and not at all where the kernel has it, since loading may take a program.
    private static func makeKnown(_ formats: Set<FilesystemFormat>, _ access: DiskAccess) {
        // One per line, some of them after a word and a tab.
        let words = (Files.line("/proc/filesystems") ?? "").split(whereSeparator: \.isWhitespace)
        let known = Set(words.map(String.init))
        for name in formats.map(\.rawValue).sorted() where !known.contains(name) { try? access.loadFilesystem(name) }
    }

    private static func refusal(
        of plan: FilesystemPlan, _ nodes: [String: String], _ access: DiskAccess
    ) -> MountRefusal? {
        let area = plan.area
        let inside = nodes[area.node]
        guard let file = try? BlockFile(inside ?? area.node), file.isBlockDevice else { return nil }
        let start = inside == nil ? area.bytes.lowerBound : 0
        // What else they consist of need not be there yet, and a plan has not looked at it.
        if plan.format == .btrfs, BtrfsDevices.areSeveral(file, at: start) { return nil }
        if plan.wanted.mountOptions.contains(where: Self.namesDevice) { return nil }
        if plan.format == .xfs, SuperblockReader.needsFurtherDevice({ file.read(at: start + $0, count: $1) }) {
            return nil
        }
        let hasNode = inside != nil || area.node == plan.node || KernelPartitions.matches(plan.node, area)
        let node = hasNode ? inside ?? plan.node : area.node
        // ext4 removes files that were open when the power went, also when it is mounted read-only, unless the device
        // is: that of an array that runs already or of a volume that is open is not.
        if hasNode, plan.format != .ext4 { return refusal(of: plan, on: node) }
        // A partition of a table that is yet to be written has no node, but its bytes are there.
        try? access.loadFilesystem("loop")
        let size = area.bytes.upperBound - area.bytes.lowerBound
        guard
            let loop = try? LoopDevice(file: FilePath(node), offset: hasNode ? 0 : start, size: size, readOnly: true)
        else { return nil }
        return refusal(of: plan, on: loop.path.string)
    }

    private static func refusal(of plan: FilesystemPlan, on node: String) -> MountRefusal? {
        let option = plan.format.optionToLeaveJournal
        let result = firstlight_try_filesystem(plan.format.rawValue, node, option?.name, option?.value)
        return MountRefusal(
            status: -result, format: plan.format.rawValue, isMountedLater: !(plan.wanted.path ?? "").isEmpty)
    }

    /// Whether an option of an xfs says where its log or its real-time part is.
    private static func namesDevice(_ option: String) -> Bool {
        option.split(separator: ",").contains { $0.hasPrefix("logdev=") || $0.hasPrefix("rtdev=") }
    }
}

extension MountRefusal {
    /// What an errno of mount(2) says of a filesystem; `nil` where nothing speaks against keeping it.
    ///
    /// - Parameters:
    ///   - status: The errno, or 0.
    ///   - format: The kernel's name of the filesystem.
    ///   - isMountedLater: Whether the config has it mounted.
    init?(status: CInt, format: String, isMountedLater: Bool) {
        let reason = "\(Errno(rawValue: status))"
        switch status {
        // Mounted already, or not ours to try.
        case 0, EBUSY, EPERM, ENOSYS: return nil
        // A kernel without the filesystem matters only where it is to be mounted.
        case ENODEV where !isMountedLater: return nil
        case ENODEV: self = .noDriver(format: format)
        // EUCLEAN and EBADMSG are the words of xfs and ext4 for damage and for a wrong checksum.
        case EINVAL, EUCLEAN, EBADMSG: self = .damaged(reason: reason)
        default: self = .failed(reason: reason)
        }
    }
}
