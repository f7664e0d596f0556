// Making a live ISO that boots BIOS and UEFI machines from a CD, a stick or a virtual medium.

import BootMedia
import Encoding
import Glibc
import InitramfsImage
import LinuxSystem
import LiveImage
import Reporting
import SystemPackage

/// What `firstlight-image iso` is asked for.
public struct ISOMaking: Sendable {
    /// The kernel (bzImage).
    public var kernel: FilePath
    /// The initramfs that fits the root image.
    public var initramfs: FilePath
    /// The root image, shorter than 4 GiB.
    public var rootfs: FilePath
    /// Of the volume; `nil` is made of the root image's version.
    public var label: String?
    /// Kernel arguments besides those that the medium needs.
    public var arguments = Self.usualArguments
    /// The medium's own time, in seconds since 1970; `nil` is now.
    public var time: UInt32?
    /// Where shim and GRUB are looked for.
    var system: FilePath = "/"

    /// A screen and a serial line, and the kernel's messages on neither.
    public static let usualArguments = "console=tty0 console=ttyS0 loglevel=3"
    /// The arguments without which a config on the medium is ignored.
    static let provisioning = "ignition.firstboot ignition.platform.id=metal"
    /// Room for a config and keyfiles, in bytes.
    static let embedAreaSize = 256 << 10
    /// A file of an ISO is shorter.
    private static let longestFile: UInt64 = 1 << 32

    /// Creates a request with the usual settings for everything but the three parts.
    public init(kernel: FilePath, initramfs: FilePath, rootfs: FilePath) {
        self.kernel = kernel
        self.initramfs = initramfs
        self.rootfs = rootfs
    }

    /// Why no ISO can be made.
    public enum Failure: Error, Equatable, CustomStringConvertible, Advising {
        case label(String)
        case arguments(String)
        case tooManyArguments(Int)
        case tooLarge(FilePath)
        case noLoader
        case minimalDiffers

        /// What went wrong, for a message.
        public var description: String {
            switch self {
            case .label(let text): "\"\(text)\" cannot be a label: 1 to 32 letters, digits, \".\", \"_\" and \"-\""
            case .arguments(let text): "kernel arguments are one line of printable characters, and not \"\(text)\""
            case .tooManyArguments(let count):
                "the kernel arguments have \(count) bytes; \(BootMenu.areaSize - 1) is the most"
            case .tooLarge(let file): "\(file) has 4 GiB or more, which no file of an ISO can have"
            case .noLoader: "neither a boot loader for BIOS nor one for UEFI is installed here"
            case .minimalDiffers: "the minimal ISO could not be rebuilt from what was packed of it"
            }
        }

        /// What the operator can do.
        public var advice: [String] {
            switch self {
            case .noLoader: ["On Debian: apt-get install isolinux syslinux-common shim-signed grub-efi-amd64-signed"]
            default: []
            }
        }
    }

    /// What was made.
    public struct Outcome: CustomStringConvertible {
        /// The ISO, by its absolute path.
        public var file: FilePath
        /// The size of the file.
        public var size: ByteCount
        /// The label of the volume.
        public var label: String
        /// The kernel command line of the boot menus, whole.
        public var arguments: String
        /// Whether BIOS machines can boot it.
        public var bootsBIOS: Bool
        /// Whether UEFI machines can boot it.
        public var bootsUEFI: Bool
        /// Whether everything that a UEFI machine starts is signed.
        public var isSigned: Bool
        /// What the operator should know, as lines.
        public var warnings: [String]

        /// `live.iso  148 MiB, label firstlight-1, boots BIOS and UEFI (Secure Boot)`.
        public var description: String {
            let uefi = isSigned ? "UEFI (Secure Boot)" : "UEFI"
            let ways = (bootsBIOS ? ["BIOS"] : []) + (bootsUEFI ? [uefi] : [])
            return "\(file)  \(size), label \(label), boots \(ways.joined(separator: " and "))"
        }
    }

