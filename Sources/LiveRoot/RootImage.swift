// What root image is wanted, and what was got.

import Fetching
import Glibc
import LinuxSystem
import LiveImage
import Reporting
import SystemPackage

/// Where a root image comes from.
public enum RootImageSource: Equatable, Sendable {
    /// One image at one or more URLs, tried in turn.
    case url([String])
    /// The initramfs holds it already: `rootfs.img` was loaded as a second initrd. The stream hash
    /// describes that archive, which is gone by now; the image's own hash can still be checked.
    case initramfs(root: FilePath = "/")
    /// An ISO, mounted on a folder: used in place, or copied into RAM so that the medium is free.
    case iso(mountedOn: FilePath, copyToRAM: Bool)
}

/// All that getting a root image depends on.
public struct RootImageRequest: Sendable {
    public var source: RootImageSource
    /// What `/etc/coreos-live-want-rootfs` says.
    public var streamHash: StreamHash?
    /// What `/etc/firstlight-want-image` says: the chunks of the squashfs or erofs itself.
    public var imageHash: StreamHash?
    /// The SHA-256 of the whole stream, 32 bytes (`firstlight.rootfs_sha256=`).
    public var sha256: [UInt8]?
    /// Whether an ISO that stays mounted is read once from start to end to check it (`firstlight.check_medium=`).
    public var checksMedium = true
    /// What `/etc/coreos-live-initramfs` says; `nil`: any version is right.
    public var version: String?
    public var proxy: String?
    public var authorities = TransferRequest.systemAuthorities
    /// Where the image is kept: a tmpfs of its own, just large enough, is mounted here.
    public var folder = FilePath("/run/firstlight/image")
    /// Where packed install images go; `nil` drops them, and nothing but an installer wants them.
    public var installImages: FilePath?
    /// Bytes of RAM that must be left beside the image for the boot to go on.
    public var allowance = InitramfsRoom.allowance
    /// Seconds without a single byte after which a connection counts as lost.
    public var stallTimeout: Double = 30
    /// Told of what is waited for.
    public var waits = Waits.untold

    public init(_ source: RootImageSource) { self.source = source }

    var hasHash: Bool { streamHash != nil || imageHash != nil || sha256 != nil }

    /// What vouches for an image that was checked against every hash of this request.
    func verifiedBy(otherwise: RootImage.VerifiedBy) -> RootImage.VerifiedBy {
        streamHash != nil || imageHash != nil ? .streamHash : sha256 != nil ? .sha256 : otherwise
    }

    /// Takes over what an initramfs says of the root image that belongs to it.
    ///
    /// - Parameter root: The initramfs. A stamp that is not there says nothing; one that cannot be read or
    ///   understood is an error, since nothing can be checked against it.
    public mutating func readStamps(in root: FilePath) throws(RootImageError) {
        func bytes(_ name: String) throws(RootImageError) -> [UInt8]? {
            do throws(Errno) {
                return try Files.read(root.appending(name))
            } catch .noSuchFileOrDirectory {
                return nil
            } catch {
                throw .unreadableStamp(root.appending(name), error)
            }
        }
        func hash(_ name: String) throws(RootImageError) -> StreamHash? {
            guard let text = try bytes(name) else { return nil }
            do { return try StreamHash(parsing: text) } catch { throw .malformedStamp(root.appending(name), error) }
        }
        streamHash = try hash(LiveImageName.wantedStreamHash)
        imageHash = try hash(LiveImageName.wantedImageHash)
        version = try bytes(LiveImageName.initramfsVersion).map { trimmed($0) }
    }
}

/// A root image that is here and verified as far as it can be.
public struct RootImage: Equatable, Sendable {
    /// What says that the image is the right one.
    public enum VerifiedBy: String, Sendable {
        case streamHash = "streamHash"
        case sha256 = "sha256"
        /// Nothing, as `firstlight.check_medium=0` asks, though a hash is known.
        case leftOut = "leftOut"
        /// The certificates of every server on the way.
        case tls = "tls"
        /// It came with the initramfs itself, or on the same ISO.
        case bootMedium = "bootMedium"
        /// Nothing: whoever sits in the network could have sent it.
        case nothing = "nothing"
    }

    public var file: FilePath
    /// Where in the file the filesystem lies, in bytes.
    public var offset: UInt64
    public var size: UInt64
    public var format: RootImageFormat.Filesystem
    public var version: String?
    /// Bytes that came over the network or from the medium, those of broken attempts included.
    public var bytesFetched: UInt64 = 0
    public var seconds: Double = 0
    public var verifiedBy: VerifiedBy
    /// A URL without secrets, or a path.
    public var source: String
    /// Packed install images that were dropped.
    public var droppedInstallImages: [String] = []
    /// Whether the system reads it again from a medium that may by then say something else.
    public var staysOnMedium = false

