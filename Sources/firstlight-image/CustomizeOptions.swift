// The options that `iso customize` and `pxe customize` share.

import ArgumentParser
import BootMedia

struct CustomizeOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Ignition config for the installed system (repeatable).",
            discussion: "The installer runs by itself. Several configs are merged in their order.", valueName: "path"),
        completion: .file())
    var destIgnition: [String] = []

    @Option(
        help: ArgumentHelp(
            "Disk to install to.",
            discussion: "The installer runs by itself and overwrites the disk without asking.", valueName: "path"))
    var destDevice: [String] = []

    @Option(
        help: ArgumentHelp(
            "Console of the installed system, for kernel and boot loader (repeatable).",
            discussion: "The installer runs by itself. Such as tty0 or ttyS0,115200n8.", valueName: "spec"),
        transform: ConsoleSpec.init(parsing:))
    var destConsole: [ConsoleSpec] = []

    @Option(
        help: ArgumentHelp(
            "Kernel argument to add to the installed system (repeatable).",
            discussion: "The installer runs by itself.", valueName: "arg"))
    var destKargAppend: [String] = []

    @Option(
        help: ArgumentHelp(
            "Kernel argument to take from the installed system (repeatable).",
            discussion: "The installer runs by itself.", valueName: "arg"))
    var destKargDelete: [String] = []

    @Option(
        help: ArgumentHelp(
            "NetworkManager keyfile for the live system (repeatable).",
            discussion: "Where the installer runs, for the installed system too.", valueName: "path"),
        completion: .file())
    var networkKeyfile: [String] = []

    @Option(
        help: ArgumentHelp(
            "Network state of nmstate for the live system (repeatable).",
            discussion: "Turned into keyfiles by nmstatectl, which has to be installed.", valueName: "path"),
        completion: .file())
    var networkNmstate: [String] = []

    @Option(
        help: ArgumentHelp(
            "PEM file of certificates that Ignition trusts (repeatable).",
            discussion: "In the live system, and in the installed one if it has a config.", valueName: "path"),
        completion: .file())
    var ignitionCa: [String] = []

    @Option(
        help: ArgumentHelp(
            "Program to run before the installation (repeatable).",
            discussion: "If it fails, nothing is installed.", valueName: "path"),
        completion: .file())
    var preInstall: [String] = []

    @Option(
        help: ArgumentHelp(
            "Program to run after the installation (repeatable).",
            discussion: "If it fails, the machine does not restart.", valueName: "path"),
        completion: .file())
    var postInstall: [String] = []

    @Option(
        help: ArgumentHelp(
            "Config file of the installer (repeatable).",
            discussion: "The installer runs by itself. A later file wins.", valueName: "path"),
        completion: .file())
    var installerConfig: [String] = []

    @Option(
        help: ArgumentHelp(
            "Ignition config for the live system (repeatable).",
            discussion: "Several configs are merged in their order.", valueName: "path"),
        completion: .file())
    var liveIgnition: [String] = []

    func validate() throws { try checkOnce("--dest-device <path>", destDevice.count) }

    var customization: Customization {
        var customization = Customization()
        customization.destinationConfigs = destIgnition
        customization.destinationDevice = destDevice.first
        customization.destinationConsoles = destConsole
        customization.destinationArgumentsAppended = destKargAppend
        customization.destinationArgumentsDeleted = destKargDelete
        customization.networkKeyfiles = networkKeyfile
        customization.networkStates = networkNmstate
        customization.authorities = ignitionCa
        customization.hooksBefore = preInstall
        customization.hooksAfter = postInstall
        customization.installerConfigs = installerConfig
        customization.liveConfigs = liveIgnition
        return customization
    }
}

/// An ISO, and where to put it when it is changed.
struct ChangedISO: ParsableArguments {
    @Option(
        name: [.customShort("o", allowingJoined: true), .long],
        help: ArgumentHelp(
            "Write the ISO to a new file, or to standard output (-).",
            discussion: "Without it the ISO is changed in place.", valueName: "path"),
        completion: .file())
    var output: [String] = []

    @Argument(help: ArgumentHelp("ISO image.", valueName: "ISO"), completion: .file())
    var image: String

    func validate() throws { try checkOnce("--output <path>", output.count) }
}
