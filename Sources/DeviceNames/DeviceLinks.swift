// The names below /dev/disk that udev gives to a block device.
// Sources: systemd 252's rules 60-persistent-storage and 60-cdrom_id, device-mapper's 55-dm and
// 60-persistent-storage-dm, mdadm's 63-md-raid-arrays.

/// The names of a whole disk, from which its partitions derive theirs.
public struct DiskNames: Equatable, Sendable {
    /// The names in `/dev/disk/by-id`: `virtio-abc`, `wwn-0x5000c500a1b2c3d4`.
    public var ids: [String]
    /// The names in `/dev/disk/by-path`: `pci-0000:00:04.0`.
    public var paths: [String]

    /// Finds the names of a disk.
    ///
    /// - Parameters:
    ///   - disk: The whole disk, not a partition.
    ///   - answers: The disk's answers to ``SysfsDevice/openQuestions``.
    public init(of disk: SysfsDevice, answers: DeviceAnswers = DeviceAnswers()) {
        let chain = disk.chain
        let name = disk.name
        ids = []
        paths = []
        if name.hasPrefix("nvme") {
            addNVMe(disk, chain)
        } else if name.hasPrefix("vd") {
            if let serial = inherited("serial", chain) { ids.append("virtio-\(linkText(serial))") }
        } else if name.hasPrefix("sd") || name.hasPrefix("sr") {
            addSCSI(disk, chain, answers)
        } else if name.hasPrefix("mmcblk"), let card = chain.first(where: { $0.subsystem == "mmc" }),
            let model = ruleValue(card.bytes("name")), let serial = ruleValue(card.bytes("serial"))
        {
            ids.append("mmc-\(linkText(model))_\(linkText(serial))")
        }
        addPaths(disk, chain)
    }

    /// No names, for devices without a place or identity of their own: loop, device-mapper.
    public static let none = DiskNames()

    private init() {
        ids = []
        paths = []
    }

    private mutating func addNVMe(_ disk: SysfsDevice, _ chain: [SysfsDevice]) {
        if let name = ruleValue(disk.bytes("wwid")) { ids.append("nvme-\(linkText(name))") }
        guard let model = inherited("model", chain), let serial = inherited("serial", chain) else { return }
        func add(_ value: [UInt8]) {
            // These rules replace unusual bytes one by one instead of joining words.
            ids.append("nvme-\(String(decoding: replacingUnusual(value), as: UTF8.self))")
        }
        let both = model + Array("_".utf8) + serial
        add(both)
        if let namespace = inherited("nsid", chain) { add(both + Array("_".utf8) + namespace) }
    }

    private mutating func addSCSI(_ disk: SysfsDevice, _ chain: [SysfsDevice], _ answers: DeviceAnswers) {
        let scsi = chain.first { $0.subsystem == "scsi" && $0.type == "scsi_device" }
        let usb = disk.usbIdentifier(chain: chain)
        if let scsi, speaksATA(scsi),
            let identity = scsi.bytes("vpd_pg89").flatMap({ ATAIdentity(page89: $0) }) ?? answers.identity
        {
            ids.append("ata-\(identity.identifier)")
            if let name = identity.worldWideName { ids.append("wwn-0x\(String(name, radix: 16))") }
        } else if usb == nil, let scsi {
            let found = SCSIIdentity(
                inquiry: scsi.bytes("inquiry"), page80: scsi.bytes("vpd_pg80") ?? answers.page80,
                page83: scsi.bytes("vpd_pg83") ?? answers.page83)
            if !found.serial.isEmpty { ids.append("scsi-\(found.serial)") }
            if let name = found.worldWideName { ids.append("wwn-0x\(name)") }
        }
        if let usb { ids.append("usb-\(usb)") }
    }

    private mutating func addPaths(_ disk: SysfsDevice, _ chain: [SysfsDevice]) {
        let isVirtual = disk.path.split(separator: "/").contains("virtual")
        guard !isVirtual || chain.contains(where: { $0.subsystem == "nvme-subsystem" }),
            let place = DevicePath(of: disk, chain: chain)
        else { return }
        let bootArea = disk.name.hasPrefix("mmcblk") && disk.name.contains("boot") ? "-boot\(disk.number)" : ""
        paths.append(place.path + bootArea)
        if let compatible = place.compatible { paths.append(compatible) }
        if disk.name.hasPrefix("vd"), place.path.hasPrefix("pci-") { paths.append("virtio-\(place.path)") }
    }

    private func inherited(_ attribute: String, _ chain: [SysfsDevice]) -> [UInt8]? {
        chain.lazy.compactMap { ruleValue($0.bytes(attribute)) }.first
    }
}

/// The values that libblkid finds on a device.
///
/// Some are bytes, because a label can be in any encoding.
public struct ProbedValues: Equatable, Sendable {
    /// The usage: `filesystem`, `crypto`, `raid` or `other`.
    public var usage: String?
    /// The UUID of the content.
    public var uuid: [UInt8]?
    /// The label of the content.
    public var label: [UInt8]?
    /// For a partition, the kind of its partition table: `gpt` or `dos`.
    public var partitionScheme: String?
    /// The UUID of the partition.
    public var partitionUUID: String?
    /// The name of the partition.
    public var partitionName: [UInt8]?

