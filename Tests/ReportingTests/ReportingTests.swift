import Reporting
import Testing

@Suite("amounts")
struct AmountTests {
    @Test(
        arguments: [
            (0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536, "1.5 KiB"), (98_985_984, "94.4 MiB"),
            (4 << 30, "4 GiB"), (UInt64.max, "16 EiB"),
        ] as [(UInt64, String)])
    func bytesAreReadable(bytes: UInt64, text: String) {
        #expect(ByteCount(bytes).description == text)
    }

    @Test(
        "any amount can be told",
        arguments: [.nan, .infinity, -.infinity, .greatestFiniteMagnitude, 9.3e18, -9.3e18, 0x1p63, 1e300])
    func anyAmount(amount: Double) {
        #expect(!oneDecimal(amount).isEmpty)
        #expect(!ConsoleLine(seconds: amount, topic: "x", text: "y").description.isEmpty)
        #expect(!TransferProgress(bytes: 1, total: 2, rate: amount).description.isEmpty)
        var wait = Wait(for: "http://a", deadline: amount)
        wait.since = -amount
        #expect(!wait.description.isEmpty && !wait.brief(at: amount, width: 80).isEmpty)
    }

    @Test func anAmountIsRounded() {
        let numbers = [0.4, 0.5, -1.5, .nan, .infinity, -.infinity].map { Int(nearest: $0) }
        #expect(numbers == [0, 1, -2, 0, .max, .min])
        #expect(oneDecimal(-0.05) == "-0.1" && oneDecimal(94.44) == "94.4" && oneDecimal(4) == "4")
    }

    @Test func aNounFollowsItsCount() {
        #expect(counted(1, "file") == "1 file")
        #expect(counted(0, "file") == "0 files")
        #expect(counted(2, "entry", plural: "entries") == "2 entries")
    }
}

@Suite("suggestions")
struct SuggestionTests {
    let known = ["contents", "overwrite", "path", "mode", "firstlight.proxy"]

    @Test(arguments: [
        ("contnets", "contents"), ("overwrte", "overwrite"), ("pth", "path"), ("firstlight.porxy", "firstlight.proxy"),
    ])
    func aSlipIsRecognised(word: String, meant: String) {
        #expect(nearest(to: word, in: known) == meant)
    }

    @Test(arguments: ["user", "zz", "", "something"])
    func anotherWordIsNotASlip(word: String) {
        #expect(nearest(to: word, in: known) == nil)
    }
}

@Suite("the text of the console")
struct ConsoleTextTests {
    @Test func aLineHasTimeTopicAndText() {
        let line = ConsoleLine(seconds: 5.149, topic: "rootfs", text: "94.4 MiB, sha256 right")
        #expect(line.description == "   5.1 s  rootfs    94.4 MiB, sha256 right")
    }

