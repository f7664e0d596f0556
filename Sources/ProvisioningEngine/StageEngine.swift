// Runs the stages of a table, each as soon as all that it needs is done.

import LinuxSystem
import Reporting
import Synchronization

/// A stage that failed.
public struct StageFailure<Stage: Sendable>: Error {
    /// The one that failed first; others were cancelled because of it.
    public var stage: Stage
    /// Why.
    public var error: any Error

    /// The same for people; `act` is what follows "while" for a stage.
    public func failure(of act: (Stage) -> String) -> BootFailure {
        error as? BootFailure ?? BootFailure(steps: [act(stage)], cause: error)
    }
}

/// A stage ended before its time, because another one had failed.
struct StageCancelled: Error, CustomStringConvertible {
    var description: String { "cancelled" }
}

/// The stages of a table while they are run, side by side where none needs the other.
///
/// What a stage tells comes out in the table's order. Where one fails, those that run beside it are cancelled and waited
/// for. What is done stays done: ``run(_:)`` may be called again for the rest.
public final class StageEngine<Stage: Hashable & Sendable>: Sendable {
    private struct Progress {
        var done: Set<Stage> = []
        var running: Set<Stage> = []
        var failure: StageFailure<Stage>?
        var outputs: [Stage: StageOutput] = [:]
    }

    private let order: [Stage]
    private let needs: [Stage: Set<Stage>]
    private let observer: SessionObserver
    private let underWay: @Sendable ([Stage]) -> Void
    private let progress = Monitor(Progress())
    private let isCancelled = Atomic(false)

    /// Makes an engine that has run nothing yet.
    ///
    /// - Parameters:
    ///   - order: The table, in the order in which people read of its stages. What a stage needs comes before it.
    ///   - needs: What has to be done before a stage begins; of what is not in the table, what that needs.
    ///   - isAlone: Whether all before a stage have to be done when it begins, and none after it may begin before it is
    ///     done.
    ///   - observer: Told what the stages tell, in the table's order.
    ///   - underWay: Called with the stages that run, in the table's order, whenever one begins, and whenever one ends
    ///     beside others.
    public init(
        _ order: [Stage], needs: (Stage) -> [Stage], isAlone: (Stage) -> Bool = { _ in false },
        observer: SessionObserver, underWay: @escaping @Sendable ([Stage]) -> Void = { _ in }
    ) {
        self.order = order
        self.observer = observer
        self.underWay = underWay
        func inTable(_ stage: Stage) -> Set<Stage> {
            needs(stage).reduce(into: []) { found, needed in
                if order.contains(needed) { found.insert(needed) } else { found.formUnion(inTable(needed)) }
            }
        }
        var all: [Stage: Set<Stage>] = [:]
        var barrier: Set<Stage> = []
        for (place, stage) in order.enumerated() {
            if isAlone(stage) {
                all[stage] = Set(order[..<place])
                barrier = [stage]
            } else {
                all[stage] = barrier.union(inTable(stage))
            }
        }
        self.needs = all
    }

    /// Runs what is not done yet.
    ///
    /// - Parameter body: Runs one stage, which tells the observer; on any thread.
    /// - Returns: The first failure, when nothing runs any more; `nil` where all is done.
    public func run(_ body: @escaping @Sendable (Stage, SessionObserver) throws -> Void) -> StageFailure<Stage>? {
        isCancelled.store(false, ordering: .sequentiallyConsistent)
        progress.change { $0.failure = nil }
        while let stage = progress.wait(for: { progress -> Stage?? in
            if let stage = self.take(&progress) { return .some(stage) }
            return progress.running.isEmpty ? .some(nil) : nil
        }) {
            run(stage, body)
        }
        return progress.change { progress in
            if let failure = progress.failure { progress.outputs[failure.stage]?.open() }
            // The other stages run again, and report then.
            progress.outputs = progress.outputs.filter { progress.done.contains($0.key) }
            return progress.failure
        }
    }

    /// What threads beside the first do: they end where nothing is ready.
    private func help(_ body: @escaping @Sendable (Stage, SessionObserver) throws -> Void) {
        while let stage = progress.change({ self.take(&$0) }) { run(stage, body) }
    }

    private func run(_ stage: Stage, _ body: @escaping @Sendable (Stage, SessionObserver) throws -> Void) {
        // If no thread can be started, that stage runs when this thread is free again.
        if progress.change({ self.next($0) != nil }) { try? startThread { self.help(body) } }
        guard let output = progress.change({ $0.outputs[stage] }) else { return }
        do {
            try body(stage, output.observer)
            progress.change { progress in
                progress.done.insert(stage)
                self.ended(stage, &progress)
            }
        } catch {
            progress.change { progress in
                if progress.failure == nil {
                    progress.failure = StageFailure(stage: stage, error: error)
                    // Not earlier: a stage that ends because of this must not be taken for the cause.
                    isCancelled.store(true, ordering: .sequentiallyConsistent)
                } else {
                    observer(.detail("\(error), after another stage had failed"))
                }
                self.ended(stage, &progress)
            }
        }
    }

    /// The next stage that is ready.
    private func next(_ progress: Progress) -> Stage? {
        guard progress.failure == nil else { return nil }
        return order.first { stage in
            !progress.done.contains(stage) && !progress.running.contains(stage)
                && progress.done.isSuperset(of: needs[stage] ?? [])
        }
    }

    private func take(_ progress: inout Progress) -> Stage? {
        guard let stage = next(progress) else { return nil }
        progress.running.insert(stage)
        let isCancelled: @Sendable () -> Bool = { [self] in self.isCancelled.load(ordering: .relaxed) }
        progress.outputs[stage] = StageOutput(to: observer, isCancelled: isCancelled)
        openOutputs(progress)
        tellUnderWay(progress)
        return stage
    }

    private func tellUnderWay(_ progress: Progress) { underWay(order.filter(progress.running.contains)) }

    private func ended(_ stage: Stage, _ progress: inout Progress) {
        progress.running.remove(stage)
        openOutputs(progress)
        if progress.failure == nil, !progress.running.isEmpty { tellUnderWay(progress) }
    }

    /// Lets each stage report once all stages before it are done.
    private func openOutputs(_ progress: Progress) {
        for stage in order {
            progress.outputs[stage]?.open()
            guard progress.done.contains(stage) else { return }
        }
    }
}
