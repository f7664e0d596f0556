// What one stage tells, held back until its turn: lines come in the table's order, whatever runs side by side.

import LinuxSystem
import Reporting
import Synchronization

/// What a stage tells while it runs beside others.
///
/// Once all stages before it have ended, what it has told comes out, and from then on everything at once. Lines of the
/// log alone and what is waited for are never held back, and progress is told at once or not at all.
final class StageOutput: Sendable {
    /// A wait as the stage began it.
    private struct HeldWait {
        var wait: Wait
        /// Where it is told, and its number there; `nil` while it is held back.
        var sink: Waits
        var number: Int?
    }

    private struct State {
        var isOpen = false
        var events: [SessionEvent] = []
        var waits: [Int: HeldWait] = [:]
        /// The topic of the part of the boot that is under way, for what it waits for.
        var topic = ""
        var nextWait = 1
    }

    private let state = Mutex(State())
    private let people: SessionObserver
    private let isCancelled: @Sendable () -> Bool
    private let now: @Sendable () -> Double

    /// Makes the output of a stage.
    ///
    /// - Parameters:
    ///   - people: Who is told in the end.
    ///   - isCancelled: Whether the stage is to end soon, because another has failed.
    ///   - now: The boot's clock in seconds.
    init(
        to people: SessionObserver, isCancelled: @escaping @Sendable () -> Bool,
        now: @escaping @Sendable () -> Double = { Machine.uptime() }
    ) {
        self.people = people
        self.isCancelled = isCancelled
        self.now = now
    }

    /// What the stage is handed.
    var observer: SessionObserver {
        SessionObserver(waits: waits(in: people.waits), fetchWaits: waits(in: people.fetchWaits)) { [self] in tell($0) }
    }

    /// Tells what was held back, and nothing is held back any more.
    func open() {
        state.withLock { state in
            guard !state.isOpen else { return }
            state.isOpen = true
            for event in state.events { people(event) }
            state.events = []
            for (key, held) in state.waits.sorted(by: { $0.key < $1.key }) where held.number == nil {
                state.waits[key]?.number = held.sink.begin(held.wait)
            }
        }
    }

    private func tell(_ event: SessionEvent) {
        if case .detail = event { return people(event) }
        state.withLock { state in
            if state.isOpen { return people(event) }
            // Progress that is shown later would not be progress any more.
            if case .progress = event { return }
            state.events.append(event)
        }
    }

    private func waits(in sink: Waits) -> Waits {
        var waits = Waits(
            begin: { [self] wait in
                var wait = wait
                wait.since = wait.since ?? now()
                return state.withLock { [wait] state in
                    var wait = wait
                    defer { state.nextWait += 1 }
                    let isPartOfBoot = wait.subject.isEmpty
                    if isPartOfBoot { state.topic = wait.topic }
                    if wait.topic.isEmpty { wait.topic = state.topic }
                    // Of several parts of the boot people see the first one, but all waits inside the parts.
                    let number = state.isOpen || !isPartOfBoot ? sink.begin(wait) : nil
                    state.waits[state.nextWait] = HeldWait(wait: wait, sink: sink, number: number)
                    return state.nextWait
                }
            },
            change: { [self] key, body in
                state.withLock { state in
                    guard var held = state.waits[key] else { return }
                    if let number = held.number { return sink.change(number, body) }
                    body(&held.wait)
                    held.wait.since = held.wait.since ?? now()
                    state.waits[key] = held
                }
            },
            end: { [self] key in
                state.withLock { state in
                    if let number = state.waits.removeValue(forKey: key)?.number { sink.end(number) }
                }
            })
        waits.isCancelled = isCancelled
        return waits
    }
}
