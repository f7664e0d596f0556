// firstlight-image dev and pack: what people who make images look for.

import ArgumentParser
import MediaEditing

struct DevGroup: CommandGroup {
    static let configuration = CommandConfiguration(
        commandName: "dev",
        abstract: "Look into images.",
        shouldDisplay: false,
        subcommands: [DevShowGroup.self, DevExtractGroup.self])
}

struct DevShowGroup: CommandGroup {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show what an image is made of.",
        subcommands: [ShowISOCommand.self, ShowInitrdCommand.self, ShowFiemapRefusal.self])
}

struct DevExtractGroup: CommandGroup {
    static let configuration = CommandConfiguration(
        commandName: "extract",
        abstract: "Extract what is in an image.",
        subcommands: [ExtractInitrdCommand.self, ExtractOsmetRefusal.self])
}

struct ShowISOCommand: MediaCommand {
    static let configuration = CommandConfiguration(
        commandName: "iso",
        abstract: "Show what an ISO is made of, as JSON.",
        usage: "\(Program.name) dev show iso [<options>] <ISO>",
        discussion: """
            Example:
              dev show iso --kargs live.iso
            """)
    static let showsSomething = true

    @Flag(help: "Where the Ignition config is embedded.")
    var ignition: Int

    @Flag(help: "Where the kernel arguments are embedded.")
    var kargs: Int

    @Argument(help: ArgumentHelp("ISO image.", valueName: "ISO"), completion: .file())
    var image: String

    func validate() throws {
        try checkOnce("--ignition", ignition)
        try checkOnce("--kargs", kargs)
        guard ignition == 0 || kargs == 0 else {
            throw ValidationError("the argument '--ignition' cannot be used with '--kargs'")
        }
    }

    func work(_ streams: Streams) throws {
        var command = ShowISO(image: image)
        command.part = ignition > 0 ? .initrd : kargs > 0 ? .arguments : .structure
        try command.run(streams)
    }
}

struct ShowInitrdCommand: MediaCommand {
    static let configuration = CommandConfiguration(
        commandName: "initrd",
        abstract: "List the files in an initrd.",
        discussion: """
            Example:
              dev show initrd initrd.img 'etc/*'
            """)
    static let showsSomething = true

    @Argument(help: ArgumentHelp("Initrd, or standard input (-).", valueName: "initrd"), completion: .file())
    var initrd: String

    @Argument(help: ArgumentHelp("Names or patterns of files.", valueName: "glob"))
    var globs: [String] = []

    func work(_ streams: Streams) throws {
        var command = ShowInitrd(initrd: initrd)
        command.globs = globs
        try command.run(streams)
    }
}

struct ExtractInitrdCommand: MediaCommand {
    static let configuration = CommandConfiguration(
        commandName: "initrd",
        abstract: "Write the files of an initrd into a folder.",
        usage: "\(Program.name) dev extract initrd [<options>] <initrd> [<glob> ...]",
        discussion: """
            Example:
              dev extract initrd -C out initrd.img 'etc/*'
            """)

    @Option(
        name: [.customShort("C", allowingJoined: true), .long],
        help: ArgumentHelp("Folder to write to (default: .).", valueName: "path"), completion: .directory)
    var directory: [String] = []

    @Flag(name: .shortAndLong, help: "Print the path of each file.")
    var verbose: Int

    @Argument(help: ArgumentHelp("Initrd, or standard input (-).", valueName: "initrd"), completion: .file())
    var initrd: String

    @Argument(help: ArgumentHelp("Names or patterns of files.", valueName: "glob"))
    var globs: [String] = []

    func validate() throws {
        try checkOnce("--directory <path>", directory.count)
        try checkOnce("--verbose", verbose)
    }

    func work(_ streams: Streams) throws {
        var command = ExtractInitrd(initrd: initrd)
        command.globs = globs
        if let folder = directory.first { command.folder = folder }
        command.isVerbose = verbose > 0
        try command.run(streams)
    }
}

struct PackGroup: CommandGroup {
    static let configuration = CommandConfiguration(
        commandName: "pack",
        abstract: "Pack data that an image brings along.",
        shouldDisplay: false,
        subcommands: [PackOsmetRefusal.self, PackMinimalISOCommand.self])
}

struct PackMinimalISOCommand: MediaCommand {
    static let configuration = CommandConfiguration(
        commandName: "minimal-iso",
        abstract: "Add to a full ISO the data that makes a minimal ISO of it.",
        usage: "\(Program.name) pack minimal-iso [<options>] <full ISO> <minimal ISO>",
        discussion: """
            Example:
              pack minimal-iso live.iso minimal.iso --consume
            """)

    @Argument(help: ArgumentHelp("ISO image.", valueName: "full ISO"), completion: .file())
    var full: String

    @Argument(help: ArgumentHelp("The same without the root image.", valueName: "minimal ISO"), completion: .file())
    var minimal: String

    @Flag(help: "Delete the minimal ISO once it is packed.")
    var consume: Int

    func validate() throws { try checkOnce("--consume", consume) }

    func work(_ streams: Streams) throws {
        var command = PackMinimalISO(full: full, minimal: minimal)
        command.consume = consume > 0
        try command.run(streams)
    }
}
