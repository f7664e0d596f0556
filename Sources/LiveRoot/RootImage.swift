// Which root image is wanted, and which one was found.

import Encoding
import Fetching
import Glibc
import LinuxSystem
import LiveImage
import Reporting
import SystemPackage

/// Where a root image comes from.
public enum RootImageSource: Equatable, Sendable {
    /// One image at one or more URLs, which are tried in turn.
    case url([SourceURL])
    /// The initramfs has it already, because `rootfs.img` was loaded as a second initrd.
    ///
    /// The stream hash describes that archive, which is gone by now; the image's own hash can still be checked.
    case initramfs(root: FilePath = "/")
    /// An ISO that is mounted on a folder: used in place, or copied into RAM so that the medium is free.
    case iso(mountedOn: FilePath, copyToRAM: Bool)
}

/// Everything that fetching a root image depends on.
public struct RootImageRequest: Sendable {
    /// Where the image comes from.
    public var source: RootImageSource
    /// The content of `/etc/coreos-live-want-rootfs`.
    public var streamHash: StreamHash?
    /// The content of `/etc/firstlight-want-image`: the chunks of the squashfs or erofs itself.
    public var imageHash: StreamHash?
    /// The SHA-256 of the whole stream, 32 bytes (`firstlight.rootfs_sha256=`).
    public var sha256: [UInt8]?
    /// Whether an ISO that stays mounted is read once from start to end to check it (`firstlight.check_medium=`).
    public var checksMedium = true
    /// The content of `/etc/coreos-live-initramfs`; `nil` accepts any version.
    public var version: String?
    /// The proxy of http and https requests; `nil` for none.
    public var proxy: SourceURL?
    /// The PEM file of the machine's certificate authorities.
    public var authorities = TransferRequest.systemAuthorities
    /// Where the image is kept: a tmpfs just large enough for it is mounted here.
    public var folder = Self.usualFolder
    /// Where that is unless somebody says otherwise.
    public static let usualFolder = FilePath(RunFile.image.path)
    /// Where packed install images are put, as long as RAM suffices; `nil` drops them.
    public var installImages: FilePath?
    /// Whether they are put there however much RAM that leaves.
    public var needsInstallImages = false
    /// Bytes of RAM that must be left besides the image for the boot to continue.
    public var allowance: UInt64 = 16 << 20
    /// Seconds without a single byte after which a connection counts as lost.
    public var stallTimeout: Double = 30
    /// Where waits are reported.
    public var waits = Waits.untold

    /// Creates a request that knows no hash.
    public init(_ source: RootImageSource) { self.source = source }

    var hasHash: Bool { streamHash != nil || imageHash != nil || sha256 != nil }

    /// How an image is verified that was checked against every hash of this request.
    func verifiedBy(otherwise: RootImage.VerifiedBy) -> RootImage.VerifiedBy {
        streamHash != nil || imageHash != nil ? .streamHash : sha256 != nil ? .sha256 : otherwise
    }

    /// Reads what an initramfs states about the root image that belongs to it.
    ///
    /// - Parameter root: The initramfs. A missing stamp states nothing. One that cannot be read or parsed is an error,
    ///   because the image could not be checked against it.
    /// - Throws: ``RootImageError`` for such a stamp.
    public mutating func readStamps(in root: FilePath) throws(RootImageError) {
        streamHash = try Self.hash(LiveImageName.wantedStreamHash, in: root)
        imageHash = try Self.hash(LiveImageName.wantedImageHash, in: root)
        version = try Self.stamp(LiveImageName.initramfsVersion, in: root).map { trimmed($0) }
    }

    /// The same request for the older image that an initramfs states, at other URLs; `nil` where it states none.
    ///
    /// Its stream hash is all that has to be known of it: its version is another, and a hash on the command line is
    /// that of the wanted image.
    public func forFallback(_ urls: [SourceURL], in root: FilePath) throws(RootImageError) -> RootImageRequest? {
        guard let hash = try Self.hash(LiveImageName.wantedFallbackHash, in: root) else { return nil }
        var other = self
        other.source = .url(urls)
        other.streamHash = hash
        other.imageHash = nil
        other.sha256 = nil
        other.version = nil
        return other
    }

    private static func stamp(_ name: String, in root: FilePath) throws(RootImageError) -> [UInt8]? {
        do throws(FileFault) {
            return try Files.read(root.appending(name))
        } catch {
            if error.reason == .noSuchFileOrDirectory { return nil }
            throw .unreadableStamp(error.path, error.reason)
        }
    }

    private static func hash(_ name: String, in root: FilePath) throws(RootImageError) -> StreamHash? {
        guard let text = try stamp(name, in: root) else { return nil }
        do { return try StreamHash(parsing: text) } catch { throw .malformedStamp(root.appending(name), error) }
    }
}

