// What every stage is given, and the names by which systemd starts them.

import BootArguments
import Devices
import Glibc
import IgnitionConfig
import LinuxSystem
import Logging
import Reporting
import SystemPackage

/// The stages that can be run one by one.
public enum StageName: String, CaseIterable, Sendable {
    case fetch, kargs, rootfs, root, disks, mount, files, finish, umount

    /// What the report calls it.
    var topic: String {
        switch self {
        case .fetch: "config"
        case .finish: "report"
        default: rawValue
        }
    }

    /// What is told of it when it fails, after "while".
    var act: String { "running the stage \(rawValue)" }
}

/// The stages of a boot. Each is a method in a file of its own, reads what it needs from the command
/// line and from ``StageState``, and leaves there what the next ones need.
struct Stages {
    let arguments: BootArguments
    let console: BootConsole
    let log: Logger
    let devices: DeviceAccess
    let state = StageState()
    /// Where the real root is assembled.
    let sysroot = FilePath("/sysroot")

    func run(_ stage: StageName) throws {
        switch stage {
        case .fetch:
            try measured(stage.topic) {
                try findConfig()
                try fetchConfig()
            }
        case .kargs: try setKernelArguments()
        case .rootfs: try measured(stage.topic) { try getRootImage() }
        case .root: try measured(stage.topic) { try assembleRoot() }
        case .disks: try measured(stage.topic) { try prepareDisks() }
        case .mount: try measured(stage.topic) { try mountFilesystems() }
        case .files: try measured(stage.topic) { try writeFiles() }
        case .finish: try finish()
        case .umount: try unmountFilesystems()
        }
    }

    /// The user's config, parsed and checked; `nil` where there is none.
    func loadUserConfig() throws -> IgnitionConfig? {
        try state.loadConfig().map { try IgnitionConfig.parse($0.bytes, name: $0.name).checked() }
    }

    /// The image's base configs, merged, with every stage anew: only the user's is kept.
    func loadBaseConfig(warn: @escaping (String) -> Void = { _ in }) throws -> IgnitionConfig {
        try step("reading the base configs") {
            var notes = ConfigNotes(warn: warn)
            notes.report = { $0.warnings.forEach { warn($0.warning) } }
            return try SystemConfigFolders(variable).baseConfig(platform: arguments.platform ?? "metal", notes: notes)
        }
    }

    /// The config of this boot: the user's over the image's; `nil` where neither says anything.
    func loadConfig() throws -> IgnitionConfig? {
        guard arguments.ignitionFirstboot else { return nil }
        let base = try loadBaseConfig()
        guard let user = try loadUserConfig() else { return base == IgnitionConfig() ? nil : base }
        return base == IgnitionConfig() ? user : base.merged(with: user)
    }
}

/// A variable of the environment.
func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

/// One stage as a process of its own, in an initramfs that systemd runs.
public enum StageRunner {
    /// - Returns: Whether it succeeded; what went wrong has been told.
    public static func run(_ stage: StageName) -> Bool {
        let arguments = BootArguments(bytes: (try? Files.read("/proc/cmdline")) ?? [])
        let log = Logger.boot(level: arguments.logLevel)
        let console = BootConsole.standardError(log: log)
        if let change = MachineClock.system.catchUp() { console.say("clock", "\(change)") }
        let stages = Stages(arguments: arguments, console: console, log: log, devices: .udev(telling: console.waits))
        do {
            stages.state.begin(stage.act, stage: stage.rawValue)
            defer { stages.state.end(stage: stage.rawValue) }
            try step(stage.act) {
                try console.during(stage.topic, stage.act) {
                    let needsNetwork = [.fetch, .rootfs].contains(stage)
                    if needsNetwork, GeneratedUnits.ofThisMachine(arguments).needsNetwork {
                        DracutNetwork.wait(arguments, telling: console.waits)
                    }
                    try stages.run(stage)
                }
            }
            return true
        } catch {
            tell(error, of: stage, stages)
            return false
        }
    }

    static func tell(_ failure: BootFailure, of stage: StageName, _ stages: Stages) {
        stages.log.log(level: .error, "\(failure)", metadata: [BootLog.shown: "true"])
        let next = "systemctl status and journalctl tell more."
        stages.console.report(FailureReport(failure, written: stages.state.written, next: next).lines)
        stages.reportFailure(failure, of: stage.topic)
    }
}
