import Glibc
import LinuxSystem
import Reporting
import Testing

@testable import ProvisioningEngine

/// A table of toy stages: `b` and `c` need `a` alone, `d` needs both.
@Suite("the engine of stages")
struct StageEngineTests {
    enum Toy: String, CaseIterable { case a, b, c, d }

    private struct Broken: Error, CustomStringConvertible { var description = "broken" }

    private static let needs: [Toy: [Toy]] = [.b: [.a], .c: [.a], .d: [.b, .c]]

    /// What happened, in the order of time.
    private final class Happened: Sendable {
        private let events = Monitor<[String]>([])
        func add(_ text: String) { events.change { $0.append(text) } }
        var all: [String] { events.change { $0 } }
        /// Waits until it has happened.
        func wait(for text: String) { events.wait { $0.contains(text) ? () : nil } }
        func place(_ text: String) throws -> Int { try #require(all.firstIndex(of: text), "\(text) in \(all)") }
    }

    private func engine(
        _ lines: Monitor<[String]> = Monitor([]), alone: Set<Toy> = [], waits: Waits = .untold,
        underWay: Happened = Happened()
    ) -> StageEngine<Toy> {
        let observer = SessionObserver(waits: waits) { event in
            switch event {
            case .told(let topic, let text): lines.change { $0.append("\(topic) \(text)") }
            case .detail(let text): lines.change { $0.append("log \(text)") }
            case .progress(let topic, let progress): lines.change { $0.append("\(topic) \(progress.bytes) bytes") }
            default: break
            }
        }
        return StageEngine(
            Toy.allCases, needs: { Self.needs[$0] ?? [] }, isAlone: alone.contains, observer: observer,
            underWay: { stages in underWay.add(stages.map(\.rawValue).joined()) })
    }

    @Test("stages that do not need each other run side by side, and others in their order")
    func overlap() throws {
        let (happened, underWay) = (Happened(), Happened())
        let failure = engine(underWay: underWay).run { stage, _ in
            happened.add("\(stage) begins")
            // Each waits for the other: one after the other they would never end.
            if stage == .b { happened.wait(for: "c begins") }
            if stage == .c { happened.wait(for: "b begins") }
            happened.add("\(stage) ends")
        }
        #expect(failure == nil)
        #expect(happened.all.count == 8)
        #expect(happened.all.prefix(2) == ["a begins", "a ends"] && happened.all.suffix(2) == ["d begins", "d ends"])
        #expect(underWay.all.first == "a" && underWay.all.contains("bc") && underWay.all.last == "d")
    }

    @Test("what is under way is only what still runs")
    func underWayAlone() throws {
        let (happened, underWay) = (Happened(), Happened())
        let failure = engine(underWay: underWay).run { stage, _ in
            if stage == .b { underWay.wait(for: "bc") }
            if stage == .c { underWay.wait(for: "c") }
            happened.add("\(stage)")
        }
        #expect(failure == nil && happened.all == ["a", "b", "c", "d"])
        #expect(underWay.all.filter { $0 != "b" } == ["a", "bc", "c", "d"])
    }

    @Test(
        "a stage that asks to be alone has those above it done, and those below it begin after it",
        arguments: Toy.allCases)
    func alone(toy: Toy) throws {
        let happened = Happened()
        let failure = engine(alone: [toy]).run { stage, _ in
            happened.add("\(stage) begins")
            happened.add("\(stage) ends")
        }
        #expect(failure == nil)
        for other in Toy.allCases where other != toy {
            if other.rawValue < toy.rawValue {
                #expect(try happened.place("\(other) ends") < happened.place("\(toy) begins"))
            } else {
                #expect(try happened.place("\(toy) ends") < happened.place("\(other) begins"))
            }
        }
    }

    @Test("lines come in the table's order, whatever runs first; those of the log at once")
    func lines() {
        let (lines, happened) = (Monitor<[String]>([]), Happened())
        let failure = engine(lines).run { stage, observer in
            if stage == .b { happened.wait(for: "c has told") }
            observer(.told(topic: "\(stage)", "1"))
            if stage == .b { observer(.told(topic: "b", "2")) }
            if stage == .c {
                observer(.detail("c"))
                happened.add("c has told")
                happened.wait(for: "b is done")
                observer(.told(topic: "c", "2"))
            }
            if stage == .b { happened.add("b is done") }
        }
        #expect(failure == nil)
        #expect(lines.change { $0 } == ["a 1", "log c", "b 1", "b 2", "c 1", "c 2", "d 1"])
    }