/// A root image that is present and verified as far as possible.
public struct RootImage: Equatable, Sendable {
    /// How the image was verified.
    public enum VerifiedBy: String, Sendable {
        case streamHash = "streamHash"
        case sha256 = "sha256"
        /// Not at all, as `firstlight.check_medium=0` asks, although a hash is known.
        case leftOut = "leftOut"
        /// By the certificates of every server on the way.
        case tls = "tls"
        /// Not at all, but it came with the initramfs or on the same ISO.
        case bootMedium = "bootMedium"
        /// Not at all: anybody in the network could have sent it.
        case nothing = "nothing"
    }

    /// The file that has the filesystem.
    public var file: FilePath
    /// Where the filesystem starts in the file, in bytes.
    public var offset: UInt64
    /// The length of the filesystem in bytes.
    public var size: UInt64
    /// The kind of filesystem.
    public var format: RootImageFormat.Filesystem
    /// The version of the build; `nil` if it is not stated.
    public var version: String?
    /// Bytes that were received or read, including those of failed attempts.
    public var bytesFetched: UInt64 = 0
    /// How long it took.
    public var seconds: Double = 0
    /// How the image was verified.
    public var verifiedBy: VerifiedBy
    /// A URL without secrets, or a path.
    public var source: String
    /// The names of packed install images that were dropped.
    public var droppedInstallImages: [String] = []
    /// Whether the system will read it again from a medium that may have changed by then.
    public var staysOnMedium = false

    /// The image for the console: `94.4 MiB from http://10.0.2.2:8080/rootfs.img, sha256 right`.
    public var story: String {
        let what: String =
            switch verifiedBy {
            case .streamHash, .sha256: "sha256 right"
            case .leftOut: "not checked, as firstlight.check_medium=0 asks"
            case .tls: "from a server with a trusted certificate"
            case .bootMedium: "unverified beyond its version"
            case .nothing: "not verified"
            }
        return "\(ByteCount(bytesFetched > 0 ? bytesFetched : size)) from \(source), \(what)"
    }

    /// The limits of the check of an image that stays on its medium; `nil` for other images.
    public var caution: String? {
        guard staysOnMedium else { return nil }
        let isChecked = verifiedBy == .streamHash || verifiedBy == .sha256
        return "the medium stays mounted: " + (isChecked ? "checked once and read again later" : "read again later")
    }
}

/// What happens while a root image is fetched.
public enum RootImageEvent: Equatable, Sendable, CustomStringConvertible {
    /// An answer began; `total` is the number of bytes to come, if the server stated it.
    case started(source: String, total: UInt64?)
    case progress(TransferProgress)
    /// An attempt failed for a reason that may pass.
    ///
    /// `isNewReason` is false while the same reason repeats.
    case lost(source: String, reason: String, bytes: UInt64, isNewReason: Bool)
    case retrying(RootImageRetry)
    /// The bytes that are present cannot be used by the next attempt.
    case startedOver(reason: String)
    /// One of several mirrors cannot be used.
    case mirrorRefused(RootImageError)
    case clockSet(MachineClock.Change)
    /// The kernel keeps less RAM free, because the image would not fit otherwise.
    case reserveLowered(KernelReserve.Change)
    /// So many bytes of drivers that no card here needs are gone, for the same reason.
    case driversDropped(UInt64)

    /// What happened, for a message.
    public var description: String {
        switch self {
        case .started(let source, let total): (total.map { "\(ByteCount($0)) from " } ?? "from ") + source
        case .progress(let progress): "\(progress)"
        case .lost(let source, let reason, 0, _): "\(source): \(reason); trying again until it works"
        case .lost(let source, let reason, let bytes, _): "\(source): \(reason); \(ByteCount(bytes)) are here"
        case .retrying(let retry): "\(retry)"
        case .startedOver(let reason): "starting over: \(reason)"
        case .mirrorRefused(let error): "\(error)"
        case .clockSet(let change): "\(change)"
        case .reserveLowered(let change):
            "for the image to fit, the kernel keeps \(ByteCount(change.to)) of RAM free, not \(ByteCount(change.from))"
        case .driversDropped(let bytes):
            "for the image to fit, drivers of cards that are not here are dropped: \(ByteCount(bytes))"
        }
    }
}

/// The next attempt after a failed one.
public struct RootImageRetry: Equatable, Sendable, CustomStringConvertible {
    /// The URL without secrets.
    public var source: String
    /// Bytes that need not be sent again.
    public var from: UInt64
    /// The number of the mirror, from 1.
    public var mirror: Int
    /// How many mirrors there are.
    public var mirrors: Int
    /// The number of the attempt, from 1.
    public var attempt: Int
    /// Whether the last attempt failed for another reason than the one before.
    public var isNewReason: Bool

    /// Whether it has more to report than another attempt.
    public var saysMore: Bool { from > 0 || mirrors > 1 }

    /// The attempt as `trying again from 49.1 MiB, mirror 2 of 2, attempt 3`.
    public var description: String {
        "trying again" + (from > 0 ? " from \(ByteCount(from))" : "")
            + (mirrors > 1 ? ", mirror \(mirror) of \(mirrors)" : "") + ", attempt \(attempt)"
    }
}

