// What uses a block device at the moment.

/// One use of a block device.
///
/// Its description follows "is": `mounted on /srv`.
public indirect enum DeviceUse: Hashable, Sendable {
    case mounted(on: String)
    case swap
    /// The loop device that shows its content: `loop0`.
    case backing(loop: String)
    /// The kernel's name of the device that is made of it: `dm-0`, `md127`.
    case held(by: String)
    /// It belongs to LVM or Stratis and is not a device for anybody else.
    case innerPart
    /// The kernel has given it to somebody alone, and no list names whom.
    case claimed
    /// A partition of it, by the kernel's name, is in use.
    case partition(String, DeviceUse)
    /// The disk that it is a partition of, by the kernel's name, is in use as a whole.
    case disk(String, DeviceUse)

    /// The node of the RAID array that is made of the device: `/dev/md127`.
    public var array: String? {
        guard case .held(let name) = self, name.hasPrefix("md") else { return nil }
        return "/dev/\(name)"
    }

    /// The use itself, of whichever part of the disk it is.
    public var innermost: DeviceUse {
        switch self {
        case .partition(_, let use), .disk(_, let use): use.innermost
        case .mounted, .swap, .backing, .held, .innerPart, .claimed: self
        }
    }

    /// Whether a filesystem is mounted.
    public var isMount: Bool {
        guard case .mounted = self else { return false }
        return true
    }

    /// Where the medium is mounted that the live system runs from: Fedora CoreOS's own place.
    public static let liveMedium = "/run/media/iso"

    /// Whether the live system runs from the device or one of its partitions.
    public var isOfLiveMedium: Bool { innermost == .mounted(on: Self.liveMedium) }
}

extension DeviceUse: CustomStringConvertible {
    /// The use as a phrase that follows "is".
    public var description: String {
        switch self {
        case .mounted(let path): "mounted on \(path)"
        case .swap: "in use as swap"
        case .backing(let loop): "the backing device of /dev/\(loop)"
        case .held(let name): "held by \(name)"
        case .innerPart: "an inner part of LVM or Stratis"
        case .claimed: "in use"
        case .partition(let name, let use): "the disk of \(name), which is \(use)"
        case .disk(let name, let use): "a partition of \(name), which is \(use)"
        }
    }
}
