// The system on which an image is made: its kernels, programs and certificates.

import KernelModules
import LinuxSystem
import Reporting
import SystemPackage

/// Where the parts of an image come from.
public struct HostSystem: Sendable {
    /// The folder that has a folder for each kernel version.
    public var modules: FilePath = "/lib/modules"
    /// The folder of the one kernel to use, wherever it is and whatever it is called; `nil`: those of ``modules``.
    ///
    /// An absolute path, because programs run in the root folder.
    public var kernelFolder: FilePath?
    /// Folders with firmware; the first that has a file is used.
    public var firmware = Firmware.folders
    /// The PEM file of the host's certificate authorities.
    public var certificates: FilePath = "/etc/ssl/certs/ca-certificates.crt"
    /// The settings of mkfs.ext4.
    public var ext4Defaults: FilePath = "/etc/mke2fs.conf"
    /// Folders with the programs that go into the image.
    public var programs = Command.searchPath.map { FilePath($0) }
    /// The programs that stages run, each of which goes into `sbin` of the image.
    public var stageTools = [
        HostProgram(name: "mkfs.ext4", package: "e2fsprogs"),
        HostProgram(name: "mkfs.xfs", package: "xfsprogs"),
        HostProgram(name: "mkfs.btrfs", package: "btrfs-progs"),
        HostProgram(name: "mkfs.fat", package: "dosfstools"),
        HostProgram(name: "mkswap", package: "util-linux"),
        HostProgram(name: "mdadm", package: "mdadm"),
        // An operator may be told to run this one.
        HostProgram(name: "wipefs", package: "util-linux"),
    ]
    /// The programs that open volumes bound to a server or a TPM: scripts, and the programs that these run.
    public var clevisTools =
        [
            "clevis", "clevis-decrypt", "clevis-decrypt-sss", "clevis-decrypt-tang", "clevis-encrypt-sss",
            "clevis-encrypt-tang",
        ].map { HostProgram(name: $0, package: "clevis") }
        + ["clevis-decrypt-tpm2", "clevis-encrypt-tpm2"].map { HostProgram(name: $0, package: "clevis-tpm2") }
        + ["create", "createpolicy", "createprimary", "flushcontext", "load", "pcrread", "unseal"].map {
            HostProgram(name: "tpm2_\($0)", package: "tpm2-tools")
        }
        + ["bash", "curl", "jose"].map { HostProgram(name: $0, package: $0) }
    /// Libraries that those load while they run, by name: access to the kernel's TPM device.
    public var clevisLibraries = ["libtss2-tcti-device.so.0"]

    /// Creates a description of this machine's own system.
    public init() {}

    /// What this system lacks.
    public enum Failure: Error, CustomStringConvertible, Advising {
        case noKernel(in: FilePath)
        case unknownKernel(String, present: [String])
        /// The folder of a kernel's modules has none of depmod's files.
        case noIndex(FilePath)
        case missing(HostProgram)
        case unreadable(FilePath, Errno)

        /// What went wrong, for a message.
        public var description: String {
            switch self {
            case .noKernel(let folder): "no kernel has its modules in \(folder)"
            case .unknownKernel(let version, _): "no kernel \(version) is installed"
            case .noIndex(let folder): "there is no modules.dep in \(folder)"
            case .missing(let program): "\(program.name) is not installed"
            case .unreadable(let file, let reason): "cannot read \(file): \(reason)"
            }
        }

        /// What the operator can do.
        public var advice: [String] {
            switch self {
            case .noKernel: ["On Debian: apt-get install linux-image-amd64"]
            case .unknownKernel(_, let present): ["Installed: \(present.joined(separator: ", "))"]
            case .noIndex:
                ["Name the folder of one kernel. depmod writes the file: depmod -b ROOT VERSION, for ROOT/lib/modules."]
            case .missing(let program): ["On Debian: apt-get install \(program.package)"]
            case .unreadable: []
            }
        }
    }

