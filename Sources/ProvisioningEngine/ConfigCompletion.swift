// A config that refers to others, made whole: `replace` followed, `merge` merged.

import Encoding
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
    /// The sources of those that were configs.
    private(set) var followed: [SourceURL] = []

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

    /// - Returns: The whole; `nil` where a config that is referred to is empty: as with Ignition, that
    ///   leaves none.
    func render(_ config: IgnitionConfig) throws -> IgnitionConfig? {
        let references = config.ignition.config
        // An empty source is one, too: it gives an empty config.
        if references.replace.source != nil {
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
        let source = reference.source ?? ConfigURL("")
        let shown = "\(source)"
        return try step("following \(shown), \(reference.origin.describe("source"))") {
            guard !chain.contains(source.text) else { throw ConfigReferenceFault.circle(shown) }
            guard chain.count < Self.deepest, count < Self.most else { throw ConfigReferenceFault.tooMany(count) }
            chain.append(source.text)
            defer { chain.removeLast() }
            count += 1
            let bytes = try fetch(reference)
            guard !bytes.isEmpty else {
                warn("\(shown) is empty: as with Ignition, there is no config at all then")
                return nil
            }
            if let url = source.url { followed.append(url) }
            let name = reference.isElsewhere ? FetchedConfig.name(of: shown) : "config in the config"
            let parsed = IgnitionConfig.parse(bytes, name: name)
            for warning in parsed.report.warnings { warn(warning.warning) }
            let config = try parsed.valid()
            try adopt(parent?.merged(with: config) ?? config)
            return try render(config)
        }
    }
}

/// A config completed: its references followed, its certificate authorities fetched, the whole checked.
final class ConfigCompletion {
    private let fetcher: ResourceFetcher
    private let proxy: SourceURL?
    private let warn: (String) -> Void
    /// The sources of the configs that were followed.
    private(set) var followed: [SourceURL] = []

    /// Prepares to complete one config.
    ///
    /// - Parameters:
    ///   - fetcher: Fetches what is referred to.
    ///   - proxy: Used where a config names none.
    ///   - warn: Called with what somebody should look into.
    init(_ fetcher: ResourceFetcher, proxy: SourceURL?, warn: @escaping (String) -> Void) {
        self.fetcher = fetcher
        self.proxy = proxy
        self.warn = warn
    }

    /// - Returns: The whole, its references still in it; `nil` where there is no config after all.
    func complete(_ config: IgnitionConfig) throws -> IgnitionConfig? {
        try adopt(config)
        let rendering = ConfigRendering(
            fetch: { [fetcher] in try fetcher.bytes(of: $0, purpose: .config) }, adopt: adopt, warn: warn)
        defer { followed = rendering.followed }
        guard let whole = try rendering.render(config) else { return nil }
        try adopt(whole)
        let report = whole.validate()
        guard report.errors.isEmpty else { throw InvalidConfig(report) }
        return whole.inliningAuthorities(try fetcher.trust(whole.ignition.security.tls.certificateAuthorities))
    }

    private func adopt(_ config: IgnitionConfig) throws {
        fetcher.settings.adopt(config.ignition.timeouts, config.ignition.proxy)
        if let proxy, fetcher.settings.proxies == ProxyRules() {
            fetcher.settings.proxies = ProxyRules(http: proxy, https: proxy)
        }
        try fetcher.trust(config.ignition.security.tls.certificateAuthorities)
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

    var advice: [String] { ["Merge or replace each config once; none may refer back to itself."] }
}

extension IgnitionConfig {
    /// Whether it is not whole by itself.
    var refersToOthers: Bool {
        !ignition.config.merge.isEmpty || ignition.config.replace.source != nil
            || ignition.security.tls.certificateAuthorities.contains(where: \.isElsewhere)
    }
}
