// The disks stage: it looks, plans, and only then writes.

import CLinux
import DiskFormats
import DiskPlanning
import Glibc
import IgnitionConfig
import LinuxSystem
import Reporting
import SystemPackage

/// What the disks stage needs from its caller.
public struct DiskAccess: Sendable {
    /// Returns when there is a device at that path.
    public var waitForDevice: @Sendable (String) throws -> Void
    /// Called when tables or contents of these devices have changed, so that links below `/dev/disk` can follow.
    ///
    /// None of the stage's descriptors are open on the devices then.
    public var devicesChanged: @Sendable ([String]) throws -> Void
    /// Makes a filesystem known to the kernel, by its type.
    public var loadFilesystem: @Sendable (String) throws -> Void
    /// Called with each write and each result.
    public var report: @Sendable (DiskEvent) -> Void
    /// Called with a LUKS volume and its key, before anything is written into the volume.
    public var volumeOpened: @Sendable (OpenVolume) throws -> Void
    /// Where the keys of LUKS volumes come from.
    public var keys: VolumeKeys
    /// Told of waits for keys that others give.
    public var waits = Waits.untold
    /// Image files that stand for devices while a plan is made, by the config's paths; empty for this machine's own.
    public var images: [String: String] = [:]
    /// The medium that the system will run from, by any name; `nil` where there is none, or where it is let go of.
    public var medium: String?
    /// Derives a key while nobody else takes much RAM; the argument is the bytes of RAM to leave for the root image.
    public var besideImage: @Sendable ((UInt64) throws -> SecretBytes?) throws -> SecretBytes? = { try $0(0) }

    /// Makes access of its parts.
    public init(
        waitForDevice: @escaping @Sendable (String) throws -> Void,
        devicesChanged: @escaping @Sendable ([String]) throws -> Void,
        loadFilesystem: @escaping @Sendable (String) throws -> Void, report: @escaping @Sendable (DiskEvent) -> Void,
        volumeOpened: @escaping @Sendable (OpenVolume) throws -> Void = { _ in }, keys: VolumeKeys = .inline()
    ) {
        self.volumeOpened = volumeOpened
        self.keys = keys
        self.waitForDevice = waitForDevice
        self.devicesChanged = devicesChanged
        self.loadFilesystem = loadFilesystem
        self.report = report
    }

    /// Access for a machine on which all devices are there and all modules are loaded; events go nowhere.
    public static var settled: DiskAccess {
        DiskAccess(waitForDevice: { _ in }, devicesChanged: { _ in }, loadFilesystem: { _ in }, report: { _ in })
    }
}

/// What the disks stage is doing.
public enum DiskEvent: Equatable, Sendable {
    /// A write begins, and counts as written from now on: `the partition table of /dev/vda`.
    case writing(String)
    /// Something is done: `xfs "var" created on /dev/vda1`.
    case done(String)
}

/// The disks stage.
public enum DiskStage {
    /// Plans what is to be done from what is there, and writes nothing.
    ///
    /// - Parameters:
    ///   - storage: The config.
    ///   - access: What the stage needs from its caller.
    /// - Returns: A plan without conflicts.
    /// - Throws: A failure whose cause is a ``DiskRefusal`` where the config and the disks contradict each other.
    public static func plan(
        _ storage: IgnitionConfig.Storage, access: DiskAccess
    ) throws(BootFailure) -> StoragePlan {
        func wait(for devices: [String]) throws(BootFailure) {
            for device in devices { try step("waiting for \(device)") { try access.waitForDevice(device) } }
        }
        try wait(for: storage.disks.map(\.device))
        // Only now it is known which paths are partitions of these disks, under whatever name.
        let prober = DiskProber(images: access.images, medium: access.medium)
        let nodes = prober.nodes(storage)
        try wait(for: storage.devicesToWaitFor(nodes))
        for device in storage.membersToWaitFor(nodes) {
            // An array may work without this device; if it cannot, the plan says so.
            try? access.waitForDevice(device)
        }
        VolumeLook.closeLeftovers()
        var (layout, contents) = try step("looking at the disks") {
            let layout = DiskLayout(storage, on: try prober.inventory(storage))
            return (layout, try prober.contents(layout.areas, of: layout))
        }
        let arrays = ArrayLook(access)
        defer { arrays.close() }
        let refused = try arrays.assemble(layout.arrayPlans(contents), &contents)
        let look = VolumeLook(access, nodes: arrays.nodes)
        defer { look.close() }
        let volumes = try look.volumes(layout.volumes, contents)
        do throws(DiskRefusal) {
            guard refused.isEmpty else { throw DiskRefusal(refused) }
            let plan = try layout.plan(contents, volumes: volumes)
            let conflicts =
                Obstacles.conflicts(in: plan)
                + KeptFilesystems.conflicts(in: plan, nodes: look.nodes, access: access)
                + Rehearsal.conflicts(in: plan)
            guard conflicts.isEmpty else { throw DiskRefusal(conflicts) }
            return plan
        } catch {
            throw error.failure
        }
    }

