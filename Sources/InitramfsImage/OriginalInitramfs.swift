// Takes from another initramfs of a live system, such as Fedora CoreOS's, what only its maker knows: no other modules
// fit its kernel, and no other stamps fit its root image.

import BootMedia
import Glibc
import LinuxSystem
import LiveImage
import Reporting
import SystemPackage

/// Kernel modules, firmware, stamps and base configs of another initramfs, unpacked.
struct OriginalInitramfs: ~Copyable {
    private let folder: TemporaryFolder
    /// The version of the kernel that its modules are for.
    let kernel: String
    /// Files that go into the new image as they are, by path: stamps, and configs of the image itself.
    let files: [String: [UInt8]]
    /// What it holds that is not taken.
    let warnings: [String]

    /// The folder that has a folder of modules for ``kernel``.
    var modules: FilePath { folder.path.appending("lib/modules") }
    /// The folder with its firmware.
    var firmware: FilePath { folder.path.appending("lib/firmware") }

    /// Why nothing can be taken from it.
    enum Failure: Error, Equatable, CustomStringConvertible, Advising {
        case noStamps(FilePath)
        case noModules(FilePath)
        case severalKernels(FilePath, [String])

        var description: String {
            switch self {
            case .noStamps(let file):
                "\(file) is not an initramfs of a live system: it has no \(LiveImageName.initramfsVersion)"
            case .noModules(let file): "\(file) has no kernel modules"
            case .severalKernels(let file, let kernels):
                "\(file) has modules for several kernels: \(kernels.joined(separator: ", "))"
            }
        }

        var advice: [String] {
            switch self {
            case .noStamps: ["Fedora CoreOS's is called fedora-coreos-VERSION-live-initramfs.x86_64.img."]
            case .noModules, .severalKernels: []
            }
        }
    }

    /// The stamps that the new image has, too.
    private static let stamps = [
        LiveImageName.initramfsVersion, LiveImageName.wantedStreamHash, LiveImageName.wantedImageHash,
        BootMediaName.initramfsFeatures,
    ]
    /// Where an image keeps configs of its own.
    private static let configs = ["usr/lib/ignition/", "etc/ignition/"]

    /// Reads it, and unpacks what is taken into a folder that goes away with the value.
    init(reading file: FilePath) throws {
        let folder = try TemporaryFolder()
        var files: [String: [UInt8]] = [:]
        var unpacker = Unpacker(folder: folder.path)
        var settings: Set<String> = []
        try InitramfsArchive.forEach(in: file) { archive in
            try archive.forEachFile { name, content in
                if Self.stamps.contains(name) || Self.configs.contains(where: name.hasPrefix) {
                    if case .bytes(let bytes) = content { files[name] = bytes }
                } else if name == "config.ign" || name.hasPrefix("etc/coreos-firstboot-network/") {
                    settings.insert(name)
                } else {
                    try unpacker.add(name, content)
                }
            }
        }
        guard files[LiveImageName.initramfsVersion] != nil else { throw Failure.noStamps(file) }
        try unpacker.finish()
        let kernels = unpacker.kernels.sorted()
        guard let kernel = kernels.first else { throw Failure.noModules(file) }
        guard kernels.count == 1 else { throw Failure.severalKernels(file, kernels) }
        try Self.completeIndex(of: kernel, below: folder.path)
        self.folder = folder
        self.kernel = kernel
        self.files = files
        warnings = settings.sorted().map {
            "warning: \(file) holds \($0), which is not taken.\n  --ignition and --network put such files into the new image."
        }
    }

    /// Reads it as a step.
    static func read(_ file: FilePath) throws(BootFailure) -> OriginalInitramfs {
        do {
            return try OriginalInitramfs(reading: file)
        } catch {
            throw BootFailure(steps: ["reading \(file)"], cause: error)
        }
    }

    /// Has depmod write what the original lacks of the tables that choosing from modules takes.
    private static func completeIndex(of kernel: String, below folder: FilePath) throws {
        let place = folder.appending("lib/modules").appending(kernel)
        let builtin = place.appending("modules.builtin")
        if !Files.exists(builtin) { try Files.write("", to: builtin) }
        guard ["dep", "alias", "softdep"].contains(where: { !Files.exists(place.appending("modules.\($0)")) }) else {
            return
        }
        try HostProgram(name: "depmod", package: "kmod").run(["--basedir", folder.string, kernel])
    }
}

/// Writes modules and firmware below a folder of ours, whatever an archive says of where they belong.
private struct Unpacker {
    let folder: FilePath
    private(set) var kernels: Set<String> = []
    private var links: [(FilePath, String)] = []

    init(folder: FilePath) { self.folder = folder }

    mutating func add(_ name: String, _ content: InitramfsArchive.Content) throws {
        let path = name.hasPrefix("usr/") ? name.dropFirst(4) : name[...]
        let parts = path.split(separator: "/")
        guard parts.count > 2, parts[0] == "lib", !parts.contains(".."), !parts.contains(".") else { return }
        switch parts[1] {
        case "modules":
            // Tables in binary form are kmod's alone.
            guard parts.count > 3, case .bytes = content, !name.hasSuffix(".bin") else { return }
            if ModuleFile.isModule(name) { kernels.insert(String(parts[2])) }
        case "firmware": break
        default: return
        }
        let place = folder.appending(String(path))
        switch content {
        case .bytes(let bytes):
            try Files.makeFolder(place.removingLastComponent())
            try Files.write(bytes, to: place)
        // Links are made last, so that nothing is written through them.
        case .link(let target): links.append((place, target))
        }
    }

    /// Makes the links, as far as they stay below the folder.
    func finish() throws {
        for (place, target) in links where !Files.exists(place) { try Files.makeLink(place, to: target) }
        let top = Files.resolved(folder) ?? folder
        for (place, _) in links {
            if let end = Files.resolved(place), end.starts(with: top) { continue }
            try Files.remove(place)
        }
    }
}
