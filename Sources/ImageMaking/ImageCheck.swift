// What a file is, what is in it, whether its parts belong together, and what boots it.

import BootMedia
import Glibc
import InitramfsImage
import JSONText
import LinuxSystem
import LiveImage
import Reporting
import SystemPackage

/// What `firstlight-image check` finds out about an image.
public struct ImageCheck: Sendable {
    /// One thing that is known: `kernel`, `Linux 6.1.0-9-amd64, signed`.
    public struct Fact: Equatable, Sendable {
        /// What it is about, in a word: `kernel`.
        public var topic: String
        /// What is known, as a phrase.
        public var text: String
    }

    /// The file or folder that was looked at.
    public var file: FilePath
    /// The size of the file.
    public var size: ByteCount
    /// A word for programs: `iso`, `rootfs`, `initramfs`, `kernel`, `uki`, `container`, `network-boot`, `unknown`.
    public var kind: String
    /// What it is, as a phrase: `a live ISO`.
    public var title: String
    /// What is known about the parts, in the order in which the page shows it.
    public var facts: [Fact] = []
    /// What keeps it from booting.
    public var problems: [String] = []
    /// The RAM that a boot takes, in bytes, without the RAM of the system itself, for each way to boot.
    public var memory: [(way: String, bytes: UInt64)] = []

    /// The page that people read, 80 columns.
    public var text: String {
        var lines = ["\(file)  \(size.bytes > 0 ? "\(size), " : "")\(title)"]
        for fact in facts { lines += Self.row(fact.topic, fact.text) }
        for (way, bytes) in memory {
            lines += Self.row("RAM", "\(ByteCount(bytes)) \(way), and what the system takes")
        }
        for problem in problems { lines += Self.row("PROBLEM", problem) }
        return lines.joined(separator: "\n")
    }

    private static func row(_ topic: String, _ text: String) -> [String] {
        let margin = String(repeating: " ", count: 14)
        var lines: [String] = []
        var line = "  " + topic + String(repeating: " ", count: max(1, 12 - topic.count))
        var isEmpty = true
        for word in text.split(separator: " ") {
            if !isEmpty, line.count + 1 + word.count > 80 {
                lines.append(line)
                line = margin
                isEmpty = true
            }
            line += (isEmpty ? "" : " ") + word
            isEmpty = false
        }
        return lines + [line]
    }

    /// The same for programs.
    public var json: JSONValue {
        [
            "file": .string(file.string), "bytes": JSONValue(size.bytes), "kind": .string(kind),
            "title": .string(title), "facts": .object(facts.map { .init($0.topic, .string($0.text)) }),
            "ram": .object(memory.map { .init($0.way, JSONValue($0.bytes)) }),
            "problems": .array(problems.map(JSONValue.string)), "ok": .bool(problems.isEmpty && kind != "unknown"),
        ]
    }

    private init(_ file: FilePath, _ size: UInt64, kind: String, title: String) {
        self.file = file
        self.size = ByteCount(size)
        self.kind = kind
        self.title = title
    }

    private mutating func add(_ topic: String, _ text: String?) {
        if let text { facts.append(Fact(topic: topic, text: text)) }
    }

    // MARK: Telling what it is

    /// Looks into whatever stands at `file`.
    public init(_ file: FilePath, telling progress: MakingProgress = .untold) throws {
        guard let status = Files.status(file) else { throw FileFault("read", file, .noSuchFileOrDirectory) }
        progress.step("reading \(file)")
        if status.st_mode & S_IFMT == S_IFDIR {
            self = try Self.folder(file, telling: progress)
            return
        }
        let source = try ByteSource(file: file)
        let head = try source.bytes(at: 0, count: Int(min(source.length, 64 << 10)))
        if head.count > 0x8006, head[0x8001..<0x8006].elementsEqual(Array("CD001".utf8)) {
            self = try Self.iso(file, source, telling: progress)
        } else if head.count > 0x206, head[0x202..<0x206].elementsEqual(Array("HdrS".utf8)) {
            self = Self.kernel(try KernelFile(file))
        } else if let pe = try? PEFile(head: head, size: source.length) {
            self = try Self.program(file, pe, source)
        } else if head.withUnsafeBytes({ RootImageFormat(head: $0) }) != nil || Self.startsAsRootImage(head) {
            self = Self.root(try RootImageFile(file))
        } else if head.starts(with: NewcHeader.magic)
            || Compression.allCases.contains(where: { head.starts(with: $0.magic) })
        {
            self = try Self.archive(file, source)
        } else {
            self = try Self.other(file, source, head)
        }
    }

