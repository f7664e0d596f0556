// firstlight-image rootfs

import ArgumentParser
import InitramfsImage
import LinuxSystem
import SystemPackage

struct MakeRootImage: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rootfs",
        abstract: "Wrap a squashfs or erofs as a root image for the live boot.")

    @Argument(help: "The filesystem image.", completion: .file(), transform: path)
    var image: FilePath

    @Option(name: .shortAndLong, help: "The root image to write.", completion: .file(), transform: path)
    var output: FilePath

    @Option(help: "The build's version; the initramfs that accepts this root image says the same.")
    var version: String

    @Option(help: "Write the root image's stream hash here.", completion: .file(), transform: path)
    var streamHash: FilePath?

    @Option(
        help: "Write the stream hash of the filesystem image itself here.", completion: .file(), transform: path)
    var imageHash: FilePath?

    func run() throws {
        var root = RootImage(image: image, version: version)
        root.time = sourceDate()
        try root.write(to: output)
        guard streamHash != nil || imageHash != nil else { return }
        let stamps = try RootImage.stamps(of: output)
        if let streamHash { try Files.write(stamps.streamHash, to: streamHash) }
        if let imageHash { try Files.write(stamps.imageHash, to: imageHash) }
    }
}
