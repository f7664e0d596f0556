// Which filesystems of a config are mounted while files are written, and in which order.

import IgnitionConfig

/// One filesystem that is mounted below the real root while files are written.
public struct PlannedMount: Equatable, Sendable {
    /// The device's path as the config writes it.
    public var device: String
    /// Absolute in the real root.
    public var path: String
    /// The kernel's name of the filesystem.
    public var type: String
    /// The entry's mount options.
    public var options: [String]
    /// The entry of the config.
    public var origin: IgnitionConfig.Origin

    /// Makes a mount.
    public init(device: String, path: String, type: String, options: [String], origin: IgnitionConfig.Origin) {
        self.device = device
        self.path = path
        self.type = type
        self.options = options
        self.origin = origin
    }

    var depth: Int { path.split(separator: "/").count }
}

extension IgnitionConfig.Storage {
    /// The mounts in their order: shallowest first, else as in the config.
    public var mounts: [PlannedMount] {
        let mounts = filesystems.compactMap { filesystem -> PlannedMount? in
            guard let path = filesystem.path, !path.isEmpty,
                let format = filesystem.format.flatMap({ FilesystemFormat(rawValue: $0) }), format.isMountable
            else { return nil }
            return PlannedMount(
                device: filesystem.device, path: path, type: format.rawValue, options: filesystem.mountOptions,
                origin: filesystem.origin)
        }
        return mounts.enumerated().sorted { ($0.element.depth, $0.offset) < ($1.element.depth, $1.offset) }
            .map(\.element)
    }
}