    /// Whether an archive's first member is a root filesystem.
    private static func startsAsRootImage(_ head: [UInt8]) -> Bool {
        head.starts(with: NewcHeader.magic) && head.count > 124
            && LiveImageName.rootImages.contains { head[110...].starts(with: Array($0.utf8) + [0]) }
    }

    private static func kernel(_ kernel: KernelFile) -> ImageCheck {
        var check = ImageCheck(kernel.file, kernel.size, kind: "kernel", title: "a Linux kernel")
        check.add("version", kernel.version)
        check.add("boots", kernel.hasEFIStub ? "by any boot loader, and by UEFI firmware itself" : "by a boot loader")
        check.add("Secure Boot", kernel.isSigned ? "signed" : "not signed")
        return check
    }

    private static func root(_ root: RootImageFile) -> ImageCheck {
        var check = ImageCheck(root.file, root.size, kind: "rootfs", title: "a root image")
        check.add("format", "\(root.format)\(root.version == nil ? ", bare" : "")")
        check.add("version", root.version ?? "none: no initramfs can recognize it by one")
        check.add("modules", root.kernels.map { $0.isEmpty ? "none" : "for Linux \($0.joined(separator: ", "))" })
        check.add("boots", "with an initramfs: coreos.live.rootfs_url=, a second initrd, or an ISO")
        check.memory = [
            ("from a URL, besides the initramfs", MemoryNeed(initramfs: 0, root: root.size).fromURL)
        ]
        return check
    }

    private static func initramfs(_ file: InitramfsFile) -> ImageCheck {
        var check = ImageCheck(file.file, file.size, kind: "initramfs", title: "an initramfs")
        check.describe(file)
        check.add("boots", "with its kernel, by any boot loader")
        check.memory = [("besides the root image", MemoryNeed(initramfs: file.size, root: 0).fromMedium)]
        return check
    }

    private mutating func describe(_ initramfs: InitramfsFile) {
        if kind == "initramfs" {
            add("kernel", initramfs.kernels.isEmpty ? nil : "Linux \(initramfs.kernels.joined(separator: ", "))")
        }
        add("build", initramfs.version ?? "none: this is not a live initramfs")
        add("accepts", initramfs.wantedHash == nil ? "any root image" : "one root image, by its stream hash")
        let keyfiles = initramfs.keyfiles > 0 ? ", \(counted(initramfs.keyfiles, "keyfile"))" : ""
        add("config", (initramfs.hasConfig ? "an Ignition config" : "none") + keyfiles)
        if initramfs.holdsRootImage { add("root", "appended") }
    }

    private static func archive(_ file: FilePath, _ source: ByteSource) throws -> ImageCheck {
        // A compressed file may be a tar archive as well; only what is in it tells.
        do {
            return initramfs(try InitramfsFile(file))
        } catch {
            guard let other = try? other(file, source, []), other.kind != "unknown" else { throw error }
            return other
        }
    }

    private static func program(_ file: FilePath, _ pe: PEFile, _ source: ByteSource) throws -> ImageCheck {
        func text(_ name: String) throws -> String? {
            guard let section = pe.sections.first(where: { $0.name == name }), section.virtualSize < 1 << 16 else {
                return nil
            }
            let size = min(section.virtualSize, section.storedSize)
            return trimmed(try source.bytes(at: UInt64(section.offset), count: Int(size)))
        }
        guard let linux = pe.sections.first(where: { $0.name == ".linux" }),
            let initrd = pe.sections.first(where: { $0.name == ".initrd" })
        else {
            var check = ImageCheck(file, source.length, kind: "efi", title: "a UEFI program")
            check.add("Secure Boot", pe.isSigned ? "signed" : "not signed")
            return check
        }
        func range(_ section: PEFile.Section) -> Range<UInt64> {
            UInt64(section.offset)..<UInt64(section.offset) + UInt64(min(section.virtualSize, section.storedSize))
        }
        var check = ImageCheck(file, source.length, kind: "uki", title: "a unified kernel image")
        let kernel = try KernelFile(file, range(linux))
        check.add("boots", "UEFI machines by itself: a disk, a stick, HTTP boot")
        check.add("Secure Boot", pe.isSigned ? "signed" : "not signed")
        check.add("kernel", kernel.version.map { "Linux \($0)" })
        let initramfs = try InitramfsFile(file, range(initrd))
        check.describe(initramfs)
        check.pair(initramfs, kernel)
        check.add("arguments", try text(".cmdline"))
        check.memory = [
            ("besides a root image that is fetched", MemoryNeed(initramfs: UInt64(initrd.storedSize), root: 0).loaded)
        ]
        return check
    }

