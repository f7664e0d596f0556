// The links below /dev, kept up to date with the present block devices.

import DeviceNames
import Glibc
import LinuxSystem
import Logging
import SystemPackage

/// Makes and removes the links of block devices, which are named by their paths below `/sys`.
struct DeviceSymlinks: ~Copyable {
    private let sysfs: Sysfs
    private let log: Logger
    private var claims = LinkClaims()
    /// Each disk's own names, kept because asking again would take as long as probing.
    private var disks: [String: DiskNames] = [:]
    private var nodes: [String: String] = [:]
    /// Reports that a device was written to: its content may have changed.
    private let watch: FileWatch
    private var watched: [Int32: String] = [:]
    private var told: Set<String> = []
    /// Devices to be probed before anybody asks for a link, in the order of their events.
    ///
    /// Probing takes some 10 ms for each device on a slow machine, and many boots need no link.
    private var pending: [String] = []

    init(sysfs: Sysfs, logger: Logger) throws(Errno) {
        self.sysfs = sysfs
        log = logger
        watch = try FileWatch()
    }

    /// A descriptor that is readable when a device was written to.
    var descriptor: Int32 { watch.descriptor }

    /// Has a device probed that appeared or changed.
    mutating func enqueue(_ path: String) {
        guard let name = path.split(separator: "/").last, DeviceLinks.concern(String(name)) else { return }
        if !pending.contains(path) { pending.append(path) }
    }

    /// Brings all links up to date.
    mutating func update() {
        enqueueWritten()
        let paths = pending
        pending = []
        for path in paths { refresh(path) }
    }

    /// Probes a device and gives it the links that it should have now.
    private mutating func refresh(_ path: String) {
        guard let device = SysfsDevice(path, in: sysfs), device.isReady, let name = device.properties["DEVNAME"] else {
            return forget(path)
        }
        let disk = device.disk
        let names = disks[disk.path] ?? DeviceProbe.names(of: disk)
        disks[disk.path] = names
        if nodes.updateValue(name, forKey: path) == nil, !name.hasPrefix("sr") {
            // The watch comes before probing, so that a write during the probing is not missed.
            if let number = try? watch.add(FilePath("/dev").appending(name), .written) { watched[number] = path }
        }
        let links = DeviceProbe.links(of: device, names: names)
        apply(claims.set(links.names, priority: links.priority, for: path))
        for link in claims.denied(to: path) where told.insert("\(link) \(path)").inserted {
            let owner = claims.owner(of: link).flatMap { nodes[$0] } ?? "another device"
            log.warning("/dev/\(link) stays with /dev/\(owner); /dev/\(name) asks for it too")
        }
    }

    /// Removes the links of a device that has disappeared.
    mutating func forget(_ path: String) {
        pending.removeAll { $0 == path }
        apply(claims.set([], for: path))
        disks[path] = nil
        if nodes.removeValue(forKey: path) != nil, let number = watched.first(where: { $0.value == path })?.key {
            watch.remove(number)
            watched[number] = nil
        }
    }

    /// Has the devices probed that were written to since the last call.
    private mutating func enqueueWritten() {
        for path in watch.events().compactMap({ watched[$0] }).sorted() {
            enqueue(path)
            // A new table may rename partitions for which the kernel sends no event.
            for partition in sysfs.names(path) where nodes["\(path)/\(partition)"] != nil {
                enqueue("\(path)/\(partition)")
            }
        }
    }

    private func apply(_ changes: [LinkClaims.Change]) {
        for change in changes {
            do throws(FileFault) {
                switch change {
                case .remove(let link):
                    let path = FilePath("/dev").appending(link)
                    if Files.linkTarget(path) != nil { try Files.remove(path) }
                case .point(let link, let device):
                    guard let node = nodes[device] else { continue }
                    let path = FilePath("/dev").appending(link)
                    // libdevmapper makes its own nodes if there is no udev.
                    if Files.exists(path), Files.linkTarget(path) == nil { continue }
                    let climb = link.split(separator: "/").dropLast().map { _ in "../" }.joined()
                    try Files.makeLink(path, to: climb + node)
                    log.debug("/dev/\(link) is /dev/\(node)")
                }
            } catch {
                log.warning("link of \(change): \(error)")
            }
        }
    }
}

extension SysfsDevice {
    /// Whether a device made of others is complete: mappings and arrays exist before they have content.
    fileprivate var isReady: Bool {
        if name.hasPrefix("dm-") {
            // libcryptsetup tests keys on temporary mappings.
            return attribute("size") != "0" && attribute("dm/suspended") != "1"
                && attribute("dm/uuid")?.hasPrefix("CRYPT-TEMP-") != true
        }
        if name.hasPrefix("md"), type != "partition" {
            return !["", "clear", "inactive"].contains(attribute("md/array_state") ?? "")
        }
        return true
    }
}
