// `ignition-apply`: a config's files, links and units written into a container's root.

import BootArguments
import Devices
import LinuxSystem
import ProvisioningEngine
import Reporting
import SystemPackage

/// What the command line of `ignition-apply` asks for.
struct ApplyInvocation: Equatable, Sendable {
    var root = FilePath("/")
    var ignoresUnsupported = false
    var isOffline = false
    var wantsVersion = false
    /// `-` is standard input.
    var file = ""

    static let usage = """
        Usage: ignition-apply [options] config.ign
        Options:
              --ignore-unsupported   ignore unsupported config sections
              --offline              error out if config references remote resources
              --root string          root of the filesystem (default "/")
              --version              print the version of ignition-apply
        """

    /// - Throws: A flag that is wrong. A missing file is not an error: ``file`` is empty then.
    init(_ words: [String]) throws(FlagFault) {
        let flags = CommandFlags(
            style: .posix, switches: ["ignore-unsupported", "offline", "version"], options: ["root"])
        let files = try flags.read(words) { (flag, value) throws(FlagFault) in
            switch flag {
            case "root": root = FilePath(value)
            case "offline": isOffline = try CommandFlags.flag(flag, value)
            case "version": wantsVersion = try CommandFlags.flag(flag, value)
            default: ignoresUnsupported = try CommandFlags.flag(flag, value)
            }
        }
        if files.count == 1 { file = files[0] }
    }
}

/// The program under the name `ignition-apply`.
public enum IgnitionApply {
    /// - Returns: The exit status: 0 done, 1 failed, 2 an unknown flag.
    public static func main(_ words: [String]) -> Int32 {
        let invocation: ApplyInvocation
        do throws(FlagFault) {
            invocation = try ApplyInvocation(words)
        } catch {
            IgnitionProgram.say("\(error)\n\(ApplyInvocation.usage)", to: 2)
            return 2
        }
        if invocation.wantsVersion {
            IgnitionProgram.say(IgnitionProgram.version, to: 1)
            return 0
        }
        if invocation.file.isEmpty {
            IgnitionProgram.say(ApplyInvocation.usage, to: 2)
            return 1
        }
        let log = IgnitionLog(toStandardOutput: true)
        log.info(IgnitionProgram.version)
        do {
            try apply(invocation, log)
            return 0
        } catch {
            for line in FileFault.adviceAtAShell(about: error) { log.error(line) }
            log.critical("couldn't apply the config: \(error)")
            return 1
        }
    }

    private static func apply(_ invocation: ApplyInvocation, _ log: IgnitionLog) throws {
        let environment = try IgnitionEnvironment(variable)
        let arguments = BootArguments(bytes: (try? Files.read(environment.commandLine)) ?? [])
        guard environment.isInContainer || ["/run/.containerenv", "/.dockerenv"].contains(where: { Files.exists($0) })
        else { throw ApplyFault.noContainer }
        guard let root = Files.resolved(invocation.root), Files.isFolder(root) else {
            throw ApplyFault.noRoot(invocation.root)
        }
        var session = ProvisioningSession(
            arguments, .dropIn(arguments), store: StateFolder(), observer: .ignition(log, root: root), devices: .udev)
        session.root = root
        session.writesKeyFragment = environment.writesKeyFragment
        session.isOffline = invocation.isOffline
        let file = invocation.file
        let name = file == "-" ? "standard input" : file
        let bytes = try step("reading \(name)") {
            file == "-" ? try Files.readStandardInput() : try Files.read(FilePath(file))
        }
        try session.writeContainerFiles(of: bytes, name: name, ignoresUnsupported: invocation.ignoresUnsupported)
    }
}

/// Why `ignition-apply` does not begin.
enum ApplyFault: Error, Equatable, Advising, CustomStringConvertible {
    case noContainer
    case noRoot(FilePath)

    var description: String {
        switch self {
        case .noContainer: "this is not a container"
        case .noRoot(let path): "\(path) is not a folder"
        }
    }

    var advice: [String] {
        switch self {
        case .noContainer: ["Run it while a container image is built; elsewhere it could damage the system."]
        case .noRoot: []
        }
    }
}
