// The names under which busybox appears in the image.

import LinuxSystem
import SystemPackage

enum BusyboxApplets {
    /// Names that are the agent's, and those of programs that the image has in full.
    private static let avoided: Set<String> = ["busybox", "init", "linuxrc", "mkswap", "mke2fs", "mkdosfs"]

    /// What this busybox can be called.
    static func all(of busybox: FilePath) throws(Command.Failure) -> [String] {
        names(in: try Command(busybox.string, ["--list"]).run().text)
    }

    /// - Parameter list: What `busybox --list` prints: a name per line.
    static func names(in list: String) -> [String] {
        list.split(separator: "\n").map(String.init).filter { !avoided.contains($0) && !$0.hasPrefix("mkfs.") }
    }
}
