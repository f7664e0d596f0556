// firstlight-image iso kargs.

import ArgumentParser
import BootMedia
import MediaEditing

struct ISOArgumentsGroup: CommandGroup {
    static let configuration = CommandConfiguration(
        commandName: "kargs",
        abstract: "Edit the kernel arguments of an ISO.",
        subcommands: [ModifyArgumentsCommand.self, ResetArgumentsCommand.self, ShowArgumentsCommand.self])
}

struct ModifyArgumentsCommand: MediaCommand {
    static let configuration = CommandConfiguration(
        commandName: "modify",
        abstract: "Edit the present kernel arguments of an ISO.",
        usage: "\(Program.name) iso kargs modify [<options>] <ISO>",
        discussion: """
            First arguments are deleted, then appended, then replaced.

            Example:
              iso kargs modify -a console=ttyS0 -d quiet -r a=old=new live.iso
            """)

    @Option(
        name: [.customShort("a", allowingJoined: true), .long],
        help: ArgumentHelp("Kernel argument to add (repeatable).", valueName: "karg"))
    var append: [String] = []

    @Option(
        name: [.customShort("d", allowingJoined: true), .long],
        help: ArgumentHelp("Kernel argument to take out (repeatable).", valueName: "karg"))
    var delete: [String] = []

    @Option(
        name: [.customShort("r", allowingJoined: true), .long],
        help: ArgumentHelp("Kernel argument to replace (repeatable).", valueName: "karg=old=new"))
    var replace: [String] = []

    @OptionGroup var target: ChangedISO

    func work(_ streams: Streams) throws {
        let edit = KernelArgumentEdit(appending: append, deleting: delete, replacing: replace)
        var command = ModifyArguments(image: target.image, edit: edit)
        command.output = ImageOutput(target.output.first)
        try command.run(streams)
    }
}

struct ResetArgumentsCommand: MediaCommand {
    static let configuration = CommandConfiguration(
        commandName: "reset",
        abstract: "Give an ISO the kernel arguments that it came with.",
        usage: "\(Program.name) iso kargs reset [<options>] <ISO>",
        discussion: """
            Example:
              iso kargs reset live.iso
            """)

    @OptionGroup var target: ChangedISO

    func work(_ streams: Streams) throws {
        var command = ResetArguments(image: target.image)
        command.output = ImageOutput(target.output.first)
        try command.run(streams)
    }
}

struct ShowArgumentsCommand: MediaCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Print the kernel arguments of an ISO.",
        usage: "\(Program.name) iso kargs show [<options>] <ISO>",
        discussion: """
            Example:
              iso kargs show --default live.iso
            """)
    static let showsSomething = true

    @Flag(name: .shortAndLong, help: "Show the arguments that the ISO came with.")
    var `default`: Int

    @Argument(help: ArgumentHelp("ISO image.", valueName: "ISO"), completion: .file())
    var image: String

    func validate() throws { try checkOnce("--default", `default`) }

    func work(_ streams: Streams) throws {
        var command = ShowArguments(image: image)
        command.showsDefaults = `default` > 0
        try command.run(streams)
    }
}
