// A root below its mount point: every path is resolved as if that root were `/`, and nothing leads out of it.

import CLinux
import FilePlanning
import Glibc
import LinuxSystem
import SystemPackage

/// The target's root, opened when it is first needed, since it may be mounted only after this value was made.
final class RootFolder {
    private let path: FilePath
    private var folder: OpenFolder?

    init(_ path: FilePath) { self.path = path }

    func open() throws(Errno) -> OpenFolder {
        if let folder { return folder }
        let descriptor = Glibc.open(path.string, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Errno(rawValue: errno) }
        let opened = OpenFolder(owning: descriptor)
        folder = opened
        return opened
    }
}

/// The tree of a root; paths in its functions are absolute inside it.
struct TargetTree {
    /// Where the root is mounted.
    let root: FilePath
    private let folder: RootFolder

    /// Makes a value for a root; nothing is opened yet.
    init(_ root: FilePath) {
        self.root = root
        folder = RootFolder(root)
    }

    // MARK: Places

    /// Opens a path of the target; links in it and at its end are followed inside the target.
    func open(_ path: String, _ flags: Int32) throws(Errno) -> Int32 {
        // O_PATH, which only finds a place, takes no flag for reading it.
        let waiting = flags & Int32(FIRSTLIGHT_O_PATH) == 0 ? O_NONBLOCK : 0
        let descriptor = firstlight_open_below(try folder.open().descriptor, path, flags | waiting | O_CLOEXEC)
        guard descriptor >= 0 else { throw Errno(rawValue: -descriptor) }
        return descriptor
    }

    /// The entry at a path whose parent exists; links in its parents are followed.
    func entry(_ path: String) throws(TargetFault) -> TargetEntry {
        let parts = path.split(separator: "/")
        guard let name = parts.last else {
            do throws(Errno) {
                return TargetEntry(folder: try folder.open(), name: ".", path: "/")
            } catch {
                throw .cannot("open", path: "/", error)
            }
        }
        let parent = "/" + parts.dropLast().joined(separator: "/")
        do throws(Errno) {
            let descriptor = try open(parent, Int32(FIRSTLIGHT_O_PATH) | O_DIRECTORY)
            return TargetEntry(folder: OpenFolder(owning: descriptor), name: String(name), path: path)
        } catch {
            throw .cannot("open", path: parent, error)
        }
    }

    /// What is at a path that has no links in its parents.
    func component(at resolved: String) -> PathComponent { (try? entry(resolved))?.component ?? .nothing }

    /// Resolves the links in the parents of a path; absolute in the target.
    func resolve(_ path: String) throws(PathFault) -> String {
        if straightEntry(path) != nil { return path }
        return try resolveParents(of: path) { component(at: $0) }
    }

    /// The entry at a path whose parents all exist and are not links, found in one system call.
    ///
    /// Most paths are like that. `nil` where this one is not, or where its text does not show it.
    func straightEntry(_ path: String) -> TargetEntry? {
        let parts = path.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        guard parts.count > 1, parts[0].isEmpty, let name = parts.last, let folder = try? folder.open(),
            !parts.dropFirst().contains(where: {
                $0.isEmpty || $0.elementsEqual(".".utf8) || $0.elementsEqual("..".utf8)
            })
        else { return nil }
        let parent = "/" + String(decoding: path.utf8[..<name.startIndex], as: UTF8.self)
        let descriptor = firstlight_open_straight(
            folder.descriptor, parent, Int32(FIRSTLIGHT_O_PATH) | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        return TargetEntry(
            folder: OpenFolder(owning: descriptor), name: String(decoding: name, as: UTF8.self), path: path)
    }

    /// Resolves the links in a path, including those at its end.
    func follow(_ path: String) throws(PathFault) -> String {
        var place = try resolve(path)
        for _ in 0..<40 {
            guard case .link(let target) = component(at: place) else { return place }
            let parent = place[..<(place.lastIndex(of: "/") ?? place.startIndex)]
            place = try resolve(target.hasPrefix("/") ? target : "\(parent)/\(target)")
        }
        throw .tooManyLinks(path)
    }

    /// The text of a file of the target; links at its end are followed, and `nil` means that it cannot be read.
    func text(_ path: String) -> String? {
        guard let descriptor = try? open(path, O_RDONLY) else { return nil }
        defer { close(descriptor) }
        return (try? readAll(descriptor)).map { String(decoding: $0, as: UTF8.self) }
    }

    /// The names in a folder of the target, sorted; empty where there is none.
    func names(in path: String) -> [String] {
        guard let descriptor = try? open(path, O_RDONLY | O_DIRECTORY) else { return [] }
        return Files.names(inOwned: descriptor)
    }

    /// The links that enable units and the folders for them, with whatever else lies beside; each with its inode.
    func enablements() -> [String: ino_t] {
        let all = names(in: FilesPlan.unitFolder).map { "\(FilesPlan.unitFolder)/\($0)" }
        let links = all.filter { path in [".wants", ".requires", ".upholds"].contains { path.hasSuffix($0) } }
            .flatMap { folder in names(in: folder).map { "\(folder)/\($0)" } }
        let inodes = (all + links).map { ($0, (try? entry($0))?.status?.st_ino ?? 0) }
        return Dictionary(inodes) { first, _ in first }
    }

    /// Makes missing folders above a resolved path with mode 0755, and returns the topmost new one.
    func makeParents(of resolved: String, made: (String) -> Void = { _ in }) throws(TargetFault) -> String? {
        guard let slash = resolved.lastIndex(of: "/"), slash > resolved.startIndex else { return nil }
        let parent = String(resolved[..<slash])
        if case .folder = component(at: parent) { return nil }
        let topmost = try makeParents(of: parent, made: made)
        let folder = try entry(parent)
        try folder.makeFolder(mode: 0o755)
        made(parent)
        try folder.setMode(0o755)
        return topmost ?? parent
    }

    // MARK: Small files

    /// Whether something is at a path, even a dangling link; links in its parents are followed.
    func has(_ path: String) -> Bool { (try? entry(path))?.status != nil }

    /// The target of the link at a path; `nil` where there is no link.
    func link(at path: String) -> String? { (try? entry(path))?.linkTarget }

    /// Where a path leads when links at its end are followed too; `nil` where nothing is there.
    func destination(of path: String) -> String? {
        guard let place = try? follow(path), has(place) else { return nil }
        return place
    }

    /// Replaces what is at a path by a file of root's, in one step; a link at the end is replaced, not followed.
    ///
    /// - Parameters:
    ///   - path: Absolute in the target.
    ///   - bytes: The content.
    ///   - mode: The mode of the file.
    ///   - folderMode: The mode of the file's folder if that is missing; missing folders above it get 0755.
    /// - Throws: ``TargetFault/cannot(_:path:_:)``.
    func replaceFile(
        _ path: String, with bytes: [UInt8], mode: UInt32 = 0o644, folderMode: UInt32 = 0o755
    ) throws(TargetFault) {
        let resolved: String
        do throws(PathFault) {
            resolved = try resolve(path)
        } catch {
            switch error {
            case .blocked: throw .cannot("write", path: path, .notDirectory)
            case .tooManyLinks: throw .cannot("write", path: path, .tooManySymbolicLinkLevels)
            }
        }
        var isNew = false
        let folder = resolved[..<(resolved.lastIndex(of: "/") ?? resolved.startIndex)]
        _ = try makeParents(of: resolved) { isNew = isNew || $0 == folder }
        if isNew { try entry(String(folder)).setMode(folderMode) }
        try entry(resolved).replace(bytes, mode: mode)
    }
}
