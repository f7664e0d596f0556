// Unified kernel images: kernel, initramfs and command line as one program of UEFI.
//
// The sections are written here and not by objcopy: objcopy 2.40 wants every address on its command line, warns where
// they do not fit and goes on, and pads what it copies. Here each sum is checked, and the bytes are the same each time.

import BootArguments
import Glibc
import InitramfsImage
import LinuxSystem
import Reporting
import SystemPackage

/// What `firstlight-image uki` is asked for.
public struct UnifiedKernelMaking: Sendable {
    /// The kernel (bzImage).
    public var kernel: FilePath
    /// The initramfs.
    public var initramfs: FilePath
    /// A root image to take along behind the initramfs; `nil`: the command line says where it is.
    public var rootfs: FilePath?
    /// The kernel command line, whole.
    public var arguments: String
    /// The program that starts what is in it: systemd's stub.
    public var stub: FilePath = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub"
    /// Files of PEM: sign with them.
    public var key: FilePath?
    /// The certificate of the key.
    public var certificate: FilePath?

    /// Creates a request for an image that is not signed and takes no root image along.
    public init(kernel: FilePath, initramfs: FilePath, arguments: String) {
        self.kernel = kernel
        self.initramfs = initramfs
        self.arguments = arguments
    }

    /// Why no image can be made.
    public enum Failure: Error, CustomStringConvertible, Advising {
        case noStub(FilePath)
        case stub(FilePath, any Error)
        case keyAlone
        case arguments(String)

        /// What went wrong, for a message.
        public var description: String {
            switch self {
            case .noStub(let file): "there is no stub at \(file)"
            case .stub(let file, let reason): "\(file): \(reason)"
            case .keyAlone: "signing takes a key and its certificate"
            case .arguments(let text): "kernel arguments are one line of printable characters, and not \"\(text)\""
            }
        }

        /// What the operator can do.
        public var advice: [String] {
            switch self {
            case .noStub: ["On Debian: apt-get install systemd-boot-efi; or name one with --stub."]
            case .keyAlone: ["Give both: --key FILE --certificate FILE"]
            case .stub, .arguments: []
            }
        }
    }

    /// What was made, in a line.
    public struct Outcome: CustomStringConvertible {
        /// The image, by its absolute path.
        public var file: FilePath
        /// The size of the file.
        public var size: ByteCount
        /// The kernel's version; `nil` where it does not say.
        public var kernel: String?
        /// The kernel command line, whole.
        public var arguments: String
        /// Whether it was signed for Secure Boot.
        public var isSigned: Bool
        /// What the operator should know, as lines.
        public var warnings: [String]

        /// `live.efi  148 MiB, Linux 6.1.0-9-amd64, signed`.
        public var description: String {
            "\(file)  \(size), \(kernel.map { "Linux \($0), " } ?? "")\(isSigned ? "signed" : "not signed")"
        }
    }

    /// The command line for a root image that is taken along, or fetched.
    ///
    /// - Throws: ``CommandLineURLFault`` where the boot would not take one of the URLs.
    public static func arguments(
        _ own: String, rootImageURL: String?, configURL: String?, holdsRootImage: Bool
    ) throws(CommandLineURLFault) -> String {
        var words = own.split(separator: " ").map(String.init)
        if let rootImageURL { words.append(try rootImageURLWord(rootImageURL)) }
        // Without this argument, what the kernel unpacks would be cut off at half of the RAM.
        if holdsRootImage { words.append("rootfstype=ramfs") }
        words += ISOMaking.provisioning.split(separator: " ").map(String.init)
        if let configURL { words.append(try configURLWord(configURL)) }
        return words.joined(separator: " ")
    }

    /// Data of one section: bytes, or files one behind the other, each at a multiple of four.
    private struct Contents {
        var name: String
        var parts: [Part]

        enum Part {
            case bytes([UInt8])
            case file(FilePath, size: UInt64)

            var size: UInt64 {
                switch self {
                case .bytes(let bytes): UInt64(bytes.count)
                case .file(_, let size): size
                }
            }
        }

        var size: UInt64 {
            parts.reduce(0) { sum, part in
                let (next, isBeyond) = aligned(sum, to: 4).addingReportingOverflow(part.size)
                return isBeyond ? .max : next
            }
        }
    }

