// The boot's stages in one process, where shell scripts are PID 1: under initramfs-tools, and under dracut without
// systemd. udev makes nodes and links, and the scripts give the shell.

import BootArguments
import Devices
import LinuxSystem
import Logging
import Networking
import ProvisioningEngine
import Reporting
import SystemPackage

/// The stages of a boot, run by another's `/init`.
public final class ScriptedBoot: Sendable {
    private let bringsUpNetwork: Bool
    private let arguments: BootArguments
    private let console: BootConsole
    private let log: Logger
    private let session: LiveSession

    /// The boot of this machine.
    ///
    /// - Parameters:
    ///   - root: Where the real root is assembled.
    ///   - bringsUpNetwork: Whether the network is brought up here, and handed over; otherwise it is there already.
    public init(root: String, bringsUpNetwork: Bool = false) {
        self.bringsUpNetwork = bringsUpNetwork
        arguments = BootArguments(bytes: (try? Files.read("/proc/cmdline")) ?? [])
        log = Logger.boot(level: arguments.logLevel)
        console = BootConsole.kernel(isQuiet: arguments.quiet, log: log)
        var session = LiveSession(
            arguments, observer: .boot(console, log), devices: .udev(telling: console.waits))
        session.provisioning.root = FilePath(root)
        self.session = session
    }

    /// Runs all stages and leaves a real root that init may be started in.
    ///
    /// After a failure it may be called again, in a new process: what is there is kept.
    ///
    /// - Returns: Whether it is done. If not, what went wrong has been told, and a shell is wanted; where the command
    ///   line wants something else, this does not return.
    public func run() -> Bool {
        if arguments.lowersConsoleLevel { KernelConsole.lower() }
        console.headline(LiveMachine.headline)
        if let change = MachineClock.system.catchUp() { console.say("clock", "\(change)") }
        for warning in arguments.warnings { console.warn(warning) }
        // Filesystems that an earlier call mounted are mounted anew; the disks are looked at before that.
        do { try session.provisioning.unmountFilesystems() } catch { log.error("\(error)") }
        let engine = StageEngine(
            BootStage.inScripts(bringingUpNetwork: bringsUpNetwork), needs: \.needs, observer: .boot(console, log),
            underWay: { [self] in session.begin($0) })
        if let stopped = engine.run({ [self] in try session.run($0, telling: $1, machine: act) }) {
            log.error("\(stopped.failure(of: \.act))")
            // A DHCP client that went on by itself would renew the leases beside the client of the next call.
            Networking.endClients()
            end(by: stopped.failure(of: \.act), of: stopped.stage.topic)
            return false
        }
        console.say("root", "ready; the initramfs hands over")
        KernelConsole.restore()
        return true
    }

    /// Tells of a ``run()`` that did not end by itself.
    ///
    /// - Parameter status: What the shell has in `$?`.
    public func tellDeath(status: Int32) {
        guard let death = AgentDeath(shellStatus: status) else { return }
        let step = session.state.stepUnderWay() ?? .starting
        end(by: death.failure(during: step.act), of: step.topic)
    }

    private func end(by failure: BootFailure, of topic: String) {
        let action = arguments.failureAction
        // The scripts themselves say what follows: with initramfs-tools' panic= there is no shell.
        console.tell(
            failure, written: session.state.written,
            next: action == .shell ? "The scripts of the initramfs go on." : console.announcement(of: action))
        session.reportFailure(failure, of: topic)
        guard action != .shell else { return }
        do { try session.provisioning.unmountFilesystems() } catch { log.error("\(error)") }
        action.follow(on: console)
    }

    private func act(_ part: BootStage.MachinePart) throws {
        switch part {
        case .drivers: break
        case .network:
            // udev loads the drivers meanwhile.
            try session.bringUpNetwork(telling: console, log) { _ in }
        case .handOver:
            let root = session.provisioning.root
            try session.unmountFilesystems()
            if bringsUpNetwork { try Networking.handOver(to: root, arguments: arguments, logger: log) }
        }
    }
}

extension LiveSession {
    /// Runs a stage of a boot that is one process, as a step that a failure names.
    func run(
        _ stage: BootStage, telling observer: SessionObserver, machine: (BootStage.MachinePart) throws -> Void
    ) throws {
        try step(stage.act) {
            try observer.waits.during(stage.topic, stage.act) {
                try telling(observer).run(stage, machine: machine)
            }
        }
    }

    /// Brings up the network, where anything needs it.
    ///
    /// - Parameters:
    ///   - console: Told of it.
    ///   - log: The boot's log.
    ///   - pump: Lets new devices appear for so many milliseconds.
    /// - Throws: What keeps it down.
    func bringUpNetwork(telling console: BootConsole, _ log: Logger, pump: @escaping (Int32) -> Void) throws {
        guard needsNetwork else {
            log.info("nothing needs the network")
            for warning in provisioning.arguments.networkWarnings { console.warn(warning) }
            return note("nothing needs it", of: .network)
        }
        // DHCP clients open packet sockets; loaded here, the kernel need not ask for it by a program.
        provisioning.devices.loadModule("af_packet")
        let state = try Networking.bringUp(
            arguments: provisioning.arguments, urls: firstURLs, pump: pump,
            report: { console.say("network", $0) }, waits: console.waits, logger: log)
        console.say("network", state.summary)
        if let change = Networking.setClock(.system, by: state) { console.say("clock", "\(change)") }
        note(state.summary, of: .network)
    }
}

/// What a boot needs of an initramfs whose scripts ask before they do anything.
public struct BootNeeds: Equatable, Sendable {
    /// Words for a script, in this order: `root`, where the boot is one of a root image; `network`, where anything
    /// needs that.
    public private(set) var words: [String] = []

    /// Those of this machine.
    public static var ofThisMachine: BootNeeds {
        let arguments = BootArguments(bytes: (try? Files.read("/proc/cmdline")) ?? [])
        let units = GeneratedUnits.ofThisMachine(arguments)
        units.tellWarning()
        return BootNeeds(units)
    }

    init(_ units: GeneratedUnits) {
        guard units.isLive else { return }
        words.append("root")
        if units.needsNetwork { words.append("network") }
    }
}
