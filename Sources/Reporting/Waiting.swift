// Waits and retries: how they are described, and how the code that waits reports them.

/// Something that is waited for, or tried again and again.
public struct Wait: Equatable, Sendable {
    /// What is waited for: a URL without secrets, a device.
    ///
    /// It is empty for the part of the boot that is under way, whatever that does.
    public var subject: String
    /// The topic of the console line: `config`; ``WaitDisplay`` fills it in.
    public var topic = ""
    /// The start on the boot's clock in seconds; `nil` means now, which ``WaitDisplay`` fills in.
    public var since: Double?
    /// Why it is not there yet.
    public var reason: String?
    /// How many attempts failed.
    public var attempts = 0
    /// When it is given up, on the boot's clock in seconds; `nil` means never.
    public var deadline: Double?
    /// What the operator can do about it, one sentence each.
    public var advice: [String] = []
    /// Seconds after which it is told anew where nothing is redrawn.
    public var interval = WaitDisplay.interval

    /// Creates a wait; a deadline that is not finite means never.
    public init(for subject: String, reason: String? = nil, deadline: Double? = nil, advice: [String] = []) {
        self.subject = subject
        self.reason = reason
        self.deadline = deadline.flatMap { $0.isFinite ? $0 : nil }
        self.advice = advice
    }

    /// The wait as `http://a/c.ign: cannot connect; 8 attempts since second 5.1, still trying. Check that the server runs.`.
    public var description: String {
        let start = since.map { "since second \(oneDecimal($0))" } ?? "from now on"
        if subject.isEmpty { return "\(reason ?? "working"), under way \(start)." }
        let count = attempts > 0 ? "\(counted(attempts, "attempt")) " : "waiting "
        let end = deadline.map { ", until second \(oneDecimal($0)) at most" } ?? (attempts > 0 ? ", still trying" : "")
        let what = subject + (reason.map { ": \($0)" } ?? "")
        let sentences = advice.map { $0.hasSuffix(".") ? $0 : $0 + "." }
        return (["\(what); \(count)\(start)\(end)."] + sentences).joined(separator: " ")
    }

    /// The text of a redrawn line, at most `width` columns: `35 s, 8 attempts: cannot connect`.
    public func brief(at now: Double, width: Int) -> String {
        let tries = attempts > 0 ? ", \(counted(attempts, "attempt"))" : ""
        let seconds = max(0, Int(nearest: (now - (since ?? now)).rounded(.down)))
        let text = "\(seconds) s\(tries): \(reason ?? (subject.isEmpty ? "working" : subject))"
        return text.count <= width ? text : text.prefix(max(0, width - 3)) + "..."
    }
}

extension Wait: CustomStringConvertible {}

/// Where waits are reported: code that waits calls ``wait(for:_:)``.
///
/// What people see of a wait, and when, is decided in one place: ``WaitDisplay``.
public struct Waits: Sendable {
    /// Starts a wait and returns the number by which it is changed and ended; called on any thread.
    public var begin: @Sendable (Wait) -> Int
    /// Changes the wait of that number; called on any thread.
    public var change: @Sendable (Int, (inout Wait) -> Void) -> Void
    /// Ends the wait of that number; called on any thread.
    public var end: @Sendable (Int) -> Void
    /// Whether nobody needs any more what is waited for: whoever waits gives up soon; called on any thread.
    public var isCancelled: @Sendable () -> Bool = { false }

    /// Creates a place to report to.
    public init(
        begin: @escaping @Sendable (Wait) -> Int, change: @escaping @Sendable (Int, (inout Wait) -> Void) -> Void,
        end: @escaping @Sendable (Int) -> Void
    ) {
        self.begin = begin
        self.change = change
        self.end = end
    }

    /// Reports nothing.
    public static let untold = Waits(begin: { _ in 0 }, change: { _, _ in }, end: { _ in })

    /// Runs a part of the boot, which is reported as under way where it says nothing for too long.
    ///
    /// - Parameters:
    ///   - topic: The console's word for it, and for whatever is waited for meanwhile.
    ///   - act: What it does: "preparing the disks".
    ///   - body: The part.
    /// - Returns: What `body` returns.
    public func during<Result>(_ topic: String, _ act: String, _ body: () throws -> Result) rethrows -> Result {
        var wait = Wait(for: "", reason: act)
        wait.topic = topic
        // `rethrows` and a generic error do not go together.
        let number = begin(wait)
        defer { end(number) }
        return try body()
    }

    /// Runs `body` and reports that it waits.
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

    /// A wait that is not reported.
    public static let untold = OpenWait(number: 0, waits: .untold)

    /// Changes the wait.
    public func change(_ body: (inout Wait) -> Void) { waits.change(number, body) }

