// When to try again, and how soon.

/// How long to wait before the next attempt.
public struct RetryPolicy: Equatable, Sendable {
    /// Seconds before the second attempt; doubled from attempt to attempt.
    public var firstDelay: Double
    public var longestDelay: Double
    /// The longest `Retry-After` that is obeyed, in seconds.
    public var longestAskedDelay: Double
    /// The part of a delay that is left to chance, so that many machines do not come back at once.
    public var jitter: Double

    /// For what a boot cannot do without: until it works.
    public static let patient = RetryPolicy(firstDelay: 0.2, longestDelay: 5, longestAskedDelay: 30, jitter: 0.5)
    /// Ignition's own delays.
    public static let ignition = RetryPolicy(firstDelay: 0.2, longestDelay: 5, longestAskedDelay: 0, jitter: 0)

    /// - Parameters:
    ///   - failures: Attempts that failed since something was last achieved, 1 or more.
    ///   - asked: What the server asks for, in seconds.
    ///   - chance: A random number from 0 to 1.
    /// - Returns: Seconds.
    public func delay(afterFailures failures: Int, asked: Int?, chance: Double) -> Double {
        let doubled = firstDelay * Double(1 << min(max(failures - 1, 0), 20))
        let own = min(doubled, longestDelay) * (1 - jitter * chance)
        return asked.map { max(own, min(Double($0), longestAskedDelay)) } ?? own
    }
}

extension TransferFault {
    /// Seconds that the server asks to wait.
    public var retryAfter: Int? {
        guard case .status(_, let seconds) = self else { return nil }
        return seconds
    }

    /// Whether Ignition tries again: after network faults and server errors, never after another status.
    ///
    /// Ignition itself also goes on, silently and for ever, after a certificate that it does not trust.
    public var isTransientForIgnition: Bool {
        if case .status(let status, _) = self { return status >= 500 }
        return isTransient
    }
}
