// The names of the program, and how it ends.

import ArgumentParser
import CLinux
import Glibc
import LinuxSystem
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
        firstlight_check_output_at_exit()
        if let words = ButaneProgram.arguments(of: CommandLine.arguments) {
            ButaneProgram.main(words, isOwnName: words.count == CommandLine.arguments.count - 1)
        }
        var words = Array(CommandLine.arguments.dropFirst())
        if root == CoreOSInstaller.self {
            // It has no such command.
            if words.first == "help" { end(with: ValidationError("unrecognized subcommand 'help'")) }
            if words.first == "-V" { words[0] = "--version" }
        }
        words = separated(words)
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

    /// Options in GNU style, in the form that the argument parser reads correctly.
    ///
    /// Behind `--append=` the value is empty. For commands that change media, an option behind a flag as in `-fi config`
    /// becomes `-f -i config`; `-aconsole=ttyS0` becomes `-a=console=ttyS0`.
    private static func separated(_ words: [String]) -> [String] {
        let isForMedia = words.first.map { ["iso", "pxe", "dev"].contains($0) } ?? false
        let end = words.firstIndex(of: "--") ?? words.endIndex
        let options = isForMedia ? words[..<end].flatMap(separatedLetters) + words[end...] : words
        return separatingEmptyValues(options)
    }

    private static func separatedLetters(_ word: String) -> [String] {
        let (dash, equals) = (UInt8(ascii: "-"), UInt8(ascii: "="))
        let bytes = Array(word.utf8)
        guard bytes.count > 2, bytes[0] == dash, bytes[1] != dash, bytes[2] != equals else { return [word] }
        let option = String(decoding: bytes[..<2], as: UTF8.self)
        let rest = String(decoding: bytes[2...], as: UTF8.self)
        switch UnicodeScalar(bytes[1]) {
        case "f", "v": return [option] + separatedLetters("-" + rest)
        case "C", "a", "c", "d", "i", "k", "o", "r": return ["\(option)=\(rest)"]
        default: return [word]
        }
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

    /// Reports what went wrong, what was being done, and what to do about it.
    private static func refuse(_ failure: BootFailure) -> Never {
        var lines = ["firstlight-image: \(failure.cause)"]
        lines += failure.steps.reversed().map { "  while \($0)" }
        lines += FileFault.adviceAtAShell(about: failure).map { "  \($0)" }
        say(lines.joined(separator: "\n"))
        Glibc.exit(1)
    }
}
