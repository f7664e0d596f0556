import Testing

@testable import DeviceNames

/// A view of `/sys` with these devices: `path: subsystem, type` and files.
private func sysfs(_ devices: [(String, String?, String?)], files: [String: String] = [:]) -> Sysfs {
    var contents = files
    var links: [String: String] = [:]
    for (path, subsystem, type) in devices {
        contents["\(path)/uevent"] = type.map { "DEVTYPE=\($0)\n" } ?? ""
        links["\(path)/subsystem"] = subsystem.map { "../../bus/\($0)" }
        if path.contains("/nvme/nvme") { links["/class/nvme/\(lastComponent(path))"] = "../..\(path)" }
    }
    return Sysfs(
        read: { [contents] path in contents[path].map { Array($0.utf8) } },
        names: { [contents] folder in
            Set(
                contents.keys.filter { $0.hasPrefix(folder + "/") }
                    .compactMap { $0.dropFirst(folder.count + 1).split(separator: "/").first.map(String.init) }
            ).sorted()
        },
        linkTarget: { [links] in links[$0] })
}

private func path(of disk: String, in sysfs: Sysfs) -> String? {
    SysfsDevice(disk, in: sysfs).flatMap { DevicePath(of: $0, chain: $0.chain)?.path }
}

/// Buses that no virtual machine of the captured fixtures has.
@Suite struct DevicePathTests {
    private let controller = "/devices/pci0000:00/0000:00:03.0"

    /// A SCSI disk below the folders of its transport.
    private func disk(below transport: String, address: String, files: [String: String]) -> (String, Sysfs) {
        let target =
            "\(controller)/\(transport)/target\(address.split(separator: ":").prefix(3).joined(separator: ":"))"
        let device = "\(target)/\(address)"
        var folders: [(String, String?, String?)] = [(controller, "pci", nil)]
        var folder = controller
        for part in transport.split(separator: "/") {
            folder += "/\(part)"
            folders.append((folder, part.hasPrefix("host") ? "scsi" : nil, part.hasPrefix("host") ? "scsi_host" : nil))
        }
        folders += [
            (target, "scsi", "scsi_target"), (device, "scsi", "scsi_device"), ("\(device)/block/sda", "block", "disk"),
        ]
        return ("\(device)/block/sda", sysfs(folders, files: files))
    }

    @Test func fibreChannel() {
        let (disk, sysfs) = disk(
            below: "host2/rport-2:0-3", address: "2:0:0:5",
            files: ["/class/fc_transport/target2:0:0/port_name": "0x500601603b601234\n"])
        #expect(path(of: disk, in: sysfs) == "pci-0000:00:03.0-fc-0x500601603b601234-lun-5")
    }

    @Test func largeLogicalUnitNumbers() {
        let (disk, sysfs) = disk(
            below: "host2/rport-2:0-3", address: "2:0:0:16640",
            files: ["/class/fc_transport/target2:0:0/port_name": "0x5006\n"])
        #expect(path(of: disk, in: sysfs) == "pci-0000:00:03.0-fc-0x5006-lun-0x4100000000000000")
    }

    @Test func serialAttachedBehindAnExpander() {
        let (disk, sysfs) = disk(
            below: "host0/port-0:0/expander-0:0/port-0:0:4/end_device-0:0:4", address: "0:0:4:0",
            files: [
                "/class/sas_device/end_device-0:0:4/sas_address": "0x5000c500a1b2c3d5\n",
                "/class/sas_device/end_device-0:0:4/phy_identifier": "7\n",
                "/class/sas_port/port-0:0:4/num_phys": "1\n",
                "/class/sas_device/expander-0:0/sas_address": "0x500056b3700000ff\n",
            ])
        #expect(path(of: disk, in: sysfs) == "pci-0000:00:03.0-sas-exp0x500056b3700000ff-phy7-lun-0")
    }

    @Test func serialAttachedOverAWidePort() {
        let (disk, sysfs) = disk(
            below: "host0/port-0:1/end_device-0:1", address: "0:0:1:0",
            files: [
                "/class/sas_device/end_device-0:1/sas_address": "0x5000c500a1b2c3d5\n",
                "/class/sas_port/port-0:1/num_phys": "2\n",
            ])
        #expect(path(of: disk, in: sysfs) == "pci-0000:00:03.0-sas-0x5000c500a1b2c3d5-lun-0")
    }

    @Test func iSCSI() {
        let (disk, sysfs) = disk(
            below: "host6/session2", address: "6:0:0:1",
            files: [
                "/class/iscsi_session/session2/targetname": "iqn.2026-01.test:disk\n",
                "/class/iscsi_connection/connection2:0/persistent_address": "192.0.2.7\n",
                "/class/iscsi_connection/connection2:0/persistent_port": "3260\n",
            ])
        #expect(path(of: disk, in: sysfs) == "pci-0000:00:03.0-ip-192.0.2.7:3260-iscsi-iqn.2026-01.test:disk-lun-1")
    }

    @Test func hyperV() {
        let bus = "/devices/LNXSYSTM:00/device:07/VMBUS:01"
        let disk = "\(bus)/f8b3781a/host3/target3:0:0/3:0:0:0/block/sda"
        let sysfs = sysfs(
            [
                (bus, "acpi", nil), ("\(bus)/f8b3781a", "vmbus", nil), ("\(bus)/f8b3781a/host3", "scsi", "scsi_host"),
                ("\(bus)/f8b3781a/host3/target3:0:0", "scsi", "scsi_target"),
                ("\(bus)/f8b3781a/host3/target3:0:0/3:0:0:0", "scsi", "scsi_device"), (disk, "block", "disk"),
            ], files: ["\(bus)/f8b3781a/device_id": "{f8b3781a-1e82-4818-a1c3-63d806ec15bb}\n"])
        #expect(path(of: disk, in: sysfs) == "acpi-VMBUS:01-vmbus-f8b3781a1e824818a1c363d806ec15bb-lun-0")
    }

    @Test func hostsAreCountedFromTheControllersFirst() {
        let (disk, plain) = disk(below: "host5", address: "5:0:2:0", files: [:])
        var sysfs = plain
        sysfs.names = { folder in plain.names(folder) + (folder.hasSuffix("03.0") ? ["host4", "uevent"] : []) }
        #expect(path(of: disk, in: sysfs) == "pci-0000:00:03.0-scsi-1:0:2:0")
    }

    @Test func nvmeWithSeveralPaths() {
        let disk = "/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1"
        let sysfs = sysfs(
            [
                ("/devices/virtual/nvme-subsystem/nvme-subsys0", "nvme-subsystem", nil), (disk, "block", "disk"),
                (controller, "pci", nil), ("\(controller)/nvme/nvme0", "nvme", nil),
            ], files: ["\(disk)/nsid": "1\n"])
        #expect(path(of: disk, in: sysfs) == "pci-0000:00:03.0-nvme-1")
    }

    @Test func aBusOfWhichNothingIsKnownGivesNoPath() {
        let disk = "/devices/platform-less/thing/block/sda"
        let sysfs = sysfs([("/devices/platform-less/thing", "mystery", nil), (disk, "block", "disk")])
        #expect(path(of: disk, in: sysfs) == nil)
    }
}
