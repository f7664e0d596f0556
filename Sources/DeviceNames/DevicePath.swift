// Where a disk is attached, as one word: udev's ID_PATH, `pci-0000:00:1f.2-ata-1.0`.
// Source: the behaviour of systemd 252's path_id.

import Encoding

/// The place of a disk in the machine.
struct DevicePath: Equatable {
    /// The place: `pci-0000:00:1f.2-ata-1.0`.
    var path: String
    /// The older form for ATA disks, without the device's number on its cable: `pci-0000:00:1f.2-ata-1`.
    var compatible: String?

    /// Finds the place of a device; `nil` if its chain has no bus with permanent addresses.
    init?(of device: SysfsDevice, chain: [SysfsDevice]) {
        var walk = Walk(device: device, chain: chain)
        guard walk.run(), walk.hasParent, walk.hasTransport, !walk.path.isEmpty else { return nil }
        path = walk.path.reversed().joined(separator: "-")
        compatible = walk.compatible.isEmpty ? nil : walk.compatible.reversed().joined(separator: "-")
    }
}

/// A walk from the device up to the root of the device tree.
private struct Walk {
    let device: SysfsDevice
    var chain: [SysfsDevice]
    var at = 0
    /// The parts, nearest to the device first.
    var path: [String] = []
    var compatible: [String] = []
    /// Whether there is a bus whose addresses stay the same.
    var hasParent = false
    /// Whether it is known how the device is reached from that bus.
    var hasTransport = false

    init(device: SysfsDevice, chain: [SysfsDevice]) {
        self.device = device
        self.chain = chain
    }

    /// Walks to the root; `false` if the place has no name.
    mutating func run() -> Bool {
        while at < chain.count {
            guard visit(chain[at]) else { return false }
            at += 1
        }
        return true
    }

    private mutating func visit(_ here: SysfsDevice) -> Bool {
        switch here.subsystem {
        case "pci", "acpi", "xen":
            addBus(here, transport: false)
        case "platform", "ccw", "ccwgroup", "scm":
            addBus(here, transport: true)
        case "virtio":
            hasTransport = true
            skip("virtio")
        case "scsi":
            hasTransport = true
            return here.type != "scsi_device" || addSCSI(here)
        case "usb":
            hasTransport = true
            if here.type == "usb_interface" || here.type == "usb_device", let dash = here.name.firstIndex(of: "-") {
                // The number of the bus differs from boot to boot, the ports do not.
                path.append("usb-0:\(here.name[here.name.index(after: dash)...])")
                skip("usb")
            }
        case "nvme", "nvme-subsystem":
            guard let namespace = device.attribute("nsid") else { break }
            path.append("nvme-\(namespace)")
            if here.subsystem == "nvme-subsystem" {
                guard let controller = nvmeController() else { return false }
                chain = controller.chain
                at = 0
            }
            hasParent = true
            hasTransport = true
            skip("nvme")
        default: break
        }
        return true
    }

    /// Adds a bus whose addresses are part of the path.
    private mutating func addBus(_ here: SysfsDevice, transport: Bool) {
        let part = "\(here.subsystem ?? "")-\(here.name)"
        path.append(part)
        if !compatible.isEmpty { compatible.append(part) }
        hasParent = true
        hasTransport = hasTransport || transport
        skip(here.subsystem)
    }

    /// Skips the devices above that have the same subsystem: bridges between two of its buses.
    private mutating func skip(_ subsystem: String?) {
        while at + 1 < chain.count, chain[at + 1].subsystem == subsystem { at += 1 }
    }

    /// The controller of a namespace that is below its subsystem because of multipath; their numbers are the same.
    private func nvmeController() -> SysfsDevice? {
        let digits = device.name.utf8.dropFirst(4).prefix(while: isDigit)
        return followed("/class/nvme/nvme\(String(decoding: digits, as: UTF8.self))")
    }

    /// The device that a link in `/sys/class` leads to.
    private func followed(_ link: String) -> SysfsDevice? {
        guard let target = device.sysfs.linkTarget(link) else { return nil }
        let climbs = target.split(separator: "/").drop { $0 == ".." }
        return SysfsDevice("/\(climbs.joined(separator: "/"))", in: device.sysfs)
    }
}

// MARK: - SCSI

