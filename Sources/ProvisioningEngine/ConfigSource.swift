// Where the user's config comes from: decided from the command line and from what the initramfs holds.

import BootArguments
import Encoding
import LinuxSystem
import Platforms
import Reporting
import SystemPackage

/// The one place that the user's config is taken from.
///
/// There is no fall-through: a source that exists and fails stops the boot, as in Ignition.
public enum ConfigSource: Equatable, Sendable {
    /// Any URL that can be fetched, `data:` included.
    case url(SourceURL)
    case volume(ConfigVolume)
    /// A file of the initramfs.
    case file(FilePath)
    case platform(Platform)

    /// The config that `firstlight-image initramfs --ignition` embeds, and `coreos-installer pxe customize` appends.
    static let embedded = FilePath("/config.ign")

    /// The config that this initramfs brings: `user.ign` of a system config folder, in the last of which ``embedded``
    /// stands.
    static func embeddedConfig(
        _ folders: SystemConfigFolders = SystemConfigFolders(variable), embedded: FilePath = Self.embedded
    ) -> FilePath? {
        let user = folders.userConfig
        guard Files.exists(embedded) else { return user }
        return user?.removingLastComponent() == folders.paths.last ? embedded : user ?? embedded
    }

    /// Chooses the source in Ignition's order: the command line, then what the image brings, then the platform.
    ///
    /// - Parameters:
    ///   - arguments: The kernel command line.
    ///   - url: The URL of the command line, with this machine's values in it.
    ///   - embedded: See ``embeddedConfig(_:)``.
    ///   - platform: The machine's; `nil`: the command line's, or bare metal, which has no config of its own.
    /// - Throws: A platform that is not known.
    init(
        _ arguments: BootArguments, url: SourceURL?, embedded: FilePath?, platform: String? = nil
    ) throws(PlatformFailure) {
        if let url {
            self = .url(url)
        } else if let volume = arguments.configVolume {
            self = .volume(volume)
        } else if let embedded {
            self = .file(embedded)
        } else {
            let name = platform ?? arguments.platform ?? Platform.metal.rawValue
            guard let platform = Platform(rawValue: name) else { throw .unsupported(name) }
            self = .platform(platform)
        }
    }

    /// Whether it lies outside this machine.
    var isRemote: Bool {
        switch self {
        case .url(let url): !url.isData
        case .platform(let platform): platform.needsNetwork
        case .volume, .file: false
        }
    }

    /// As people are told.
    public var name: String {
        switch self {
        case .url(let url): "\(url)"
        case .volume(let volume): "\(volume.path) on the volume \(volume.label)"
        case .file(let path): "\(path) in the initramfs"
        case .platform(let platform): platform.source
        }
    }
}
