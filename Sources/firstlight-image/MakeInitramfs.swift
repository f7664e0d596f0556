// firstlight-image initramfs

import ArgumentParser
import InitramfsImage
import LinuxSystem
import Reporting
import SystemPackage

struct MakeInitramfs: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "initramfs",
        abstract: "Make an initramfs that boots a machine from RAM and provisions it.",
        usage: "firstlight-image initramfs --output <file> [--rootfs <image>] [<options>]",
        discussion: """
            EXAMPLES:
              firstlight-image initramfs -o initramfs.img --rootfs rootfs.img
              firstlight-image initramfs -o initramfs.img --from fcos-live-initramfs.img
              firstlight-image initramfs -o small.img --modules virtio,@drivers/nvme
              firstlight-image initramfs --explain --modules virtio,e1000e
            """)

    @Option(name: .shortAndLong, help: "The initramfs to write; - is standard output.", completion: .file())
    var output: String?

    @Option(help: "Kernel version, as in /lib/modules (default: the newest there).")
    var kernel: String?

    @Option(
        help: ArgumentHelp(
            "The folder of one kernel's modules, instead of /lib/modules/VERSION.",
            discussion: "Plain or compressed with zstd, xz or gzip; with depmod's files."),
        completion: .directory, transform: path)
    var kernelDir: FilePath?

    @Option(
        help: ArgumentHelp(
            "Kernel modules: generic, virtio, all, or a list of these, module names and @FOLDERs.",
            discussion: """
                A minus leaves out: generic,-@drivers/hid. Filesystems and dependencies are always there. (default: \
                generic, or all with --from)
                """))
    var modules: String?

    @Option(
        help: "A live initramfs, as Fedora CoreOS's, to take modules and stamps from.", completion: .file(),
        transform: path)
    var from: FilePath?

    @Option(help: "An Ignition or Butane config to embed.", completion: .file(), transform: path)
    var ignition: FilePath?

    @Option(help: "The folder whose files a Butane config may embed.", completion: .directory, transform: path)
    var filesDir: FilePath?

    @OptionGroup var variables: VariableOptions

    @Option(help: "A PEM file of certificates to trust besides the host's (repeatable).", transform: path)
    var ca: [FilePath] = []

    @Option(help: "A NetworkManager keyfile (repeatable).", transform: path)
    var network: [FilePath] = []

    @Option(help: "The root image to accept, and no other.", completion: .file(), transform: path)
    var rootfs: FilePath?

    @Option(
        help: ArgumentHelp(
            "An older root image to fall back on, and no other.",
            discussion: "It is used where firstlight.fallback_url= names it and no URL has the root image."),
        completion: .file(), transform: path)
    var fallbackRootfs: FilePath?

    @Option(help: "The agent (default: firstlight beside this program).", completion: .file(), transform: path)
    var agent: FilePath?

    @Option(
        help: ArgumentHelp("A file or folder to add (repeatable).", valueName: "source:destination"),
        transform: Inclusion.init(parsing:))
    var include: [Inclusion] = []

    @Flag(help: "Add the programs for LUKS volumes that Clevis opens (tang, TPM).")
    var clevis = false

    @Flag(help: "Pack in seconds, not in a minute, for trying things: the image is a quarter larger.")
    var fast = false

    @Flag(help: "Neither use nor keep packed modules in ~/.cache/firstlight.")
    var noCache = false

    @Flag(help: "Show what is inside and how big each part is.")
    var list = false

    @Flag(help: "Show why each module is in the image, and make no image.")
    var explain = false

    func validate() throws {
        if kernel != nil, kernelDir != nil {
            throw ValidationError("--kernel-dir says which kernel: leave out --kernel")
        }
        if output == nil, !explain { throw ValidationError("Missing expected argument '--output <output>'") }
    }

    func run() throws {
        var initramfs = Initramfs(
            modules: try ModuleSelection(parsing: modules ?? (from == nil ? "generic" : "all")),
            agent: try agent ?? besideThisProgram("firstlight"))
        initramfs.kernel = kernel
        initramfs.host.kernelFolder = kernelDir.map(Files.absolute)
        initramfs.ignition = ignition
        initramfs.ignitionBytes = try ignition.map {
            try configBytes(from: $0, files: filesDir, variables: variables.values())
        }
        initramfs.certificates = ca
        initramfs.network = network
        initramfs.rootfs = rootfs
        initramfs.fallback = fallbackRootfs
        initramfs.original = from
        initramfs.inclusions = include
        initramfs.hasClevis = clevis
        initramfs.isFast = fast
        initramfs.cache = noCache ? nil : cacheFolder()
        initramfs.time = try sourceDate()
        guard let output, !explain else {
            print(try initramfs.explanation())
            return
        }
        let target = try OutputTarget(output)
        let outcome = try whileTelling("making \(output)") { tell in
            try initramfs.write(to: target.file, telling: tell)
        }
        outcome.warnings.forEach(say)
        let text = list ? try ImageListing(reading: target.file).summary : target.naming(outcome.description)
        try target.finish(telling: text + "\n")
    }
}
