// The thread that checks once a second what is waited for.

import Glibc
import Reporting

/// Keeps a ``WaitDisplay`` and shows what is due.
///
/// It runs on its own thread, so that it does not matter how the code waits: for a transfer, a program, a lock or
/// the kernel.
public final class WaitWatch: Sendable {
    private struct State {
        var display = WaitDisplay()
        var isWatched = false
        var show: @Sendable (WaitDisplay.Due?) -> Void = { _ in }
    }

    private let state = Monitor(State())
    private let now: @Sendable () -> Double

    /// Creates a watch without waits; `now` is the boot's clock in seconds.
    public init(now: @escaping @Sendable () -> Double = { Machine.uptime() }) { self.now = now }

    /// Sets the function that gets what is due, each second during a wait, and once `nil` when all have ended.
    public func onDue(_ show: @escaping @Sendable (WaitDisplay.Due?) -> Void) { state.change { $0.show = show } }

    /// Where code that waits reports it.
    public var waits: Waits {
        Waits(
            begin: { [self] wait in begin(wait) },
            change: { [self] number, body in state.change { $0.display.change(number, at: now(), body) } },
            end: { [self] number in state.change { $0.display.end(number) } })
    }

    /// Records that people saw another line.
    public func told() { state.change { $0.display.told(at: now()) } }

    /// Sets what the part of the boot that is under way is doing.
    public func doing(_ reason: String) { state.change { $0.display.doing(reason) } }

    private func begin(_ wait: Wait) -> Int {
        let (number, isWatched) = state.change { state in
            defer { state.isWatched = true }
            return (state.display.begin(wait, at: now()), state.isWatched)
        }
        if !isWatched {
            // Without a thread the waits are not shown, and the boot continues.
            do { try startThread { self.watch() } } catch { state.change { $0.isWatched = false } }
        }
        return number
    }

    private func watch() {
        while true {
            state.wait { $0.display.isEmpty ? nil : () }
            usleep(1_000_000)
            check()
        }
    }

    /// Checks once, as the thread does.
    public func check() {
        let (due, show) = state.change { state in (state.display.due(at: now()), state.show) }
        show(due)
    }
}
