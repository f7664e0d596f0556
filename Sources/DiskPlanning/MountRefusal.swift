// Why the kernel does not mount a filesystem that the config keeps: not every reason lies in the filesystem.

/// Why a filesystem that is kept was not mounted for a look.
public enum MountRefusal: Equatable, Sendable, CustomStringConvertible {
    /// The kernel does not know the filesystem.
    case noDriver(format: String)
    /// The kernel says that the filesystem is damaged, or has something that it does not know.
    case damaged(reason: String)
    /// The device, the memory or something else is at fault.
    case failed(reason: String)

    /// The end of a sentence about the device.
    public var description: String {
        switch self {
        case .noDriver(let format): "this kernel has no driver for \(format)"
        case .damaged(let reason), .failed(let reason): "it cannot be mounted: \(reason)"
        }
    }

    var advice: [AdviceLine] {
        switch self {
        case .noDriver(let format):
            ["Make the initramfs with the kernel module \(format), of the version that boots."]
        case .damaged:
            [
                "To repair it:  e2fsck, xfs_repair, btrfs check or fsck.fat, from another system; dmesg says more.",
                .wiping("To destroy it: \"wipeFilesystem\": true"),
            ]
        case .failed: ["See what dmesg says of the device: the filesystem may be whole."]
        }
    }
}
