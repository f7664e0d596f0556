// firstlight-image uki

import ArgumentParser
import ImageMaking
import JSONText
import LinuxSystem
import SystemPackage

struct MakeUnifiedKernel: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "uki",
        abstract: "Make one UEFI program of kernel, initramfs and command line.",
        usage: "firstlight-image uki -o <file> --kernel <file> ... [<options>]",
        discussion: """
            Firmware starts it by itself: from a disk or stick as EFI/BOOT/BOOTX64.EFI, or
            over the network (HTTP boot). With a key and its certificate it is signed by
            sbsign; Secure Boot takes it where the firmware knows the certificate.

            EXAMPLES:
              firstlight-image uki -o live.efi --kernel /boot/vmlinuz-6.1.0-9-amd64 \\
                  --initramfs initramfs.img --url http://192.0.2.1/live/rootfs.img
              firstlight-image uki -o live.efi --kernel /boot/vmlinuz-6.1.0-9-amd64 \\
                  --initramfs initramfs.img --rootfs rootfs.img \\
                  --key db.key --certificate db.pem
            """)

    @Option(name: .shortAndLong, help: "The program to write; - is standard output.", completion: .file())
    var output: String

    @Option(help: "The kernel, as in /boot.", completion: .file(), transform: path)
    var kernel: FilePath

    @Option(help: "The initramfs, as `firstlight-image initramfs` makes it.", completion: .file(), transform: path)
    var initramfs: FilePath

    @Option(help: "A root image to take along behind the initramfs.", completion: .file(), transform: path)
    var rootfs: FilePath?

    @Option(help: "The URL of the root image, where it is not taken along.")
    var url: String?

    @Option(name: .customLong("config-url"), help: "The URL of an Ignition config for the machines.")
    var configURL: String?

    @Option(help: "Kernel arguments besides those that the boot needs.")
    var kargs = ISOMaking.usualArguments

    @Option(help: "The stub that starts it (default: systemd's).", completion: .file(), transform: path)
    var stub: FilePath?

    @Option(help: "The key to sign with, PEM.", completion: .file(), transform: path)
    var key: FilePath?

    @Option(help: "The key's certificate, PEM.", completion: .file(), transform: path)
    var certificate: FilePath?

    @Flag(help: "Print what was made, as JSON.")
    var json = false

    func run() throws {
        var making = UnifiedKernelMaking(
            kernel: kernel, initramfs: initramfs,
            arguments: try UnifiedKernelMaking.arguments(
                kargs, rootImageURL: url, configURL: configURL, holdsRootImage: rootfs != nil))
        making.rootfs = rootfs
        if let stub { making.stub = stub }
        making.key = key
        making.certificate = certificate
        let target = try OutputTarget(output)
        let outcome = try showingProgress { try making.make(target.file, telling: $0) }
        if !json { outcome.warnings.forEach(say) }
        try target.finish(telling: target.naming(json ? outcome.json.text(.pretty) : "\(outcome.description)\n"))
    }
}

extension UnifiedKernelMaking.Outcome {
    /// The facts for programs.
    var json: JSONValue {
        [
            "file": .string(file.string), "bytes": JSONValue(size.bytes), "kernel": JSONValue(kernel),
            "arguments": .string(arguments), "signed": .bool(isSigned),
            "warnings": .array(warnings.map(JSONValue.string)),
        ]
    }
}
