// Making a root image of whatever holds a root: a folder, a container image, a tar archive, a filesystem image.

import CLinux
import Glibc
import InitramfsImage
import LinuxSystem
import LiveImage
import Reporting
import SystemPackage

/// What `firstlight-image rootfs` is asked for.
public struct RootMaking: Sendable {
    /// A folder, a container image (an OCI layout, or what `docker save` writes), a tar archive, a squashfs or an erofs.
    public var source: FilePath
    /// `nil`: squashfs, or what the source is.
    public var format: RootImageFormat.Filesystem?
    /// One line; `nil` is made of the image's hash.
    public var version: String?
    /// What files' times are limited to, and the image's own time, in seconds since 1970; `nil`: files keep theirs.
    public var time: UInt32?
    /// The kernel whose modules are added.
    public var kernel: String?
    /// Which image of a layout that holds several.
    public var image: String?
    /// Whether what belongs to one build stays: machine-id, SSH host keys, resolv.conf.
    public var keepsTraces = false
    /// Whether a squashfs is compressed less (zstd level 3), which takes less time; an erofs is made as always.
    public var isFast = false
    /// The system that kernel modules are taken from.
    public var host = HostSystem()

    /// Creates a request with the usual settings for everything but the source.
    public init(source: FilePath) { self.source = source }

    /// Why no root image can be made of the source.
    public enum Failure: Error, CustomStringConvertible, Advising {
        case unknown(FilePath)
        case empty(FilePath)
        case convertingNeedsRoot(FilePath)
        case imageOfNoLayout(FilePath)
        /// The image would hold itself, or an older one: what is written, and what it is made of.
        case insideOfSource(FilePath, FilePath)
        /// mksquashfs has added a root to the one that was there.
        case appended(FilePath)

        /// What went wrong, for a message.
        public var description: String {
            switch self {
            case .unknown(let file):
                "\(file) is not a folder, a container image, a tar archive, a squashfs or an erofs"
            case .empty(let file): "\(file) holds no files"
            case .convertingNeedsRoot: "taking a filesystem image apart needs root, to keep its files' owners"
            case .imageOfNoLayout(let file): "\(file) is not a layout of container images"
            case .insideOfSource(let output, let source): "\(output) lies in \(source), which it would be made of"
            case .appended(let file): "\(file) holds two roots: /usr of the older, and the newer's as /usr_1"
            }
        }

        /// What the operator can do.
        public var advice: [String] {
            switch self {
            case .convertingNeedsRoot: ["Run it as root, or leave --format out."]
            case .imageOfNoLayout: ["Leave --image out."]
            case .insideOfSource: ["Choose a place outside of it; what `-o -` streams is made in /var/tmp first."]
            case .appended:
                [
                    "mksquashfs adds to a file that is there: give it -noappend, or pack the folder",
                    "without it: firstlight-image rootfs FOLDER",
                ]
            case .unknown, .empty: []
            }
        }
    }

    /// What was made.
    public struct Outcome: CustomStringConvertible {
        /// The root image, by its absolute path.
        public var file: FilePath
        /// The size of the file.
        public var size: ByteCount
        /// The filesystem in it.
        public var format: RootImageFormat.Filesystem
        /// The version that the image states.
        public var version: String
        /// SHA-256 of the file, what `firstlight.rootfs_sha256=` takes.
        public var digest: String
        /// What an initramfs has to know to accept this image alone.
        public var stamps: RootImageArchive.Stamps
        /// What belongs to one build and was taken out.
        public var takenOut: [BuildTrace] = []
        /// What else was left out: mount points' contents, sockets.
        public var leftOut: [String] = []
        /// What a boot would miss, and what of one build was left in, as lines for the operator.
        public var warnings: [String] = []

        /// `rootfs.img  127 MiB, squashfs, version 2026.11.1`.
        public var description: String { "\(file)  \(size), \(format), version \(version)" }

        /// A line for each thing that is not in the image.
        public var notes: [String] {
            takenOut.map { "taken out: /\($0.path): \($0.reason)" } + leftOut.map { "left out: \($0)" }
        }
    }

