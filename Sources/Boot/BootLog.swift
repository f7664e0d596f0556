// The whole log, line by line, in /run/firstlight/log and in the kernel's ring buffer.

import BootArguments
import Glibc
import LinuxSystem
import Logging
import Reporting
import SystemPackage

/// A swift-log handler that appends to the boot's log file and to `/dev/kmsg`.
struct BootLog: LogHandler {
    static let path = FilePath(RunFile.log.path)

    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level
    private let file: Int32
    private let kernel: Int32
    private let isInJournal = getenv("JOURNAL_STREAM") != nil

    /// The key of messages that stand on the console as well.
    static let shown = "shown"

    /// Opens the log; a sink that cannot be opened is left out.
    init(level: Logger.Level) {
        logLevel = level
        try? Files.makeFolder(Self.path.removingLastComponent(), mode: 0o700)
        file = open(Self.path.string, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        kernel = open("/dev/kmsg", O_WRONLY | O_CLOEXEC)
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let text = "\(event.message)"
        let milliseconds = Int(Machine.uptime() * 1000)
        let fraction = String(1000 + milliseconds % 1000).dropFirst()
        let line = "\(milliseconds / 1000).\(fraction) \(event.level) \(text)\n"
        if file >= 0 { try? Files.writeAll(Array(line.utf8), to: file) }
        // systemd takes what a stage prints on standard error; the kernel's log would bring it a second time.
        guard kernel >= 0, !(isInJournal && event.metadata?[Self.shown] != nil) else { return }
        // Priority 7 keeps it off the consoles, where the story already stands; a record holds 976 bytes.
        for part in text.split(separator: "\n") {
            try? Files.writeAll(Array("<7>firstlight: \(part.prefix(900))\n".utf8), to: kernel)
        }
    }
}

extension Logger {
    /// The boot's log.
    public static func boot(level: LogLevel? = nil) -> Logger {
        let level = level.flatMap { Logger.Level(rawValue: $0.rawValue) } ?? .info
        return Logger(label: "firstlight") { _ in BootLog(level: level) }
    }
}
