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
            "The same for a secret, from a file with =@file; output with it is for its owner alone (repeatable).",
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
            try variables.set(name, to: String(cString: value))
        }
        for file in setFrom {
            let bytes: [UInt8]
            do throws(FileFault) { bytes = try Files.read(file) } catch {
                throw TranslateButane.Failure.unreadable(file.string, error.reason)
            }
            for line in String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isNewline) {
                if line.allSatisfy(\.isWhitespace) || line.hasPrefix("#") { continue }
                let (name, value) = try pair(String(line), option: "--set-from \(file):")
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
                let file = String(value.dropFirst())
                do throws(FileFault) {
                    value = String(decoding: try Files.read(FilePath(file)), as: UTF8.self)
                } catch { throw TranslateButane.Failure.unreadable(file, error.reason) }
                if value.hasSuffix("\n") { value.removeLast() }
            }
            try variables.set(name, to: value, isSecret: true)
        }
        return variables
    }

    private func pair(_ text: String, option: String, isSecret: Bool = false) throws -> (String, String) {
        guard let equals = text.firstIndex(of: "=") else {
            throw TranslateButane.Failure.malformed(option: option, isSecret ? "(a secret)" : text)
        }
        return (String(text[..<equals]), String(text[text.index(after: equals)...]))
    }
}
