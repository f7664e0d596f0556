// A network interface as sysfs shows it, and every name that somebody may call it by.

import BootArguments

/// One network interface of the machine.
public struct NetworkInterface: Equatable, Sendable {
    /// The name it has now.
    public var name: String
    /// The name the kernel gave it, where the agent has renamed it since.
    public var kernelName: String
    /// The kernel's number for it; it stays through a change of name.
    public var index: Int
    /// The MAC address; a port of a bond has its own here, not the bond's.
    public var mac: MACAddress?
    /// The name of its driver; `nil`: none is known.
    public var driver: String?
    /// Wired Ethernet with a device behind it: what may be tried without being asked for.
    public var isWired: Bool
    /// What it is where that is a card and not wired Ethernet: `InfiniBand`; `nil` for all others.
    public var otherKind: String?
    /// The names that udev would give it.
    public var predictable: PredictableNames
    /// Its place on the bus as udev's ID_PATH has it: `pci-0000:00:03.0`.
    public var busPath: String?

    /// Takes each part as it is; without `kernelName` the kernel's name is `name`.
    public init(
        name: String, kernelName: String? = nil, index: Int, mac: MACAddress?, driver: String? = nil,
        isWired: Bool = true, otherKind: String? = nil, predictable: PredictableNames = PredictableNames(),
        busPath: String? = nil
    ) {
        self.name = name
        self.kernelName = kernelName ?? name
        self.index = index
        self.mac = mac
        self.driver = driver
        self.isWired = isWired
        self.otherKind = otherKind
        self.predictable = predictable
        self.busPath = busPath
    }

    /// Whether `reference` means this interface: by MAC address, by the name it has or had, by one of
    /// udev's names, or by the name that the command line gives it.
    ///
    /// A name that the command line gives to a card means that card, whatever the kernel calls by it.
    public func isMeant(by reference: InterfaceReference, names: [MACAddress: String] = [:]) -> Bool {
        switch reference {
        case .mac(let wanted): mac == wanted
        case .name(let wanted) where names.values.contains(wanted):
            // One that has its new name may show another address by now.
            mac.flatMap { names[$0] } == wanted || (name == wanted && kernelName != wanted)
        case .name(let wanted):
            [name, kernelName].contains(wanted) || predictable.all.contains(wanted)
        }
    }

    /// For people: every name that may stand in `ip=` to some purpose, the best first: `ens3 (eth0)`.
    public var label: String {
        guard let best = predictable.best, best != name else { return name }
        return "\(best) (\(name))"
    }

    /// The name it is to have: the command line's, or the one that udev would give it.
    public func wantedName(_ arguments: NetworkArguments) -> String {
        if let given = mac.flatMap({ arguments.names[$0] }) { return given }
        guard arguments.predictableNames, isWired, name == kernelName else { return name }
        return predictable.best ?? name
    }
}

/// The names that udev's `net_id` gives an interface.
///
/// - SeeAlso: systemd.net-naming-scheme(7), scheme v252. Not built: SR-IOV virtual functions (they are
///   named after the physical one), s390 channel devices, ACPI platform devices, BCMA, device tree aliases.
public struct PredictableNames: Equatable, Sendable {
    /// The firmware's index: `eno1`.
    public var onboard: String?
    /// The hotplug slot: `ens3`.
    public var slot: String?
    /// The place on the bus: `enp0s3`.
    public var path: String?
    /// The MAC address: `enx525400123456`.
    public var mac: String?

    /// Takes the names as they are; `nil` stands for one that udev would not give.
    public init(onboard: String? = nil, slot: String? = nil, path: String? = nil, mac: String? = nil) {
        self.onboard = onboard
        self.slot = slot
        self.path = path
        self.mac = mac
    }

    /// All the names that udev would give, the onboard one first and the one of the MAC address last.
    public var all: [String] { [onboard, slot, path, mac].compactMap(\.self) }

    /// What udev's default policy, `keep kernel database onboard slot path`, settles on.
    public var best: String? { onboard ?? slot ?? path }
}

/// What sysfs tells about the place of a network interface.
public struct NetworkDevicePlace: Equatable, Sendable {
    /// A device above the interface.
    public struct Parent: Equatable, Sendable {
        /// The last component of its path: `0000:00:03.0`, `virtio0`, `1-1.2:1.0`.
        public var name: String
        /// The kernel's subsystem: `pci`, `usb`, `virtio`.
        public var subsystem: String
        /// Its small text attributes: `acpi_index`, `index`, `class`, `ari_enabled`.
        public var attributes: [String: String]
        /// PCI: bit 7 of the header type, whether the device has several functions.
        public var isMultifunction: Bool

        /// Takes each part as it is.
        public init(
            name: String, subsystem: String, attributes: [String: String] = [:], isMultifunction: Bool = false
        ) {
            self.name = name
            self.subsystem = subsystem
            self.attributes = attributes
            self.isMultifunction = isMultifunction
        }
    }