    /// Carries out a plan: tables first, then filesystems, each checked once more before it is written.
    ///
    /// - Parameters:
    ///   - plan: The plan.
    ///   - access: What the stage needs from its caller.
    /// - Throws: The failure of a step; what was written until then stays.
    public static func apply(_ plan: StoragePlan, access: DiskAccess) throws(BootFailure) {
        let access = access.guarded()
        try requirePrograms(of: plan)
        try requireMemory(for: plan.volumes)
        try fetchKeys(for: plan, access)
        try bind(plan.volumes, access)
        for disk in plan.disks where disk.action == .keep && disk.disk.map != nil {
            try step("making the partitions of \(disk.disk.node)") { try MapPartitions.follow(disk) }
        }
        for array in plan.arrays {
            try step("preparing the RAID array \(array.wanted.node)") { try erase(array, access) }
        }
        let held = Monitor<[HeldPartition]>([])
        try sideBySide(plan.disks.filter { $0.action != .keep }, "partitioning", \.disk.node) {
            if let partition = try partition($0, access) { held.change { $0.append(partition) } }
        }
        for array in plan.arrays {
            try step("preparing the RAID array \(array.wanted.node)") { try prepare(array, access) }
        }
        for volume in plan.volumes {
            try step("preparing the LUKS volume \(volume.wanted.name)") { try prepare(volume, access) }
        }
        let filesystems = plan.filesystems.filter { $0.action != .keep }
        try sideBySide(filesystems, "preparing", \.node) { try make($0, access) }
        held.change { $0 = [] }
        let changed = plan.disks.filter { $0.action != .keep }.map(\.disk.node) + filesystems.map(\.node)
        if !changed.isEmpty { try step("settling devices") { try access.devicesChanged(changed) } }
    }

    /// Checks before the first write that every program that will be needed is installed.
    private static func requirePrograms(of plan: StoragePlan) throws(BootFailure) {
        for array in plan.arrays {
            let command = Command("mdadm", array.creation)
            guard command.isInstalled else {
                throw BootFailure(
                    steps: ["preparing the RAID array \(array.wanted.node)"], cause: Command.Failure.missing(command))
            }
        }
        for filesystem in plan.filesystems where filesystem.action == .create {
            guard let command = maker(filesystem), !command.isInstalled else { continue }
            throw BootFailure(
                steps: ["preparing to create \(filesystem.format.rawValue) on \(filesystem.node)"],
                cause: Command.Failure.missing(command))
        }
    }

    // MARK: Tables

