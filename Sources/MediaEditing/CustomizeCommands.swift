// iso customize, iso reset, pxe customize.

import BootMedia
import Glibc
import LinuxSystem
import Reporting
import SystemPackage

extension Customization.HostAccess {
    /// Files of this machine, and its nmstatectl.
    static func machine(_ streams: Streams) -> Self {
        .init(
            read: contents(of:), config: { try streams.translate(try contents(of: $0), $0) },
            keyfiles: nmstateKeyfiles(of:), tell: streams.tell)
    }
}

/// Asks nmstate's program, where it is installed.
private func nmstateKeyfiles(of path: String) throws -> [(name: String, contents: [UInt8])] {
    let folders = getenv("PATH").map { String(cString: $0).split(separator: ":").map(String.init) } ?? []
    let candidates = (folders + Command.searchPath).map { "\($0)/nmstatectl" }
    guard let program = candidates.first(where: { $0.hasPrefix("/") && access($0, X_OK) == 0 }) else {
        throw MediaFault("--network-nmstate needs the program nmstatectl, which is not installed here")
    }
    let file = try step("opening nmstate file") {
        guard let real = Files.resolved(FilePath(path)) else { throw SystemFault.current }
        return real
    }
    let output = try step("generating configuration from nmstate") {
        try Command(program, ["gc", file.string]).run().standardOutput
    }
    return try step("extracting NetworkManager generated config") { try NmstateOutput.keyfiles(parsing: output) }
}

/// `iso customize`: makes an ISO boot, provision or install without being asked.
public struct CustomizeISO: Sendable {
    /// The ISO's path.
    public var image: String
    /// What is asked for.
    public var customization = Customization()
    /// Of the live system; they start from those that the image came with.
    public var arguments = KernelArgumentEdit()
    /// Replaces what the image is customized with.
    public var force = false
    /// Where the changed ISO goes.
    public var output = ImageOutput.inPlace

    /// Creates the command for an ISO.
    public init(image: String) { self.image = image }

    /// Carries it out; what it throws is told by its steps and its cause.
    public func run(_ streams: Streams) throws {
        try output.change(image, streams) { iso in
            let isCustomized =
                iso.initrd.files.config != nil || !iso.initrd.files.network.isEmpty || iso.hasChangedArguments
            guard force || !isCustomized else {
                throw MediaFault("This ISO image is already customized; use -f to force.")
            }
            iso.initrd.files = try customization.files(for: try iso.features, .machine(streams))
            if !arguments.isEmpty {
                guard iso.hasArguments else {
                    throw MediaFault("This OS image does not support customizing live kernel arguments.")
                }
                try iso.setArguments(try arguments.applied(to: try iso.arguments.defaults))
            }
        }
    }
}

/// `iso reset`: takes out everything that was embedded.
public struct ResetISO: Sendable {
    /// The ISO's path.
    public var image: String
    /// Where the changed ISO goes.
    public var output = ImageOutput.inPlace

    /// Creates the command for an ISO.
    public init(image: String) { self.image = image }

    /// Carries it out; what it throws is told by its steps and its cause.
    public func run(_ streams: Streams) throws {
        try output.change(image, streams) { iso in
            iso.initrd.files = ArchiveFiles()
            if iso.hasArguments { try iso.setArguments(try iso.arguments.defaults) }
        }
    }
}

/// `pxe customize`: the same for an initramfs; what it adds is appended.
public struct CustomizePXE: Sendable {
    /// The initramfs's path.
    public var initrd: String
    /// What is asked for.
    public var customization = Customization()
    /// A file that must not be there yet, or `-` for standard output.
    public var output: String

    /// Creates the command for an initramfs and the file to write.
    public init(initrd: String, output: String) {
        self.initrd = initrd
        self.output = output
    }

    /// The arguments without which an initramfs reads no config.
    private static let neededArguments = "ignition.firstboot ignition.platform.id=metal"

    /// Carries it out; what it throws is told by its steps and its cause.
    public func run(_ streams: Streams) throws {
        let input = try MediaFile(initrd)
        if output == "-" {
            try streams.refuseTerminal()
            let files = try checked(input, streams) { try $0.withUnsafeBytes { try streams.write($0) } }
            return try append(to: files, streams) { try streams.write($0) }
        }
        let folder = try NewFile.folder(of: output)
        guard !Files.exists(FilePath(output)) else {
            throw BootFailure(steps: ["persisting output file to \(output)"], cause: SystemFault(.fileExists))
        }
        let new = try NewFile(in: folder)
        let files =
            if let source = try? input.source, source.length > 0 {
                try checked(
                    source,
                    while: {
                        try FileCopy(
                            file: input, output: new.file, progress: { streams.progress("writing \(output)", $0, $1) }
                        ).all()
                    })
            } else {
                // A pipe is read once.
                try checked(input, streams) { try new.file.append($0) }
            }
        try append(to: files, streams) { try new.file.append($0) }
        try step("persisting output file to \(output)") { try new.keep(as: output) }
    }

    /// What of the input is looked at.
    private static let settings = ArchiveGlob(names: [BootMediaName.liveMark, BootMediaName.initramfsFeatures])
        .or(.config).or(.network)

    /// Hands on the input while it is looked at.
    private func checked(
        _ input: MediaFile, _ streams: Streams, to write: ([UInt8]) throws -> Void
    ) throws -> ArchiveFiles {
        let total = (try? input.length) ?? 0
        var done: UInt64 = 0
        return try step("reading/copying input initrd") {
            try ArchiveFiles(keeping: Self.settings, limits: .settings) {
                let part = try step("reading \(initrd)") { try SystemFault.read(input.descriptor) }
                try write(part)
                done += UInt64(part.count)
                streams.progress("writing \(output)", done, total)
                return part
            }
        }
    }

    /// Has the input copied while it is looked at; nothing is read of what is of no interest.
    private func checked(_ source: ByteSource, while copy: () throws -> Void) throws -> ArchiveFiles {
        let found = Monitor<Result<ArchiveFiles, any Error>?>(nil)
        return try step("reading/copying input initrd") {
            try withThread {
                let result = Result { try Self.settings(of: source) }
                found.change { $0 = result }
            } meanwhile: {
                try copy()
            }
            return try found.wait { $0 }.get()
        }
    }

    private static func settings(of source: ByteSource) throws -> ArchiveFiles {
        var position: UInt64 = 0
        func passOver(_ count: UInt64) -> Bool {
            // If the input ends early, it is read to its end, where that is reported.
            guard count <= source.length - position else { return false }
            position += count
            return true
        }
        return try ArchiveFiles(keeping: settings, limits: .settings, passOver: passOver) {
            let part = try source.bytes(at: position, count: Int(min(source.length - position, 256 << 10)))
            position += UInt64(part.count)
            return part
        }
    }

    /// Writes what comes behind an input that holds these files.
    private func append(to files: ArchiveFiles, _ streams: Streams, _ write: ([UInt8]) throws -> Void) throws {
        guard files[BootMediaName.liveMark] != nil else { throw MediaFault("not a CoreOS live initramfs image") }
        guard files.config == nil, files.network.isEmpty else { throw MediaFault("input is already customized") }
        let features = try files[BootMediaName.initramfsFeatures].map { json in
            try step("parsing OS features") { try Features(parsing: json) }
        }
        let added = try customization.files(for: features ?? Features(), .machine(streams))
        // An archive without files would still be one more archive.
        try write(try added.archive())
        if added.config != nil {
            streams.tell("The config is read where the boot has the kernel arguments \(Self.neededArguments).")
        }
    }
}
