// The files that a Butane config may name: below one folder, whatever links stand in it.

import Butane
import Glibc
import IgnitionConfig
import LinuxSystem
import SystemPackage

extension LocalFiles {
    /// The host's files, as far as a config may name them.
    ///
    /// `files` is the folder of `-d`; without one, or with an empty path, no file can be named. `config` is the config,
    /// whose folder holds what it includes; `nil` stands for standard input, and what it includes is then in `files`.
    static func onHost(files: FilePath?, config: FilePath?) -> LocalFiles {
        let files = files.flatMap { $0.isEmpty ? nil : $0 }
        let folder = config.map { $0.removingLastComponent() }.map { $0.isEmpty ? FilePath(".") : $0 } ?? files
        return LocalFiles(
            hasFiles: files != nil,
            read: { path throws(LocalFiles.Fault) in try ConfinedFolder(files).bytes(path) },
            walk: { path throws(LocalFiles.Fault) in try ConfinedFolder(files).entries(path) },
            include: { path throws(LocalFiles.Fault) in
                guard let folder else { throw .system("a config from standard input includes files below -d only") }
                return try ConfinedFolder(folder).bytes(path)
            })
    }
}

/// A folder that no path leads out of.
private struct ConfinedFolder {
    private let root: FilePath

    init(_ root: FilePath?) { self.root = root ?? FilePath(".") }

    /// A path below the folder, by its text.
    private func inside(_ path: String) throws(LocalFiles.Fault) -> String {
        let plain = plainPath("./" + path)
        guard plain != "..", !plain.hasPrefix("../") else { throw .escapes }
        return plain
    }

    private func shown(_ path: String) -> String { plainPath(root.string + "/" + path) }

    func bytes(_ path: String) throws(LocalFiles.Fault) -> [UInt8] {
        let path = try inside(path)
        func fault(_ reason: Errno) -> LocalFiles.Fault {
            .system("\(reason == .isDirectory ? "read" : "open") \(shown(path)): \(lowered(reason))")
        }
        guard let top = Files.resolved(root), let place = Files.resolved(FilePath(shown(path))) else {
            throw fault(Errno(rawValue: errno))
        }
        guard place.starts(with: top) else { throw .escapes }
        // This path has no links: the kernel would look up one that leads out as if it led into the folder, where there
        // may be another file of that name. It is confined all the same, as somebody may make links meanwhile.
        let names = place.components.dropFirst(top.components.count).map(\.string)
        do throws(FileFault) {
            return try Files.read((["."] + names).joined(separator: "/"), inside: top)
        } catch { throw fault(error.reason) }
    }

    func entries(_ path: String) throws(LocalFiles.Fault) -> [LocalFiles.TreeEntry] {
        let path = try inside(path)
        guard let status = Files.status(FilePath(shown(path))) else {
            throw .system("stat \(shown(path)): \(lowered(Errno(rawValue: errno)))")
        }
        if isOutside(path) { throw .escapes }
        guard status.st_mode & S_IFMT == S_IFDIR else { throw .notDirectory }
        var entries: [LocalFiles.TreeEntry] = []
        try add(".", below: FilePath(shown(path)), to: &entries)
        return entries
    }

    private func add(
        _ name: String, below top: FilePath, to entries: inout [LocalFiles.TreeEntry]
    ) throws(LocalFiles.Fault) {
        let place = name == "." ? top : top.appending(name)
        guard let status = Files.status(place, followingLinks: name == ".") else {
            throw .system("lstat \(place): \(lowered(Errno(rawValue: errno)))")
        }
        switch status.st_mode & S_IFMT {
        case S_IFDIR:
            entries.append(.init(path: name, kind: .directory))
            let children: [String]
            do throws(FileFault) { children = try Files.list(place) } catch {
                throw .system("open \(place): \(lowered(error.reason))")
            }
            for child in children.sorted(by: { $0.utf8.lexicographicallyPrecedes($1.utf8) }) {
                try add(name == "." ? child : "\(name)/\(child)", below: top, to: &entries)
            }
        case S_IFREG:
            entries.append(.init(path: name, kind: .file(isExecutable: status.st_mode & 0o111 != 0)))
        case S_IFLNK: entries.append(.init(path: name, kind: .link(target: Files.linkTarget(place) ?? "")))
        default: entries.append(.init(path: name, kind: .other))
        }
    }

    private func isOutside(_ path: String) -> Bool {
        guard let top = Files.resolved(root), let place = Files.resolved(FilePath(shown(path))) else { return false }
        return !place.starts(with: top)
    }
}

/// The system's words as other programs print them, in lower case.
func lowered(_ error: Errno) -> String {
    let text = error.description
    return text.prefix(1).lowercased() + text.dropFirst()
}
