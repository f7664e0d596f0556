// The root filesystem: got, verified, and laid under a writable layer.

import BlockDevices
import BootArguments
import DiskFormats
import Fetching
import IgnitionConfig
import JSONText
import LinuxSystem
import LiveImage
import LiveRoot
import Reporting
import SystemPackage
import TargetRoot

/// Where the root image is, decided from the command line and what the initramfs holds.
enum RootImagePlace: Equatable, Sendable {
    case initramfs
    /// A volume of this label.
    case iso(label: String, copyToRAM: Bool)
    case url([MachineURL])
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

/// Whether the initramfs below `root` holds a root image that came with it, even one that was cut off.
public func holdsAppendedRootImage(_ root: FilePath) -> Bool {
    ([LiveImageName.rootfsVersion] + LiveImageName.rootImages).contains { Files.exists(root.appending($0)) }
}

/// The files by which units of Fedora CoreOS's know a live system, and the platform that they are for, with their text.
public func liveStamps(_ arguments: BootArguments) -> [(file: FilePath, text: String)] {
    [("/run/ostree-live", ""), ("/run/ignition.env", "PLATFORM_ID=\(arguments.platform ?? "")\n")]
}

extension LiveSession {
    /// Where the ISO is mounted.
    static let isoFolder = FilePath(DeviceUse.liveMedium)

    /// The device of the ISO that the root runs from; `nil` where the root came from elsewhere, or was copied into RAM.
    public static var medium: String? {
        // Links go with a device that is pulled out, or lead to another by then.
        Mounts.all().last { $0.target == isoFolder }.map { mount in
            let source = ReadOnlyMounts.device(behind: mount.source)
            return Files.resolved(FilePath(source))?.string ?? source
        }
    }

    /// The name of the medium that the root will run from; `nil` where it comes from elsewhere, or is copied into RAM.
    static func mediumToStay(_ arguments: BootArguments) -> String? {
        guard case .iso(let label, copyToRAM: false) = RootImagePlace(arguments, hasAppendedImage: false) else {
            return nil
        }
        return node(ofLabel: label)
    }

    private static func node(ofLabel label: String) -> String { "/dev/disk/by-label/\(label)" }

    /// Whether the root image is copied off a medium.
    ///
    /// The medium is in use until then, and the config may partition it
    /// afterwards: a look at the disks meanwhile would find it in use.
    var copiesMedium: Bool {
        guard case .iso(_, copyToRAM: true) = RootImagePlace(arguments, hasAppendedImage: hasAppendedRootImage) else {
            return false
        }
        return true
    }

    /// Its first member comes first: where RAM ran out while the kernel unpacked it, the others may be missing.
    var hasAppendedRootImage: Bool { holdsAppendedRootImage("/") }

    /// The bytes of RAM that the root image will still take; `nil` while that is not known.
    static func roomForImage(_ arguments: BootArguments, _ state: StateFolder) -> UInt64? {
        // What of it cannot be read stops the stage that gets the image.
        if let image = try? state.load(RootImageRecord.self), Files.exists(image.file) { return 0 }
        switch RootImagePlace(arguments, hasAppendedImage: holdsAppendedRootImage("/")) {
        case .initramfs, .nowhere, .iso(_, copyToRAM: false): return 0
        case .url, .iso(_, copyToRAM: true): return Mounts.room(at: RootImageRequest.usualFolder)
        }
    }

    /// Gets and verifies the root image.
    func getRootImage() throws {
        if let problem = arguments.problem(in: .rootImage, .boot) { throw problem }
        // If a later stage has failed before, the image is already here and verified, and may be mounted.
        if let image = try state.load(RootImageRecord.self), Files.exists(image.file) {
            return observer(.told(topic: "rootfs", "\(ByteCount(image.size)) are here already, verified"))
        }
        let place = RootImagePlace(arguments, hasAppendedImage: hasAppendedRootImage)
        let source: RootImageSource =
            switch place {
            case .initramfs: .initramfs()
            case .url(let urls): .url(try urls.map { try provisioning.filled($0, of: BootArguments.rootfsKey) })
            case .iso(let label, let copy): .iso(mountedOn: try mountISO(label), copyToRAM: copy)
            case .nowhere: .url([])
            }
        let image: RootImage
        do {
            image = try get(request(source))
        } catch {
            // A stick that is put back is another device to the kernel: the next attempt looks for it anew.
            if case .iso = place { try? Mounts.unmount(Self.isoFolder) }
            throw error
        }
        if case .iso(_, copyToRAM: true) = place {
            try step("releasing the ISO") { try Mounts.unmount(Self.isoFolder) }
            observer(.told(topic: "rootfs", "the ISO is free: it may be ejected or written over"))
        }
        if image.verifiedBy == .nothing {
            provisioning.warn("the root image is not verified: plain HTTP, and no hash for it")
        }
        if !image.droppedInstallImages.isEmpty {
            provisioning.warn(
                "for want of RAM \(image.droppedInstallImages.joined(separator: ", ")) is not kept, and an installer "
                    + "has to download what it installs; coreos.inst.install_dev= keeps it")
        }
        observer(.noted(topic: "rootfs", image.story))
        if let caution = image.caution { observer(.noted(topic: "rootfs", caution)) }
        try state.save(RootImageRecord(image))
    }

