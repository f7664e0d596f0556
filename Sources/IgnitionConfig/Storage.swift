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
    mutating func describe(to fields: any FieldVisitor) {
        fields.list("disks", &disks)
        fields.list("raid", &raid)
        fields.list("luks", &luks, since: .v32)
        fields.list("filesystems", &filesystems)
        fields.list("files", &files)
        fields.list("directories", &directories)
        fields.list("links", &links)
    }
}

extension IgnitionConfig.Disk: ConfigObject {
    mutating func describe(to fields: any FieldVisitor) {
        fields.key("device", &device)
        fields.bool("wipeTable", &wipeTable)
        fields.list("partitions", &partitions)
    }
}

extension IgnitionConfig.Partition: ConfigObject {
    mutating func describe(to fields: any FieldVisitor) {
        fields.integer("number", &number)
        fields.string("label", &label)
        fields.integer("startMiB", &startMiB)
        fields.integer("sizeMiB", &sizeMiB)
        fields.string("typeGuid", &typeGuid)
        fields.string("guid", &guid)
        fields.bool("wipePartitionEntry", &wipePartitionEntry)
        fields.bool("shouldExist", &shouldExist)
        fields.bool("resize", &resize, since: .v32)
    }
}

extension IgnitionConfig.Raid: ConfigObject {
    mutating func describe(to fields: any FieldVisitor) {
        fields.key("name", &name)
        fields.string("level", &level)
        fields.strings("devices", &devices)
        fields.integer("spares", &spares)
        fields.strings("options", &options, .appended)
    }
}

extension IgnitionConfig.Luks: ConfigObject {
    mutating func describe(to fields: any FieldVisitor) {
        fields.key("name", &name)
        fields.string("device", &device)
        fields.object("keyFile", &keyFile)
        fields.string("label", &label)
        fields.string("uuid", &uuid)
        fields.strings("options", &options, .appended)
        fields.bool("wipeVolume", &wipeVolume)
        fields.object("clevis", &clevis)
        fields.bool("discard", &discard, since: .v34)
        fields.strings("openOptions", &openOptions, since: .v34)
        fields.object("cex", &cex, since: .v35)
    }
}

extension IgnitionConfig.Clevis: ConfigObject {
    mutating func describe(to fields: any FieldVisitor) {
        fields.object("custom", &custom)
        fields.bool("tpm2", &tpm2)
        fields.list("tang", &tang)
        fields.integer("threshold", &threshold)
    }
}

extension IgnitionConfig.ClevisCustom: ConfigObject {
    mutating func describe(to fields: any FieldVisitor) {
        fields.string("pin", &pin)
        fields.string("config", &config)
        fields.bool("needsNetwork", &needsNetwork)
    }
}

extension IgnitionConfig.Tang: ConfigObject {
    mutating func describe(to fields: any FieldVisitor) {
        fields.key("url", &url)
        fields.string("thumbprint", &thumbprint)
        fields.string("advertisement", &advertisement, since: .v34)
    }
}

extension IgnitionConfig.CEX: ConfigObject {
    mutating func describe(to fields: any FieldVisitor) {
        fields.bool("enabled", &enabled)
    }
}

extension IgnitionConfig.Filesystem: ConfigObject {
    mutating func describe(to fields: any FieldVisitor) {
        fields.key("device", &device)
        fields.string("format", &format)
        fields.string("path", &path)
        fields.string("label", &label)
        fields.string("uuid", &uuid)
        fields.strings("options", &options, .appended)
        fields.strings("mountOptions", &mountOptions, .appended, since: .v31)
        fields.bool("wipeFilesystem", &wipeFilesystem)
    }
}
