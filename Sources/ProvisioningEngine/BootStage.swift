// ProvisioningEngine: what every way of provisioning runs, as PID 1, as units, as a drop-in or by hand. This file
// is the one table of the boot's stages: the boot as PID 1, `firstlight stage`, the generator and the units follow it.

import BootArguments

/// What happens between the kernel and the real root's init, in order.
public enum BootStage: CaseIterable, Sendable {
    case drivers
    case findConfig
    case network
    /// Before the root image: a config with a mistake stops the boot before anything large is fetched.
    case fetchConfig
    /// A helper that changes them restarts the machine.
    case kernelArguments
    case rootImage
    case root
    case disks
    case mount
    case files
    case finish
    case handOver
    /// A part of ``handOver`` as PID 1, and a command of its own where units mount.
    case unmount

    /// Those of a boot as PID 1, in order.
    public static let inLiveBoot = allCases.filter { $0 != .unmount }

    /// All that is known of a stage.
    struct Row: Sendable {
        /// The word of the console and the report.
        var topic: String
        /// What is told of it when it fails as a part of PID 1, after "while".
        var act: String
        /// Whether the report tells of the time that it took.
        var isReported = false
        /// Where `rd.break=` gives a shell before it.
        var breakPoints: Set<BreakPoint> = []
        /// The unit that runs it where systemd starts the stages.
        var unit: StageName?
        var does: Act
    }

    enum Act: Sendable {
        case session(@Sendable (LiveSession) throws -> Void)
        case machine(MachinePart)
    }

    /// What only PID 1 does, with the devices and the network that it holds.
    public enum MachinePart: Sendable {
        case drivers
        case network
        case handOver
    }

    /// The table.
    var row: Row {
        switch self {
        case .drivers:
            Row(
                topic: "modules", act: "loading drivers", breakPoints: [.cmdline, .preUdev, .preTrigger],
                does: .machine(.drivers))
        case .findConfig:
            Row(
                topic: "config", act: "looking for a config", isReported: true, unit: .fetch,
                does: .session { try $0.provisioning.findConfig() })
        case .network:
            Row(
                topic: "network", act: "bringing up the network", isReported: true, breakPoints: [.initqueue],
                does: .machine(.network))
        case .fetchConfig:
            Row(
                topic: "config", act: "fetching the config", isReported: true, unit: .fetch,
                does: .session { try $0.provisioning.fetchConfig() })
        case .kernelArguments:
            Row(
                topic: "kargs", act: "seeing to the kernel arguments", unit: .kargs,
                does: .session { try $0.provisioning.setKernelArguments() })
        case .rootImage:
            Row(
                topic: "rootfs", act: "getting the root filesystem", isReported: true, unit: .rootfs,
                does: .session { try $0.getRootImage() })
        case .root:
            Row(
                topic: "root", act: "setting up the root", isReported: true, breakPoints: [.preMount], unit: .root,
                does: .session { try $0.assembleRoot() })
        case .disks:
            Row(
                topic: "disks", act: "preparing the disks", isReported: true, breakPoints: [.mount], unit: .disks,
                does: .session { try $0.provisioning.prepareDisks() })
        case .mount:
            Row(
                topic: "mount", act: "mounting the config's filesystems", isReported: true, unit: .mount,
                does: .session {
                    try $0.provisioning.mountFilesystems()
                    try $0.populateVar()
                })
        case .files:
            Row(
                topic: "files", act: "writing files, users and units", isReported: true, unit: .files,
                does: .session { try $0.provisioning.writeFiles() })
        case .finish:
            Row(
                topic: "report", act: "ending the provisioning", unit: .finish,
                does: .session { try $0.finish() })
        case .handOver:
            Row(
                topic: "handover", act: "handing over to the real root", breakPoints: [.prePivot, .cleanup],
                does: .machine(.handOver))
        case .unmount:
            Row(
                topic: "umount", act: "unmounting the config's filesystems", unit: .umount,
                does: .session { try $0.unmountFilesystems() })
        }
    }

    /// The word of the console and the report.
    public var topic: String { row.topic }

    /// What is told of it when it fails as a part of PID 1, after "while".
    public var act: String { row.act }

    /// The topic of the stage with that act; `boot` for everything before the first.
    public static func topic(ofAct act: String?) -> String {
        allCases.first { $0.act == act }?.topic ?? "boot"
    }

    /// Whether `rd.break=` asks for a shell before this stage.
    public func isBroken(by arguments: BootArguments) -> Bool {
        !row.breakPoints.isDisjoint(with: arguments.breakPoints)
    }
}

/// The names of stages that `firstlight stage` runs one by one, and of their units.
public enum StageName: String, CaseIterable, Sendable {
    case fetch = "fetch"
    case kargs = "kargs"
    case rootfs = "rootfs"
    case root = "root"
    case disks = "disks"
    case mount = "mount"
    case files = "files"
    case finish = "finish"
    case umount = "umount"

    /// What the unit of a stage says.
    public struct Unit: Equatable, Sendable {
        /// systemd's `Description=`, without the program's name.
        public var description: String
        /// Without these it does not start.
        public var needs: [StageName] = []
        /// What it only comes after, where that is a part of the boot.
        public var after: [StageName] = []
        /// Whether it may need the network.
        public var usesNetwork = false
        /// The target that requires it; `nil` where another stage needs it.
        public var target: String?
        /// Whether that is so only where the machine is provisioned.
        public var isProvisioning = true
        /// Whether it may take as long as it takes: a server that comes up late is waited for.
        public var isUnlimited = true
    }

    /// The table of units; `nil` for what is a part of another's.
    public var unit: Unit? {
        let provisioned = "initrd.target"
        return switch self {
        case .fetch: Unit(description: "fetch the config", usesNetwork: true, target: provisioned)
        case .kargs:
            Unit(
                description: "see to the kernel arguments", needs: [.fetch], target: provisioned, isUnlimited: false)
        case .rootfs:
            Unit(description: "fetch and verify the root filesystem", usesNetwork: true, isProvisioning: false)
        case .root:
            Unit(
                description: "set up the overlay root", needs: [.rootfs], target: "initrd-root-fs.target",
                isProvisioning: false)
        case .disks:
            Unit(
                description: "make the disks what the config says", needs: [.fetch], after: [.rootfs],
                target: provisioned)
        case .mount:
            Unit(description: "mount the config's filesystems", needs: [.disks, .root], target: provisioned)
        case .files: Unit(description: "write files, users and units", needs: [.mount], target: provisioned)
        case .finish:
            Unit(
                description: "report, and remove the config", needs: [.files], target: provisioned, isUnlimited: false)
        case .umount: nil
        }
    }

    /// `firstlight-disks.service`.
    public var unitName: String { "firstlight-\(rawValue).service" }

    /// The parts of the boot that it runs, in order.
    var stages: [BootStage] { BootStage.allCases.filter { $0.row.unit == self } }

    /// The word of the console and the report.
    public var topic: String { stages.first?.topic ?? rawValue }

    /// What is told of it when it fails, after "while".
    public var act: String { "running the stage \(rawValue)" }
}
