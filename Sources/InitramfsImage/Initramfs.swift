// InitramfsImage: makes the boot images: initramfs and root image. It runs on the host, not during the boot.
//
// An initramfs has two parts. The kernel unpacks both, but the second is one file, a squashfs, which the agent
// mounts on /usr: so modules and tools stay compressed in memory until they are used.

import BootMedia
import IgnitionConfig
import KernelModules
import LinuxSystem
import LiveImage
import NetworkPlanning
import Reporting
import SystemPackage

/// What an initramfs is made of.
public struct Initramfs: Sendable {
    /// The kernel version; `nil` is the newest that is installed.
    public var kernel: String?
    /// The kernel modules to take.
    public var modules: ModuleSelection
    /// The static program that becomes `/init`.
    public var agent: FilePath
    /// An Ignition config to embed.
    public var ignition: FilePath?
    /// What is embedded instead of the config's own bytes: the Ignition config that they were translated to.
    public var ignitionBytes: [UInt8]?
    /// PEM files whose certificates are trusted in addition to the host's.
    public var certificates: [FilePath] = []
    /// NetworkManager keyfiles.
    public var network: [FilePath] = []
    /// The only root image that this initramfs accepts; `nil` accepts any.
    public var rootfs: FilePath?
    /// The older root image to fall back on; `nil` is none.
    public var fallback: FilePath?
    /// Another live initramfs, which gives this one its kernel modules, firmware and stamps instead of the host.
    public var original: FilePath?
    /// Additional files and folders.
    public var inclusions: [Inclusion] = []
    /// Whether the image can make and open LUKS volumes that are bound with Clevis.
    public var hasClevis = false
    /// Whether to pack in seconds rather than minutes, into an image about a quarter larger.
    public var isFast = false
    /// The folder where packed modules are kept for the next image; `nil` keeps none.
    public var cache: FilePath?
    /// The system that the parts are taken from.
    public var host = HostSystem()
    /// The modification time of all members, in seconds since 1970.
    public var time: UInt32 = 0
    /// Bytes from which on the drivers of cards, as they are installed, get an image of their own.
    var leastDrivers: UInt64 = 8 << 20
    /// What was taken from ``original`` as it is, by path.
    private var taken: [String: [UInt8]] = [:]

    /// Creates a description of an image with nothing optional in it.
    public init(modules: ModuleSelection, agent: FilePath) {
        self.modules = modules
        self.agent = agent
    }

    /// Why no initramfs can be made.
    public enum Failure: Error, CustomStringConvertible, Advising {
        case noSquashfs(kernel: String)
        case noAgent(FilePath)
        case dynamicAgent(FilePath)
        case badConfig(IgnitionConfig.Report)
        case notKeyfile(FilePath)
        /// No boot could use this keyfile, nor any of the others.
        case badKeyfile(NetworkKeyfile.Failure)
        case sameName(String)
        /// The real root of the older image would have no driver for anything that comes later.
        case fallbackWithoutModules(FilePath, kernel: String)
        case otherRootImage(FilePath, original: FilePath)
        case otherKernel(String, original: FilePath, kernel: String)

        /// What went wrong, for a message.
        public var description: String {
            switch self {
            case .noSquashfs(let kernel): "kernel \(kernel) has no squashfs or no loop devices"
            case .noAgent(let agent): "there is no agent at \(agent)"
            case .dynamicAgent(let agent): "\(agent) is not a static program"
            case .badConfig(let report): "the config has mistakes\n\(report)"
            case .notKeyfile(let file): "\(file) does not end in .nmconnection"
            case .badKeyfile(let failure): "\(failure)"
            case .sameName(let name): "two network files are called \(name)"
            case .fallbackWithoutModules(let file, let kernel):
                "\(file) cannot be the fallback: it has no modules for Linux \(kernel)"
            case .otherRootImage(let image, let original): "\(original) belongs to another root image than \(image)"
            case .otherKernel(let wanted, let original, let kernel):
                "\(original) is for Linux \(kernel), not for \(wanted)"
            }
        }

