// `firstlight plan`: what would this config do to this machine.

import Glibc
import JSONText
import LinuxSystem
import ProvisioningEngine
import Reporting
import SystemPackage

/// What a person can ask before there is a boot.
public enum PlanCommand {
    /// Prints what a config would do to the disks and, where a root is given, to the system below it.
    ///
    /// Nothing is written.
    ///
    /// - Parameters:
    ///   - file: The config; `-` is standard input.
    ///   - root: A system whose users, files and units count, too.
    ///   - asJSON: Whether the plan is printed for programs.
    ///   - isOffline: Nothing is fetched from another machine; where the config refers to one, that is an error.
    /// - Returns: 0 nothing to do, 2 changes, 3 would destroy data, 1 error.
    public static func run(config file: String, root: String?, asJSON: Bool, isOffline: Bool = false) -> Int32 {
        do {
            let preview = try ProvisioningPreview(
                of: try read(file), name: name(of: file), root: root.map { FilePath($0) }, isOffline: isOffline,
                warn: complain)
            if asJSON {
                print(preview.json.text(.pretty))
            } else {
                let isColoured = isatty(1) == 1 && variable("NO_COLOR") == nil
                for line in preview.lines { print(isColoured ? line.coloured : line.text) }
            }
            return switch preview.verdict {
            case .nothing: 0
            case .changes: 2
            case .destroys: 3
            }
        } catch {
            let failure = error as? BootFailure ?? BootFailure(cause: error)
            if asJSON { print(failure.json.text(.pretty)) }
            complain("\(failure.cause)")
            failure.advice.forEach { complain("  \($0)") }
            return 1
        }
    }
}
