// A btrfs over several devices: the kernel mounts it only once it knows all of them.

import CLinux
import LinuxSystem
import SystemPackage

/// The devices that a btrfs consists of.
enum BtrfsDevices {
    /// Whether the one whose superblocks begin at a byte of a device has further devices.
    static func areSeveral(_ file: borrowing BlockFile, at start: UInt64 = 0) -> Bool {
        // The number of devices in the superblock at 64 KiB.
        guard let field = file.read(at: start + 0x10088, count: 8) else { return false }
        return field.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) } > 1
    }

    /// Has the kernel look at every device of the machine, as udev does where it runs; nothing is written to any.
    static func makeKnown() {
        for name in Files.names(in: "/sys/class/block") { firstlight_make_btrfs_known("/dev/\(name)") }
    }
}
