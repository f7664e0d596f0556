// Before anything is changed: can the filesystems that are to be kept be mounted at all?

import CLinux
import DiskPlanning
import Glibc
import LinuxSystem
import SystemPackage

enum KeptFilesystems {
    /// Opens each kept filesystem read-only, its journal not replayed: nothing is written to it.
    ///
    /// - Parameter nodes: Where the insides of LUKS volumes can be seen, by the nodes they will have.
    /// - Returns: A conflict for each that the kernel refuses.
    static func conflicts(
        in plan: StoragePlan, nodes: [String: String], access: DiskAccess
    ) -> [DiskConflict] {
        let kept = plan.filesystems.filter { $0.action == .keep && $0.format.isMountable }
        makeKnown(Set(kept.map(\.format)), access)
        let access = access.guarded()
        let refusals = sideBySide(kept) { refusal(of: $0, nodes, access) }
        return zip(kept, refusals).compactMap { filesystem, refusal in
            // Alone once more: the kernel mounts no two with the same UUID at a time, as copies of a disk have it.
            guard refusal != nil, let reason = self.refusal(of: filesystem, nodes, access) else { return nil }
            return DiskConflict(
                filesystem.node, .notMountable(filesystem.found, reason: "\(reason)"), at: filesystem.wanted.origin)
        }
    }

    /// Each module is asked for once, and not at all where the kernel has it: that may take a program.
    private static func makeKnown(_ formats: Set<FilesystemFormat>, _ access: DiskAccess) {
        // A line each, some of them with a word and a tab before the name.
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
        // Mounted already, or not ours to try; a kernel without that filesystem stops nobody who only keeps it.
        case EBUSY, EPERM, ENOSYS: nil
        case ENODEV where (plan.wanted.path ?? "").isEmpty: nil
        case let reason: Errno(rawValue: reason)
        }
    }

    /// Whether a btrfs has further devices, which need not be there yet and are nobody's in the config.
    private static func spansDevices(_ file: borrowing BlockFile, at start: UInt64) -> Bool {
        // The number of devices in the superblock at 64 KiB.
        guard let field = file.read(at: start + 0x10088, count: 8) else { return false }
        return field.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) } > 1
    }
}
