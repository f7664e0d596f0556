// Reporting: how this project puts facts into words: failures, amounts, suggestions. No I/O.

/// An error that knows what the operator can do about it.
public protocol Advising: Error {
    /// Short imperative lines, most useful first; empty where there is nothing to do.
    var advice: [String] { get }
}

/// Why the boot stopped, and the steps under way at that moment, outermost first.
public struct BootFailure: Error, CustomStringConvertible, Sendable {
    public var steps: [String]
    public let cause: any Error

    public init(steps: [String] = [], cause: any Error) {
        self.steps = steps
        self.cause = cause
    }

    /// One line, for the kernel log.
    public var description: String { (steps + ["\(cause)"]).joined(separator: ": ") }

    /// What the operator can do.
    public var advice: [String] { (cause as? any Advising)?.advice ?? [] }
}

/// Runs `body`; whatever it throws leaves here knowing that it happened while `name`.
///
/// - Parameter name: The act under way, as a phrase that follows "while": "opening /dev/vda".
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
