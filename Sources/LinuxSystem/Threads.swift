// Threads, and values that they share.

import Glibc
import SystemPackage

/// A value that threads share and for whose changes they can wait.
public final class Monitor<Value>: @unchecked Sendable {
    private var value: Value
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    /// Creates a monitor with its first value.
    public init(_ value: Value) {
        self.value = value
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(changed, nil)
    }

    deinit {
        pthread_cond_destroy(changed)
        pthread_mutex_destroy(mutex)
        changed.deallocate()
        mutex.deallocate()
    }

    /// Changes the value and wakes all threads that wait for it.
    public func change<Result>(_ body: (inout Value) throws -> Result) rethrows -> Result {
        pthread_mutex_lock(mutex)
        defer {
            pthread_cond_broadcast(changed)
            pthread_mutex_unlock(mutex)
        }
        return try body(&value)
    }

    /// Waits until `body` returns something for the value.
    public func wait<Result>(for body: (inout Value) -> Result?) -> Result {
        pthread_mutex_lock(mutex)
        defer {
            pthread_cond_broadcast(changed)
            pthread_mutex_unlock(mutex)
        }
        while true {
            if let result = body(&value) { return result }
            pthread_cond_wait(changed, mutex)
        }
    }
}

/// A thread that could not be started.
public struct ThreadFault: Error, Equatable, CustomStringConvertible {
    public var reason: Errno

    public var description: String { "cannot start a thread: \(reason)" }
}

/// Runs `body` on a thread of its own and `meanwhile` on this one; returns when both have ended.
///
/// What both touch must be guarded by a ``Monitor``, or be handed over through one.
/// - Throws: What `meanwhile` throws, or ``ThreadFault``.
public func withThread<Result>(_ body: () -> Void, meanwhile: () throws -> Result) throws -> Result {
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
/// At most `limit` calls run at once; fewer if threads cannot be created.
public func inParallel(_ count: Int, limit: Int, _ body: (Int) -> Void) {
    let next = Monitor(0)
    func work() {
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
/// - Throws: Where there is no thread to be had; `body` has then not run.
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
    let run: () -> Void
    init(_ run: @escaping () -> Void) { self.run = run }
}
