// ProvisioningEngine: what every way of provisioning runs, as PID 1, as units, as a drop-in or by hand. This file
// is the one table of the boot's stages: the boot as PID 1, `firstlight stage`, the generator and the units follow it.

import BootArguments

/// What happens between the kernel and the real root's init, in the order in which people read of it.
public enum BootStage: CaseIterable, Sendable {
    case drivers
    case findConfig
    case network
    /// Like all stages up to the plan, this runs while the root image is on its way: a mistake in the config or a
    /// conflict on a disk stops the boot before the image has come.
    case fetchConfig
    /// A helper that changes the arguments restarts the machine.
    case kernelArguments
    case rootImage
    case plan
    case root
    /// While the root is set up. As units, ``disks`` looks itself.
    case proof
    /// After the image is verified and mounted: a boot with a bad image changes no disk.
    case disks
    /// While the disks are prepared, which leaves a processor idle. As units, ``files`` reads them itself.
    case programs
    case mount
    case files
    case finish
    case handOver
    /// A part of ``handOver`` as PID 1, and a command of its own where units mount.
    case unmount

    /// Those of a boot as PID 1, in order.
    public static let inLiveBoot = allCases.filter { $0 != .unmount }

    /// Those of a boot whose PID 1 is a shell script, in order: the script loads drivers, and may bring up the network.
    public static func inScripts(bringingUpNetwork: Bool) -> [BootStage] {
        inLiveBoot.filter { $0 != .drivers && (bringingUpNetwork || $0 != .network) }
    }

