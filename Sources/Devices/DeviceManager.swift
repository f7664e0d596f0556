// The devices of a machine without udev: drivers for present and new devices, links for disks.

import BootArguments
import DeviceNames
import LinuxSystem
import Logging
import Synchronization
import SystemPackage

/// Answers the kernel's device events as udev would; there is one for the whole boot.
///
/// Drivers of network cards come first. If there is a card, all other drivers are loaded on a second thread, during the
/// transfers that most boots wait for. After that nothing runs in the background: events wait in the kernel until
/// ``pump()`` is called, and links are made when code waits for a device or settles.
public final class DeviceManager: Sendable {
    /// A device that needs a driver.
    private struct Request {
        var path: String
        var modalias: String
    }

    private struct Requests {
        var waiting: [Request] = []
        /// Devices for which a driver was found, by their paths below `/sys`.
        var driven: Set<String> = []
        /// Whether the second thread is running.
        var isBusy = false

        mutating func take(networkOnly: Bool) -> Request? {
            let first = waiting.firstIndex { DeviceManager.isNetworkCard($0.modalias) }
            guard let index = first ?? (networkOnly ? nil : waiting.indices.first) else { return nil }
            return waiting.remove(at: index)
        }
    }

    /// The loader of kernel modules.
    public let loader: ModuleLoader
    private let events: KernelEventSocket
    private let requests = Monitor(Requests())
    private let links: Mutex<DeviceSymlinks>
    /// A descriptor that is readable when a device with links was written to.
    private let written: Int32
    private let sysfs = Sysfs.live
    private let extraModules: [String]
    private let log: Logger

    /// Starts listening; from here on no events are lost.
    ///
    /// - Throws: ``FileFault`` where the kernel has no such events, or no room for who waits for them.
    public init(arguments: BootArguments, logger: Logger) throws(FileFault) {
        loader = ModuleLoader(arguments: arguments, logger: logger)
        extraModules = arguments.extraModules
        log = logger
        do throws(Errno) { events = try KernelEventSocket() } catch {
            throw FileFault("listen to", "the kernel's device events", error)
        }
        let keeper: DeviceSymlinks
        do throws(Errno) { keeper = try DeviceSymlinks(sysfs: .live, logger: logger) } catch {
            throw FileFault("watch", "/dev", error)
        }
        written = keeper.descriptor
        links = Mutex(keeper)
    }
}

// MARK: - Drivers

extension DeviceManager {
    /// The result of ``coldplug(report:)``.
    public struct Loaded: Equatable, Sendable {
        /// The number of loaded modules, dependencies included.
        public var modules: Int
        /// The number of devices that have a driver.
        public var devices: Int
    }

    /// Loads drivers for all present devices, and for those that appear because of that.
    ///
    /// It returns when the network cards have theirs; ``settle()`` waits for the others. `report` is called when all
    /// are loaded, maybe on another thread.
    public func coldplug(report: @escaping @Sendable (Loaded) -> Void) {
        // Drives report an inserted disc only when they are polled.
        try? Files.put("2000", into: "/sys/module/block/parameters/events_dfl_poll_msecs")
        for module in extraModules { loader.load(module) }
        requests.change { $0.isBusy = true }
        lookAtAll()
        drive(networkOnly: true)
        let hasCard = sysfs.names("/class/net").contains { $0 != "lo" }
        do throws(ThreadFault) {
            guard hasCard else { return finishColdplug(report) }
            try startThread { self.finishColdplug(report) }
        } catch {
            finishColdplug(report)
        }
    }

