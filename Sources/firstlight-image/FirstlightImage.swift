// firstlight-image: the host-side tool.

import ArgumentParser
import Reporting

@main
struct FirstlightImage: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "firstlight-image",
        abstract: "Make and customize the images of a live boot.",
        version: "firstlight-image \(firstlightVersion)",
        subcommands: [
            MakeInitramfs.self, MakeRootImage.self, OwnISOGroup.self, OwnPXEGroup.self, MakeUnifiedKernel.self,
            CheckImage.self, WriteStick.self, ListImage.self, TranslateButane.self, ValidateConfig.self,
            PlanConfig.self, PackGroup.self, DevGroup.self,
        ])

    static func main() { Program.main() }
}
