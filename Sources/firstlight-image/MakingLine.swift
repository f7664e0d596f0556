// How far something has come, on standard error: a line that is drawn over on a terminal, whole lines elsewhere.

import Glibc
import ImageMaking
import LinuxSystem
import Reporting

/// Shows what is being done and, for work that counts bytes, how far it is and how long it will take.
///
/// Nothing is shown during the first second, because most commands are done by then.
final class MakingLine {
    private let isTerminal = isatty(STDERR_FILENO) == 1
    private let started = Machine.uptime()
    private var step = ""
    private var meter = RateMeter()
    private var pace: ProgressPace
    private var isDrawn = false

    init() { pace = ProgressPace(console: isTerminal ? .terminal : .log) }

    /// What the library is given.
    var progress: MakingProgress {
        MakingProgress(
            step: { [self] step in begin(step) }, bytes: { [self] done, total in show(done: done, of: total) })
    }

    private func begin(_ text: String) {
        step = text
        meter = RateMeter()
        pace = ProgressPace(console: isTerminal ? .terminal : .log)
        if isTerminal, Machine.uptime() - started >= 1 { draw("\(text)...") }
    }

    private func show(done: UInt64, of total: UInt64) {
        let now = Machine.uptime()
        var progress = TransferProgress(bytes: done, total: total)
        progress.rate = meter.rate(at: now, bytes: done)
        guard now - started >= 1, pace.shows(progress, at: now) else { return }
        if isTerminal { draw("\(step): \(progress)") } else { say("\(step): \(progress)") }
    }

    private func draw(_ text: String) {
        isDrawn = true
        try? Files.writeAll(Array("\r\(text.prefix(79))\u{1b}[K".utf8), to: STDERR_FILENO)
    }

    /// Takes the line away: what follows tells the outcome.
    func end() {
        if isDrawn { try? Files.writeAll(Array("\r\u{1b}[K".utf8), to: STDERR_FILENO) }
        isDrawn = false
    }
}

/// Runs `body`; whoever waits sees on standard error what it does.
func showingProgress<Result>(_ body: (MakingProgress) throws -> Result) rethrows -> Result {
    let line = MakingLine()
    defer { line.end() }
    return try body(line.progress)
}
