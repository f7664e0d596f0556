// What a valid config may ask for that is not supported yet: the boot stops before any disk is touched.

import Reporting

extension IgnitionConfig {
    /// The fields of a config that this version does not act on.
    ///
    /// They are errors: ignoring one would give another machine than the one that was asked for.
    public static func unsupported(in config: IgnitionConfig) -> [Diagnostic] {
        var checker = Checker(version: config.ignition.version)
        func refuse(_ origin: Origin, _ field: String) {
            checker.error(origin, field, "not built yet")
        }

        for volume in config.storage.luks {
            if volume.cex.enabled == true { refuse(volume.origin, "cex") }
        }
        for filesystem in config.storage.filesystems where filesystem.format == "virtiofs" {
            refuse(filesystem.origin, "format")
        }
        return checker.notes.diagnostics
    }

    /// Checks that everything the config asks for is supported.
    ///
    /// - Throws: ``UnsupportedConfig`` if the config has a field that this version does not act on.
    public func checkSupport() throws(UnsupportedConfig) {
        let fields = IgnitionConfig.unsupported(in: self)
        if !fields.isEmpty { throw UnsupportedConfig(fields) }
    }
}

/// A valid config that asks for something unsupported.
public struct UnsupportedConfig: Error, Equatable, Advising {
    /// The fields, at least one.
    public var fields: [IgnitionConfig.Diagnostic]

    /// Creates an error about the given fields.
    public init(_ fields: [IgnitionConfig.Diagnostic]) { self.fields = fields }
}

extension UnsupportedConfig: CustomStringConvertible {
    /// What is wrong, for a message.
    public var description: String {
        guard let first = fields.first else { return "the config asks for something not built yet" }
        let place = first.place.map { "\(first.source) line \($0.line): " } ?? ""
        let more = fields.count > 1 ? " (and \(counted(fields.count - 1, "more field")))" : ""
        return "\(place)\(first.path) is not supported yet\(more)"
    }

    /// What the operator can do.
    public var advice: [String] {
        fields.dropFirst().prefix(5).map { field in
            "Also \(field.path)" + (field.place.map { ", line \($0.line)" } ?? "") + "."
        } + ["Take it out of the config."]
    }
}