    /// Makes the image.
    ///
    /// Nothing stands at `output` before it is complete.
    public func make(_ output: FilePath, telling progress: MakingProgress = .untold) throws -> Outcome {
        let output = Files.absolute(output)
        let source = Files.absolute(source)
        guard Files.status(source) != nil else { throw FileFault("read", self.source, .noSuchFileOrDirectory) }
        guard !Self.isPacked(output, with: source) else { throw Failure.insideOfSource(output, self.source) }
        // The folder of the result has room for something of its size.
        let folder = try TemporaryFolder(in: output.removingLastComponent())
        var outcome: Outcome
        let input = try RootInput(source, telling: progress, in: folder.path)
        if image != nil, !input.isLayout { throw Failure.imageOfNoLayout(self.source) }
        switch input {
        case .filesystem(let own) where format == nil || format == own:
            outcome = try wrap(source, own, to: output, telling: progress)
        case .filesystem(let own):
            let tree = try takeApart(source, own, in: folder.path, telling: progress)
            guard !Self.isAppended(tree) else { throw Failure.appended(self.source) }
            outcome = try pack(tree, to: output, in: folder.path, telling: progress)
        case .folder(let reader):
            outcome = try pack(reader.tree, to: output, in: folder.path, telling: progress)
            outcome.leftOut += reader.mounts.map { "what is mounted on /\($0)" }
            outcome.leftOut += reader.sockets.map { "/\($0), a socket" }
        case .archive(let archive):
            var tree = RootTree()
            try tree.add(tar: archive, called: "\(self.source)")
            outcome = try pack(tree, to: output, in: folder.path, telling: progress)
        case .layout(let layout):
            let chosen = try ContainerImage(in: layout, named: image, architecture: Self.architecture)
            let tree = try self.tree(of: chosen, in: layout, room: folder.path, telling: progress)
            var making = self
            making.version = version ?? chosen.version
            outcome = try making.pack(tree, to: output, in: folder.path, telling: progress)
        }
        return outcome
    }

    /// Whether a new file is among those that the image is made of.
    private static func isPacked(_ file: FilePath, with source: FilePath) -> Bool {
        guard Files.isFolder(source), !RootInput.isLayout(source), let root = Files.resolved(source),
            let folder = Files.resolved(file.removingLastComponent()), folder.starts(with: root)
        else { return false }
        // What is mounted in a folder is not taken along.
        return Files.status(folder)?.st_dev == Files.status(root)?.st_dev
    }

    /// This machine's kind, as Go calls it.
    static var architecture: String {
        #if arch(arm64)
            "arm64"
        #else
            "amd64"
        #endif
    }

    private func tree(
        of image: ContainerImage, in layout: ImageArchive, room: FilePath, telling progress: MakingProgress
    ) throws -> RootTree {
        var tree = RootTree()
        for (index, layer) in image.layers.enumerated() {
            let name = "layer \(index + 1) of \(image.layers.count)"
            progress.step("reading \(name)")
            guard let place = layout.place(of: layer.path) else {
                throw ContainerImage.Failure.missing(layout.name, layer.path)
            }
            if let digest = layer.digest, try SHA256Digest.of(place.file, place.range) != digest {
                throw ContainerImage.Failure.otherDigest(layout.name, layer.path)
            }
            let plain = try PlainFile(place, decompressingInto: room, as: "layer\(index)")
            if let digest = layer.plainDigest, try SHA256Digest.of(plain.file, plain.range) != digest {
                throw ContainerImage.Failure.otherDigest(layout.name, layer.path)
            }
            try tree.lay(plain, called: name)
        }
        return tree
    }

    /// The files of a filesystem image, for a result of another format, which is made anew.
    private func takeApart(
        _ image: FilePath, _ format: RootImageFormat.Filesystem, in folder: FilePath, telling progress: MakingProgress
    ) throws -> RootTree {
        guard geteuid() == 0 else { throw Failure.convertingNeedsRoot(image) }
        let root = folder.appending("apart")
        progress.step("taking \(image) apart")
        switch format {
        case .squashfs:
            try HostProgram.listSquashfs.run(["-no-progress", "-quiet", "-dest", root.string, image.string])
        case .erofs:
            try HostProgram(name: "fsck.erofs", package: "erofs-utils").run([
                "--extract=\(root)", "--preserve", image.string,
            ])
        }
        return try FolderReader(root).tree
    }

