// firstlight-image validate

import ArgumentParser
import Butane
import Glibc
import IgnitionConfig
import LinuxSystem
import SystemPackage

struct ValidateConfig: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "validate",
        abstract: "Check a Butane or an Ignition config and show every mistake at its place.",
        usage: "firstlight-image validate [-d <folder>] [--strict] [<options>] <file>",
        discussion: """
            EXAMPLES:
              firstlight-image validate config.bu
              firstlight-image validate --strict -d files --set name=node1 config.bu
            """)

    @Argument(help: "The config, YAML or JSON.", completion: .file(), transform: path)
    var file: FilePath

    @Option(
        name: [.customShort("d"), .long], help: "The folder whose files a Butane config may embed.",
        completion: .directory,
        transform: path)
    var filesDir: FilePath?

    @Flag(name: .shortAndLong, help: "Fail on warnings, too.")
    var strict = false

    @OptionGroup var variables: VariableOptions

    func run() throws {
        let bytes = try Files.read(file)
        if Butane.isButane(bytes) {
            var command = try TranslateButane.parse([])
            command.file = file
            command.filesDir = filesDir
            command.strict = strict
            command.variables = variables
            command.check = true
            try command.run()
            return
        }
        let report = IgnitionConfig.parse(bytes, name: file.string).report
        print(report)
        if !report.errors.isEmpty || strict && !report.warnings.isEmpty { throw ExitCode(1) }
    }
}
