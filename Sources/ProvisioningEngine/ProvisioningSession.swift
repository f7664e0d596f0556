// The one engine: the config found, fetched, merged and checked, and carried out. Its stages are methods in files of
// their own. PID 1, the units, the name `ignition` and the commands differ in rules, store and observer alone.

import BootArguments
import Devices
import Encoding
import Fetching
import Glibc
import IgnitionConfig
import LinuxSystem
import NetworkPlanning
import Platforms
import Reporting
import SystemPackage

/// A machine that is being provisioned, for as long as one process does it.
///
/// Configs are read and parsed once; after a failure ``forgetConfigs()`` has them read anew. Copies share what they know:
/// a stage that runs beside another has a copy with an observer of its own.
public struct ProvisioningSession: Sendable {
    /// The kernel command line.
    public let arguments: BootArguments
    /// In what this way of provisioning differs from the others.
    public let rules: SessionRules
    /// Who is told what is done.
    public private(set) var observer: SessionObserver
    /// Access to the machine's devices.
    public private(set) var devices: DeviceAccess
    let store: any SessionStore
    /// Where the real root is assembled.
    public var root = FilePath("/sysroot")
    /// The image's configs.
    public var folders = SystemConfigFolders(variable)
    /// The name of the machine's platform.
    ///
    /// Without a name the machine is taken for bare metal, which has no config of its own.
    public var platform: String
    /// Whether SSH keys go to `.ssh/authorized_keys.d/ignition`; `nil`: as the environment or the target says.
    public var writesKeyFragment: Bool?
    /// Whether nothing is fetched from another machine.
    public var isOffline = false
    /// Seconds for finding the config, retries included; `nil`: no limit.
    public var fetchTimeout: Double?

    /// What is known of the machine by now, for URLs that name it.
    var machineFacts: @Sendable () -> MachineFacts

    /// The bytes of RAM that a root image will still take, `nil` while that is not known; no function where there is none.
    var roomForImage: (@Sendable () -> UInt64?)?
    /// The medium that the system will run from; `nil` where there is none.
    var medium: String?
    /// Taken by whoever takes much RAM.
    var memoryTurn = MemoryTurn.ofThisBoot
    let memory = SessionMemory()

    /// A session of these rules, which leaves what it finds out in `store`.
    public init(
        _ arguments: BootArguments, _ rules: SessionRules, store: any SessionStore, observer: SessionObserver,
        devices: DeviceAccess
    ) {
        self.arguments = arguments
        self.rules = rules
        self.store = store
        self.observer = observer
        self.devices = devices
        platform = arguments.platform ?? Platform.metal.rawValue
        machineFacts = { .ofThisMachine(arguments) }
    }

    /// The same session, for a stage that tells somebody else.
    func telling(_ observer: SessionObserver) -> ProvisioningSession {
        var session = self
        session.observer = observer
        session.devices = devices.telling(observer.waits)
        return session
    }

    // MARK: Configs

    /// Whether this boot provisions at all.
    var isWanted: Bool { arguments.ignitionFirstboot || !rules.asksForFirstBoot }

    /// The image's base configs, merged.
    ///
    /// - Parameter telling: Whether the observer hears of what is read.
    /// - Returns: An empty config where the image has none.
    /// - Throws: A base config that cannot be read, or that is not a config.
    @discardableResult
    public func baseConfig(telling: Bool = false) throws -> IgnitionConfig {
        if let known = memory.get(\.base) { return known }
        var notes = ConfigNotes()
        if telling {
            notes.reading = { [observer] path, bytes in
                observer(.reading(path))
                observer(.parsing(bytes))
            }
            notes.report = { [observer] in observer(.parsed($0)) }
            notes.warn = { [observer] in observer(.warning($0)) }
        }
        let base = try step("reading the base configs") { try folders.baseConfig(platform: platform, notes: notes) }
        memory.change { $0.base = base }
        return base
    }

    /// The user's config, parsed and checked; `nil` where there is none.
    func userConfig() throws -> IgnitionConfig? {
        if let known = memory.get(\.user) { return known }
        let user = try store.fetchedConfig()?.checked()
        memory.change { $0.user = .some(user) }
        return user
    }

    /// The config of this boot: the user's over the image's; `nil` where neither says anything.
    public func config() throws -> IgnitionConfig? {
        guard isWanted else { return nil }
        let base = try baseConfig()
        guard let user = try userConfig() else { return base == IgnitionConfig() ? nil : base }
        return base == IgnitionConfig() ? user : base.merged(with: user)
    }

    /// Has configs read anew: somebody may have changed them, or another one was kept.
    public func forgetConfigs() {
        memory.change { $0 = .init() }
    }

    func forgetUserConfig() { memory.change { $0.user = nil } }

    func remember(userConfig: IgnitionConfig) { memory.change { $0.user = .some(userConfig) } }

    // MARK: Fetches

