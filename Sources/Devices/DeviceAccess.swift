// What the stages need of devices, be it from us or from udev.

import CLinux
import Glibc
import LinuxSystem
import NetworkPlanning
import Reporting
import SystemPackage

/// A device that did not appear.
public struct DeviceTimeout: Error, CustomStringConvertible, Advising {
    public var path: FilePath
    public var seconds: Double
    /// Nodes and sizes of the block devices that are there: `/dev/vda (4 GiB)`.
    public var present: [String]
    /// What the folder holds where the device was looked for.
    public var neighbours: [String]
    /// Storage controllers without a driver.
    public var driverless: [DriverlessController]

    public var description: String { "\(path) did not appear within \(oneDecimal(seconds)) s" }

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

    /// Looks around for what there is instead.
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

    /// A drive without a disc has a size of its own all the same.
    private static func isEmptyDrive(_ name: String) -> Bool {
        let descriptor = open("/dev/\(name)", O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { return true }
        defer { close(descriptor) }
        return firstlight_disc_present(descriptor) == 0
    }
}

/// One door to devices; the same for our own management of them and for udev's.
public struct DeviceAccess: Sendable {
    /// Waits for a block device.
    ///
    /// - Parameters: The path; when to give up, in ``Machine/uptime()``'s seconds (`infinity`: never).
    public var wait: @Sendable (FilePath, Double) throws(DeviceTimeout) -> Void
    /// Waits for the first of some block devices to be there; with none given, until the deadline.
    ///
    /// - Parameters: The paths; when to give up, as for ``wait``.
    public var firstOf: @Sendable ([FilePath], Double) -> FilePath?
    /// Returns when everything that has happened to devices has taken effect below `/dev`.
    public var settle: @Sendable () -> Void
    /// Settles after what some devices hold has changed.
    public var settleChanged: @Sendable ([FilePath]) -> Void
    /// Loads a module or what an alias stands for; one that is missing shows when it is used.
    public var loadModule: @Sendable (String) -> Void

    public init(
        wait: @escaping @Sendable (FilePath, Double) throws(DeviceTimeout) -> Void,
        firstOf: @escaping @Sendable ([FilePath], Double) -> FilePath?,
        settle: @escaping @Sendable () -> Void, settleChanged: (@Sendable ([FilePath]) -> Void)? = nil,
        loadModule: @escaping @Sendable (String) -> Void
    ) {
        self.settleChanged = settleChanged ?? { _ in settle() }
        self.wait = wait
        self.firstOf = firstOf
        self.settle = settle
        self.loadModule = loadModule
    }

    /// Through our own manager.
    ///
    /// - Parameter waits: Told of devices that are waited for.
    public static func own(_ manager: DeviceManager, waits: Waits = .untold) -> DeviceAccess {
        DeviceAccess(
            wait: { path, deadline throws(DeviceTimeout) in
                // A kernel's name needs no links.
                if path.removingLastComponent() == "/dev", isBlockDevice(path) { return }
                try patiently(path, deadline, waits) { until in
                    manager.wait(until: until) { isBlockDevice(path) }
                }
            },
            firstOf: { paths, deadline in
                manager.wait(until: deadline) { paths.contains(where: isBlockDevice) }
                    ? paths.first(where: isBlockDevice) : nil
            },
            settle: { manager.settle() },
            loadModule: { manager.loader.load($0) })
    }

    /// Where udev makes the nodes and links, in an initramfs that systemd runs.
    public static var udev: DeviceAccess { udev(telling: .untold) }

    /// - Parameter waits: Told of devices that are waited for.
    public static func udev(telling waits: Waits) -> DeviceAccess {
        DeviceAccess(
            wait: { path, deadline throws(DeviceTimeout) in
                // A kernel's name needs no links.
                if path.removingLastComponent() == "/dev", isBlockDevice(path) { return }
                try patiently(path, deadline, waits) { until in appears([path], until: until) != nil }
                // The link may have appeared while udev still looks at other devices of the same name.
                udevSettle()
            },
            firstOf: { paths, deadline in
                let found = appears(paths, until: deadline)
                if found != nil { udevSettle() }
                return found
            },
            settle: udevSettle,
            settleChanged: { changed in
                // udev watches for the end of a write, but not while it looks at the device for another reason.
                for node in changed.map({ Files.resolved($0) ?? $0 }) {
                    let name = node.lastComponent?.string ?? ""
                    try? Files.put("change", into: FilePath("/sys/class/block/\(name)/uevent"))
                }
                udevSettle()
            },
            loadModule: { _ = try? Command("modprobe", ["-q", $0]).capture() })
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

    /// Waits until somebody else makes one of the paths.
    private static func appears(_ paths: [FilePath], until deadline: Double) -> FilePath? {
        guard let watch = try? FileWatch() else { return paths.first(where: isBlockDevice) }
        while true {
            // The folder may be missing too: then the nearest one above it is watched.
            var folder = paths.first?.removingLastComponent() ?? "/dev"
            while !Files.isFolder(folder), !folder.components.isEmpty { folder = folder.removingLastComponent() }
            let number = try? watch.add(folder, .appeared)
            if let found = paths.first(where: isBlockDevice) { return found }
            let left = deadline - Machine.uptime()
            guard left > 0 else { return nil }
            // Half a second at most: the folder may have appeared between the look and the watch.
            waitForAny([watch.descriptor], milliseconds: Int32(min(left, 0.5) * 1000) + 1)
            _ = watch.events()
            if let number { watch.remove(number) }
        }
    }
}
