// The root of an image in the form of Fedora CoreOS's: a deployment, read-only as the image is, with /etc and /var in
// RAM. The image's own ostree-prepare-root makes the root, because it knows the repository's form.

import Glibc
import LinuxSystem
import Reporting
import SystemPackage

/// A deployment that is ready to be switched to.
public struct OSTreeRoot: Equatable, Sendable {
    /// Where `/etc` and `/var` are in RAM; this and ``base`` are Fedora CoreOS's own places.
    public static let ephemeral = FilePath("/run/ephemeral")
    /// The tmpfs whose one file is the filesystem on ``ephemeral``, where labels have to be kept.
    static let base = FilePath("/run/ephemeral_base")
    /// The file by which a running system knows that ostree deployed it; ostree-prepare-root makes it.
    public static let booted = FilePath("/run/ostree-booted")
    /// A small root in which the image's own programs run, before there is one.
    static let workshop = FilePath(RunFile.ostree.path)
    static let program = "/usr/lib/ostree/ostree-prepare-root"

    /// What is deployed.
    public var deployment: OSTreeDeployment
    /// The capacity of `/etc` and `/var` in bytes.
    public var writable: UInt64

    /// Why there is no root.
    public enum Failure: Error, CustomStringConvertible, Advising {
        case noProgram
        case unbound(FilePath, Errno)
        case noLayer(String, Errno)

        /// What happened, for a message.
        public var description: String {
            switch self {
            case .noProgram: "the root image has no \(OSTreeRoot.program)"
            case .unbound(let path, let reason): "cannot mount \(path): \(reason)"
            case .noLayer(let type, let reason): "cannot make the writable layer in RAM (\(type)): \(reason)"
            }
        }

        /// What the operator can do.
        public var advice: [String] {
            switch self {
            case .noProgram: ["On Debian the package ostree-boot has it, on Fedora the package ostree."]
            case .unbound: []
            case .noLayer: ["Check firstlight.overlay_size= on the kernel command line."]
            }
        }
    }

    /// Makes a root of a deployment.
    ///
    /// - Parameters:
    ///   - deployment: What the image on ``OverlayRoot/lower`` has deployed; the image will be below `sysroot`.
    ///   - sysroot: Where the root will be.
    ///   - commandLine: The kernel command line.
    ///   - layerSize: How much `/etc` and `/var` may hold, as tmpfs takes it: `50%`, or a number of bytes.
    ///   - keepsLabels: Whether SELinux is to find labels on what is written now. A tmpfs loses those that it got
    ///     before the policy was loaded.
    ///   - loadModule: Loads a kernel module by name; one that is built in is passed over.
    /// - Returns: What was made.
    /// - Throws: ``Failure``, ``Command/Failure`` or ``FileFault``, with the step.
    public static func assemble(
        _ deployment: OSTreeDeployment, on sysroot: FilePath, commandLine: String, layerSize: String,
        keepsLabels: Bool, loadModule: (String) -> Void
    ) throws -> OSTreeRoot {
        guard Files.isExecutable(program, inside: OverlayRoot.lower.appending(String(deployment.folder.dropFirst())))
        else { throw Failure.noProgram }
        try step("making room in RAM for /etc and /var") {
            try keepsLabels ? mountLabelled(size: layerSize, loadModule) : mountPlain(size: layerSize)
        }
        try step("setting up mounts for ostree-prepare-root") { try furnish(deployment, commandLine: commandLine) }
        _ = try step("running ostree-prepare-root for \(deployment.folder)") {
            try Command(program, ["/sysroot"], root: workshop).run()
        }
        try step("copying /etc") {
            // Owners, times, links and labels are copied too.
            try Command(
                "cp", ["--archive", "--no-target-directory", "/sysroot/etc", "/ephemeral/etc"], root: workshop
            ).run()
            try Files.makeFolder(ephemeral.appending("var"))
        }
        try Files.makeFolder(sysroot)
        // Not moved: a mount whose parent is shared, as all are below systemd, cannot be.
        try bind(workshop.appending("sysroot"), on: sysroot, withAllBelow: true)
        for name in ["etc", "var"] { try bind(ephemeral.appending(name), on: sysroot.appending(name)) }
        try Mounts.unmount(workshop, lazily: true)
        // The image stays mounted below the root.
        try Mounts.unmount(OverlayRoot.lower, lazily: true)
        return OSTreeRoot(deployment: deployment, writable: Mounts.capacity(of: ephemeral) ?? 0)
    }

