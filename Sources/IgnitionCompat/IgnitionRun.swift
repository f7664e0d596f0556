// IgnitionCompat: the names, flags, log, state file and exit status of Ignition; what they do is the engine's.
// This file is one run of `ignition`.

import BootArguments
import Devices
import IgnitionConfig
import LinuxSystem
import ProvisioningEngine
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
        let run: IgnitionRun
        do {
            let environment = try IgnitionEnvironment(variable)
            run = IgnitionRun(invocation, environment, try IgnitionState(at: invocation.stateFile), log: log)
        } catch {
            log.critical("reading state: \(error)")
            return 3
        }
        do {
            try run.perform()
            run.postStatus(nil)
        } catch {
            run.postStatus("\(error)")
            // Ignition prints the whole config here, secrets and all.
            say("\(invocation.stage.rawValue) failed", to: 2)
            let failure = error as? BootFailure ?? BootFailure(cause: error)
            for line in failure.advice { log.error(line) }
            log.critical("Ignition failed: \(failure)")
            return 1
        }
        do {
            try run.store.state.save(to: invocation.stateFile)
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

/// A stage of Ignition: a session by the rules of a drop-in, which leaves Ignition's files.
final class IgnitionRun {
    let invocation: IgnitionInvocation
    let log: IgnitionLog
    let store: IgnitionStore
    private var session: ProvisioningSession
    /// What is waited for goes into the log, where the fetches' attempts stand already.
    private let watch = WaitWatch()

    init(
        _ invocation: IgnitionInvocation, _ environment: IgnitionEnvironment, _ state: IgnitionState, log: IgnitionLog
    ) {
        self.invocation = invocation
        self.log = log
        var arguments = BootArguments(bytes: (try? Files.read(environment.commandLine)) ?? [])
        // As in Ignition, what is not a URL is passed over.
        let problem = arguments.passOverConfigURL()
        if invocation.stage.fetches {
            if let problem {
                log.error("\(BootArguments.configKey) is not a URL and is ignored: \(problem.reason)")
            } else if arguments.configURL == nil {
                log.info("no config URL provided")
            }
        }
        store = IgnitionStore(state, cache: invocation.configCache, isFetching: invocation.stage.fetches)
        let observer = SessionObserver.ignition(log, root: invocation.root, waits: watch.waits, store: store)
        session = ProvisioningSession(
            arguments, .dropIn(arguments), store: store, observer: observer, devices: .udev(telling: watch.waits))
        session.root = invocation.root
        session.folders = environment.folders
        session.platform = invocation.platform.rawValue
        session.writesKeyFragment = environment.writesKeyFragment
        watch.onDue { due in if let due, due.news != .none { log.info("\(due.wait)") } }
    }

    /// Runs the stage.
    ///
    /// If it throws, the state must not be saved.
    func perform() throws {
        try session.baseConfig(telling: true)
        store.record(.init(kind: .base, source: "system"))
        if invocation.stage.fetches {
            guard try fetchConfig() else { return }
        } else {
            _ = try session.config()
            try log.within(invocation.stage.rawValue, carryOut)
        }
        log.info("\(invocation.stage.rawValue): \(invocation.stage.rawValue) passed")
    }

    private func carryOut() throws {
        switch invocation.stage {
        case .fetchOffline, .fetch: break
        case .kargs: try session.setKernelArguments()
        case .disks: try session.prepareDisks()
        case .mount: try session.mountFilesystems()
        case .files: try session.writeFiles()
        case .umount: try session.unmountFilesystems()
        }
    }

    /// Leaves the whole config in the cache, and where anything needs the network the file that asks for it.
    ///
    /// - Returns: `false` where the config itself needs the network, which this stage does not have.
    private func fetchConfig() throws -> Bool {
        let isOffline = invocation.stage == .fetchOffline
        session.isOffline = isOffline
        session.fetchTimeout = invocation.fetchTimeout == 0 ? nil : Double(invocation.fetchTimeout)
        do {
            try session.fetchConfig()
        } catch {
            guard isOffline, ProvisioningSession.needsNetwork(error) else { throw error }
            log.info("failed to fetch config: resource requires networking")
            try askForNetwork()
            return false
        }
        store.tellJournal()
        if isOffline, try session.configNeedsNetwork() { try askForNetwork() }
        return true
    }

    private func askForNetwork() throws {
        let file = invocation.neednet
        try step("asking for the network by \(file)") {
            try Files.makeFolder(file.removingLastComponent())
            try Files.write("", to: file)
        }
    }

    /// A failure to tell the platform stops nothing.
    func postStatus(_ failure: String?) {
        guard invocation.stage != .fetchOffline else { return }
        if let fault = session.reportToPlatform(stage: invocation.stage.rawValue, failure: failure) {
            log.error("POST Status error: \(fault)")
        }
    }
}

extension IgnitionStage {
    /// Whether it finds the config, rather than carrying it out.
    fileprivate var fetches: Bool { self == .fetchOffline || self == .fetch }
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
