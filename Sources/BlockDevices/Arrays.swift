// RAID arrays: mdadm assembles them for a look before anything is changed, and creates or assembles them later.

import DiskFormats
import DiskPlanning
import LinuxSystem
import Reporting
import SystemPackage

/// Assembles arrays read-only while the plan is made.
///
/// The kernel then writes nothing to their members: no event counter, no resync.
final class ArrayLook {
    private let access: DiskAccess
    /// The nodes at which the arrays can be read meanwhile, by the nodes that they will have.
    private(set) var nodes: [String: String] = [:]
    private var started: [String] = []
    private var loops: [Loop] = []

    /// A member for which the kernel has no partition yet, seen through its disk.
    private final class Loop {
        let device: LoopDevice

        init(_ area: DiskArea) throws(FileFault) {
            device = try LoopDevice(
                file: FilePath(area.node), offset: area.bytes.lowerBound,
                size: area.bytes.upperBound - area.bytes.lowerBound, readOnly: true)
        }
    }

    init(_ access: DiskAccess) { self.access = access }

    func close() {
        for node in started { _ = try? Command("mdadm", ["--stop", node]).capture() }
        started = []
        loops = []
    }

    /// Makes the arrays that stay readable, and adds what they hold to `contents`.
    ///
    /// - Returns: A conflict for each array that mdadm does not start.
    func assemble(
        _ plans: [ArrayPlan], _ contents: inout [DiskArea: Content]
    ) throws(BootFailure) -> [DiskConflict] {
        var conflicts: [DiskConflict] = []
        for plan in plans where plan.action == .keep {
            if let holder = ArrayHolder(of: plan), holder.isRunning, !holder.isNamed(plan.wanted.node) {
                // It is stopped later, to be started under its own name.
                let users = DeviceUsers().of(holder.node)
                guard users.isEmpty else {
                    let problem = DiskConflict.Problem.arrayInUse(node: holder.node, users)
                    conflicts.append(DiskConflict(plan.wanted.node, problem, at: plan.wanted.origin))
                    continue
                }
            }
            try step("looking into the RAID array \(plan.wanted.node)") {
                do {
                    let node = try visible(plan)
                    nodes[plan.wanted.node] = node
                    contents[plan.area] = try Look(node).whole
                } catch Command.Failure.failed(_, _, let said) {
                    conflicts.append(
                        DiskConflict(plan.wanted.node, plan.notAssembled(said), at: plan.wanted.origin))
                }
            }
        }
        return conflicts
    }

    private func visible(_ plan: ArrayPlan) throws -> String {
        plan.modules.forEach { try? access.loadFilesystem($0) }
        if let holder = ArrayHolder(of: plan) {
            if holder.isRunning { return holder.node }
            try holder.stop()
        }
        var members: [String] = []
        for member in plan.members where member.superblock != nil {
            if member.area.node == member.node || KernelPartitions.matches(member.node, member.area) {
                members.append(member.node)
            } else {
                try? access.loadFilesystem("loop")
                let loop = try Loop(member.area)
                loops.append(loop)
                members.append(loop.device.path.string)
            }
        }
        try assembly(of: plan.wanted.node, from: members, readOnly: true).run()
        // On a busy machine udev may be late with the link, and mdadm waits only five seconds for it.
        let node = Files.resolved(FilePath(plan.wanted.node))?.string ?? ArrayHolder(of: plan)?.node ?? plan.wanted.node
        started.append(node)
        return node
    }
}

/// The command that assembles an array; `--run` starts a degraded one too.
private func assembly(of node: String, from members: [String], readOnly: Bool = false) -> Command {
    Command(
        "mdadm",
        ["--assemble", node, "--run", "--homehost", "any"] + (readOnly ? ["--readonly"] : []) + members)
}

/// The array that the kernel has already made of the members of a plan.
///
/// udev's rules assemble it where they are active, or an earlier run of the stage did.
private struct ArrayHolder {
    let node: String
    private let state: String

