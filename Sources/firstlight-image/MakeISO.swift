// firstlight-image iso

import ArgumentParser
import ImageMaking
import JSONText
import LinuxSystem
import SystemPackage

/// Kernel, initramfs and root image, as three commands take them.
struct LiveInputs: ParsableArguments {
    @Option(help: "The kernel, as in /boot.", completion: .file(), transform: path)
    var kernel: FilePath

    @Option(help: "The initramfs, as `firstlight-image initramfs` makes it.", completion: .file(), transform: path)
    var initramfs: FilePath

    @Option(help: "The root image, as `firstlight-image rootfs` makes it.", completion: .file(), transform: path)
    var rootfs: FilePath
}

/// `iso` makes one, `iso customize` and the others change one that is there.
struct OwnISOGroup: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "iso",
        abstract: "Make a live ISO, or customize one.",
        usage: "firstlight-image iso -o <file> --kernel <file> ... [<options>]",
        discussion: """
            EXAMPLES:
              firstlight-image iso -o live.iso --kernel /boot/vmlinuz-6.1.0-9-amd64 \\
                  --initramfs initramfs.img --rootfs rootfs.img
              firstlight-image iso customize --live-ignition config.ign live.iso

            The options: firstlight-image iso make --help
            """,
        subcommands: [MakeISO.self] + ISOGroup.configuration.subcommands,
        defaultSubcommand: MakeISO.self)
}

struct MakeISO: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "make",
        abstract: "Make a live ISO that boots BIOS and UEFI machines.",
        usage: "firstlight-image iso -o <file> --kernel <file> ... [<options>]",
        discussion: """
            It boots from a CD, from a virtual medium, and from a stick when it is
            written to with `firstlight-image usb` or dd. Configs, network settings and
            kernel arguments can be put into it later.

            EXAMPLES:
              firstlight-image iso -o live.iso --kernel /boot/vmlinuz-6.1.0-9-amd64 \\
                  --initramfs initramfs.img --rootfs rootfs.img
              firstlight-image iso -o - --label LIVE --kargs 'console=ttyS0' ... | ssh ...
            """)

    @Option(name: .shortAndLong, help: "The ISO to write; - is standard output.", completion: .file())
    var output: String

    @OptionGroup var inputs: LiveInputs

    @Option(help: "The volume's label (default: firstlight-VERSION).")
    var label: String?

    @Option(help: "Kernel arguments besides those that the medium needs.")
    var kargs = ISOMaking.usualArguments

    @Flag(help: "Print what was made, as JSON.")
    var json = false

    func run() throws {
        var making = ISOMaking(kernel: inputs.kernel, initramfs: inputs.initramfs, rootfs: inputs.rootfs)
        making.label = label
        making.arguments = kargs
        making.time = try sourceDateIfSet()
        let target = try OutputTarget(output)
        let outcome = try showingProgress { try making.make(target.file, telling: $0) }
        if !json { outcome.warnings.forEach(say) }
        try target.finish(telling: target.naming(json ? outcome.json.text(.pretty) : "\(outcome.description)\n"))
    }
}

extension ISOMaking.Outcome {
    /// The facts for programs.
    var json: JSONValue {
        [
            "file": .string(file.string), "bytes": JSONValue(size.bytes), "label": .string(label),
            "arguments": .string(arguments), "bios": .bool(bootsBIOS), "uefi": .bool(bootsUEFI),
            "secure_boot": .bool(isSigned), "warnings": .array(warnings.map(JSONValue.string)),
        ]
    }
}
