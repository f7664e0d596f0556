// What the parts of a live system are: kernel, initramfs, root image; and whether they belong together.

import BootMedia
import Encoding
import Glibc
import Hashing
import InitramfsImage
import LinuxSystem
import LiveImage
import Reporting
import SystemPackage

/// A Linux kernel as boot loaders load it (bzImage).
public struct KernelFile: Equatable, Sendable {
    /// The file that holds the kernel.
    public var file: FilePath
    /// The size of the kernel in bytes.
    public var size: UInt64
    /// `6.1.0-9-amd64`; `nil` where it does not say.
    public var version: String?
    /// Whether UEFI firmware can start it by itself.
    public var hasEFIStub: Bool
    /// Whether somebody signed it for Secure Boot.
    public var isSigned: Bool

    /// Why a file cannot be taken for a kernel.
    public enum Failure: Error, Equatable, CustomStringConvertible {
        case notKernel(FilePath)

        /// What went wrong, for a message.
        public var description: String {
            switch self {
            case .notKernel(let file): "\(file) is not a Linux kernel for x86"
            }
        }
    }

    /// Reads the headers of a kernel.
    ///
    /// `range` is where it is in the file, in bytes; `nil` is all of it. Throws ``Failure``, or ``FileFault`` where it
    /// cannot be read.
    /// - SeeAlso: Linux, `Documentation/arch/x86/boot.rst`.
    public init(_ file: FilePath, _ range: Range<UInt64>? = nil) throws {
        let input = try ByteRange(file, range)
        let head = try input.bytes(at: 0, count: 64 << 10)
        guard head.count > 0x264, Array(head[0x202..<0x206]) == Array("HdrS".utf8) else {
            throw Failure.notKernel(file)
        }
        self.file = file
        size = input.count
        // Where the text is, less the first sector.
        let pointer = Int(ByteFields(head).little16(0x20e))
        let text = head.dropFirst(pointer + 0x200).prefix(256).prefix { $0 != 0 }
        let word = String(decoding: text.prefix { $0 != UInt8(ascii: " ") }, as: UTF8.self)
        version = pointer == 0 || word.isEmpty ? nil : word
        let pe = try? PEFile(reading: { try input.bytes(at: $0, count: $1) }, size: input.count)
        hasEFIStub = pe != nil
        isSigned = pe?.isSigned ?? false
    }
}

/// What an initramfs says about itself.
public struct InitramfsFile: Sendable {
    /// The file that holds the initramfs.
    public var file: FilePath
    /// The size of the initramfs in bytes.
    public var size: UInt64
    /// The build that it belongs to.
    public var version: String?
    /// The stream hash of the root image that it accepts.
    public var wantedHash: StreamHash?
    /// What it can do, where it tells.
    public var features: Features?
    /// Whether it holds a config, and NetworkManager keyfiles.
    public var hasConfig = false
    /// The number of NetworkManager keyfiles in it.
    public var keyfiles = 0
    /// Whether a root image is appended.
    public var holdsRootImage = false
    /// The kernels whose modules are in it; empty where nobody here can tell.
    public var kernels: [String] = []

    /// Why a file cannot be taken for an initramfs.
    public enum Failure: Error, CustomStringConvertible {
        case unreadable(FilePath, any Error)

        /// What went wrong, for a message.
        public var description: String {
            switch self {
            case .unreadable(let file, let reason): "\(file) is not an initramfs: \(reason)"
            }
        }
    }

    private static let root = ["root.squashfs", "root.erofs"]

    /// Reads what an initramfs says about itself.
    ///
    /// `range` is where it is in the file, in bytes; `nil` is all of it. Throws ``Failure``, ``FileFault`` where the
    /// file cannot be read, and what is wrong with a stream hash or a list of features in it.
    public init(_ file: FilePath, _ range: Range<UInt64>? = nil) throws {
        self.file = file
        let input = try ByteRange(file, range)
        size = input.count
        var at: UInt64 = 0
        let names = [
            LiveImageName.initramfsVersion, LiveImageName.wantedStreamHash, BootMediaName.initramfsFeatures,
            BootMediaName.config, LiveImageName.rootfsVersion,
        ]
        let files: ArchiveFiles
        do {
            files = try ArchiveFiles(keeping: ArchiveGlob(names: names).or(.network)) {
                let bytes = try input.bytes(at: at, count: 1 << 20)
                at += UInt64(bytes.count)
                return bytes
            }
        } catch {
            throw Failure.unreadable(file, error)
        }
        version = files[LiveImageName.initramfsVersion].map { trimmed($0) }
        wantedHash = try files[LiveImageName.wantedStreamHash].map { try StreamHash(parsing: $0) }
        features = try files[BootMediaName.initramfsFeatures].map { try Features(parsing: $0) }
        hasConfig = files.config != nil
        keyfiles = files.network.count
        holdsRootImage = files[LiveImageName.rootfsVersion] != nil
        // What this tool does not know in it may well boot.
        kernels = (try? ImageListing(reading: file, range))?.kernels ?? []
    }

