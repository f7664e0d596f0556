// Additional files for the image: `--include SRC:DEST`.

import Glibc
import LinuxSystem
import SystemPackage

/// A file or folder of the host, and its absolute path in the initramfs.
public struct Inclusion: Equatable, Sendable {
    /// The file or folder of the host.
    public var source: FilePath
    /// The absolute path in the initramfs.
    public var destination: FilePath

    /// Why something cannot be included.
    public enum Failure: Error, Equatable, CustomStringConvertible {
        case malformed(String)
        case unreadable(FilePath)
        /// The image has a /usr of its own.
        case notFolder(FilePath)

        /// What went wrong, for a message.
        public var description: String {
            switch self {
            case .malformed(let text): "\"\(text)\" is not SOURCE:DESTINATION with an absolute destination"
            case .unreadable(let file): "\(file) is neither a file, a folder nor a link"
            case .notFolder(let file): "\(file) is not a folder, and /usr of the image must be one"
            }
        }
    }

    /// Reads `SOURCE:DESTINATION`, split at the last colon.
    public init(parsing text: String) throws(Failure) {
        guard let colon = text.lastIndex(of: ":") else { throw .malformed(text) }
        source = FilePath(String(text[..<colon]))
        destination = FilePath(String(text[text.index(after: colon)...])).lexicallyNormalized()
        guard !source.isEmpty, destination.isAbsolute, !destination.components.isEmpty else { throw .malformed(text) }
    }

    /// Adds the file or folder; programs bring their shared libraries.
    ///
    /// What is below /usr goes into the squashfs.
    func add(to root: inout FileTree, and usr: inout FileTree) throws {
        var programs: [FilePath] = []
        try add(source, at: destination.removingRoot().string, to: &root, and: &usr, programs: &programs)
        for (place, file) in try SharedLibraries().needed(by: programs) {
            usr.addCopy(place, of: file, permissions: 0o755)
        }
    }

    private func add(
        _ file: FilePath, at path: String, to root: inout FileTree, and usr: inout FileTree, programs: inout [FilePath]
    ) throws {
        // These folders are links into /usr in the image.
        let first = path.prefix { $0 != "/" }
        if ["bin", "sbin", "lib", "lib64"].contains(first) {
            return try add(file, at: "usr/\(path)", to: &root, and: &usr, programs: &programs)
        }
        // A source that is a link is followed; a link inside a folder stays a link.
        guard let status = Files.status(file, followingLinks: file == source) else {
            throw FileFault("read", file, Errno(rawValue: errno))
        }
        let content: Member.Content
        switch status.st_mode & FileType.mask {
        case FileType.folder: content = .folder
        case FileType.link: content = .link(Files.linkTarget(file) ?? "")
        case FileType.regular:
            content = .copy(file)
            if status.st_mode & 0o111 != 0 { programs.append(file) }
        default: throw Failure.unreadable(file)
        }
        let permissions = UInt32(status.st_mode & 0o7777)
        if path.hasPrefix("usr/") {
            usr.add(Member(path: String(path.dropFirst(4)), content: content, permissions: permissions))
        } else if path != "usr" {
            root.add(Member(path: path, content: content, permissions: permissions))
        } else if content != .folder {
            throw Failure.notFolder(file)
        }
        guard content == .folder else { return }
        for name in try Files.list(file) {
            try add(file.appending(name), at: "\(path)/\(name)", to: &root, and: &usr, programs: &programs)
        }
    }
}

/// The type bits of `st_mode`.
private enum FileType {
    static let mask: UInt32 = 0o170000
    static let folder: UInt32 = 0o040000
    static let regular: UInt32 = 0o100000
    static let link: UInt32 = 0o120000
}
