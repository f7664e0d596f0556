// firstlight-image list

import ArgumentParser
import InitramfsImage
import JSONText
import SystemPackage

struct ListImage: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "Show what is in an initramfs and how big each part is.",
        discussion: """
            EXAMPLES:
              firstlight-image list initramfs.img
              firstlight-image list --files initramfs.img
            """)

    @Argument(help: "The initramfs.", completion: .file(), transform: path)
    var image: FilePath

    @Flag(help: "List every file with its size in bytes.")
    var files = false

    @Flag(help: "Print all of it as JSON.")
    var json = false

    func run() throws {
        let listing = try ImageListing(reading: image)
        print(json ? listing.json.text(.pretty) : files ? listing.files : listing.summary)
    }
}

extension ImageListing {
    fileprivate var json: JSONValue {
        [
            "name": .string(name), "bytes": JSONValue(size), "kernel": kernel.map(JSONValue.string) ?? .null,
            "parts": .array(
                parts.map { part in
                    [
                        "compression": part.compression.map(JSONValue.string) ?? .null,
                        "bytes": JSONValue(part.stored), "mounted": .bool(part.mountPoint != nil),
                        "files": .array(
                            part.files.map { ["path": .string($0.path), "bytes": JSONValue($0.size)] as JSONValue }),
                    ] as JSONValue
                }),
        ]
    }
}
