// firstlight-image check

import ArgumentParser
import Glibc
import ImageMaking
import SystemPackage

struct CheckImage: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Show what an image is, what is in it, and whether it boots.",
        discussion: """
            Takes an ISO, a root image, an initramfs, a kernel, a unified kernel image, a
            folder of `firstlight-image pxe`, a container image, a stick. Exits with 1
            if it is none of these, or if its parts do not belong together.

            EXAMPLES:
              firstlight-image check live.iso
              firstlight-image check --json /dev/sdb
            """)

    @Argument(help: "What to look into.", completion: .file(), transform: path)
    var image: FilePath

    @Flag(help: "Print it as JSON.")
    var json = false

    func run() throws {
        let check = try showingProgress { try ImageCheck(image, telling: $0) }
        print(json ? check.json.text(.pretty) : check.text + "\n", terminator: "")
        if check.kind == "unknown" || !check.problems.isEmpty { throw ExitCode(1) }
    }
}