    /// What holds for all fetches, whatever the config says.
    private var fetchSettings: FetchSettings {
        var settings = FetchSettings()
        settings.isOffline = isOffline
        settings.totalTimeout = fetchTimeout
        settings.log = { [observer] in observer(.detail($0)) }
        settings.waits = observer.fetchWaits
        return settings
    }

    /// Fetches as the command line and the config say, with the config's certificate authorities trusted.
    func resourceFetcher(for config: IgnitionConfig? = nil) throws -> ResourceFetcher {
        let fetcher = fetcherWithoutAuthorities(of: config)
        try fetcher.trust(config?.ignition.security.tls.certificateAuthorities ?? [])
        return fetcher
    }

    /// Fetches in the same way, with the config's authorities trusted where they can be had within `seconds`, all
    /// together.
    ///
    /// After a failure they may not have been fetched yet, and their server may be why the boot failed.
    func resourceFetcher(for config: IgnitionConfig?, authoritiesWithin seconds: Double) -> ResourceFetcher {
        let fetcher = fetcherWithoutAuthorities(of: config)
        let usual = (settings: fetcher.settings, isWanted: fetcher.isWanted)
        let end = Machine.uptime() + seconds
        fetcher.settings.totalTimeout = seconds
        // A cloud's credentials are asked for without this limit.
        fetcher.settings.credentials = { _ in CloudCredentials() }
        fetcher.isWanted = { usual.isWanted() && Machine.uptime() < end }
        let authorities = config?.ignition.security.tls.certificateAuthorities ?? []
        _ = try? fetcher.trust(authorities)
        fetcher.settings.totalTimeout = usual.settings.totalTimeout
        fetcher.settings.credentials = usual.settings.credentials
        fetcher.isWanted = usual.isWanted
        return fetcher
    }

    private func fetcherWithoutAuthorities(of config: IgnitionConfig?) -> ResourceFetcher {
        var settings = fetchSettings
        if let config { settings.adopt(config.ignition.timeouts, config.ignition.proxy) }
        if let proxy = proxyArgument, settings.proxies == ProxyRules() {
            settings.proxies = ProxyRules(http: proxy, https: proxy)
        }
        var direct = FetchSettings()
        direct.log = settings.log
        direct.waits = settings.waits
        let instance = InstanceCredentials(
            Platform(rawValue: platform), fetcher: { [direct] in ResourceFetcher(direct) },
            warn: { [observer] in observer(.caution($0)) })
        settings.credentials = { instance.credentials(for: $0) }
        if rules.setsClock {
            settings.clock = .system
            settings.clockWasSet = { [observer] in observer(.told(topic: "clock", "\($0)")) }
        }
        return ResourceFetcher(settings)
    }

    /// The proxy that counts where a config names none.
    var proxyArgument: SourceURL? { rules.honoursProxyArgument ? arguments.proxy : nil }

    /// How the machine's platform is asked.
    ///
    /// Metadata services are on the local network, so no proxy is used.
    var platformAccess: PlatformAccess {
        var access = PlatformAccess.live(
            fetcher: ResourceFetcher(fetchSettings), devices: devices, waits: observer.waits
        ) { [observer] in observer(.platform($0)) }
        access.keptFiles = { [store] in try [PlatformFile](store.platformFiles) ?? [] }
        access.keepFiles = { [store] in try store.keep(platformFiles: $0.json) }
        return access
    }

    // MARK: Devices

    /// Seconds that a device is waited for where the command line does not say: what systemd waits, too.
    private static let usualDeviceSeconds = 90

    /// Seconds that a device is waited for; `nil`: without limit.
    var deviceSeconds: Int? {
        switch arguments.deviceTimeout {
        case 0: nil
        case let seconds: seconds ?? Self.usualDeviceSeconds
        }
    }

    /// When a device that has not appeared is given up, in ``Machine/uptime()``'s seconds.
    var deviceDeadline: Double { deviceSeconds.map { Machine.uptime() + Double($0) } ?? .infinity }

    // MARK: What is told

    /// Runs a part of the boot; the time that it takes is told, however it ends.
    public func measured<Result>(_ topic: String, _ body: () throws -> Result) rethrows -> Result {
        let began = Machine.uptime()
        defer { observer(.took(topic: topic, Machine.uptime() - began)) }
        return try body()
    }

    func warn(_ text: String) { observer(.warning(text)) }

    /// Tells the platform how a stage ended; a failure to tell it stops nothing.
    ///
    /// - Parameters:
    ///   - stage: Ignition's word for it.
    ///   - failure: What went wrong; `nil`: nothing.
    /// - Returns: Why the platform could not be told; `nil` where it was, or does not ask.
    public func reportToPlatform(stage: String, failure: String?) -> (any Error)? {
        guard let platform = Platform(rawValue: platform) else { return nil }
        var settings = FetchSettings()
        settings.log = { [observer] in observer(.detail($0)) }
        do {
            try platform.report(stage: stage, failure: failure, with: ResourceFetcher(settings))
            return nil
        } catch {
            return error
        }
    }
}

/// A variable of the environment; `nil` where it is not set.
public func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
