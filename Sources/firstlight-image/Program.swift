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
        var words = Array(CommandLine.arguments.dropFirst())
        if root == CoreOSInstaller.self {
            // It has no such command.
            if words.first == "help" { end(with: ValidationError("unrecognized subcommand 'help'")) }
            if words.first == "-V" { words[0] = "--version" }
        }
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

    private static func end(with error: any Error) -> Never {
        let code = root.exitCode(for: error)
        // EX_USAGE
        guard code == .validationFailure else { root.exit(withError: error) }
        say(root.fullMessage(for: error))
        Glibc.exit(2)
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
