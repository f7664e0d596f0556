// What one stage leaves for the next. Stages may be calls in one process or processes of their own.

import BlockDevices
import IgnitionConfig
import JSONText
import LinuxSystem

/// How much is known of the config.
public enum ConfigProgress: Sendable {
    case unknown
    /// It is there, and what it refers to is still to be fetched.
    case incomplete
    /// It is whole, or there is none.
    case complete
}

/// The user's config as it was found, before it is parsed.
public struct FetchedConfig: Equatable, Sendable {
    /// What people are told: a URL without secrets, a path, `fw_cfg`.
    public var source: String
    /// The text.
    public var bytes: [UInt8]
    /// Whether it was written by a stage that had checked it.
    public var isChecked: Bool

    /// A config of that source.
    public init(source: String, bytes: [UInt8], isChecked: Bool = false) {
        self.source = source
        self.bytes = bytes
        self.isChecked = isChecked
    }

    /// The name that stands before line numbers: the source's last component.
    public var name: String { Self.name(of: source) }

    static func name(of source: String) -> String {
        source.split(separator: "/").last.map(String.init).flatMap { $0.contains(":") ? nil : $0 } ?? "config.ign"
    }

    /// The config, parsed and checked.
    public func checked() throws -> IgnitionConfig {
        try isChecked
            ? IgnitionConfig.decode(bytes, name: source) : IgnitionConfig.parse(bytes, name: name).checked()
    }
}

/// A LUKS volume of this boot that the real root is to open again.
public struct KeptVolume: Equatable, Sendable {
    /// What opens it in the real root.
    public enum Opener: Equatable, Sendable {
        case key
        case clevis(overNetwork: Bool)
    }

    /// The name of the opened volume.
    public var name: String
    /// The UUID in the volume's header.
    public var uuid: String
    /// What opens it in the real root.
    public var opener: Opener

    /// A volume of that name and UUID.
    public init(name: String, uuid: String, opener: Opener) {
        self.name = name
        self.uuid = uuid
        self.opener = opener
    }
}

/// What a look at the disks came to, while the root image was on its way: the plan as people read it.
///
/// This plan is never carried out. A new plan is made right before the first write.
public struct DiskLook: Equatable, Sendable {
    /// The lines of the plan.
    public var lines: [String]
    /// The kernel names of devices by the config's paths.
    public var nodes: [String: String]

    /// A look that came to that.
    public init(lines: [String], nodes: [String: String]) {
        self.lines = lines
        self.nodes = nodes
    }
}

/// Where stages leave what the next ones need.
///
/// Where a store cannot keep something, its property is `nil`, and the next stage finds it out anew.
public protocol SessionStore: Sendable {
    /// How much is known of the config.
    var configProgress: ConfigProgress { get throws }
    /// Records that there is none, so that nobody looks for it again.
    func keepNoConfig() throws
    /// Keeps a config as it was found.
    func keep(_ config: FetchedConfig, isWhole: Bool) throws
    /// Keeps the config, made whole, in the place of what was found.
    func keep(whole config: IgnitionConfig) throws
    /// The config as it was kept; `nil` where there is none.
    func fetchedConfig() throws -> FetchedConfig?
    /// Whether there is a config of a user's.
    var hasUserConfig: Bool { get throws }

    /// Files for the real root that the platform gave beside the config, as a config writes files; `null`: none.
    var platformFiles: JSONValue { get throws }
    /// Keeps ``platformFiles``.
    func keep(platformFiles: JSONValue) throws

    /// Kernel names of devices by the config's paths, as the disks stage planned them: a name could lead to another
    /// device by now.
    var nodes: [String: String] { get throws }
    /// Keeps ``nodes``.
    func keep(nodes: [String: String]) throws

    /// What the look at the disks came to; `nil`: nobody has looked, or it is not kept.
    var look: DiskLook? { get }
    /// Keeps ``look``.
    func keep(look: DiskLook) throws

    /// Folders that were made to mount the config's filesystems on, absolute in the real root.
    var mountFolders: [String] { get throws }
    /// Adds to ``mountFolders``.
    func keep(mountFolder: String) throws
    /// What is mounted, absolute in the real root, in the order of mounting; `nil`: not kept.
    var mounted: [String]? { get throws }
    /// Adds to ``mounted``.
    func keep(mounted path: String) throws
    /// Removes from ``mounted``.
    func forget(mounted path: String) throws

    /// The volumes of this boot; `nil`: not kept.
    var volumes: [KeptVolume]? { get throws }
    /// Keeps a volume and the key that opens it, before anything is put into it.
    func keep(_ volume: KeptVolume, key: SecretBytes?) throws
    /// Keys of volumes that an earlier run of the disks stage opened or made, by their names.
    func keys() throws -> [String: SecretBytes]
    /// The key of one.
    func key(of volume: String) throws -> SecretBytes
    /// Removes all keys: the real root has them.
    func forgetKeys() throws

    /// Keeps what a look derived of a volume's key, which takes seconds, for the look of the next stage.
    func keep(_ key: ProvenKey, of volume: String) throws
    /// What was kept so, of volumes of these names.
    func provenKeys(of volumes: Set<String>) -> [String: ProvenKey]
    /// Removes what was kept so.
    func forgetProvenKeys() throws
}

extension SessionStore {
    /// Keeps nothing: where only one stage looks at the disks, nobody asks for it.
    public func keep(_ key: ProvenKey, of volume: String) throws {}
    /// Nothing is kept.
    public func provenKeys(of volumes: Set<String>) -> [String: ProvenKey] { [:] }
    /// Nothing is kept.
    public func forgetProvenKeys() throws {}
}
