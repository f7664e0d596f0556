// iso network embed, extract, remove; pxe network wrap, unwrap.

import BootMedia
import Glibc
import LinuxSystem
import Reporting
import SystemPackage

/// `iso network embed`: puts keyfiles into an ISO, in place of those that are there.
public struct EmbedNetwork: Sendable {
    /// The ISO's path.
    public var image: String
    /// The keyfiles' paths.
    public var keyfiles: [String]
    /// Replaces keyfiles that are there.
    public var force = false
    /// Where the changed ISO goes.
    public var output = ImageOutput.inPlace

    /// Creates the command for an ISO and the keyfiles that go into it.
    public init(image: String, keyfiles: [String]) {
        self.image = image
        self.keyfiles = keyfiles
    }

    /// Carries it out; what it throws is told by its steps and its cause.
    public func run(_ streams: Streams) throws {
        try output.change(image, streams) { iso in
            guard try iso.features.liveNetwork else {
                throw MediaFault("This OS image does not support customizing network settings.")
            }
            guard force || iso.initrd.files.network.isEmpty else {
                throw MediaFault("This ISO image already has embedded network settings; use -f to force.")
            }
            iso.initrd.files.remove(matching: .network)
            try embedKeyfiles(keyfiles, in: &iso.initrd.files, read: contents(of:), tell: streams.tell)
        }
    }
}

/// `iso network extract`: writes the keyfiles of an ISO into a folder, or prints them.
public struct ExtractNetwork: Sendable {
    /// The ISO's path.
    public var image: String
    /// `nil` is standard output.
    public var folder: String?

    /// Creates the command for an ISO.
    public init(image: String) { self.image = image }

    /// Carries it out; what it throws is told by its steps and its cause.
    public func run(_ streams: Streams) throws {
        let iso = try LiveISO(reading: try MediaFile(image).source)
        try extractKeyfiles(iso.initrd.files, to: folder, streams)
    }
}

/// `iso network remove`: takes the keyfiles out of an ISO.
public struct RemoveNetwork: Sendable {
    /// The ISO's path.
    public var image: String
    /// Where the changed ISO goes.
    public var output = ImageOutput.inPlace

    /// Creates the command for an ISO.
    public init(image: String) { self.image = image }

    /// Carries it out; what it throws is told by its steps and its cause.
    public func run(_ streams: Streams) throws {
        try output.change(image, streams) { iso in iso.initrd.files.remove(matching: .network) }
    }
}

/// `pxe network wrap`: makes an initrd that holds keyfiles.
public struct WrapNetwork: Sendable {
    /// The keyfiles' paths.
    public var keyfiles: [String]
    /// Where to write; what is there is replaced.
    ///
    /// `nil` is standard output.
    public var output: String?

    /// Creates the command for keyfiles.
    public init(keyfiles: [String]) { self.keyfiles = keyfiles }

    /// Carries it out; what it throws is told by its steps and its cause.
    public func run(_ streams: Streams) throws {
        if output == nil { try streams.refuseTerminal() }
        var files = ArchiveFiles()
        try embedKeyfiles(keyfiles, in: &files, read: contents(of:), tell: streams.tell)
        try writeInitrd(files, to: output, streams)
    }
}

/// `pxe network unwrap`: writes the keyfiles of an initrd into a folder, or prints them.
public struct UnwrapNetwork: Sendable {
    /// `nil` is standard input.
    public var initrd: String?
    /// `nil` is standard output.
    public var folder: String?

    /// Creates the command for standard input and output.
    public init() {}

    /// Carries it out; what it throws is told by its steps and its cause.
    public func run(_ streams: Streams) throws {
        try extractKeyfiles(try readInitrd(initrd, keeping: .network, streams), to: folder, streams)
    }
}

private func extractKeyfiles(_ files: ArchiveFiles, to folder: String?, _ streams: Streams) throws {
    let keyfiles = files.network
    guard !keyfiles.isEmpty else { throw MediaFault("No embedded network settings.") }
    if let folder { try makeFolder(folder) }
    for (index, member) in keyfiles.names.enumerated() {
        let (name, contents) = (try baseName(member), keyfiles[member] ?? [])
        if let folder {
            let path = joined(folder, name)
            // It may hold a password.
            try writeNewFile(contents, to: path, mode: 0o600)
            try streams.print(path)
        } else {
            if index > 0 { try streams.print("") }
            try streams.print("########## \(name) ##########")
            try streams.write(contents)
        }
    }
}

// MARK: What several commands do with files

/// Folder and name as `Path` joins them: an empty folder is the working directory.
func joined(_ folder: String, _ name: String) -> String {
    folder.isEmpty || folder.hasSuffix("/") ? folder + name : "\(folder)/\(name)"
}

/// Makes a folder and those above it; one that is there is fine.
func makeFolder(_ path: String) throws {
    try step("creating \(path)") {
        try SystemFault.onFiles { () throws(FileFault) in try Files.makeFolder(FilePath(path)) }
        if !path.isEmpty, !Files.isFolder(FilePath(path)) { throw SystemFault(.fileExists) }
    }
}

/// Writes a file that must not be there; one that cannot be written whole does not stay.
func writeNewFile(_ bytes: [UInt8], to path: String, mode: mode_t) throws {
    let file = try MediaFile(new: path, mode: mode)
    do { try file.append(bytes) } catch {
        unlink(path)
        throw error
    }
}

/// Writes an initrd that holds these files and nothing else; a private one is for its owner alone.
func writeInitrd(_ files: ArchiveFiles, to path: String?, isPrivate: Bool = false, _ streams: Streams) throws {
    let bytes = try files.archive()
    guard let path else { return try streams.write(bytes) }
    try step("writing \(path)") {
        let there = Files.status(FilePath(path), followingLinks: false)
        if let there, there.st_mode & S_IFMT != S_IFREG {
            // A pipe, a device or a link: what it is stays, what is behind it is written.
            let descriptor = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC)
            guard descriptor >= 0 else { throw SystemFault.current }
            try MediaFile(owning: descriptor, path: path).append(bytes)
            return
        }
        let mode = isPrivate ? 0o600 : there.map { $0.st_mode & 0o7777 } ?? 0o666 & ~usualMask()
        try SystemFault.onFiles { () throws(FileFault) in try Files.write(bytes, to: FilePath(path), mode: mode) }
    }
}

/// Reads an initrd as it comes: it may be a pipe.
///
/// `path` is the file, and `nil` is standard input. Throws where it cannot be read, is broken, or exceeds `limits`.
func readInitrd(
    _ path: String?, keeping glob: ArchiveGlob, limits: ArchiveLimits = .settings, namesOnly: Bool = false,
    _ streams: Streams
) throws -> ArchiveFiles {
    let file = try path.map { try MediaFile($0) }
    return try ArchiveFiles(keeping: glob, limits: limits, namesOnly: namesOnly) {
        guard let file else { return try streams.read() }
        return try step("reading \(file.path)") { try SystemFault.read(file.descriptor) }
    }
}
