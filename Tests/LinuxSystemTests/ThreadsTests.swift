import LinuxSystem
import Testing

@Suite struct Threads {
    @Test("each number is worked on once, on no more threads than allowed", arguments: [0, 1, 3, 50], [1, 4])
    func parallel(count: Int, limit: Int) {
        let seen = Monitor((numbers: [Int](), running: 0, most: 0))
        inParallel(count, limit: limit) { number in
            seen.change {
                $0.numbers.append(number)
                $0.running += 1
                $0.most = max($0.most, $0.running)
            }
            seen.change { $0.running -= 1 }
        }
        let outcome = seen.change { $0 }
        #expect(outcome.numbers.sorted() == Array(0..<count))
        #expect(outcome.most <= limit)
    }
}
