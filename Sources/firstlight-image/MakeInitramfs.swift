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
        usage: "firstlight-image initramfs --output <file> [--rootfs <image>] [<options>]")

    @Option(name: .shortAndLong, help: "The initramfs to write.", completion: .file(), transform: path)
    var output: FilePath

    @Option(help: "Kernel version, as in /lib/modules (default: the newest there).")
    var kernel: String?

    @Option(
        help: ArgumentHelp(
            "Kernel modules: generic, virtio, or a list of these, module names and @FOLDERs.",
            discussion: "A minus leaves out: generic,-@drivers/hid. Filesystems and dependencies are always there."))
    var modules = "generic"

    @Option(help: "An Ignition or Butane config to embed.", completion: .file(), transform: path)
    var ignition: FilePath?

    @Option(help: "The folder whose files a Butane config may embed.", completion: .directory, transform: path)
    var filesDir: FilePath?

    @Option(help: "A PEM file of certificates to trust besides the host's (repeatable).", transform: path)
    var ca: [FilePath] = []

    @Option(help: "A NetworkManager keyfile (repeatable).", transform: path)
    var network: [FilePath] = []

    @Option(help: "The root image to accept, and no other.", completion: .file(), transform: path)
    var rootfs: FilePath?

    @Option(help: "The agent (default: firstlight beside this program).", completion: .file(), transform: path)
    var agent: FilePath?

    @Option(
        help: ArgumentHelp("A file or folder to add (repeatable).", valueName: "source:destination"),
        transform: Inclusion.init(parsing:))
    var include: [Inclusion] = []

    @Flag(help: "Add what LUKS volumes need that Clevis opens (tang, TPM).")
    var clevis = false

    @Flag(help: "Pack in seconds, not minutes, for trying things: the image is a quarter larger.")
    var fast = false

    @Flag(help: "Show what is inside and how big each part is.")
    var list = false

    func run() throws {
        var initramfs = Initramfs(
            modules: try ModuleSelection(parsing: modules), agent: try agent ?? besideThisProgram("firstlight"))
        initramfs.kernel = kernel
        initramfs.ignition = ignition
        initramfs.ignitionBytes = try ignition.map { try configBytes(from: $0, files: filesDir) }
        initramfs.certificates = ca
        initramfs.network = network
        initramfs.rootfs = rootfs
        initramfs.inclusions = include
        initramfs.hasClevis = clevis
        initramfs.isFast = fast
        initramfs.time = sourceDate()
        let outcome = try whileTelling("making \(output)") { tell in
            try initramfs.write(to: output, telling: tell)
        }
        outcome.warnings.forEach(say)
        print(list ? try ImageListing(reading: output).summary : outcome.description)
    }
}
