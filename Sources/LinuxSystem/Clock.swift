// The machine's clock. Without a battery it starts in 1970, or at a date that the firmware chooses.

import Glibc

/// How the clock is read and set; times are seconds since 1970.
public struct MachineClock: Sendable {
    /// The date of the program's sources, before which no clock can be right; 0 if it is unknown.
    public var buildDate: Int
    /// Reads the clock.
    public var now: @Sendable () -> Int
    /// Sets the clock; returns whether that worked.
    public var set: @Sendable (Int) -> Bool

    /// Creates a clock from functions that read and set it.
    public init(
        buildDate: Int, now: @escaping @Sendable () -> Int, set: @escaping @Sendable (Int) -> Bool
    ) {
        self.buildDate = buildDate
        self.now = now
        self.set = set
    }

    /// The clock of this machine.
    public static let system = MachineClock(
        buildDate: Build.date, now: { time(nil) },
        set: { seconds in
            var wanted = timespec(tv_sec: seconds, tv_nsec: 0)
            return clock_settime(CLOCK_REALTIME, &wanted) == 0
        })

    /// A change of the clock, to be reported.
    public struct Change: Equatable, Sendable, CustomStringConvertible {
        /// The time before.
        public var from: Int
        /// The time after.
        public var to: Int
        /// Where the new time comes from.
        public var source: String

        /// Both times and the source, for a message.
        public var description: String { "set from \(utcText(from)) to \(utcText(to)), \(source)" }
    }

    /// Whether the clock may be far behind: it is before the build, or less than a day after it.
    public var isDoubtful: Bool { now() < buildDate + 86400 }

    /// Sets a clock that is before the build to the date of the build.
    ///
    /// - Returns: The change; `nil` if none was needed or possible.
    public func catchUp() -> Change? {
        let found = now()
        guard found < buildDate, set(buildDate) else { return nil }
        return Change(from: found, to: buildDate, source: "the date of this program")
    }

    /// Sets a doubtful clock forward, never back, to a server's date.
    ///
    /// - Parameters:
    ///   - date: The date that the server sent with bytes that a hash or a signature verifies.
    ///   - source: The server's name for messages.
    /// - Returns: The change; `nil` if none was needed or possible.
    public func setForward(to date: Int, of source: String) -> Change? {
        let found = now()
        // A request may take up to a minute.
        guard isDoubtful, date > found + 60, set(date) else { return nil }
        return Change(from: found, to: date, source: "the date that \(source) tells")
    }
}

/// A time as `2026-11-01 09:30 UTC`.
public func utcText(_ seconds: Int) -> String {
    let time = UTCTime(seconds)
    return "\(time.date("-")) \(padded(time.hour)):\(padded(time.minute)) UTC"
}

/// A time in UTC, split into its parts.
public struct UTCTime: Sendable {
    /// The year.
    public var year: Int
    /// The month, from 1.
    public var month: Int
    /// The day of the month, from 1.
    public var day: Int
    /// The hour, from 0.
    public var hour: Int
    /// The minute, from 0.
    public var minute: Int
    /// The second, from 0.
    public var second: Int

    /// Splits a time in seconds since 1970.
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

    /// The date with the given text between its parts: `2026-11-01`.
    public func date(_ separator: String) -> String { "\(year)\(separator)\(padded(month))\(separator)\(padded(day))" }

    /// The time in the basic format of ISO 8601: `20130524T000000Z`.
    public var basicText: String { "\(date(""))T\(padded(hour))\(padded(minute))\(padded(second))Z" }
}

private func padded(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
