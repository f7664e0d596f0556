// The machine as PID 1 holds it: consoles, log, devices, network, and the session that provisions it.

import BootArguments
import Devices
import Glibc
import LinuxSystem
import LiveRoot
import Logging
import Networking
import ProvisioningEngine
import Reporting
import SystemPackage

/// What lives as long as the initramfs does.
final class LiveMachine {
    let arguments: BootArguments
    let console: BootConsole
    let log: Logger
    let devices: DeviceManager
    let session: LiveSession

    /// Mounts the API filesystems, opens consoles and log, reads the command line, and makes modules
    /// and tools available.
    init() throws {
        try EarlyMounts.mountAll()
        let arguments = try step("reading /proc/cmdline") { BootArguments(bytes: try Files.read("/proc/cmdline")) }
        let log = Logger.boot(level: arguments.logLevel)
        let console = BootConsole.kernel(isQuiet: arguments.quiet, log: log)
        self.arguments = arguments
        self.log = log
        self.console = console
        if arguments.lowersConsoleLevel { KernelConsole.lower() }
        console.headline(Self.headline)
        if let change = MachineClock.system.catchUp() { console.say("clock", "\(change)") }
        for warning in arguments.warnings { console.warn(warning) }
        // Before anything is looked for in it, and long before the network: what did not fit is not there.
        try step("looking at what the kernel has unpacked") { try InitramfsRoom.now().check() }
        try EarlyMounts.mountUsr()
        devices = try DeviceManager(arguments: arguments, logger: log)
        let access = DeviceAccess.own(devices, waits: console.waits)
        session = LiveSession(arguments, observer: .boot(console, log), devices: access)
    }

    /// `firstlight 0.1.0 · Linux 6.1.0-56 · 1.9 GiB RAM · QEMU Standard PC`.
    private static var headline: String {
        let release = Files.line("/proc/sys/kernel/osrelease") ?? "unknown"
        let memory = Machine.memory("MemTotal").map { "\(ByteCount($0)) RAM" }
        let product = Files.line("/sys/class/dmi/id/product_name")
        return consoleHeadline(
            ["firstlight \(firstlightVersion)", "Linux \(release)", memory, product].compactMap { $0 })
    }

    /// Loads the modules that the machine's devices ask for: the network's now, the others meanwhile.
    func loadDrivers() {
        devices.coldplug { [console] loaded in
            console.say("modules", "\(loaded.modules) loaded for \(counted(loaded.devices, "device"))")
        }
    }

    /// Brings up the network, where anything needs it.
    func bringUpNetwork() throws {
        guard session.needsNetwork else {
            log.info("nothing needs the network")
            return session.note("nothing needs it", of: .network)
        }
        // DHCP clients open packet sockets; loaded here, the kernel need not ask for it by a program.
        devices.loader.load("af_packet")
        let state = try Networking.bringUp(
            arguments: arguments, urls: session.firstURLs, pump: { [devices] in devices.pump(milliseconds: $0) },
            report: { [console] in console.say("network", $0) }, waits: console.waits, logger: log)
        console.say("network", state.summary)
        session.note(state.summary, of: .network)
    }

    /// Has PID 1 leave the initramfs.
    ///
    /// It returns only by throwing.
    func handOver() throws {
        devices.finish()
        let root = session.provisioning.root
        let next = try SwitchRoot(
            root: root, wanted: arguments.initProgram, arguments: arguments.initArguments)
        try session.provisioning.unmountFilesystems()
        try Networking.handOver(to: root, arguments: arguments, logger: log)
        console.say("root", "handing over to \(next.program)")
        KernelConsole.restore()
        try next.request(watching: LiveSession.medium)
    }
}
