// How much of the kernel's own messages goes to the consoles, where the story stands.

import LinuxSystem
import Reporting
import SystemPackage

/// The kernel's console level: messages below it are shown.
enum KernelConsole {
    private static let file = FilePath("/proc/sys/kernel/printk")
    /// The level before it was lowered, to be restored for the real root.
    private static let saved = FilePath(RunFile.consoleLevel.path)
    /// As `loglevel=3`: only what ends a machine.
    private static let lowered = 3

    private static var level: Int? {
        Files.line(file).flatMap { $0.split(whereSeparator: { $0 == "\t" || $0 == " " }).first }.flatMap { Int($0) }
    }

    /// Keeps the kernel's messages off the consoles; all of them stay in its log.
    ///
    /// A second call does nothing.
    static func lower() {
        guard let level, level > lowered else { return }
        // Without it the consoles are only noisier, or quieter.
        try? Files.makeFolder(saved.removingLastComponent(), mode: 0o700)
        try? Files.write("\(level)", to: saved, mode: 0o600)
        try? Files.put("\(lowered)", into: file)
    }

    /// Gives the real root the level that it would have had.
    static func restore() {
        guard let level = Files.line(saved).flatMap({ Int($0) }) else { return }
        try? Files.put("\(level)", into: file)
        try? Files.remove(saved)
    }
}
