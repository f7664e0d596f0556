// dev show iso, dev show initrd, dev extract initrd.

import BootMedia
import Glibc
import JSONText
import LinuxSystem
import Reporting
import SystemPackage

/// `dev show iso`: what an ISO is made of, as JSON.
public struct ShowISO: Sendable {
    /// What is shown of it.
    public enum Part: Sendable {
        /// Descriptors, and all paths.
        case structure
        /// The initrd embed area.
        case initrd
        /// The kernel argument areas; `null` where there are none.
        case arguments
    }

    /// The ISO's path.
    public var image: String
    /// What is shown.
    public var part = Part.structure

    /// Creates the command for an ISO.
    public init(image: String) { self.image = image }

    /// Carries it out; what it throws is told by its steps and its cause.
    public func run(_ streams: Streams) throws {
        let source = try MediaFile(image).source
        let value: JSONValue
        switch part {
        case .structure:
            let iso = try ISO9660(source)
            let paths = try step("while walking ISO filesystem") { try iso.walk() }.map { JSONValue.string($0.path) }
            value = [
                "header": ["descriptors": .array(iso.descriptors.map(Self.shown))], "records": .array(paths),
            ]
        case .initrd: value = try LiveISO(reading: source).initrd.description
        case .arguments:
            let iso = try LiveISO(reading: source)
            value = iso.hasArguments ? try iso.arguments.description : .null
        }
        try streams.write(Array(value.text(.pretty).utf8))
    }

    private static func shown(_ descriptor: ISO9660.Descriptor) -> JSONValue {
        switch descriptor {
        case .boot(let system, let boot):
            ["type": "boot", "boot_system_id": .string(system), "boot_id": .string(boot)]
        case .primary(let primary):
            [
                "type": "primary", "system_id": .string(primary.systemID), "volume_id": .string(primary.volumeID),
                "volume_space_size": JSONValue(primary.size),
                "root": [
                    "name": .string(primary.root.name), "address": JSONValue(primary.root.sector),
                    "length": JSONValue(primary.root.length),
                ],
            ]
        case .supplementary: ["type": "supplementary"]
        case .unknown(let type): ["type": "unknown", "type_id": JSONValue(type)]
        }
    }
}

/// `dev show initrd`: the names of the regular files in an initrd, sorted.
public struct ShowInitrd: Sendable {
    /// `-` is standard input.
    public var initrd: String
    /// None are all files.
    public var globs: [String] = []

    /// Creates the command for an initrd.
    public init(initrd: String) { self.initrd = initrd }

    /// Carries it out; what it throws is told by its steps and its cause.
    public func run(_ streams: Streams) throws {
        for name in try filteredInitrd(initrd, globs, namesOnly: true, streams).names { try streams.print(name) }
    }
}

/// `dev extract initrd`: writes the regular files of an initrd into a folder; none that is there is overwritten.
public struct ExtractInitrd: Sendable {
    /// `-` is standard input.
    public var initrd: String
    /// None are all files.
    public var globs: [String] = []
    /// Where the files go; it is made where it is missing.
    public var folder = "."
    /// Prints each path.
    public var isVerbose = false

    /// Creates the command for an initrd.
    public init(initrd: String) { self.initrd = initrd }

    /// Carries it out; what it throws is told by its steps and its cause.
    public func run(_ streams: Streams) throws {
        let files = try filteredInitrd(initrd, globs, streams)
        for name in files.names {
            let parts = name.parts(separatedBy: UInt8(ascii: "/"))
            guard name.utf8.first == UInt8(ascii: "/") || parts.contains("..") else { continue }
            throw MediaFault("path \(name) contains path traversal")
        }
        for name in files.names {
            let path = joined(folder, name)
            if isVerbose { try streams.print(path) }
            try makeFolder(FilePath(path).removingLastComponent().string)
            let isSecret = name == BootMediaName.config || ArchiveGlob.network.matches(name)
            try writeNewFile(files[name] ?? [], to: path, mode: isSecret ? 0o600 : 0o666)
        }
    }
}

private func filteredInitrd(
    _ path: String, _ globs: [String], namesOnly: Bool = false, _ streams: Streams
) throws -> ArchiveFiles {
    let glob = try step("parsing glob patterns") { try ArchiveGlob(parsing: globs) }
    return try step("decoding initrd") {
        try readInitrd(path == "-" ? nil : path, keeping: glob, limits: .initrd, namesOnly: namesOnly, streams)
    }
}