    @Test(
        "a long URL loses what its line has no room for, but never its server or its end",
        arguments: [
            ("94.4 MiB from http://10.0.2.2:8080/rootfs.img, sha256 right", nil),
            (
                "194.4 MiB from http://boot.example.com/a/rootfs.img, sha256 right",
                "194.4 MiB from boot.example.com/a/rootfs.img, sha256 right"
            ),
            (
                "94.4 MiB from https://b.example/images/2026/stable/live/rootfs.img, sha256 right",
                "94.4 MiB from https://b.example/.../rootfs.img, sha256 right"
            ),
            (
                "94.4 MiB from http://10.0.2.2:8080/images/2026/stable/x86-64/live/rootfs.img, sha256 right",
                "94.4 MiB from 10.0.2.2:8080/.../rootfs.img, sha256 right"
            ),
            (
                "94.4 MiB from http://10.0.2.2/builds/0123456789abcdef0123456789abcdef0123456789abcdef, sha256 right",
                "94.4 MiB from 10.0.2.2/...cdef0123456789abcdef, sha256 right"
            ),
            ("94.4 MiB from http://a-server-of-a-name-that-is-long.example.com/rootfs.img, sha256 right", nil),
            ("a line of more than sixty columns that has no URL, whatever else there is in it", nil),
            ("http://a-server-whose-name-takes-more-than-one-line-of-sixty-columns.example.com", nil),
        ] as [(String, String?)])
    func longURL(text: String, shown: String?) {
        let line = withShortURL(text, columns: 80 - ConsoleLine.margin)
        #expect(line == shown ?? text)
        if shown != nil { #expect(line.count <= 60) }
    }

    @Test func aLongLineGoesOnUnderItself() {
        let text = Array(repeating: "word", count: 20).joined(separator: " ")
        let lines = ConsoleLine(seconds: 12, topic: "plan", text: text).description.split(separator: "\n")
        #expect(lines.count == 2)
        #expect(lines.allSatisfy { $0.count <= 80 })
        #expect(lines[1].hasPrefix("                    word"))
    }

    @Test func blanksInsideALineStay() {
        let line = ConsoleLine(seconds: 5, topic: "rootfs", text: "49.1 of 94.4 MiB  52 %  28 MiB/s")
        #expect(line.description == "   5.0 s  rootfs    49.1 of 94.4 MiB  52 %  28 MiB/s")
        #expect(wrapped("  a  b   c", width: 6, indent: 0) == ["  a  b", "c"])
        #expect(wrapped("", width: 6, indent: 0) == [""])
    }

    @Test func aWordLongerThanTheLineStaysWhole() {
        let url = "http://" + String(repeating: "a", count: 90)
        #expect(wrapped("from \(url) today", width: 80, indent: 20) == ["from", url, "today"])
    }
}

@Suite("the first line")
struct HeadlineTests {
    @Test func itFitsTheConsole() {
        let parts = ["firstlight 0.1.0", "Linux 6.1.0-56-amd64", "1.9 GiB RAM"]
        #expect(
            consoleHeadline(parts + ["QEMU Standard PC"])
                == "firstlight 0.1.0 · Linux 6.1.0-56-amd64 · 1.9 GiB RAM · QEMU Standard PC")
        let long = consoleHeadline(parts + ["Standard PC (i440FX + PIIX, 1996)"])
        #expect(long == "firstlight 0.1.0 · Linux 6.1.0-56-amd64 · 1.9 GiB RAM · Standard PC (i440FX +...")
        #expect(long.count == 80)
        let longer = consoleHeadline(["firstlight 0.1.0", "Linux " + String(repeating: "9", count: 60), "1.9 GiB RAM"])
        #expect(longer.count <= 80 && longer.hasSuffix("9..."))
    }
}

@Suite("what is waited for")
struct WaitTests {
    private func text(_ wait: Wait) -> [String] {
        ConsoleLine(seconds: 41.2, topic: "config", text: "\(wait)").description.split(separator: "\n").map(String.init)
    }

    @Test func theLineSaysWhatWhySinceWhenAndWhatHelps() {
        var wait = Wait(for: "http://192.0.2.1/config.ign", reason: "no answer yet")
        wait.since = 5.14
        #expect(
            text(wait) == [
                "  41.2 s  config    http://192.0.2.1/config.ign: no answer yet; waiting since",
                "                    second 5.1.",
            ])
        wait.attempts = 8
        wait.reason = "cannot connect (Connection refused)"
        wait.advice = ["Check that the server runs, and the network of this machine (ip=)."]
        #expect(
            text(wait) == [
                "  41.2 s  config    http://192.0.2.1/config.ign: cannot connect (Connection",
                "                    refused); 8 attempts since second 5.1, still trying. Check",
                "                    that the server runs, and the network of this machine (ip=).",
            ])
    }

    @Test func aLimitIsTold() {
        var wait = Wait(
            for: "/dev/vdb", reason: "not there yet", deadline: 65.14, advice: ["Check that it is attached"])
        wait.since = 5
        #expect(
            "\(wait)" == "/dev/vdb: not there yet; waiting since second 5, until second 65.1 at most. "
                + "Check that it is attached.")
        #expect(Wait(for: "/dev/vdb", deadline: .infinity).deadline == nil)
    }

    @Test func theLineThatIsDrawnOverFits() {
        var wait = Wait(
            for: "http://192.0.2.1/config.ign", reason: "cannot connect (Connection refused) at all, not once")
        wait.since = 5
        wait.attempts = 8
        #expect(wait.brief(at: 40.9, width: 59) == "35 s, 8 attempts: cannot connect (Connection refused) at...")
        #expect(Wait(for: "").brief(at: 3, width: 59) == "0 s: working")
    }
}