    /// The kernels whose modules are in it, as a phrase, where this kernel is another; `nil` where it is not, or nobody
    /// can tell.
    ///
    /// Such a kernel boots, and then finds no driver.
    func others(than kernel: KernelFile) -> String? {
        guard let version = kernel.version, !kernels.isEmpty, !kernels.contains(version) else { return nil }
        return "Linux \(kernels.joined(separator: ", "))"
    }
}

/// Whether an initramfs accepts a root image.
public enum Pairing: Equatable, Sendable, CustomStringConvertible {
    case belong
    /// It wants another one.
    case differ(String)
    /// It takes any.
    case unbound

    /// Compares the stream hash that the initramfs wants with the root image's.
    ///
    /// Hashes of chunks of different sizes cannot be compared: versions and lengths are compared then.
    public init(_ initramfs: InitramfsFile, _ root: RootImageFile) {
        guard let wanted = initramfs.wantedHash else {
            self = .unbound
            return
        }
        if wanted.chunkSize == root.hash.chunkSize {
            guard wanted.digests == root.hash.digests else {
                let (one, other) = (initramfs.version ?? "another", root.version ?? "none")
                self = .differ("the initramfs wants the root image of build \(one), and this one is of \(other)")
                return
            }
            self = .belong
        } else {
            // With chunks of other sizes, only the versions that both state and the length can be compared.
            let isLike = initramfs.version == root.version && wanted.lengths.contains(root.size)
            self = isLike ? .belong : .differ("their builds differ")
        }
    }

    /// The answer as a sentence, without a full stop.
    public var description: String {
        switch self {
        case .belong: "initramfs and root image belong together"
        case .differ(let reason): "initramfs and root image do not belong together: \(reason)"
        case .unbound: "the initramfs accepts any root image"
        }
    }
}

/// A root image's facts.
public struct RootImageFile: Sendable {
    /// The file that holds the root image.
    public var file: FilePath
    /// The size of the root image in bytes.
    public var size: UInt64
    /// The version that it states; `nil` where it states none.
    public var version: String?
    /// The filesystem in it.
    public var format: RootImageFormat.Filesystem
    /// The hash by which an initramfs checks it while it streams in.
    public var hash: StreamHash
    /// The kernels whose modules are in it; `nil` where nobody here can tell.
    public var kernels: [String]?

    /// Why a file cannot be taken for a root image.
    public enum Failure: Error, CustomStringConvertible {
        case unusable(FilePath, RootImageFault)

        /// What went wrong, for a message.
        public var description: String {
            switch self {
            case .unusable(let file, let reason): "\(file) is not a root image: \(reason)"
            }
        }
    }

    /// Reads a root image from its beginning to its end, and hashes it.
    ///
    /// `range` is where it is in the file, in bytes; `nil` is all of it. Throws ``Failure``, or ``FileFault`` where it
    /// cannot be read.
    public init(_ file: FilePath, _ range: Range<UInt64>? = nil) throws {
        let input = try ByteRange(file, range)
        var reader = RootImageReader()
        var digests: [[UInt8]] = []
        var found: (format: RootImageFormat, offset: UInt64)?
        var at: UInt64 = 0
        do {
            while true {
                let chunk = try input.bytes(at: at, count: UInt64(StreamHash.usualChunkSize))
                if chunk.isEmpty { break }
                at += UInt64(chunk.count)
                digests.append(MessageDigest.sha256(chunk))
                try Self.read(chunk, &reader, &version, &found)
            }
            try reader.finish()
        } catch let fault as RootImageFault {
            throw Failure.unusable(file, fault)
        }
        guard let found else { throw Failure.unusable(file, .noImage) }
        self.file = file
        size = input.count
        format = found.format.filesystem
        hash = try StreamHash(digests: digests)
        kernels = RootImageContent(
            file: Files.absolute(file), offset: input.start + found.offset, format: found.format.filesystem
        ).kernels()
    }

