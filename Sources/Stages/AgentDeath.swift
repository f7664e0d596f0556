// What a crash leaves: the same report as every other stop. The agent cannot tell its own death; the one
// after it does, started by PID 1, by the watch of the name `ignition`, or by systemd's ExecStopPost.

import BootArguments
import CLinux
import Devices
import Glibc
import LinuxSystem
import LiveRoot
import Logging
import Reporting

/// How an agent ended that nobody asked to end.
enum AgentDeath: Error, Equatable, Advising, CustomStringConvertible {
    case signal(Int32)
    /// The kernel ended it for want of memory.
    case outOfMemory
    case exit(Int32)
    /// systemd's word for it, where it is none of these: `timeout`, `watchdog`.
    case result(String)

    /// The death of the agent before this one; `nil` where none died.
    static var previous: AgentDeath? {
        var death = firstlight_death()
        guard firstlight_previous_death(&death) else { return nil }
        if death.out_of_memory { return .outOfMemory }
        return death.signal != 0 ? .signal(death.signal) : .exit(death.status)
    }

    /// What systemd tells the programs of ExecStopPost; `nil` where the stage ended by itself and has said all.
    ///
    /// - Parameters:
    ///   - result: `$SERVICE_RESULT`.
    ///   - status: `$EXIT_STATUS`: with a signal its name, `SEGV`.
    /// - SeeAlso: systemd.exec(5), "Environment variables set or propagated".
    init?(serviceResult result: String?, exitStatus status: String?) {
        let number = Self.names.first { $0.value == status }?.key
        switch (result, number) {
        case (nil, _), ("success", _), ("exit-code", _), ("exec-condition", _), ("protocol", _), ("start-limit-hit", _):
            return nil
        case ("oom-kill", _): self = .outOfMemory
        case ("signal", let number?), ("core-dump", let number?): self = .signal(number)
        case (let other?, _): self = .result(other + (status.map { ", \($0)" } ?? ""))
        }
    }

    private static let names: [Int32: String] = [
        SIGHUP: "HUP", SIGINT: "INT", SIGQUIT: "QUIT", SIGILL: "ILL", SIGTRAP: "TRAP", SIGABRT: "ABRT", SIGBUS: "BUS",
        SIGFPE: "FPE", SIGKILL: "KILL", SIGSEGV: "SEGV", SIGPIPE: "PIPE", SIGALRM: "ALRM", SIGTERM: "TERM",
        SIGSYS: "SYS", SIGXCPU: "XCPU", SIGXFSZ: "XFSZ",
    ]

    /// Whether the fault is in firstlight, and not in whoever ended it.
    private var isDefect: Bool {
        switch self {
        case .signal(let number): ![SIGHUP, SIGINT, SIGQUIT, SIGKILL, SIGTERM].contains(number)
        case .exit: true
        case .outOfMemory, .result: false
        }
    }

    var description: String {
        switch self {
        case .signal(let number) where isDefect: "it died of SIG\(Self.names[number] ?? "\(number)")"
        case .signal(let number): "it was ended by SIG\(Self.names[number] ?? "\(number)")"
        case .outOfMemory: "the kernel ended it, being out of memory"
        case .exit(let status): "it ended with status \(status), and should not have ended"
        case .result(let word): "systemd ended it: \(word)"
        }
    }

    var advice: [String] {
        switch self {
        case .outOfMemory:
            let total = Machine.memory("MemTotal").map { " than its \(ByteCount($0))" } ?? ""
            return ["Give the machine more RAM\(total), or make the root image smaller."]
        default:
            return isDefect ? ["This is a defect of firstlight: please report it, with the log."] : []
        }
    }
}

extension AgentDeath {
    /// The report of it, as of every other stop.
    func failure(during act: String) -> BootFailure { BootFailure(steps: [act], cause: self) }
}

extension StageState {
    /// Keeps what is under way, for whoever has to tell that it never ended. Holds no secret.
    ///
    /// - Parameter stage: A stage that is a process of its own; `nil` is the boot as PID 1, whose file
    ///   supervisor.c reads too.
    func begin(_ act: String, stage: String? = nil) {
        // That it cannot be kept must not stop what is about to begin.
        try? Files.makeFolder(Self.folder, mode: 0o700)
        try? Files.write("\(act)\n", to: Self.folder.appending(Self.stepFile(stage)), mode: 0o600)
    }

    /// A stage that is a process of its own has ended by itself, and has told how.
    func end(stage: String) {
        try? Files.remove(Self.folder.appending(Self.stepFile(stage)))
    }

    func actUnderWay(stage: String? = nil) -> String? {
        Files.line(Self.folder.appending(Self.stepFile(stage))).flatMap { $0.isEmpty ? nil : $0 }
    }

    private static func stepFile(_ stage: String?) -> String { stage.map { "step-\($0)" } ?? "step" }
}

extension LiveBoot {
    /// Tells how the agent before this one died and does what the operator wants then. Returns when the boot is
    /// to be tried again.
    static func tell(_ death: AgentDeath) {
        let state = StageState()
        try? EarlyMounts.mountAll()
        let arguments = BootArguments(bytes: (try? Files.read("/proc/cmdline")) ?? [])
        let log = Logger.boot(level: arguments.logLevel)
        let console = BootConsole.kernel(isQuiet: arguments.quiet, log: log)
        let failure = death.failure(during: state.actUnderWay() ?? "starting")
        console.tell(failure, written: state.written, then: arguments.failureAction)
        // The shell is in there.
        try? EarlyMounts.mountUsr()
        let stages = Stages(arguments: arguments, console: console, log: log, devices: .udev)
        stages.reportFailure(failure, of: BootStage.topic(ofAct: state.actUnderWay()))
        if arguments.failureAction != .shell { try? stages.unmountFilesystems() }
        arguments.failureAction.follow(on: console)
        firstlight_death_told()
        // What it had begun to assemble is assembled anew.
        try? stages.unmountFilesystems()
        OverlayRoot.dismantle(Boot.sysroot)
    }
}

extension StageRunner {
    /// A unit's ExecStopPost: where its stage did not end by itself, nothing else has said what happened.
    public static func tellDeath(of stage: StageName) {
        guard let death = AgentDeath(serviceResult: variable("SERVICE_RESULT"), exitStatus: variable("EXIT_STATUS"))
        else { return }
        let arguments = BootArguments(bytes: (try? Files.read("/proc/cmdline")) ?? [])
        let log = Logger.boot(level: arguments.logLevel)
        let stages = Stages(
            arguments: arguments, console: .standardError(log: log), log: log, devices: .udev)
        let state = stages.state
        let failure = death.failure(during: state.actUnderWay(stage: stage.rawValue) ?? stage.act)
        tell(failure, of: stage, stages)
    }
}
