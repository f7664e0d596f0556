// `firstlight fetch`: a resource fetched as the boot would, with its progress on standard error.

import Glibc
import LinuxSystem
import ProvisioningEngine
import Reporting
import SystemPackage

/// What a person can ask of a URL.
public enum FetchCommand {
    /// Fetches it.
    ///
    /// - Returns: Whether it is there, whole and with the wanted hash; what went wrong has been told.
    public static func run(_ trial: FetchTrial) -> Bool {
        forEach([trial]) { _ in
            let screen = ProgressScreen()
            var progress: (@Sendable (TransferProgress) -> Void)?
            // Standard output may be the same terminal.
            if trial.output != nil || isatty(1) == 0 { progress = { screen.show($0) } }
            try trial.run(log: { screen.say($0) }, progress: progress)
        }
    }
}

/// Progress on standard error: a line that is drawn over on a terminal, one now and then elsewhere.
private final class ProgressScreen: Sendable {
    private struct State {
        var pace: ProgressPace
        var meter = RateMeter()
        var isOpen = false
    }

    private let isTerminal = isatty(2) == 1
    private let state: Monitor<State>

    init() { state = Monitor(State(pace: ProgressPace(console: isatty(2) == 1 ? .terminal : .log))) }

    func say(_ text: String) {
        state.change { state in
            write((state.isOpen ? "\r\u{1b}[K" : "") + text + "\n")
            state.isOpen = false
        }
    }

    func show(_ progress: TransferProgress) {
        let now = Machine.uptime()
        state.change { state in
            var progress = progress
            progress.rate = state.meter.rate(at: now, bytes: progress.bytes)
            guard state.pace.shows(progress, at: now) else { return }
            state.isOpen = isTerminal
            write(isTerminal ? "\r\(progress)\u{1b}[K" : "\(progress)\n")
        }
    }

    private func write(_ text: String) { try? Files.writeAll(Array(text.utf8), to: 2) }
}
