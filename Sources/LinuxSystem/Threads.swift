// Threads, and values that they share.

import Glibc
import Reporting
import Synchronization
import SystemPackage

/// A value that threads share; they can wait for it to change.
public final class Monitor<Value: Sendable>: Sendable {
    private let value: Mutex<Value>
    private let changes = ChangeSignal()

    /// Makes a monitor of a first value.
    public init(_ value: Value) { self.value = Mutex(value) }

    /// Changes the value and wakes whoever waits for it.
    public func change<Result>(_ body: (inout Value) throws -> Result) rethrows -> Result {
        defer { changes.announce() }
        return try value.withLock { value in try body(&value) }
    }

    /// Waits until `body` takes something from the value.
    public func wait<Result>(for body: (inout Value) -> Result?) -> Result {
        while true {
            // A change after this one ends the wait below.
            let seen = changes.count
            if let result = value.withLock({ value in body(&value) }) {
                changes.announce()
                return result
            }
            changes.wait(after: seen)
        }
    }
}

/// Counts changes, and lets threads wait for the next one: `Mutex` knows no waiting.
private final class ChangeSignal: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var changes: UInt64 = 0

    init() {
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, nil)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    var count: UInt64 {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return changes
    }

    func announce() {
        pthread_mutex_lock(mutex)
        changes &+= 1
        pthread_cond_broadcast(condition)
        pthread_mutex_unlock(mutex)
    }

    func wait(after seen: UInt64) {
        pthread_mutex_lock(mutex)
        while changes == seen { pthread_cond_wait(condition, mutex) }
        pthread_mutex_unlock(mutex)
    }
}

/// A thread that could not be started.
public struct ThreadFault: Error, Equatable, CustomStringConvertible, Advising {
    /// What the system said.
    public var reason: Errno

    /// What went wrong, for a message.
    public var description: String { "cannot start a thread: \(reason)" }

    /// What the operator can do.
    public var advice: [String] { ["RAM was used up: give the machine more."] }
}

/// Runs `body` on a thread of its own and `meanwhile` on this one; returns when both have ended.
///
/// What both touch must be guarded by a ``Monitor``, or be handed over through one.
/// - Throws: What `meanwhile` throws, or ``ThreadFault``.
public func withThread<Result>(
    _ body: @Sendable () -> Void, meanwhile: () throws -> Result
) throws -> Result {
    try withoutActuallyEscaping(body) { body in
        let context = Unmanaged.passRetained(ThreadBody(body))
        var thread = pthread_t()
        let result = pthread_create(
            &thread, nil,
            { context in
                if let context { Unmanaged<ThreadBody>.fromOpaque(context).takeRetainedValue().run() }
                return nil
            }, context.toOpaque())
        guard result == 0 else {
            context.release()
            throw ThreadFault(reason: Errno(rawValue: result))
        }
        defer { pthread_join(thread, nil) }
        return try meanwhile()
    }
}

/// Runs `body` once for each number below `count`, on several threads; returns when all calls have ended.
///
/// At most `limit` calls run at once, and fewer where no more threads can be started.
public func inParallel(_ count: Int, limit: Int, _ body: @Sendable (Int) -> Void) {
    let next = Monitor(0)
    @Sendable func work() {
        while case let number = next.change({ next in
            defer { next += 1 }
            return next
        }), number < count {
            body(number)
        }
    }
    func work(on threads: Int) {
        guard threads > 1 else { return work() }
        do { try withThread(work) { work(on: threads - 1) } } catch { work() }
    }
    work(on: min(limit, count))
}

/// Runs `body` on a thread of its own, without waiting for it.
///
/// - Throws: Where no thread can be started; `body` has then not run.
public func startThread(_ body: @escaping @Sendable () -> Void) throws(ThreadFault) {
    let context = Unmanaged.passRetained(ThreadBody(body))
    var thread = pthread_t()
    let result = pthread_create(
        &thread, nil,
        { context in
            if let context { Unmanaged<ThreadBody>.fromOpaque(context).takeRetainedValue().run() }
            return nil
        }, context.toOpaque())
    guard result == 0 else {
        context.release()
        throw ThreadFault(reason: Errno(rawValue: result))
    }
    pthread_detach(thread)
}

private final class ThreadBody {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}
