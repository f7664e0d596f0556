// ImageMaking: makes root images from folders and container images, ISOs, network boot folders, UKIs.
//
// What a root consists of is a value first. Layers change the value, and only the value is written out: however hostile
// a layer is, its names lead nowhere but into this tree.

import SystemPackage

/// The files of a root filesystem, each with its owner, times and extended attributes; their data stays where it is.
public struct RootTree: Sendable {
    /// The bytes of one component of a path; not all of them are UTF-8.
    public typealias Name = [UInt8]

    /// Where a file's data is.
    public enum Source: Equatable, Sendable {
        /// `count` bytes from `offset` of that file on.
        case file(FilePath, offset: UInt64, count: UInt64)
        case bytes([UInt8])

        /// The length of the data in bytes.
        public var count: UInt64 {
            switch self {
            case .file(_, _, let count): count
            case .bytes(let bytes): UInt64(bytes.count)
            }
        }
    }

    /// What kind of file a node is, with what only that kind has.
    public enum Kind: Equatable, Sendable {
        case folder
        case file(Source)
        /// A symbolic link and what it says.
        case link([UInt8])
        case device(isBlock: Bool, major: UInt32, minor: UInt32)
        case pipe

        var isFolder: Bool { self == .folder }
    }

    /// What the filesystem knows of a file besides its kind and its names.
    public typealias Attributes = TreeAttributes

    /// What is at a place, or at several where it has several names.
    public struct Node: Sendable {
        /// What it is.
        public var kind: Kind
        /// Its owner, permissions, time and extended attributes.
        public var attributes: Attributes
        /// Of a folder: the numbers of the nodes in it.
        public internal(set) var children: [Name: Int] = [:]
    }

    /// Why something cannot be put into the tree.
    public enum Failure: Error, Equatable, CustomStringConvertible {
        case notFolder(String)
        case linksWithoutEnd(String)
        case missing(String)
        case noName(String)
        case linkToFolder(String)

        /// What went wrong, for a message.
        public var description: String {
            switch self {
            case .notFolder(let path): "\(path) leads through something that is not a folder"
            case .linksWithoutEnd(let path): "\(path) leads through links that go round in circles"
            case .missing(let path): "a hard link leads to \(path), which is not there"
            case .noName(let path): "\"\(path)\" names nothing in a folder"
            case .linkToFolder(let path): "a hard link leads to \(path), which is a folder"
            }
        }
    }

    /// The root folder's number.
    static let root = 0
    /// As many links as Linux follows in one path.
    private static let mostLinks = 40

    /// All nodes by their numbers.
    ///
    /// A node that is no longer in any folder stays here, and is never seen again.
    public private(set) var nodes: [Node]

    /// Creates a tree that has only its root folder, which is root's and of mode 0755.
    public init() {
        nodes = [Node(kind: .folder, attributes: Attributes(permissions: 0o755))]
    }

    /// The root folder's own attributes.
    public var rootAttributes: Attributes {
        get { nodes[Self.root].attributes }
        set { nodes[Self.root].attributes = newValue }
    }

    /// The components of a path, without `.` and empty ones.
    static func components(of path: some Collection<UInt8>) -> [Name] {
        Array(path).split(separator: UInt8(ascii: "/")).map { Array($0) }.filter { $0 != [UInt8(ascii: ".")] }
    }

    /// The number of the folder at `path`, looked up as if the tree were `/`.
    ///
    /// Links are followed inside of the tree, and `..` does not lead above it. `creates` makes the folders that are
    /// missing; without it the result is then `nil`. Throws where something on the way is not a folder, or links have no
    /// end.
    mutating func folder(at path: [Name], creating creates: Bool) throws(Failure) -> Int? {
        var pending = Array(path.reversed())
        var trail = [Self.root]
        var links = 0
        while let name = pending.popLast() {
            if name == [UInt8(ascii: "."), UInt8(ascii: ".")] {
                if trail.count > 1 { trail.removeLast() }
                continue
            }
            let here = trail[trail.count - 1]
            guard let child = nodes[here].children[name] else {
                guard creates else { return nil }
                let node = Node(kind: .folder, attributes: Attributes(permissions: 0o755))
                trail.append(attach(node, as: name, in: here))
                continue
            }
            switch nodes[child].kind {
            case .folder: trail.append(child)
            case .link(let target):
                links += 1
                guard links <= Self.mostLinks else { throw .linksWithoutEnd(text(path)) }
                if target.first == UInt8(ascii: "/") { trail = [Self.root] }
                pending.append(contentsOf: Self.components(of: target).reversed())
            case .file, .device, .pipe: throw .notFolder(text(path))
            }
        }
        return trail.last
    }

    private mutating func attach(_ node: Node, as name: Name, in folder: Int) -> Int {
        nodes.append(node)
        nodes[folder].children[name] = nodes.count - 1
        return nodes.count - 1
    }

    /// What is at `path`, the last component not followed; `nil` where nothing is.
    func find(_ path: some Collection<UInt8>) -> Int? {
        var copy = self
        let components = Self.components(of: path)
        guard let name = components.last else { return Self.root }
        guard let folder = try? copy.folder(at: components.dropLast(), creating: false) else { return nil }
        return nodes[folder].children[name]
    }

    /// What is at a path, the last component not followed; `nil` where nothing is.
    public subscript(path: String) -> Node? { find(Array(path.utf8)).map { nodes[$0] } }

