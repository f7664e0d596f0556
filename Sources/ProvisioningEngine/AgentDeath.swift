// Gives a crash the same report as every other stop. An agent cannot report its own death; the agent after it does so,
// started by PID 1, by the watch of the name `ignition`, or by systemd's ExecStopPost.

import CLinux
import Glibc
import LinuxSystem
import Reporting

/// How an agent ended that nobody asked to end.
public enum AgentDeath: Error, Equatable, Advising, CustomStringConvertible {
    case signal(Int32)
    /// The kernel ended it for want of memory.
    case outOfMemory
    case exit(Int32)
    /// systemd's word for any other way to end: `timeout`, `watchdog`.
    case result(String)

    /// The death of the agent before this one; `nil` where none died.
    public static var previous: AgentDeath? {
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
    public init?(serviceResult result: String?, exitStatus status: String?) {
        let number = Ended.signalNames.first { $0.value == status }?.key
        switch (result, number) {
        case (nil, _), ("success", _), ("exit-code", _), ("exec-condition", _), ("protocol", _), ("start-limit-hit", _):
            return nil
        // Whoever stops a unit knows of it: systemd stops units for its emergency mode, after another stage's report.
        case ("signal", SIGTERM?): return nil
        case ("oom-kill", _): self = .outOfMemory
        case ("signal", let number?), ("core-dump", let number?): self = .signal(number)
        case (let other?, _): self = .result(other + (status.map { ", \($0)" } ?? ""))
        }
    }

    /// What a shell has in `$?`; `nil` where the agent ended by itself and has said all.
    public init?(shellStatus status: Int32) {
        switch status {
        case 0, 1: return nil
        case 129...192: self = .signal(status - 128)
        default: self = .exit(status)
        }
    }

    /// Whether the fault is in firstlight, and not in the program that ended it.
    private var isDefect: Bool {
        switch self {
        case .signal(let number): ![SIGHUP, SIGINT, SIGQUIT, SIGKILL, SIGTERM].contains(number)
        case .exit: true
        case .outOfMemory, .result: false
        }
    }

    /// How it ended, in one line.
    public var description: String {
        switch self {
        case .signal(let number) where isDefect: "it died of \(Ended.name(ofSignal: number))"
        case .signal(let number): "it was ended by \(Ended.name(ofSignal: number))"
        case .outOfMemory: "the kernel ran out of memory and ended it"
        case .exit(let status): "it ended with status \(status), and should not have ended"
        case .result(let word): "systemd ended it: \(word)"
        }
    }

    /// What the operator can do.
    public var advice: [String] {
        switch self {
        case .outOfMemory:
            let total = Machine.memory("MemTotal").map { " than its \(ByteCount($0))" } ?? ""
            return ["Give the machine more RAM\(total), or make the root image smaller."]
        case _ where isDefect:
            return ["This is a defect of Firstlight: please report it, with the log."]
        case .result:
            return ["See why: `systemctl status` and `journalctl` say more."]
        default:
            return ["See who ended it: `dmesg` and the log may tell. Then try again."]
        }
    }
}

extension AgentDeath {
    /// The report of it, as of every other stop.
    public func failure(during act: String) -> BootFailure { BootFailure(steps: [act], cause: self) }
}
