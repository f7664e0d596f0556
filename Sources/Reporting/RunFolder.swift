// The one folder of a boot in RAM, and everything in it by name.

/// Where everything is that one boot leaves: state, report, log, the root image and its layers.
public let runFolder = "/run/firstlight"

/// A file or folder below ``runFolder``.
///
/// `docs/architecture.md` tells what each holds, who writes it and how long it stays; a unit test compares. Where a
/// name has capitals, something stands in their place: `luks-data.key`.
public enum RunFile: String, CaseIterable, Sendable {
    case config = "config.ign"
    case configRecord = "config.json"
    case platformFiles = "platform-files.json"
    case rootImage = "rootfs.json"
    case plan = "plan.json"
    case look = "look.json"
    case memoryTurn = "memory"
    case kernelReserve = "reserve"
    case nodes = "nodes.json"
    case volumes = "volumes.json"
    case volumeKey = "luks-NAME.key"
    case provenKey = "luks-NAME.proven"
    case mounts = "mounts.json"
    case scratch = "scratch"
    case written = "written.json"
    case report = "report.json"
    case step = "step"
    case stepOfStage = "step-STAGE"
    case network = "network.json"
    case leases = "leases"
    case leaseHook = "udhcpc-hook"
    case interfaceNames = "interface-names"
    case consoleLevel = "console-level"
    case log = "log"
    case image = "image"
    case lowerLayer = "lower"
    case upperLayer = "overlay"
    case ostree = "ostree"

    /// The absolute path of one that has no capitals.
    public var path: String { "\(runFolder)/\(rawValue)" }

    /// The name with something in the place of its capitals.
    public func name(of part: String) -> String { start + part + end }

    /// Whether a file's name is such a one.
    public func isName(_ name: String) -> Bool {
        name.utf8.count > start.utf8.count + end.utf8.count && name.hasPrefix(start) && name.hasSuffix(end)
    }

    private var start: Substring { rawValue.prefix { !Self.capitals.contains($0) } }
    private var end: Substring { rawValue.dropFirst(start.count).drop { Self.capitals.contains($0) } }
    private static let capitals: ClosedRange<Character> = "A"..."Z"
}
