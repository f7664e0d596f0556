// Where the user's config comes from: decided from the command line and from what the initramfs holds.

import BootArguments
import Reporting
import SystemPackage

/// The one place that the user's config is taken from. There is no fall-through: a source that exists
/// and fails stops the boot, as the original does.
enum ConfigSource: Equatable, Sendable {
    /// Any URL that can be fetched, `data:` included.
    case url(String)
    /// A file of the initramfs.
    case file(FilePath)
    /// QEMU's firmware configuration device.
    case firmware
    case none

    /// The config that `firstlight-image initramfs --ignition` embeds, and `coreos-installer pxe customize` appends.
    static let embedded = FilePath("/config.ign")

    /// The original's order: the command line, then what the image brings, then the platform.
    ///
    /// - Parameter hasEmbedded: Whether ``embedded`` is there.
    init(_ arguments: BootArguments, hasEmbedded: Bool) throws(ConfigSourceFailure) {
        if let url = arguments.configURL {
            self = .url(url)
        } else if hasEmbedded {
            self = .file(Self.embedded)
        } else {
            switch arguments.platform {
            // A machine of which nothing is said is taken for bare metal, which has no config of its own.
            case nil, "metal": self = .none
            case "qemu": self = .firmware
            case let platform?: throw .unsupportedPlatform(platform)
            }
        }
    }

    /// Whether it lies outside this machine.
    var isRemote: Bool {
        if case .url(let url) = self { !url.lowercased().hasPrefix("data:") } else { false }
    }

    /// As people are told.
    var name: String {
        switch self {
        case .url(let url): "\(RedactedURL(url))"
        case .file(let path): "\(path) in the initramfs"
        case .firmware: "QEMU's firmware configuration (opt/com.coreos/config)"
        case .none: "none"
        }
    }
}

enum ConfigSourceFailure: Error, Equatable, Advising, CustomStringConvertible {
    case unsupportedPlatform(String)

    var description: String {
        switch self {
        case .unsupportedPlatform(let name):
            "ignition.platform.id=\(name) is not supported yet; supported are metal and qemu"
        }
    }

    var advice: [String] { ["Boot with ignition.platform.id=metal and ignition.config.url=URL."] }
}