    private static func iso(_ file: FilePath, _ source: ByteSource, telling progress: MakingProgress) throws
        -> ImageCheck
    {
        let image = try ISO9660(source)
        var check = ImageCheck(file, source.length, kind: "iso", title: "an ISO image")
        check.add("label", image.primary.volumeID)
        guard let live = try? LiveISO(image) else {
            check.problems.append("it is not a live ISO: it has no room for a config")
            return check
        }
        check.title = "a live ISO"
        func place(_ path: String) throws -> Range<UInt64>? {
            try image.fileIfPresent(path).map { $0.offset..<$0.offset + UInt64($0.length) }
        }
        let isBIOS = try image.fileIfPresent("ISOLINUX/ISOLINUX.BIN") != nil
        let isUEFI = try image.fileIfPresent("IMAGES/EFIBOOT.IMG") != nil
        let sector = try source.bytes(at: 0, count: 512)
        let isHybrid = sector[510] == 0x55 && sector[511] == 0xaa
        let machines = (isBIOS ? ["BIOS"] : []) + (isUEFI ? ["UEFI"] : [])
        let media = isHybrid ? "a CD, a stick or a virtual medium" : "a CD or a virtual medium"
        check.add(
            "boots", machines.isEmpty ? "nothing" : "\(machines.joined(separator: " and ")) machines, from \(media)")
        let kernel = try place("IMAGES/PXEBOOT/VMLINUZ").flatMap { try? KernelFile(file, $0) }
        if let kernel {
            check.add(
                "kernel", "\(kernel.version.map { "Linux \($0), " } ?? "")\(kernel.isSigned ? "signed" : "not signed")")
        } else {
            check.problems.append("it has no kernel at images/pxeboot/vmlinuz")
        }
        progress.step("reading the initramfs in \(file)")
        let initramfs = try place("IMAGES/PXEBOOT/INITRD.IMG").map { try InitramfsFile(file, $0) }
        if let initramfs {
            check.add("initramfs", "\(ByteCount(initramfs.size)), build \(initramfs.version ?? "none")")
            if let kernel { check.pair(initramfs, kernel) }
        } else {
            check.problems.append("it has no initramfs at images/pxeboot/initrd.img")
        }
        if let range = try place(BootMediaName.rootImage) {
            progress.step("reading the root image in \(file)")
            let root = try RootImageFile(file, range)
            check.add("root", "\(ByteCount(root.size)), \(root.format), build \(root.version ?? "none")")
            if let initramfs { check.pair(initramfs, root, kernel) }
        } else {
            check.add("root", "none: a minimal ISO, which fetches it from a URL")
        }
        check.add("config", live.initrd.files.config != nil ? "embedded" : "none embedded")
        let keyfiles = live.initrd.files.network.count
        if keyfiles > 0 { check.add("network", "\(counted(keyfiles, "keyfile")) embedded") }
        if let areas = try? live.arguments {
            check.add("arguments", areas.arguments + (areas.areDefault ? "" : " (changed)"))
        }
        check.add("minimal", try image.fileIfPresent(BootMediaName.minimalISO) != nil ? "one can be extracted" : nil)
        if let initramfs {
            let least = MemoryNeed(initramfs: initramfs.size, root: 0).fromMedium
            check.memory = [("besides the root image that is fetched", least)]
            if let root = try place(BootMediaName.rootImage) {
                check.memory = [("from the medium", least)]
                let whole = MemoryNeed(initramfs: initramfs.size, root: UInt64(root.count)).fromURL
                check.memory.append(("with coreos.liveiso.fromram", whole))
            }
        }
        return check
    }

    private mutating func pair(_ initramfs: InitramfsFile, _ kernel: KernelFile) {
        guard let others = initramfs.others(than: kernel) else { return }
        problems.append("the initramfs has the modules of \(others), and the kernel is \(kernel.version ?? "")")
    }

