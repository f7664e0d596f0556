// The names of the program, and how it ends.

import ArgumentParser
import Glibc
import Reporting

/// The program under the name by which it was called.
enum Program {
    /// Under the name `coreos-installer` it has that one's commands alone.
    static var root: any ParsableCommand.Type {
        let name = CommandLine.arguments.first?.split(separator: "/").last
        return name == "coreos-installer" ? CoreOSInstaller.self : FirstlightImage.self
    }

    static var name: String { root._commandName }

    static func main() -> Never {
        if let words = ButaneProgram.arguments(of: CommandLine.arguments) {
            ButaneProgram.main(words, isOwnName: words.count == CommandLine.arguments.count - 1)
        }
        var words = Array(CommandLine.arguments.dropFirst())
        if root == CoreOSInstaller.self {
            // It has no such command.
            if words.first == "help" { end(with: ValidationError("unrecognized subcommand 'help'")) }
            if words.first == "-V" { words[0] = "--version" }
        }
        words = separatingFlags(in: words)
        do {
            var command = try root.parseAsRoot(words)
            try command.run()
            Glibc.exit(0)
        } catch let failure as MediaFailure {
            say("\(failure)")
            Glibc.exit(1)
        } catch let failure as BootFailure {
            refuse(failure)
        } catch let error as any Advising {
            refuse(BootFailure(cause: error))
        } catch {
            end(with: error)
        }
    }

    /// `-fi config` and `-ficonfig` as `-f -i config`: an option with a value may follow flags in one word.
    ///
    /// The flags of the commands that change media are -f and -v.
    private static func separatingFlags(in words: [String]) -> [String] {
        guard let first = words.first, ["iso", "pxe", "dev"].contains(first) else { return words }
        let end = words.firstIndex(of: "--") ?? words.endIndex
        let separated = words[..<end].flatMap { word -> [String] in
            let letters = word.utf8.dropFirst()
            guard word.hasPrefix("-"), letters.count > 1, let flag = letters.first,
                flag == UInt8(ascii: "f") || flag == UInt8(ascii: "v"), letters.dropFirst().first != UInt8(ascii: "=")
            else { return [word] }
            return ["-" + String(UnicodeScalar(flag)), "-" + word.dropFirst(2)]
        }
        return separated + words[end...]
    }

    private static func end(with error: any Error) -> Never {
        let code = root.exitCode(for: error)
        // EX_USAGE
        if code == .validationFailure {
            say(shown(root.fullMessage(for: error)))
            Glibc.exit(2)
        }
        if code == .success {
            print(shown(root.fullMessage(for: error)))
            Glibc.exit(0)
        }
        root.exit(withError: error)
    }

    /// The help of a command.
    static func help(of command: any ParsableCommand.Type) -> String { shown(root.helpMessage(for: command)) }

    /// A help text without the hint at a command that the program does not have under this name.
    private static func shown(_ text: String) -> String {
        guard root == CoreOSInstaller.self else { return text }
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        return lines.filter { !$0.hasPrefix("  See '\(name) help") }.joined(separator: "\n")
    }

    /// What went wrong, while what, and what to do about it.
    private static func refuse(_ failure: BootFailure) -> Never {
        var lines = ["firstlight-image: \(failure.cause)"]
        lines += failure.steps.reversed().map { "  while \($0)" }
        lines += failure.advice.map { "  \($0)" }
        say(lines.joined(separator: "\n"))
        Glibc.exit(1)
    }
}
