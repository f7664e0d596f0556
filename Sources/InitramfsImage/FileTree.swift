// The content of an image before it is packed.

import SystemPackage

/// A file, folder or link of the image.
struct Member: Equatable {
    enum Content: Equatable {
        case folder
        case link(String)
        case bytes([UInt8])
        /// A copy of this file of the host.
        case copy(FilePath)
    }

    /// The path without a leading slash.
    var path: String
    var content: Content
    var permissions: UInt32
}

/// Members by path; a later one replaces an earlier one of the same path.
struct FileTree: Equatable {
    private var byPath: [String: Member] = [:]

    /// All members, each folder before its content; the order depends only on the paths.
    var members: [Member] { byPath.values.sorted { $0.path.utf8.lexicographicallyPrecedes($1.path.utf8) } }

    subscript(path: String) -> Member? { byPath[path] }

    mutating func addFolder(_ path: String) { add(Member(path: path, content: .folder, permissions: 0o755)) }

    mutating func addLink(_ path: String, to target: String) {
        add(Member(path: path, content: .link(target), permissions: 0o777))
    }

    mutating func addText(_ path: String, _ text: String, permissions: UInt32 = 0o644) {
        addBytes(path, Array(text.utf8), permissions: permissions)
    }

    mutating func addBytes(_ path: String, _ bytes: [UInt8], permissions: UInt32 = 0o644) {
        add(Member(path: path, content: .bytes(bytes), permissions: permissions))
    }

    mutating func addCopy(_ path: String, of file: FilePath, permissions: UInt32 = 0o644) {
        add(Member(path: path, content: .copy(file), permissions: permissions))
    }

    /// Why a tree cannot be an image.
    enum Failure: Error, Equatable, CustomStringConvertible {
        /// A member below a link would end up where the link leads, on this host or in the machine.
        case notFolder(String, holds: String)

        var description: String {
            switch self {
            case .notFolder(let path, let member): "/\(member) cannot be in the image: /\(path) is not a folder there"
            }
        }
    }

    /// Throws where a member stands below one that is not a folder; `place` is the tree's own path in the image.
    func check(at place: String = "") throws(Failure) {
        for member in members {
            guard let slash = member.path.lastIndex(of: "/") else { continue }
            let parent = String(member.path[..<slash])
            if byPath[parent]?.content != .folder {
                throw .notFolder(place + parent, holds: place + member.path)
            }
        }
    }

    /// Adds a member and the folders above it.
    mutating func add(_ member: Member) {
        var parent = member.path[...]
        while let slash = parent.lastIndex(of: "/") {
            parent = parent[..<slash]
            let path = String(parent)
            if byPath[path] == nil { byPath[path] = Member(path: path, content: .folder, permissions: 0o755) }
        }
        byPath[member.path] = member
    }

    /// Adds the members of another tree below a folder.
    mutating func add(_ other: FileTree, below folder: String) {
        for var member in other.members {
            member.path = "\(folder)/\(member.path)"
            add(member)
        }
    }

    /// This tree and the members of another one, which replace those of the same path.
    func adding(_ other: FileTree) -> FileTree {
        var whole = self
        whole.byPath.merge(other.byPath) { _, new in new }
        return whole
    }

    /// The members at whose paths another tree has nothing.
    func without(_ other: FileTree) -> FileTree {
        var rest = self
        rest.byPath = byPath.filter { other.byPath[$0.key] == nil }
        return rest
    }
}
