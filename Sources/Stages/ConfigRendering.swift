// A config that refers to others, made whole: `replace` followed, `merge` merged.

import Fetching
import IgnitionConfig
import Reporting

/// Follows a config's references, each fetched with the timeouts, proxy and authorities in force there.
///
/// - SeeAlso: Ignition's documentation, "Operator notes", "Config merging".
final class ConfigRendering {
    /// Fetches a config's bytes; no bytes at all are an answer.
    typealias Fetch = (IgnitionConfig.Resource) throws -> [UInt8]

    private let fetch: Fetch
    /// Puts a config's timeouts, proxy and certificate authorities in force.
    private let adopt: (IgnitionConfig) throws -> Void
    private let warn: (String) -> Void
    /// The references that led here.
    private var chain: [String] = []
    /// How many configs were fetched.
    private(set) var count = 0

    /// More than anybody nests; configs that refer to each other in a circle are stopped by it at the latest.
    private static let deepest = 50
    private static let most = 1000

    init(
        fetch: @escaping Fetch, adopt: @escaping (IgnitionConfig) throws -> Void, warn: @escaping (String) -> Void
    ) {
        self.fetch = fetch
        self.adopt = adopt
        self.warn = warn
    }

    /// - Returns: The whole; `nil` where a config that is referred to is empty: as with the original, there
    ///   is no config then.
    func render(_ config: IgnitionConfig) throws -> IgnitionConfig? {
        let references = config.ignition.config
        if let source = references.replace.source, !source.isEmpty {
            guard let other = try follow(references.replace, over: nil) else { return nil }
            return other
        }
        var current = config
        for reference in references.merge {
            guard let child = try follow(reference, over: current) else { return nil }
            current = current.merged(with: child)
        }
        return current
    }

    /// Fetches, checks and renders a config; `parent` is what its settings come on top of.
    private func follow(_ reference: IgnitionConfig.Resource, over parent: IgnitionConfig?) throws -> IgnitionConfig? {
        let source = reference.source ?? ""
        let shown = "\(RedactedURL(source))"
        return try step("following \(shown), \(reference.origin.describe("source"))") {
            guard !chain.contains(source) else { throw ConfigReferenceFault.circle(shown) }
            guard chain.count < Self.deepest, count < Self.most else { throw ConfigReferenceFault.tooMany(count) }
            chain.append(source)
            defer { chain.removeLast() }
            count += 1
            let bytes = try fetch(reference)
            guard !bytes.isEmpty else {
                warn("\(shown) is empty: as with Ignition, there is no config at all then")
                return nil
            }
            let name = source.hasPrefix("data:") ? "config in the config" : FetchedConfig.name(of: shown)
            let parsed = IgnitionConfig.parse(bytes, name: name)
            for warning in parsed.report.warnings { warn("\(warning)") }
            let config = try parsed.checked()
            try adopt(parent?.merged(with: config) ?? config)
            return try render(config)
        }
    }
}

enum ConfigReferenceFault: Error, Equatable, Advising, CustomStringConvertible {
    case circle(String)
    case tooMany(Int)

    var description: String {
        switch self {
        case .circle(let source): "\(source) refers to itself"
        case .tooMany(let count): "the config refers to more than \(count) others"
        }
    }

    var advice: [String] { ["Let each config be merged or replaced once: a circle has no end."] }
}

extension IgnitionConfig {
    /// Whether it is not whole by itself.
    var refersToOthers: Bool {
        !ignition.config.merge.isEmpty || !(ignition.config.replace.source ?? "").isEmpty
            || ignition.security.tls.certificateAuthorities.contains {
                !($0.source ?? "").lowercased().hasPrefix("data:")
            }
    }
}
