// The command line and the environment of `ignition`, as plain values.

import BootArguments
import ProvisioningEngine
import Reporting
import SystemPackage

/// The stages of Ignition, in the order in which its units run them.
enum IgnitionStage: String, CaseIterable, Sendable {
    case fetchOffline = "fetch-offline"
    case fetch, kargs, disks, mount, files, umount
}

/// What the command line of `ignition` asks for.
///
/// - SeeAlso: Ignition's `-help`.
struct IgnitionInvocation: Equatable, Sendable {
    var configCache = FilePath("/run/ignition.json")
    /// Seconds for finding the config, retries included; 0 means no limit.
    var fetchTimeout = 120
    /// The file that asks for the network.
    var neednet = FilePath("/run/ignition/neednet")
    var platform = Platform.metal
    var root = FilePath("/")
    var stage = IgnitionStage.fetchOffline
    var stateFile = FilePath("/run/ignition/state")
    var logsToStandardOutput = false

    enum Request: Equatable, Sendable {
        case run(IgnitionInvocation)
        case version
        case help
    }

    static let flags = CommandFlags(
        style: .go, switches: ["version", "log-to-stdout"],
        options: ["config-cache", "fetch-timeout", "neednet", "platform", "root", "stage", "state-file"])

    /// Reads a command line.
    ///
    /// - Parameter words: What follows the program's name. All after the first that is not a flag are ignored.
    /// - Returns: What is asked for.
    /// - Throws: A usage error: what to print before ``usage``, exit status 2.
    static func parse(_ words: [String]) throws(InvocationFault) -> Request {
        var invocation = IgnitionInvocation()
        var platform: Platform?
        var stage: IgnitionStage?
        var wantsVersion = false
        do throws(FlagFault) {
            _ = try flags.read(words) { (flag, value) throws(FlagFault) in
                switch flag {
                case "config-cache": invocation.configCache = FilePath(value)
                case "neednet": invocation.neednet = FilePath(value)
                case "root": invocation.root = FilePath(value)
                case "state-file": invocation.stateFile = FilePath(value)
                case "version": wantsVersion = try CommandFlags.flag(flag, value)
                case "log-to-stdout": invocation.logsToStandardOutput = try CommandFlags.flag(flag, value)
                case "fetch-timeout":
                    guard let seconds = wholeSeconds(value) else {
                        throw .badValue(value, of: flag, "not a time such as 2m or 1m30s")
                    }
                    invocation.fetchTimeout = seconds
                case "platform":
                    guard let named = Platform(rawValue: value) else {
                        throw .badValue(value, of: flag, "\(value) is not a valid platform")
                    }
                    platform = named
                default:
                    guard let named = IgnitionStage(rawValue: value) else {
                        throw .badValue(value, of: flag, "\(value) is not a valid stage")
                    }
                    stage = named
                }
            }
        } catch {
            if error == .helpAsked { return .help }
            throw .flag(error)
        }
        if wantsVersion { return .version }
        guard let platform else { throw .missing("platform") }
        guard let stage else { throw .missing("stage") }
        invocation.platform = platform
        invocation.stage = stage
        return .run(invocation)
    }

    static var usage: String {
        """
        Usage of ignition:
          -config-cache string
            \twhere to cache the config (default "/run/ignition.json")
          -fetch-timeout duration
            \tinitial duration for which to wait for config (default 2m0s)
          -log-to-stdout
            \tlog to stdout instead of the system log when set
          -neednet string
            \tflag file to write from fetch-offline if networking is needed (default "/run/ignition/neednet")
          -platform value
            \tcurrent platform. [\(Platform.allCases.map(\.rawValue).joined(separator: " "))]
          -root string
            \troot of the filesystem (default "/")
          -stage value
            \texecution stage. [\(IgnitionStage.allCases.map(\.rawValue).joined(separator: " "))]
          -state-file string
            \twhere to store internal state (default "/run/ignition/state")
          -version
            \tprint the version and exit
        """
    }
}

/// A command line that asks for nothing that can be done.
enum InvocationFault: Error, Equatable, CustomStringConvertible {
    case flag(FlagFault)
    case missing(String)

    var description: String {
        switch self {
        case .flag(let fault): "\(fault)"
        case .missing(let flag): "'--\(flag)' must be provided"
        }
    }
}

/// What Ignition's programs take from their environment.
///
/// An empty variable counts as unset.
struct IgnitionEnvironment: Equatable, Sendable {
    var folders = SystemConfigFolders()
    var commandLine = FilePath("/proc/cmdline")
    /// Whether keys go to `.ssh/authorized_keys.d/ignition`, rather than to `.ssh/authorized_keys`.
    var writesKeyFragment = true
    var isInContainer = false

    /// Reads the environment.
    ///
    /// - Parameter value: A variable's value; `nil` where it is not set.
    /// - Throws: A variable whose value is not allowed.
    init(_ value: (String) -> String?) throws(EnvironmentFault) {
        func given(_ name: String) -> String? { value(name).flatMap { $0.isEmpty ? nil : $0 } }
        folders = SystemConfigFolders(value)
        if let path = given("IGNITION_KERNEL_CMDLINE_PATH") { commandLine = FilePath(path) }
        isInContainer = given("container") != nil
        writesKeyFragment = try keyFragment(value) ?? true
    }
}
