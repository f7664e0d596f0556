// What is waited for or tried again, in words, and the one door through which everybody who waits says so.

/// Something that is waited for, or tried again and again.
public struct Wait: Equatable, Sendable {
    /// What for: a URL without secrets, a device. Empty: the part of the boot that is under way at all.
    public var subject: String
    /// One word of the boot's story: `config`. Whoever shows it fills it in.
    public var topic = ""
    /// Since when, on the boot's clock; `nil`: from now on. Whoever shows it fills it in.
    public var since: Double?
    /// Why it is not there yet.
    public var reason: String?
    /// Attempts that failed.
    public var attempts = 0
    /// When it is given up, on the boot's clock; `nil`: never.
    public var deadline: Double?
    /// What the operator can do about it, one sentence each.
    public var advice: [String] = []
    /// Seconds after which it is told anew where nothing is redrawn.
    public var interval = WaitDisplay.interval

    public init(for subject: String, reason: String? = nil, deadline: Double? = nil, advice: [String] = []) {
        self.subject = subject
        self.reason = reason
        self.deadline = deadline.flatMap { $0.isFinite ? $0 : nil }
        self.advice = advice
    }

    /// `http://a/c.ign: cannot connect; 8 attempts since 5.1 s, going on. Check that the server runs.`
    public var description: String {
        let start = since.map { "since \(oneDecimal($0)) s" } ?? "from now on"
        if subject.isEmpty { return "\(reason ?? "working"), under way \(start)." }
        let count = attempts > 0 ? "\(counted(attempts, "attempt")) " : "waiting "
        let end = deadline.map { ", until \(oneDecimal($0)) s at most" } ?? (attempts > 0 ? ", going on" : "")
        let what = subject + (reason.map { ": \($0)" } ?? "")
        let sentences = advice.map { $0.hasSuffix(".") ? $0 : $0 + "." }
        return (["\(what); \(count)\(start)\(end)."] + sentences).joined(separator: " ")
    }

    /// The line that is drawn over: `35 s, 8 attempts: cannot connect`, at most `width` columns.
    public func brief(at now: Double, width: Int) -> String {
        let tries = attempts > 0 ? ", \(counted(attempts, "attempt"))" : ""
        let text =
            "\(Int(max(0, now - (since ?? now)))) s\(tries): \(reason ?? (subject.isEmpty ? "working" : subject))"
        return text.count <= width ? text : text.prefix(max(0, width - 3)) + "..."
    }
}

extension Wait: CustomStringConvertible {}

/// Where waits are told. Who waits calls ``wait(for:_:)``; what people see of it, and when, is decided in one place.
public struct Waits: Sendable {
    /// Takes a wait, and gives the number by which it is changed and ended; on any thread.
    public var begin: @Sendable (Wait) -> Int
    public var change: @Sendable (Int, (inout Wait) -> Void) -> Void
    public var end: @Sendable (Int) -> Void

    public init(
        begin: @escaping @Sendable (Wait) -> Int, change: @escaping @Sendable (Int, (inout Wait) -> Void) -> Void,
        end: @escaping @Sendable (Int) -> Void
    ) {
        self.begin = begin
        self.change = change
        self.end = end
    }

    /// Nobody is told.
    public static let untold = Waits(begin: { _ in 0 }, change: { _, _ in }, end: { _ in })

    /// Runs `body`, during which this is waited for.
    public func wait<Result, Failure: Error>(
        for wait: Wait, _ body: (OpenWait) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let number = begin(wait)
        defer { end(number) }
        return try body(OpenWait(number: number, waits: self))
    }
}

/// A wait that is under way.
public struct OpenWait: Sendable {
    let number: Int
    let waits: Waits

    /// For what is not told of.
    public static let untold = OpenWait(number: 0, waits: .untold)

    public func change(_ body: (inout Wait) -> Void) { waits.change(number, body) }

    /// An attempt failed.
    public func failed(_ attempts: Int, because reason: String, advice: [String]) {
        change {
            $0.reason = reason
            $0.attempts = attempts
            $0.advice = Array(advice.prefix(1))
        }
    }

    /// Something of it arrived: the wait begins anew.
    public func progressed() {
        change {
            $0.reason = nil
            $0.attempts = 0
            $0.advice = []
            $0.since = nil
        }
    }
}

/// All that is waited for at the moment, and what of it is to be shown now. A plain value.
///
/// Nothing is shown of the first ``patience``. A screen that can redraw a line then has it told once, with a line
/// below that is kept up to date; a serial console and a log have it told anew every ``interval``.
public struct WaitDisplay: Sendable {
    /// What is to be shown.
    public struct Due: Equatable, Sendable {
        public enum News: Equatable, Sendable {
            /// People have not read it yet.
            case first
            /// It is time to tell it again where nothing is redrawn.
            case again
            /// Nothing new.
            case none
        }

        public var wait: Wait
        public var news: News
    }

    /// Seconds.
    public static let patience = 5.0
    public static let interval = 30.0

    private var waits: [Int: Wait] = [:]
    private var next = 1
    /// When people last read anything else.
    private var toldAt = 0.0
    private var shown: Shown?
    private var shownAt = -Double.infinity

    /// What makes a wait another one to whoever reads it.
    private struct Shown: Equatable {
        var number: Int
        var since: Double
        var reason: String?
    }

    public init() {}

    public var isEmpty: Bool { waits.isEmpty }

    /// The part of the boot that is under way: it is told of only where nothing else was told.
    public mutating func begin(_ wait: Wait, at now: Double) -> Int {
        defer { next += 1 }
        var wait = wait
        if wait.topic.isEmpty { wait.topic = waits.values.first { $0.subject.isEmpty }?.topic ?? "waiting" }
        wait.since = wait.since ?? now
        waits[next] = wait
        return next
    }

    public mutating func change(_ number: Int, at now: Double, _ body: (inout Wait) -> Void) {
        guard var wait = waits[number] else { return }
        body(&wait)
        wait.since = wait.since ?? now
        waits[number] = wait
    }

    public mutating func end(_ number: Int) { waits[number] = nil }

    /// Gives a reason to the part of the boot that is under way.
    public mutating func doing(_ reason: String) {
        for (number, wait) in waits where wait.subject.isEmpty { waits[number]?.reason = reason }
    }

    /// Something else was told.
    public mutating func told(at now: Double) { toldAt = now }

    /// What is to be shown now: of what was waited for too long, that which was so first.
    public mutating func due(at now: Double) -> Due? {
        func age(_ wait: Wait) -> Double {
            now - (wait.subject.isEmpty ? max(wait.since ?? now, toldAt) : wait.since ?? now)
        }
        let late = waits.filter { age($0.value) >= Self.patience }.sorted { one, other in
            (one.value.subject.isEmpty ? 1 : 0, one.value.since ?? now, one.key)
                < (other.value.subject.isEmpty ? 1 : 0, other.value.since ?? now, other.key)
        }
        guard let (number, wait) = late.first else {
            shown = nil
            return nil
        }
        // What a part of the boot is doing changes all the time.
        let new = Shown(
            number: number, since: wait.subject.isEmpty ? 0 : wait.since ?? now,
            reason: wait.subject.isEmpty ? nil : wait.reason)
        var news = Due.News.none
        if now - shownAt >= wait.interval {
            news = new == shown ? .again : .first
        } else if new != shown, now - shownAt >= Self.patience {
            news = .first
        }
        if news != .none { (shown, shownAt) = (new, now) }
        return Due(wait: wait, news: news)
    }
}