@Suite("when a wait is told")
struct WaitDisplayTests {
    private typealias News = WaitDisplay.Due.News

    /// What is told in each second.
    private func news(_ display: inout WaitDisplay, _ seconds: ClosedRange<Int>) -> [Int: News] {
        var told: [Int: News] = [:]
        for second in seconds {
            guard let due = display.due(at: Double(second)), due.news != .none else { continue }
            told[second] = due.news
        }
        return told
    }

    @Test func afterFiveSecondsAndThenEveryThirty() {
        var display = WaitDisplay()
        _ = display.begin(Wait(for: "a"), at: 1)
        #expect(news(&display, 1...70) == [6: .first, 36: .again, 66: .again])
    }

    @Test func anotherReasonIsNewsButNotManyTimesASecond() {
        var display = WaitDisplay()
        let number = display.begin(Wait(for: "a"), at: 0)
        #expect(news(&display, 0...6) == [5: .first])
        display.change(number, at: 7) { $0.reason = "refused" }
        #expect(news(&display, 7...20) == [10: .first])
        display.change(number, at: 20) { $0.attempts = 9 }
        #expect(news(&display, 21...30).isEmpty)
    }

    @Test func whatMovesIsNotLate() {
        var display = WaitDisplay()
        let number = display.begin(Wait(for: "a"), at: 0)
        for second in 1...20 {
            display.change(number, at: Double(second)) { $0.since = nil }
            #expect(display.due(at: Double(second)) == nil)
        }
        #expect(news(&display, 21...30) == [25: .first])
        display.end(number)
        #expect(display.due(at: 31) == nil)
        #expect(display.isEmpty)
    }

    @Test("each of several waits is told by its own clock, one line in five seconds; the oldest is kept up to date")
    func eachIsTold() {
        var display = WaitDisplay()
        let first = display.begin(Wait(for: "a"), at: 0)
        _ = display.begin(Wait(for: "b"), at: 3)
        func told(_ now: Double) -> String {
            display.due(at: now).map { "\($0.wait.subject) \($0.news)" } ?? "nothing"
        }
        #expect(
            [4.0, 6, 9, 11, 12, 35, 36, 41, 42].map(told) == [
                "nothing", "a first", "a none", "b first", "a none", "a none", "a again", "b again", "a none",
            ])
        display.end(first)
        #expect(told(43) == "b none")
    }

    @Test func aPartOfTheBootThatSaysNothingIsToldOf() {
        var display = WaitDisplay()
        var part = Wait(for: "", reason: "preparing the disks")
        part.topic = "disks"
        _ = display.begin(part, at: 0)
        for second in stride(from: 3.0, through: 21, by: 3) {
            display.told(at: second)
            #expect(display.due(at: second + 2) == nil)
        }
        display.doing("writing xfs \"var\" on /dev/vda1")
        let due = display.due(at: 26)
        #expect(due?.wait.topic == "disks")
        #expect(due.map { "\($0.wait)" } == "writing xfs \"var\" on /dev/vda1, under way since second 0.")
        // Whoever waits for something of its own goes before, under the same word.
        let number = display.begin(Wait(for: "/dev/vdb"), at: 26)
        #expect(display.due(at: 32)?.wait.subject == "/dev/vdb")
        #expect(display.due(at: 32)?.wait.topic == "disks")
        display.end(number)
        #expect(display.due(at: 33)?.wait.subject == "")
    }
}

@Suite("failures")
struct FailureTests {
    struct Refusal: Advising, CustomStringConvertible {
        var description: String { "/dev/vda1 holds ext4 \"backup\"; the config wants xfs \"var\"." }
        var advice: [String] { ["To destroy it: \"wipeFilesystem\": true"] }
    }

