// Reporting: how facts become text: failures, amounts, suggestions, waits. No I/O.

/// An error that knows what the operator can do about it.
public protocol Advising: Error {
    /// Short imperative lines, the most useful first; empty if there is nothing to do.
    var advice: [String] { get }
}

/// Why the boot stopped, and the steps under way at that moment, outermost first.
public struct BootFailure: Error, CustomStringConvertible, Sendable {
    /// Phrases that follow "while", outermost first.
    public var steps: [String]
    /// The error that ended the innermost step.
    public let cause: any Error

    /// Creates a failure.
    public init(steps: [String] = [], cause: any Error) {
        self.steps = steps
        self.cause = cause
    }

    /// One line, for the kernel log.
    public var description: String { (steps + ["\(cause)"]).joined(separator: ": ") }

    /// What the operator can do.
    public var advice: [String] { (cause as? any Advising)?.advice ?? [] }
}

/// Runs a step; everything it throws becomes a ``BootFailure`` that names the step.
///
/// - Parameters:
///   - name: What is being done, as a phrase that follows "while": "opening /dev/vda".
///   - body: The step.
/// - Returns: What `body` returns.
/// - Throws: ``BootFailure`` with `name` as its outermost step.
public func step<T>(_ name: @autoclosure () -> String, _ body: () throws -> T) throws(BootFailure) -> T {
    do {
        return try body()
    } catch var failure as BootFailure {
        failure.steps.insert(name(), at: 0)
        throw failure
    } catch {
        throw BootFailure(steps: [name()], cause: error)
    }
}
