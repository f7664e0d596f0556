// iso ignition embed, show, remove; pxe ignition wrap, unwrap.

import BootMedia
import Reporting

/// `iso ignition embed`: puts a config into an ISO, as it is.
public struct EmbedIgnition: Sendable {
    /// The ISO's path.
    public var image: String
    /// The config's path; `nil` is standard input.
    public var config: String?
    /// Replaces a config that is there.
    public var force = false
    /// Where the changed ISO goes.
    public var output = ImageOutput.inPlace

    /// Creates the command for an ISO.
    public init(image: String) { self.image = image }

    /// Carries it out; what it throws is told by its steps and its cause.
    public func run(_ streams: Streams) throws {
        let bytes = try streams.config(config)
        try output.change(image, streams) { iso in
            guard force || iso.initrd.files.config == nil else {
                throw MediaFault("This ISO image already has an embedded Ignition config; use -f to force.")
            }
            iso.initrd.files.config = bytes
        }
    }
}

/// `iso ignition show`: prints the config that is embedded in an ISO.
public struct ShowIgnition: Sendable {
    /// The ISO's path.
    public var image: String

    /// Creates the command for an ISO.
    public init(image: String) { self.image = image }

    /// Carries it out; what it throws is told by its steps and its cause.
    public func run(_ streams: Streams) throws {
        let iso = try LiveISO(reading: try MediaFile(image).source)
        guard let config = iso.initrd.files.config else { throw MediaFault("No embedded Ignition config.") }
        try streams.write(config)
    }
}

/// `iso ignition remove`: takes the config out of an ISO, where there is one.
public struct RemoveIgnition: Sendable {
    /// The ISO's path.
    public var image: String
    /// Where the changed ISO goes.
    public var output = ImageOutput.inPlace

    /// Creates the command for an ISO.
    public init(image: String) { self.image = image }

    /// Carries it out; what it throws is told by its steps and its cause.
    public func run(_ streams: Streams) throws {
        try output.change(image, streams) { iso in iso.initrd.files.config = nil }
    }
}

/// `pxe ignition wrap`: makes an initrd that holds a config.
public struct WrapIgnition: Sendable {
    /// The config's path; `nil` is standard input.
    public var config: String?
    /// Where to write; what is there is replaced.
    ///
    /// `nil` is standard output.
    public var output: String?
    /// Whether the output is for its owner alone.
    public var isPrivate = false

    /// Creates the command for standard input and output.
    public init() {}

    /// Carries it out; what it throws is told by its steps and its cause.
    public func run(_ streams: Streams) throws {
        if output == nil { try streams.refuseTerminal() }
        var files = ArchiveFiles()
        files.config = try streams.config(config)
        try writeInitrd(files, to: output, isPrivate: isPrivate, streams)
    }
}

/// `pxe ignition unwrap`: prints the config that an initrd holds.
public struct UnwrapIgnition: Sendable {
    /// `nil` is standard input.
    public var initrd: String?

    /// Creates the command for standard input.
    public init() {}

    /// Carries it out; what it throws is told by its steps and its cause.
    public func run(_ streams: Streams) throws {
        let files = try readInitrd(initrd, keeping: .config, streams)
        guard let config = files.config else { throw MediaFault("couldn't find Ignition config in archive") }
        try streams.write(config)
    }
}
