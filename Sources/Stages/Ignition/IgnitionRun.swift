// One run of `ignition`: a stage of the original, with what it reads and what it leaves.

import BootArguments
import Devices
import Encoding
import Fetching
import Glibc
import Hashing
import IgnitionConfig
import LinuxSystem
import LiveImage
import Platforms
import Reporting
import SystemPackage

/// The program under the name `ignition`.
public enum IgnitionProgram {
    /// What `-version` prints, and the first line of a run's log.
    static let version = "Ignition \(ignitionVersion), Firstlight \(firstlightVersion)"

    /// - Returns: The exit status: 0 done, 1 failed, 2 used wrongly, 3 not able to begin.
    public static func main(_ words: [String]) -> Int32 {
        do throws(InvocationFault) {
            switch try IgnitionInvocation.parse(words) {
            case .version:
                say(version, to: 1)
                return 0
            case .help:
                say(IgnitionInvocation.usage, to: 2)
                return 0
            case .run(let invocation): return run(invocation)
            }
        } catch {
            say("\(error)", to: 2)
            if case .flag = error { say(IgnitionInvocation.usage, to: 2) }
            return 2
        }
    }

    private static func run(_ invocation: IgnitionInvocation) -> Int32 {
        let log = IgnitionLog(toStandardOutput: invocation.logsToStandardOutput)
        log.info(version)
        log.info("Stage: \(invocation.stage.rawValue)")
        if let death = AgentDeath.previous {
            let failure = death.failure(during: "running the stage \(invocation.stage.rawValue)")
            say("\(invocation.stage.rawValue) failed", to: 2)
            for line in failure.advice { log.error(line) }
            log.critical("Ignition failed: \(failure)")
            return 1
        }
        let environment: IgnitionEnvironment
        let state: IgnitionState
        do {
            environment = try IgnitionEnvironment(variable)
            state = try IgnitionState(at: invocation.stateFile)
        } catch {
            log.critical("reading state: \(error)")
            return 3
        }
        let run = IgnitionRun(invocation, environment, state, log: log)
        do {
            try run.perform()
            run.tellPlatform(nil)
        } catch {
            run.tellPlatform("\(error)")
            // The original prints the whole config here, secrets and all.
            say("\(invocation.stage.rawValue) failed", to: 2)
            let failure = error as? BootFailure ?? BootFailure(cause: error)
            for line in failure.advice { log.error(line) }
            log.critical("Ignition failed: \(failure)")
            return 1
        }
        do {
            try run.state.save(to: invocation.stateFile)
        } catch {
            log.critical("writing state: \(error)")
            return 1
        }
        log.info("Ignition finished successfully")
        return 0
    }

    static func say(_ text: String, to descriptor: Int32) {
        try? Files.writeAll(Array((text + "\n").utf8), to: descriptor)
    }
}

/// What a stage works with. Its parts are in files of their own: fetching, and carrying out.
final class IgnitionRun {
    let invocation: IgnitionInvocation
    let environment: IgnitionEnvironment
    let log: IgnitionLog
    let devices: DeviceAccess
    /// What is waited for goes into the log, where the fetches' attempts stand already.
    let watch = WaitWatch()
    let arguments: BootArguments
    var state: IgnitionState

    init(
        _ invocation: IgnitionInvocation, _ environment: IgnitionEnvironment, _ state: IgnitionState, log: IgnitionLog
    ) {
        self.invocation = invocation
        self.environment = environment
        self.state = state
        self.log = log
        devices = .udev(telling: watch.waits)
        watch.onDue { due in if let due, due.news != .none { log.info("\(due.wait)") } }
        arguments = BootArguments(bytes: (try? Files.read(environment.commandLine)) ?? [])
    }

    /// Runs the stage. Where it throws, the state is not to be saved.
    func perform() throws {
        let base = try environment.folders.baseConfig(platform: invocation.platform.rawValue, notes: notes)
        state.fetchedConfigs.append(.init(kind: .base, source: "system"))
        switch invocation.stage {
        case .fetchOffline, .fetch:
            guard try fetchConfig(over: base) else { return }
        default:
            let config = base.merged(with: try cachedConfig())
            try log.within(invocation.stage.rawValue) { try carryOut(config) }
        }
        log.info("\(invocation.stage.rawValue): \(invocation.stage.rawValue) passed")
    }

    /// That it cannot be told stops nothing.
    func tellPlatform(_ failure: String?) {
        guard invocation.stage != .fetchOffline else { return }
        var settings = FetchSettings()
        settings.log = { [log] in log.info($0) }
        do {
            try invocation.platform.report(
                stage: invocation.stage.rawValue, failure: failure, with: ResourceFetcher(settings))
        } catch {
            log.error("POST Status error: \(error)")
        }
    }

    private func carryOut(_ config: IgnitionConfig) throws {
        switch invocation.stage {
        case .fetchOffline, .fetch: break
        case .kargs: try setKernelArguments(config.kernelArguments)
        case .disks: try prepareDisks(config)
        case .mount: try mountFilesystems(config)
        case .files: try writeFiles(config)
        case .umount: try unmountFilesystems(config)
        }
    }

    private func cachedConfig() throws -> IgnitionConfig {
        let cache = invocation.configCache
        return try step("reading the config from \(cache)") {
            try IgnitionConfig.decode(try Files.read(cache), name: cache.string)
        }
    }

    /// What is told of configs as they are read.
    var notes: ConfigNotes {
        ConfigNotes(
            reading: { [log] path, bytes in
                log.info("reading system config file \"\(path)\"")
                log.parsing(bytes)
            },
            report: { [log] in log.report($0) }, warn: { [log] in log.warning($0) })
    }
}

extension IgnitionLog {
    /// By this line people find out which text it was.
    func parsing(_ bytes: [UInt8]) {
        var digest = MessageDigest(.sha512)
        bytes.withUnsafeBytes { digest.update($0) }
        debug("parsing config with SHA512: \(hexadecimal(digest.finish()))")
    }
}

extension IgnitionState {
    /// Reads the file; an absent one is an empty state.
    init(at path: FilePath) throws {
        self = Files.status(path) == nil ? IgnitionState() : try IgnitionState(parsing: try Files.read(path))
    }

    func save(to path: FilePath) throws {
        try Files.makeFolder(path.removingLastComponent(), mode: 0o700)
        try Files.write(text, to: path, mode: 0o600)
    }
}
