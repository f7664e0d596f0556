// Boot: firstlight as PID 1, as the commands of units and as a systemd generator. This file is the boot as PID 1; its
// stages, in order, are the table in ProvisioningEngine/BootStage.swift.

import BootArguments
import Glibc
import LinuxSystem
import Logging
import ProvisioningEngine
import Reporting
import SystemPackage

/// firstlight as `/init`.
public enum LiveBoot {
    /// Nothing may end PID 1: each failure is reported, and then the boot tries again or ends as the operator wants.
    public static func main() -> Never {
        if let death = AgentDeath.previous { tell(death) }
        while true {
            do {
                try LiveMachine().run()
            } catch {
                let arguments = BootArguments(bytes: (try? Files.read("/proc/cmdline")) ?? [])
                let console = BootConsole.kernel(isQuiet: false, log: .boot())
                let failure = error as? BootFailure ?? BootFailure(steps: ["starting"], cause: error)
                console.tell(failure, written: StateFolder().written, then: arguments.failureAction)
                arguments.failureAction.follow(on: console)
            }
        }
    }
}

extension BootConsole {
    /// Reports a failure, and what is to follow.
    func tell(_ failure: BootFailure, written: [String]?, then action: EmergencyAction) {
        tell(failure, written: written, next: announcement(of: action))
    }

    /// What is to follow, in one line.
    func announcement(of action: EmergencyAction) -> String {
        action.announcement(console: shellScreen?.name, hasShell: EmergencyShell.shell.isInstalled)
    }

    /// Reports a failure; `next` is what is to follow.
    func tell(_ failure: BootFailure, written: [String]?, next: String) {
        var report = FailureReport(failure, written: written, next: next)
        if let shortage = LiveSession.shortage(beside: failure) { report.advice.insert(shortage, at: 0) }
        self.report(report.lines, cause: report.causeLines.count)
    }
}

extension LiveMachine {
    /// Runs the stages, each as soon as what it needs is done; after a failure, when the operator says so, the rest.
    func run() {
        let engine = StageEngine(
            BootStage.inLiveBoot, needs: \.needs, isAlone: { $0.isBroken(by: arguments) },
            observer: .boot(console, log),
            underWay: { [self] stages in
                // A stage that still waits for its shell has not begun.
                let given = broken.withLock { $0 }
                session.begin(stages.filter { !$0.isBroken(by: arguments) || given.contains($0) })
            })
        while let failure = engine.run({ try self.run($0, telling: $1) }) { stop(failure) }
    }

    private func run(_ stage: BootStage, telling observer: SessionObserver) throws {
        if stage.isBroken(by: arguments), broken.withLock({ $0.insert(stage).inserted }) {
            giveShell(before: stage)
            session.begin([stage])
        }
        try session.run(stage, telling: observer, machine: act)
    }

    /// The shell that `rd.break=` asks for.
    private func giveShell(before stage: BootStage) {
        // People in the shell find every disk under its names.
        devices.settle()
        if EmergencyShell.shell.isInstalled {
            console.report(["rd.break: a shell before \(stage.act). `exit` goes on."])
            EmergencyShell.run(on: console)
        } else {
            console.warn("rd.break: no shell before \(stage.act): busybox is not here")
        }
    }

    /// Tells a failure, and does what the operator wants then; returns when the boot is to be tried again.
    private func stop(_ stopped: StageFailure<BootStage>) {
        let stage = stopped.stage
        let failure = stopped.failure(of: \.act)
        log.error("\(failure)")
        if arguments.failureAction == .shell { devices.settle() }
        console.tell(failure, written: session.state.written, then: arguments.failureAction)
        session.reportFailure(failure, of: stage.topic)
        if arguments.failureAction != .shell {
            // No shell follows, so the config's filesystems are unmounted cleanly.
            do { try session.provisioning.unmountFilesystems() } catch { log.error("\(error)") }
        }
        arguments.failureAction.follow(on: console)
        // Somebody may have changed the configs in the shell.
        session.provisioning.forgetConfigs()
    }

    private func act(_ part: BootStage.MachinePart) throws {
        switch part {
        case .drivers: loadDrivers()
        case .network: try bringUpNetwork()
        case .handOver: try handOver()
        }
    }
}