    /// ARPHRD_*: 1 is Ethernet, 32 InfiniBand.
    public var hardwareType: Int
    /// DEVTYPE: `wlan`, `wwan`; `nil` for plain Ethernet.
    public var deviceType: String?
    /// The MAC address; `nil`: none.
    public var mac: MACAddress?
    /// Whether the MAC address is the hardware's own.
    public var macIsPermanent: Bool
    /// The number of the port on its device, from 0 (`dev_port`).
    public var port: Int
    /// The driver's name for the port (`phys_port_name`); `nil`: none.
    public var portName: String?
    /// The device itself first, the root of its bus last.
    public var parents: [Parent]
    /// Hotplug slots of the machine by number: the address without the function, `0000:00:03`.
    public var slots: [Int: String]

    /// Takes each part as it is; the defaults are those of plain Ethernet.
    public init(
        hardwareType: Int = 1, deviceType: String? = nil, mac: MACAddress? = nil, macIsPermanent: Bool = true,
        port: Int = 0, portName: String? = nil, parents: [Parent], slots: [Int: String] = [:]
    ) {
        self.hardwareType = hardwareType
        self.deviceType = deviceType
        self.mac = mac
        self.macIsPermanent = macIsPermanent
        self.port = port
        self.portName = portName
        self.parents = parents
        self.slots = slots
    }
}

extension PredictableNames {
    /// Works out the names that udev gives an interface at that place.
    public init(_ place: NetworkDevicePlace) {
        self.init()
        let prefix: String
        switch (place.hardwareType, place.deviceType) {
        case (1, "wlan"): prefix = "wl"
        case (1, "wwan"): prefix = "ww"
        case (1, _): prefix = "en"
        case (32, _): prefix = "ib"
        default: return
        }
        if place.hardwareType == 1, place.macIsPermanent, let address = place.mac,
            address.bytes.contains(where: { $0 != 0 })
        {
            mac = prefix + "x" + address.description.filter { $0 != ":" }
        }

        let parents = Array(place.parents.drop { $0.subsystem == "virtio" })
        guard let at = parents.firstIndex(where: { $0.subsystem == "pci" }) else { return }
        let usb = parents[..<at].first { $0.subsystem == "usb" && $0.name.contains(":") }.flatMap { usbPorts($0.name) }
        // Behind any other bus there may be several interfaces that would share a name.
        guard at == 0 || usb != nil else { return }

        let device = parents[at]
        guard let address = PCIAddress(device.name) else { return }
        let domain = address.domain > 0 ? "P\(address.domain)" : ""
        var function = address.function
        if device.attributes["ari_enabled"] == "1" { function += address.slot * 8 }
        let port = place.portName.flatMap { $0.isEmpty ? nil : "n\($0)" } ?? (place.port > 0 ? "d\(place.port)" : "")
        let suffix = (function > 0 || device.isMultifunction ? "f\(function)" : "") + port

        func named(_ name: String) -> String? {
            // The kernel's names have at most 15 bytes.
            let whole = prefix + name + (usb ?? "")
            return whole.utf8.count <= 15 ? whole : nil
        }
        path = named("\(domain)p\(address.bus)s\(address.slot)\(suffix)")
        slot = hotplugSlot(device, parents[at...], place.slots).flatMap { named("\(domain)s\($0)\(suffix)") }
        if usb == nil {
            let index = (device.attributes["acpi_index"] ?? device.attributes["index"]).flatMap { Int($0) }
            // Larger numbers are rubbish that some firmware reports.
            if let index, (0...65_535).contains(index) { onboard = named("o\(index)\(port)") }
        }
    }
}

/// The slot of the nearest PCI device that has one.
///
/// A bridge's slot holds everything behind it, so it is taken for a card of several functions alone.
private func hotplugSlot(
    _ device: NetworkDevicePlace.Parent, _ parents: ArraySlice<NetworkDevicePlace.Parent>, _ slots: [Int: String]
) -> Int? {
    for parent in parents where parent.subsystem == "pci" {
        guard let slot = slots.filter({ $0.key > 0 && parent.name.hasPrefix($0.value) }).keys.min() else { continue }
        let isBridge = parent.attributes["class"]?.hasPrefix("0x0604") ?? false
        return isBridge && !device.isMultifunction ? nil : slot
    }
    return nil
}

/// `1-1.2:1.0` (bus-ports:configuration.interface) is `u1u2`; configuration 1 and interface 0 go without saying.
private func usbPorts(_ name: String) -> String? {
    guard let dash = name.firstIndex(of: "-"), let colon = name[dash...].firstIndex(of: ":") else { return nil }
    let ports = name[name.index(after: dash)..<colon].split(separator: ".").map { "u\($0)" }.joined()
    let rest = name[name.index(after: colon)...].split(separator: ".")
    guard rest.count == 2 else { return nil }
    return ports + (rest[0] == "1" ? "" : "c\(rest[0])") + (rest[1] == "0" ? "" : "i\(rest[1])")
}

/// `0000:00:03.0`: domain, bus, slot and function, the first three in hexadecimal.
struct PCIAddress: Equatable {
    var domain: Int
    var bus: Int
    var slot: Int
    var function: Int

    init?(_ text: String) {
        let parts = text.split(separator: ":")
        guard parts.count == 3, let domain = Int(parts[0], radix: 16), let bus = Int(parts[1], radix: 16) else {
            return nil
        }
        let last = parts[2].split(separator: ".")
        guard last.count == 2, let slot = Int(last[0], radix: 16), let function = Int(last[1]) else { return nil }
        self.domain = domain
        self.bus = bus
        self.slot = slot
        self.function = function
    }
}
