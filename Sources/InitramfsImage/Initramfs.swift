// InitramfsImage: makes the boot images: initramfs and root image. It runs on the host, not in the boot.
//
// An initramfs has two parts. The kernel unpacks both, but the second is one file, a squashfs, that
// the agent mounts on /usr: modules and tools stay compressed in memory until they are used.

import Hardware
import IgnitionConfig
import LinuxSystem
import LiveImage
import Reporting
import SystemPackage

/// What an initramfs is to be made of.
public struct Initramfs: Sendable {
    /// Kernel version; `nil` is the newest that is installed.
    public var kernel: String?
    public var modules: ModuleSelection
    /// The static program that becomes `/init`.
    public var agent: FilePath
    /// An Ignition config to embed.
    public var ignition: FilePath?
    /// What to embed in place of the config's own bytes: what they were translated to.
    public var ignitionBytes: [UInt8]?
    /// PEM files whose certificates are trusted besides the host's.
    public var certificates: [FilePath] = []
    /// NetworkManager keyfiles.
    public var network: [FilePath] = []
    /// The root image that this initramfs is to accept, and no other.
    public var rootfs: FilePath?
    public var inclusions: [Inclusion] = []
    /// Whether LUKS volumes that Clevis opens can be made and opened.
    public var hasClevis = false
    /// Whether to pack in seconds rather than minutes, into an image about a quarter larger.
    public var isFast = false
    public var host = HostSystem()
    /// Every member's modification time, in seconds since 1970.
    public var time: UInt32 = 0

    public init(modules: ModuleSelection, agent: FilePath) {
        self.modules = modules
        self.agent = agent
    }

    public enum Failure: Error, CustomStringConvertible, Advising {
        case noSquashfs(kernel: String)
        case noAgent(FilePath)
        case dynamicAgent(FilePath)
        case badConfig(IgnitionConfig.Report)
        case notKeyfile(FilePath)
        case sameName(String)

        public var description: String {
            switch self {
            case .noSquashfs(let kernel): "kernel \(kernel) has no squashfs or no loop devices"
            case .noAgent(let agent): "there is no agent at \(agent)"
            case .dynamicAgent(let agent): "\(agent) is not a static program"
            case .badConfig(let report): "the config has mistakes\n\(report)"
            case .notKeyfile(let file): "\(file) does not end in .nmconnection"
            case .sameName(let name): "two network files are called \(name)"
            }
        }

        public var advice: [String] {
            switch self {
            case .noAgent, .dynamicAgent: ["Build the agent with `make agent`, or name one with --agent."]
            case .notKeyfile: ["NetworkManager reads only keyfiles with that ending."]
            case .noSquashfs, .badConfig, .sameName: []
            }
        }
    }

    /// What was made, in a line, and what is worth a look.
    public struct Outcome: CustomStringConvertible {
        public var image: FilePath
        public var size: ByteCount
        public var kernel: String
        public var modules: Int
        public var warnings: [String]

        public var description: String {
            "\(image)  \(size), Linux \(kernel), \(counted(modules, "module"))"
        }
    }

    /// Makes the image. Nothing stands at `output` before it is complete.
    ///
    /// - Parameter tell: Told of what takes long, as it begins.
    @discardableResult
    public func write(
        to output: FilePath, telling tell: (String) -> Void = { _ in }
    ) throws(BootFailure) -> Outcome {
        let kernel = try step("looking for a kernel") { try host.kernel(self.kernel) }
        let index = try step("reading the modules of \(kernel)") { try host.index(of: kernel) }
        let chosen = try step("choosing modules") { try modules.paths(in: index) }
        var root = FileTree()
        var usr = FileTree()
        addFolders(to: &root)
        try step("adding the agent") { try addAgent(to: &root, and: &usr) }
        try step("adding modules") {
            try addEarlyModules(of: kernel, index: index, to: &root)
            try addModules(chosen, of: kernel, index: index, beside: root, to: &usr)
        }
        let firmware = try step("adding firmware") { try addFirmware(for: chosen, of: kernel, to: &usr) }
        try step("adding tools") { try addTools(to: &root, and: &usr) }
        try step("adding certificates") { try addCertificates(to: &root, and: &usr) }
        var warnings = try step("embedding configuration") { try addConfiguration(to: &root) }
        if let warning = firmware.warning { warnings.append(warning) }
        tell("reading the root image")
        warnings += try step("adding the root image's hashes") { try addRootImageHashes(to: &root, kernel: kernel) }
        try step("adding files") { try addInclusions(to: &root, and: &usr) }
        let packing = Packing(time: time, first: common(in: index, below: kernel), isFast: isFast)
        tell("compressing \(counted(chosen.count, "module")) into \(output)")
        try step("writing \(output)") {
            try packing.write(root: root, usr: usr, to: output, isPrivate: isPrivate)
        }
        return Outcome(
            image: output, size: ByteCount(Files.size(output) ?? 0), kernel: kernel, modules: chosen.count,
            warnings: warnings)
    }

