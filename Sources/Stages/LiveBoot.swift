// The boot as PID 1, told in order. Each stage leads to a file of that name.

import BootArguments
import Glibc
import LinuxSystem
import LiveRoot
import Logging
import Reporting
import SystemPackage

/// What happens between the kernel and the real root's init.
enum BootStage: CaseIterable {
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

    /// What is told of it when it fails, after "while".
    var act: String {
        switch self {
        case .drivers: "loading drivers"
        case .findConfig: "looking for a config"
        case .network: "bringing up the network"
        case .rootImage: "getting the root filesystem"
        case .root: "setting up the root"
        case .fetchConfig: "fetching the config"
        case .kernelArguments: "seeing to the kernel arguments"
        case .disks: "preparing the disks"
        case .mount: "mounting the config's filesystems"
        case .files: "writing files, users and units"
        case .finish: "ending the provisioning"
        case .handOver: "handing over to the real root"
        }
    }

    /// What the report calls it: the story's own word.
    var topic: String {
        switch self {
        case .drivers: "modules"
        case .findConfig, .fetchConfig: "config"
        case .kernelArguments: "kargs"
        case .network: "network"
        case .rootImage: "rootfs"
        case .root: "root"
        case .disks: "disks"
        case .mount: "mount"
        case .files: "files"
        case .finish: "report"
        case .handOver: "handover"
        }
    }

    /// The topic of the stage with that act; `boot` for everything before the first.
    static func topic(ofAct act: String?) -> String { allCases.first { $0.act == act }?.topic ?? "boot" }

    /// Whether the report tells of it, and of the time that it took.
    private var isReported: Bool {
        switch self {
        case .drivers, .kernelArguments, .finish, .handOver: false
        default: true
        }
    }

    func run(_ boot: Boot) throws {
        if isReported { try boot.stages.measured(topic) { try act(boot) } } else { try act(boot) }
    }

    private func act(_ boot: Boot) throws {
        switch self {
        case .drivers: boot.loadDrivers()
        case .findConfig: try boot.stages.findConfig()
        case .network: try boot.bringUpNetwork()
        case .rootImage: try boot.stages.getRootImage()
        case .root: try boot.stages.assembleRoot()
        case .fetchConfig: try boot.stages.fetchConfig()
        case .kernelArguments: try boot.stages.setKernelArguments()
        case .disks: try boot.stages.prepareDisks()
        case .mount: try boot.stages.mountFilesystems()
        case .files: try boot.stages.writeFiles()
        case .finish: try boot.stages.finish()
        case .handOver: try boot.handOver()
        }
    }

    /// Whether `rd.break=` asks for a shell before this stage.
    func isBroken(by arguments: BootArguments) -> Bool {
        arguments.breakPoints.contains { point in
            switch point {
            case .cmdline, .preUdev, .preTrigger: self == .drivers
            case .initqueue: self == .network
            case .preMount: self == .root
            case .mount: self == .disks
            case .prePivot, .cleanup: self == .handOver
            }
        }
    }
}

/// firstlight as `/init`.
public enum LiveBoot {
    /// Nothing may end PID 1: whatever goes wrong is told, then done over or ended as the operator wants.
    public static func main() -> Never {
        if let death = AgentDeath.previous { tell(death) }
        while true {
            do {
                let boot = try Boot()
                for stage in BootStage.allCases { boot.run(stage) }
            } catch {
                let arguments = BootArguments(bytes: (try? Files.read("/proc/cmdline")) ?? [])
                let console = BootConsole.kernel(isQuiet: false, log: .boot())
                let failure = error as? BootFailure ?? BootFailure(steps: ["starting"], cause: error)
                console.tell(failure, written: [], then: arguments.failureAction)
                arguments.failureAction.follow(on: console)
            }
        }
    }
}

extension BootConsole {
    /// Reports a failure, and what is to follow.
    func tell(_ failure: BootFailure, written: [String], then action: EmergencyAction) {
        let next = action.announcement(
            console: shellScreen?.name ?? "the console", hasShell: EmergencyShell.shell.isInstalled)
        var report = FailureReport(failure, written: written, next: next)
        if !(failure.cause is InitramfsRoom.Shortage), let complaint = InitramfsRoom.now().complaint {
            report.advice.insert(complaint, at: 0)
        }
        self.report(report.lines)
    }
}

extension Boot {
    /// Runs one stage; after a failure, when the operator says so, again.
    func run(_ stage: BootStage) {
        if stage.isBroken(by: arguments) {
            // Who looks around finds every disk under its names.
            devices.settle()
            if EmergencyShell.shell.isInstalled {
                console.report(["rd.break: a shell before \(stage.act). `exit` goes on."])
                EmergencyShell.run(on: console)
            } else {
                console.warn("rd.break: no shell before \(stage.act): busybox is not here")
            }
        }
        while true {
            do {
                stages.state.begin(stage.act)
                try step(stage.act) {
                    try console.during(stage.topic, stage.act) { try stage.run(self) }
                }
                return
            } catch {
                log.error("\(error)")
                if arguments.failureAction == .shell { devices.settle() }
                console.tell(error, written: stages.state.written, then: arguments.failureAction)
                stages.reportFailure(error, of: stage.topic)
                if arguments.failureAction != .shell {
                    // Nobody will look at them any more; the config's filesystems are to end clean.
                    do { try stages.unmountFilesystems() } catch { log.error("\(error)") }
                }
                arguments.failureAction.follow(on: console)
            }
        }
    }
}