    /// Writes a disk's table.
    ///
    /// - Returns: What keeps the new partitions in place while they are worked on.
    private static func partition(_ plan: DiskPlan, _ access: DiskAccess) throws -> HeldPartition? {
        let disk = plan.disk
        let now = try DiskProber().disk(disk.path, node: disk.node, sectorSize: disk.sectorSize)
        guard now.table.withoutUsers == disk.table.withoutUsers, now.size == disk.size,
            now.content.table == disk.content.table, now.content.signatures.allSatisfy({ disk.content.includes($0) })
        else { throw DiskFailure.tableChanged(disk.node) }
        let heads = plan.partitions.filter { plan.zeroed.contains($0.number) }
        for partition in heads {
            let content = try DiskProber.content(of: plan.area(partition), sectorSize: disk.sectorSize)
            guard !content.isKnown else { throw DiskFailure.changed(disk.node, holds: content) }
        }

        access.report(.writing("the partition table of \(disk.node)"))
        if plan.action == .erase {
            try Eraser.erase(disk.node, sectorSize: disk.sectorSize)
        } else {
            for partition in heads { try Eraser.zero(plan.head(partition)) }
            try write(plan)
            let after = try DiskProber().disk(disk.path, node: disk.node, sectorSize: disk.sectorSize)
            guard case .gpt(let made) = after.table, made.damage.isEmpty, plan.isMade(by: made)
            else { throw DiskFailure.tableNotAsPlanned(disk.node) }
        }
        var held: HeldPartition?
        // An image of a disk has no partitions that the kernel knows.
        if try BlockFile(disk.node).isBlockDevice {
            if disk.map != nil {
                try MapPartitions.follow(plan)
            } else if plan.isWrittenInFull {
                try KernelPartitions.reread(disk.node)
            }
            let changed = plan.partitions.filter { $0.change != .keep || plan.isWrittenInFull }
            for partition in changed { try access.waitForDevice(disk.partitionNode(partition.number)) }
            held = try KernelPartitions.hold(changed, of: plan)
        }
        access.report(.done(plan.summary))
        return held
    }

    private static func write(_ plan: DiskPlan) throws {
        if plan.action == .replace, !plan.isGPTAlone { try eraseOld(plan) }
        if case .gpt(let gpt) = plan.disk.table, gpt.damage.contains(.protectiveMBR), !plan.createsTable {
            try writeProtectiveMBR(plan.disk)
        }
        if plan.needsMovedCopy { try TableWriter(plan.disk).moveSecondCopy() }
        let writer = try TableWriter(plan.disk)
        try writer.write(plan)
    }

    /// Erases what the writing of the new table does not replace.
    ///
    /// A power cut after it leads to the same plan, or to one that takes nothing that this one does not tell.
    static func eraseOld(_ plan: DiskPlan) throws(DiskFailure) {
        let (node, sectorSize) = (plan.disk.node, plan.disk.sectorSize)
        // Partitions of the new table that keep their content are not erased with the old one. Beside an owner of the
        // whole disk, whose marks can be anywhere, no partition keeps content: the plan made sure of that.
        let kept = plan.partitions.filter { $0.change != .create && plan.owner == nil }.map { plan.area($0).bytes }
        guard plan.replacesMBR else { return try Eraser.erase(node, sectorSize: sectorSize, except: kept) }
        // While the table is there, marks at the end of a partition are the partition's.
        for old in plan.lost {
            let bytes = plan.area(old).bytes.clamped(to: 0..<plan.disk.size)
            let inside = kept.map { $0.clamped(to: bytes) }
                .map { $0.lowerBound - bytes.lowerBound..<$0.upperBound - bytes.lowerBound }
            if !bytes.isEmpty { try Eraser.erase(node, bytes: bytes, sectorSize: sectorSize, except: inside) }
        }
        try Eraser.erase(node, sectorSize: sectorSize, except: kept + [0..<512], keepsTable: true)
    }

    // MARK: Filesystems

    private static func make(_ plan: FilesystemPlan, _ access: DiskAccess) throws {
        try clear(plan, access)
        if let command = maker(plan) {
            let isMarked = InProgressMarker.isNeeded(for: plan.format)
            // mkfs.xfs would discard the mark.
            if plan.format == .xfs, !plan.wanted.options.contains("-K") { discard(plan.node) }
            if isMarked { try InProgressMarker.write(true, for: plan.format, on: plan.node) }
            if plan.format == .vfat {
                // An old table behind a new first sector would look as if there were files.
                let size = try BlockFile(plan.node).size
                if size > 1 << 16 { try Eraser.zero(DiskArea(node: plan.node, bytes: 0..<min(1 << 20, size - 512))) }
            }
            try command.run()
            try flush(plan.node)
            if isMarked { try InProgressMarker.write(false, for: plan.format, on: plan.node) }
        }
        access.report(.done(plan.summary))
    }