    /// Configs and keyfiles hold secrets.
    var isPrivate: Bool { ignition != nil || !network.isEmpty }
}

// MARK: - Parts

extension Initramfs {
    private func addFolders(to root: inout FileTree) {
        for folder in ["dev", "early", "etc", "proc", "run", "sys", "sysroot", "tmp", "usr", "var"] {
            root.addFolder(folder)
        }
        for folder in ["bin", "sbin", "lib", "lib64"] { root.addLink(folder, to: "usr/\(folder)") }
        // For `ps`, `ls -l` and the shell's prompt.
        root.addText("etc/passwd", "root:x:0:0:root:/:/bin/sh\n")
        root.addText("etc/group", "root:x:0:\n")
    }

    private func addAgent(to root: inout FileTree, and usr: inout FileTree) throws {
        guard Files.exists(agent) else { throw Failure.noAgent(agent) }
        let elf = try ELFFile(host.read(agent))
        guard elf.interpreter == nil, elf.needed.isEmpty else { throw Failure.dynamicAgent(agent) }
        root.addCopy("init", of: agent, permissions: 0o755)
        usr.addLink("bin/firstlight", to: "/init")
    }

    /// What it takes to mount a squashfs that is a file.
    private func addEarlyModules(of kernel: String, index: KernelModuleIndex, to root: inout FileTree) throws {
        let wanted = ["loop", "squashfs"]
        guard wanted.allSatisfy({ index.isBuiltin($0) || index.path(of: $0) != nil }) else {
            throw Failure.noSquashfs(kernel: kernel)
        }
        var list = ""
        for path in index.closure(of: wanted) {
            let name = InitramfsPath.earlyModule(path)
            root.addBytes(name, try module(path, of: kernel))
            list += "/\(name)\n"
        }
        root.addText("early/modules.list", list)
    }

    private func addModules(
        _ paths: [String], of kernel: String, index: KernelModuleIndex, beside root: FileTree, to usr: inout FileTree
    ) throws {
        let folder = "lib/modules/\(kernel)"
        let source = host.modules.appending(kernel)
        for path in paths {
            let place = "\(folder)/\(ModuleFile.plainPath(path))"
            if root[InitramfsPath.earlyModule(path)] != nil {
                usr.addLink(place, to: "/\(InitramfsPath.earlyModule(path))")
            } else if ModuleFile.isCompressed(path) {
                usr.addBytes(place, try module(path, of: kernel))
            } else {
                usr.addCopy(place, of: source.appending(path))
            }
        }
        let subset = index.subset(of: paths)
        usr.addBytes("\(folder)/modules.dep", ModuleFile.plainPaths(inIndex: subset.dependencies))
        usr.addBytes("\(folder)/modules.alias", subset.aliases)
        usr.addBytes("\(folder)/modules.softdep", subset.softDependencies)
        usr.addCopy("\(folder)/modules.builtin", of: source.appending("modules.builtin"))
    }

    /// What the modules' devices are given before they work.
    private func addFirmware(for paths: [String], of kernel: String, to usr: inout FileTree) throws -> Firmware {
        var firmware = Firmware()
        let folders = host.firmware.flatMap { [$0.appending(kernel), $0] }
        for path in paths {
            let module = try module(path, of: kernel)
            let names: [String]
            do throws(ELFFile.Failure) {
                names = try Firmware.names(askedForBy: module)
            } catch {
                // What is no module is the kernel's to refuse.
                continue
            }
            for name in names { firmware.add(name, for: KernelModuleIndex.name(ofPath: path), in: folders) }
        }
        for (name, file) in firmware.files {
            let place = "lib/firmware/\(name)"
            if file.string.hasSuffix(name) {
                usr.addCopy(place, of: Files.resolved(file) ?? file)
            } else {
                usr.addBytes(place, try ModuleFile.read(file))
            }
        }
        return firmware
    }

    /// A module's image, decompressed.
    private func module(_ path: String, of kernel: String) throws -> [UInt8] {
        try ModuleFile.read(host.modules.appending(kernel).appending(path))
    }