    private mutating func pair(_ initramfs: InitramfsFile, _ root: RootImageFile, _ kernel: KernelFile?) {
        switch Pairing(initramfs, root) {
        case .differ(let reason): problems.append("\(Pairing.differ(reason))")
        case let pairing: add("pair", "\(pairing)")
        }
        if let version = kernel?.version, let kernels = root.kernels, !kernels.contains(version) {
            add("note", "the root has no modules for Linux \(version)")
        }
    }

    private static func folder(_ folder: FilePath, telling progress: MakingProgress) throws -> ImageCheck {
        let parts = NetworkBootMaking.parts
        let files = [parts.kernel, parts.initramfs, parts.rootfs].map { folder.appending($0) }
        if files.allSatisfy({ Files.exists($0) }) {
            let kernel = try KernelFile(files[0])
            let initramfs = try InitramfsFile(files[1])
            let root = try RootImageFile(files[2])
            var check = ImageCheck(
                folder, kernel.size &+ initramfs.size &+ root.size, kind: "network-boot", title: "a folder to boot from"
            )
            check.add("boots", "by iPXE, PXELINUX, GRUB, matchbox, Tinkerbell")
            check.add("kernel", kernel.version.map { "Linux \($0)" })
            check.add("initramfs", "\(ByteCount(initramfs.size)), build \(initramfs.version ?? "none")")
            check.add("root", "\(ByteCount(root.size)), \(root.format), build \(root.version ?? "none")")
            check.pair(initramfs, kernel)
            check.pair(initramfs, root, kernel)
            let need = MemoryNeed(initramfs: initramfs.size, root: root.size)
            check.memory = [
                ("from a URL", need.fromURL),
                ("loaded with the initramfs, with rootfstype=ramfs", need.loaded),
                ("loaded with the initramfs", need.loadedWithLimit),
            ]
            return check
        }
        let room = try TemporaryFolder()
        switch try RootInput(folder, telling: progress, in: room.path) {
        case .layout(let layout): return container(folder, 0, layout)
        case .folder(let reader): return tree(folder, reader.tree)
        case .archive, .filesystem: return ImageCheck(folder, 0, kind: "unknown", title: "a folder")
        }
    }

    private static func container(_ file: FilePath, _ size: UInt64, _ layout: ImageArchive) -> ImageCheck {
        var check = ImageCheck(file, size, kind: "container", title: "a layout of container images")
        do {
            let image = try ContainerImage(in: layout, named: nil, architecture: RootMaking.architecture)
            check.add("name", image.name)
            check.add("version", image.version)
            check.add("layers", "\(image.layers.count)")
            for layer in image.layers where layout.place(of: layer.path) == nil {
                check.problems.append("\(layer.path) is missing")
            }
        } catch {
            check.problems.append("\(error)")
        }
        check.add("boots", "once `firstlight-image rootfs` has made a root image of it")
        return check
    }

    private static func tree(_ file: FilePath, _ tree: RootTree) -> ImageCheck {
        var check = ImageCheck(file, 0, kind: "tree", title: "a folder with a root")
        check.add("files", "\(tree.entries.count)")
        for trace in BuildTrace.found(in: tree) { check.add("one build's", "/\(trace.path)") }
        check.problems += RootMaking.lacks(of: tree, kernel: nil).map(\.description)
        check.add("boots", "once `firstlight-image rootfs` has made a root image of it")
        return check
    }

    private static func other(_ file: FilePath, _ source: ByteSource, _ head: [UInt8]) throws -> ImageCheck {
        let room = try TemporaryFolder()
        switch try? RootInput(file, telling: .untold, in: room.path) {
        case .layout(let layout)?: return container(file, source.length, layout)
        case .archive(let archive)?:
            var tree = RootTree()
            try tree.add(tar: archive, called: "\(file)")
            var check = Self.tree(file, tree)
            check.size = ByteCount(source.length)
            check.title = "a tar archive with a root"
            return check
        default: break
        }
        let known = head.withUnsafeBytes { bytes in
            knownByItsFirstBytes(
                UnsafeRawBufferPointer(rebasing: bytes.prefix(RootImageFormat.headLength)), isoMagic: bytes.prefixOfNone
            )
        }
        return ImageCheck(file, source.length, kind: "unknown", title: known ?? "nothing that boots")
    }
}

extension UnsafeRawBufferPointer {
    fileprivate var prefixOfNone: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: prefix(0)) }
}
