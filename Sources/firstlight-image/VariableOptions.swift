// The variables of a Butane config, as commands are given them.

import ArgumentParser
import Butane
import Glibc
import LinuxSystem
import SystemPackage

/// What `${name}` stands for in configs of the variant `firstlight`.
struct VariableOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "A variable for ${name} in configs of the variant firstlight (repeatable).", valueName: "name=value"))
    var set: [String] = []

    @Option(
        help: ArgumentHelp(
            "A secret variable; =@file reads it from a file; only the owner can read the output (repeatable).",
            valueName: "name=value"))
    var setSecret: [String] = []

    @Option(help: "A file of variables, name=value a line (repeatable).", completion: .file(), transform: path)
    var setFrom: [FilePath] = []

    @Option(help: ArgumentHelp("A variable to take from the environment (repeatable).", valueName: "name"))
    var env: [String] = []

    /// The variables with their values; a later option wins, a secret over all others.
    func values() throws -> Variables {
        var variables = Variables()
        for name in env {
            guard let value = getenv(name) else { throw ValidationError("--env \(name): not in the environment") }
            let bytes = UnsafeRawBufferPointer(start: value, count: strlen(value))
            try variables.set(name, to: text(bytes, of: "--env \(name)"))
        }
        for file in setFrom {
            for bytes in try read(file).split(separator: UInt8(ascii: "\n")) {
                let line = try text(withoutReturn(bytes), of: "--set-from \(file)")
                if line.allSatisfy(\.isWhitespace) || line.hasPrefix("#") { continue }
                let (name, value) = try pair(line, option: "--set-from \(file):")
                try variables.set(name, to: value)
            }
        }
        for text in set {
            let (name, value) = try pair(text, option: "--set")
            try variables.set(name, to: value)
        }
        for text in setSecret {
            var (name, value) = try pair(text, option: "--set-secret", isSecret: true)
            if value.hasPrefix("@") {
                let file = FilePath(String(value.dropFirst()))
                var bytes = try read(file)[...]
                if bytes.last == UInt8(ascii: "\n") { bytes = withoutReturn(bytes.dropLast()) }
                value = try self.text(bytes, of: "--set-secret \(name)=@\(file)")
            }
            try variables.set(name, to: value, isSecret: true)
        }
        return variables
    }

    private func read(_ file: FilePath) throws -> [UInt8] {
        do throws(FileFault) { return try Files.read(file) } catch {
            throw TranslateButane.Failure.unreadable(file.string, error.reason)
        }
    }

    /// A line without the carriage return of a CR LF.
    private func withoutReturn(_ line: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        line.last == UInt8(ascii: "\r") ? line.dropLast() : line
    }

    private func text(_ bytes: some Collection<UInt8>, of option: String) throws -> String {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw TranslateButane.Failure.notText(option)
        }
        return text
    }

    private func pair(_ text: String, option: String, isSecret: Bool = false) throws -> (String, String) {
        guard let equals = text.firstIndex(of: "=") else {
            throw TranslateButane.Failure.malformed(option: option, isSecret ? "(a secret)" : text)
        }
        return (String(text[..<equals]), String(text[text.index(after: equals)...]))
    }
}

/// How a command translates a Butane config that it is given in the place of an Ignition config.
struct ConfigOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("The folder whose files a Butane config may embed.", valueName: "folder"),
        completion: .directory)
    var filesDir: [String] = []

    @OptionGroup var variables: VariableOptions

    /// `coreos-installer` knows no Butane, and its help none of these.
    static var visibility: ArgumentVisibility { Program.root == FirstlightImage.self ? .default : .hidden }

    func validate() throws {
        try checkOnce("--files-dir <folder>", filesDir.count)
        let words = filesDir + variables.set + variables.setSecret + variables.setFrom.map(\.string) + variables.env
        guard Program.root == FirstlightImage.self || words.isEmpty else {
            throw ValidationError("\(Program.name) does not take Butane, nor its options")
        }
    }

    /// The Ignition config of a Butane config; any other text as it is.
    func translate(_ text: [UInt8], from name: String) throws -> [UInt8] {
        guard Program.root == FirstlightImage.self else { return text }
        let outcome = try translated(
            text, in: name == "<stdin>" ? nil : FilePath(name), files: filesDir.first.map(path),
            variables: variables.values())
        return outcome?.output ?? text
    }
}
