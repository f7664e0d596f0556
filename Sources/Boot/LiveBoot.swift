// Boot: firstlight as PID 1, as the commands of units and as a systemd generator. This file is the boot as PID 1; its
// stages, in order, are the table in ProvisioningEngine/BootStage.swift.

import BootArguments
import Glibc
import LinuxSystem
import LiveRoot
import Logging
import ProvisioningEngine
import Reporting
import SystemPackage

/// firstlight as `/init`.
public enum LiveBoot {
    /// Nothing may end PID 1: whatever goes wrong is told, then done over or ended as the operator wants.
    public static func main() -> Never {
        if let death = AgentDeath.previous { tell(death) }
        while true {
            do {
                let machine = try LiveMachine()
                for stage in BootStage.inLiveBoot { machine.run(stage) }
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
    func tell(
        _ failure: BootFailure, written: [String], then action: EmergencyAction,
        hasShell: Bool = EmergencyShell.shell.isInstalled
    ) {
        let next = action.announcement(console: shellScreen?.name ?? "the console", hasShell: hasShell)
        var report = FailureReport(failure, written: written, next: next)
        if !(failure.cause is InitramfsRoom.Shortage), let complaint = InitramfsRoom.now().complaint {
            report.advice.insert(complaint, at: 0)
        }
        self.report(report.lines, cause: report.causeLines.count)
    }
}

extension LiveMachine {
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
                session.state.begin(stage.act)
                try step(stage.act) {
                    try console.during(stage.topic, stage.act) { try session.run(stage, machine: act) }
                }
                return
            } catch {
                log.error("\(error)")
                if arguments.failureAction == .shell { devices.settle() }
                console.tell(error, written: session.state.written, then: arguments.failureAction)
                session.reportFailure(error, of: stage.topic)
                if arguments.failureAction != .shell {
                    // Nobody will look at them any more; the config's filesystems are to end clean.
                    do { try session.provisioning.unmountFilesystems() } catch { log.error("\(error)") }
                }
                arguments.failureAction.follow(on: console)
                // Whoever was in the shell may have changed them.
                session.provisioning.forgetConfigs()
            }
        }
    }

    private func act(_ part: BootStage.MachinePart) throws {
        switch part {
        case .drivers: loadDrivers()
        case .network: try bringUpNetwork()
        case .handOver: try handOver()
        }
    }
}