        /// What the operator can do.
        public var advice: [String] {
            switch self {
            case .noAgent, .dynamicAgent: ["Build the agent with `make agent`, or name one with --agent."]
            case .notKeyfile: ["NetworkManager reads only keyfiles with that ending."]
            case .badKeyfile(let failure): failure.advice
            case .fallbackWithoutModules(_, let kernel):
                ["Add them, and serve what it makes: firstlight-image rootfs --kernel \(kernel)"]
            case .otherRootImage: ["Take both from one build."]
            case .noSquashfs, .badConfig, .sameName, .otherKernel: []
            }
        }
    }

    /// What was made, and warnings about it.
    public struct Outcome: CustomStringConvertible {
        /// The image.
        public var image: FilePath
        /// The size of the image.
        public var size: ByteCount
        /// The kernel version.
        public var kernel: String
        /// The number of chosen modules.
        public var modules: Int
        /// Warnings, one text each.
        public var warnings: [String]

        /// What was made, in a line.
        public var description: String {
            "\(image)  \(size), Linux \(kernel), \(counted(modules, "module"))"
        }
    }

    /// Makes the image; there is no file at `output` before it is complete.
    ///
    /// - Parameters:
    ///   - output: Where the image is written.
    ///   - tell: Receives what takes long, when it begins.
    /// - Returns: What was made.
    /// - Throws: ``BootFailure`` with the step that failed.
    @discardableResult
    public func write(
        to output: FilePath, telling tell: (String) -> Void = { _ in }
    ) throws(BootFailure) -> Outcome {
        guard let original else { return try make(output, telling: tell) }
        tell("reading \(original)")
        let found = try OriginalInitramfs.read(original)
        var outcome = try taking(found, of: original).make(output, telling: tell)
        outcome.warnings = found.warnings + outcome.warnings
        return outcome
    }

    /// This description with what another initramfs has in place of what the host has.
    private func taking(_ found: borrowing OriginalInitramfs, of original: FilePath) throws(BootFailure) -> Initramfs {
        let version = found.kernel
        if let kernel, kernel != version {
            throw BootFailure(
                steps: ["looking for a kernel"],
                cause: Failure.otherKernel(kernel, original: original, kernel: version))
        }
        var whole = self
        whole.kernel = version
        whole.host.modules = found.modules
        whole.host.firmware = [found.firmware]
        whole.taken = found.files
        return whole
    }

    private func make(
        _ output: FilePath, telling tell: (String) -> Void
    ) throws(BootFailure) -> Outcome {
        let kernel = try step("looking for a kernel") { try host.kernel(self.kernel) }
        let index = try step("reading the modules of \(kernel)") { try host.index(of: kernel) }
        let chosen = try step("choosing modules") { try modules.paths(in: index) }
        var root = FileTree()
        var usr = FileTree()
        var drivers = FileTree()
        var own = FileTree()
        addFolders(to: &root)
        try step("adding the agent") { try addAgent(to: &root, and: &usr) }
        let isMounted = Self.mountsSquashfs(index)
        try step("adding modules") {
            if isMounted {
                try addEarlyModules(of: kernel, index: index, to: &root)
            } else if original == nil {
                throw Failure.noSquashfs(kernel: kernel)
            }
            let cards = isMounted ? cardDrivers(among: chosen, of: kernel, index) : []
            try addModules(chosen, of: kernel, index: index, beside: root, to: &usr, cards: cards, to: &drivers)
        }
        let firmware = try step("adding firmware") { try addFirmware(for: chosen, of: kernel, to: &usr) }
        try step("adding tools") { try addTools(to: &root, and: &usr) }
        try step("adding certificates") { try addCertificates(to: &root, and: &usr) }
        var warnings = try step("embedding configuration") { try addConfiguration(to: &own) }
        // Firmware that is missing from the original was never used with its modules.
        if original == nil, let warning = firmware.warning { warnings.append(warning) }
        addTaken(to: &own, and: &usr)
        tell("reading the root image")
        warnings += try step("adding the root image's hashes") { try addRootImageHashes(to: &own, kernel: kernel) }
        try step("adding files") { try addInclusions(to: &root, and: &usr) }
        let packing = Packing(
            time: time, first: common(in: index, below: kernel), isFast: isFast,
            cache: cache.map { PackedCache(folder: $0) })
        tell("compressing \(counted(chosen.count, "module")) into \(output)")
        try step("writing \(output)") {
            // Where the kernel mounts no squashfs, it unpacks everything.
            if !isMounted { root.add(usr, below: "usr") }
            try packing.write(
                root: root, own: own, usr: isMounted ? usr : nil, drivers: drivers, to: output, isPrivate: isPrivate)
        }
        return Outcome(
            image: output, size: ByteCount(Files.size(output) ?? 0), kernel: kernel, modules: chosen.count,
            warnings: warnings)
    }

