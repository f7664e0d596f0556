// Access to devices for the stages, whether this program or udev manages them.

import CLinux
import Glibc
import LinuxSystem
import NetworkPlanning
import Reporting
import SystemPackage

/// A device that did not appear.
public struct DeviceTimeout: Error, CustomStringConvertible, Advising {
    /// The device's path.
    public var path: FilePath
    /// How long it was waited for.
    public var seconds: Double
    /// Nodes and sizes of the block devices that are present: `/dev/vda (4 GiB)`.
    public var present: [String]
    /// The names in the folder in which the device was expected.
    public var neighbours: [String]
    /// Storage controllers without a driver.
    public var driverless: [DriverlessController]

    /// What went wrong, for a message.
    public var description: String { "\(path) did not appear within \(oneDecimal(seconds)) s" }

    /// What the operator can do.
    public var advice: [String] {
        var lines: [String] = []
        let name = path.lastComponent?.string ?? ""
        if let near = nearest(to: name, in: neighbours) {
            lines.append("There is \(path.removingLastComponent().appending(near)): is that the one?")
        } else if !neighbours.isEmpty, path.string.hasPrefix("/dev/disk/") {
            lines.append("\(path.removingLastComponent()) holds: \(neighbours.joined(separator: ", "))")
        }
        lines.append(
            present.isEmpty ? "There is no disk at all." : "Block devices here: \(present.joined(separator: ", "))")
        if !driverless.isEmpty {
            let controllers = driverless.map(\.description).joined(separator: ", ")
            lines.append("No driver for \(controllers): make the initramfs with --modules generic.")
        }
        return lines + ["rd.timeout=SECONDS on the kernel command line waits longer."]
    }

    /// Collects what is present instead.
    init(_ path: FilePath, seconds: Double) {
        self.path = path
        self.seconds = seconds
        present = Files.names(in: "/sys/class/block").compactMap { name -> String? in
            guard let sectors = Files.line(FilePath("/sys/class/block/\(name)/size")).flatMap({ UInt64($0) }),
                sectors > 0,
                !name.hasPrefix("loop"), !name.hasPrefix("ram"), !(name.hasPrefix("sr") && Self.isEmptyDrive(name))
            else { return nil }
            return "/dev/\(name) (\(ByteCount(sectors * 512)))"
        }
        neighbours = Files.names(in: path.removingLastComponent())
        driverless = DriverlessController.all(in: .live, ofClass: "0x01")
    }

    /// A drive without a disc reports a size nevertheless.
    private static func isEmptyDrive(_ name: String) -> Bool {
        let descriptor = open("/dev/\(name)", O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { return true }
        defer { close(descriptor) }
        return firstlight_disc_present(descriptor) == 0
    }
}

/// Access to devices, the same for this program's own management and for udev's.
public struct DeviceAccess: Sendable {
    private var waitForDevice: @Sendable (FilePath, Double, Waits) throws(DeviceTimeout) -> Void
    /// Told of what is waited for; where it is cancelled, a wait ends as if its time were over.
    public var waits: Waits
    private var firstDevice: @Sendable ([FilePath], Double, Waits) -> FilePath?
    /// Returns when everything that has happened to devices has taken effect below `/dev`.
    public var settle: @Sendable () -> Void
    /// Settles after the content of some devices has changed.
    public var settleChanged: @Sendable ([FilePath]) -> Void
    /// Loads a module, or those of an alias; a missing one is noticed when it is used.
    public var loadModule: @Sendable (String) -> Void

    /// Creates an access from its functions; without `settleChanged`, `settle` serves both.
    public init(
        wait: @escaping @Sendable (FilePath, Double, Waits) throws(DeviceTimeout) -> Void,
        firstOf: @escaping @Sendable ([FilePath], Double, Waits) -> FilePath?,
        settle: @escaping @Sendable () -> Void, settleChanged: (@Sendable ([FilePath]) -> Void)? = nil,
        loadModule: @escaping @Sendable (String) -> Void, waits: Waits = .untold
    ) {
        self.settleChanged = settleChanged ?? { _ in settle() }
        waitForDevice = wait
        self.waits = waits
        firstDevice = firstOf
        self.settle = settle
        self.loadModule = loadModule
    }

    /// Waits for a block device.
    ///
    /// - Parameters:
    ///   - path: The device, or a link to it.
    ///   - deadline: In seconds of ``Machine/uptime()``; infinity means no limit.
    /// - Throws: Where it does not appear in time.
    public func wait(_ path: FilePath, _ deadline: Double) throws(DeviceTimeout) {
        try waitForDevice(path, deadline, waits)
    }

    /// Waits until one of some block devices is present; without paths, until the deadline.
    ///
    /// The arguments are as for ``wait(_:_:)``.
    public func firstOf(_ paths: [FilePath], _ deadline: Double) -> FilePath? { firstDevice(paths, deadline, waits) }