    /// Versions of kernels with modules here, the oldest first.
    package var kernels: [String] {
        Files.names(in: modules)
            .filter { Files.exists(modules.appending($0).appending("modules.dep")) }
            .sorted(by: isOlder)
    }

    /// `version` where it is installed; the newest kernel where it is `nil`.
    package func kernel(_ version: String?) throws(Failure) -> String {
        if let kernelFolder { return try self.version(of: kernelFolder) }
        let present = kernels
        guard let newest = present.last else { throw .noKernel(in: modules) }
        guard let version else { return newest }
        guard present.contains(version) else { throw .unknownKernel(version, present: present) }
        return version
    }

    /// The folder that has a kernel's modules.
    package func folder(of kernel: String) -> FilePath { kernelFolder ?? modules.appending(kernel) }

    /// The version of the kernel whose modules a folder has: what the modules say, or else the folder's name.
    private func version(of folder: FilePath) throws(Failure) -> String {
        guard Files.exists(folder.appending("modules.dep")) else { throw .noIndex(folder) }
        let dependencies = try read(folder.appending("modules.dep"))
        let index = KernelModuleIndex(dependencies: dependencies, aliases: [], softDependencies: [], builtin: [])
        // Any of them tells; a damaged one is found where it is needed.
        if let path = index.paths.first, let image = try? ModuleFile.read(folder.appending(path)),
            let version = ModuleFile.version(ofKernelFor: image)
        {
            return version
        }
        return folder.lastComponent?.string ?? ""
    }

    func index(of kernel: String) throws(Failure) -> KernelModuleIndex {
        let folder = folder(of: kernel)
        return KernelModuleIndex(
            dependencies: try read(folder.appending("modules.dep")),
            aliases: try read(folder.appending("modules.alias")),
            softDependencies: try read(folder.appending("modules.softdep")),
            builtin: try read(folder.appending("modules.builtin")))
    }

    /// The file of a program that goes into the image.
    func find(_ program: HostProgram) throws(Failure) -> FilePath {
        let candidates = programs.map { $0.appending(program.name) }
        guard let found = candidates.first(where: { Files.status($0) != nil }) else { throw .missing(program) }
        return found
    }

    func read(_ file: FilePath) throws(Failure) -> [UInt8] {
        do { return try Files.read(file) } catch { throw .unreadable(file, error.reason) }
    }
}

/// A program of the host, and the Debian package that has it.
public struct HostProgram: Equatable, Sendable {
    /// The program's name.
    public var name: String
    /// The Debian package.
    public var package: String

    /// Creates a program from its name and the Debian package that has it.
    public init(name: String, package: String) {
        self.name = name
        self.package = package
    }

    package static let busybox = HostProgram(name: "busybox", package: "busybox-static")

    package static let zstd = HostProgram(name: "zstd", package: "zstd")
    package static let makeSquashfs = HostProgram(name: "mksquashfs", package: "squashfs-tools")
    package static let listSquashfs = HostProgram(name: "unsquashfs", package: "squashfs-tools")

    /// Runs the host's program of this name to its end.
    @discardableResult
    package func run(
        _ arguments: [String], input: [UInt8]? = nil, environment: [String] = Command.defaultEnvironment
    ) throws -> Command.Output {
        do {
            return try Command(name, arguments, environment: environment, input: input).run()
        } catch .missing {
            throw HostSystem.Failure.missing(self)
        }
    }
}

/// Whether a kernel version is older: numbers are compared as numbers, the rest as text.
func isOlder(_ one: String, _ other: String) -> Bool {
    let left = versionParts(one)
    let right = versionParts(other)
    for (a, b) in zip(left, right) where a != b {
        if let a = Int(a), let b = Int(b) { return a < b }
        return a < b
    }
    return left.count < right.count
}

/// The parts of a version: runs of digits, and runs of other characters.
private func versionParts(_ version: String) -> [String] {
    var parts: [String] = []
    for character in version {
        if let last = parts.last?.last, last.isNumber == character.isNumber {
            parts[parts.count - 1].append(character)
        } else {
            parts.append(String(character))
        }
    }
    return parts
}