    @Test func stepsAreCollectedOutermostFirst() {
        #expect {
            try step("provisioning disks") { try step("opening /dev/vda") { throw Refusal() } }
        } throws: { error in
            (error as? BootFailure)?.steps == ["provisioning disks", "opening /dev/vda"]
        }
    }

    @Test func theReportSaysWhatWhereWhyAndWhatToDo() {
        let failure = BootFailure(steps: ["provisioning disks", "planning storage.filesystems[0]"], cause: Refusal())
        let report = FailureReport(failure, written: [], next: "Shell on this console; `exit` tries again.")
        #expect(
            report.lines == [
                "firstlight stopped: /dev/vda1 holds ext4 \"backup\"; the config wants xfs \"var\".",
                "  while planning storage.filesystems[0]",
                "  while provisioning disks",
                "  Nothing was written to any disk.",
                "  To destroy it: \"wipeFilesystem\": true",
                "  Log: /run/firstlight/log. Shell on this console; `exit` tries again.",
            ])
    }

    @Test func whatWasWrittenIsNamed() {
        let report = FailureReport(
            BootFailure(cause: Refusal()), written: ["a GPT on /dev/vda", "xfs \"var\" on /dev/vda1"], next: "Halting.")
        #expect(report.lines.contains("  Written so far: a GPT on /dev/vda, xfs \"var\" on /dev/vda1."))
    }

    @Test("that nobody knows what was written is said")
    func writtenUnknown() {
        let lines = FailureReport(BootFailure(cause: Refusal()), written: nil, next: "Halting.").lines
        #expect(lines.contains("  What was written to disks is not known: /run could not keep it."))
    }

    @Test("a long URL is broken where it has a slash")
    func longURL() {
        struct Missing: Error, CustomStringConvertible {
            let description =
                "http://boot.example.org/images/fedora-coreos/stable/x86_64/43.20251120.3.0/live-rootfs.x86_64.img:"
                + " the server answered 404"
        }
        let report = FailureReport(BootFailure(cause: Missing()), written: [], next: "Halting.")
        #expect(
            report.causeLines == [
                "firstlight stopped:",
                "  http://boot.example.org/images/fedora-coreos/stable/x86_64/43.20251120.3.0/",
                "  live-rootfs.x86_64.img: the server answered 404",
            ])
        struct Word: Error, CustomStringConvertible { let description = String(repeating: "a", count: 300) }
        let word = FailureReport(BootFailure(steps: ["b"], cause: Word()), written: [], next: "Halting.")
        #expect(word.lines.allSatisfy { $0.count <= 80 })
        #expect(word.causeLines.joined().filter { $0 == "a" }.count == 300)
    }

    @Test(arguments: [76, 78, 79, 80, 200])
    func aLineThatIsSetFarOffIsStillRead(blanks: Int) {
        struct SetOff: Error, CustomStringConvertible { let description: String }
        let cause = SetOff(description: "mkfs said:\n" + String(repeating: " ", count: blanks) + "no room left")
        let lines = FailureReport(BootFailure(cause: cause), written: [], next: "Halting.").causeLines
        #expect(lines.allSatisfy { $0.count <= 80 })
        #expect(lines.dropFirst().joined(separator: " ").split(separator: " ") == ["no", "room", "left"])
    }

    @Test func noLineIsWiderThanTheConsole() {
        struct Long: Error, CustomStringConvertible {
            let description = "config.ign: " + Array(repeating: "nothing here fits", count: 12).joined(separator: " ")
        }
        let report = FailureReport(BootFailure(steps: ["reading"], cause: Long()), written: [], next: "Halting.")
        #expect(report.lines.allSatisfy { $0.count <= 80 })
        #expect(report.lines[1].hasPrefix("  "))
    }
}

@Suite struct TextsForTerminals {
    @Test(
        "lose what a terminal would obey",
        arguments: [
            ("plain ü\ttext\nand more", "plain ü\ttext\nand more"), ("/etc/\u{1b}[2Jx", "/etc/?[2Jx"),
            ("a\u{7f}b\u{9b}c\0d\r", "a?b?c?d?"),
        ])
    func printableTexts(text: String, shown: String) {
        #expect(printable(text) == shown)
    }
}
