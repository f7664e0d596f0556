// The config: found, fetched, checked, and kept for the stages that carry it out.

import BootArguments
import Encoding
import Fetching
import Hashing
import IgnitionConfig
import LinuxSystem
import LiveImage
import Platforms
import Reporting
import SystemPackage

extension ProvisioningSession {
    /// Settles which config this boot has, as far as that takes no network.
    public func findConfig() throws {
        guard try store.configProgress == .unknown else { return }
        guard isWanted else {
            if embeddedConfig != nil || arguments.commandLine.value(BootArguments.configKey) != nil {
                warn("there is a config, but ignition.firstboot is not on the command line: not used")
            }
            return try keepNoConfig()
        }
        try baseConfig(telling: true).checkSupport()
        if let problem = arguments.problem(in: .configURL, .provisioning) { throw problem }
        // This machine's values are put into a URL once the network is up, since it tells some of them.
        if let url = arguments.configURL, !url.asWritten.isData { return }
        let source = try configSource()
        if !source.isRemote { try keepConfig(from: source) }
    }

    /// Fetches the config, where ``findConfig()`` did not find it on this machine, and what it refers to.
    public func fetchConfig() throws {
        if try store.configProgress == .unknown { try keepConfig(from: try configSource()) }
        if try store.configProgress == .incomplete { try completeConfig() }
    }

    /// Whether anything of the config of this boot lies on another machine.
    public func configNeedsNetwork() throws -> Bool { try config().map { namesSomethingRemote($0) } ?? false }

    /// Whether a fetch failed only because it needed the network and was not allowed to use it.
    public static func needsNetwork(_ failure: any Error) -> Bool {
        ((failure as? BootFailure)?.cause as? ResourceFailure)?.reason == .offline
    }

    /// The one place that this boot's config comes from.
    private func configSource() throws -> ConfigSource {
        if let problem = arguments.problem(in: .configURL, .provisioning) { throw problem }
        let url = try arguments.configURL.map { try filled($0, of: BootArguments.configKey) }
        return try ConfigSource(arguments, url: url, embedded: embeddedConfig, platform: platform)
    }

    private var embeddedConfig: FilePath? {
        rules.readsEmbeddedConfig ? ConfigSource.embeddedConfig(folders) : folders.userConfig
    }

    private func keepConfig(from source: ConfigSource) throws {
        let bytes = try step("fetching the config from \(source.name)") { try read(source) } ?? []
        observer(.parsing(bytes))
        guard !bytes.isEmpty else {
            observer(.noConfig(source == .platform(.metal) ? "none" : "none: \(source.name) gives none"))
            return try keepNoConfig()
        }
        let fetched = FetchedConfig(source: source.name, bytes: bytes)
        let parsed = IgnitionConfig.parse(bytes, name: fetched.name)
        observer(.parsed(parsed.report))
        let config = try step("reading the config from \(source.name)") {
            let config = try parsed.checked()
            if rules.refusesAtFetch { try config.checkSupport() }
            return config
        }
        observer(.found(source))
        // The references of the config may need the network, which is brought up once that is known.
        let isWhole = rules.keepsTextAsWritten && !config.refersToOthers
        try store.keep(fetched, isWhole: isWhole)
        remember(userConfig: config)
        if isWhole { tell(config, from: source.name) }
    }

    /// Follows the config's references and keeps the whole in its place.
    private func completeConfig() throws {
        guard let fetched = try store.fetchedConfig(), let config = try userConfig() else { return }
        let completion = ConfigCompletion(try resourceFetcher(), proxy: proxyArgument) { [observer] in
            observer(.warning($0))
        }
        let whole = try step("completing the config from \(fetched.source)") { () throws -> IgnitionConfig? in
            // The configs that were found are reported even if the rest needs the network.
            defer { observer(.followed(completion.followed)) }
            let whole = try completion.complete(config)
            if rules.refusesAtFetch { try whole?.checkSupport() }
            return whole
        }
        guard let whole else {
            observer(.noConfig(nil))
            return try keepNoConfig()
        }
        try store.keep(whole: whole)
        forgetUserConfig()
        let count = completion.followed.count
        let others = count == 0 ? "" : " and \(counted(count, "config")) it refers to"
        tell(whole, from: fetched.source + others)
    }