    private static func clear(_ plan: FilesystemPlan, _ access: DiskAccess) throws {
        try access.waitForDevice(plan.node)
        try clear(plan.node, plan.area, found: plan.found, announcing: plan.workUnderWay, access)
    }

    /// Looks at a device once more, and erases what the plan lets go of.
    static func clear(
        _ node: String, _ area: DiskArea, found: Content, announcing work: String, _ access: DiskAccess
    ) throws {
        if area.node == node {
            try KernelPartitions.requireAsInTable(node)
        } else {
            try KernelPartitions.require(node, area)
        }
        // Only an opened LUKS volume or an assembled array knows its own length.
        let now = try Look(node).whole
        guard now.signatures.allSatisfy({ found.includes($0) }), now.table == nil || now.table == found.table
        else { throw DiskFailure.changed(node, holds: now) }
        access.report(.writing(work))
        if now.isKnown { try Eraser.erase(node) }
    }

    private static func maker(_ plan: FilesystemPlan) -> Command? {
        plan.format.maker(options: plan.wanted.options, label: plan.wanted.label, uuid: plan.wanted.uuid)
            .map { Command($0.program, $0.arguments + [plan.node]) }
    }

    /// Tells the device that nothing on it is needed any more; a device that cannot discard refuses.
    private static func discard(_ node: String) {
        let descriptor = open(node, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        _ = firstlight_discard(descriptor)
    }

    private static func flush(_ node: String) throws(DiskFailure) {
        let descriptor = open(node, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .unreadable(node, Errno(rawValue: errno)) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw .unwritable(node, Errno(rawValue: errno)) }
    }
}

// MARK: Words and comparisons

extension FoundTable {
    /// The table without its users, which may change while nobody touches the table.
    fileprivate var withoutUsers: FoundTable {
        func idle(_ partitions: [FoundPartition]) -> [FoundPartition] {
            partitions.map { partition in
                var partition = partition
                partition.users = []
                return partition
            }
        }
        switch self {
        case .gpt(var gpt):
            gpt.partitions = idle(gpt.partitions)
            return .gpt(gpt)
        case .other(let type, let partitions): return .other(type, idle(partitions))
        case .none, .unreadableGPT: return self
        }
    }
}

extension Content {
    /// Whether the plan saw this signature, whatever amount is in use by now.
    fileprivate func includes(_ signature: Signature) -> Bool {
        signatures.contains {
            $0.type == signature.type && $0.label == signature.label && $0.uuid == signature.uuid
        }
    }
}

extension DiskPlan {
    /// Whether the disk holds a GPT and nothing else, so that a new one replaces it completely.
    fileprivate var isGPTAlone: Bool {
        if case .gpt = disk.table { return !disk.content.isKnown }
        return false
    }

    /// A phrase such as `GPT with 1 partition created on /dev/vda`.
    fileprivate var summary: String {
        let changed = partitions.filter { $0.change != .keep }.count
        return switch action {
        case .create, .replace: "GPT with \(counted(partitions.count, "partition")) created on \(disk.node)"
        case .erase: "\(disk.node) erased"
        case .repair: "GPT repaired on \(disk.node)"
        case .edit:
            changed > 0
                ? "\(counted(changed, "partition")) written on \(disk.node)" : "partitions removed from \(disk.node)"
        case .keep: "\(disk.node) left as it is"
        }
    }
}

extension FilesystemPlan {
    fileprivate var title: String {
        let label = wanted.label.flatMap { $0.isEmpty ? nil : " \"\($0)\"" } ?? ""
        return format.rawValue + label
    }

    fileprivate var workUnderWay: String { action == .erase ? "signatures on \(node)" : "\(title) on \(node)" }
    fileprivate var summary: String { action == .erase ? "\(node) erased" : "\(title) created on \(node)" }
}