    /// Queues what all present devices ask for, as if the kernel had just announced them.
    private func lookAtAll() {
        let asking = modaliases()
        log.debug("\(asking.count) devices ask for drivers")
        requests.change { $0.waiting += asking }
        let blocks = sysfs.names("/class/block").compactMap { name in
            Files.resolved(FilePath("/sys/class/block/\(name)")).map { String($0.string.dropFirst("/sys".count)) }
        }
        // Disks come before their partitions, as the kernel announces them.
        links.withLock { links in for path in blocks.sorted() { links.enqueue(path) } }
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

    /// Loads drivers until no device needs one.
    private func drive(networkOnly: Bool = false) {
        collect()
        while let request = requests.change({ $0.take(networkOnly: networkOnly) }) {
            if loader.loadDrivers(for: request.modalias) {
                requests.change { _ = $0.driven.insert(request.path) }
            }
            collect()
        }
    }

    /// The requests of the devices on all buses.
    private func modaliases() -> [Request] {
        sysfs.names("/bus").filter { !DeviceManager.idleBuses.contains($0) }.flatMap { bus in
            sysfs.names("/bus/\(bus)/devices").compactMap { name in
                let path = "/bus/\(bus)/devices/\(name)"
                guard let modalias = sysfs.text("\(path)/modalias"), !modalias.isEmpty else { return nil }
                return Request(path: path, modalias: modalias)
            }
        }
    }

    /// Whether this is a network controller on PCI (class 02h), virtio, Hyper-V or Xen.
    private static func isNetworkCard(_ modalias: String) -> Bool {
        modalias.hasPrefix("pci:") && modalias.contains("bc02sc") || modalias.hasPrefix("virtio:d00000001v")
            || modalias == "vmbus:635161f83edfc546913ff2d2f965ed0e" || modalias == "xen:vif"
    }

    /// Buses whose devices need nothing for a boot.
    ///
    /// Some are long: `memory` has an entry for every 128 MiB, `cpu` asks for ciphers and sensors that are loaded on
    /// use.
    private static let idleBuses: Set<String> = [
        "clockevents", "clocksource", "container", "cpu", "edac", "event_source", "gpio", "machinecheck", "memory",
        "node", "workqueue",
    ]
}

// MARK: - Events

extension DeviceManager {
    /// Handles device events without waiting: loads drivers for new devices.
    public func pump() {
        collect()
        if !requests.change({ $0.isBusy }) { drive() }
    }

    /// Handles device events; waits for one if there are none.
    ///
    /// It waits at most `milliseconds`; 0 does not wait.
    public func pump(milliseconds: Int32) {
        if milliseconds > 0 { waitForAny([events.descriptor], milliseconds: milliseconds) }
        pump()
    }

    /// Waits until all drivers are loaded, then updates all links.
    public func settle() {
        finish()
        pump()
        links.withLock { $0.update() }
    }

    /// Waits until ``coldplug(report:)`` has ended on the other thread.
    public func finish() { requests.wait { $0.isBusy ? nil : () } }

    /// Handles device events until `condition` holds.
    ///
    /// - Parameters:
    ///   - deadline: When to give up, in seconds of ``Machine/uptime()``.
    ///   - condition: Is called when the links of all known devices are up to date.
    /// - Returns: Whether the condition holds.
    public func wait(until deadline: Double, for condition: () -> Bool) -> Bool {
        while true {
            pump()
            links.withLock { $0.update() }
            if condition() { return true }
            let left = deadline - Machine.uptime()
            guard left > 0 else { return false }
            // The wait is short, because the other thread may have taken the event that this one waits for.
            waitForAny([events.descriptor, written], milliseconds: Int32(min(left, 0.25) * 1000) + 1)
        }
    }

    /// Takes the pending events and queues what they ask for.
    private func collect() {
        while true {
            let event: KernelEvent
            switch events.next(within: 0) {
            case .event(let next): event = next
            case .nothing: return
            case .lost:
                log.warning("kernel events were lost; looking at /sys again")
                lookAtAll()
                continue
            }
            if event.action == .add, let modalias = event.properties["MODALIAS"] {
                requests.change { $0.waiting.append(Request(path: event.devicePath, modalias: modalias)) }
            }
            guard event.properties["SUBSYSTEM"] == "block" else { continue }
            switch event.action {
            case .add, .change: links.withLock { $0.enqueue(event.devicePath) }
            case .remove: links.withLock { $0.forget(event.devicePath) }
            default: break
            }
        }
    }
}
