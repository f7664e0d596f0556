// RAID arrays: looked into before anything is changed, then made or assembled, by mdadm.

import DiskFormats
import DiskPlanning
import LinuxSystem
import Reporting
import SystemPackage

/// Arrays assembled read-only for the time of planning. The kernel then writes nothing to their members,
/// neither a count of events nor what a resync would.
final class ArrayLook {
    private let access: DiskAccess
    /// Where the insides of arrays can be seen meanwhile, by the nodes they will have.
    private(set) var nodes: [String: String] = [:]
    private var started: [String] = []
    private var loops: [Loop] = []

    /// A member of which the kernel has no partition yet, seen through its disk.
    private final class Loop {
        let device: LoopDevice

        init(_ area: DiskArea) throws(Errno) {
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

    /// Makes the arrays that stay visible, and adds what stands in them to `contents`.
    ///
    /// - Returns: A conflict for each that mdadm does not start.
    func assemble(
        _ plans: [ArrayPlan], _ contents: inout [DiskArea: Content]
    ) throws(BootFailure) -> [DiskConflict] {
        var conflicts: [DiskConflict] = []
        for plan in plans where plan.action == .keep {
            try step("looking into the RAID array \(plan.wanted.node)") {
                do {
                    let node = try visible(plan)
                    nodes[plan.wanted.node] = node
                    contents[plan.area] = try Look(node).whole
                } catch Command.Failure.failed(_, _, let said) {
                    conflicts.append(
                        DiskConflict(plan.wanted.node, .arrayNotAssembled(said), at: plan.wanted.origin))
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
        // On a busy machine udev is late with the link, and mdadm waits but five seconds for it.
        let node = Files.resolved(FilePath(plan.wanted.node))?.string ?? ArrayHolder(of: plan)?.node ?? plan.wanted.node
        started.append(node)
        return node
    }
}

/// `--run`: a degraded array too.
private func assembly(of node: String, from members: [String], readOnly: Bool = false) -> Command {
    Command(
        "mdadm",
        ["--assemble", node, "--run", "--homehost", "any"] + (readOnly ? ["--readonly"] : []) + members)
}

/// The array that the kernel has made of the members of a plan: udev's rules do so where they are at work,
/// or an earlier run of the stage did.
private struct ArrayHolder {
    let node: String
    private let state: String

    /// `nil` where the members are free.
    init?(of plan: ArrayPlan) {
        let holders = plan.members.filter { $0.superblock != nil }.flatMap { member in
            Files.names(in: FilePath("/sys/class/block/\(FilePath(member.node).lastComponent?.string ?? "")/holders"))
        }
        guard let name = holders.first(where: { $0.hasPrefix("md") }) else { return nil }
        node = "/dev/\(name)"
        state = Files.line(FilePath("/sys/class/block/\(name)/md/array_state")) ?? "inactive"
    }

    /// An array that udev has begun and that still waits for members is not.
    var isRunning: Bool { !["clear", "inactive"].contains(state) }
    var isReadOnly: Bool { state == "readonly" }

    func stop() throws(Command.Failure) { try Command("mdadm", ["--stop", node]).run() }
}

extension DiskStage {
    /// Erases what stands where members of an array will be and what the plan lets go, before the table that
    /// tells so is gone: a power cut in between leaves a disk of which the next boot thinks the same.
    static func erase(_ plan: ArrayPlan, _ access: DiskAccess) throws {
        for member in plan.members where member.isLetGo {
            access.report(.writing("signatures in the place of \(member.node)"))
            // What an old array held would else show in the new one.
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

    /// Makes an array or assembles the one that is there.
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
            try Command("mdadm", plan.creation).run()
        case .keep:
            guard try assemble(plan) else { return }
        }
        try access.devicesChanged([node])
        try access.waitForDevice(node)
        access.report(.done("\(plan.title) \(plan.action == .create ? "created" : "assembled") as \(node)"))
    }

    /// - Returns: Whether it was not running yet.
    private static func assemble(_ plan: ArrayPlan) throws(Command.Failure) -> Bool {
        let node = plan.wanted.node
        if let holder = ArrayHolder(of: plan) {
            if holder.isRunning, Files.resolved(FilePath(node))?.string == holder.node {
                if holder.isReadOnly { try Command("mdadm", ["--readwrite", node]).run() }
                return false
            }
            try holder.stop()
        }
        try assembly(of: node, from: plan.members.filter { $0.superblock != nil }.map(\.node)).run()
        return true
    }
}