    /// Makes the image.
    ///
    /// Nothing stands at `output` before it is complete.
    public func make(_ output: FilePath, telling progress: MakingProgress = .untold) throws -> Outcome {
        let output = Files.absolute(output)
        let parts = try LiveParts(kernel: kernel, initramfs: initramfs, rootfs: rootfs, telling: progress)
        let label = try label(for: parts.root)
        let arguments = try wholeArguments(label: label)
        for part in [kernel, initramfs, rootfs] where (Files.size(part) ?? 0) >= Self.longestFile {
            throw Failure.tooLarge(part)
        }
        let loaders = Loaders(below: system)
        guard loaders.bios != nil || loaders.uefi != nil else { throw Failure.noLoader }
        let folder = try TemporaryFolder(in: output.removingLastComponent())
        var tree = try stage(parts, label: label, arguments: arguments, loaders: loaders, in: folder.path)
        let image = folder.path.appending("full.iso")
        let minimal = folder.path.appending("minimal.iso")
        progress.step("making the minimal ISO")
        try write(tree, without: [Path.rootfs, Path.minimal], label: label, loaders, to: minimal)
        // This is usually enough, but not if the two images differ in more than their root image.
        var room = 16 << 10
        while true {
            tree[Path.minimal] = try staged("miniso.dat", [UInt8](repeating: 0, count: room), in: folder.path)
            progress.step("writing \(output)")
            try write(tree, without: [], label: label, loaders, to: image)
            progress.step("packing the minimal ISO")
            let packed = try pack(minimal, of: image)
            if packed.count <= room {
                try put(packed, at: Path.minimal, of: image)
                break
            }
            room = (packed.count + 4095) & ~4095
        }
        try Files.publish(image, as: output, permissions: parts.permissions)
        var warnings = parts.warnings
        if loaders.bios == nil {
            warnings.append("warning: BIOS machines cannot boot it; apt-get install isolinux syslinux-common")
        }
        if loaders.uefi == nil {
            warnings.append("warning: UEFI machines cannot boot it; apt-get install \(EFIPrograms.packages)")
        }
        let isSigned = loaders.uefi?.isSigned == true && parts.kernel.isSigned
        if loaders.uefi != nil, !isSigned {
            let what = parts.kernel.isSigned ? "shim and GRUB are" : "the kernel is"
            warnings.append("warning: with Secure Boot it does not boot; \(what) not signed")
        }
        return Outcome(
            file: output, size: ByteCount(Files.size(output) ?? 0), label: label, arguments: arguments,
            bootsBIOS: loaders.bios != nil, bootsUEFI: loaders.uefi != nil, isSigned: isSigned, warnings: warnings)
    }

    // MARK: Decisions

    /// Paths in the image that are named more than once.
    enum Path {
        static let rootfs = "images/pxeboot/rootfs.img"
        static let minimal = "coreos/miniso.dat"
        static let efi = "images/efiboot.img"
        static let isolinux = "isolinux/isolinux.bin"
    }

    func label(for root: RootImageFile) throws -> String {
        let allowed = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
        if let label {
            guard 1...32 ~= label.utf8.count, label.allSatisfy(allowed.contains) else { throw Failure.label(label) }
            return label
        }
        let version = (root.version ?? "").map { allowed.contains($0) ? $0 : "-" }
        return String(("firstlight" + (version.isEmpty ? "" : "-") + String(version)).prefix(32))
    }