    @Test("progress beside another stage is not told when it is none any more")
    func progress() {
        let (lines, happened) = (Monitor<[String]>([]), Happened())
        let failure = engine(lines).run { stage, observer in
            if stage == .b { happened.wait(for: "c has told") }
            if stage != .b { observer(.progress(topic: "\(stage)", TransferProgress(bytes: 7, total: 9))) }
            observer(.told(topic: "\(stage)", "done"))
            if stage == .c { happened.add("c has told") }
        }
        #expect(failure == nil)
        #expect(lines.change { $0 } == ["a 7 bytes", "a done", "b done", "c done", "d 7 bytes", "d done"])
    }

    @Test("what is waited for beside another stage is shown at once, under the topic of its own stage")
    func waits() {
        let (shown, happened) = (Monitor<[Wait]>([]), Happened())
        let waits = Waits(
            begin: { wait in
                shown.change { $0.append(wait) }
                happened.add("shown \(wait.subject)")
                return 7
            }, change: { _, _ in }, end: { number in happened.add("ended \(number)") })
        let failure = engine(waits: waits).run { stage, observer in
            if stage == .b { happened.wait(for: "c is done") }
            guard stage == .c else { return }
            observer.waits.during("disks", "preparing the disks") {
                observer.waits.wait(for: Wait(for: "a disk")) { _ in }
            }
            happened.add("c is done")
        }
        #expect(failure == nil)
        #expect(shown.change { $0.map(\.subject) } == ["a disk"])
        #expect(shown.change { $0[0].topic } == "disks" && shown.change { $0[0].since } != nil)
        #expect(happened.all == ["shown a disk", "ended 7", "c is done"])
    }

    @Test("a part of the boot beside another stage is shown when that has ended, with the time when it began")
    func parts() {
        let (shown, happened) = (Monitor<[Wait]>([]), Happened())
        let waits = Waits(
            begin: { wait in
                shown.change { $0.append(wait) }
                happened.add("shown \(wait.reason ?? "")")
                return 7
            }, change: { _, _ in }, end: { number in happened.add("ended \(number)") })
        let failure = engine(waits: waits).run { stage, observer in
            if stage == .b { happened.wait(for: "c is under way") }
            guard stage == .c else { return }
            observer.waits.during("c", "over before it is shown") {}
            observer.waits.during("c", "preparing the disks") {
                #expect(happened.all.isEmpty)
                happened.add("c is under way")
                happened.wait(for: "shown preparing the disks")
            }
        }
        #expect(failure == nil)
        #expect(shown.change { $0.map(\.topic) } == ["c"] && shown.change { $0[0].since } != nil)
        #expect(happened.all == ["c is under way", "shown preparing the disks", "ended 7"])
    }

    // The shape of a conflict on a disk while the image is on its way.
    @Test("a failure cancels what runs beside it and is told as its own; the rest runs when it is called again")
    func failure() throws {
        let (lines, happened, isMended) = (Monitor<[String]>([]), Happened(), Monitor(false))
        let engine = engine(lines)
        @Sendable func run(_ stage: Toy, _ observer: SessionObserver) throws {
            happened.add("\(stage) begins")
            defer { happened.add("\(stage) ends") }
            if isMended.change({ $0 }) { return observer(.told(topic: "\(stage)", "again")) }
            observer(.told(topic: "\(stage)", "first"))
            switch stage {
            case .a, .d: break
            case .b:
                while !observer.waits.isCancelled() { sched_yield() }
                throw StageCancelled()
            case .c:
                happened.wait(for: "b begins")
                throw Broken()
            }
        }
        let failure = try #require(engine.run(run))
        #expect(failure.stage == .c && "\(failure.error)" == "broken")
        #expect(!happened.all.contains("d begins"))
        #expect(try happened.place("c ends") < happened.place("b ends"))
        #expect(
            lines.change { $0 }
                == ["a first", "b first", "log cancelled, after another stage had failed", "c first"])

        isMended.change { $0 = true }
        #expect(engine.run(run) == nil)
        #expect(lines.change { $0.suffix(3) } == ["b again", "c again", "d again"])
        #expect(happened.all.count { $0 == "a begins" } == 1)
    }

    @Test("what is done beside a stage that fails stays done, and its lines still come after that stage's")
    func doneBeside() throws {
        let (lines, happened, isSecond) = (Monitor<[String]>([]), Happened(), Monitor(false))
        let engine = engine(lines)
        @Sendable func run(_ stage: Toy, _ observer: SessionObserver) throws {
            if stage == .b, !isSecond.change({ $0 }) {
                happened.wait(for: "c is over")
                throw Broken()
            }
            observer(.told(topic: "\(stage)", "told"))
            if stage == .c { happened.add("c is over") }
        }
        let failure = try #require(engine.run(run))
        #expect(failure.stage == .b)
        #expect(lines.change { $0 } == ["a told"])
        isSecond.change { $0 = true }
        #expect(engine.run(run) == nil)
        #expect(lines.change { $0.prefix(3) } == ["a told", "b told", "c told"])
    }
}
