// What a config may say that this agent does not do yet: it stops before any disk is touched.

import Reporting

extension IgnitionConfig {
    /// The fields of a config that nothing here acts on yet.
    ///
    /// They are noted as errors: to ignore one would leave a machine other than the one asked for.
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

    /// - Throws: ``UnsupportedConfig`` where the config has a field that nothing here acts on yet.
    public func checkSupport() throws(UnsupportedConfig) {
        let fields = IgnitionConfig.unsupported(in: self)
        if !fields.isEmpty { throw UnsupportedConfig(fields) }
    }
}

/// A valid config that asks for something not built yet.
public struct UnsupportedConfig: Error, Equatable, Advising {
    public var fields: [IgnitionConfig.Diagnostic]

    public init(_ fields: [IgnitionConfig.Diagnostic]) { self.fields = fields }
}

extension UnsupportedConfig: CustomStringConvertible {
    public var description: String {
        guard let first = fields.first else { return "the config asks for something not built yet" }
        let place = first.place.map { "\(first.source) line \($0.line): " } ?? ""
        let more = fields.count > 1 ? " (and \(counted(fields.count - 1, "more field")))" : ""
        return "\(place)\(first.path) is not supported yet\(more)"
    }

    public var advice: [String] {
        fields.dropFirst().prefix(5).map { field in
            "Also \(field.path)" + (field.place.map { ", line \($0.line)" } ?? "") + "."
        } + ["Take it out of the config."]
    }
}
