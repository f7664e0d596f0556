// The links below /dev, kept true to the block devices that are there.

import DeviceNames
import Glibc
import LinuxSystem
import Logging
import SystemPackage

/// Makes and removes the links of block devices; devices are named by their paths below `/sys`.
struct DeviceSymlinks: ~Copyable {
    private let sysfs: Sysfs
    private let log: Logger
    private var claims = LinkClaims()
    /// Each disk's own names: asking again would cost as much as the probing itself.
    private var disks: [String: DiskNames] = [:]
    private var nodes: [String: String] = [:]
    /// Tells when somebody has written to a device: it may then hold something else.
    private let watch: FileWatch
    private var watched: [Int32: String] = [:]
    private var told: Set<String> = []
    /// Devices to be looked at before anybody asks for a link again, in the order of their events.
    /// Probing costs some 10 ms a device on a slow machine, and many boots ask for no link.
    private var pending: [String] = []

    init(sysfs: Sysfs, logger: Logger) throws(Errno) {
        self.sysfs = sysfs
        log = logger
        watch = try FileWatch()
    }

    /// Readable when a device was written to.
    var descriptor: Int32 { watch.descriptor }

    /// Notes that a device came or changed.
    mutating func note(_ path: String) {
        guard let name = path.split(separator: "/").last, DeviceLinks.concern(String(name)) else { return }
        if !pending.contains(path) { pending.append(path) }
    }

    /// Makes all links true.
    mutating func update() {
        noteWritten()
        let paths = pending
        pending = []
        for path in paths { refresh(path) }
    }

    /// Looks at a device and gives it the links it should have now.
    private mutating func refresh(_ path: String) {
        guard let device = SysfsDevice(path, in: sysfs), device.isReady, let name = device.properties["DEVNAME"] else {
            return forget(path)
        }
        let disk = device.disk
        let names = disks[disk.path] ?? DeviceProbe.names(of: disk)
        disks[disk.path] = names
        if nodes.updateValue(name, forKey: path) == nil, !name.hasPrefix("sr") {
            // Before probing: what is written while we read is then not missed.
            if let number = try? watch.add(FilePath("/dev").appending(name), .written) { watched[number] = path }
        }
        let links = DeviceProbe.links(of: device, names: names)
        apply(claims.set(links.names, priority: links.priority, for: path))
        for link in claims.denied(to: path) where told.insert("\(link) \(path)").inserted {
            let owner = claims.owner(of: link).flatMap { nodes[$0] } ?? "another device"
            log.warning("/dev/\(link) stays with /dev/\(owner); /dev/\(name) asks for it too")
        }
    }

    /// Takes away the links of a device that has gone.
    mutating func forget(_ path: String) {
        pending.removeAll { $0 == path }
        apply(claims.set([], for: path))
        disks[path] = nil
        if nodes.removeValue(forKey: path) != nil, let number = watched.first(where: { $0.value == path })?.key {
            watch.remove(number)
            watched[number] = nil
        }
    }

    /// Notes the devices that were written to since the last call.
    private mutating func noteWritten() {
        for path in watch.events().compactMap({ watched[$0] }).sorted() {
            note(path)
            // A new table may rename partitions of which the kernel says nothing.
            for partition in sysfs.names(path) where nodes["\(path)/\(partition)"] != nil {
                note("\(path)/\(partition)")
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
                    // libdevmapper without udev makes nodes of its own.
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
    /// Whether a device made of others is complete: mappings and arrays exist before they hold anything.
    fileprivate var isReady: Bool {
        if name.hasPrefix("dm-") {
            // libcryptsetup tries keys on mappings of its own.
            return attribute("size") != "0" && attribute("dm/suspended") != "1"
                && attribute("dm/uuid")?.hasPrefix("CRYPT-TEMP-") != true
        }
        if name.hasPrefix("md"), type != "partition" {
            return !["", "clear", "inactive"].contains(attribute("md/array_state") ?? "")
        }
        return true
    }
}
