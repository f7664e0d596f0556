// The root filesystem: got, verified, and laid under a writable layer.

import BlockDevices
import BootArguments
import IgnitionConfig
import JSONText
import LinuxSystem
import LiveImage
import LiveRoot
import Reporting
import SystemPackage

/// Where the root image is, decided from the command line and what the initramfs holds.
enum RootImagePlace: Equatable, Sendable {
    case initramfs
    /// A volume of this label.
    case iso(label: String, copyToRAM: Bool)
    case url([String])
    case nowhere

    /// `coreos.liveiso` tells an ISO boot from all others; a root image that came with the initramfs
    /// makes its URL moot.
    init(_ arguments: BootArguments, hasAppendedImage: Bool) {
        if let label = arguments.liveISO {
            self = .iso(label: label, copyToRAM: arguments.fromRAM)
        } else if hasAppendedImage {
            self = .initramfs
        } else if !arguments.rootfsURLs.isEmpty {
            self = .url(arguments.rootfsURLs)
        } else {
            self = .nowhere
        }
    }
}

/// Whether the initramfs holds a root image that came with it, be it cut off.
func holdsAppendedRootImage(_ root: FilePath) -> Bool {
    ([LiveImageName.rootfsVersion] + LiveImageName.rootImages).contains { Files.exists(root.appending($0)) }
}

extension Stages {
    /// Where the ISO is mounted: Fedora CoreOS's own place.
    static let isoFolder = FilePath("/run/media/iso")

    /// Its first member comes first: where RAM ran out while the kernel unpacked it, the others may be missing.
    var hasAppendedRootImage: Bool { holdsAppendedRootImage("/") }

    /// Gets and verifies the root image.
    func getRootImage() throws {
        if let problem = arguments.problem(in: .rootImage) { throw problem }
        // After a later stage has ended badly, the image that is here is verified and may be mounted already.
        if let image = try? state.loadRootImage(), Files.exists(image.file) {
            return console.say("rootfs", "\(ByteCount(image.size)) are here already, verified")
        }
        let place = RootImagePlace(arguments, hasAppendedImage: hasAppendedRootImage)
        let source: RootImageSource =
            switch place {
            case .initramfs: .initramfs()
            case .url(let urls): .url(urls)
            case .iso(let label, let copy): .iso(mountedOn: try mountISO(label), copyToRAM: copy)
            case .nowhere: .url([])
            }
        let image = try request(source).get { tell($0) }
        if case .iso(_, copyToRAM: true) = place {
            try step("letting go of the ISO") { try Mounts.unmount(Self.isoFolder) }
            console.say("rootfs", "the ISO is free: it may be ejected or written over")
        }
        if image.verifiedBy == .nothing {
            warn("nothing vouches for the root image: plain HTTP and no hash for it")
        }
        console.say("rootfs", image.story)
        if let caution = image.caution { console.say("rootfs", caution) }
        note([image.story] + (image.caution.map { [$0] } ?? []), of: "rootfs")
        try state.save(rootImage: image)
    }

    /// Lays RAM over the image, on ``sysroot``.
    func assembleRoot() throws {
        OverlayRoot.dismantle(sysroot)
        let image = try state.loadRootImage()
        let root = try OverlayRoot.assemble(
            file: image.file, offset: image.offset, size: image.size, format: image.format,
            layerSize: (arguments.overlaySize ?? .percent(50)).tmpfsSize, on: sysroot, loadModule: devices.loadModule)
        try step("leaving stamps for the real root") {
            // Fedora CoreOS's units ask for this file to know a live system.
            try Files.write("", to: "/run/ostree-live")
        }
        let layers = "\(root.format) below, \(ByteCount(root.writable)) of RAM to write above"
        console.say("root", layers)
        note([layers], of: "root")
    }

    private func request(_ source: RootImageSource) throws -> RootImageRequest {
        var request = RootImageRequest(source)
        try request.readStamps(in: "/")
        request.sha256 = try arguments.rootfsSHA256.map { try Digest(parsing: "sha256-\($0)").bytes }
        request.checksMedium = arguments.checksMedium
        request.proxy = arguments.proxy
        request.waits = console.waits
        if arguments.commandLine.last("coreos.inst.install_dev") != nil {
            request.installImages = "/run/coreos-installer/osmet"
        }
        return request
    }

    private func mountISO(_ label: String) throws -> FilePath {
        let device = FilePath("/dev/disk/by-label/\(label)")
        ["sr_mod", "isofs"].forEach(devices.loadModule)
        try step("waiting for the ISO \"\(label)\"") { try devices.wait(device, deviceDeadline) }
        try step("mounting the ISO \(device)") {
            try Files.makeFolder(Self.isoFolder)
            if !Mounts.all().contains(where: { $0.target == Self.isoFolder }) {
                // Its files may have been copied to a stick, which is then no ISO 9660. A hybrid ISO may carry more than
                // one kind: then it is one.
                let type = try filesystemType(of: device.string) ?? "iso9660"
                devices.loadModule(type)
                try Mounts.mount(device.string, on: Self.isoFolder, type: type, options: ["ro"])
            }
        }
        return Self.isoFolder
    }

    private func tell(_ event: RootImageEvent) {
        switch event {
        case .progress(let progress):
            console.progress("rootfs", progress)
        case .lost(_, _, _, isNewReason: true), .startedOver, .mirrorRefused: console.say("rootfs", "\(event)")
        case .retrying(let retry) where retry.isNewReason && retry.saysMore: console.say("rootfs", "\(event)")
        case .clockSet: console.say("clock", "\(event)")
        case .started, .lost, .retrying: log.info("rootfs: \(event)")
        }
    }

    /// When a device that has not appeared is given up, in the machine's uptime.
    var deviceDeadline: Double {
        switch arguments.deviceTimeout {
        case 0: .infinity
        case let seconds: Machine.uptime() + Double(seconds ?? 60)
        }
    }
}

/// The root image as the next stage needs it.
struct ReadyRootImage: Equatable, Sendable {
    var file: FilePath
    var offset: UInt64
    var size: UInt64
    var format: String
}

extension StageState {
    func save(rootImage image: RootImage) throws {
        try save(
            [
                "file": .string(image.file.string), "offset": JSONValue(image.offset), "size": JSONValue(image.size),
                "format": .string(image.format.rawValue), "version": JSONValue(image.version),
                "source": .string(image.source), "voucher": .string(image.verifiedBy.rawValue),
                "bytesFetched": JSONValue(image.bytesFetched), "seconds": .number(image.seconds),
            ], as: "rootfs.json")
    }

    func loadRootImage() throws -> ReadyRootImage {
        guard let value = load("rootfs.json"), let file = value["file"]?.string, let format = value["format"]?.string,
            let offset = value["offset"]?.integer, let size = value["size"]?.integer
        else { throw MissingState(file: "rootfs.json", stage: .rootfs) }
        return ReadyRootImage(
            file: FilePath(file), offset: UInt64(clamping: offset), size: UInt64(clamping: size), format: format)
    }
}

/// A stage that ought to have run before has left nothing.
struct MissingState: Error, CustomStringConvertible {
    var file: String
    var stage: StageName

    var description: String { "/run/firstlight/\(file) is missing: the stage \(stage.rawValue) has not run" }
}
