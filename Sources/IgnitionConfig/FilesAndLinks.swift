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
    init(from reader: inout ObjectReader) {
        path = reader.string("path") ?? ""
        overwrite = reader.bool("overwrite")
        user = reader.object("user") ?? .init()
        group = reader.object("group") ?? .init()
        contents = reader.object("contents") ?? .init()
        append = reader.list("append")
        mode = reader.mode("mode")
        origin = reader.origin
    }
}

extension IgnitionConfig.Directory: ConfigObject {
    init(from reader: inout ObjectReader) {
        path = reader.string("path") ?? ""
        overwrite = reader.bool("overwrite")
        user = reader.object("user") ?? .init()
        group = reader.object("group") ?? .init()
        mode = reader.mode("mode")
        origin = reader.origin
    }
}

extension IgnitionConfig.Link: ConfigObject {
    init(from reader: inout ObjectReader) {
        path = reader.string("path") ?? ""
        overwrite = reader.bool("overwrite")
        user = reader.object("user") ?? .init()
        group = reader.object("group") ?? .init()
        target = reader.string("target")
        hard = reader.bool("hard")
        origin = reader.origin
    }
}

extension IgnitionConfig.Owner: ConfigObject {
    init(from reader: inout ObjectReader) {
        id = reader.integer("id")
        name = reader.string("name")
        origin = reader.origin
    }
}
