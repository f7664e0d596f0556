// Which filesystems of a config are mounted while files are written, and in which order.

import IgnitionConfig

/// One filesystem below the real root, for as long as files are written.
public struct PlannedMount: Equatable, Sendable {
    /// As the config writes it.
    public var device: String
    /// Absolute, seen from the real root.
    public var path: String
    public var type: String
    public var options: [String]
    public var origin: IgnitionConfig.Origin

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
    /// In the order of mounting: shallowest first, else as the config has them.
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