    /// Why each module is in the image, and what it weighs: a line per module, by reason, 80 columns mostly.
    public func explanation() throws(BootFailure) -> String {
        guard let original else { return try explain() }
        let found = try OriginalInitramfs.read(original)
        return try taking(found, of: original).explain()
    }

    private func explain() throws(BootFailure) -> String {
        let kernel = try step("looking for a kernel") { try host.kernel(self.kernel) }
        let index = try step("reading the modules of \(kernel)") { try host.index(of: kernel) }
        let reasons = try step("choosing modules") { try modules.reasons(in: index) }
        let folder = host.folder(of: kernel)
        var order: [String] = []
        var groups: [String: [(name: String, size: UInt64)]] = [:]
        for reason in reasons {
            if groups[reason.text] == nil { order.append(reason.text) }
            let size = Files.size(folder.appending(reason.path)) ?? 0
            groups[reason.text, default: []].append((KernelModuleIndex.name(ofPath: reason.path), size))
        }
        let total = groups.values.joined().reduce(UInt64(0)) { $0 + $1.size }
        var lines = ["Linux \(kernel): \(counted(reasons.count, "module")), \(ByteCount(total)) as installed"]
        for text in order {
            let members = groups[text] ?? []
            let bytes = ByteCount(members.reduce(UInt64(0)) { $0 + $1.size })
            lines.append("\(text)  \(counted(members.count, "module")), \(bytes)")
            var line = " "
            for name in members.map(\.name) {
                if line.count + 1 + name.count > 80 {
                    lines.append(line)
                    line = " "
                }
                line += " \(name)"
            }
            lines.append(line)
        }
        return lines.joined(separator: "\n")
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
        // `ps`, `ls -l` and the shell's prompt need these.
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

    private func addTools(to root: inout FileTree, and usr: inout FileTree) throws {
        let busybox = try host.find(.busybox)
        usr.addCopy("bin/busybox", of: busybox, permissions: 0o755)
        for applet in try BusyboxApplets.all(of: busybox) { usr.addLink("bin/\(applet)", to: "busybox") }
        // The kernel runs it by this path.
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
            // Clevis scripts name bash by that path.
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
        guard Files.exists(host.certificates) else {
            throw HostSystem.Failure.missing(
                HostProgram(name: host.certificates.string, package: "ca-certificates"))
        }
        var bundle = try CertificateBundle(reading: host.certificates)
        for file in certificates { bundle.append(try CertificateBundle(reading: file)) }
        usr.addText(InitramfsPath.certificates, bundle.text)
        root.addLink("etc/ssl/certs/ca-certificates.crt", to: "/usr/\(InitramfsPath.certificates)")
    }

    /// Adds the config and the keyfiles; returns warnings about both.
    private func addConfiguration(to own: inout FileTree) throws -> [String] {
        var keyfiles: [NetworkKeyfile] = []
        var refused: [NetworkKeyfile.Failure] = []
        for file in network {
            let name = file.lastComponent?.string ?? ""
            guard file.extension == "nmconnection" else { throw Failure.notKeyfile(file) }
            let path = "etc/coreos-firstboot-network/\(name)"
            guard own[path] == nil else { throw Failure.sameName(name) }
            let bytes = try host.read(file)
            do throws(NetworkKeyfile.Failure) {
                keyfiles.append(try NetworkKeyfile(String(decoding: bytes, as: UTF8.self), file: name))
            } catch {
                // A keyfile that NetworkManager may understand is not a mistake, and another one may be enough.
                guard case .unsupported = error else { throw Failure.badKeyfile(error) }
                refused.append(error)
            }
            own.addBytes(path, bytes, permissions: 0o600)
        }
        let (profiles, others) = NetworkProfile.joined(keyfiles)
        refused += others
        if let first = refused.first, !profiles.contains(where: \.hasAddresses) { throw Failure.badKeyfile(first) }
        let doubts = keyfiles.flatMap(\.warnings) + refused.map { "\($0); the boot goes on without it" }
        guard let ignition else { return doubts }
        let bytes = try ignitionBytes ?? host.read(ignition)
        let report = IgnitionConfig.parse(bytes, name: ignition.string).report
        guard report.errors.isEmpty else { throw Failure.badConfig(report) }
        own.addBytes("config.ign", bytes, permissions: 0o600)
        return doubts + report.warnings.map(\.description)
    }

    /// Adds stamps and configs of the original.
    private func addTaken(to own: inout FileTree, and usr: inout FileTree) {
        for (path, bytes) in taken {
            if path.hasPrefix("usr/") {
                usr.addBytes(String(path.dropFirst(4)), bytes)
            } else {
                own.addBytes(path, bytes)
            }
        }
    }

    /// Adds the hashes of the root image, and of the older one; returns warnings about the images.
    private func addRootImageHashes(to own: inout FileTree, kernel: String) throws -> [String] {
        let advice = "`firstlight-image rootfs --kernel \(kernel)` adds them."
        var warnings: [String] = []
        if let rootfs {
            let facts = try RootImageFacts(reading: rootfs)
            if let original, let wanted = taken[LiveImageName.wantedStreamHash],
                try StreamHash(parsing: wanted) != facts.hash
            {
                throw Failure.otherRootImage(rootfs, original: original)
            }
            own.addText(LiveImageName.wantedStreamHash, facts.hash.text)
            own.addText(LiveImageName.wantedImageHash, facts.imageHash.text)
            if let version = facts.version {
                own.addText(LiveImageName.initramfsVersion, "\(version)\n")
                // Without it `pxe customize` puts no keyfiles in.
                if taken[BootMediaName.initramfsFeatures] == nil {
                    var features = Features()
                    features.liveNetwork = true
                    own.addText(BootMediaName.initramfsFeatures, features.text)
                }
            }
            warnings += facts.content.warning(kernel: kernel, advice: advice).map { [$0] } ?? []
        }
        if let fallback {
            let facts = try RootImageFacts(reading: fallback)
            own.addText(LiveImageName.wantedFallbackHash, facts.hash.text)
            if let warning = facts.content.warning(kernel: kernel, advice: advice) {
                // A root that works without modules does so in every version.
                guard !warnings.isEmpty else { throw Failure.fallbackWithoutModules(fallback, kernel: kernel) }
                warnings.append(warning)
            }
        }
        return warnings
    }

    private func addInclusions(to root: inout FileTree, and usr: inout FileTree) throws {
        for inclusion in inclusions { try inclusion.add(to: &root, and: &usr) }
    }
}

/// Paths in the image that several parts use.
enum InitramfsPath {
    /// The path of the certificates below `/usr`.
    static let certificates = "share/firstlight/ca-certificates.crt"
    /// The path of a module that the kernel unpacks; in the squashfs there is a link to it.
    static func earlyModule(_ path: String) -> String { "early/\(KernelModuleIndex.name(ofPath: path)).ko" }

    /// The file that is mounted on `/usr`.
    static let usr = "usr.squashfs"
    /// The file that is mounted on the folder of drivers.
    static let drivers = "drivers.squashfs"
    /// The path of that folder below `/usr`.
    static let driverFolder = "lib/firstlight/drivers"
}
