// The machine as PID 1 holds it: consoles, log, devices, network, and the session that provisions it.

import BootArguments
import Devices
import Glibc
import LinuxSystem
import Logging
import Networking
import ProvisioningEngine
import Reporting
import Synchronization
import SystemPackage

/// What lives as long as the initramfs does.
final class LiveMachine: Sendable {
    let arguments: BootArguments
    let console: BootConsole
    let log: Logger
    let devices: DeviceManager
    let session: LiveSession
    /// Stages before which `rd.break=` has given its shell.
    let broken = Mutex<Set<BootStage>>([])

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
        // This check comes first, long before the network: files that did not fit into the initramfs are missing.
        try LiveSession.checkRoom()
        try EarlyMounts.mountUsr()
        devices = try DeviceManager(arguments: arguments, logger: log)
        let access = DeviceAccess.own(devices, waits: console.waits)
        session = LiveSession(arguments, observer: .boot(console, log), devices: access)
    }

    /// `firstlight 0.1.0 · Linux 6.1.0-56 · 1.9 GiB RAM · QEMU Standard PC`.
    static var headline: String {
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
        try session.bringUpNetwork(telling: console, log) { [devices] in devices.pump(milliseconds: $0) }
    }

    /// Has PID 1 leave the initramfs.
    ///
    /// It returns only by throwing.
    func handOver() throws {
        devices.finish()
        let next = try session.nextInit()
        try session.unmountFilesystems()
        try Networking.handOver(to: session.provisioning.root, arguments: arguments, logger: log)
        console.say("root", "handing over to \(next.program)")
        KernelConsole.restore()
        try next.start()
    }
}
