// How a boot that cannot go on ends: a report on every console, then a shell, or what the operator asked for instead
// (rd.shell=0, rd.emergency=).

import BootArguments
import Glibc
import LinuxSystem
import Reporting
import Synchronization
import SystemPackage

extension EmergencyAction {
    /// The last line of a failure report: what happens next.
    ///
    /// - Parameters:
    ///   - console: Where the shell is; `nil`: no console can be opened.
    ///   - hasShell: Whether this initramfs has a shell.
    /// - Returns: One line.
    func announcement(console: String?, hasShell: Bool) -> String {
        switch self {
        case .shell where !hasShell: "No shell: busybox is not here. Restart the machine to try again."
        case .shell: console.map { "Shell on \($0); `exit` tries again." } ?? "No shell: no console can be opened."
        case .reboot: "Restarting in 10 seconds (rd.emergency=reboot)."
        case .powerOff: "Powering off (rd.emergency=poweroff)."
        case .halt: "Halting; no shell, as the command line says."
        }
    }

    /// Carries it out.
    ///
    /// Returns when the boot is to be tried again.
    func follow(on console: BootConsole) {
        switch self {
        case .shell:
            let seconds = EmergencyShell.run(on: console)
            guard let pause = EmergencyShell.pace.withLock({ $0.pause(after: seconds) }) else { return }
            let cause = seconds == nil ? "There is no shell" : "The shell ended at once"
            console.report(["\(cause): trying again in \(counted(pause, "second"))."])
            sleep(UInt32(pause))
        case .reboot:
            // The pause gives people at the console time to read the report; a machine that restarts at once would also
            // hammer the servers it failed to reach.
            sleep(10)
            end(.restart)
        case .powerOff: end(.powerOff)
        case .halt: end(.halt)
        }
    }

    private func end(_ how: Machine.End) -> Never {
        Machine.end(how)
        while true { pause() }
    }
}

/// busybox's shell on the console.
enum EmergencyShell {
    static let shell = Command(
        "busybox", ["sh", "-l"],
        environment: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TERM=linux", "HOME=/", "PS1=firstlight:\\w# "])

    /// The pauses of this process between shells that cannot be had.
    static let pace = Mutex(ShellPace())

    /// Runs a shell until it ends.
    ///
    /// - Returns: The seconds that it ran; `nil` where no console can be opened.
    @discardableResult static func run(on console: BootConsole) -> Double? {
        // The report has already said that there is no shell.
        guard shell.isInstalled else { while true { pause() } }
        guard let screen = console.shellScreen else { return nil }
        // Programs expect a terminal that lets them wait.
        let flags = fcntl(screen.descriptor, F_GETFL)
        _ = fcntl(screen.descriptor, F_SETFL, flags & ~O_NONBLOCK)
        // When the shell's session ends, its terminal hangs up for every program that has it open.
        defer { console.reopen() }
        do {
            let start = Machine.uptime()
            try shell.interact(terminal: screen.descriptor)
            return Machine.uptime() - start
        } catch {
            console.report(["No shell: \(error).", "The machine stays as it is; switch it off or restart it."])
            while true { pause() }
        }
    }
}

/// When a boot is tried again after a shell that nobody can have ended by `exit`.
///
/// Without a pause a machine whose terminal has hung up would fail, and ask its servers, without end.
struct ShellPace {
    private var inARow = 0

    /// Seconds to wait after a shell that ran so long, `nil` for one that could not be had; `nil`: none.
    mutating func pause(after seconds: Double?) -> Int? {
        if let seconds, seconds >= 1 {
            inARow = 0
            return nil
        }
        inARow += 1
        // One shell may have been left by a script as soon as it came.
        let doublings = seconds == nil ? inARow - 1 : inARow - 2
        return doublings < 0 ? nil : 10 << min(doublings, 5)
    }
}
