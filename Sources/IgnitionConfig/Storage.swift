// storage: disks, RAID, LUKS and filesystems. FilesAndLinks.swift has what goes onto them.

extension IgnitionConfig {
    /// The section `storage`.
    public struct Storage: Equatable, Sendable {
        /// Disks, keyed by device.
        public var disks: [Disk] = []
        /// RAID arrays, keyed by name.
        public var raid: [Raid] = []
        /// LUKS volumes, keyed by name.
        public var luks: [Luks] = []
        /// Filesystems, keyed by device.
        public var filesystems: [Filesystem] = []
        /// Files, keyed by path.
        public var files: [File] = []
        /// Directories, keyed by path.
        public var directories: [Directory] = []
        /// Links, keyed by path.
        public var links: [Link] = []
        /// Where this was written.
        public var origin = Origin()

        /// Creates a value with every field absent.
        public init() {}
    }

    /// A disk and its partitions.
    public struct Disk: Equatable, Sendable {
        /// The absolute path of the disk.
        public var device = ""
        /// Whether the partition table is destroyed and made anew.
        public var wipeTable: Bool?
        /// Partitions, keyed by number or, without one, by label.
        public var partitions: [Partition] = []
        /// Where this was written.
        public var origin = Origin()

        /// Creates a value with every field absent.
        public init() {}
    }

    /// A GPT partition.
    public struct Partition: Equatable, Sendable {
        /// The number; `nil` or 0 is the next free one.
        public var number: Int?
        /// The partition's name, at most 36 bytes.
        public var label: String?
        /// The first MiB; 0 and absent differ on existing partitions.
        public var startMiB: Int?
        /// MiB; 0 and absent differ on existing partitions.
        public var sizeMiB: Int?
        /// The type GUID; empty counts as absent.
        public var typeGuid: String?
        /// The partition's GUID; empty as absent.
        public var guid: String?
        /// Whether a partition that does not match may be deleted and made anew.
        public var wipePartitionEntry: Bool?
        /// `false` deletes the partition of that number; `nil` is `true`.
        public var shouldExist: Bool?
        /// Whether a partition that differs in its size alone may be resized.
        public var resize: Bool?
        /// Where this was written.
        public var origin = Origin()

        /// Creates a value with every field absent.
        public init() {}
    }

    /// A RAID array of md.
    public struct Raid: Equatable, Sendable {
        /// The array's name: `/dev/md/NAME`.
        public var name = ""
        /// The level as mdadm(8) spells it: `raid1`, `stripe`.
        public var level: String?
        /// Absolute paths of all members, spares included.
        public var devices: [String] = []
        /// How many of the devices are spares.
        public var spares: Int?
        /// Further arguments of `mdadm --create`.
        public var options: [String] = []
        /// Where this was written.
        public var origin = Origin()

        /// Creates a value with every field absent.
        public init() {}
    }

    /// A LUKS2 volume.
    public struct Luks: Equatable, Sendable {
        /// The name of the opened volume: `/dev/mapper/NAME`.
        public var name = ""
        /// The absolute path of the device that is encrypted.
        public var device: String?
        /// The key; without a source one is made.
        public var keyFile = Resource()
        /// The label in the LUKS header, at most 47 bytes.
        public var label: String?
        /// The UUID in the LUKS header.
        public var uuid: String?
        /// Further arguments of `cryptsetup luksFormat`.
        public var options: [String] = []
        /// Whether a volume that is there already is destroyed and made anew.
        public var wipeVolume: Bool?
        /// How the volume unlocks without a key file.
        public var clevis = Clevis()
        /// Whether discards pass through to the device.
        public var discard: Bool?
        /// Further arguments of `cryptsetup luksOpen`.
        public var openOptions: [String] = []
        /// Whether the key is protected by a CryptoExpress card (s390x).
        public var cex = CEX()
        /// Where this was written.
        public var origin = Origin()

        /// Creates a value with every field absent.
        public init() {}
    }

    /// Ways of unlocking that Clevis binds a volume to.
    public struct Clevis: Equatable, Sendable {
        /// One pin with its own configuration, in place of all others.
        public var custom = ClevisCustom()
        /// Whether the TPM unlocks the volume.
        public var tpm2: Bool?
        /// Tang servers, keyed by URL.
        public var tang: [Tang] = []
        /// How many of the ways are needed to unlock; `nil` or 0 is one.
        public var threshold: Int?
        /// Where this was written.
        public var origin = Origin()

        /// Creates a value with every field absent.
        public init() {}
    }

    /// A Clevis pin with a configuration of its own.
    public struct ClevisCustom: Equatable, Sendable {
        /// The pin's name: `tang`, `tpm2`, `sss`.
        public var pin: String?
        /// The pin's configuration, as `clevis luks bind` takes it.
        public var config: String?
        /// Whether unlocking needs the network.
        public var needsNetwork: Bool?
        /// Where this was written.
        public var origin = Origin()

        /// Creates a value with every field absent.
        public init() {}
    }

    /// A Tang server.
    public struct Tang: Equatable, Sendable {
        /// The server's http or https URL.
        public var url = ""
        /// The thumbprint of a key that signs the server's advertisement.
        public var thumbprint: String?
        /// The advertisement as JSON; with it, binding does not ask the server.
        public var advertisement: String?
        /// Where this was written.
        public var origin = Origin()

        /// Creates a value with every field absent.
        public init() {}
    }

    /// The key protection of IBM's CryptoExpress cards.
    public struct CEX: Equatable, Sendable {
        /// Whether it is used.
        public var enabled: Bool?
        /// Where this was written.
        public var origin = Origin()

        /// Creates a value with every field absent.
        public init() {}
    }

    /// A filesystem on a device, or a tag that virtiofs mounts.
    public struct Filesystem: Equatable, Sendable {
        /// The absolute path of the device; for virtiofs the tag.
        public var device = ""
        /// One of `ext4 btrfs xfs swap vfat none virtiofs`; `nil` or empty leaves the device alone.
        public var format: String?
        /// Where it is mounted while provisioning; `nil` or empty means nowhere.
        public var path: String?
        /// The filesystem's label.
        public var label: String?
        /// The filesystem's UUID.
        public var uuid: String?
        /// Further arguments of mkfs.
        public var options: [String] = []
        /// Options of the mount.
        public var mountOptions: [String] = []
        /// Whether the device is wiped before; otherwise a filesystem that matches is kept.
        public var wipeFilesystem: Bool?
        /// Where this was written.
        public var origin = Origin()

        /// Creates a value with every field absent.
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
