// The stages fetch-offline and fetch: the user's config found, made whole, and kept in the cache.

import BootArguments
import Encoding
import Fetching
import IgnitionConfig
import LinuxSystem
import Platforms
import Reporting
import SystemPackage

extension IgnitionRun {
    /// A config as it was found.
    private struct Found {
        var bytes: [UInt8]
        /// What messages call it.
        var name: String
        /// What the state calls it.
        var source: String
    }

    /// Leaves the whole config in the cache, and where anything needs the network the file that asks for it.
    ///
    /// - Returns: `false` where the config itself needs the network, which this stage has not.
    func fetchConfig(over base: IgnitionConfig) throws -> Bool {
        let isOffline = invocation.stage == .fetchOffline
        var settings = FetchSettings()
        settings.isOffline = isOffline
        settings.totalTimeout = invocation.fetchTimeout == 0 ? nil : Double(invocation.fetchTimeout)
        let log = log
        settings.log = { log.info($0) }
        settings.credentials = instanceCredentials
        let whole: IgnitionConfig
        do {
            whole = try wholeConfig(ResourceFetcher(settings)) ?? IgnitionConfig()
        } catch {
            guard isOffline, (error as? BootFailure)?.needsNetwork ?? false else { throw error }
            log.info("failed to fetch config: resource requires networking")
            try askForNetwork()
            return false
        }
        try step("writing the config to \(invocation.configCache)") {
            try Files.makeFolder(invocation.configCache.removingLastComponent())
            try Files.write(whole.json.text(), to: invocation.configCache, mode: 0o600)
        }
        tellJournal()
        if isOffline, namesSomethingRemote(base.merged(with: whole)) { try askForNetwork() }
        return true
    }

    /// What this machine may show to its cloud's storage.
    var instanceCredentials: @Sendable (CloudStorage) -> CloudCredentials {
        var direct = FetchSettings()
        let log = log
        direct.log = { log.info($0) }
        let instance = InstanceCredentials(invocation.platform, settings: direct) { log.warning($0) }
        return { instance.credentials(for: $0) }
    }

    private func askForNetwork() throws {
        let file = invocation.neednet
        try step("asking for the network by \(file)") {
            try Files.makeFolder(file.removingLastComponent())
            try Files.write("", to: file)
        }
    }

    /// - Returns: `nil` where there is no config.
    private func wholeConfig(_ fetcher: ResourceFetcher) throws -> IgnitionConfig? {
        let found = try step("fetching the config") { try find(fetcher) }
        log.parsing(found.bytes)
        guard !found.bytes.isEmpty else { return noConfig() }
        let parsed = IgnitionConfig.parse(found.bytes, name: found.name)
        log.report(parsed.report)
        let config = try step("reading the config from \(found.name)") {
            try parsed.checked()
        }
        state.fetchedConfigs.append(.init(kind: .user, source: found.source))
        let completion = ConfigCompletion(fetcher, proxy: nil) { [log] in log.warning($0) }
        // What was found is part of the story also where the rest needs the network.
        defer {
            state.fetchedConfigs += completion.followed.map {
                IgnitionState.FetchedConfig(
                    kind: .user, source: (try? SourceURL(parsing: $0))?.pathOfFile ?? "", isReferenced: true)
            }
        }
        return try step("completing the config from \(found.name)") { try completion.complete(config) } ?? noConfig()
    }

    private func noConfig() -> IgnitionConfig? {
        log.info("not a config (empty): provider config was empty, continuing with empty cache config")
        return nil
    }

    /// The first source that is there is the one: a fault in it is not passed over.
    private func find(_ fetcher: ResourceFetcher) throws -> Found {
        if let url = configURL {
            let shown = "\(RedactedURL(url))"
            let bytes = try fetcher.bytes(of: IgnitionConfig.Resource(source: url), purpose: .config)
            return Found(bytes: bytes, name: shown, source: "cmdline")
        }
        if let problem = arguments.problem(in: .provisioning) { throw problem }
        let access = PlatformAccess.live(fetcher: fetcher, devices: devices, waits: watch.waits) { [log] in
            log.info($0)
        }
        if let volume = arguments.configVolume {
            let bytes = try access.config(at: volume.path, onVolume: volume.label)
            return Found(bytes: bytes, name: "\(volume.path) on the volume \(volume.label)", source: "cmdline")
        }
        if let path = environment.folders.userConfig {
            log.info("reading system config file \"\(path)\"")
            let bytes = try step("reading \(path)") { try Files.read(path) }
            return Found(bytes: bytes, name: path.string, source: "system")
        }
        let platform = invocation.platform
        // Some wait for a drive or a service, whichever comes first; without a network nothing would come.
        if fetcher.settings.isOffline, platform.needsNetwork {
            throw ResourceFailure(source: RedactedURL(platform.source), reason: .offline)
        }
        return Found(
            bytes: try platform.userConfig(through: access) ?? [], name: "the platform \(platform)",
            source: platform.rawValue)
    }

    /// `ignition.config.url`; one that is no URL is told and passed over.
    private var configURL: String? {
        guard let url = arguments.configURL else {
            log.info("no config URL provided")
            return nil
        }
        do throws(SourceURL.Fault) {
            _ = try SourceURL(parsing: url)
            return url
        } catch {
            log.error("ignition.config.url is no URL and is ignored: \(error)")
            return nil
        }
    }

    private func tellJournal() {
        for config in state.fetchedConfigs {
            IgnitionLog.journal(
                .config, "fetched \(config.isReferenced ? "referenced " : "")\(config.kind.rawValue) config",
                [
                    ("IGNITION_CONFIG_TYPE", config.kind.rawValue), ("IGNITION_CONFIG_SRC", config.source),
                    ("IGNITION_CONFIG_REFERENCED", config.isReferenced ? "true" : "false"),
                ])
        }
    }
}

extension BootFailure {
    /// Whether nothing but the network was missing.
    fileprivate var needsNetwork: Bool { (cause as? ResourceFailure)?.reason == .offline }
}

extension SourceURL {
    /// As the state names a config that another refers to: nothing that may be secret.
    fileprivate var pathOfFile: String { scheme.lowercased() == "data" ? "" : path }
}