    /// Creates the values of a blank device.
    public init() {}
}

/// The links of one block device.
public struct DeviceLinks: Equatable, Sendable {
    /// The paths below `/dev`, sorted: `disk/by-label/var`.
    public var names: [String]
    /// The priority: the device with the highest number gets a name that several devices claim.
    public var priority: Int

    /// Finds the links of a device.
    ///
    /// - Parameters:
    ///   - device: A disk or a partition.
    ///   - disk: The names of the disk, or of the disk that has the partition.
    ///   - values: The content of the device.
    ///   - member: For an md array, the content of one of its members.
    public init(of device: SysfsDevice, disk: DiskNames, values: ProbedValues, member: ProbedValues? = nil) {
        var links = LinkCollector(device: device, values: values)
        let name = device.name
        if name.hasPrefix("dm-") {
            links.addMapping()
        } else if name.hasPrefix("md") {
            links.addArray(member)
        } else if DeviceLinks.isNamed(name) {
            links.addDisk(disk)
        }
        names = Set(links.names.filter(DeviceLinks.isInside)).sorted()
        priority = links.priority
    }

    /// Whether a device with that name gets links at all.
    ///
    /// The others are not probed: looking for a filesystem in an empty floppy drive takes half a minute.
    public static func concern(_ name: String) -> Bool {
        name.hasPrefix("dm-") || name.hasPrefix("md") || isNamed(name)
    }

    /// Whether the persistent storage rules apply to a device with that name.
    private static func isNamed(_ name: String) -> Bool {
        ["loop", "mmcblk", "nvme", "sd", "sr", "vd", "xvd", "bcache", "nbd", "pmem", "dasd", "ubd", "zd"]
            .contains { name.hasPrefix($0) }
    }

    /// Whether a name stays in its folder, because a serial number may have slashes.
    private static func isInside(_ name: String) -> Bool {
        !name.split(separator: "/", omittingEmptySubsequences: false).contains { ["", ".", ".."].contains($0) }
    }
}

private struct LinkCollector {
    let device: SysfsDevice
    let values: ProbedValues
    var names: [String] = []
    var priority = 0

    init(device: SysfsDevice, values: ProbedValues) {
        self.device = device
        self.values = values
    }

    mutating func addDisk(_ disk: DiskNames) {
        let part = device.type == "partition" ? "-part\(device.number)" : ""
        names += disk.ids.map { "disk/by-id/\($0)\(part)" } + disk.paths.map { "disk/by-path/\($0)\(part)" }
        addContent(labelOf: ["filesystem", "other", "crypto"])
        addPartition()
        if device.name == "sr0" {
            names.append("cdrom")
            priority = -100
        }
    }

    mutating func addMapping() {
        // A mapping that is suspended or being made has no name yet.
        guard let name = device.attribute("dm/name"), !name.isEmpty else { return }
        names += ["mapper/\(name)", "disk/by-id/dm-name-\(name)"]
        if let uuid = device.attribute("dm/uuid"), !uuid.isEmpty {
            names.append("disk/by-id/dm-uuid-\(uuid)")
            if uuid.hasPrefix("part") { priority = 50 }
        }
        names = names.map { String(decoding: replacingUnusual(Array($0.utf8), allowing: "/"), as: UTF8.self) }
        addContent(labelOf: ["filesystem", "other"])
        addPartition()
    }

    mutating func addArray(_ member: ProbedValues?) {
        priority = 100
        let part = device.type == "partition" ? "-part\(device.number)" : ""
        if let name = member?.label, !name.isEmpty {
            names.append("disk/by-id/md-name-\(String(decoding: replacingUnusual(name), as: UTF8.self))\(part)")
        }
        if let uuid = member?.uuid {
            // mdadm writes the same sixteen bytes as four groups.
            let digits = Array(uuid.filter { $0 != UInt8(ascii: "-") })
            let groups = stride(from: 0, to: digits.count, by: 8).map {
                String(decoding: digits[$0...].prefix(8), as: UTF8.self)
            }
            names.append("disk/by-id/md-uuid-\(groups.joined(separator: ":"))\(part)")
        }
        addContent(labelOf: ["filesystem", "other"])
        if values.usage == "filesystem" || values.usage == "other", let uuid = values.partitionUUID {
            names.append("disk/by-partuuid/\(uuid)")
        }
    }

    private mutating func addContent(labelOf usages: [String]) {
        guard let usage = values.usage, ["filesystem", "other", "crypto"].contains(usage) else { return }
        if let uuid = values.uuid, !uuid.isEmpty { names.append("disk/by-uuid/\(encodedForLink(uuid))") }
        if usages.contains(usage), let label = values.label, !label.isEmpty {
            names.append("disk/by-label/\(encodedForLink(label))")
        }
    }

    private mutating func addPartition() {
        if let uuid = values.partitionUUID, !uuid.isEmpty { names.append("disk/by-partuuid/\(uuid)") }
        if values.partitionScheme == "gpt", let name = values.partitionName, !name.isEmpty {
            names.append("disk/by-partlabel/\(encodedForLink(name))")
        }
    }
}
