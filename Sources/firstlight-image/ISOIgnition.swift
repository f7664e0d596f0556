// firstlight-image iso ignition, and the names that its commands once had.

import ArgumentParser
import MediaEditing

struct ISOIgnitionGroup: CommandGroup {
    static let configuration = CommandConfiguration(
        commandName: "ignition",
        abstract: "Embed an Ignition config in an ISO.",
        subcommands: [EmbedIgnitionCommand.self, ShowIgnitionCommand.self, RemoveIgnitionCommand.self])
}

struct EmbedIgnitionCommand: MediaCommand {
    static let configuration = CommandConfiguration(
        commandName: "embed",
        abstract: "Put an Ignition config into an ISO, as it is.",
        usage: "\(Program.name) iso ignition embed [<options>] <ISO>",
        discussion: """
            Example:
              iso ignition embed -i config.ign -o new.iso live.iso
            """)

    @Flag(name: .shortAndLong, help: "Replace a config that is there.")
    var force: Int

    @Option(
        name: [.customShort("i", allowingJoined: true), .long],
        help: ArgumentHelp("Config to embed (default: standard input).", valueName: "path"), completion: .file())
    var ignitionFile: [String] = []

    @OptionGroup(visibility: ConfigOptions.visibility) var configs: ConfigOptions

    @OptionGroup var target: ChangedISO

    func validate() throws {
        try checkOnce("--force", force)
        try checkOnce("--ignition-file <path>", ignitionFile.count)
    }

    var configOptions: ConfigOptions? { configs }

    func work(_ streams: Streams) throws {
        var command = EmbedIgnition(image: target.image)
        command.config = ignitionFile.first
        command.force = force > 0
        command.output = ImageOutput(target.output.first)
        try command.run(streams)
    }
}

struct ShowIgnitionCommand: MediaCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Print the Ignition config that is embedded in an ISO.",
        discussion: """
            Example:
              iso ignition show live.iso
            """)
    static let showsSomething = true

    @Argument(help: ArgumentHelp("ISO image.", valueName: "ISO"), completion: .file())
    var image: String

    func work(_ streams: Streams) throws { try ShowIgnition(image: image).run(streams) }
}

struct RemoveIgnitionCommand: MediaCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove",
        abstract: "Take the Ignition config out of an ISO.",
        usage: "\(Program.name) iso ignition remove [<options>] <ISO>",
        discussion: """
            Example:
              iso ignition remove live.iso
            """)

    @OptionGroup var target: ChangedISO

    func work(_ streams: Streams) throws {
        var command = RemoveIgnition(image: target.image)
        command.output = ImageOutput(target.output.first)
        try command.run(streams)
    }
}

// MARK: Old names

private func tellDeprecated(_ name: String, _ streams: Streams) {
    streams.tell("`iso \(name)` is deprecated; use `iso ignition \(name)`.  Continuing.")
}

struct DeprecatedEmbed: MediaCommand {
    static let configuration = CommandConfiguration(
        commandName: "embed", abstract: "The old name of iso ignition embed.",
        usage: "\(Program.name) iso embed [<options>] <ISO>", shouldDisplay: false)

    @Option(
        name: [.customShort("c", allowingJoined: true), .long],
        help: ArgumentHelp("Config to embed (default: standard input).", valueName: "path"), completion: .file())
    var config: [String] = []

    @Flag(name: .shortAndLong, help: "Replace a config that is there.")
    var force: Int

    @OptionGroup(visibility: ConfigOptions.visibility) var configs: ConfigOptions

    @OptionGroup var target: ChangedISO

    func validate() throws {
        try checkOnce("--force", force)
        try checkOnce("--config <path>", config.count)
    }

    var configOptions: ConfigOptions? { configs }

    func work(_ streams: Streams) throws {
        tellDeprecated("embed", streams)
        var command = EmbedIgnition(image: target.image)
        command.config = config.first
        command.force = force > 0
        command.output = ImageOutput(target.output.first)
        try command.run(streams)
    }
}

struct DeprecatedShow: MediaCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "The old name of iso ignition show.", shouldDisplay: false)
    static let showsSomething = true

    @Argument(help: ArgumentHelp("ISO image.", valueName: "ISO"), completion: .file())
    var image: String

    func work(_ streams: Streams) throws {
        tellDeprecated("show", streams)
        try ShowIgnition(image: image).run(streams)
    }
}

struct DeprecatedRemove: MediaCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove", abstract: "The old name of iso ignition remove.",
        usage: "\(Program.name) iso remove [<options>] <ISO>", shouldDisplay: false)

    @OptionGroup var target: ChangedISO

    func work(_ streams: Streams) throws {
        tellDeprecated("remove", streams)
        var command = RemoveIgnition(image: target.image)
        command.output = ImageOutput(target.output.first)
        try command.run(streams)
    }
}
