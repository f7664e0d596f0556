// What the installer and the initramfs of an image can do.

import JSONText

/// The features that an image declares, in `coreos/features.json` or
/// the initramfs; it lacks every feature that it does not declare.
public struct Features: Equatable, Sendable {
    /// The installer reads config files from `/etc/coreos/installer.d`.
    public var installerConfig = false
    /// The directives of these files that an old installer would refuse.
    public var installerConfigDirectives: Set<String> = []
    /// The initramfs reads keyfiles from `etc/coreos-firstboot-network`.
    public var liveNetwork = false

    /// None.
    public init() {}

    /// Parses the JSON file; throws where it is not JSON or a field has the wrong type.
    public init(parsing bytes: [UInt8]) throws {
        let fields = try JSONFields(parsing: bytes)
        installerConfig = try fields.flag("installer-config")
        installerConfigDirectives = try fields.flags("installer-config-directives")
        liveNetwork = try fields.flag("live-initrd-network")
    }

    /// The JSON file.
    public var text: String {
        let directives = installerConfigDirectives.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        return JSONFields.pretty([
            "installer-config": .bool(installerConfig),
            "installer-config-directives": .object(directives.map { .init($0, true) }),
            "live-initrd-network": .bool(liveNetwork),
        ]) + "\n"
    }
}
