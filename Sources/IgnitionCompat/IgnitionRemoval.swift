// `ignition-rmcfg`: the config taken away from the hypervisor, so that secrets do not stay there.

import BootArguments
import ProvisioningEngine
import Reporting

/// What the command line of `ignition-rmcfg` asks for.
struct RemovalInvocation: Equatable, Sendable {
    var platform: Platform?
    var logsToStandardOutput = false
    var wantsVersion = false

    static let usage = """
        Usage: ignition-rmcfg [options]
        Options:
              --log-to-stdout     log to stdout instead of the system log
              --platform string   current platform. [\(Platform.allCases.map(\.rawValue).joined(separator: " "))]
              --version           print the version and exit
        """

    /// - Throws: A usage error: what to print, exit status 2.
    init(_ words: [String]) throws(InvocationFault) {
        let flags = CommandFlags(style: .posix, switches: ["log-to-stdout", "version"], options: ["platform"])
        do throws(FlagFault) {
            let others = try flags.read(words) { (flag, value) throws(FlagFault) in
                switch flag {
                case "platform":
                    guard let named = Platform(rawValue: value) else {
                        throw .badValue(value, of: flag, "\(value) is not a valid platform")
                    }
                    platform = named
                case "version": wantsVersion = try CommandFlags.flag(flag, value)
                default: logsToStandardOutput = try CommandFlags.flag(flag, value)
                }
            }
            if let other = others.first { throw .unknown(other) }
        } catch {
            throw .flag(error)
        }
        if platform == nil, !wantsVersion { throw .missing("platform") }
    }
}

/// The program under the name `ignition-rmcfg`.
public enum IgnitionRemoval {
    /// - Returns: The exit status: 1 where the platform keeps no config that could be removed, 2 used wrongly.
    public static func main(_ words: [String]) -> Int32 {
        let invocation: RemovalInvocation
        do throws(InvocationFault) {
            invocation = try RemovalInvocation(words)
        } catch {
            IgnitionProgram.say("\(error)", to: 2)
            if case .flag = error { IgnitionProgram.say(RemovalInvocation.usage, to: 2) }
            return 2
        }
        if invocation.wantsVersion {
            IgnitionProgram.say(IgnitionProgram.version, to: 1)
            return 0
        }
        let log = IgnitionLog(toStandardOutput: invocation.logsToStandardOutput)
        log.info(IgnitionProgram.version)
        do {
            guard let platform = invocation.platform else { return 2 }
            try removeUserConfig(of: platform)
            log.info("config deleted")
            return 0
        } catch {
            log.critical("couldn't delete config: \(error)")
            return 1
        }
    }
}
