// A folder to boot machines from over the network: the three parts, and what each kind of server wants to be told.

import Encoding
import Glibc
import InitramfsImage
import JSONText
import LinuxSystem
import Reporting
import SystemPackage

/// What `firstlight-image pxe` is asked for.
public struct NetworkBootMaking: Sendable {
    /// The kernel (bzImage).
    public var kernel: FilePath
    /// The initramfs that fits the root image.
    public var initramfs: FilePath
    /// The root image.
    public var rootfs: FilePath
    /// Where the folder is served: `http://192.0.2.1/live`.
    public var url: String
    /// The URL of an Ignition config for the machines.
    public var configURL: String?
    /// Kernel arguments besides those that the boot needs.
    public var arguments = ISOMaking.usualArguments

    /// Creates a request with the usual settings for everything but the three parts and the URL.
    public init(kernel: FilePath, initramfs: FilePath, rootfs: FilePath, url: String) {
        self.kernel = kernel
        self.initramfs = initramfs
        self.rootfs = rootfs
        self.url = url
    }

    /// Why no folder can be made.
    public enum Failure: Error, Equatable, CustomStringConvertible, Advising {
        case url(String)
        case configURL(CommandLineURLFault)
        case arguments(String)
        case folderInUse(FilePath)

        /// What went wrong, for a message.
        public var description: String {
            switch self {
            case .url(let text): "\"\(text)\" is not a URL that machines can boot from"
            case .configURL(let fault): "\(fault)"
            case .arguments(let text): "kernel arguments are one line of printable characters, and not \"\(text)\""
            case .folderInUse(let folder): "\(folder) is there already and holds something"
            }
        }

        /// What the operator can do.
        public var advice: [String] {
            switch self {
            case .url: ["Say http, https or tftp: --url http://192.0.2.1/live"]
            case .folderInUse: ["Name a new folder: machines that boot right now need the old one."]
            case .configURL(let fault): fault.advice
            case .arguments: []
            }
        }
    }

    /// What was made.
    public struct Outcome: CustomStringConvertible {
        /// The folder, by its absolute path.
        public var folder: FilePath
        /// Paths in the folder.
        public var files: [String]
        /// The RAM that a machine needs before the real root takes any.
        public var memory: ByteCount
        /// What the operator should know, as lines.
        public var warnings: [String]

        /// `live/  9 files; a machine needs 310 MiB of RAM and what its system takes`.
        public var description: String {
            "\(folder)  \(counted(files.count, "file")); a machine needs \(memory) of RAM and what its system takes"
        }
    }

    /// What the parts are called in the folder.
    public static let parts = (kernel: "vmlinuz", initramfs: "initramfs.img", rootfs: "rootfs.img")

    /// Makes the folder.
    ///
    /// Nothing stands at `output` before it is complete.
    public func make(_ output: FilePath, telling progress: MakingProgress = .untold) throws -> Outcome {
        let output = Files.absolute(output)
        if Files.exists(output), !Files.isFolder(output) || !Files.names(in: output).isEmpty {
            throw Failure.folderInUse(output)
        }
        let live = try LiveParts(kernel: kernel, initramfs: initramfs, rootfs: rootfs, telling: progress)
        let texts = try texts(version: live.root.version ?? "live")
        let parent = output.removingLastComponent()
        try Files.makeFolder(parent)
        let folder = try TemporaryFolder(in: parent)
        let whole = folder.path.appending("whole")
        try Files.makeFolder(whole)
        var files: [String] = []
        for (source, name) in [
            (kernel, Self.parts.kernel), (initramfs, Self.parts.initramfs), (rootfs, Self.parts.rootfs),
        ] {
            progress.step("copying \(source)")
            var copy = try PendingFile(whole.appending(name))
            try copy.write(contentsOf: source)
            // A boot server runs as another user, and cannot serve files that it cannot read.
            try copy.finish(permissions: 0o644)
            files.append(name)
        }
        for (name, text) in texts {
            let file = whole.appending(name)
            try Files.makeFolder(file.removingLastComponent())
            try Files.write(text, to: file)
            files.append(name)
        }
        for folder in Set(files.flatMap { Self.folders(above: $0) }).map({ whole.pushing(FilePath($0)) }) {
            // Neither can it look into folders that are closed to others, as the umask may have made them.
            guard chmod(folder.string, 0o755) == 0 else {
                throw FileFault("set the mode of", folder, Errno(rawValue: errno))
            }
        }
        // An empty folder gives way to it.
        try Files.move(whole, to: output)
        var warnings = live.warnings
        if live.permissions != 0o644 {
            warnings.append(
                "warning: \(initramfs) holds a config or keyfiles, and everybody who reaches the server can read them")
        }
        let memory = MemoryNeed(initramfs: live.initramfs.size, root: live.root.size)
        return Outcome(folder: output, files: files, memory: ByteCount(memory.fromURL), warnings: warnings)
    }

    /// `["", "a", "a/b"]` of `a/b/c`.
    private static func folders(above path: String) -> [String] {
        let names = path.split(separator: "/")
        return names.indices.map { names[..<$0].joined(separator: "/") }
    }

    // MARK: What servers are told

    /// The URL without a slash at its end.
    func base() throws(Failure) -> String {
        let parsed = try? SourceURL(parsing: url)
        let isKnown =
            parsed.map {
                ["http", "https", "tftp"].contains($0.scheme) && url.hasPrefix($0.scheme) && !$0.host.isEmpty
            } ?? false
        let isPlain = url.unicodeScalars.allSatisfy {
            $0.value > 0x20 && $0.value < 0x7f && !"'\"${}\\".unicodeScalars.contains($0)
        }
        guard isKnown, isPlain else { throw .url(url) }
        var rest = url[...]
        while rest.hasSuffix("/") { rest = rest.dropLast() }
        return String(rest)
    }

