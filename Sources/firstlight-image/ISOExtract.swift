// firstlight-image iso extract.

import ArgumentParser
import MediaEditing

struct ISOExtractGroup: CommandGroup {
    static let configuration = CommandConfiguration(
        commandName: "extract",
        abstract: "Extract files, or a smaller image, from an ISO.",
        subcommands: [ExtractPXECommand.self, ExtractMinimalISOCommand.self])
}

struct ExtractPXECommand: MediaCommand {
    static let configuration = CommandConfiguration(
        commandName: "pxe",
        abstract: "Extract kernel, initramfs and root image for a network boot.",
        usage: "\(Program.name) iso extract pxe [<options>] <ISO>",
        discussion: """
            Example:
              iso extract pxe -o tftp live.iso
            """)

    @Option(
        name: [.customShort("o", allowingJoined: true), .long],
        help: ArgumentHelp("Folder to write to (default: .).", valueName: "path"), completion: .directory)
    var outputDir: [String] = []

    @Argument(help: ArgumentHelp("ISO image.", valueName: "ISO"), completion: .file())
    var image: String

    func validate() throws { try checkOnce("--output-dir <path>", outputDir.count) }

    func work(_ streams: Streams) throws {
        var command = ExtractPXE(image: image)
        if let folder = outputDir.first { command.folder = folder }
        try command.run(streams)
    }
}

struct ExtractMinimalISOCommand: MediaCommand {
    static let configuration = CommandConfiguration(
        commandName: "minimal-iso",
        abstract: "Extract an ISO that fetches its root image when it boots.",
        usage: "\(Program.name) iso extract minimal-iso [<options>] <ISO> [<output ISO>]",
        discussion: """
            Example:
              iso extract minimal-iso --output-rootfs rootfs.img \\
                --rootfs-url https://boot.example/rootfs.img live.iso minimal.iso
            """)

    @Option(help: ArgumentHelp("Write the root image here.", valueName: "path"), completion: .file())
    var outputRootfs: [String] = []

    @Option(help: ArgumentHelp("Where the minimal ISO fetches its root image from.", valueName: "URL"))
    var rootfsUrl: [String] = []

    @Argument(help: ArgumentHelp("ISO image.", valueName: "ISO"), completion: .file())
    var image: String

    @Argument(help: ArgumentHelp("Minimal ISO to write.", valueName: "output ISO"), completion: .file())
    var output = "-"

    func validate() throws {
        try checkOnce("--output-rootfs <path>", outputRootfs.count)
        try checkOnce("--rootfs-url <URL>", rootfsUrl.count)
    }

    func work(_ streams: Streams) throws {
        var command = ExtractMinimalISO(image: image)
        command.output = output
        command.rootImage = outputRootfs.first
        command.rootImageURL = rootfsUrl.first
        try command.run(streams)
    }
}
