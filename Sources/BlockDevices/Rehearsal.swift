// What a plan makes is rehearsed before the first write: what mkfs, mdadm or libcryptsetup refuse, by the size of the
// place or by an option, must not be refused once the old table is gone.

import CLinux
import DiskFormats
import DiskPlanning
import Glibc
import LinuxSystem
import SystemPackage

/// Tries what a plan will make, on files that take no room.
enum Rehearsal {
    /// The conflicts of arrays, volumes and filesystems that their makers refuse to make.
    ///
    /// A program that is not here, or that fails for want of memory, refuses nothing.
    static func conflicts(in plan: StoragePlan) -> [DiskConflict] {
        let arrays = plan.arrays.filter { $0.action == .create }.compactMap(refusal)
        // One after the other: a header takes 16 MiB of RAM.
        let volumes = plan.volumes.filter { $0.action == .create && !$0.area.bytes.isEmpty }.compactMap(refusal)
        let made = plan.filesystems.filter { $0.action == .create && !$0.area.bytes.isEmpty }
        return arrays + volumes + sideBySide(made, refusal).compactMap(\.self)
    }

    // MARK: Arrays

    /// mdadm reads the name, the level and all options before it opens the first member.
    private static func refusal(of plan: ArrayPlan) -> DiskConflict? {
        let names = plan.members.indices.map { "/dev/firstlight-rehearsal-\($0)" }
        let words = plan.creation.dropLast(plan.members.count) + names
        guard let said = said("mdadm", Array(words), words: ["mdadm"] + words),
            !said.contains(names.first ?? " ")
        else { return nil }
        return DiskConflict(plan.wanted.node, .makerRefuses(program: "mdadm", said: said), at: plan.wanted.origin)
    }

    // MARK: LUKS volumes

    private static func refusal(of plan: VolumePlan) -> DiskConflict? {
        let length = plan.area.bytes.upperBound - plan.area.bytes.lowerBound
        let words = ["luks", "\(plan.options)", plan.wanted.uuid ?? "", plan.wanted.label ?? "", "\(length)"]
        if known.change({ $0.contains(words) }) { return nil }
        guard let file = sparse(length) else { return nil }
        defer { close(file) }
        func refused(_ said: String) -> DiskConflict {
            DiskConflict(plan.node, .makerRefuses(program: "cryptsetup", said: said), at: plan.wanted.origin)
        }
        do throws(DiskFailure) {
            let draft = try CryptHandle("/proc/self/fd/\(file)", of: plan.node)
            // Without a key: the kernel's ciphers may not be loaded yet.
            _ = try draft.format(
                plan.options.quick, label: plan.wanted.label, uuid: plan.wanted.uuid, passphrase: nil, binding: nil,
                memoryLimit: 0, sectorSize: 512, alignment: 0)
            guard draft.dataOffset < length else { return refused("there is no room for data behind the header") }
        } catch {
            // What else may fail says nothing of the options.
            guard case .volumeNotCreated(_, let reason) = error, [.invalidArgument, .noSpace].contains(reason) else {
                return nil
            }
            return refused("\(reason)")
        }
        known.change { _ = $0.insert(words) }
        return nil
    }

    // MARK: Filesystems

    /// mkfs.ext4 and mkfs.xfs can say what they would do, mkswap and mkfs.fat do little; mkfs.btrfs does much.
    private static func refusal(of plan: FilesystemPlan) -> DiskConflict? {
        let length = plan.area.bytes.upperBound - plan.area.bytes.lowerBound
        let dryRun: [String]
        switch plan.format {
        case .ext4: dryRun = ["-n"]
        case .xfs: dryRun = ["-N"]
        case .swap: dryRun = []
        // The tables take RAM here.
        case .vfat where length <= 4 << 30: dryRun = []
        default: return nil
        }
        guard let file = sparse(length) else { return nil }
        defer { close(file) }
        guard
            let maker = plan.format.maker(
                options: plan.wanted.options, label: plan.wanted.label, uuid: plan.wanted.uuid)
        else { return nil }
        let arguments = dryRun + maker.arguments
        return said(
            maker.program, arguments + ["/proc/\(getpid())/fd/\(file)"],
            words: [maker.program] + arguments + ["\(length)"]
        ).map { said in
            DiskConflict(plan.node, .makerRefuses(program: maker.program, said: said), at: plan.wanted.origin)
        }
    }

    // MARK: Running

    /// An empty file without a name that takes no room; `nil` where there can be none.
    private static func sparse(_ length: UInt64) -> Int32? {
        let file = firstlight_memory_file("rehearsal")
        guard file >= 0 else { return nil }
        if ftruncate(file, off_t(clamping: length)) == 0 { return file }
        close(file)
        return nil
    }

    /// What a program says where it refuses; `nil` where it does not, or is not here.
    ///
    /// `words` name the rehearsal, since a plan is made twice in a boot.
    private static func said(_ program: String, _ arguments: [String], words: [String]) -> String? {
        if known.change({ $0.contains(words) }) { return nil }
        do throws(Command.Failure) {
            try Command(program, arguments).run()
        } catch {
            guard case .failed(_, status: .status, let said) = error else { return nil }
            return said
        }
        known.change { _ = $0.insert(words) }
        return nil
    }

    private static let known = Monitor<Set<[String]>>([])
}