    /// The words of the kernel command line.
    func words() throws(Failure) -> [String] {
        guard arguments.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7f }) else {
            throw .arguments(arguments)
        }
        var words = arguments.split(separator: " ").map(String.init)
        words.append("coreos.live.rootfs_url=\(try base())/\(Self.parts.rootfs)")
        words += ISOMaking.provisioning.split(separator: " ").map(String.init)
        if let configURL {
            do throws(CommandLineURLFault) { words.append(try configURLWord(configURL)) } catch {
                throw .configURL(error)
            }
        }
        return words
    }

    /// The text files of the folder, by path.
    func texts(version: String) throws(Failure) -> [(path: String, text: String)] {
        let base = try base()
        let words = try words()
        let line = words.joined(separator: " ")
        return [
            ("pxelinux.cfg/default", Self.pxelinux(line)), ("boot.ipxe", Self.ipxe(base, line)),
            ("grub/grub.cfg", Self.grub(words, version: version)),
            ("matchbox/profiles/firstlight.json", Self.profile(base, words, version: version).text(.pretty)),
            ("matchbox/groups/default.json", Self.group.text(.pretty)),
            ("tinkerbell/hardware.yaml", Self.hardware(base)),
        ]
    }

    private static func pxelinux(_ line: String) -> String {
        """
        DEFAULT live
        PROMPT 1
        TIMEOUT 50
        LABEL live
          KERNEL \(parts.kernel)
          APPEND initrd=\(parts.initramfs) \(line)
          IPAPPEND 2

        """
    }

    /// Newer iPXE hands every image that it knows on to the kernel: `imgfree` makes it forget those of before.
    private static func ipxe(_ base: String, _ line: String) -> String {
        """
        #!ipxe
        imgfree
        set base \(base)
        kernel ${base}/\(parts.kernel) initrd=main \(line)
        initrd --name main ${base}/\(parts.initramfs)
        boot

        """
    }

    /// For GRUB that was loaded over the network: paths are those of its server.
    private static func grub(_ words: [String], version: String) -> String {
        let line = words.map(BootMenu.quotedForGRUB).joined(separator: " ")
        let name = version.filter { $0 != "'" && !$0.isNewline }
        return """
            set default=0
            set timeout=5
            menuentry 'firstlight \(name)' {
              linux /\(parts.kernel) \(line) BOOTIF=$net_default_mac
              initrd /\(parts.initramfs)
            }

            """
    }

    /// - SeeAlso: matchbox 0.11, `docs/matchbox.md`, "Profiles".
    private static func profile(_ base: String, _ words: [String], version: String) -> JSONValue {
        [
            "id": "firstlight", "name": .string("firstlight \(version)"),
            "boot": [
                "kernel": .string("\(base)/\(parts.kernel)"),
                "initrd": [.string("--name main \(base)/\(parts.initramfs)")],
                "args": .array((["initrd=main"] + words).map(JSONValue.string)),
            ],
        ]
    }

    /// Every machine that no other group asks for.
    private static let group: JSONValue = ["id": "default", "name": "default", "profile": "firstlight"]

    /// - SeeAlso: Tinkerbell's `Hardware` resource, tinkerbell.org/v1alpha1.
    private static func hardware(_ base: String) -> String {
        """
        # One such resource for each machine: give it its name and its MAC address.
        apiVersion: tinkerbell.org/v1alpha1
        kind: Hardware
        metadata:
          name: machine-1
        spec:
          interfaces:
            - dhcp:
                mac: "52:54:00:12:34:56"
                hostname: machine-1
              netboot:
                allowPXE: true
                allowWorkflow: false
                ipxe:
                  url: \(base)/boot.ipxe

        """
    }
}

/// How much RAM a boot takes before the real root runs, in bytes; measured, see docs/kernel-arguments.md.
public struct MemoryNeed: Equatable, Sendable {
    /// The size of the initramfs in bytes.
    public var initramfs: UInt64
    /// The size of the root image in bytes.
    public var root: UInt64

    /// Creates the need of an initramfs and a root image of these sizes, in bytes.
    public init(initramfs: UInt64, root: UInt64) {
        self.initramfs = initramfs
        self.root = root
    }

    /// The kernel's tables of all RAM come on top of everything else.
    private func sum(_ times: UInt64, _ bytes: UInt64, _ mebibytes: UInt64, _ more: UInt64 = 0) -> UInt64 {
        let (product, isBeyond) = bytes.multipliedReportingOverflow(by: times)
        let (sum, isFar) = product.addingReportingOverflow(mebibytes << 20)
        let (all, isFarther) = sum.addingReportingOverflow(more)
        let (whole, isFarthest) = all.addingReportingOverflow(all / 64)
        return isBeyond || isFar || isFarther || isFarthest ? .max : whole
    }

    /// The root image comes from a URL, or is copied into RAM.
    ///
    /// By then the kernel has let go of the archive, and the image needs its own room beside what was unpacked.
    public var fromURL: UInt64 { max(sum(1, initramfs, 125, root), fromMedium) }
    /// It stays on a medium: the initramfs has to be unpacked, no more.
    public var fromMedium: UInt64 { sum(3, initramfs, 90) }
    /// The boot loader loads it with the initramfs; with `rootfstype=ramfs` on the command line.
    public var loaded: UInt64 { sum(2, initramfs &+ root, 110) }
    /// The same without that: the kernel unpacks into at most half of the RAM that the archives leave.
    public var loadedWithLimit: UInt64 { sum(3, initramfs &+ root, 90) }
}
