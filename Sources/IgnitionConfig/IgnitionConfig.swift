// IgnitionConfig: the Ignition config, specs 3.0.0 to 3.7.0-experimental, as a value: reading, checking, merging,
// writing, places. No I/O.

/// One Ignition config.
///
/// `nil` means that the key is absent, which often differs from an empty value; an absent list is empty.
/// Whatever the declared version, a config holds the newest version's fields and meaning.
/// - SeeAlso: Ignition config specification 3.7.0-experimental.
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
    mutating func describe(to fields: any FieldVisitor) {
        fields.object("ignition", &ignition)
        fields.object("storage", &storage)
        fields.object("systemd", &systemd)
        fields.object("passwd", &passwd)
        fields.object("kernelArguments", &kernelArguments, since: .v33)
    }
}

extension IgnitionConfig {
    /// How the config is to be read and combined.
    public struct Ignition: Equatable, Sendable {
        /// As declared; the newest where the config is a merged or a decoded one.
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
    mutating func describe(to fields: any FieldVisitor) {
        fields.version("version", &version)
        fields.object("config", &config)
        fields.object("timeouts", &timeouts)
        fields.object("proxy", &proxy, since: .v31)
        fields.object("security", &security)
    }
}

extension IgnitionConfig.References: ConfigObject {
    mutating func describe(to fields: any FieldVisitor) {
        fields.list("merge", &merge)
        fields.object("replace", &replace)
    }
}

extension IgnitionConfig.Timeouts: ConfigObject {
    mutating func describe(to fields: any FieldVisitor) {
        fields.integer("httpResponseHeaders", &httpResponseHeaders)
        fields.integer("httpTotal", &httpTotal)
    }
}

extension IgnitionConfig.Proxy: ConfigObject {
    mutating func describe(to fields: any FieldVisitor) {
        fields.string("httpProxy", &httpProxy)
        fields.string("httpsProxy", &httpsProxy)
        fields.strings("noProxy", &noProxy)
    }
}

extension IgnitionConfig.Security: ConfigObject {
    mutating func describe(to fields: any FieldVisitor) {
        fields.object("tls", &tls)
    }
}

extension IgnitionConfig.TLS: ConfigObject {
    mutating func describe(to fields: any FieldVisitor) {
        fields.list("certificateAuthorities", &certificateAuthorities)
    }
}

extension IgnitionConfig.KernelArguments: ConfigObject {
    mutating func describe(to fields: any FieldVisitor) {
        fields.strings("shouldExist", &shouldExist)
        fields.strings("shouldNotExist", &shouldNotExist)
    }
}
