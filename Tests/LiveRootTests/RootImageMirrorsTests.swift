import Glibc
import LinuxSystem
import LiveImage
import Testing

@testable import LiveRoot

private let refusal = RootImageError.transfer(source: "a", .status(404))

@Suite struct Mirrors {
    @Test func oneMirrorIsTriedForEver() {
        var mirrors = RootImageMirrors(count: 1, areInterchangeable: false)
        let next = (1...30).map { _ in mirrors.failed(reason: "reset", progressed: false, holdsBytes: true) }
        #expect(next.allSatisfy { $0.mirror == 0 })
        #expect(next.map(\.failures) == Array(1...30))
        #expect(mirrors.attempt == 31)
    }

    @Test func theSameFailureIsNotNewsForEver() {
        var mirrors = RootImageMirrors(count: 1, areInterchangeable: false)
        func times(_ reason: String, _ count: Int, progressed: Bool = false) -> [Int] {
            (1...count).filter { _ in
                mirrors.failed(reason: reason, progressed: progressed, holdsBytes: true).isNewReason
            }
        }
        // The rest is told as what is waited for.
        #expect(times("refused", 30) == [1])
        #expect(times("timeout", 4) == [1])
        #expect(times("timeout", 4, progressed: true) == [1, 2, 3, 4])
    }

    @Test func interchangeableMirrorsTakeTurns() {
        var mirrors = RootImageMirrors(count: 3, areInterchangeable: true)
        let next = (1...7).map { _ in mirrors.failed(reason: "reset", progressed: false, holdsBytes: true) }
        #expect(next.map(\.mirror) == [1, 2, 0, 1, 2, 0, 1])
        // The delay grows once per round.
        #expect(next.map(\.failures) == [1, 1, 1, 2, 2, 2, 3])
    }

    @Test func otherMirrorsWouldStartOverAndGetTheirTurnLater() {
        var mirrors = RootImageMirrors(count: 2, areInterchangeable: false)
        let stuck = (1...4).map { _ in mirrors.failed(reason: "reset", progressed: false, holdsBytes: true).mirror }
        #expect(stuck == [0, 0, 1, 1])
        let moving = (1...6).map { _ in mirrors.failed(reason: "reset", progressed: true, holdsBytes: true) }
        #expect(moving.allSatisfy { $0.mirror == 1 && $0.failures == 1 })
        let empty = (1...3).map { _ in mirrors.failed(reason: "reset", progressed: false, holdsBytes: false).mirror }
        #expect(empty == [0, 1, 0])
    }

    @Test func refusedMirrorsAreLeftOut() {
        var mirrors = RootImageMirrors(count: 3, areInterchangeable: true)
        let hasAnother = mirrors.refuse(refusal)
        #expect(hasAnother)
        #expect(mirrors.current == 1)
        let next = (1...3).map { _ in mirrors.failed(reason: "x", progressed: false, holdsBytes: false).mirror }
        #expect(next == [2, 1, 2])
        #expect(mirrors.refusal == nil)
        let left = [mirrors.refuse(refusal), mirrors.refuse(.noURL)]
        #expect(left == [true, false])
        #expect(mirrors.refusal == .everyMirror([refusal, .noURL, refusal]))
    }

    @Test func theOnlyRefusalIsTheReason() {
        var mirrors = RootImageMirrors(count: 1, areInterchangeable: true)
        let hasAnother = mirrors.refuse(refusal)
        #expect(!hasAnother)
        #expect(mirrors.refusal == refusal)
    }
}

@Suite struct Blocks {
    private struct Enough: Error {}

    /// What the other thread got, block by block.
    private func run(_ pipe: BlockPipe, pushing pieces: [[UInt8]], complete: Bool) throws -> [([UInt8], Bool)] {
        var got: [([UInt8], Bool)] = []
        try pipe.run { block, isLast in
            got.append((Array(block), isLast))
        } produce: {
            for piece in pieces { try piece.withUnsafeBytes { try pipe.push($0) } }
            if complete { pipe.complete() }
        }
        return got
    }

