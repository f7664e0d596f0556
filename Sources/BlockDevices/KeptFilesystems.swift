// Checks before anything is changed whether the filesystems that are to be kept can be mounted.

import CLinux
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
        let refusals = sideBySide(kept) { refusal(of: $0, nodes, guarded.access) }
        return zip(kept, refusals).compactMap { filesystem, refusal in
            // A second try alone: the kernel mounts only one of several filesystems with one UUID, as on copied disks.
            guard refusal != nil, let reason = self.refusal(of: filesystem, nodes, access) else { return nil }
            return DiskConflict(
                filesystem.node, .notMountable(filesystem.found, reason: "\(reason)"), at: filesystem.wanted.origin)
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
    ) -> Errno? {
        let area = plan.area
        if let inside = nodes[area.node] {
            return refusal(of: plan, on: inside)
        }
        guard let file = try? BlockFile(area.node), file.isBlockDevice else { return nil }
        if plan.format == .btrfs, spansDevices(file, at: area.bytes.lowerBound) { return nil }
        if area.node == plan.node || KernelPartitions.matches(plan.node, area) {
            return refusal(of: plan, on: plan.node)
        }
        // A partition of a table that is yet to be written has no node, but its bytes are there.
        try? access.loadFilesystem("loop")
        let size = area.bytes.upperBound - area.bytes.lowerBound
        guard
            let loop = try? LoopDevice(
                file: FilePath(area.node), offset: area.bytes.lowerBound, size: size, readOnly: true)
        else { return nil }
        return refusal(of: plan, on: loop.path.string)
    }

    private static func refusal(of plan: FilesystemPlan, on node: String) -> Errno? {
        let option = plan.format.optionToLeaveJournal
        let result = firstlight_try_filesystem(plan.format.rawValue, node, option?.name, option?.value)
        return switch -result {
        case 0: nil
        // Mounted already, or not ours to try. A kernel without the filesystem matters only where it is to be mounted.
        case EBUSY, EPERM, ENOSYS: nil
        case ENODEV where (plan.wanted.path ?? "").isEmpty: nil
        case let reason: Errno(rawValue: reason)
        }
    }

    /// Whether a btrfs has further devices, which need not be there yet and which the config does not name.
    private static func spansDevices(_ file: borrowing BlockFile, at start: UInt64) -> Bool {
        // The number of devices in the superblock at 64 KiB.
        guard let field = file.read(at: start + 0x10088, count: 8) else { return false }
        return field.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) } > 1
    }
}
