// The machine's clock. One without a battery starts at 1970, or wherever its firmware likes.

import Glibc

/// What the clock may be set to, and how. Times are seconds since 1970.
public struct MachineClock: Sendable {
    /// No clock is right that is before it: the date of the sources that this program was built from; 0 where
    /// that is not known.
    public var buildDate: Int
    public var now: @Sendable () -> Int
    /// Sets it; whether that worked.
    public var set: @Sendable (Int) -> Bool

    public init(
        buildDate: Int, now: @escaping @Sendable () -> Int, set: @escaping @Sendable (Int) -> Bool
    ) {
        self.buildDate = buildDate
        self.now = now
        self.set = set
    }

    /// Of this machine.
    public static let system = MachineClock(
        buildDate: Build.date, now: { time(nil) },
        set: { seconds in
            var wanted = timespec(tv_sec: seconds, tv_nsec: 0)
            return clock_settime(CLOCK_REALTIME, &wanted) == 0
        })

    /// A change of the clock, to be told.
    public struct Change: Equatable, Sendable, CustomStringConvertible {
        public var from: Int
        public var to: Int
        /// Whose date it is.
        public var source: String

        public var description: String { "set from \(utcText(from)) to \(utcText(to)), \(source)" }
    }

    /// Whether the clock may be far behind: it is before the build, or stands where ``catchUp()`` has set it.
    public var isDoubtful: Bool { now() < buildDate + 86400 }

    /// Sets a clock that is before the build to its date.
    ///
    /// - Returns: `nil` where nothing was to be done, or could be.
    public func catchUp() -> Change? {
        let found = now()
        guard found < buildDate, set(buildDate) else { return nil }
        return Change(from: found, to: buildDate, source: "the date of this program")
    }

    /// Sets a doubtful clock forward, never back, to a server's date.
    ///
    /// - Parameters:
    ///   - date: What the server said with bytes that a hash or a signature vouches for.
    ///   - source: The server, for people.
    /// - Returns: `nil` where nothing was to be done, or could be.
    public func setForward(to date: Int, of source: String) -> Change? {
        let found = now()
        // A minute is what a request may take.
        guard isDoubtful, date > found + 60, set(date) else { return nil }
        return Change(from: found, to: date, source: "the date that \(source) tells")
    }
}

/// `2026-11-01 09:30 UTC`.
public func utcText(_ seconds: Int) -> String {
    let time = UTCTime(seconds)
    return "\(time.date("-")) \(padded(time.hour)):\(padded(time.minute)) UTC"
}

/// A moment taken apart, in UTC.
public struct UTCTime: Sendable {
    public var year: Int
    public var month: Int
    public var day: Int
    public var hour: Int
    public var minute: Int
    public var second: Int

    /// - Parameter seconds: Since 1970.
    public init(_ seconds: Int) {
        var seconds = seconds
        var parts = tm()
        gmtime_r(&seconds, &parts)
        year = Int(parts.tm_year) + 1900
        month = Int(parts.tm_mon) + 1
        day = Int(parts.tm_mday)
        hour = Int(parts.tm_hour)
        minute = Int(parts.tm_min)
        second = Int(parts.tm_sec)
    }

    /// `2026-11-01`, with this between its parts.
    public func date(_ separator: String) -> String { "\(year)\(separator)\(padded(month))\(separator)\(padded(day))" }

    /// ISO 8601's basic form: `20130524T000000Z`.
    public var basicText: String { "\(date(""))T\(padded(hour))\(padded(minute))\(padded(second))Z" }
}

private func padded(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
