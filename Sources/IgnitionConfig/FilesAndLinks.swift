// storage.files, storage.directories and storage.links.

extension IgnitionConfig {
    /// A file to write.
    public struct File: Equatable, Sendable {
        /// The absolute path in the target.
        public var path = ""
        /// Whether whatever is at the path is replaced.
        public var overwrite: Bool?
        /// The owner.
        public var user = Owner()
        /// The owning group.
        public var group = Owner()
        /// What the file holds; without a source, an existing file keeps its content.
        public var contents = Resource()
        /// What is appended, in this order.
        public var append: [Resource] = []
        /// The LUKS volume whose key the file is to hold.
        ///
        /// A config cannot say so; `contents` is empty where it is set.
        public var volumeKey: String?
        /// Permission bits, 0 to 0o7777; those above 0o777 are dropped where the spec is older than 3.6.0.
        public var mode: Int?
        /// Where this was written.
        public var origin = Origin()

        /// Creates a value with every field absent.
        public init() {}
    }

    /// A directory to make.
    public struct Directory: Equatable, Sendable {
        /// Absolute, in the target.
        public var path = ""
        /// Whether whatever is at the path is replaced.
        public var overwrite: Bool?
        /// The owner.
        public var user = Owner()
        /// The owning group.
        public var group = Owner()
        /// Permission bits, with the rules of ``File/mode``.
        public var mode: Int?
        /// Where this was written.
        public var origin = Origin()

        /// Creates a value with every field absent.
        public init() {}
    }

    /// A symbolic or hard link to make.
    public struct Link: Equatable, Sendable {
        /// Absolute, in the target.
        public var path = ""
        /// Whether whatever is at the path is replaced.
        public var overwrite: Bool?
        /// The owner.
        public var user = Owner()
        /// The owning group.
        public var group = Owner()
        /// What the link points to.
        public var target: String?
        /// Whether this is a hard link.
        public var hard: Bool?
        /// Where this was written.
        public var origin = Origin()

        /// Creates a value with every field absent.
        public init() {}
    }

    /// A user or a group, by number or by name.
    public struct Owner: Equatable, Sendable {
        /// The number; not given together with a name.
        public var id: Int?
        /// The name, looked up in the target's account files.
        public var name: String?
        /// Where this was written.
        public var origin = Origin()

        /// Creates a value with every field absent.
        public init() {}

        /// Whether a number or a name is given.
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