    @Test func blocksAreWholeAndInOrder() throws {
        let pipe = BlockPipe(chunkSize: 3 << 20)
        #expect(pipe.blockSize == 3 << 20)
        #expect(BlockPipe(chunkSize: 700_000).blockSize == 1_400_000)
        #expect(BlockPipe(chunkSize: 1).blockSize == 2 << 20)
        let pieces = (0..<1000).map { [UInt8](repeating: UInt8(truncatingIfNeeded: $0), count: 10_000) }
        let got = try run(pipe, pushing: pieces, complete: true)
        let lengths: [Int] = [3_145_728, 3_145_728, 3_145_728, 562_816]
        #expect(got.map(\.0.count) == lengths)
        #expect(got.map(\.1) == [false, false, false, true])
        #expect(starts(got.map(\.0).reduce([], +), with: pieces.reduce([], +)))
    }

    @Test("a slow consumer is waited for, and gets every block as it was pushed")
    func aSlowConsumer() throws {
        let pipe = BlockPipe(chunkSize: 2 << 20)
        func block(_ number: Int) -> [UInt8] { [UInt8](repeating: UInt8(number), count: 2 << 20) }
        let taken = Monitor(0)
        try pipe.run { bytes, isLast in
            usleep(2000)
            let number = taken.change { $0 }
            if isLast {
                #expect(number == 20 && bytes.isEmpty)
            } else {
                #expect(block(number).withUnsafeBytes { starts(Array(bytes), with: Array($0)) }, "\(number)")
                taken.change { $0 += 1 }
            }
        } produce: {
            for number in 0..<20 {
                try block(number).withUnsafeBytes { try pipe.push($0) }
                // There are three blocks, and the one that is being emptied is among them.
                let ahead = number + 1 - taken.change { $0 }
                #expect(ahead <= 3)
            }
            pipe.complete()
        }
        #expect(taken.change { $0 } == 20)
    }

    @Test func aPartOfABlockStaysForTheNextRun() throws {
        let pipe = BlockPipe(chunkSize: 4 << 20)
        let first = try run(pipe, pushing: [[1, 2, 3]], complete: false)
        #expect(first.isEmpty)
        #expect(pipe.pending == 3)
        #expect(try run(pipe, pushing: [[4]], complete: true).map(\.0) == [[1, 2, 3, 4]])
        _ = try run(pipe, pushing: [[5]], complete: false)
        pipe.discardPending()
        #expect(try run(pipe, pushing: [], complete: true).map(\.0) == [[]])
    }

    @Test("what the consumer throws ends the run, and nothing of it is left", arguments: 0..<20)
    func consumerThrows(pieces: Int) throws {
        let pipe = BlockPipe(chunkSize: 2 << 20)
        let block = [UInt8](repeating: 0, count: 2 << 20)
        #expect(throws: Enough.self) {
            try pipe.run { _, _ in
                throw Enough()
            } produce: {
                for _ in 0...pieces { try block.withUnsafeBytes { try pipe.push($0) } }
            }
        }
        pipe.discardPending()
        #expect(try run(pipe, pushing: [block, block], complete: true).map(\.0.count) == [2 << 20, 2 << 20, 0])
    }

    @Test func whatTheProducerThrowsEndsItAfterTheFullBlocks() throws {
        let pipe = BlockPipe(chunkSize: 2 << 20)
        var count = 0
        #expect(throws: Enough.self) {
            try pipe.run { block, _ in
                count += block.count
            } produce: {
                try [UInt8](repeating: 0, count: 5 << 20).withUnsafeBytes { try pipe.push($0) }
                throw Enough()
            }
        }
        #expect(count == 4 << 20)
        #expect(pipe.pending == 1 << 20)
    }
}
