// IgnitionConfig: the Ignition config, specs 3.0.0 to 3.7.0-experimental, as a value: reading, checking, merging,
// writing, source positions. No I/O.

import Encoding

/// One Ignition config.
///
/// `nil` means that the key is absent, which often differs from an empty value; an absent list is empty.
/// A config holds the newest version's fields and meaning, whatever version was declared.
/// - SeeAlso: Ignition config specification 3.7.0-experimental.
public struct IgnitionConfig: Equatable, Sendable {
    /// How the config is read and combined.
    public var ignition = Ignition()
    /// Kernel arguments of the installed system.
    public var kernelArguments = KernelArguments()
    /// Users and groups.
    public var passwd = Passwd()
    /// Disks, filesystems, files and links.
    public var storage = Storage()
    /// Units.
    public var systemd = Systemd()
    /// Where this was written.
    public var origin = Origin()

    /// Creates a config that asks for nothing.
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
        /// The declared version; the newest if the config was merged or decoded.
        public var version = SpecVersion.newest
        /// Other configs to read.
        public var config = References()
        /// Time limits of downloads.
        public var timeouts = Timeouts()
        /// Proxies of downloads.
        public var proxy = Proxy()
        /// Certificate authorities of downloads.
        public var security = Security()
        /// Where this was written.
        public var origin = Origin()

        /// Creates a value with every field absent.
        public init() {}
    }

    /// Other configs: merged one after the other, or read instead of this one.
    public struct References: Equatable, Sendable {
        /// Configs that are merged over this one, in this order.
        public var merge: [Resource] = []
        /// The config that is read instead of this one; without a source there is none.
        public var replace = Resource()
        /// Where this was written.
        public var origin = Origin()

        /// Creates a value with every field absent.
        public init() {}
    }

    /// Time limits in seconds; 0 means no limit.
    public struct Timeouts: Equatable, Sendable {
        /// Seconds until the response headers are there.
        public var httpResponseHeaders: Int?
        /// Seconds that a whole download may take.
        public var httpTotal: Int?
        /// Where this was written.
        public var origin = Origin()

        /// Creates a value with every field absent.
        public init() {}
    }

    /// The proxies that downloads go through.
    public struct Proxy: Equatable, Sendable {
        /// The URL of the proxy for http.
        public var httpProxy: ConfigURL?
        /// The URL of the proxy for https.
        public var httpsProxy: ConfigURL?
        /// Hosts that are reached without a proxy.
        public var noProxy: [String] = []
        /// Where this was written.
        public var origin = Origin()

        /// Creates a value with every field absent.
        public init() {}
    }

    /// The section `ignition.security`.
    public struct Security: Equatable, Sendable {
        /// How https servers are verified.
        public var tls = TLS()
        /// Where this was written.
        public var origin = Origin()

        /// Creates a value with every field absent.
        public init() {}
    }

    /// The section `ignition.security.tls`.
    public struct TLS: Equatable, Sendable {
        /// PEM certificates that are trusted beside the system's own.
        public var certificateAuthorities: [Resource] = []
        /// Where this was written.
        public var origin = Origin()

        /// Creates a value with every field absent.
        public init() {}
    }

    /// The section `kernelArguments`.
    public struct KernelArguments: Equatable, Sendable {
        /// Arguments that are added where they are missing.
        public var shouldExist: [String] = []
        /// Arguments that are removed.
        public var shouldNotExist: [String] = []
        /// Where this was written.
        public var origin = Origin()

        /// Creates a value with every field absent.
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
        fields.url("httpProxy", &httpProxy)
        fields.url("httpsProxy", &httpsProxy)
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
