// firstlight-image rootfs

import ArgumentParser
import Glibc
import ImageMaking
import JSONText
import LinuxSystem
import LiveImage
import SystemPackage

struct MakeRootImage: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rootfs",
        abstract: "Make a root image of a folder, a container image or a filesystem image.",
        usage: "firstlight-image rootfs <source> -o <file> [<options>]",
        discussion: """
            The source is a folder, an OCI layout, a tar archive (of a root, or as
            `docker save` writes it), a squashfs or an erofs. A folder and a container
            image keep owners and extended attributes; a squashfs of them needs no root.

            What belongs to one build (machine-id, SSH host keys, resolv.conf) is taken
            out, and listed; in a squashfs or an erofs it stays, with a warning. With
            SOURCE_DATE_EPOCH set, no file is younger than it.

            EXAMPLES:
              firstlight-image rootfs root/ -o rootfs.img --version 2026.11.1
              skopeo copy docker://debian:12 oci:debian:12
              firstlight-image rootfs debian/ -o rootfs.img --kernel 6.1.0-9-amd64
            """)

    @Argument(help: "What the root is made of.", completion: .file(), transform: path)
    var source: FilePath

    @Option(name: .shortAndLong, help: "The root image to write; - is standard output.", completion: .file())
    var output: String

    @Option(
        help: ArgumentHelp(
            "The build's version; the initramfs that accepts this root image has the same.",
            discussion: "Default: the container image's own, or one made of the image's hash."))
    var version: String?

    @Option(help: "squashfs or erofs (default: squashfs, or what the source is).", transform: filesystem(named:))
    var format: RootImageFormat.Filesystem?

    @Option(help: "Add this kernel's modules, as they are in /lib/modules here.")
    var kernel: String?

    @Option(
        help: "Add the modules of this folder, instead of /lib/modules/VERSION.", completion: .directory,
        transform: path)
    var kernelDir: FilePath?

    @Option(help: "The image to take from a layout that holds several.")
    var image: String?

    @Flag(help: "Leave in what belongs to one build: machine-id, SSH host keys, resolv.conf.")
    var keep = false

    @Flag(help: "Pack in seconds, for trying things: the image is larger.")
    var fast = false

    @Option(help: "Write the root image's stream hash here.", completion: .file(), transform: path)
    var streamHash: FilePath?

    @Option(
        help: "Write the stream hash of the filesystem image itself here.", completion: .file(), transform: path)
    var imageHash: FilePath?

    @Flag(help: "Print what was made, as JSON.")
    var json = false

    func validate() throws {
        if kernel != nil, kernelDir != nil {
            throw ValidationError("--kernel-dir says which kernel: leave out --kernel")
        }
    }

    func run() throws {
        var making = RootMaking(source: source)
        making.version = version
        making.format = format
        making.time = try sourceDateIfSet()
        making.kernel = kernel
        making.host.kernelFolder = kernelDir.map(Files.absolute)
        making.image = image
        making.keepsTraces = keep
        making.isFast = fast
        for file in [streamHash, imageHash].compactMap(\.self) { _ = try OutputPlace(allowed: file) }
        let target = try OutputTarget(output)
        let outcome = try showingProgress { try making.make(target.file, telling: $0) }
        for (file, text) in [(streamHash, outcome.stamps.streamHash), (imageHash, outcome.stamps.imageHash)] {
            guard let file else { continue }
            try OutputPlace.write(text, to: file)
        }
        if !json { (outcome.notes + outcome.warnings).forEach(say) }
        try target.finish(telling: target.naming(json ? outcome.json.text(.pretty) : "\(outcome.description)\n"))
    }
}

/// `squashfs` or `erofs`.
private func filesystem(named name: String) throws -> RootImageFormat.Filesystem {
    guard let format = RootImageFormat.Filesystem(rawValue: name) else {
        throw ValidationError("\"\(name)\" is neither squashfs nor erofs")
    }
    return format
}

extension RootMaking.Outcome {
    /// The facts for programs.
    var json: JSONValue {
        [
            "file": .string(file.string), "bytes": JSONValue(size.bytes), "format": .string(format.rawValue),
            "version": .string(version), "sha256": .string(digest),
            "taken_out": .array(takenOut.map { ["path": .string("/\($0.path)"), "reason": .string($0.reason)] }),
            "left_out": .array(leftOut.map(JSONValue.string)), "warnings": .array(warnings.map(JSONValue.string)),
        ]
    }
}
