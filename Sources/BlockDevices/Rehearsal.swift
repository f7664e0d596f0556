// Making filesystems is rehearsed before the first write: what mkfs refuses, by the size of the place or by an option,
// must not be refused once the old table is gone.

import CLinux
import DiskPlanning
import Glibc
import LinuxSystem

/// Tries what a plan will make, on files that take no room.
enum Rehearsal {
    /// The conflicts of filesystems that their programs refuse to make.
    ///
    /// mkfs.ext4 and mkfs.xfs can say what they would do; the others cannot. A program that is not here, or that fails
    /// for want of memory, refuses nothing.
    static func conflicts(in plan: StoragePlan) -> [DiskConflict] {
        let made = plan.filesystems.filter { $0.action == .create && !$0.area.bytes.isEmpty }
        return sideBySide(made, refusal).compactMap(\.self)
    }

    private static func refusal(of plan: FilesystemPlan) -> DiskConflict? {
        let dryRun = [FilesystemFormat.ext4: "-n", .xfs: "-N"][plan.format]
        guard let dryRun else { return nil }
        let file = firstlight_memory_file("rehearsal")
        guard file >= 0 else { return nil }
        defer { close(file) }
        let length = plan.area.bytes.upperBound - plan.area.bytes.lowerBound
        guard ftruncate(file, off_t(clamping: length)) == 0,
            let maker = plan.format.maker(
                options: plan.wanted.options, label: plan.wanted.label, uuid: plan.wanted.uuid)
        else { return nil }
        let words = [maker.program, dryRun] + maker.arguments
        // The plan is made twice in a boot.
        let name = words + ["\(length)"]
        if known.change({ $0.contains(name) }) { return nil }
        do throws(Command.Failure) {
            try Command(maker.program, [dryRun] + maker.arguments + ["/proc/\(getpid())/fd/\(file)"]).run()
        } catch {
            guard case .failed(_, status: .status, let said) = error else { return nil }
            return DiskConflict(
                plan.node, .makerRefuses(program: maker.program, said: said), at: plan.wanted.origin)
        }
        known.change { _ = $0.insert(name) }
        return nil
    }

    private static let known = Monitor<Set<[String]>>([])
}