    private func pack(
        _ whole: RootTree, to output: FilePath, in folder: FilePath, telling progress: MakingProgress
    ) throws -> Outcome {
        guard !whole.entries.isEmpty else { throw Failure.empty(source) }
        var tree = whole
        var warnings: [String] = []
        let takenOut = keepsTraces ? [] : try BuildTrace.takeOut(of: &tree)
        if !keepsTraces, let shadow = try BuildTrace.shadow(in: tree) {
            warnings += BuildTrace.warning(ofShadow: shadow).map { [$0] } ?? []
        }
        if kernel != nil || host.kernelFolder != nil {
            let version = try host.kernel(kernel)
            try addModules(of: version, to: &tree)
            warnings += Self.lacks(of: tree, kernel: version).map { "warning: \($0)" }
        } else {
            warnings += Self.lacks(of: tree, kernel: host.kernels.last).map { "warning: \($0)" }
        }
        let format = format ?? .squashfs
        let image = folder.appending("image")
        progress.step("packing the \(format)")
        let packing = TreePacking(
            tree: tree, format: format, time: time ?? 0, latest: time.map(Int64.init), isFast: isFast)
        try packing.write(to: image, in: folder, telling: progress)
        var outcome = try finish(image, to: output, telling: progress)
        outcome.takenOut = takenOut
        outcome.leftOut = packing.leftOut
        outcome.warnings += warnings
        return outcome
    }

    /// A filesystem image as it is, or with modules added.
    private func wrap(
        _ image: FilePath, _ format: RootImageFormat.Filesystem, to output: FilePath, telling progress: MakingProgress
    ) throws -> Outcome {
        progress.step("reading \(image)")
        let tree = RootTree.listed(in: image, format)
        if let tree, Self.isAppended(tree) { throw Failure.appended(source) }
        var root = RootImageArchive(image: image, version: try version ?? Self.version(of: image))
        root.time = time ?? 0
        root.latest = time
        root.isFast = isFast
        root.kernel = kernel
        root.host = host
        let made = try root.make(output, telling: progress.step)
        var outcome = try described(made, at: output, telling: progress)
        outcome.warnings += warnings(of: tree, in: image, format)
        return outcome
    }

    /// What an image lacks that stays as it is, and what of one build is in it; `tree` lists it, where that is known.
    private func warnings(
        of tree: RootTree?, in image: FilePath, _ format: RootImageFormat.Filesystem
    ) -> [String] {
        guard let tree else {
            return ["warning: \(source) was not looked into for an init and for what belongs to one build"]
        }
        var warnings = Self.lacks(of: tree, kernel: nil).map { "warning: \($0)" }
        guard !keepsTraces else { return warnings }
        warnings += BuildTrace.left(in: tree).map {
            "warning: \(source) holds /\($0.path), which belongs to one build; an image of the root's files omits it"
        }
        if format == .squashfs, case .file? = tree[BuildTrace.shadow]?.kind {
            let shadow = try? HostProgram.listSquashfs.run(["-quiet", "-cat", image.string, BuildTrace.shadow])
            warnings += BuildTrace.warning(ofShadow: shadow?.text ?? "").map { [$0] } ?? []
        }
        return warnings
    }

    /// Whether it is what mksquashfs leaves that is given an image of before: it renames what is there already.
    private static func isAppended(_ tree: RootTree) -> Bool { tree["usr"] != nil && tree["usr_1"] != nil }

    private func finish(_ image: FilePath, to output: FilePath, telling progress: MakingProgress) throws -> Outcome {
        var root = RootImageArchive(image: image, version: try version ?? Self.version(of: image))
        root.time = time ?? 0
        progress.step("writing \(output)")
        return try described(try root.write(to: output), at: output, telling: progress)
    }

    private func described(
        _ made: RootImageArchive.Outcome, at output: FilePath, telling progress: MakingProgress
    ) throws -> Outcome {
        progress.step("hashing \(output)")
        return Outcome(
            file: output, size: made.size, format: made.format, version: made.version,
            digest: try SHA256Digest.of(output), stamps: try RootImageArchive.stamps(of: output),
            warnings: made.warnings)
    }

    /// The version if none is given: it changes with the image and with nothing else.
    private static func version(of image: FilePath) throws -> String { String(try SHA256Digest.of(image).prefix(16)) }

    // MARK: What is in a root

    private func addModules(of kernel: String, to tree: inout RootTree) throws {
        let folder = host.folder(of: kernel)
        var modules = try FolderReader(folder).tree
        // They lead to the kernel's source on the machine that this is made on.
        for name in ["build", "source"] { try modules.remove(Array(name.utf8)) }
        // Where /lib is a link the modules belong below /usr.
        let isMerged = tree["lib"].map { !$0.kind.isFolder } ?? true
        let place = "\(isMerged ? "usr/lib" : "lib")/modules/\(kernel)"
        try tree.remove(Array(place.utf8))
        try tree.put(.folder, RootTree.Attributes(permissions: 0o755), at: Array(place.utf8))
        try tree.add(modules, at: place)
    }