    /// Undoes ``assemble(_:on:commandLine:layerSize:keepsLabels:loadModule:)`` as far as it got, but for the root.
    static func dismantle() {
        for target in [workshop, ephemeral, base] where Mounts.all().contains(where: { $0.target == target }) {
            try? Mounts.unmount(target, lazily: true)
        }
        // ostree-prepare-root wants to make them itself.
        try? Files.remove(booted)
        for folder in ["/run/ostree/.private", "/run/ostree"] { rmdir(folder) }
    }

    /// The command line that ostree-prepare-root is to see.
    ///
    /// composefs would want a writable root below.
    static func commandLine(_ line: String, for deployment: OSTreeDeployment) -> String {
        line.trimmingBlanks + " ostree=\(deployment.link) ostree.prepare-root.composefs=0\n"
    }
}

// MARK: The workshop

extension OSTreeRoot {
    /// Mounts the folders of the deployment that its programs need, the image on `/sysroot`, and what they write to.
    private static func furnish(_ deployment: OSTreeDeployment, commandLine line: String) throws {
        let source = OverlayRoot.lower.appending(String(deployment.folder.dropFirst()))
        try Files.makeFolder(workshop)
        try mount("tmpfs", on: workshop, type: "tmpfs", data: "size=1m,mode=0755")
        // ostree-prepare-root moves mounts, which those that are shared do not allow.
        try mount("none", on: workshop, type: nil, flags: UInt(MS_PRIVATE))
        for name in ["bin", "sbin", "lib", "lib32", "lib64", "libx32", "etc", "usr"] {
            let (from, to) = (source.appending(name), workshop.appending(name))
            if let target = Files.linkTarget(from) {
                try Files.makeLink(to, to: target)
            } else if Files.isFolder(from) {
                try Files.makeFolder(to)
                try bind(from, on: to)
            }
        }
        for name in ["proc", "run", "dev", "sysroot", "ephemeral"] { try Files.makeFolder(workshop.appending(name)) }
        try mount("proc", on: workshop.appending("proc"), type: "proc")
        try bind("/run", on: workshop.appending("run"))
        try bind("/dev", on: workshop.appending("dev"))
        try bind(OverlayRoot.lower, on: workshop.appending("sysroot"))
        try bind(ephemeral, on: workshop.appending("ephemeral"))
        // Only the programs in here see this command line.
        let file = workshop.appending("cmdline")
        try Files.write(commandLine(line, for: deployment), to: file)
        try bind(file, on: workshop.appending("proc/cmdline"))
    }

    private static func bind(_ source: FilePath, on target: FilePath, withAllBelow: Bool = false) throws(Failure) {
        try mount(source.string, on: target, type: nil, flags: UInt(MS_BIND) | (withAllBelow ? UInt(MS_REC) : 0))
    }

    private static func mount(
        _ source: String, on target: FilePath, type: String?, flags: UInt = 0, data: String? = nil
    ) throws(Failure) {
        do {
            try Mounts.mount(source, on: target, type: type, flags: flags, data: data)
        } catch {
            throw .unbound(target, error.reason)
        }
    }
}

// MARK: The writable layer

extension OSTreeRoot {
    /// What mkfs.xfs needs at least; a sparse file takes no more than is written.
    static let leastXFS: UInt64 = 320 << 20

    private static func mountPlain(size: String) throws {
        try Files.makeFolder(ephemeral)
        try mountLayer("firstlight", on: ephemeral, type: "tmpfs", data: "size=\(size),nr_inodes=0,mode=0755")
    }

    private static func mountLabelled(size: String, _ loadModule: (String) -> Void) throws {
        for folder in [base, ephemeral] { try Files.makeFolder(folder) }
        try mountLayer("firstlight", on: base, type: "tmpfs", data: "size=\(size),mode=0700")
        let file = base.appending("loopfs")
        let capacity = max(Mounts.capacity(of: base) ?? 0, leastXFS)
        try Files.write("", to: file, mode: 0o600)
        guard truncate(file.string, off_t(clamping: capacity)) == 0 else {
            throw FileFault("write", file, Errno(rawValue: errno))
        }
        try Command("mkfs.xfs", ["-q", file.string]).run()
        ["loop", "xfs"].forEach(loadModule)
        let device = try LoopDevice(file: file, readOnly: false)
        // RAM of deleted files is given back.
        try mountLayer(device.path.string, on: ephemeral, type: "xfs", data: "discard")
    }

    private static func mountLayer(_ source: String, on target: FilePath, type: String, data: String) throws(Failure) {
        do {
            try Mounts.mount(source, on: target, type: type, data: data)
        } catch {
            throw .noLayer(type, error.reason)
        }
    }
}

extension String {
    fileprivate var trimmingBlanks: String {
        var rest = self[...]
        while rest.last?.isWhitespace == true { rest.removeLast() }
        return String(rest)
    }
}