    /// Gets the image; the older one where that is known, and no URL leads to the one that is wanted.
    private func get(_ request: RootImageRequest) throws -> RootImage {
        guard case .url = request.source, !arguments.fallbackURLs.isEmpty else { return try request.get { tell($0) } }
        let urls = try arguments.fallbackURLs.map { try provisioning.filled($0, of: BootArguments.fallbackKey) }
        guard let fallback = try request.forFallback(urls, in: "/") else {
            provisioning.warn(
                "\(BootArguments.fallbackKey) is not used: this initramfs was made without --fallback-rootfs")
            return try request.get { tell($0) }
        }
        let refusal: RootImageError
        do throws(RootImageError) {
            return try request.get { tell($0) }
        } catch {
            guard error.isFinalOfItsSource else { throw error }
            refusal = error
        }
        provisioning.warn("\(refusal)")
        provisioning.warn("the OLDER root image is booted in its place")
        do throws(RootImageError) {
            let image = try fallback.get { tell($0) }
            observer(.fellBack(to: image.source, because: "\(refusal)"))
            return image
        } catch {
            throw RootImageError.fallbackToo(of: refusal, error)
        }
    }

    /// Makes the root of the image, with RAM where it is written to.
    func assembleRoot() throws {
        OverlayRoot.dismantle(provisioning.root)
        guard let image = try state.load(RootImageRecord.self) else {
            throw MissingState(file: RootImageRecord.file, stage: .rootfs)
        }
        try OverlayRoot.mountImage(
            file: image.file, offset: image.offset, size: image.size, format: image.format,
            loadModule: provisioning.devices.loadModule)
        let layers =
            if let deployment = try OSTreeDeployment(in: OverlayRoot.lower) {
                try assemble(deployment)
            } else {
                try layOver(image)
            }
        try step("leaving stamps for the real root") {
            for (file, text) in liveStamps(arguments) { try Files.write(text, to: file) }
        }
        observer(.noted(topic: "root", layers))
    }

    private var layerSize: String { (arguments.overlaySize ?? .percent(50)).tmpfsSize }

    /// Lays RAM over the whole image; returns the console's text.
    private func layOver(_ image: RootImageRecord) throws -> String {
        let root = try OverlayRoot.assemble(
            format: image.format, layerSize: layerSize, on: provisioning.root,
            loadModule: provisioning.devices.loadModule)
        // A tmpfs loses labels that it gets before the policy is loaded.
        if Files.exists("/sys/fs/selinux"), TargetRoot(provisioning.root).hasPolicy {
            provisioning.warn(
                "files that are written now lose their SELinux labels when the real root loads its policy: restorecon -RF "
                    + "sets them there")
        }
        return "\(root.format) below, \(ByteCount(root.writable)) of RAM to write above"
    }

    /// Makes a root of what ostree has deployed in the image; returns the console's text.
    private func assemble(_ deployment: OSTreeDeployment) throws -> String {
        let deployed = TargetRoot(OverlayRoot.lower.appending(String(deployment.folder.dropFirst())))
        let hasPolicy = deployed.hasPolicy && arguments.commandLine.last("selinux")?.value != "0"
        let root = try OSTreeRoot.assemble(
            deployment, on: provisioning.root, commandLine: Files.line("/proc/cmdline") ?? "", layerSize: layerSize,
            keepsLabels: hasPolicy, loadModule: provisioning.devices.loadModule)
        if hasPolicy {
            try step("labelling /etc and /var for SELinux") { try label(["/etc", "/var"]) }
        }
        return "ostree's \(deployment.system); /etc and /var in \(ByteCount(root.writable)) of RAM"
    }

    private func request(_ source: RootImageSource) throws -> RootImageRequest {
        var request = RootImageRequest(source)
        try request.readStamps(in: "/")
        request.sha256 = try arguments.rootfsSHA256.map { try Digest(parsing: "sha256-\($0)").bytes }
        request.checksMedium = arguments.checksMedium
        request.proxy = arguments.proxy
        request.waits = observer.waits
        request.installImages = "/run/coreos-installer/osmet"
        request.needsInstallImages = arguments.commandLine.last("coreos.inst.install_dev") != nil
        return request
    }

    private func mountISO(_ label: String) throws -> FilePath {
        let device = FilePath(Self.node(ofLabel: label))
        let devices = provisioning.devices
        devices.loadModule("sr_mod")
        try step("waiting for the ISO \"\(label)\"") { try devices.wait(device, provisioning.deviceDeadline) }
        try step("mounting the ISO \(device)") {
            try Files.makeFolder(Self.isoFolder)
            if !Mounts.all().contains(where: { $0.target == Self.isoFolder }) {
                // The files of the ISO may have been copied to a stick, which then has another filesystem. A hybrid ISO
                // may carry several kinds at once: it counts as ISO 9660.
                let type = try filesystemType(of: device.string) ?? "iso9660"
                try mountISO(device, type: type)
            }
        }
        return Self.isoFolder
    }

    /// A look at the disks, which goes on meanwhile, claims each for a moment to see who uses it.
    private func mountISO(_ device: FilePath, type: String) throws(FileFault) {
        for attempt in 1... {
            do throws(FileFault) {
                return try ReadOnlyMounts.mount(
                    device, on: Self.isoFolder, type: type, loadModule: provisioning.devices.loadModule)
            } catch {
                guard error.reason == .resourceBusy, attempt < 20 else { throw error }
                sleep(seconds: 0.1)
            }
        }
    }

    private func tell(_ event: RootImageEvent) {
        switch event {
        case .progress(let progress): observer(.progress(topic: "rootfs", progress))
        case .lost(_, _, _, isNewReason: true), .startedOver, .mirrorRefused, .reserveLowered, .driversDropped:
            observer(.told(topic: "rootfs", "\(event)"))
        case .retrying(let retry) where retry.isNewReason && retry.saysMore:
            observer(.told(topic: "rootfs", "\(event)"))
        case .clockSet: observer(.told(topic: "clock", "\(event)"))
        case .started, .lost, .retrying: observer(.detail("rootfs: \(event)"))
        }
    }
}
