// The thread that looks at what is waited for, once a second while anything is.

import Glibc
import Reporting

/// Keeps a ``WaitDisplay`` and shows what is due of it. It watches from a thread of its own, so that it makes no
/// difference how somebody waits: for a transfer, a program, a lock or the kernel.
public final class WaitWatch: Sendable {
    private struct State {
        var display = WaitDisplay()
        var isWatched = false
        var show: @Sendable (WaitDisplay.Due?) -> Void = { _ in }
    }

    private let state = Monitor(State())
    private let now: @Sendable () -> Double

    public init(now: @escaping @Sendable () -> Double = { Machine.uptime() }) { self.now = now }

    /// Sets what is told each second while something is waited for, and once with nothing when that is over.
    public func onDue(_ show: @escaping @Sendable (WaitDisplay.Due?) -> Void) { state.change { $0.show = show } }

    /// The door for whoever waits.
    public var waits: Waits {
        Waits(
            begin: { [self] wait in begin(wait) },
            change: { [self] number, body in state.change { $0.display.change(number, at: now(), body) } },
            end: { [self] number in state.change { $0.display.end(number) } })
    }

    /// People read something else.
    public func told() { state.change { $0.display.told(at: now()) } }

    /// What the part that is under way is busy with.
    public func doing(_ reason: String) { state.change { $0.display.doing(reason) } }

    private func begin(_ wait: Wait) -> Int {
        let (number, isWatched) = state.change { state in
            defer { state.isWatched = true }
            return (state.display.begin(wait, at: now()), state.isWatched)
        }
        if !isWatched {
            // Without a thread the waits stay untold, and the boot goes on.
            do { try startThread { self.watch() } } catch { state.change { $0.isWatched = false } }
        }
        return number
    }

    private func watch() {
        while true {
            state.wait { $0.display.isEmpty ? nil : () }
            usleep(1_000_000)
            look()
        }
    }

    /// One look, as the thread has it.
    public func look() {
        let (due, show) = state.change { state in (state.display.due(at: now()), state.show) }
        show(due)
    }
}