    private static func read(
        _ chunk: [UInt8], _ reader: inout RootImageReader, _ version: inout String?,
        _ found: inout (format: RootImageFormat, offset: UInt64)?
    ) throws(RootImageFault) {
        // Typed errors do not pass through the closure.
        let result = chunk.withUnsafeBytes { bytes -> Result<Void, RootImageFault> in
            var slice = bytes
            do throws(RootImageFault) {
                while let event = try reader.next(&slice) {
                    switch event {
                    case .version(let text): version = text
                    case .image(let format, let offset, _): found = (format, offset)
                    case .imageData, .installImage, .installImageData: break
                    }
                }
                return .success(())
            } catch {
                return .failure(error)
            }
        }
        try result.get()
    }
}

/// The three parts that a live system boots from, looked at before anything is made of them.
struct LiveParts {
    var kernel: KernelFile
    var initramfs: InitramfsFile
    var root: RootImageFile
    var warnings: [String] = []

    enum Failure: Error, CustomStringConvertible, Advising {
        case otherPair(FilePath, FilePath, String)
        /// The kernels whose modules are in the initramfs; the kernel, and its version.
        case otherKernel(FilePath, String, FilePath, String)

        var description: String {
            switch self {
            case .otherPair(let initramfs, let root, let reason):
                "\(initramfs) would not boot \(root): \(reason)"
            case .otherKernel(let initramfs, let others, let kernel, let version):
                "\(initramfs) has the modules of \(others), and \(kernel) is \(version)"
            }
        }

        var advice: [String] {
            switch self {
            case .otherPair: ["Make the initramfs again: firstlight-image initramfs --rootfs ROOT-IMAGE"]
            case .otherKernel(_, _, _, let version):
                ["Make one for that kernel: firstlight-image initramfs --kernel \(version)"]
            }
        }
    }

    /// Refuses an initramfs that has no modules for the kernel.
    static func check(_ initramfs: InitramfsFile, for kernel: KernelFile) throws(Failure) {
        guard let others = initramfs.others(than: kernel) else { return }
        throw .otherKernel(initramfs.file, others, kernel.file, kernel.version ?? "")
    }

    init(kernel: FilePath, initramfs: FilePath, rootfs: FilePath, telling progress: MakingProgress) throws {
        self.kernel = try KernelFile(kernel)
        progress.step("reading \(initramfs)")
        self.initramfs = try InitramfsFile(initramfs)
        try Self.check(self.initramfs, for: self.kernel)
        progress.step("reading \(rootfs)")
        root = try RootImageFile(rootfs)
        switch Pairing(self.initramfs, root) {
        case .belong: break
        case .differ(let reason): throw Failure.otherPair(initramfs, rootfs, reason)
        case .unbound:
            warnings.append("warning: \(initramfs) accepts any root image; `initramfs --rootfs` binds it to one")
        }
        if let version = self.kernel.version, let kernels = root.kernels, !kernels.contains(version) {
            warnings.append("warning: \(rootfs) has no modules for Linux \(version), the kernel that boots it")
        }
    }

    /// What holds a secret is for its owner alone.
    var permissions: mode_t { initramfs.hasConfig || initramfs.keyfiles > 0 ? 0o600 : 0o644 }
}

extension ByteSource {
    /// A file or a device, read where it is needed.
    init(file: FilePath) throws {
        let opened = try SourceFile(file)
        self.init(length: opened.length) { offset, buffer in try opened.read(buffer, at: offset) }
    }

    private final class SourceFile: Sendable {
        let descriptor: Int32
        let length: UInt64
        let path: FilePath

        init(_ path: FilePath) throws {
            self.path = path
            descriptor = open(path.string, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else { throw FileFault("read", path, Errno(rawValue: errno)) }
            // Of a device, too.
            length = UInt64(max(0, lseek(descriptor, 0, SEEK_END)))
        }

        deinit { close(descriptor) }

        func read(_ buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws {
            try Files.naming("read", path) { () throws(Errno) in
                guard try fill(buffer, from: descriptor, at: offset) == buffer.count else { throw .ioError }
            }
        }
    }
}

extension Files {
    /// Gives a finished file its name, once its bytes are on the disk; both are on one filesystem.
    static func publish(_ file: FilePath, as output: FilePath, permissions: mode_t) throws(FileFault) {
        let descriptor = open(file.string, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileFault("write", output, Errno(rawValue: errno)) }
        defer { close(descriptor) }
        guard fchmod(descriptor, permissions) == 0, fsync(descriptor) == 0, rename(file.string, output.string) == 0
        else { throw FileFault("write", output, Errno(rawValue: errno)) }
    }
}