    private func keepNoConfig() throws {
        try store.keepNoConfig()
        forgetUserConfig()
    }

    private func tell(_ config: IgnitionConfig, from source: String) {
        observer(.noted(topic: "config", "\(source), spec \(config.ignition.version)"))
    }

    private func read(_ source: ConfigSource) throws -> [UInt8]? {
        switch source {
        case .file(let path):
            observer(.reading(path))
            return try Files.read(path)
        case .volume(let volume):
            return try platformAccess.config(at: volume.path, onVolume: volume.label, within: deviceSeconds)
        case .platform(let platform):
            // Some platforms wait for a drive or a service, whichever comes first; without a network none would come.
            if isOffline, platform.needsNetwork {
                throw ResourceFailure(source: RedactedURL(platform.source), reason: .offline)
            }
            return try platform.userConfig(through: platformAccess)
        case .url(let url): return try resourceFetcher().bytes(at: url, purpose: .config)
        }
    }
}

/// Takes a platform's config away from the hypervisor, so that its secrets do not stay there.
///
/// - Throws: Where the platform keeps none that could be taken away, or whatever stops it.
public func removeUserConfig(of platform: Platform) throws {
    try platform.removeUserConfig(through: PlatformAccess.hypervisor)
}

/// The SHA-512 of a config's text in hexadecimal digits, by which Ignition's log tells one from another.
public func configDigest(_ bytes: [UInt8]) -> String {
    var digest = MessageDigest(.sha512)
    bytes.withUnsafeBytes { digest.update($0) }
    return hexadecimal(digest.finish())
}

// MARK: What lies elsewhere

/// Whether anything of the config lies on another machine.
func namesSomethingRemote(_ config: IgnitionConfig) -> Bool {
    let (whole, elsewhere) = knownHere(config)
    return !elsewhere.isEmpty || whole.storage.luks.contains { $0.clevis.isUsed && $0.clevis.opensOverNetwork }
}

/// What the config names on other machines.
func remoteResources(_ config: IgnitionConfig) -> [IgnitionConfig.Resource] { knownHere(config).elsewhere }

/// As much of the config as this machine knows without a network, and what the rest of it lies in.
///
/// The references that it holds as `data:` URLs are followed: `customize` of the image tool embeds configs like that.
/// A mistake in one of them is reported by the stage that follows them all.
private func knownHere(
    _ config: IgnitionConfig
) -> (whole: IgnitionConfig, elsewhere: [IgnitionConfig.Resource]) {
    var elsewhere: [IgnitionConfig.Resource] = []
    var settings = FetchSettings()
    settings.isOffline = true
    let fetcher = ResourceFetcher(settings)
    let rendering = ConfigRendering(
        fetch: { reference in
            guard reference.isElsewhere else { return try fetcher.bytes(of: reference, purpose: .config) }
            elsewhere.append(reference)
            return Array(#"{"ignition": {"version": "3.0.0"}}"#.utf8)
        },
        adopt: { elsewhere += $0.ignition.security.tls.certificateAuthorities.filter(\.isElsewhere) },
        warn: { _ in })
    let whole = (try? rendering.render(config)) ?? config
    let contents = whole.storage.files.flatMap { [$0.contents] + $0.append } + whole.storage.luks.map(\.keyFile)
    let authorities = config.ignition.security.tls.certificateAuthorities
    return (whole, elsewhere + (contents + authorities).filter(\.isElsewhere))
}

/// Whether a boot with these arguments is going to need the network for its config, as far as this initramfs tells.
///
/// A config with mistakes is not told here; the stage that reads it does so.
public func configMayNeedNetwork(_ arguments: BootArguments) -> Bool {
    let embedded = ConfigSource.embeddedConfig().flatMap { try? Files.read($0) }
    let base = try? SystemConfigFolders().baseConfig(
        platform: arguments.platform ?? Platform.metal.rawValue, notes: ConfigNotes())
    let user = embedded.map { bytes in
        IgnitionConfig.parse(bytes, name: "config.ign").config.map { namesSomethingRemote($0) } ?? false
    }
    return (user ?? arguments.asksPlatformOverNetwork) || (base.map { namesSomethingRemote($0) } ?? false)
}
