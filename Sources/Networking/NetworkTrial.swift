// The network from the command line, for whoever looks closer: what arguments come to, and whether it works.

import BootArguments
import Encoding
import Glibc
import LinuxSystem
import Logging
import NetworkPlanning
import Reporting
import SystemPackage

/// `firstlight network`.
public struct NetworkTrial {
    /// Words of a kernel command line.
    public var arguments: [String] = []
    /// A folder of keyfiles, which go before the arguments.
    public var keyfiles: String?
    /// Whether the network is brought up; otherwise the profiles are printed as keyfiles.
    public var bringsUp = false
    /// What is to be reached.
    public var urls: [String] = []
    /// For how long leases are renewed.
    public var staySeconds = 0
    /// A system's root that the network is handed over to.
    public var root: String?

    /// A trial of an empty command line.
    public init() {}

    /// - Returns: Whether all went as asked; what did not is on standard error.
    public func run() -> Bool {
        func tell(_ line: String) { try? Files.writeAll(Array("\(line)\n".utf8), to: STDERR_FILENO) }
        let line = arguments.map { $0.contains(" ") ? "\"\($0)\"" : $0 }.joined(separator: " ")
        let boot = BootArguments(line)
        for warning in boot.warnings { tell(warning) }
        let folder = keyfiles.map { FilePath($0) } ?? (bringsUp ? Networking.keyfileFolder : "/nonexistent")
        do throws(NetworkFailure) {
            guard bringsUp else {
                let profiles = try Networking.wantedProfiles(boot, in: folder, report: tell)
                for profile in profiles {
                    let id = profile.interface?.description ?? "any"
                    print("# \(profile.origin)")
                    print(profile.keyfile(id: id, controllers: profiles))
                }
                return true
            }
            var targets: [SourceURL] = []
            for url in urls {
                do throws(SourceURL.Fault) { targets.append(try SourceURL(parsing: url)) } catch {
                    tell("--url \(RedactedURL(url)): \(error)")
                    return false
                }
            }
            let watch = WaitWatch()
            watch.onDue { due in
                if let due, due.news != .none { try? Files.writeAll(Array("\(due.wait)\n".utf8), to: STDERR_FILENO) }
            }
            let state = try Networking.bringUp(
                arguments: boot, urls: targets, keyfiles: folder, pump: { _ in }, report: tell, waits: watch.waits,
                logger: Logger(label: "network"))
            print(state.summary)
            print(String(decoding: NetworkRecord(state).bytes, as: UTF8.self))
            fflush(nil)
            sleep(UInt32(clamping: staySeconds))
            if let root {
                try Networking.handOver(
                    to: FilePath(root), arguments: boot, logger: Logger(label: "network"))
            }
            Networking.endClients()
            return true
        } catch {
            tell("\(error)")
            for line in error.advice { tell("  \(line)") }
            return false
        }
    }
}
