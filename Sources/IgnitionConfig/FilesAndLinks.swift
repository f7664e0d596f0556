// storage.files, storage.directories and storage.links.

extension IgnitionConfig {
    public struct File: Equatable, Sendable {
        /// Absolute, in the target.
        public var path = ""
        public var overwrite: Bool?
        public var user = Owner()
        public var group = Owner()
        public var contents = Resource()
        public var append: [Resource] = []
        /// The LUKS volume whose key the file is to hold; no config says so, and `contents` is then empty.
        public var volumeKey: String?
        /// Permission bits, 0 to 0o7777; those above 0o777 are dropped where the spec is older than 3.6.0.
        public var mode: Int?
        public var origin = Origin()

        public init() {}
    }

    public struct Directory: Equatable, Sendable {
        public var path = ""
        public var overwrite: Bool?
        public var user = Owner()
        public var group = Owner()
        /// As a file's.
        public var mode: Int?
        public var origin = Origin()

        public init() {}
    }

    public struct Link: Equatable, Sendable {
        public var path = ""
        public var overwrite: Bool?
        public var user = Owner()
        public var group = Owner()
        public var target: String?
        public var hard: Bool?
        public var origin = Origin()

        public init() {}
    }

    /// A user or a group, by number or by name.
    public struct Owner: Equatable, Sendable {
        public var id: Int?
        public var name: String?
        public var origin = Origin()

        public init() {}

        public var isGiven: Bool { id != nil || !(name ?? "").isEmpty }
    }
}

extension IgnitionConfig.File: ConfigObject {
    mutating func describe(to fields: any FieldVisitor) {
        fields.key("path", &path)
        fields.bool("overwrite", &overwrite)
        fields.object("user", &user)
        fields.object("group", &group)
        fields.object("contents", &contents)
        fields.list("append", &append, .appended)
        fields.mode("mode", &mode)
    }
}

extension IgnitionConfig.Directory: ConfigObject {
    mutating func describe(to fields: any FieldVisitor) {
        fields.key("path", &path)
        fields.bool("overwrite", &overwrite)
        fields.object("user", &user)
        fields.object("group", &group)
        fields.mode("mode", &mode)
    }
}

extension IgnitionConfig.Link: ConfigObject {
    mutating func describe(to fields: any FieldVisitor) {
        fields.key("path", &path)
        fields.bool("overwrite", &overwrite)
        fields.object("user", &user)
        fields.object("group", &group)
        fields.string("target", &target)
        fields.bool("hard", &hard)
    }
}

extension IgnitionConfig.Owner: ConfigObject {
    mutating func describe(to fields: any FieldVisitor) {
        fields.integer("id", &id)
        fields.string("name", &name)
    }
}