    /// Records that an attempt failed.
    public func failed(_ attempts: Int, because reason: String, advice: [String]) {
        change {
            $0.reason = reason
            $0.attempts = attempts
            $0.advice = Array(advice.prefix(1))
        }
    }

    /// Records that something arrived: the wait starts anew.
    public func progressed() {
        change {
            $0.reason = nil
            $0.attempts = 0
            $0.advice = []
            $0.since = nil
        }
    }
}

/// All current waits, and which of them to show now; a plain value.
///
/// Nothing is shown during the first ``patience`` seconds. Then a screen that can redraw a line shows the wait once,
/// with a line below that is kept up to date; a serial console and a log show it again every ``interval`` seconds.
public struct WaitDisplay: Sendable {
    /// A wait that is to be shown.
    public struct Due: Equatable, Sendable {
        /// Whether people are to read it.
        public enum News: Equatable, Sendable {
            /// People have not read it yet.
            case first
            /// It is time to show it again on consoles that redraw nothing.
            case again
            /// There is nothing new.
            case none
        }

        /// The wait.
        public var wait: Wait
        /// Whether it is new, due again, or neither.
        public var news: News
    }

    /// Seconds before a wait is shown.
    public static let patience = 5.0
    /// Seconds between two lines about the same wait.
    public static let interval = 30.0

    private var waits: [Int: Wait] = [:]
    private var next = 1
    /// When another line was last shown.
    private var toldAt = 0.0
    /// What people have read of each wait, by its number.
    private var shown: [Int: Shown] = [:]
    /// When a wait was last shown as news.
    private var shownAt = -Double.infinity

    private struct Shown {
        var since: Double
        var reason: String?
        var at: Double
    }

    /// Creates a display without waits.
    public init() {}

    /// Whether nothing is waited for.
    public var isEmpty: Bool { waits.isEmpty }

    /// Starts a wait; one without a subject is shown only while no other line is.
    public mutating func begin(_ wait: Wait, at now: Double) -> Int {
        defer { next += 1 }
        var wait = wait
        if wait.topic.isEmpty { wait.topic = waits.values.first { $0.subject.isEmpty }?.topic ?? "waiting" }
        wait.since = wait.since ?? now
        waits[next] = wait
        return next
    }

    /// Changes the wait of that number; one that has ended stays so.
    public mutating func change(_ number: Int, at now: Double, _ body: (inout Wait) -> Void) {
        guard var wait = waits[number] else { return }
        body(&wait)
        wait.since = wait.since ?? now
        waits[number] = wait
    }

    /// Ends the wait of that number.
    public mutating func end(_ number: Int) { waits[number] = nil }

    /// Sets the reason of the part of the boot that is under way.
    public mutating func doing(_ reason: String) {
        for (number, wait) in waits where wait.subject.isEmpty { waits[number]?.reason = reason }
    }

    /// Records that another line was shown.
    public mutating func told(at now: Double) { toldAt = now }

    /// The wait to show now: of those that last too long, the first that has news, or else the oldest.
    public mutating func due(at now: Double) -> Due? {
        func age(_ wait: Wait) -> Double {
            now - (wait.subject.isEmpty ? max(wait.since ?? now, toldAt) : wait.since ?? now)
        }
        let late = waits.filter { age($0.value) >= Self.patience }.sorted { one, other in
            (one.value.subject.isEmpty ? 1 : 0, one.value.since ?? now, one.key)
                < (other.value.subject.isEmpty ? 1 : 0, other.value.since ?? now, other.key)
        }
        shown = shown.filter { number, _ in late.contains { $0.key == number } }
        guard let oldest = late.first else { return nil }
        // A part of the boot is shown only while none of the waits inside it is shown.
        for (number, wait) in late where !wait.subject.isEmpty || number == oldest.key {
            let news = news(of: wait, number, at: now)
            if news != .none { return Due(wait: wait, news: news) }
        }
        return Due(wait: oldest.value, news: .none)
    }

    private mutating func news(of wait: Wait, _ number: Int, at now: Double) -> Due.News {
        // The reason of a part of the boot changes all the time, so it makes no new line.
        let isPart = wait.subject.isEmpty
        let new = Shown(since: isPart ? 0 : wait.since ?? now, reason: isPart ? nil : wait.reason, at: now)
        let isRead = shown[number].map { $0.since == new.since && $0.reason == new.reason } ?? false
        if isRead {
            guard let at = shown[number]?.at, now - at >= wait.interval else { return .none }
        } else if now - shownAt < Self.patience {
            return .none
        }
        shown[number] = new
        shownAt = now
        return isRead ? .again : .first
    }
}
