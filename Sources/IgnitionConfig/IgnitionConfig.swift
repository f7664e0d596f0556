// IgnitionConfig: the Ignition config, specs 3.0.0 to 3.6.0, as a value: reading, checking, places. No I/O.

/// One Ignition config.
///
/// `nil` means that the key is absent, which often differs from an empty value; an absent list is empty.
/// Whatever the declared version, a config holds the newest version's fields and meaning.
/// - SeeAlso: Ignition config specification 3.6.0.
public struct IgnitionConfig: Equatable, Sendable {
    public var ignition = Ignition()
    public var kernelArguments = KernelArguments()
    public var passwd = Passwd()
    public var storage = Storage()
    public var systemd = Systemd()
    public var origin = Origin()

    public init() {}
}

extension IgnitionConfig: ConfigObject {
    init(from reader: inout ObjectReader) {
        ignition = reader.object("ignition") ?? Ignition()
        storage = reader.object("storage") ?? Storage()
        systemd = reader.object("systemd") ?? Systemd()
        passwd = reader.object("passwd") ?? Passwd()
        kernelArguments = reader.object("kernelArguments", since: .v33) ?? KernelArguments()
        origin = reader.origin
    }
}

extension IgnitionConfig {
    /// How the config is to be read and combined.
    public struct Ignition: Equatable, Sendable {
        /// As declared.
        public var version = SpecVersion.newest
        public var config = References()
        public var timeouts = Timeouts()
        public var proxy = Proxy()
        public var security = Security()
        public var origin = Origin()

        public init() {}
    }

    /// Other configs: merged one after the other, or read instead of this one.
    public struct References: Equatable, Sendable {
        public var merge: [Resource] = []
        public var replace = Resource()
        public var origin = Origin()

        public init() {}
    }

    /// Seconds; 0 is none.
    public struct Timeouts: Equatable, Sendable {
        public var httpResponseHeaders: Int?
        public var httpTotal: Int?
        public var origin = Origin()

        public init() {}
    }

    public struct Proxy: Equatable, Sendable {
        public var httpProxy: String?
        public var httpsProxy: String?
        public var noProxy: [String] = []
        public var origin = Origin()

        public init() {}
    }

    public struct Security: Equatable, Sendable {
        public var tls = TLS()
        public var origin = Origin()

        public init() {}
    }

    public struct TLS: Equatable, Sendable {
        public var certificateAuthorities: [Resource] = []
        public var origin = Origin()

        public init() {}
    }

    public struct KernelArguments: Equatable, Sendable {
        public var shouldExist: [String] = []
        public var shouldNotExist: [String] = []
        public var origin = Origin()

        public init() {}
    }
}

extension IgnitionConfig.Ignition: ConfigObject {
    init(from reader: inout ObjectReader) {
        version = reader.version
        reader.ignore("version")
        config = reader.object("config") ?? .init()
        timeouts = reader.object("timeouts") ?? .init()
        proxy = reader.object("proxy", since: .v31) ?? .init()
        security = reader.object("security") ?? .init()
        origin = reader.origin
    }
}

extension IgnitionConfig.References: ConfigObject {
    init(from reader: inout ObjectReader) {
        merge = reader.list("merge")
        replace = reader.object("replace") ?? .init()
        origin = reader.origin
    }
}

extension IgnitionConfig.Timeouts: ConfigObject {
    init(from reader: inout ObjectReader) {
        httpResponseHeaders = reader.integer("httpResponseHeaders")
        httpTotal = reader.integer("httpTotal")
        origin = reader.origin
    }
}

extension IgnitionConfig.Proxy: ConfigObject {
    init(from reader: inout ObjectReader) {
        httpProxy = reader.string("httpProxy")
        httpsProxy = reader.string("httpsProxy")
        noProxy = reader.strings("noProxy")
        origin = reader.origin
    }
}

extension IgnitionConfig.Security: ConfigObject {
    init(from reader: inout ObjectReader) {
        tls = reader.object("tls") ?? .init()
        origin = reader.origin
    }
}

extension IgnitionConfig.TLS: ConfigObject {
    init(from reader: inout ObjectReader) {
        certificateAuthorities = reader.list("certificateAuthorities")
        origin = reader.origin
    }
}

extension IgnitionConfig.KernelArguments: ConfigObject {
    init(from reader: inout ObjectReader) {
        shouldExist = reader.strings("shouldExist")
        shouldNotExist = reader.strings("shouldNotExist")
        origin = reader.origin
    }
}
