// How a boot that cannot go on ends: a report on every console, then a shell, or what the operator asked for instead
// (rd.shell=0, rd.emergency=).

import BootArguments
import Glibc
import LinuxSystem
import Reporting
import SystemPackage

extension EmergencyAction {
    /// The last line of a failure report: what happens next.
    ///
    /// - Parameters:
    ///   - console: Where the shell is.
    ///   - hasShell: Whether this initramfs has a shell.
    /// - Returns: One line.
    func announcement(console: String, hasShell: Bool) -> String {
        switch self {
        case .shell where !hasShell: "No shell: busybox is not here. Restart the machine to try again."
        case .shell: "Shell on \(console); `exit` tries again."
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
        case .shell: EmergencyShell.run(on: console)
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

    static func run(on console: BootConsole) {
        guard let screen = console.shellScreen else { return }
        // The report has already said that there is no shell.
        guard shell.isInstalled else { while true { pause() } }
        // Programs expect a terminal that lets them wait.
        let flags = fcntl(screen.descriptor, F_GETFL)
        _ = fcntl(screen.descriptor, F_SETFL, flags & ~O_NONBLOCK)
        // When the shell's session ends, its terminal hangs up for every program that has it open.
        defer { console.reopen() }
        do {
            _ = try shell.interact(terminal: screen.descriptor)
        } catch {
            console.report(["No shell: \(error).", "The machine stays as it is; switch it off or restart it."])
            while true { pause() }
        }
    }
}
