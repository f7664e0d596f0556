import Reporting
import Testing

private let mebibyte: UInt64 = 1 << 20

@Suite struct ProgressText {
    @Test(
        "one line says how far",
        arguments: [
            (
                TransferProgress(bytes: 51_485_082, total: 98_985_574, rate: 29_360_128),
                "49.1 of 94.4 MiB  52 %  28 MiB/s  2 s left"
            ),
            (TransferProgress(bytes: 0, total: 94 * mebibyte), "0 of 94 MiB  0 %"),
            (TransferProgress(bytes: 5 * mebibyte, total: nil, rate: 1024), "5 MiB  1 KiB/s"),
            (TransferProgress(bytes: mebibyte, total: mebibyte, rate: 10), "1 of 1 MiB  100 %  10 B/s"),
            (
                TransferProgress(bytes: mebibyte, total: 1024 * mebibyte, rate: 102_400),
                "0 of 1 GiB  0 %  100 KiB/s  2 h 55 min left"
            ),
            (TransferProgress(bytes: 1, total: 1 << 40, rate: 1), "0 of 1 TiB  0 %  1 B/s  days left"),
            (TransferProgress(bytes: 400, total: 1000, rate: 1000), "400 of 1000 B  40 %  1000 B/s  1 s left"),
        ])
    func line(progress: TransferProgress, text: String) {
        #expect(progress.description == text)
        #expect(progress.description.count <= 56)
    }

    @Test func theRateIsThatOfTheLastSeconds() {
        var meter = RateMeter()
        let quick: [(Double, UInt64)] = [(0, 0), (0.1, 100), (1, 1000)]
        let slow = (2...11).map { (second: UInt64) -> (Double, UInt64) in (Double(second), 950 + second * 50) }
        let rates = (quick + slow).map { meter.rate(at: $0.0, bytes: $0.1) }
        #expect(rates.prefix(3) == [nil, nil, 1000])
        #expect(rates.last == 50)
        // Starting over forgets what was.
        #expect([(11.5, 0), (12.5, 70)].map { meter.rate(at: $0.0, bytes: $0.1) } == [nil, 70])
    }
}

@Suite struct ProgressLines {
    @Test func aLogGetsALineEveryTenPercent() {
        var pace = ProgressPace(console: .log)
        let shown = (0...1000).filter {
            pace.shows(TransferProgress(bytes: UInt64($0), total: 1000), at: Double($0) / 1000)
        }
        #expect(shown == [100, 200, 300, 400, 500, 600, 700, 800, 900])
    }

    @Test func aJumpIsOneLineAndStartingOverStartsOver() {
        var pace = ProgressPace(console: .log)
        let shown = [55, 59, 3, 11].filter { pace.shows(TransferProgress(bytes: $0, total: 100), at: 0) }
        #expect(shown == [55, 11])
    }

    @Test func aLogOfUnknownLengthGetsALineEveryTenSeconds() {
        var pace = ProgressPace(console: .log)
        let shown = (1...35).filter { pace.shows(TransferProgress(bytes: UInt64($0), total: nil), at: Double($0)) }
        #expect(shown == [6, 16, 26])
    }

    @Test func aSlowTransferIsToldAfterFiveSecondsAndThenEveryThirty() {
        var pace = ProgressPace(console: .log)
        let shown = (1...100).filter { pace.shows(TransferProgress(bytes: UInt64($0), total: 10000), at: Double($0)) }
        #expect(shown == [6, 36, 66, 96])
    }

    @Test func aTerminalIsDrawnFiveTimesASecond() {
        var pace = ProgressPace(console: .terminal)
        let shown = (1...10).filter {
            pace.shows(TransferProgress(bytes: UInt64($0), total: 100), at: Double($0) / 8)
        }
        #expect(shown == [1, 3, 5, 7, 9])
        let showsTheEnd = pace.shows(TransferProgress(bytes: 100, total: 100), at: 9)
        #expect(!showsTheEnd)
    }
}