    private func addTools(to root: inout FileTree, and usr: inout FileTree) throws {
        let busybox = try host.find(.busybox)
        usr.addCopy("bin/busybox", of: busybox, permissions: 0o755)
        for applet in try BusyboxApplets.all(of: busybox) { usr.addLink("bin/\(applet)", to: "busybox") }
        // The kernel calls it by this path.
        usr.addLink("sbin/modprobe", to: "/init")
        var programs = [busybox]
        for tool in host.stageTools + (hasClevis ? host.clevisTools : []) {
            let file = try host.find(tool)
            programs.append(file)
            usr.addCopy("sbin/\(tool.name)", of: file, permissions: 0o755)
        }
        usr.addLink("sbin/mkfs.vfat", to: "mkfs.fat")
        let libraries = SharedLibraries()
        if hasClevis, let program = programs.last {
            // What its scripts call by that path.
            usr.addLink("bin/bash", to: "../sbin/bash")
            for name in host.clevisLibraries {
                let (place, file) = try libraries.named(name, for: program)
                usr.addCopy(place, of: file, permissions: 0o755)
                programs.append(file)
            }
        }
        for (place, file) in try libraries.needed(by: programs) {
            usr.addCopy(place, of: file, permissions: 0o755)
        }
        if Files.exists(host.ext4Defaults) { root.addCopy("etc/mke2fs.conf", of: host.ext4Defaults) }
    }

    private func addCertificates(to root: inout FileTree, and usr: inout FileTree) throws {
        var bundle = try CertificateBundle(reading: host.certificates)
        for file in certificates { bundle.append(try CertificateBundle(reading: file)) }
        usr.addText(InitramfsPath.certificates, bundle.text)
        root.addLink("etc/ssl/certs/ca-certificates.crt", to: "/usr/\(InitramfsPath.certificates)")
    }

    /// - Returns: What is doubtful about the config.
    private func addConfiguration(to root: inout FileTree) throws -> [String] {
        for file in network {
            let name = file.lastComponent?.string ?? ""
            guard file.extension == "nmconnection" else { throw Failure.notKeyfile(file) }
            let path = "etc/coreos-firstboot-network/\(name)"
            guard root[path] == nil else { throw Failure.sameName(name) }
            root.addBytes(path, try host.read(file), permissions: 0o600)
        }
        guard let ignition else { return [] }
        let bytes = try ignitionBytes ?? host.read(ignition)
        let report = IgnitionConfig.parse(bytes, name: ignition.string).report
        guard report.errors.isEmpty else { throw Failure.badConfig(report) }
        root.addBytes("config.ign", bytes, permissions: 0o600)
        return report.warnings.map(\.description)
    }

    /// - Returns: What is doubtful about the root image.
    private func addRootImageHashes(to root: inout FileTree, kernel: String) throws -> [String] {
        guard let rootfs else { return [] }
        let facts = try RootImageFacts(reading: rootfs)
        root.addText(LiveImageName.wantedStreamHash, facts.hash.text)
        root.addText(LiveImageName.wantedImageHash, facts.imageHash.text)
        if let version = facts.version { root.addText(LiveImageName.initramfsVersion, "\(version)\n") }
        let advice = "`firstlight-image rootfs --kernel \(kernel)` adds them."
        return facts.content.warning(kernel: kernel, advice: advice).map { [$0] } ?? []
    }

    private func addInclusions(to root: inout FileTree, and usr: inout FileTree) throws {
        for inclusion in inclusions { try inclusion.add(to: &root, and: &usr) }
    }

    /// Paths in the squashfs of what most boots load, what is needed first in front.
    private func common(in index: KernelModuleIndex, below kernel: String) -> [String] {
        let folder = "lib/modules/\(kernel)"
        let modules = index.closure(of: ModuleSets.common).map { "\(folder)/\(ModuleFile.plainPath($0))" }
        return ["dep", "alias", "softdep", "builtin"].map { "\(folder)/modules.\($0)" } + modules
    }
}

/// Places in the image that more than one part names.
enum InitramfsPath {
    /// Below `/usr`.
    static let certificates = "share/firstlight/ca-certificates.crt"
    /// A module that the kernel unpacks; the one in the squashfs is a link to it.
    static func earlyModule(_ path: String) -> String { "early/\(KernelModuleIndex.name(ofPath: path)).ko" }

    /// The file that is mounted on `/usr`.
    static let usr = "usr.squashfs"
}
