// firstlight-image iso network.

import ArgumentParser
import MediaEditing

struct ISONetworkGroup: CommandGroup {
    static let configuration = CommandConfiguration(
        commandName: "network",
        abstract: "Embed network settings in an ISO.",
        subcommands: [EmbedNetworkCommand.self, ExtractNetworkCommand.self, RemoveNetworkCommand.self])
}

/// Keyfiles that are given to be embedded.
struct GivenKeyfiles: ParsableArguments {
    @Option(
        name: [.customShort("k", allowingJoined: true), .long],
        help: ArgumentHelp("NetworkManager keyfile to embed (repeatable).", valueName: "path"), completion: .file())
    var keyfile: [String] = []

    func validate() throws {
        guard !keyfile.isEmpty else { throw ValidationError("Missing expected argument '--keyfile <path>'") }
    }
}

struct EmbedNetworkCommand: MediaCommand {
    static let configuration = CommandConfiguration(
        commandName: "embed",
        abstract: "Put NetworkManager keyfiles into an ISO.",
        usage: "\(Program.name) iso network embed [<options>] --keyfile <path> <ISO>",
        discussion: """
            Example:
              iso network embed -k eth0.nmconnection -o new.iso live.iso
            """)

    @OptionGroup var keyfiles: GivenKeyfiles

    @Flag(name: .shortAndLong, help: "Replace keyfiles that are there.")
    var force: Int

    @OptionGroup var target: ChangedISO

    func validate() throws { try checkOnce("--force", force) }

    func work(_ streams: Streams) throws {
        var command = EmbedNetwork(image: target.image, keyfiles: keyfiles.keyfile)
        command.force = force > 0
        command.output = ImageOutput(target.output.first)
        try command.run(streams)
    }
}

/// A folder in place of standard output.
struct OutputFolder: ParsableArguments {
    @Option(
        name: [.customShort("C", allowingJoined: true), .long],
        help: ArgumentHelp("Folder to write to, in place of standard output.", valueName: "path"),
        completion: .directory)
    var directory: [String] = []

    func validate() throws { try checkOnce("--directory <path>", directory.count) }
}

struct ExtractNetworkCommand: MediaCommand {
    static let configuration = CommandConfiguration(
        commandName: "extract",
        abstract: "Show or write the keyfiles that are embedded in an ISO.",
        usage: "\(Program.name) iso network extract [<options>] <ISO>",
        discussion: """
            Example:
              iso network extract -C keyfiles live.iso
            """)
    static let showsSomething = true

    @OptionGroup var folder: OutputFolder

    @Argument(help: ArgumentHelp("ISO image.", valueName: "ISO"), completion: .file())
    var image: String

    func work(_ streams: Streams) throws {
        var command = ExtractNetwork(image: image)
        command.folder = folder.directory.first
        try command.run(streams)
    }
}

struct RemoveNetworkCommand: MediaCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove",
        abstract: "Take the keyfiles out of an ISO.",
        usage: "\(Program.name) iso network remove [<options>] <ISO>",
        discussion: """
            Example:
              iso network remove live.iso
            """)

    @OptionGroup var target: ChangedISO

    func work(_ streams: Streams) throws {
        var command = RemoveNetwork(image: target.image)
        command.output = ImageOutput(target.output.first)
        try command.run(streams)
    }
}
