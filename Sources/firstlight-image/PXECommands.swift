// firstlight-image pxe.

import ArgumentParser
import MediaEditing

struct PXEGroup: CommandGroup {
    static let configuration = CommandConfiguration(
        commandName: "pxe",
        abstract: "Customize a live PXE image.",
        subcommands: [CustomizePXECommand.self, PXEIgnitionGroup.self, PXENetworkGroup.self])
}

struct CustomizePXECommand: MediaCommand {
    static let configuration = CommandConfiguration(
        commandName: "customize",
        abstract: "Make a live initramfs boot, provision or install by itself.",
        usage: "\(Program.name) pxe customize [<options>] --output <path> <initramfs>",
        discussion: """
            Example:
              pxe customize --live-ignition a.ign -o new.img initrd.img
            """)

    @OptionGroup var common: CustomizeOptions

    @OptionGroup(visibility: ConfigOptions.visibility) var configs: ConfigOptions

    @Option(
        name: [.customShort("o", allowingJoined: true), .long],
        help: ArgumentHelp("File to write, or standard output (-).", valueName: "path"), completion: .file())
    var output: [String] = []

    @Argument(help: ArgumentHelp("Live initramfs.", valueName: "initramfs"), completion: .file())
    var initrd: String

    func validate() throws {
        guard !output.isEmpty else { throw ValidationError("Missing expected argument '--output <path>'") }
        try checkOnce("--output <path>", output.count)
    }

    var configOptions: ConfigOptions? { configs }

    func work(_ streams: Streams) throws {
        var command = CustomizePXE(initrd: initrd, output: output[0])
        command.customization = common.customization
        try command.run(streams)
    }
}

struct PXEIgnitionGroup: CommandGroup {
    static let configuration = CommandConfiguration(
        commandName: "ignition",
        abstract: "Wrap an Ignition config in an initrd.",
        subcommands: [WrapIgnitionCommand.self, UnwrapIgnitionCommand.self])
}

/// A file in place of standard output; what is there is replaced.
struct WrapOutput: ParsableArguments {
    @Option(
        name: [.customShort("o", allowingJoined: true), .long],
        help: ArgumentHelp("File to write, in place of standard output.", valueName: "path"), completion: .file())
    var output: [String] = []

    func validate() throws { try checkOnce("--output <path>", output.count) }
}

struct WrapIgnitionCommand: MediaCommand {
    static let configuration = CommandConfiguration(
        commandName: "wrap",
        abstract: "Make an initrd that holds an Ignition config, as it is.",
        usage: "\(Program.name) pxe ignition wrap [<options>]",
        discussion: """
            Example:
              pxe ignition wrap -i config.ign -o config.img
            """)

    @Option(
        name: [.customShort("i", allowingJoined: true), .long],
        help: ArgumentHelp("Config to wrap (default: standard input).", valueName: "path"), completion: .file())
    var ignitionFile: [String] = []

    @OptionGroup(visibility: ConfigOptions.visibility) var configs: ConfigOptions

    @OptionGroup var target: WrapOutput

    func validate() throws { try checkOnce("--ignition-file <path>", ignitionFile.count) }

    var configOptions: ConfigOptions? { configs }

    func work(_ streams: Streams) throws {
        var command = WrapIgnition()
        command.config = ignitionFile.first
        command.output = target.output.first
        command.isPrivate = !configs.variables.setSecret.isEmpty
        try command.run(streams)
    }
}

struct UnwrapIgnitionCommand: MediaCommand {
    static let configuration = CommandConfiguration(
        commandName: "unwrap",
        abstract: "Print the Ignition config that an initrd holds.",
        usage: "\(Program.name) pxe ignition unwrap [<initrd>]",
        discussion: """
            Example:
              pxe ignition unwrap config.img
            """)
    static let showsSomething = true

    @Argument(help: ArgumentHelp("Initrd (default: standard input).", valueName: "initrd"), completion: .file())
    var initrd: String?

    func work(_ streams: Streams) throws {
        var command = UnwrapIgnition()
        command.initrd = initrd
        try command.run(streams)
    }
}

struct PXENetworkGroup: CommandGroup {
    static let configuration = CommandConfiguration(
        commandName: "network",
        abstract: "Wrap network settings in an initrd.",
        subcommands: [WrapNetworkCommand.self, UnwrapNetworkCommand.self])
}

struct WrapNetworkCommand: MediaCommand {
    static let configuration = CommandConfiguration(
        commandName: "wrap",
        abstract: "Make an initrd that holds NetworkManager keyfiles.",
        usage: "\(Program.name) pxe network wrap [<options>] --keyfile <path>",
        discussion: """
            Example:
              pxe network wrap -k eth0.nmconnection -o network.img
            """)

    @OptionGroup var keyfiles: GivenKeyfiles
    @OptionGroup var target: WrapOutput

    func work(_ streams: Streams) throws {
        var command = WrapNetwork(keyfiles: keyfiles.keyfile)
        command.output = target.output.first
        try command.run(streams)
    }
}

struct UnwrapNetworkCommand: MediaCommand {
    static let configuration = CommandConfiguration(
        commandName: "unwrap",
        abstract: "Show or write the keyfiles that an initrd holds.",
        usage: "\(Program.name) pxe network unwrap [<options>] [<initrd>]",
        discussion: """
            Example:
              pxe network unwrap -C keyfiles network.img
            """)
    static let showsSomething = true

    @OptionGroup var folder: OutputFolder

    @Argument(help: ArgumentHelp("Initrd (default: standard input).", valueName: "initrd"), completion: .file())
    var initrd: String?

    func work(_ streams: Streams) throws {
        var command = UnwrapNetwork()
        command.initrd = initrd
        command.folder = folder.directory.first
        try command.run(streams)
    }
}
