// firstlight-image list

import ArgumentParser
import InitramfsImage
import SystemPackage

struct ListImage: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "Show what is in an initramfs and how big each part is.")

    @Argument(help: "The initramfs.", completion: .file(), transform: path)
    var image: FilePath

    @Flag(help: "List every file with its size in bytes.")
    var files = false

    func run() throws {
        let listing = try ImageListing(reading: image)
        print(files ? listing.files : listing.summary)
    }
}
