// The config: found, fetched, checked, and kept for the stages that carry it out.

import BootArguments
import Fetching
import IgnitionConfig
import LinuxSystem
import Platforms
import Reporting
import SystemPackage

extension Stages {
    /// Settles which config this boot has, as far as that takes no network.
    func findConfig() throws {
        guard !state.hasConfig else { return }
        let embedded = ConfigSource.embeddedConfig()
        guard arguments.ignitionFirstboot else {
            if embedded != nil || arguments.configURL != nil {
                warn("there is a config, but ignition.firstboot is not on the command line: not used")
            }
            return try state.save(config: nil)
        }
        if let problem = arguments.problem(in: .provisioning) { throw problem }
        try loadBaseConfig { warn($0) }.checkSupport()
        let source = try ConfigSource(arguments, embedded: embedded)
        if !source.isRemote { try keepConfig(from: source) }
    }

    /// Fetches the config, where ``findConfig`` did not find it on this machine, and what it refers to.
    func fetchConfig() throws {
        if !state.hasConfig {
            try keepConfig(from: try ConfigSource(arguments, embedded: ConfigSource.embeddedConfig()))
        }
        if !state.isConfigWhole { try completeConfig() }
    }

    /// What the network is needed for: the command line, the root image, the config or what it names.
    var needsNetwork: Bool {
        let config = state.hasConfig ? try? loadConfig() : nil
        return arguments.needsNetwork(
            rootImageIsLocal: hasAppendedRootImage,
            configNeedsNetwork: config.map { namesSomethingRemote($0) }
                ?? (!state.hasConfig && arguments.asksPlatformOverNetwork))
    }

    /// What is fetched first: the config and the root image, or else what the config at hand names. The network is up
    /// where the server of one of them answers.
    var firstURLs: [String] {
        var urls: [String] = []
        if !state.hasConfig, arguments.ignitionFirstboot, let url = arguments.configURL { urls.append(url) }
        if arguments.liveISO == nil, !hasAppendedRootImage { urls += arguments.rootfsURLs }
        // Whatever is behind a proxy of the config's own says nothing of the way there.
        if urls.isEmpty, state.hasConfig, let config = try? loadConfig(), config.ignition.proxy.httpProxy == nil,
            config.ignition.proxy.httpsProxy == nil
        {
            urls = remoteResources(config).compactMap(\.source)
        }
        return urls
    }

    private func keepConfig(from source: ConfigSource) throws {
        let bytes = try step("fetching the config from \(source.name)") { try read(source) }
        guard let bytes, !bytes.isEmpty else {
            let none = source == .platform(.metal) ? "none" : "none: \(source.name) gives none"
            console.say("config", none)
            note([none], of: "config")
            return try state.save(config: nil)
        }
        let fetched = FetchedConfig(source: source.name, bytes: bytes)
        let parsed = IgnitionConfig.parse(bytes, name: fetched.name)
        for warning in parsed.report.warnings { warn(warning.warning) }
        let config = try step("reading the config from \(source.name)") {
            let config = try parsed.checked()
            try config.checkSupport()
            return config
        }
        // What it refers to may need the network, which is brought up once that is known.
        let isWhole = !config.refersToOthers
        try state.save(config: fetched, isWhole: isWhole)
        if isWhole { tell(config, from: source.name) }
    }

    /// Follows the config's references and keeps the whole in its place.
    private func completeConfig() throws {
        guard let fetched = try state.loadConfig(), let config = try loadUserConfig() else { return }
        let completion = ConfigCompletion(try resourceFetcher(), proxy: arguments.proxy) { warn($0) }
        try step("completing the config from \(fetched.source)") {
            guard var whole = try completion.complete(config) else { return try state.save(config: nil) }
            try whole.checkSupport()
            // References are followed; whoever reads the config again is not to follow them once more.
            whole.ignition.config = .init()
            let bytes = Array(whole.json.text(.pretty).utf8)
            try state.save(config: FetchedConfig(source: "\(StageState.folder)/config.ign", bytes: bytes))
            whole.ignition.version = config.ignition.version
            let count = completion.followed.count
            let others = count == 0 ? "" : " and \(counted(count, "config")) it refers to"
            tell(whole, from: fetched.source + others)
        }
    }

    private func tell(_ config: IgnitionConfig, from source: String) {
        let origin = "\(source), spec \(config.ignition.version)"
        console.say("config", origin)
        note([origin], of: "config")
    }

    private func read(_ source: ConfigSource) throws -> [UInt8]? {
        switch source {
        case .file(let path): return try Files.read(path)
        case .volume(let volume): return try platformAccess.config(at: volume.path, onVolume: volume.label)
        case .platform(let platform): return try platform.userConfig(through: platformAccess)
        case .url(let url):
            return try resourceFetcher().bytes(of: IgnitionConfig.Resource(source: url), purpose: .config)
        }
    }

    /// Metadata services are close by: no proxy leads to them.
    private var platformAccess: PlatformAccess {
        var settings = FetchSettings()
        let log = log
        settings.log = { log.info("\($0)") }
        settings.waits = console.waits
        return PlatformAccess.live(fetcher: ResourceFetcher(settings), devices: devices, waits: console.waits) {
            [console] text in console.say("config", text)
        }
    }

    /// Fetches as the command line and the config say, with the config's certificate authorities trusted.
    func resourceFetcher(for config: IgnitionConfig? = nil) throws -> ResourceFetcher {
        var settings = FetchSettings()
        let log = log
        settings.log = { log.info("\($0)") }
        settings.waits = console.waits
        if let config { settings.adopt(config.ignition.timeouts, config.ignition.proxy) }
        if let proxy = arguments.proxy, settings.proxies == ProxyRules() {
            settings.proxies = ProxyRules(http: proxy, https: proxy)
        }
        var direct = FetchSettings()
        direct.log = settings.log
        direct.waits = settings.waits
        let instance = InstanceCredentials(arguments.platform.flatMap(Platform.init), settings: direct) { [console] in
            console.warn($0)
        }
        settings.credentials = { instance.credentials(for: $0) }
        settings.clock = .system
        settings.clockWasSet = { [console] in console.say("clock", "\($0)") }
        let fetcher = ResourceFetcher(settings)
        try fetcher.trust(config?.ignition.security.tls.certificateAuthorities ?? [])
        return fetcher
    }
}

/// Whether any resource of the config lies on another machine.
func namesSomethingRemote(_ config: IgnitionConfig) -> Bool {
    !remoteResources(config).isEmpty
        || config.storage.luks.contains { $0.clevis.isUsed && $0.clevis.opensOverNetwork }
}

private func remoteResources(_ config: IgnitionConfig) -> [IgnitionConfig.Resource] {
    let resources =
        config.storage.files.flatMap { [$0.contents] + $0.append } + config.storage.luks.map(\.keyFile)
        + config.ignition.security.tls.certificateAuthorities + config.ignition.config.merge
        + [config.ignition.config.replace]
    return resources.filter(isRemote)
}

private func isRemote(_ resource: IgnitionConfig.Resource) -> Bool {
    guard let source = resource.source, !source.isEmpty else { return false }
    return !source.lowercased().hasPrefix("data:")
}

/// The same of a config that may not even be one; what is wrong with it is another stage's to tell.
func configNeedsNetwork(_ bytes: [UInt8]) -> Bool {
    IgnitionConfig.parse(bytes, name: "config.ign").config.map { namesSomethingRemote($0) } ?? false
}
