// One stage as a process of its own, in an initramfs that systemd runs.

import BootArguments
import Devices
import LinuxSystem
import Logging
import ProvisioningEngine
import Reporting

/// `firstlight stage`, as units and people call it.
public enum StageRunner {
    /// Runs a stage.
    ///
    /// - Returns: Whether it succeeded; what went wrong has been told.
    public static func run(_ stage: StageName) -> Bool {
        let arguments = BootArguments(bytes: (try? Files.read("/proc/cmdline")) ?? [])
        let log = Logger.boot(level: arguments.logLevel)
        let console = BootConsole.standardError(log: log)
        if let change = MachineClock.system.catchUp() { console.say("clock", "\(change)") }
        if stage == .firstUnit(arguments) { for warning in arguments.warnings { console.warn(warning) } }
        let session = LiveSession(
            arguments, observer: .boot(console, log), devices: .udev(telling: console.waits))
        do {
            session.state.begin(StepRecord(stage), stage: stage)
            defer { session.state.end(stage: stage) }
            try step(stage.act) {
                try console.waits.during(stage.topic, stage.act) {
                    // Long before the network: files that did not fit into the initramfs are missing.
                    if stage == .rootfs { try LiveSession.checkRoom() }
                    if stage.unit?.usesNetwork == true, GeneratedUnits.ofThisMachine(arguments).needsNetwork {
                        DracutNetwork.wait(arguments, telling: console.waits)
                    }
                    try session.run(stage)
                }
            }
            return true
        } catch {
            tell(error, of: stage, session, console, log)
            return false
        }
    }

    static func tell(
        _ failure: BootFailure, of stage: StageName, _ session: LiveSession, _ console: BootConsole, _ log: Logger
    ) {
        log.log(level: .error, "\(failure)", metadata: [BootLog.shown: "true"])
        let next = "systemctl status and journalctl say more."
        console.report(FailureReport(failure, written: session.state.written, next: next).lines)
        session.reportFailure(failure, of: stage.topic)
    }
}
