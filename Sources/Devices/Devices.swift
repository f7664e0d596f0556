// Devices: the machine's hardware as PID 1 handles it without udev: API filesystems, kernel modules for present and
// new devices, and the links below /dev/disk.

import DeviceNames
import Glibc
import LinuxSystem
import SystemPackage

extension Sysfs {
    /// The sysfs of this machine.
    public static let live = Sysfs(
        read: { try? Files.read(FilePath("/sys" + $0)) },
        names: { Files.names(in: FilePath("/sys" + $0)) },
        linkTarget: { Files.linkTarget(FilePath("/sys" + $0)) })
}

/// The links that udev would make for a block device; nothing is changed.
///
/// - Parameter node: The device node: `/dev/vda1`.
/// - Returns: Sorted paths: `/dev/disk/by-id/virtio-abc`.
/// - Throws: ``FileFault`` with `ENOENT` if the node is missing, `ENOTBLK` if it is not a block device.
public func describeLinks(for node: FilePath) throws(FileFault) -> [String] {
    let act = "find the links of"
    guard let status = Files.status(node) else { throw FileFault(act, node, .noSuchFileOrDirectory) }
    guard status.st_mode & S_IFMT == S_IFBLK else { throw FileFault(act, node, .notBlockDevice) }
    guard let folder = Files.resolved(FilePath("/sys/dev/block").appending(Files.deviceNumber(status.st_rdev))),
        let device = SysfsDevice(String(folder.string.dropFirst("/sys".count)), in: .live)
    else { throw FileFault(act, node, .noSuchFileOrDirectory) }
    guard DeviceLinks.concern(device.name) else { return [] }
    return DeviceProbe.links(of: device, names: DeviceProbe.names(of: device.disk)).names.map { "/dev/\($0)" }
}

extension SysfsDevice {
    /// The whole disk: the device itself, or the one that has the partition.
    var disk: SysfsDevice { type == "partition" ? parent ?? self : self }

    /// The device node in `/dev`.
    var node: FilePath? { properties["DEVNAME"].map { FilePath("/dev").appending($0) } }
}
