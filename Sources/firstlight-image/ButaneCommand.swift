// firstlight-image butane, and the same program under the name butane

import ArgumentParser
import Butane
import Glibc
import LinuxSystem
import Reporting
import SystemPackage

struct TranslateButane: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "butane",
        abstract: "Translate a Butane config to an Ignition config.",
        usage: "firstlight-image butane [-pscr] [-d <folder>] [-o <file>] [<file>]",
        discussion: """
            Reads standard input without a file. Mistakes are shown at their places in the
            YAML. Called by the name butane, the program does the same.

            EXAMPLES:
              firstlight-image butane --pretty --strict config.bu -o config.ign
              firstlight-image butane -d files --set name=node1 <config.bu
            """)

    @Argument(help: "The Butane config (default: standard input).", completion: .file(), transform: path)
    var file: FilePath?

    @Option(
        name: .shortAndLong, help: "Write here instead of standard output.", completion: .file(), transform: path)
    var output: FilePath?

    @Option(
        name: [.customShort("d"), .long],
        help: "The folder whose files the config may embed; nothing outside of it is read.", completion: .directory,
        transform: path)
    var filesDir: FilePath?

    @Flag(name: .shortAndLong, help: "Indent the JSON.")
    var pretty = false

    @Flag(name: .shortAndLong, help: "Fail on warnings, too.")
    var strict = false

    @Flag(name: .shortAndLong, help: "Check only, write nothing.")
    var check = false

    @Flag(name: .shortAndLong, help: "Write Ignition for openshift too, not a MachineConfig.")
    var raw = false

    @Flag(help: "A line for each mistake, without the lines of the config.")
    var rawErrors = false

    @Option(help: ArgumentHelp("Colour: auto, always or never; without a value always.", valueName: "when"))
    var color: ColourChoice = .auto

    @OptionGroup var variables: VariableOptions

    @Flag(name: [.customShort("V"), .customLong("version")], help: "Show the version.")
    var showsVersion = false

    @Option(name: .customLong("input"), help: .hidden, transform: path)
    var input: FilePath?

    @Flag(name: [.customShort("D"), .customLong("debug")], help: .hidden)
    var debug = false

    enum ColourChoice: String, ExpressibleByArgument {
        case auto, always, never, yes, no
    }

    /// An error that ends the command, in Butane's words.
    enum Failure: Error, CustomStringConvertible {
        case unreadable(String, Errno)
        case unwritable(String, Errno)
        case malformed(option: String, String)
        case notText(String)

        var description: String {
            switch self {
            case .unreadable(let name, let reason): "failed to read \(name): open \(name): \(lowered(reason))"
            case .unwritable(let name, let reason): "failed to open \(name): open \(name): \(lowered(reason))"
            case .malformed(let option, let text): "\(option) \(text): write name=value"
            case .notText(let option):
                "\(option): the value is not UTF-8; a file of other bytes is embedded with `local`"
            }
        }
    }

    mutating func validate() throws {
        // An empty value is none, as of `--output="$OUT"` where nothing is set.
        output = given(output)
        input = given(input)
        if file != nil, input != nil { throw ValidationError("Give one file.") }
        file = given(file)
    }

    private func given(_ path: FilePath?) -> FilePath? { path.flatMap { $0.isEmpty ? nil : $0 } }

    func run() throws { try translate(remarks: true) }

    /// Translates the config and writes the result.
    ///
    /// `remarks` says what a live system makes nothing of, which Butane does not. Throws where there is no
    /// result.
    func translate(remarks: Bool) throws {
        if showsVersion { return print("Butane 0.29.0, by firstlight-image \(firstlightVersion)") }
        var options = Butane.Options()
        options.isRaw = raw
        options.isPretty = pretty
        options.variables = try variables.values()
        let source = file ?? input
        let name = source?.string ?? "<stdin>"
        let bytes: [UInt8]
        do throws(FileFault) {
            bytes = if let source { try Files.read(source) } else { try Files.readStandardInput() }
        } catch {
            throw Failure.unreadable(name, error.reason)
        }

        let outcome = Butane.translate(
            bytes, name: name, localFiles: .onHost(files: filesDir, config: source), options: options)
        if debug { tell(outcome.translations.map { $0 + "\n" }.joined()) }
        tell(rawErrors ? outcome.report.rawLines : outcome.report.pretty(outcome.texts, isColoured: isColoured))
        if let failure = outcome.failure {
            tell("Error translating config: \(failure)\n")
            throw ExitCode(1)
        }
        if strict, !outcome.report.isEmpty {
            tell("Config produced warnings and --strict was specified\n")
            throw ExitCode(1)
        }
        if remarks { outcome.remarks.forEach { say("note: \($0)") } }
        guard !check, var text = outcome.output else { return }
        text.append(UInt8(ascii: "\n"))
        try write(text, isSecret: outcome.usesVariables && options.variables.hasSecrets)
    }

    private func tell(_ text: String) { try? Files.writeAll(Array(text.utf8), to: STDERR_FILENO) }

    private var isColoured: Bool {
        switch color {
        case .always, .yes: true
        case .never, .no: false
        case .auto: getenv("NO_COLOR") == nil && isatty(STDERR_FILENO) == 1
        }
    }

    private func write(_ bytes: [UInt8], isSecret: Bool) throws {
        guard let output else {
            return try Files.naming("write to", "standard output") { () throws(Errno) in
                try Files.writeAll(bytes, to: STDOUT_FILENO)
            }
        }
        if isSecret, OutputPlace(output) == .file {
            do throws(FileFault) { return try Files.write(bytes, to: output, mode: 0o600) } catch {
                throw Failure.unwritable(output.string, error.reason)
            }
        }
        do throws(Errno) {
            let descriptor = open(output.string, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
            guard descriptor >= 0 else { throw Errno(rawValue: errno) }
            defer { close(descriptor) }
            try Files.writeAll(bytes, to: descriptor)
        } catch { throw Failure.unwritable(output.string, error) }
    }
}

/// The command by itself: its exit codes are Butane's, 2 for a wrong call and 1 for everything else.
enum ButaneProgram {
    /// The words after the command, or `nil` where another one is meant.
    static func arguments(of words: [String]) -> [String]? {
        guard let name = words.first?.split(separator: "/").last else { return nil }
        if name == "butane" { return Array(words.dropFirst()) }
        return words.count > 1 && words[1] == "butane" ? Array(words.dropFirst(2)) : nil
    }

    private static func plain(_ words: [String]) throws -> [String] {
        do throws(ButaneWords.Fault) { return try ButaneWords.plain(words) } catch {
            throw ValidationError("\(error)")
        }
    }

    static func main(_ words: [String], isOwnName: Bool) -> Never {
        do {
            let command = try TranslateButane.parse(plain(words))
            try command.translate(remarks: !isOwnName)
            exit(0)
        } catch let failure as TranslateButane.Failure {
            say("\(failure)")
            exit(1)
        } catch {
            let code = TranslateButane.exitCode(for: error)
            let text = TranslateButane.fullMessage(for: error)
            if code == .success {
                print(text)
                exit(0)
            }
            if !text.isEmpty { say(text) }
            exit(code == .validationFailure ? 2 : 1)
        }
    }
}