    /// Something that a boot would stop at, or miss.
    enum Lack: Equatable, CustomStringConvertible {
        case noInit
        /// `others`: the kernels whose modules are there.
        case noModules(kernel: String, others: [String])

        /// What is lacking and what helps, in one line or more.
        var description: String {
            switch self {
            case .noInit: return "the root has no init, which a boot needs; container images seldom have one"
            case .noModules(let kernel, let others):
                let exception = others.isEmpty ? "" : ", but for \(others.joined(separator: ", "))"
                return "the root has no modules for Linux \(kernel)\(exception).\n"
                    + "  It will have no nftables, no autofs and no driver that is not loaded by then.\n"
                    + "  --kernel \(kernel) adds them."
            }
        }
    }

    /// Where an init may be, and what it may be reached by.
    static let foldersOfInits = [
        "usr", "usr/lib/systemd", "lib/systemd", "sbin", "usr/sbin", "bin", "usr/bin", "ostree",
    ]

    /// What a root lacks; `kernel` is the one that will boot it, where that is known.
    static func lacks(of tree: RootTree, kernel: String?) -> [Lack] {
        var lacks: [Lack] = []
        // The places where the agent looks. What ostree has deployed is a root further down.
        let inits = ["usr/lib/systemd/systemd", "lib/systemd/systemd", "sbin/init", "etc/init", "bin/init"]
        if (inits + ["ostree/deploy"]).allSatisfy({ tree[$0] == nil }) {
            lacks.append(.noInit)
        }
        let kernels = Set(
            ["usr/lib/modules", "lib/modules"].flatMap { folder in
                tree.names(in: folder).filter { tree["\(folder)/\($0)/modules.dep"] != nil }
            })
        if let kernel, !kernels.contains(kernel) {
            lacks.append(.noModules(kernel: kernel, others: kernels.sorted()))
        }
        return lacks
    }
}

/// What a root is made of.
enum RootInput {
    case folder(FolderReader)
    case layout(ImageArchive)
    case archive(PlainFile)
    case filesystem(RootImageFormat.Filesystem)

    var isLayout: Bool { if case .layout = self { true } else { false } }

    /// Whether a folder holds container images, and not a root itself.
    static func isLayout(_ folder: FilePath) -> Bool {
        Files.exists(folder.appending("oci-layout"))
            || Files.exists(folder.appending("index.json")) && Files.isFolder(folder.appending("blobs"))
            || Files.exists(folder.appending("manifest.json")) && !Files.exists(folder.appending("etc"))
    }

    /// Tells what stands at `source` by what is in it.
    ///
    /// What is compressed is decompressed into `folder`, which needs room for it. Throws
    /// ``RootMaking/Failure/unknown(_:)`` where it holds no root, and why it cannot be read.
    init(_ source: FilePath, telling progress: MakingProgress, in folder: FilePath) throws {
        if Files.isFolder(source) {
            if Self.isLayout(source) {
                self = .layout(ImageArchive(folder: source))
            } else {
                progress.step("reading \(source)")
                self = .folder(try FolderReader(source))
            }
            return
        }
        let whole = ImageArchive.Place(file: source, range: 0..<(Files.size(source) ?? 0))
        let head = try ByteRange(source).bytes(at: 0, count: UInt64(RootImageFormat.headLength))
        if let format = head.withUnsafeBytes({ RootImageFormat(head: $0) }) {
            self = .filesystem(format.filesystem)
            return
        }
        progress.step("reading \(source)")
        let plain = try PlainFile(whole, decompressingInto: folder, as: "plain")
        let start = try ByteRange(plain.file, plain.range).bytes(at: 0, count: 512)
        // Archives from before POSIX have no mark; the checksum of their first header tells.
        var reader = TarReader(try ByteRange(plain.file, plain.range))
        guard start.count == 512, !start.allSatisfy({ $0 == 0 }) else { throw RootMaking.Failure.unknown(source) }
        do { _ = try reader.next() } catch TarFault.checksum(offset: 0) { throw RootMaking.Failure.unknown(source) }
        let archive = try ImageArchive(tar: plain.file, called: source)
        let isLayout =
            archive.place(of: "oci-layout") != nil || archive.place(of: "manifest.json") != nil
        self = isLayout ? .layout(archive) : .archive(plain)
    }
}
