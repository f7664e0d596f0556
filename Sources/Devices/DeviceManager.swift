// The devices of a machine without udev: drivers for what is there and for what comes, links for disks.

import BootArguments
import DeviceNames
import LinuxSystem
import Logging
import Synchronization
import SystemPackage

/// Answers the kernel's device events as udev would. One for the whole boot.
///
/// Drivers of network cards come first. Where there is a card, all other drivers are loaded on a
/// second thread, behind the transfers that most boots wait for. After that nothing runs in the
/// background: events wait in the kernel until somebody pumps, and links are made when somebody waits
/// for a device or settles.
public final class DeviceManager: Sendable {
    /// A device that asks for a driver.
    private struct Request {
        var path: String
        var modalias: String
    }

    private struct Requests {
        var waiting: [Request] = []
        /// Devices for which a driver was found, by their paths below `/sys`.
        var driven: Set<String> = []
        /// Whether the second thread is at work.
        var isBusy = false

        mutating func take(networkOnly: Bool) -> Request? {
            let first = waiting.firstIndex { DeviceManager.isNetworkCard($0.modalias) }
            guard let index = first ?? (networkOnly ? nil : waiting.indices.first) else { return nil }
            return waiting.remove(at: index)
        }
    }

    public let loader: ModuleLoader
    private let events: KernelEventSocket
    private let requests = Monitor(Requests())
    private let links: Mutex<DeviceSymlinks>
    /// Readable when somebody wrote to a device that has links.
    private let written: Int32
    private let sysfs = Sysfs.live
    private let extraModules: [String]
    private let log: Logger

    /// Starts listening; events from here on are not lost.
    public init(arguments: BootArguments, logger: Logger) throws(Errno) {
        loader = ModuleLoader(arguments: arguments, logger: logger)
        extraModules = arguments.extraModules
        log = logger
        events = try KernelEventSocket()
        let keeper = try DeviceSymlinks(sysfs: .live, logger: logger)
        written = keeper.descriptor
        links = Mutex(keeper)
    }
}

// MARK: - Drivers

extension DeviceManager {
    /// What ``coldplug(report:)`` has loaded.
    public struct Loaded: Equatable, Sendable {
        public var modules: Int
        public var devices: Int
    }

    /// Loads drivers for everything that is there, and for what appears thereby.
    ///
    /// Returns when the network cards have theirs; ``settle()`` waits for the others.
    /// - Parameter report: Told when all are loaded, maybe on another thread.
    public func coldplug(report: @escaping @Sendable (Loaded) -> Void) {
        // Drives say that a disc was put in only when they are asked to look.
        try? Files.put("2000", into: "/sys/module/block/parameters/events_dfl_poll_msecs")
        for module in extraModules { loader.load(module) }
        let asking = modaliases()
        log.debug("\(asking.count) devices ask for drivers")
        requests.change {
            $0.waiting += asking
            $0.isBusy = true
        }
        let blocks = sysfs.names("/class/block").compactMap { name in
            Files.resolved(FilePath("/sys/class/block/\(name)")).map { String($0.string.dropFirst("/sys".count)) }
        }
        // Disks before their partitions, as the kernel announces them.
        links.withLock { links in for path in blocks.sorted() { links.note(path) } }

        drive(networkOnly: true)
        let hasCard = sysfs.names("/class/net").contains { $0 != "lo" }
        do throws(ThreadFault) {
            guard hasCard else { return finishColdplug(report) }
            try startThread { self.finishColdplug(report) }
        } catch {
            finishColdplug(report)
        }
    }

    private func finishColdplug(_ report: (Loaded) -> Void) {
        repeat {
            drive()
        } while !requests.change { requests in
            requests.isBusy = !requests.waiting.isEmpty
            return !requests.isBusy
        }
        let loaded = Loaded(modules: loader.record.loaded.count, devices: requests.change { $0.driven.count })
        log.debug("\(loaded.modules) modules loaded for \(loaded.devices) devices")
        report(loaded)
    }

