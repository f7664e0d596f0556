// When to try again.

/// How long to wait before the next attempt, in seconds.
public struct RetryPolicy: Equatable, Sendable {
    /// Seconds before the second attempt, doubled for each further one.
    public var firstDelay: Double
    /// The longest own delay in seconds.
    public var longestDelay: Double
    /// The longest `Retry-After` that is followed, in seconds.
    public var longestAskedDelay: Double
    /// The random part of a delay, so that many machines do not retry at the same time.
    public var jitter: Double

    /// Delays for what a boot needs, which is retried until it works.
    public static let patient = RetryPolicy(firstDelay: 0.2, longestDelay: 5, longestAskedDelay: 30, jitter: 0.5)
    /// The delays of Ignition.
    public static let ignition = RetryPolicy(firstDelay: 0.2, longestDelay: 5, longestAskedDelay: 0, jitter: 0)

    /// The delay before the next attempt.
    ///
    /// - Parameters:
    ///   - failures: How many attempts failed since the last progress, 1 or more.
    ///   - asked: The delay that the server asks for, in seconds.
    ///   - chance: A random number from 0 to 1.
    /// - Returns: The delay in seconds.
    public func delay(afterFailures failures: Int, asked: Int?, chance: Double) -> Double {
        let doubled = firstDelay * Double(1 << min(max(failures - 1, 0), 20))
        let own = min(doubled, longestDelay) * (1 - jitter * chance)
        return asked.map { max(own, min(Double($0), longestAskedDelay)) } ?? own
    }
}

extension TransferFault {
    /// The seconds that the server asks to wait.
    public var retryAfter: Int? {
        guard case .status(_, let seconds) = self else { return nil }
        return seconds
    }

    /// Whether Ignition tries again: after network faults and server errors, never after another status.
    ///
    /// One difference: Ignition itself retries silently and forever if it does not trust a certificate.
    public var isTransientForIgnition: Bool {
        if case .status(let status, _) = self { return status >= 500 }
        return isTransient
    }
}
