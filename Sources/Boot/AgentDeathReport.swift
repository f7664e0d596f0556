// Reports the death of an agent: by the next agent as PID 1, and by a unit's ExecStopPost.

import BootArguments
import CLinux
import Devices
import LinuxSystem
import Logging
import ProvisioningEngine
import Reporting

extension LiveBoot {
    /// Tells how the agent before this one died and does what the operator wants then.
    ///
    /// Returns when the boot is to be tried again.
    static func tell(_ death: AgentDeath) {
        let state = StateFolder()
        try? EarlyMounts.mountAll()
        LiveSession.restoreReserve()
        let arguments = BootArguments(bytes: (try? Files.read("/proc/cmdline")) ?? [])
        let log = Logger.boot(level: arguments.logLevel)
        let console = BootConsole.kernel(isQuiet: arguments.quiet, log: log)
        let step = state.stepUnderWay() ?? .starting
        let failure = death.failure(during: step.act)
        console.tell(failure, written: state.written, then: arguments.failureAction)
        // The emergency shell is in /usr.
        try? EarlyMounts.mountUsr()
        let session = LiveSession(arguments, observer: .boot(console, log), devices: .udev)
        session.reportFailure(failure, of: step.topic)
        if arguments.failureAction != .shell { try? session.provisioning.unmountFilesystems() }
        arguments.failureAction.follow(on: console)
        firstlight_death_told()
        try? session.provisioning.unmountFilesystems()
        session.dismantleRoot()
    }
}

extension StageRunner {
    /// A unit's ExecStopPost: where its stage did not end by itself, nothing else has said what happened.
    public static func tellDeath(of stage: StageName) {
        guard let death = AgentDeath(serviceResult: variable("SERVICE_RESULT"), exitStatus: variable("EXIT_STATUS"))
        else { return }
        let arguments = BootArguments(bytes: (try? Files.read("/proc/cmdline")) ?? [])
        let log = Logger.boot(level: arguments.logLevel)
        let console = BootConsole.standardError(log: log)
        let session = LiveSession(arguments, observer: .boot(console, log), devices: .udev)
        let failure = death.failure(during: (session.state.stepUnderWay(stage: stage) ?? StepRecord(stage)).act)
        tell(failure, of: stage, session, console, log)
    }
}