    /// All that is known of a stage.
    struct Row: Sendable {
        /// The word of the console and the report.
        var topic: String
        /// What follows "while" when it fails as a part of PID 1.
        var act: String
        /// Whether the report tells of the time that it took.
        var isReported = false
        /// What has to be done before it begins; all of it is above it in the table.
        ///
        /// Two stages of which neither needs the other run side by side.
        var needs: [BootStage] = []
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
                topic: "config", act: "looking for a config", isReported: true, needs: [.drivers], unit: .fetch,
                does: .session {
                    try $0.checkURLs()
                    try $0.provisioning.findConfig()
                })
        case .network:
            Row(
                topic: "network", act: "bringing up the network", isReported: true, needs: [.findConfig],
                breakPoints: [.initqueue],
                does: .machine(.network))
        case .fetchConfig:
            Row(
                topic: "config", act: "fetching the config", isReported: true, needs: [.network], unit: .fetch,
                does: .session { try $0.provisioning.fetchConfig() })
        case .kernelArguments:
            Row(
                topic: "kargs", act: "checking the kernel arguments", needs: [.fetchConfig], unit: .kargs,
                does: .session { try $0.provisioning.setKernelArguments() })
        case .rootImage:
            Row(
                topic: "rootfs", act: "getting the root filesystem", isReported: true, needs: [.network],
                unit: .rootfs, does: .session { try $0.getRootImage() })
        case .plan:
            Row(
                topic: "disks", act: "planning the disks", needs: [.kernelArguments], unit: .plan,
                does: .session { if !$0.copiesMedium { try $0.provisioning.planDisks() } })
        case .root:
            Row(
                topic: "root", act: "setting up the root", isReported: true, needs: [.rootImage],
                breakPoints: [.preMount], unit: .root, does: .session { try $0.assembleRoot() })
        case .proof:
            Row(
                topic: "disks", act: "preparing the disks", needs: [.plan, .rootImage], breakPoints: [.mount],
                does: .session { try $0.provisioning.proveDisks() })
        case .disks:
            Row(
                topic: "disks", act: "preparing the disks", isReported: true, needs: [.plan, .root, .proof],
                unit: .disks, does: .session { try $0.provisioning.prepareDisks() })
        case .programs:
            Row(
                topic: "files", act: "reading the root's programs", needs: [.kernelArguments, .root],
                does: .session { $0.provisioning.readPrograms() })
        case .mount:
            Row(
                topic: "mount", act: "mounting the config's filesystems", isReported: true, needs: [.root, .disks],
                unit: .mount,
                does: .session {
                    try $0.provisioning.mountFilesystems()
                    try $0.populateVar()
                })
        case .files:
            Row(
                topic: "files", act: "writing files, users and units", isReported: true, needs: [.mount],
                unit: .files, does: .session { try $0.provisioning.writeFiles() })
        case .finish:
            Row(
                topic: "report", act: "ending the provisioning", needs: [.files, .programs], unit: .finish,
                does: .session { try $0.finish() })
        case .handOver:
            Row(
                topic: "handover", act: "handing over to the real root", needs: [.finish],
                breakPoints: [.prePivot, .cleanup], does: .machine(.handOver))
        case .unmount:
            Row(
                topic: "umount", act: "unmounting the config's filesystems", unit: .umount,
                does: .session { try $0.unmountFilesystems() })
        }
    }

    /// The word of the console and the report.
    public var topic: String { row.topic }

    /// What follows "while" when it fails as a part of PID 1.
    public var act: String { row.act }

    /// What has to be done before it begins.
    public var needs: [BootStage] { row.needs }

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
    case plan = "plan"
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
        /// Whether it may need the network.
        public var usesNetwork = false
        /// The target that requires it; `nil` where another stage needs it.
        public var target: String?
        /// Whether that is so only where the machine is provisioned.
        public var isProvisioning = true
        /// Whether it may take as long as it takes: a server that comes up late is waited for.
        public var isUnlimited = true
    }

    /// The target that is reached once the machine is provisioned, by the name that other units know from Ignition.
    public static let provisioned = "ignition-complete.target"
    /// The target in its place where it is not provisioned.
    public static let notProvisioned = "ignition-subsequent.target"

    /// The table of units; `nil` for what is a part of another's.
    public var unit: Unit? {
        let provisioned = Self.provisioned
        return switch self {
        case .fetch: Unit(description: "fetch the config", usesNetwork: true, target: provisioned)
        case .kargs:
            Unit(description: "check the kernel arguments", target: provisioned, isUnlimited: false)
        case .rootfs:
            Unit(description: "fetch and verify the root filesystem", usesNetwork: true, isProvisioning: false)
        case .plan: Unit(description: "look at the disks and plan", target: provisioned)
        case .root:
            Unit(description: "set up the overlay root", target: "initrd-root-fs.target", isProvisioning: false)
        case .disks: Unit(description: "make the disks as the config says", target: provisioned)
        case .mount: Unit(description: "mount the config's filesystems", target: provisioned)
        case .files: Unit(description: "write files, users and units", target: provisioned)
        case .finish: Unit(description: "report, and remove the config", target: provisioned, isUnlimited: false)
        case .umount: nil
        }
    }

    /// The units without which its own does not start, as the table of stages has it.
    ///
    /// Where a boot provisions nothing, the live system starts without the units that would.
    public var needs: [StageName] {
        let all = Set(stages.flatMap(\.needs).compactMap(\.row.unit)).subtracting([self])
        return StageName.allCases.filter { name in
            all.contains(name) && (unit?.isProvisioning != false || name.unit?.isProvisioning == false)
        }
    }

    /// The unit that tells what is wrong with the command line: one that waits for no other, and is in this boot.
    public static func firstUnit(_ arguments: BootArguments) -> StageName {
        arguments.ignitionFirstboot ? .fetch : .rootfs
    }

    /// `firstlight-disks.service`.
    public var unitName: String { "firstlight-\(rawValue).service" }

    /// The parts of the boot that it runs, in order.
    var stages: [BootStage] { BootStage.allCases.filter { $0.row.unit == self } }

    /// The word of the console and the report.
    public var topic: String { stages.first?.topic ?? rawValue }

    /// What follows "while" when it fails.
    public var act: String { "running the stage \(rawValue)" }
}