    /// Puts something at `path`: a folder over a folder changes its attributes alone, everything else takes the place.
    mutating func put(_ kind: Kind, _ attributes: Attributes, at path: some Collection<UInt8>) throws(Failure) {
        let components = Self.components(of: path)
        guard let name = components.last else {
            guard kind.isFolder else { throw .noName(text(components)) }
            rootAttributes = attributes
            return
        }
        guard name != [UInt8(ascii: "."), UInt8(ascii: ".")] else {
            // This entry names a folder by way of a folder in it; the folder's own entry already says everything.
            if kind.isFolder { return }
            throw .noName(text(components))
        }
        guard let folder = try folder(at: components.dropLast(), creating: true) else { return }
        if kind.isFolder, let there = nodes[folder].children[name], nodes[there].kind.isFolder {
            nodes[there].attributes = attributes
            return
        }
        _ = attach(Node(kind: kind, attributes: attributes), as: name, in: folder)
    }

    /// Gives what is at `target` the further name `path`.
    mutating func link(_ path: some Collection<UInt8>, to target: some Collection<UInt8>) throws(Failure) {
        let old = Self.components(of: target)
        let new = Self.components(of: path)
        guard let name = new.last, name != [UInt8(ascii: "."), UInt8(ascii: ".")] else { throw .noName(text(new)) }
        guard let oldName = old.last, let oldFolder = try folder(at: old.dropLast(), creating: false),
            let node = nodes[oldFolder].children[oldName]
        else { throw .missing(text(old)) }
        guard !nodes[node].kind.isFolder else { throw .linkToFolder(text(old)) }
        guard let folder = try folder(at: new.dropLast(), creating: true) else { return }
        nodes[folder].children[name] = node
    }

    /// Takes away what is at `path`, a folder with all it holds; whether something was there.
    @discardableResult
    mutating func remove(_ path: some Collection<UInt8>) throws(Failure) -> Bool {
        let components = Self.components(of: path)
        guard let name = components.last, let folder = try folder(at: components.dropLast(), creating: false) else {
            return false
        }
        return nodes[folder].children.removeValue(forKey: name) != nil
    }

    /// Takes away what a whiteout names, or all that is in the folder that it names.
    ///
    /// No link on the way is followed, because it is of the layers below: the whiteout is about a folder that takes the
    /// link's place. Below it, or below a file, there is nothing to hide.
    mutating func heed(_ whiteout: Whiteout) {
        switch whiteout {
        case .opaque(let path):
            if let folder = plainFolder(at: Self.components(of: path)) { nodes[folder].children = [:] }
        case .name(let path):
            let components = Self.components(of: path)
            guard let name = components.last, let folder = plainFolder(at: components.dropLast()) else { return }
            nodes[folder].children[name] = nil
        case .other: break
        }
    }

    /// The number of the folder at `path`; `nil` where a component is missing, a link or a file.
    private func plainFolder(at path: [Name]) -> Int? {
        var trail = [Self.root]
        for name in path {
            if name == [UInt8(ascii: "."), UInt8(ascii: ".")] {
                if trail.count > 1 { trail.removeLast() }
                continue
            }
            let here = trail[trail.count - 1]
            guard let child = nodes[here].children[name], nodes[child].kind.isFolder else { return nil }
            trail.append(child)
        }
        return trail.last
    }

    /// Adds all of another tree below `path`; what is there already and has the same name gives way to it.
    mutating func add(_ other: RootTree, at path: String) throws(Failure) {
        for entry in other.entries {
            let place = Array(path.utf8) + [UInt8(ascii: "/")] + entry.path
            if let first = entry.firstPath {
                try link(place, to: Array(path.utf8) + [UInt8(ascii: "/")] + first)
            } else {
                try put(other.nodes[entry.node].kind, other.nodes[entry.node].attributes, at: place)
            }
        }
    }
}

extension RootTree {
    /// A name in the tree.
    public struct Entry: Equatable, Sendable {
        /// Without a leading slash.
        public var path: [UInt8]
        /// The number of the node that has this name.
        public var node: Int
        /// Of a further name of a file: the path at which the file came first.
        public var firstPath: [UInt8]?

        /// The path as text; bytes that are not UTF-8 are replaced.
        public var pathText: String { String(decoding: path, as: UTF8.self) }
    }

    /// Everything below the root, each folder before what it holds, by the bytes of their names.
    public var entries: [Entry] {
        var entries: [Entry] = []
        var first: [Int: [UInt8]] = [:]
        var pending: [(path: [UInt8], node: Int)] = sortedChildren(of: Self.root, below: [])
        while let (path, node) = pending.popLast() {
            entries.append(Entry(path: path, node: node, firstPath: first[node]))
            if nodes[node].kind.isFolder {
                pending += sortedChildren(of: node, below: path + [UInt8(ascii: "/")])
            } else if first[node] == nil {
                first[node] = path
            }
        }
        return entries
    }

    /// The last one first, as they are taken off the end.
    private func sortedChildren(of folder: Int, below prefix: [UInt8]) -> [(path: [UInt8], node: Int)] {
        nodes[folder].children.sorted { $1.key.lexicographicallyPrecedes($0.key) }.map { (prefix + $0.key, $0.value) }
    }

    /// The names in a folder, sorted; none where there is no such folder.
    func names(in path: String) -> [String] {
        var copy = self
        guard let folder = try? copy.folder(at: Self.components(of: path.utf8), creating: false) else { return [] }
        return nodes[folder].children.keys.map { String(decoding: $0, as: UTF8.self) }.sorted()
    }
}

private func text(_ components: some Collection<[UInt8]>) -> String {
    String(decoding: Array(components.joined(separator: [UInt8(ascii: "/")])), as: UTF8.self)
}
