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

@Suite("story")
struct StoryTests {
    @Test func aLineHasTimeTopicAndText() {
        let line = StoryLine(seconds: 5.149, topic: "rootfs", text: "94.4 MiB, sha256 right")
        #expect(line.description == "   5.1 s  rootfs    94.4 MiB, sha256 right")
    }

    @Test func aLongLineGoesOnUnderItself() {
        let text = Array(repeating: "word", count: 20).joined(separator: " ")
        let lines = StoryLine(seconds: 12, topic: "plan", text: text).description.split(separator: "\n")
        #expect(lines.count == 2)
        #expect(lines.allSatisfy { $0.count <= 80 })
        #expect(lines[1].hasPrefix("                    word"))
    }

    @Test func aWordLongerThanTheLineStaysWhole() {
        let url = "http://" + String(repeating: "a", count: 90)
        #expect(wrapped("from \(url) today", width: 80, indent: 20) == ["from", url, "today"])
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

    @Test func noLineIsWiderThanTheConsole() {
        struct Long: Error, CustomStringConvertible {
            let description = "config.ign: " + Array(repeating: "nothing here fits", count: 12).joined(separator: " ")
        }
        let report = FailureReport(BootFailure(steps: ["reading"], cause: Long()), written: [], next: "Halting.")
        #expect(report.lines.allSatisfy { $0.count <= 80 })
        #expect(report.lines[1].hasPrefix("  "))
    }
}
