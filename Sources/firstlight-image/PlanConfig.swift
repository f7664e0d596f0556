// firstlight-image plan

import ArgumentParser
import Butane
import Glibc
import LinuxSystem
import Reporting
import SystemPackage

struct PlanConfig: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan",
        abstract: "Show what a Butane or an Ignition config would do to disks. Writes nothing.",
        usage: "firstlight-image plan [--disk <device=image> ...] [<options>] <file>",
        discussion: """
            Without --disk it plans for this machine's disks. Line numbers refer to the
            file. Exit status: 0 nothing to do, 2 changes, 3 would destroy data, 1 error,
            as with `firstlight plan`, which does the work.

            EXAMPLES:
              firstlight-image plan config.bu
              truncate -s 20G blank.img
              firstlight-image plan --disk /dev/vda=blank.img config.bu
            """)

    @Argument(help: "The config, YAML or JSON; - is standard input.", completion: .file(), transform: path)
    var file: FilePath

    @Option(
        name: .customLong("disk"),
        help: ArgumentHelp(
            "An image file that stands for a disk of another machine (repeatable).", valueName: "device=image"))
    var disks: [String] = []

    @Option(help: "A system's root: show what its users, files and units would become.", completion: .directory)
    var root: String?

    @Flag(help: "Print the plan as JSON.")
    var json = false

    @Flag(help: "Fetch nothing: an error where the config refers to another machine.")
    var offline = false

    @Option(
        name: [.customShort("d"), .long], help: "The folder whose files a Butane config may embed.",
        completion: .directory, transform: path)
    var filesDir: FilePath?

    @OptionGroup var variables: VariableOptions

    @Option(help: "The agent (default: firstlight beside this program).", completion: .file(), transform: path)
    var agent: FilePath?

    func run() throws {
        let isInput = file.string == "-"
        let bytes =
            isInput
            ? try Files.naming("read", "standard input") { () throws(Errno) in try readAll(STDIN_FILENO) }
            : try Files.read(file)
        let outcome = try translated(
            bytes, in: isInput ? nil : file, files: filesDir, variables: variables.values())
        // The agent names places in the Butane config, so they are handed over with the result.
        let placed = outcome?.placed
        let shown = isInput ? "standard input" : file.string
        let program = try agent ?? besideThisProgram("firstlight")
        guard Files.exists(program) else { throw NoAgent(agent: program) }
        // Programs run in the root folder; the config goes through memory alone, since it may hold secrets.
        var words = ["plan", "--config", "-"]
        words += placed == nil ? ["--config-name", shown] : ["--placed"]
        if json { words.append("--json") }
        if offline { words.append("--offline") }
        if let root { words += ["--root", Files.absolute(FilePath(root)).string] }
        for disk in disks { words += ["--disk", absolute(disk)] }
        let command = Command(
            Files.absolute(program).string, words, environment: environment, input: placed?.bytes ?? bytes)
        let output = try whileTelling("planning") { _ in try command.capture() }
        for (bytes, descriptor) in [
            (output.standardOutput, STDOUT_FILENO), (output.standardError, STDERR_FILENO),
        ] {
            try Files.naming("write to", "standard output") { () throws(Errno) in
                try Files.writeAll(bytes, to: descriptor)
            }
        }
        if output.status != 0 { throw ExitCode(output.status.shellStatus) }
    }

    /// `/dev/vda=disk.img` with the whole path of the image.
    private func absolute(_ disk: String) -> String {
        guard let equals = disk.firstIndex(of: "="), disk[equals...].count > 1 else { return disk }
        let image = FilePath(String(disk[disk.index(after: equals)...]))
        return String(disk[...equals]) + Files.absolute(image).string
    }

    /// This program's own, since proxies and the credentials of clouds are in it.
    private var environment: [String] {
        let entries = (try? Files.read("/proc/self/environ"))?.split(separator: 0) ?? []
        let isTerminal = isatty(STDOUT_FILENO) == 1 && !json
        return entries.map { String(decoding: $0, as: UTF8.self) } + (isTerminal ? ["CLICOLOR_FORCE=1"] : [])
    }
}

/// The agent, which the command asks, is not where it should be.
private struct NoAgent: Error, CustomStringConvertible, Advising {
    var agent: FilePath

    var description: String { "there is no agent at \(agent)" }
    var advice: [String] { ["Build the agent with `make agent`, or name one with --agent."] }
}
