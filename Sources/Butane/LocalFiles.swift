// What a translation needs of the world, handed in: files below one folder.

/// The files that a config may name.
public struct LocalFiles: Sendable {
    /// An entry of a tree of files.
    public struct TreeEntry: Equatable, Sendable {
        /// What an entry is.
        public enum Kind: Equatable, Sendable {
            case file(isExecutable: Bool)
            case directory
            case link(target: String)
            case other
        }

        /// Relative to the tree's root, which itself is `.`.
        public var path: String
        /// What the entry is.
        public var kind: Kind

        /// Creates an entry from its path and kind.
        public init(path: String, kind: Kind) {
            self.path = path
            self.kind = kind
        }
    }

    /// Why a file could not be had.
    public enum Fault: Error, Equatable, Sendable {
        /// The path leaves the folder.
        case escapes
        case notDirectory
        /// In the system's words: `open files/x: no such file or directory`.
        case system(String)
    }

    /// Whether there is a folder for files.
    public var hasFiles: Bool
    /// The bytes of a file below the folder.
    public var read: @Sendable (_ path: String) throws(Fault) -> [UInt8]
    /// What is in a folder below the folder, itself first, in the order of names, each folder before what it holds.
    public var walk: @Sendable (_ path: String) throws(Fault) -> [TreeEntry]
    /// The bytes of an included config, by its path from the config that was given.
    public var include: @Sendable (_ path: String) throws(Fault) -> [UInt8]

    /// Creates the files from their functions.
    public init(
        hasFiles: Bool, read: @escaping @Sendable (String) throws(Fault) -> [UInt8],
        walk: @escaping @Sendable (String) throws(Fault) -> [TreeEntry],
        include: @escaping @Sendable (String) throws(Fault) -> [UInt8]
    ) {
        self.hasFiles = hasFiles
        self.read = read
        self.walk = walk
        self.include = include
    }
}

extension LocalFiles.Fault {
    var message: String {
        switch self {
        case .escapes: Message.escapes
        case .notDirectory: Message.treeRoot
        case .system(let text): text
        }
    }
}
