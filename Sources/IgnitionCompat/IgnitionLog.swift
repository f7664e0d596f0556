// The log as Ignition keeps it: the system's, or standard output.

import Glibc
import IgnitionConfig
import LinuxSystem
import ProvisioningEngine
import Reporting
import Synchronization

/// Where a run of `ignition` tells what it does.
///
/// Other programs know by a line at CRITICAL that it failed.
final class IgnitionLog: Sendable {
    /// As syslog numbers them.
    enum Level: Int, CaseIterable, Sendable {
        case emergency, alert, critical, error, warning, notice, info, debug

        /// Nine characters and a colon, as a line of standard output begins.
        var word: String {
            let words = ["EMERGENCY", "ALERT", "CRITICAL", "ERROR", "WARNING", "NOTICE", "INFO", "DEBUG"]
            let word = words[rawValue]
            return word + String(repeating: " ", count: 9 - word.count) + ":"
        }
    }

    /// The socket of the system's log; `nil`: standard output.
    private let system: LogSocket?
    private let prefixes = Mutex<[String]>([])

    init(toStandardOutput: Bool) {
        if toStandardOutput {
            system = nil
            return
        }
        do {
            system = try LogSocket("/dev/log")
        } catch {
            system = nil
            log(.error, "unable to open syslog: \(error)")
        }
    }

    func critical(_ text: String) { log(.critical, text) }
    func error(_ text: String) { log(.error, text) }
    func warning(_ text: String) { log(.warning, text) }
    func info(_ text: String) { log(.info, text) }
    func debug(_ text: String) { log(.debug, text) }

    /// Names the stage or the act before everything that is told meanwhile.
    func within<Result>(_ prefix: String, _ body: () throws -> Result) rethrows -> Result {
        prefixes.withLock { $0.append(prefix) }
        defer { prefixes.withLock { _ = $0.popLast() } }
        return try body()
    }

    func log(_ level: Level, _ text: String) {
        let whole = (prefixes.withLock { $0 } + [text]).joined(separator: ": ")
        guard let system else {
            try? Files.writeAll(Array("\(level.word) \(whole)\n".utf8), to: 1)
            return
        }
        // Facility 1 is "user", as for every program.
        system.send(Array("<\(8 + level.rawValue)>ignition[\(getpid())]: \(whole)".utf8))
    }

    /// What was noticed in a config: its errors are why a run failed.
    func report(_ report: IgnitionConfig.Report) {
        if let reason = report.unparsedReason { critical("\(report.source): \(reason)") }
        let lines = report.ignitionLines
        for (line, diagnostic) in zip(lines, report.diagnostics) {
            log(diagnostic.severity == .error ? .critical : .warning, line)
        }
        let more = report.omittedErrors + report.omittedWarnings
        if more > 0 { info("and \(more) more") }
    }

    /// People look for this line to find out which text it was.
    func parsing(_ bytes: [UInt8]) { debug("parsing config with SHA512: \(configDigest(bytes))") }

    // MARK: The journal's own entries

    /// Other programs read these entries to find out what was provisioned.
    enum Entry: String, Sendable {
        case config = "57124006b5c94805b77ce473e92a8aeb"
        case authorizedKeys = "225067b87bbd4a0cb6ab151f82fa364b"
    }

    /// Leaves an entry with fields in the journal, where that runs.
    static func journal(_ entry: Entry, _ message: String, _ fields: [(name: String, value: String)]) {
        guard let socket = try? LogSocket("/run/systemd/journal/socket") else { return }
        socket.send(
            journalEntry(
                [
                    ("MESSAGE", message), ("PRIORITY", "\(Level.info.rawValue)"), ("SYSLOG_IDENTIFIER", "ignition"),
                    ("MESSAGE_ID", entry.rawValue),
                ] + fields))
    }
}

/// Fields as journald reads them: a value with a newline goes after its length.
///
/// - SeeAlso: systemd's "Native Journal Protocol".
func journalEntry(_ fields: [(name: String, value: String)]) -> [UInt8] {
    fields.flatMap { name, value -> [UInt8] in
        guard value.utf8.contains(UInt8(ascii: "\n")) else { return Array("\(name)=\(value)\n".utf8) }
        let length = withUnsafeBytes(of: UInt64(value.utf8.count).littleEndian) { Array($0) }
        return Array("\(name)\n".utf8) + length + Array(value.utf8) + [UInt8(ascii: "\n")]
    }
}
