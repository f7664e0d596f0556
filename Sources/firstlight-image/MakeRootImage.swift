// firstlight-image rootfs

import ArgumentParser
import InitramfsImage
import LinuxSystem
import SystemPackage

struct MakeRootImage: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rootfs",
        abstract: "Wrap a squashfs or erofs as a root image for the live boot.",
        usage: "firstlight-image rootfs <image> -o <file> --version <text> [<options>]")

    @Argument(help: "The filesystem image.", completion: .file(), transform: path)
    var image: FilePath

    @Option(name: .shortAndLong, help: "The root image to write.", completion: .file(), transform: path)
    var output: FilePath

    @Option(help: "The build's version; the initramfs that accepts this root image says the same.")
    var version: String

    @Option(help: "Add this kernel's modules, as they are in /lib/modules here (squashfs; as root).")
    var kernel: String?

    @Option(help: "Write the root image's stream hash here.", completion: .file(), transform: path)
    var streamHash: FilePath?

    @Option(
        help: "Write the stream hash of the filesystem image itself here.", completion: .file(), transform: path)
    var imageHash: FilePath?

    func run() throws {
        var root = RootImage(image: image, version: version)
        root.time = sourceDate()
        root.kernel = kernel
        let outcome = try whileTelling("writing \(output)") { try root.make(output, telling: $0) }
        if streamHash != nil || imageHash != nil {
            let stamps = try RootImage.stamps(of: output)
            for (file, text) in [(streamHash, stamps.streamHash), (imageHash, stamps.imageHash)] {
                guard let file else { continue }
                try Files.write(text, to: file)
            }
        }
        outcome.warnings.forEach(say)
        print(outcome)
    }
}
