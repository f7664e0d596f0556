// The network interfaces that `/sys` shows, and the network hardware that has none.

import BootArguments
import DeviceNames

extension NetworkInterface {
    /// Every network interface, by number.
    ///
    /// `kernelNames` are the kernel's names of those that were renamed since, by their present name.
    public static func all(in sysfs: Sysfs, kernelNames: [String: String] = [:]) -> [NetworkInterface] {
        let slots = hotplugSlots(in: sysfs)
        return sysfs.names("/class/net")
            .compactMap { NetworkInterface($0, in: sysfs, slots: slots, kernelName: kernelNames[$0]) }
            .sorted { $0.index < $1.index }
    }

    private init?(_ name: String, in sysfs: Sysfs, slots: [Int: String], kernelName: String?) {
        // The link leads from /class/net: ../../devices/.../net/NAME.
        guard let target = sysfs.linkTarget("/class/net/\(name)") else { return nil }
        let path = target.split(separator: "/").filter { $0 != ".." }.map { "/\($0)" }.joined()
        guard let device = SysfsDevice(path, in: sysfs), let index = device.attribute("ifindex").flatMap({ Int($0) })
        else { return nil }
        func number(_ attribute: String) -> Int? { device.attribute(attribute).flatMap { Int($0) } }

        let type = number("type") ?? 0
        // The ports of a bond all show the bond's address.
        let address = device.attribute("bonding_slave/perm_hwaddr") ?? device.attribute("address")
        let mac = address.flatMap { MACAddress($0) }
        // A VLAN and its like sit on another interface.
        let isPlain = number("iflink") == index
        let isHardware = sysfs.linkTarget("\(path)/device") != nil
        let place = NetworkDevicePlace(
            hardwareType: type, deviceType: device.type, mac: mac, macIsPermanent: number("addr_assign_type") == 0,
            port: number("dev_port") ?? 0, portName: device.attribute("phys_port_name"),
            parents: device.chain.dropFirst().map(NetworkDevicePlace.Parent.init), slots: slots)
        let others = ["wlan": "wireless", "wwan": "mobile broadband"]
        self.init(
            name: name, kernelName: kernelName, index: index, mac: mac,
            driver: sysfs.linkTarget("\(path)/device/driver").map(lastComponent),
            isWired: type == 1 && device.type == nil && isPlain && isHardware,
            otherKind: isHardware ? (type == 32 ? "InfiniBand" : device.type.flatMap { others[$0] }) : nil,
            predictable: isPlain && isHardware ? PredictableNames(place) : PredictableNames(),
            busPath: place.parents.first { $0.subsystem == "pci" }.map { "pci-\($0.name)" })
    }

    private static func hotplugSlots(in sysfs: Sysfs) -> [Int: String] {
        var slots: [Int: String] = [:]
        for name in sysfs.names("/bus/pci/slots") {
            guard let number = Int(name), let address = sysfs.text("/bus/pci/slots/\(name)/address") else { continue }
            slots[number] = address
        }
        return slots
    }
}

extension NetworkDevicePlace.Parent {
    fileprivate init(_ device: SysfsDevice) {
        var attributes: [String: String] = [:]
        if device.subsystem == "pci" {
            for name in ["acpi_index", "index", "class", "ari_enabled"] { attributes[name] = device.attribute(name) }
        }
        // Byte 14 of the configuration space is the header type.
        let config = device.subsystem == "pci" ? device.bytes("config") ?? [] : []
        self.init(
            name: device.name, subsystem: device.subsystem ?? "", attributes: attributes,
            isMultifunction: config.count > 14 && config[14] & 0x80 != 0)
    }
}

/// A controller on PCI that no driver has taken.
public struct DriverlessController: Equatable, Sendable, CustomStringConvertible {
    /// `0000:00:03.0`.
    public var address: String
    /// Vendor and device, as lspci -n writes them: `8086:100e`.
    public var identity: String

    /// The address and the identity for people: `PCI 0000:00:03.0 (8086:100e)`.
    public var description: String { "PCI \(address) (\(identity))" }

    /// Takes both parts as they are.
    public init(address: String, identity: String) {
        self.address = address
        self.identity = identity
    }

    /// The controllers without a driver of one class of device: `0x02` is network, `0x01` storage.
    public static func all(in sysfs: Sysfs, ofClass base: String = "0x02") -> [DriverlessController] {
        sysfs.names("/bus/pci/devices").compactMap { name in
            let path = "/bus/pci/devices/\(name)"
            guard sysfs.text("\(path)/class")?.hasPrefix(base) == true, sysfs.linkTarget("\(path)/driver") == nil
            else { return nil }
            let numbers = ["vendor", "device"].map { sysfs.text("\(path)/\($0)")?.dropFirst(2) ?? "?" }
            return DriverlessController(address: name, identity: numbers.joined(separator: ":"))
        }
    }
}
