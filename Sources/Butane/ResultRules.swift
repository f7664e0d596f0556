// Ignition's own rules on what was made, told at the place of the Butane config that made it.

import IgnitionConfig
import JSONText

/// Judges Ignition's config and finds what of the Butane config is behind each mistake.
struct ResultRules {
    /// The entries for what Ignition's rules say of a config.
    ///
    /// `bytes` is the config as it is written, and `config` is the same with the places.
    static func entries(_ bytes: [UInt8], _ config: ConfigNode) -> [Butane.Report.Entry] {
        let parsed = IgnitionConfig.parse(bytes, name: "generated")
        var diagnostics = parsed.report.diagnostics
        // Rules that the older versions keep only after merging.
        if parsed.report.errors.isEmpty, let config = parsed.config, config.ignition.version < .v33 {
            diagnostics += config.validate(name: "generated").errors
        }
        return diagnostics.compactMap { diagnostic in
            let path = source(of: diagnostic.path, in: config)
            var message = diagnostic.message
            switch diagnostic.kind {
            case .decimalMode(let mode):
                // The advice on a mode replaces what Butane says of its special bits.
                guard let version = parsed.config?.ignition.version, version < .v36, mode > 0o777 else { return nil }
                message =
                    "octal \(String(mode, radix: 8)): special bits are dropped before spec 3.6.0; this is \(version)"
            case .negativeTimeout, .onlySpares: return nil
            case .plain, .unknownKey: break
            }
            return .init(
                severity: diagnostic.severity == .error ? .error : .warning, path: path, message: message,
                text: path.text)
        }
    }

    /// What made the field: it, or the nearest object around it.
    static func source(of path: String, in config: ConfigNode) -> ConfigPath {
        var node = config
        var steps = path.split { $0 == "." || $0 == "[" || $0 == "]" }[...]
        while let step = steps.first {
            let next =
                if case .list(let entries) = node.value {
                    Int(step).flatMap { entries.indices.contains($0) ? entries[$0] : nil }
                } else {
                    node[String(step)]
                }
            guard let next else { break }
            node = next
            steps = steps.dropFirst()
        }
        if node.isGenerated { return node.source }
        return node.source.appending(steps.map { step in Int(step).map { .index($0) } ?? .key(snake(String(step))) })
    }

    /// `sizeMiB` becomes `size_mib`.
    static func snake(_ name: String) -> String {
        var result = ""
        var rest = Substring(name)
        while let first = rest.first {
            if rest.hasPrefix("MiB") {
                result += "_mib"
                rest = rest.dropFirst(3)
            } else {
                result += first.isASCII && first.isUppercase ? "_" + first.lowercased() : String(first)
                rest = rest.dropFirst()
            }
        }
        return result
    }
}

extension IgnitionConfig.Diagnostic {
    /// Whether this is advice of ours that Butane's checks do not give: a strict translation passes with it.
    var isOwnAdvice: Bool {
        switch kind {
        case .decimalMode, .negativeTimeout, .onlySpares: true
        case .plain, .unknownKey: false
        }
    }
}