/// What fetching a root image may do to the machine.
public struct RootImageMachine {
    /// The bytes of RAM that are available; `nil` if unknown.
    public var availableMemory: () -> UInt64?
    /// Has the kernel keep less RAM free; `nil` where it does not.
    public var lowerReserve: () -> KernelReserve.Change?
    /// Undoes that.
    public var restoreReserve: () -> Void
    /// Bytes of RAM that the drivers take which ``dropDrivers`` would drop.
    public var droppableDrivers: () -> UInt64
    /// Drops them; `nil` where they stay.
    public var dropDrivers: () -> UInt64?
    /// Makes an empty folder that holds `size` bytes in RAM, replacing what an earlier attempt left.
    public var makeStore: (_ folder: FilePath, _ size: UInt64) throws(FileFault) -> Void
    /// Waits for that many seconds.
    public var pause: (_ seconds: Double) -> Void
    /// A random number from 0 to 1.
    public var chance: () -> Double
    /// The clock that a server's date may set forward; `nil` if none may be set.
    public var clock: MachineClock?
    /// Counts free RAM and takes it while nobody else does.
    public var inTurn: (() -> Void) -> Void

    /// Creates the effects from functions.
    public init(
        availableMemory: @escaping () -> UInt64?,
        makeStore: @escaping (_ folder: FilePath, _ size: UInt64) throws(FileFault) -> Void,
        pause: @escaping (_ seconds: Double) -> Void, chance: @escaping () -> Double, clock: MachineClock? = nil,
        inTurn: @escaping (() -> Void) -> Void = { $0() },
        lowerReserve: @escaping () -> KernelReserve.Change? = { nil }, restoreReserve: @escaping () -> Void = {},
        droppableDrivers: @escaping () -> UInt64 = { 0 }, dropDrivers: @escaping () -> UInt64? = { nil }
    ) {
        self.availableMemory = availableMemory
        self.lowerReserve = lowerReserve
        self.restoreReserve = restoreReserve
        self.droppableDrivers = droppableDrivers
        self.dropDrivers = dropDrivers
        self.makeStore = makeStore
        self.pause = pause
        self.chance = chance
        self.clock = clock
        self.inTurn = inTurn
    }

    /// The effects on this machine; no pause outlasts a cancellation that `waits` knows of.
    static func live(_ waits: Waits) -> RootImageMachine {
        RootImageMachine(
            availableMemory: { Machine.availableMemory() },
            makeStore: { (folder, size) throws(FileFault) in
                try Files.makeFolder(folder, mode: 0o700)
                if Mounts.all().contains(where: { $0.target == folder }) { try Mounts.unmount(folder) }
                // A tmpfs of its own has no other limit than this size; the initramfs stops at 50 % of RAM.
                try Mounts.mount(
                    "firstlight-image", on: folder, type: "tmpfs", flags: UInt(MS_NOSUID | MS_NODEV | MS_NOEXEC),
                    data: "size=\(size),mode=0700,nr_inodes=16")
            },
            pause: { sleep(seconds: $0, unless: waits.isCancelled) }, chance: { Double.random(in: 0...1) },
            clock: .system, inTurn: { MemoryTurn.ofThisBoot.take($0) },
            lowerReserve: {
                KernelReserve.ofThisBoot.lower(
                    ofMemory: Machine.memory("MemTotal") ?? 0, commandLine: Files.line("/proc/cmdline") ?? "")
            },
            restoreReserve: { KernelReserve.ofThisBoot.restore() },
            droppableDrivers: { DriverImage.ofThisBoot.size }, dropDrivers: { DriverImage.ofThisBoot.drop() })
    }
}

extension RootImageRequest {
    /// Fetches or finds the image; faults that may pass are retried forever, others end it.
    ///
    /// If a hash is known, the result is what the hash describes, and TLS certificates are not needed; otherwise they
    /// are.
    ///
    /// - Parameters:
    ///   - machine: What this may do to the machine; `nil` is this machine.
    ///   - tell: Receives events.
    /// - Returns: The image.
    /// - Throws: ``RootImageError`` with the reason and advice.
    public func get(
        on machine: RootImageMachine? = nil, telling tell: @escaping (RootImageEvent) -> Void
    ) throws(RootImageError) -> RootImage {
        let machine = machine ?? .live(waits)
        let start = monotonicSeconds()
        do {
            var image: RootImage
            switch source {
            case .url(let urls): image = try RootImageDownload(self, urls: urls, on: machine, telling: tell).run()
            case .initramfs(let root): image = try findInInitramfs(root, on: machine, telling: tell)
            case .iso(let folder, let copy):
                image = try getFromISO(folder, copyToRAM: copy, on: machine, telling: tell)
            }
            image.seconds = monotonicSeconds() - start
            return image
        } catch let error as RootImageError {
            throw error
        } catch let fault as FileFault {
            throw .cannotStore(fault.path, fault.reason)
        } catch {
            throw .unexpected("\(error)")
        }
    }
}
