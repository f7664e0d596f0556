// Blocks of bytes on their way from the thread that reads them to one that verifies and unpacks them.

import Glibc
import LinuxSystem
import SystemPackage

/// A few blocks of memory that circulate between two threads: one fills them, the other empties them.
///
/// A partly filled block is kept between runs, so that a transfer can continue where it stopped.
final class BlockPipe {
    /// The other thread takes no more blocks, for a reason of its own.
    struct Stopped: Error {}

    /// A block is touched by whoever took it out of a list, and by nobody else.
    private struct State: @unchecked Sendable {
        var free: [UnsafeMutableRawBufferPointer]
        var full: [UnsafeMutableRawBufferPointer] = []
        /// Whether no more blocks will come in this run.
        var isClosed = false
        var isStopped = false
    }

    /// What one side gets from the other.
    private enum Turn {
        case block(UnsafeMutableRawBufferPointer)
        case end
    }

    let blockSize: Int
    private let blocks: [UnsafeMutableRawBufferPointer]
    private let state: Monitor<State>
    private var current: UnsafeMutableRawBufferPointer?
    private var isComplete = false

    /// The bytes in the block that is being filled.
    private(set) var pending = 0

    /// Creates a pipe whose blocks are a multiple of `chunkSize` long, near 2 MiB if possible.
    init(chunkSize: Int) {
        let usual = 2 << 20
        blockSize = chunkSize * max(1, usual / chunkSize)
        let count = blockSize <= 2 * usual ? 3 : 2
        let size = blockSize
        blocks = (0..<count).map { _ in .allocate(byteCount: size, alignment: 4096) }
        state = Monitor(State(free: blocks))
    }

    deinit { blocks.forEach { $0.deallocate() } }

    /// Runs `produce` here and `consume` on a thread of its own, one call per block, until both are done.
    ///
    /// - Parameters:
    ///   - consume: Takes the bytes in order; `true` means that the stream ends with them. What it throws ends the run.
    ///   - produce: Calls ``push(_:)``, and ``complete()`` at the end of the stream. What it throws ends the run too,
    ///     after the full blocks were consumed.
    /// - Throws: What `consume` or else `produce` threw.
    func run(
        consume: (UnsafeRawBufferPointer, _ isLast: Bool) throws -> Void, produce: () throws -> Void
    ) throws {
        isComplete = false
        state.change {
            $0.isClosed = false
            $0.isStopped = false
        }
        try withoutActuallyEscaping(consume) { consume in
            let consumer = Consumer(pipe: self, consume: consume)
            do {
                try withThread {
                    consumer.run()
                } meanwhile: {
                    defer { state.change { $0.isClosed = true } }
                    try produce()
                }
                if consumer.failure == nil, isComplete {
                    let rest = UnsafeRawBufferPointer(start: current?.baseAddress, count: pending)
                    try consume(rest, true)
                    discardPending()
                }
            } catch {
                throw consumer.failure ?? error
            }
            if let failure = consumer.failure { throw failure }
        }
    }

    /// The side of the other thread, which alone calls `consume` until it has ended.
    private final class Consumer: @unchecked Sendable {
        private let pipe: BlockPipe
        private let consume: (UnsafeRawBufferPointer, _ isLast: Bool) throws -> Void
        /// Why it took no more; read when the thread has ended.
        private(set) var failure: (any Error)?

        init(pipe: BlockPipe, consume: @escaping (UnsafeRawBufferPointer, _ isLast: Bool) throws -> Void) {
            self.pipe = pipe
            self.consume = consume
        }

        func run() { do { try pipe.emptyBlocks(consume) } catch { failure = error } }
    }

    /// Adds bytes to the stream; waits while all blocks are full.
    func push(_ bytes: UnsafeRawBufferPointer) throws(Stopped) {
        var rest = bytes
        while !rest.isEmpty {
            let block = try currentBlock()
            let part = UnsafeRawBufferPointer(rebasing: rest.prefix(blockSize - pending))
            UnsafeMutableRawBufferPointer(rebasing: block[pending...]).copyMemory(from: part)
            rest = UnsafeRawBufferPointer(rebasing: rest[part.count...])
            filled(part.count, of: block)
        }
    }

    /// A slow medium takes seconds to fill a whole block, and progress would be shown as rarely.
    private static let longestRead = 256 << 10

    /// Adds the result of one read(2); returns its length, 0 at the end of the file.
    func read(from descriptor: Int32) throws -> Int {
        let block = try currentBlock()
        let wanted = min(blockSize - pending, Self.longestRead)
        while true {
            let count = Glibc.read(descriptor, block.baseAddress?.advanced(by: pending), wanted)
            if count >= 0 {
                filled(count, of: block)
                return count
            }
            let reason = errno
            if reason != EINTR { throw Errno(rawValue: reason) }
        }
    }

    /// Ends the stream with what was pushed.
    func complete() { isComplete = true }

    /// Discards the bytes of the block that is being filled.
    func discardPending() { pending = 0 }

    private func currentBlock() throws(Stopped) -> UnsafeMutableRawBufferPointer {
        if let current, pending < blockSize { return current }
        let next = state.wait { state -> Turn? in
            if state.isStopped { return .end }
            return state.free.popLast().map { .block($0) }
        }
        guard case .block(let block) = next else { throw Stopped() }
        current = block
        return block
    }

    private func filled(_ count: Int, of block: UnsafeMutableRawBufferPointer) {
        pending += count
        guard pending == blockSize else { return }
        state.change { state in
            // Nobody would take the block any more, and the next run must not find it.
            if state.isStopped { state.free.append(block) } else { state.full.append(block) }
        }
        current = nil
        pending = 0
    }

    fileprivate func emptyBlocks(_ consume: (UnsafeRawBufferPointer, Bool) throws -> Void) throws {
        defer {
            state.change { state in
                state.isStopped = true
                state.free += state.full
                state.full = []
            }
        }
        while true {
            let next = state.wait { state -> Turn? in
                if !state.full.isEmpty { return .block(state.full.removeFirst()) }
                return state.isClosed ? .end : nil
            }
            guard case .block(let block) = next else { return }
            defer { state.change { $0.free.append(block) } }
            try consume(UnsafeRawBufferPointer(block), false)
        }
    }
}
