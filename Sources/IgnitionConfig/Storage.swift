// storage: disks, RAID, LUKS and filesystems. Files.swift has what goes onto them.

extension IgnitionConfig {
    public struct Storage: Equatable, Sendable {
        public var disks: [Disk] = []
        public var raid: [Raid] = []
        public var luks: [Luks] = []
        public var filesystems: [Filesystem] = []
        public var files: [File] = []
        public var directories: [Directory] = []
        public var links: [Link] = []
        public var origin = Origin()

        public init() {}
    }

    public struct Disk: Equatable, Sendable {
        /// Absolute path.
        public var device = ""
        public var wipeTable: Bool?
        public var partitions: [Partition] = []
        public var origin = Origin()

        public init() {}
    }

    public struct Partition: Equatable, Sendable {
        /// `nil` or 0: the next free number.
        public var number: Int?
        public var label: String?
        /// MiB; 0 and absent differ on existing partitions.
        public var startMiB: Int?
        public var sizeMiB: Int?
        /// Empty as absent.
        public var typeGuid: String?
        public var guid: String?
        public var wipePartitionEntry: Bool?
        public var shouldExist: Bool?
        public var resize: Bool?
        public var origin = Origin()

        public init() {}
    }

    public struct Raid: Equatable, Sendable {
        public var name = ""
        public var level: String?
        public var devices: [String] = []
        public var spares: Int?
        public var options: [String] = []
        public var origin = Origin()

        public init() {}
    }

    public struct Luks: Equatable, Sendable {
        public var name = ""
        public var device: String?
        public var keyFile = Resource()
        public var label: String?
        public var uuid: String?
        public var options: [String] = []
        public var wipeVolume: Bool?
        public var clevis = Clevis()
        public var discard: Bool?
        public var openOptions: [String] = []
        public var cex = CEX()
        public var origin = Origin()

        public init() {}
    }

    public struct Clevis: Equatable, Sendable {
        public var custom = ClevisCustom()
        public var tpm2: Bool?
        public var tang: [Tang] = []
        public var threshold: Int?
        public var origin = Origin()

        public init() {}
    }

    public struct ClevisCustom: Equatable, Sendable {
        public var pin: String?
        public var config: String?
        public var needsNetwork: Bool?
        public var origin = Origin()

        public init() {}
    }

    public struct Tang: Equatable, Sendable {
        public var url = ""
        public var thumbprint: String?
        public var advertisement: String?
        public var origin = Origin()

        public init() {}
    }

    public struct CEX: Equatable, Sendable {
        public var enabled: Bool?
        public var origin = Origin()

        public init() {}
    }

    public struct Filesystem: Equatable, Sendable {
        /// Absolute path.
        public var device = ""
        /// `ext4 btrfs xfs swap vfat none`; `nil` or empty leaves the device alone.
        public var format: String?
        /// Where it is mounted while provisioning; `nil` or empty: nowhere.
        public var path: String?
        public var label: String?
        public var uuid: String?
        public var options: [String] = []
        public var mountOptions: [String] = []
        public var wipeFilesystem: Bool?
        public var origin = Origin()

        public init() {}
    }
}

extension IgnitionConfig.Storage: ConfigObject {
    init(from reader: inout ObjectReader) {
        disks = reader.list("disks")
        raid = reader.list("raid")
        luks = reader.list("luks", since: .v32)
        filesystems = reader.list("filesystems")
        files = reader.list("files")
        directories = reader.list("directories")
        links = reader.list("links")
        origin = reader.origin
    }
}

extension IgnitionConfig.Disk: ConfigObject {
    init(from reader: inout ObjectReader) {
        device = reader.string("device") ?? ""
        wipeTable = reader.bool("wipeTable")
        partitions = reader.list("partitions")
        origin = reader.origin
    }
}

extension IgnitionConfig.Partition: ConfigObject {
    init(from reader: inout ObjectReader) {
        number = reader.integer("number")
        label = reader.string("label")
        startMiB = reader.integer("startMiB")
        sizeMiB = reader.integer("sizeMiB")
        typeGuid = reader.string("typeGuid")
        guid = reader.string("guid")
        wipePartitionEntry = reader.bool("wipePartitionEntry")
        shouldExist = reader.bool("shouldExist")
        resize = reader.bool("resize", since: .v32)
        origin = reader.origin
    }
}

extension IgnitionConfig.Raid: ConfigObject {
    init(from reader: inout ObjectReader) {
        name = reader.string("name") ?? ""
        level = reader.string("level")
        devices = reader.strings("devices")
        spares = reader.integer("spares")
        options = reader.strings("options")
        origin = reader.origin
    }
}

extension IgnitionConfig.Luks: ConfigObject {
    init(from reader: inout ObjectReader) {
        name = reader.string("name") ?? ""
        device = reader.string("device")
        keyFile = reader.object("keyFile") ?? .init()
        label = reader.string("label")
        uuid = reader.string("uuid")
        options = reader.strings("options")
        wipeVolume = reader.bool("wipeVolume")
        clevis = reader.object("clevis") ?? .init()
        discard = reader.bool("discard", since: .v34)
        openOptions = reader.strings("openOptions", since: .v34)
        cex = reader.object("cex", since: .v35) ?? .init()
        origin = reader.origin
    }
}

extension IgnitionConfig.Clevis: ConfigObject {
    init(from reader: inout ObjectReader) {
        custom = reader.object("custom") ?? .init()
        tpm2 = reader.bool("tpm2")
        tang = reader.list("tang")
        threshold = reader.integer("threshold")
        origin = reader.origin
    }
}

extension IgnitionConfig.ClevisCustom: ConfigObject {
    init(from reader: inout ObjectReader) {
        pin = reader.string("pin")
        config = reader.string("config")
        needsNetwork = reader.bool("needsNetwork")
        origin = reader.origin
    }
}

extension IgnitionConfig.Tang: ConfigObject {
    init(from reader: inout ObjectReader) {
        url = reader.string("url") ?? ""
        thumbprint = reader.string("thumbprint")
        advertisement = reader.string("advertisement", since: .v34)
        origin = reader.origin
    }
}

extension IgnitionConfig.CEX: ConfigObject {
    init(from reader: inout ObjectReader) {
        enabled = reader.bool("enabled")
        origin = reader.origin
    }
}

extension IgnitionConfig.Filesystem: ConfigObject {
    init(from reader: inout ObjectReader) {
        device = reader.string("device") ?? ""
        format = reader.string("format")
        path = reader.string("path")
        label = reader.string("label")
        uuid = reader.string("uuid")
        options = reader.strings("options")
        mountOptions = reader.strings("mountOptions", since: .v31)
        wipeFilesystem = reader.bool("wipeFilesystem")
        origin = reader.origin
    }
}