    /// The same access, which reports waits to `waits`.
    public func telling(_ waits: Waits) -> DeviceAccess {
        var access = self
        access.waits = waits
        return access
    }

    /// Access through this program's own manager, which reports waits to `waits`.
    public static func own(_ manager: DeviceManager, waits: Waits = .untold) -> DeviceAccess {
        DeviceAccess(
            wait: { path, deadline, waits throws(DeviceTimeout) in
                // A kernel's name needs no links.
                if path.removingLastComponent() == "/dev", isBlockDevice(path) { return }
                try patiently(path, deadline, waits) { until in
                    _ = manager.wait(until: until) { isBlockDevice(path) || waits.isCancelled() }
                    return isBlockDevice(path)
                }
            },
            firstOf: { paths, deadline, waits in
                _ = manager.wait(until: deadline) { paths.contains(where: isBlockDevice) || waits.isCancelled() }
                return paths.first(where: isBlockDevice)
            },
            settle: { manager.settle() },
            loadModule: { manager.loader.load($0) }, waits: waits)
    }

    /// Access to nodes and links that udev makes, in an initramfs that systemd runs.
    public static var udev: DeviceAccess { udev(telling: .untold) }

    /// Access through udev, which reports waits to `waits`.
    public static func udev(telling waits: Waits) -> DeviceAccess {
        DeviceAccess(
            wait: { path, deadline, waits throws(DeviceTimeout) in
                // A kernel's name needs no links.
                if path.removingLastComponent() == "/dev", isBlockDevice(path) { return }
                try patiently(path, deadline, waits) { until in
                    appears([path], until: until, unless: waits.isCancelled) != nil
                }
                // The link may have appeared while udev still probes other devices with the same name.
                udevSettle()
            },
            firstOf: { paths, deadline, waits in
                let found = appears(paths, until: deadline, unless: waits.isCancelled)
                if found != nil { udevSettle() }
                return found
            },
            settle: udevSettle,
            settleChanged: { changed in
                // udev watches for the end of a write, but not while it probes the device for another reason.
                for node in changed.map({ Files.resolved($0) ?? $0 }) {
                    let name = node.lastComponent?.string ?? ""
                    try? Files.put("change", into: FilePath("/sys/class/block/\(name)/uevent"))
                }
                udevSettle()
            },
            loadModule: { _ = try? Command("modprobe", ["-q", $0]).capture() }, waits: waits)
    }

    private static let udevSettle: @Sendable () -> Void = {
        _ = try? Command("udevadm", ["settle", "--timeout=30"]).capture()
    }

    private static func patiently(
        _ path: FilePath, _ deadline: Double, _ waits: Waits, wait: (Double) -> Bool
    ) throws(DeviceTimeout) {
        let start = Machine.uptime()
        let told = Wait(
            for: "\(path)", reason: "not there yet", deadline: deadline,
            advice: ["Check that it is attached and spelled so; rd.timeout=SECONDS sets how long it is waited for"])
        let isThere = waits.wait(for: told) { _ in wait(deadline) }
        if !isThere { throw DeviceTimeout(path, seconds: Machine.uptime() - start) }
    }

    private static func isBlockDevice(_ path: FilePath) -> Bool {
        Files.status(path).map { $0.st_mode & S_IFMT == S_IFBLK } ?? false
    }

    /// Looks twice a second until something is found, or nobody needs it any more.
    static func polled<Found>(
        until deadline: Double, unless isCancelled: () -> Bool, _ look: () -> Found?
    ) -> Found? {
        while true {
            if let found = look() { return found }
            let left = deadline - Machine.uptime()
            guard left > 0, !isCancelled() else { return nil }
            usleep(UInt32(min(left, 0.5) * 1_000_000) + 1)
        }
    }

    /// Waits until another program makes one of the paths.
    static func appears(_ paths: [FilePath], until deadline: Double, unless isCancelled: () -> Bool) -> FilePath? {
        guard let watch = try? FileWatch() else {
            // The kernel has none left: that is not the device's fault.
            return polled(until: deadline, unless: isCancelled) { paths.first(where: isBlockDevice) }
        }
        while true {
            // The folder may be missing too; then the nearest one above it is watched.
            var folder = paths.first?.removingLastComponent() ?? "/dev"
            while !Files.isFolder(folder), !folder.components.isEmpty { folder = folder.removingLastComponent() }
            let number = try? watch.add(folder, .appeared)
            if let found = paths.first(where: isBlockDevice) { return found }
            let left = deadline - Machine.uptime()
            guard left > 0, !isCancelled() else { return nil }
            // Half a second at most, because the folder may have appeared just before it was watched.
            waitForAny([watch.descriptor], milliseconds: Int32(min(left, 0.5) * 1000) + 1)
            _ = watch.events()
            if let number { watch.remove(number) }
        }
    }
}
