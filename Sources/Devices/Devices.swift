// Devices: the machine's hardware as PID 1 sees it without udev: API filesystems, kernel modules for
// what is there and for what comes, and the links below /dev/disk.

import DeviceNames
import Glibc
import LinuxSystem
import SystemPackage

extension Sysfs {
    /// The kernel's own.
    public static let live = Sysfs(
        read: { try? Files.read(FilePath("/sys" + $0)) },
        names: { Files.names(in: FilePath("/sys" + $0)) },
        linkTarget: { Files.linkTarget(FilePath("/sys" + $0)) })
}

/// The links that udev would make for a block device; nothing is touched.
///
/// - Returns: Sorted paths: `/dev/disk/by-id/virtio-abc`.
/// - Throws: `ENOENT` where the node is missing, `ENOTBLK` where it is no block device.
public func describeLinks(for node: FilePath) throws(Errno) -> [String] {
    guard let status = Files.status(node) else { throw .noSuchFileOrDirectory }
    guard status.st_mode & S_IFMT == S_IFBLK else { throw .notBlockDevice }
    guard let folder = Files.resolved(FilePath("/sys/dev/block").appending(Files.deviceNumber(status.st_rdev))),
        let device = SysfsDevice(String(folder.string.dropFirst("/sys".count)), in: .live)
    else { throw .noSuchFileOrDirectory }
    guard DeviceLinks.concern(device.name) else { return [] }
    return DeviceProbe.links(of: device, names: DeviceProbe.names(of: device.disk)).names.map { "/dev/\($0)" }
}

extension SysfsDevice {
    /// The whole disk: the device itself, or the one that the partition is on.
    var disk: SysfsDevice { type == "partition" ? parent ?? self : self }

    /// Its node in `/dev`.
    var node: FilePath? { properties["DEVNAME"].map { FilePath("/dev").appending($0) } }
}