    /// `94.4 MiB from http://10.0.2.2:8080/rootfs.img, sha256 right`.
    public var story: String {
        let what: String =
            switch verifiedBy {
            case .streamHash, .sha256: "sha256 right"
            case .leftOut: "not checked, as firstlight.check_medium=0 asks"
            case .tls: "vouched for by the server's certificate"
            case .bootMedium: "unverified beyond its version"
            case .nothing: "nothing vouches for it"
            }
        return "\(ByteCount(bytesFetched > 0 ? bytesFetched : size)) from \(source), \(what)"
    }

    /// What the check of an image that stays on its medium does not promise; `nil` where there is nothing to say.
    public var caution: String? {
        guard staysOnMedium else { return nil }
        let isChecked = verifiedBy == .streamHash || verifiedBy == .sha256
        return "the medium stays mounted: " + (isChecked ? "checked once and read again later" : "read again later")
    }
}

/// What happens while a root image is being got.
public enum RootImageEvent: Equatable, Sendable, CustomStringConvertible {
    /// An answer began: `total` bytes are to come where the server says so.
    case started(source: String, total: UInt64?)
    case progress(TransferProgress)
    /// An attempt failed for a reason that may pass. `isNewReason` is false for the endless rest of the same.
    case lost(source: String, reason: String, bytes: UInt64, isNewReason: Bool)
    case retrying(RootImageRetry)
    /// What was here is of no use to the next attempt.
    case startedOver(reason: String)
    /// One of several mirrors is out of the question.
    case mirrorRefused(RootImageError)
    case clockSet(MachineClock.Change)

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
        }
    }
}

/// The next attempt after one that failed.
public struct RootImageRetry: Equatable, Sendable, CustomStringConvertible {
    public var source: String
    /// Bytes that need not be sent again.
    public var from: UInt64
    /// Mirrors count from 1.
    public var mirror: Int
    public var mirrors: Int
    public var attempt: Int
    public var isNewReason: Bool

    /// Whether it says more than that there is another attempt.
    public var saysMore: Bool { from > 0 || mirrors > 1 }

    /// `trying again from 49.1 MiB, mirror 2 of 2, attempt 3`.
    public var description: String {
        "trying again" + (from > 0 ? " from \(ByteCount(from))" : "")
            + (mirrors > 1 ? ", mirror \(mirror) of \(mirrors)" : "") + ", attempt \(attempt)"
    }
}

/// What getting a root image may do to the machine.
public struct RootImageMachine {
    /// Bytes of RAM that can still be had.
    public var availableMemory: () -> UInt64?
    /// Makes an empty folder that holds `size` bytes in RAM, replacing what an earlier attempt left.
    public var makeStore: (_ folder: FilePath, _ size: UInt64) throws(Errno) -> Void
    public var pause: (_ seconds: Double) -> Void
    /// A random number from 0 to 1.
    public var chance: () -> Double
    /// What the server's date may set forward; `nil`: nothing.
    public var clock: MachineClock?

    public init(
        availableMemory: @escaping () -> UInt64?,
        makeStore: @escaping (_ folder: FilePath, _ size: UInt64) throws(Errno) -> Void,
        pause: @escaping (_ seconds: Double) -> Void, chance: @escaping () -> Double, clock: MachineClock? = nil
    ) {
        self.availableMemory = availableMemory
        self.makeStore = makeStore
        self.pause = pause
        self.chance = chance
        self.clock = clock
    }

    public static var live: RootImageMachine {
        RootImageMachine(
            availableMemory: { Machine.memory("MemAvailable") },
            makeStore: { (folder, size) throws(Errno) in
                try Files.makeFolder(folder, mode: 0o700)
                if Mounts.all().contains(where: { $0.target == folder }) { try Mounts.unmount(folder) }
                // A tmpfs of its own has no other limit than this size; the initramfs stops at 50 % of RAM.
                try Mounts.mount(
                    "firstlight-image", on: folder, type: "tmpfs", flags: UInt(MS_NOSUID | MS_NODEV | MS_NOEXEC),
                    data: "size=\(size),mode=0700,nr_inodes=16")
            },
            pause: sleep(seconds:), chance: { Double.random(in: 0...1) }, clock: .system)
    }
}

extension RootImageRequest {
    /// Gets the image. Faults that may pass are retried for ever; everything else ends it.
    ///
    /// Where a hash is known, the result is what the hash describes, and TLS certificates are not asked
    /// for; where none is, they are.
    public func get(
        on machine: RootImageMachine = .live, telling tell: @escaping (RootImageEvent) -> Void
    ) throws(RootImageError) -> RootImage {
        let start = monotonicSeconds()
        do {
            var image: RootImage
            switch source {
            case .url(let urls): image = try RootImageDownload(self, urls: urls, on: machine, telling: tell).run()
            case .initramfs(let root): image = try findInInitramfs(root, telling: tell)
            case .iso(let folder, let copy):
                image = try getFromISO(folder, copyToRAM: copy, on: machine, telling: tell)
            }
            image.seconds = monotonicSeconds() - start
            return image
        } catch let error as RootImageError {
            throw error
        } catch {
            throw .cannotStore(folder, error as? Errno ?? .ioError)
        }
    }
}
