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

extension LiveSession {
    /// Where the ISO is mounted: Fedora CoreOS's own place.
    static let isoFolder = FilePath("/run/media/iso")

    /// The device of the ISO that the root runs from; `nil` where the root came from elsewhere, or was copied into RAM.
    public static var medium: String? {
        // Links go with a device that is pulled out, or lead to another by then.
        Mounts.all().last { $0.target == isoFolder }.map { Files.resolved(FilePath($0.source))?.string ?? $0.source }
    }

    /// Its first member comes first: where RAM ran out while the kernel unpacked it, the others may be missing.
    var hasAppendedRootImage: Bool { holdsAppendedRootImage("/") }

    /// Gets and verifies the root image.
    func getRootImage() throws {
        if let problem = arguments.problem(in: .rootImage) { throw problem }
        // After a later stage has ended badly, the image that is here is verified and may be mounted already.
        if let image = state.load(RootImageRecord.self), Files.exists(image.file) {
            return observer(.told(topic: "rootfs", "\(ByteCount(image.size)) are here already, verified"))
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
            observer(.told(topic: "rootfs", "the ISO is free: it may be ejected or written over"))
        }
        if image.verifiedBy == .nothing {
            provisioning.warn("nothing vouches for the root image: plain HTTP and no hash for it")
        }
        observer(.noted(topic: "rootfs", image.story))
        if let caution = image.caution { observer(.noted(topic: "rootfs", caution)) }
        try state.save(RootImageRecord(image))
    }

    /// Lays RAM over the image, on ``sysroot``.
    func assembleRoot() throws {
        OverlayRoot.dismantle(provisioning.root)
        guard let image = state.load(RootImageRecord.self) else {
            throw MissingState(file: RootImageRecord.file, stage: .rootfs)
        }
        let root = try OverlayRoot.assemble(
            file: image.file, offset: image.offset, size: image.size, format: image.format,
            layerSize: (arguments.overlaySize ?? .percent(50)).tmpfsSize, on: provisioning.root,
            loadModule: provisioning.devices.loadModule)
        try step("leaving stamps for the real root") {
            // Fedora CoreOS's units ask for this file to know a live system.
            try Files.write("", to: "/run/ostree-live")
        }
        let layers = "\(root.format) below, \(ByteCount(root.writable)) of RAM to write above"
        observer(.noted(topic: "root", layers))
    }

    private func request(_ source: RootImageSource) throws -> RootImageRequest {
        var request = RootImageRequest(source)
        try request.readStamps(in: "/")
        request.sha256 = try arguments.rootfsSHA256.map { try Digest(parsing: "sha256-\($0)").bytes }
        request.checksMedium = arguments.checksMedium
        request.proxy = arguments.proxy
        request.waits = observer.waits
        if arguments.commandLine.last("coreos.inst.install_dev") != nil {
            request.installImages = "/run/coreos-installer/osmet"
        }
        return request
    }

    private func mountISO(_ label: String) throws -> FilePath {
        let device = FilePath("/dev/disk/by-label/\(label)")
        let devices = provisioning.devices
        ["sr_mod", "isofs"].forEach(devices.loadModule)
        try step("waiting for the ISO \"\(label)\"") { try devices.wait(device, provisioning.deviceDeadline) }
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
        case .progress(let progress): observer(.progress(topic: "rootfs", progress))
        case .lost(_, _, _, isNewReason: true), .startedOver, .mirrorRefused:
            observer(.told(topic: "rootfs", "\(event)"))
        case .retrying(let retry) where retry.isNewReason && retry.saysMore:
            observer(.told(topic: "rootfs", "\(event)"))
        case .clockSet: observer(.told(topic: "clock", "\(event)"))
        case .started, .lost, .retrying: observer(.detail("rootfs: \(event)"))
        }
    }
}