    /// Loads drivers until nobody asks for one.
    private func drive(networkOnly: Bool = false) {
        collect()
        while let request = requests.change({ $0.take(networkOnly: networkOnly) }) {
            if loader.loadDrivers(for: request.modalias) {
                requests.change { _ = $0.driven.insert(request.path) }
            }
            collect()
        }
    }

    /// What the devices on all buses ask for.
    private func modaliases() -> [Request] {
        sysfs.names("/bus").filter { !DeviceManager.idleBuses.contains($0) }.flatMap { bus in
            sysfs.names("/bus/\(bus)/devices").compactMap { name in
                let path = "/bus/\(bus)/devices/\(name)"
                guard let modalias = sysfs.text("\(path)/modalias"), !modalias.isEmpty else { return nil }
                return Request(path: path, modalias: modalias)
            }
        }
    }

    /// A network controller on PCI (class 02h), virtio, Hyper-V or Xen.
    private static func isNetworkCard(_ modalias: String) -> Bool {
        modalias.hasPrefix("pci:") && modalias.contains("bc02sc") || modalias.hasPrefix("virtio:d00000001v")
            || modalias == "vmbus:635161f83edfc546913ff2d2f965ed0e" || modalias == "xen:vif"
    }

    /// Buses whose devices ask for nothing that a boot needs. Some are long: `memory` has an entry for
    /// every 128 MiB, `cpu` asks for ciphers and sensors that are loaded when somebody uses them.
    private static let idleBuses: Set<String> = [
        "clockevents", "clocksource", "container", "cpu", "edac", "event_source", "gpio", "machinecheck", "memory",
        "node", "workqueue",
    ]
}

// MARK: - Events

extension DeviceManager {
    /// Handles what has happened to devices: loads drivers for new ones. Does not wait.
    public func pump() {
        collect()
        if !requests.change({ $0.isBusy }) { drive() }
    }

    /// Handles what has happened to devices; where nothing has, waits for something.
    ///
    /// - Parameter milliseconds: How long to wait at most; 0 does not wait.
    public func pump(milliseconds: Int32) {
        if milliseconds > 0 { waitForAny([events.descriptor], milliseconds: milliseconds) }
        pump()
    }

    /// Waits until all drivers are loaded, then makes all links true.
    public func settle() {
        finish()
        pump()
        links.withLock { $0.update() }
    }

    /// Waits until ``coldplug(report:)`` is over on the other thread.
    public func finish() { requests.wait { $0.isBusy ? nil : () } }

    /// Handles what happens to devices until `condition` holds.
    ///
    /// - Parameters:
    ///   - deadline: When to give up, in ``Machine/uptime()``'s seconds.
    ///   - condition: Asked once the links of all devices so far are true.
    /// - Returns: Whether it holds.
    public func wait(until deadline: Double, for condition: () -> Bool) -> Bool {
        while true {
            pump()
            links.withLock { $0.update() }
            if condition() { return true }
            let left = deadline - Machine.uptime()
            guard left > 0 else { return false }
            // In slices: the other thread may have taken the event that this one waits for.
            waitForAny([events.descriptor, written], milliseconds: Int32(min(left, 0.25) * 1000) + 1)
        }
    }

    /// Takes the events that have come, without acting on them.
    private func collect() {
        while let event = events.next(within: 0) {
            if event.action == .add, let modalias = event.properties["MODALIAS"] {
                requests.change { $0.waiting.append(Request(path: event.devicePath, modalias: modalias)) }
            }
            guard event.properties["SUBSYSTEM"] == "block" else { continue }
            switch event.action {
            case .add, .change: links.withLock { $0.note(event.devicePath) }
            case .remove: links.withLock { $0.forget(event.devicePath) }
            default: break
            }
        }
    }
}
