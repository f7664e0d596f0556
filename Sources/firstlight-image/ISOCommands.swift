// firstlight-image iso: customize, reset, and the groups of the others.

import ArgumentParser
import BootMedia
import MediaEditing

struct ISOGroup: CommandGroup {
    static let configuration = CommandConfiguration(
        commandName: "iso",
        abstract: "Customize a live ISO image.",
        subcommands: [
            DeprecatedEmbed.self, DeprecatedShow.self, DeprecatedRemove.self, CustomizeISOCommand.self,
            ISOIgnitionGroup.self, ISONetworkGroup.self, ISOArgumentsGroup.self, ISOExtractGroup.self,
            ResetISOCommand.self,
        ])
}

struct CustomizeISOCommand: MediaCommand {
    static let configuration = CommandConfiguration(
        commandName: "customize",
        abstract: "Make an ISO boot, provision or install by itself.",
        usage: "\(Program.name) iso customize [<options>] <ISO>",
        discussion: """
            Examples:
              iso customize --live-ignition a.ign -o new.iso live.iso
              iso customize --dest-device /dev/sda --dest-ignition a.ign live.iso
              iso customize --network-keyfile eth0.nmconnection live.iso
            """)

    @OptionGroup var common: CustomizeOptions

    @Option(help: ArgumentHelp("Kernel argument to add to the live system (repeatable).", valueName: "arg"))
    var liveKargAppend: [String] = []

    @Option(help: ArgumentHelp("Kernel argument to take from the live system (repeatable).", valueName: "arg"))
    var liveKargDelete: [String] = []

    @Option(
        help: ArgumentHelp(
            "Kernel argument to replace in the live system (repeatable).",
            discussion: "a=b=c makes a=c of a=b.", valueName: "k=o=n"))
    var liveKargReplace: [String] = []

    @Flag(name: .shortAndLong, help: "Replace what the ISO is customized with.")
    var force: Int

    @OptionGroup(visibility: ConfigOptions.visibility) var configs: ConfigOptions

    @OptionGroup var target: ChangedISO

    func validate() throws { try checkOnce("--force", force) }

    var configOptions: ConfigOptions? { configs }

    func work(_ streams: Streams) throws {
        var command = CustomizeISO(image: target.image)
        command.customization = common.customization
        command.arguments = KernelArgumentEdit(
            appending: liveKargAppend, deleting: liveKargDelete, replacing: liveKargReplace)
        command.force = force > 0
        command.output = ImageOutput(target.output.first)
        try command.run(streams)
    }
}

struct ResetISOCommand: MediaCommand {
    static let configuration = CommandConfiguration(
        commandName: "reset",
        abstract: "Take out of an ISO whatever was embedded.",
        usage: "\(Program.name) iso reset [<options>] <ISO>",
        discussion: """
            Example:
              iso reset live.iso
            """)

    @OptionGroup var target: ChangedISO

    func work(_ streams: Streams) throws {
        var command = ResetISO(image: target.image)
        command.output = ImageOutput(target.output.first)
        try command.run(streams)
    }
}