    /// The line that kernels are started with.
    func wholeArguments(label: String) throws -> String {
        let own = arguments.split(separator: " ").joined(separator: " ")
        guard own.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7f }) else {
            throw Failure.arguments(arguments)
        }
        let all = ([own] + ["coreos.liveiso=\(label)", Self.provisioning]).filter { !$0.isEmpty }
        let text = all.joined(separator: " ")
        guard text.utf8.count < BootMenu.areaSize else { throw Failure.tooManyArguments(text.utf8.count) }
        return text
    }

    /// The boot loaders of this host.
    struct Loaders {
        struct BIOS {
            var isolinux: FilePath
            var library: FilePath
            /// What a BIOS starts from a disk or stick.
            var master: FilePath
        }

        var bios: BIOS?
        var uefi: EFIPrograms?

        init(below root: FilePath) {
            let folder = root.appending("usr/lib")
            let bios = BIOS(
                isolinux: folder.appending("ISOLINUX/isolinux.bin"),
                library: folder.appending("syslinux/modules/bios/ldlinux.c32"),
                master: folder.appending("ISOLINUX/isohdpfx.bin"))
            let isThere = [bios.isolinux, bios.library, bios.master].allSatisfy { Files.exists($0) }
            self.bios = isThere ? bios : nil
            uefi = EFIPrograms.installed(below: root)
        }
    }

    // MARK: Effects

    /// Every file of the image by its path in it, and where it comes from.
    private func stage(
        _ parts: LiveParts, label: String, arguments: String, loaders: Loaders, in folder: FilePath
    ) throws -> [String: FilePath] {
        var tree: [String: FilePath] = [
            "images/pxeboot/vmlinuz": Files.absolute(kernel), "images/pxeboot/initrd.img": Files.absolute(initramfs),
            Path.rootfs: Files.absolute(rootfs),
        ]
        var menus: [BootMenu] = []
        if let bios = loaders.bios {
            tree[Path.isolinux] = bios.isolinux
            tree["isolinux/ldlinux.c32"] = bios.library
            menus.append(.isolinux(arguments))
        }
        if let uefi = loaders.uefi {
            let image = folder.appending("efiboot.img")
            try EFIBootImage(programs: uefi, label: label, time: time).write(to: image, in: folder)
            tree[Path.efi] = image
            // Firmware starts the loaders in that image. These copies are for people who copy the files to a stick.
            for (source, path) in uefi.files { tree[path] = source }
            menus += BootMenu.grub(arguments)
        }
        func text(_ path: String, _ text: String) throws {
            let name = path.split(separator: "/").joined(separator: "-")
            tree[path] = try staged(name, Array(text.utf8), in: folder)
        }
        for menu in menus { try text(menu.path, menu.text) }
        if loaders.uefi != nil {
            let menu = BootMenu.grubMenu(name: label)
            try text(menu.path, menu.text)
        }
        try text("coreos/kargs.json", BootMenu.information(menus, arguments: arguments).text)
        try text("coreos/igninfo.json", "{\n  \"file\": \"images/ignition.img\"\n}\n")
        var features = parts.initramfs.features ?? Features()
        if parts.initramfs.features == nil { features.liveNetwork = true }
        try text("coreos/features.json", features.text)
        tree["images/ignition.img"] = try staged(
            "ignition.img", [UInt8](repeating: 0, count: Self.embedAreaSize), in: folder)
        return tree
    }

    private func staged(_ name: String, _ bytes: [UInt8], in folder: FilePath) throws -> FilePath {
        let file = folder.appending(name)
        try Files.write(bytes, to: file)
        return file
    }

    private func write(
        _ tree: [String: FilePath], without left: Set<String>, label: String, _ loaders: Loaders, to image: FilePath
    ) throws {
        try? Files.remove(image)
        // The tools for such images know 8.3 names in upper case.
        var words = ["-as", "mkisofs", "-quiet", "-o", image.string, "-V", label, "-iso-level", "1"]
        words += ["-J", "-joliet-long", "-R", "-uid", "0", "-gid", "0", "-dir-mode", "0755", "-file-mode", "0644"]
        if loaders.bios != nil {
            words += ["-b", Path.isolinux, "-c", "isolinux/boot.cat", "-no-emul-boot", "-boot-load-size", "4"]
            words += ["-boot-info-table"]
        }
        if let bios = loaders.bios { words += ["-isohybrid-mbr", bios.master.string] }
        if loaders.uefi != nil {
            if loaders.bios != nil { words.append("-eltorito-alt-boot") } else { words += ["-c", "boot.cat"] }
            words += ["-e", Path.efi, "-no-emul-boot"]
            if loaders.bios != nil { words.append("-isohybrid-gpt-basdat") }
        }
        // The files that a minimal image lacks come last: all other files lie at the same places in both images.
        for (path, weight) in [(Path.rootfs, "-2"), (Path.minimal, "-1")] where !left.contains(path) {
            words += ["--sort-weight", weight, "/\(path)"]
        }
        var environment = Command.defaultEnvironment
        if let time {
            environment.append("SOURCE_DATE_EPOCH=\(time)")
            words += ["--set_all_file_dates", "=\(time)"]
        }
        words.append("-graft-points")
        for (path, source) in tree.sorted(by: { $0.key < $1.key }) where !left.contains(path) {
            // If a source is a link, the image would hold the link itself.
            let file = Files.resolved(source) ?? source
            words.append("\(path)=\(Self.escaped(file.string))")
        }
        try HostProgram(name: "xorriso", package: "xorriso").run(words, environment: environment)
    }

    /// Escapes `=` and the backslash, which have a meaning in graft points.
    static func escaped(_ path: String) -> String {
        path.replacing("\\", with: "\\\\").replacing("=", with: "\\=")
    }

    // MARK: The minimal ISO

    /// What `coreos/miniso.dat` holds: enough to make the minimal image out of the full one.
    private func pack(_ minimal: FilePath, of full: FilePath) throws -> [UInt8] {
        let small = try ISO9660(ByteSource(file: minimal))
        let large = try ISO9660(ByteSource(file: full))
        let others = Dictionary(
            try large.walk().filter { !$0.entry.isDirectory }.map { ($0.path, $0.entry) },
            uniquingKeysWith: { first, _ in first })
        // A file that contains its own place, as a boot loader does, differs if its place differs.
        let common = try small.walk().filter { path, entry in
            guard !entry.isDirectory, let other = others[path], other.length == entry.length else { return false }
            return try Self.areEqual(entry, of: small.source, other, of: large.source)
        }
        let files = try MinimalISO.table(minimal: common, full: others.map { (path: $0.key, entry: $0.value) })
        let digest = bytes(hexadecimal: Array(try SHA256Digest.of(minimal).utf8)) ?? []
        var encoder = try XZEncoder(check: .crc64)
        var packed: [UInt8] = []
        var position: UInt64 = 0
        func add(upTo end: UInt64) throws {
            while position < end {
                let count = Int(min(1 << 20, end - position))
                packed += try encoder.add(small.source.bytes(at: position, count: count))
                position += UInt64(count)
            }
        }
        for file in files {
            let start = UInt64(file.minimal) * UInt64(ISO9660.sectorSize)
            try add(upTo: start)
            position = start + UInt64(file.length)
        }
        try add(upTo: small.source.length)
        packed += try encoder.finish()
        let result = try MinimalISO(
            program: "firstlight-image \(firstlightVersion)", files: files, digest: digest, packed: packed)
        try Self.rehearse(result, with: large.source)
        return result.bytes
    }

    private static func areEqual(
        _ one: ISO9660.Entry, of first: ByteSource, _ other: ISO9660.Entry, of second: ByteSource
    ) throws -> Bool {
        var at: UInt64 = 0
        while at < UInt64(one.length) {
            let count = Int(min(1 << 20, UInt64(one.length) - at))
            guard
                try first.bytes(at: one.offset + at, count: count) == second.bytes(at: other.offset + at, count: count)
            else { return false }
            at += UInt64(count)
        }
        return true
    }

    /// Rebuilds the minimal image without writing it anywhere.
    private static func rehearse(_ minimal: MinimalISO, with full: ByteSource) throws {
        let digest = SHA256Digest()
        var reader = try XZReader(minimal.packed)
        var held: [UInt8] = []
        for piece in minimal.pieces {
            switch piece {
            case .packed(let count):
                while held.count < Int(count), let part = try reader.next(1 << 16) { held += part }
                digest.add(Array(held.prefix(Int(count))))
                held.removeFirst(min(held.count, Int(count)))
            case .full(let offset, let count):
                var at: UInt64 = 0
                while at < count {
                    let part = try full.bytes(at: offset + at, count: Int(min(1 << 20, count - at)))
                    digest.add(part)
                    at += UInt64(part.count)
                }
            case .rest:
                digest.add(held)
                while let part = try reader.next(1 << 16) { digest.add(part) }
            }
        }
        guard digest.finish() == hexadecimal(minimal.digest) else { throw Failure.minimalDiffers }
    }

    private func put(_ bytes: [UInt8], at path: String, of image: FilePath) throws {
        let entry = try ISO9660(ByteSource(file: image)).file(path.uppercased())
        let descriptor = open(image.string, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileFault("write", image, Errno(rawValue: errno)) }
        defer { close(descriptor) }
        guard lseek(descriptor, off_t(entry.offset), SEEK_SET) >= 0 else {
            throw FileFault("write", image, Errno(rawValue: errno))
        }
        try Files.naming("write", image) { () throws(Errno) in try Files.writeAll(bytes, to: descriptor) }
    }
}