    /// Makes the image.
    ///
    /// Nothing stands at `output` before it is complete.
    public func make(_ output: FilePath, telling progress: MakingProgress = .untold) throws -> Outcome {
        let output = Files.absolute(output)
        guard (key == nil) == (certificate == nil) else { throw Failure.keyAlone }
        guard arguments.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7f }) else {
            throw Failure.arguments(arguments)
        }
        let kernelFile = try KernelFile(kernel)
        let initramfsFile = try InitramfsFile(initramfs)
        try LiveParts.check(initramfsFile, for: kernelFile)
        var warnings: [String] = []
        if let rootfs {
            warnings += try LiveParts(kernel: kernel, initramfs: initramfs, rootfs: rootfs, telling: progress).warnings
        } else if BootArguments(arguments).rootfsURLs.isEmpty, !initramfsFile.holdsRootImage {
            warnings.append("warning: neither --rootfs nor --url says where the root image is")
        }
        guard Files.exists(stub) else { throw Failure.noStub(stub) }
        let stubBytes = try Files.read(stub)
        let contents = contents(version: kernelFile.version, build: initramfsFile.version)
        let head: [UInt8]
        let offsets: [UInt64]
        do {
            (head, offsets) = try PEFile.adding(
                contents.map { PEFile.Addition(name: $0.name, size: $0.size) }, to: stubBytes)
        } catch {
            throw Failure.stub(stub, error)
        }
        let folder = try TemporaryFolder(in: output.removingLastComponent())
        let image = folder.path.appending("image.efi")
        progress.step("writing \(output)")
        try write(
            head, contents, at: offsets, alignment: try PEFile(head: head, size: UInt64.max).fileAlignment, to: image)
        var result = image
        if let key, let certificate {
            progress.step("signing \(output)")
            result = folder.path.appending("signed.efi")
            try HostProgram(name: "sbsign", package: "sbsigntool").run([
                "--key", Files.absolute(key).string, "--cert", Files.absolute(certificate).string, "--output",
                result.string, image.string,
            ])
        }
        let isPrivate = initramfsFile.hasConfig || initramfsFile.keyfiles > 0
        try Files.publish(result, as: output, permissions: isPrivate ? 0o600 : 0o644)
        return Outcome(
            file: output, size: ByteCount(Files.size(output) ?? 0), kernel: kernelFile.version, arguments: arguments,
            isSigned: key != nil, warnings: warnings)
    }

    private func contents(version: String?, build: String?) -> [Contents] {
        let name = "ID=firstlight\nPRETTY_NAME=\"firstlight \(build ?? "")\"\nVERSION_ID=\(build ?? "0")\n"
        var initrd: [Contents.Part] = [.file(initramfs, size: Files.size(initramfs) ?? 0)]
        if let rootfs { initrd.append(.file(rootfs, size: Files.size(rootfs) ?? 0)) }
        var contents = [
            Contents(name: ".osrel", parts: [.bytes(Array(name.utf8))]),
            Contents(name: ".cmdline", parts: [.bytes(Array(arguments.utf8))]),
        ]
        if let version { contents.append(Contents(name: ".uname", parts: [.bytes(Array(version.utf8))])) }
        contents.append(Contents(name: ".initrd", parts: initrd))
        contents.append(Contents(name: ".linux", parts: [.file(kernel, size: Files.size(kernel) ?? 0)]))
        return contents
    }

    private func write(
        _ head: [UInt8], _ contents: [Contents], at offsets: [UInt64], alignment: UInt32, to image: FilePath
    ) throws {
        var file = try PendingFile(image)
        func zeros(upTo offset: UInt64, after length: UInt64) -> [UInt8] {
            [UInt8](repeating: 0, count: Int(offset - min(offset, length)))
        }
        try file.write(head)
        for (section, offset) in zip(contents, offsets) {
            try file.write(zeros(upTo: offset, after: file.length))
            for part in section.parts {
                // The kernel finds an archive that is not compressed at multiples of four only.
                let within = file.length - offset
                try file.write(zeros(upTo: offset + aligned(within, to: 4), after: file.length))
                switch part {
                case .bytes(let bytes): try file.write(bytes)
                case .file(let source, _): try file.write(contentsOf: source)
                }
            }
            guard file.length == offset + section.size else { throw TarWriter.Failure.shortened(section.name) }
        }
        try file.write(zeros(upTo: aligned(file.length, to: alignment), after: file.length))
        try file.finish(permissions: 0o600)
    }
}
