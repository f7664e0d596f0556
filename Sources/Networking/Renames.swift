// Names that interfaces had before the agent gave them others.

import LinuxSystem
import Reporting
import SystemPackage

/// The kernel's names of the interfaces that were renamed, kept for a second try after a failure, in which
/// `ip=eth0:dhcp` still means the same card.
enum Renames {
    private static let file = FilePath(RunFile.interfaceNames.path)

    static func read() -> [String: String] {
        let pairs = (Files.line(file) ?? "").split(separator: "\n").map { $0.split(separator: " ") }
        return Dictionary(
            pairs.filter { $0.count == 2 }.map { (String($0[0]), String($0[1])) }, uniquingKeysWith: { $1 })
    }

    static func write(_ names: [String: String]) {
        // Without it only that second try suffers.
        try? Files.makeFolder(Networking.folder, mode: 0o700)
        try? Files.write(names.map { "\($0.key) \($0.value)\n" }.sorted().joined(), to: file, mode: 0o600)
    }
}
