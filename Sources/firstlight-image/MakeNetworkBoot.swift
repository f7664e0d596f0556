// firstlight-image pxe

import ArgumentParser
import ImageMaking
import JSONText
import LinuxSystem
import SystemPackage

/// `pxe` makes a folder, `pxe customize` and the others change an initramfs that is there.
struct OwnPXEGroup: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pxe",
        abstract: "Make a folder to boot from over the network, or customize an initramfs.",
        usage: "firstlight-image pxe -o <folder> --url <base> ... [<options>]",
        discussion: """
            EXAMPLES:
              firstlight-image pxe -o live --url http://192.0.2.1/live \\
                  --kernel /boot/vmlinuz-6.1.0-9-amd64 \\
                  --initramfs initramfs.img --rootfs rootfs.img
              firstlight-image pxe customize --live-ignition config.ign \\
                  -o new.img initramfs.img

            The options: firstlight-image pxe make --help
            """,
        subcommands: [MakeNetworkBoot.self] + PXEGroup.configuration.subcommands,
        defaultSubcommand: MakeNetworkBoot.self)
}

struct MakeNetworkBoot: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "make",
        abstract: "Make a folder to boot machines from over the network.",
        usage: "firstlight-image pxe -o <folder> --url <base> ... [<options>]",
        discussion: """
            The folder holds kernel, initramfs and root image, and is ready to be served
            at the URL: pxelinux.cfg/default, an iPXE script, an entry for GRUB, a profile
            and a group for matchbox, a hardware resource for Tinkerbell.

            EXAMPLES:
              firstlight-image pxe -o live --url http://192.0.2.1/live \\
                  --kernel /boot/vmlinuz-6.1.0-9-amd64 \\
                  --initramfs initramfs.img --rootfs rootfs.img \\
                  --config-url http://192.0.2.1/config.ign
            """)

    @Option(name: .shortAndLong, help: "The folder to make.", completion: .directory, transform: path)
    var output: FilePath

    @Option(help: "Where the folder will be served: http, https or tftp.")
    var url: String

    @OptionGroup var inputs: LiveInputs

    @Option(name: .customLong("config-url"), help: "The URL of an Ignition config for the machines.")
    var configURL: String?

    @Option(help: "Kernel arguments besides those that the boot needs.")
    var kargs = ISOMaking.usualArguments

    @Flag(help: "Print what was made, as JSON.")
    var json = false

    func run() throws {
        var making = NetworkBootMaking(
            kernel: inputs.kernel, initramfs: inputs.initramfs, rootfs: inputs.rootfs, url: url)
        making.configURL = configURL
        making.arguments = kargs
        let outcome = try showingProgress { try making.make(output, telling: $0) }
        if !json { outcome.warnings.forEach(say) }
        print(json ? outcome.json.text(.pretty) : "\(outcome)\n", terminator: "")
    }
}

extension NetworkBootMaking.Outcome {
    /// The facts for programs.
    var json: JSONValue {
        [
            "folder": .string(folder.string), "files": .array(files.map(JSONValue.string)),
            "ram": JSONValue(memory.bytes), "warnings": .array(warnings.map(JSONValue.string)),
        ]
    }
}
