// What the commands of Fedora CoreOS's installer have in common: their streams, their exit statuses, their failures.
//
// Scripts look for these texts and statuses, so they are those of coreos-installer: 0, 1 for whatever fails while
// running, 2 for a usage error; `Error:` and, where there are causes, `Caused by:`.

import ArgumentParser
import BootMedia
import Glibc
import LinuxSystem
import MediaEditing
import Reporting
import SystemPackage

/// A command that reads or changes boot media.
protocol MediaCommand: ParsableCommand {
    /// Whether it ends silently when nobody reads its output any more.
    static var showsSomething: Bool { get }
    /// How it reads configs; `nil` where it takes none.
    var configOptions: ConfigOptions? { get }

    func work(_ streams: Streams) throws
}

extension MediaCommand {
    static var showsSomething: Bool { false }
    var configOptions: ConfigOptions? { nil }

    func run() throws {
        signal(SIGPIPE, Self.showsSomething ? SIG_DFL : SIG_IGN)
        let progress = ProgressLine()
        defer { progress.clear() }
        do {
            var streams = Streams.standard { progress.tell($0, $1, of: $2) }
            // Under the name coreos-installer a text is embedded as it is; so is a text that names no variant.
            if let configOptions { streams.translate = { try configOptions.translate($0, from: $1) } }
            try work(streams)
        } catch {
            progress.clear()
            throw MediaFailure(error)
        }
    }
}

/// Why a command failed: what was being done, outermost first, and the cause.
struct MediaFailure: Error, CustomStringConvertible {
    private let chain: [String]

    init(_ error: any Error) {
        let failure = error as? BootFailure ?? BootFailure(cause: error)
        var chain = failure.steps
        var cause = failure.cause
        while let inner = cause as? BootFailure {
            chain += inner.steps
            cause = inner.cause
        }
        self.chain = chain + ["\(cause)"]
    }

    /// `Error: ...`, and the causes below it, numbered where there is more than one.
    var description: String {
        var text = "Error: \(chain[0])"
        let causes = chain.dropFirst()
        if !causes.isEmpty { text += "\n\nCaused by:" }
        for (index, cause) in causes.enumerated() {
            let mark = causes.count == 1 ? "    " : String(repeating: " ", count: index < 10 ? 4 : 3) + "\(index): "
            let lines = cause.split(separator: "\n", omittingEmptySubsequences: false)
            let indent = "\n" + String(repeating: " ", count: mark.count)
            text += "\n\(mark)\(lines.joined(separator: indent))"
        }
        return text
    }
}

/// A command that only holds others: by itself it shows its help, which is a usage error.
protocol CommandGroup: ParsableCommand {}

extension CommandGroup {
    func run() throws {
        say(Program.help(of: Self.self))
        throw ExitCode(2)
    }
}

/// - Throws: A usage error where an option with one value was given more than once.
func checkOnce(_ option: String, _ count: Int) throws {
    guard count <= 1 else { throw ValidationError("the argument '\(option)' cannot be used multiple times") }
}

/// How far something is that takes longer than a second, on standard error: one line on a terminal, else now and then.
private final class ProgressLine {
    private let isTerminal = isatty(STDERR_FILENO) == 1
    private let begin = Machine.uptime()
    private var act = ""
    private var actBegan = Machine.uptime()
    private var shown = Machine.uptime()
    private var isShown = false

    func tell(_ act: String, _ done: UInt64, of total: UInt64) {
        let now = Machine.uptime()
        if act != self.act { (self.act, actBegan) = (act, now) }
        guard now - begin > 1, now - shown > (isTerminal ? 0.2 : 10), total > 0 else { return }
        shown = now
        let share = min(Double(done) / Double(total), 1)
        let left = share > 0 ? Int(nearest: (now - actBegan) * (1 - share) / share) : 0
        let text = "\(act): \(Int(share * 100)) %, \(left) s left"
        if isTerminal {
            isShown = true
            try? Files.writeAll(Array("\r\(text.suffix(79))\u{1b}[K".utf8), to: STDERR_FILENO)
        } else {
            say(text)
        }
    }

    func clear() {
        if isShown { try? Files.writeAll(Array("\r\u{1b}[K".utf8), to: STDERR_FILENO) }
        isShown = false
    }
}
