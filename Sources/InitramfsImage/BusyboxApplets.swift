// The names of busybox's applets in the image.

import LinuxSystem
import SystemPackage

enum BusyboxApplets {
    /// Names that the agent has, and those of programs that the image has in full.
    private static let avoided: Set<String> = ["busybox", "init", "linuxrc", "mkswap", "mke2fs", "mkdosfs"]

    /// The applets of a busybox.
    static func all(of busybox: FilePath) throws(Command.Failure) -> [String] {
        names(in: try Command(busybox.string, ["--list"]).run().text)
    }

    /// The names in the output of `busybox --list`, which has one on each line.
    static func names(in list: String) -> [String] {
        list.split(separator: "\n").map(String.init).filter { !avoided.contains($0) && !$0.hasPrefix("mkfs.") }
    }
}