    /// Finds the array; `nil` where the members are free.
    init?(of plan: ArrayPlan) {
        let holders = plan.members.filter { $0.superblock != nil }.flatMap { member in
            Files.names(in: FilePath("/sys/class/block/\(FilePath(member.node).lastComponent?.string ?? "")/holders"))
        }
        guard let name = holders.first(where: { $0.hasPrefix("md") }) else { return nil }
        node = "/dev/\(name)"
        state = Files.line(FilePath("/sys/class/block/\(name)/md/array_state")) ?? "inactive"
    }

    /// `false` for an array that udev has begun and that still waits for members.
    var isRunning: Bool { !["clear", "inactive"].contains(state) }
    var isReadOnly: Bool { state == "readonly" }

    /// Whether a path leads to it.
    func isNamed(_ path: String) -> Bool { Files.resolved(FilePath(path))?.string == node }

    func stop() throws(Command.Failure) { try Command("mdadm", ["--stop", node]).run() }
}

extension DiskStage {
    /// Erases what the plan lets go of where members of an array will be, before the table changes.
    ///
    /// After a power cut in between, the next boot still finds the old table and comes to the same plan.
    static func erase(_ plan: ArrayPlan, _ access: DiskAccess) throws {
        for member in plan.members where member.isLetGo {
            access.report(.writing("signatures in the place of \(member.node)"))
            // The new array would otherwise show what an old one held.
            if let inside = member.found.signatures.first?.member {
                let start = member.area.bytes.lowerBound + inside.dataOffset
                try erase(DiskArea(node: member.area.node, bytes: start..<member.area.bytes.upperBound))
            }
            try erase(member.area)
        }
    }

    private static func erase(_ area: DiskArea) throws(DiskFailure) {
        guard !area.bytes.isEmpty else { return }
        try Eraser.erase(area.node, bytes: area.bytes, sharing: true)
    }

    /// Creates an array, or assembles the one that exists.
    static func prepare(_ plan: ArrayPlan, _ access: DiskAccess) throws {
        let node = plan.wanted.node
        plan.modules.forEach { try? access.loadFilesystem($0) }
        for member in plan.members { try access.waitForDevice(member.node) }
        switch plan.action {
        case .create:
            for member in plan.members {
                let found = member.isLetGo ? .blank : member.found
                try clear(
                    member.node, member.area, found: found, announcing: "\(plan.title) on \(member.node)", access)
            }
            // If the content begins where the members begin, the next boot finds zeros there after a power cut.
            if plan.wanted.beginsWithContent { try zeroStarts(plan) }
            try Command("mdadm", plan.creation).run()
        case .keep:
            guard try assemble(plan) else { return }
        }
        try access.devicesChanged([node])
        try access.waitForDevice(node)
        if plan.action == .create { try eraseRemains(node) }
        access.report(.done("\(plan.title) \(plan.action == .create ? "created" : "assembled") as \(node)"))
    }

    private static func zeroStarts(_ plan: ArrayPlan) throws(DiskFailure) {
        for member in plan.members {
            let size = member.area.bytes.upperBound - member.area.bytes.lowerBound
            try Eraser.zero(DiskArea(node: member.node, bytes: 0..<min(size, 1 << 20)))
        }
    }

    /// A new array shows what stood on its members, which would look like somebody's data at the next boot.
    private static func eraseRemains(_ node: String) throws(DiskFailure) {
        switch try Look(node).whole.kind {
        case .noise: try Eraser.zero(DiskArea(node: node, bytes: 0..<min(try BlockFile(node).size, 1 << 20)))
        // An array stood here before, and its superblocks were erased without what was in it.
        case .known: try Eraser.erase(node)
        case .blank, .unknown, .notLooked: break
        }
    }

    /// Assembles an array that exists.
    ///
    /// - Returns: Whether it was not running yet.
    private static func assemble(_ plan: ArrayPlan) throws(Command.Failure) -> Bool {
        let node = plan.wanted.node
        if let holder = ArrayHolder(of: plan) {
            if holder.isRunning, holder.isNamed(node) {
                if holder.isReadOnly { try Command("mdadm", ["--readwrite", node]).run() }
                return false
            }
            try holder.stop()
        }
        try assembly(of: node, from: plan.members.filter { $0.superblock != nil }.map(\.node)).run()
        return true
    }
}
