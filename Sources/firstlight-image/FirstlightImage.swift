// firstlight-image: the host-side tool.

import ArgumentParser
import Glibc
import Reporting

@main
struct FirstlightImage: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "firstlight-image",
        abstract: "Make the images of a live boot: initramfs and root image.",
        version: "firstlight-image \(firstlightVersion)",
        subcommands: [
            MakeInitramfs.self, MakeRootImage.self, ListImage.self, TranslateButane.self, ValidateConfig.self,
        ])

    static func main() {
        if let words = ButaneProgram.arguments(of: CommandLine.arguments) {
            ButaneProgram.main(words, isOwnName: words.count == CommandLine.arguments.count - 1)
        }
        do {
            var command = try parseAsRoot()
            try command.run()
        } catch let failure as BootFailure {
            refuse(failure)
        } catch let error as any Advising {
            refuse(BootFailure(cause: error))
        } catch {
            exit(withError: error)
        }
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