extension Walk {
    private mutating func addSCSI(_ here: SysfsDevice) -> Bool {
        let folders = here.path.split(separator: "/")
        func isBelow(_ prefix: String) -> Bool { folders.contains { $0.hasPrefix(prefix) } }
        let lun = logicalUnit(here)
        var part: String?
        if isBelow("rport-") {
            hasParent = true
            part = target().flatMap { classAttribute("fc_transport", $0.name, "port_name") }.map { "fc-\($0)-\(lun)" }
        } else if isBelow("end_device-") {
            hasParent = true
            part = serialAttached(lun)
        } else if isBelow("session") {
            hasParent = true
            part = iscsi(lun)
        } else if isBelow("ata") {
            return addATA(here)
        } else if isBelow("vmbus_") || isBelow("VMBUS") {
            part = hyperV(lun)
        } else {
            return addHost(here)
        }
        guard let part else { return false }
        path.append(part)
        return true
    }

    /// The logical unit: addresses up to 255 in decimal, others as the eight bytes that SCSI sends.
    private func logicalUnit(_ here: SysfsDevice) -> String {
        let number = UInt64(here.number) ?? 0
        if number < 256 { return "lun-\(number)" }
        let bytes = [number >> 8, number, number >> 24, number >> 16].map { UInt8(truncatingIfNeeded: $0) }
        return "lun-0x\(hexadecimal(bytes))00000000"
    }

    private func above(_ type: String) -> SysfsDevice? {
        chain[at...].first { $0.subsystem == "scsi" && $0.type == type }
    }

    private func target() -> SysfsDevice? { above("scsi_target") }

    private func classAttribute(_ name: String, _ device: String, _ attribute: String) -> String? {
        self.device.sysfs.text("/class/\(name)/\(device)/\(attribute)")
    }

    private mutating func addATA(_ here: SysfsDevice) -> Bool {
        let address = here.name.split(separator: ":")
        guard address.count == 4, let port = above("scsi_host")?.parent?.name,
            let number = classAttribute("ata_port", port, "port_no")
        else { return false }
        // A port multiplier distinguishes devices by the channel, an old cable by the target.
        path.append(address[1] == "0" ? "ata-\(number).\(address[2])" : "ata-\(number).\(address[1]).0")
        compatible.append("ata-\(number)")
        return true
    }

    /// Adds the address on any other controller, with the host's number counted from the controller's first.
    private mutating func addHost(_ here: SysfsDevice) -> Bool {
        let address = here.name.split(separator: ":").compactMap { Int($0) }
        guard address.count == 4, let host = chain[at...].firstIndex(where: { $0.type == "scsi_host" }) else {
            return false
        }
        let folder = chain[host].path.split(separator: "/").dropLast().joined(separator: "/")
        let numbers = device.sysfs.names("/\(folder)").filter { $0.hasPrefix("host") }.compactMap {
            Int($0.dropFirst(4))
        }
        guard let first = numbers.min() else { return true }
        path.append("scsi-\(address[0] - first):\(address[1]):\(address[2]):\(address[3])")
        at = host
        return true
    }

    private func serialAttached(_ lun: String) -> String? {
        guard let end = target()?.parent, let port = end.parent,
            let address = classAttribute("sas_device", end.name, "sas_address"),
            let count = classAttribute("sas_port", port.name, "num_phys")
        else { return nil }
        guard count == "1" else { return "sas-\(address)-\(lun)" }
        guard let phy = classAttribute("sas_device", end.name, "phy_identifier") else { return nil }
        let expander = port.parent.flatMap { classAttribute("sas_device", $0.name, "sas_address") }
        return "sas-\(expander.map { "exp\($0)-" } ?? "")phy\(phy)-\(lun)"
    }

    private func iscsi(_ lun: String) -> String? {
        guard let session = chain[at...].first(where: { $0.name.hasPrefix("session") }),
            let target = classAttribute("iscsi_session", session.name, "targetname")
        else { return nil }
        let connection = "connection\(session.number):0"
        guard let address = classAttribute("iscsi_connection", connection, "persistent_address"),
            let port = classAttribute("iscsi_connection", connection, "persistent_port")
        else { return nil }
        return "ip-\(address):\(port)-iscsi-\(target)-\(lun)"
    }

    private func hyperV(_ lun: String) -> String? {
        guard let identifier = above("scsi_host")?.parent?.attribute("device_id"), identifier.hasPrefix("{") else {
            return nil
        }
        return "vmbus-\(identifier.filter { !"{}-".contains($0) })-\(lun)"
    }
}
