// Why there is no root image, and what to do about it.

import Encoding
import Fetching
import LiveImage
import Reporting
import SystemPackage

/// Why there is no root image; `source` is a URL without secrets, or a path.
public indirect enum RootImageError: Error, Equatable, Sendable, CustomStringConvertible, Advising {
    case noURL
    case transfer(source: String, TransferFault)
    case wrongChunk(source: String, StreamHashMismatch)
    /// The length alone shows that the stream hash describes another file.
    case wrongLength(source: String, bytes: UInt64, wanted: ClosedRange<UInt64>)
    case wrongHash(source: String, wanted: [UInt8], found: [UInt8])
    case unusable(source: String, RootImageFault)
    case wrongVersion(source: String, found: String, initramfs: String)
    /// The RAM is too small; `needed` is for the image and what the boot needs besides it.
    case tooLittleMemory(image: UInt64, needed: UInt64, available: UInt64)
    /// The kernel could not unpack all of it, because the initramfs was full.
    case truncatedInInitramfs(FilePath, RootImageFormat, bytes: UInt64)
    case missing([FilePath])
    /// The only known hash is that of the archive, which the kernel has unpacked.
    case archiveIsGone(FilePath)
    /// The file does not have the SHA-256 of `firstlight.rootfs_sha256=`, which may be that of the archive.
    case notOfTheImage(FilePath, wanted: [UInt8], found: [UInt8])
    case unreadableStamp(FilePath, Errno)
    case malformedStamp(FilePath, StreamHash.Malformed)
    case cannotRead(FilePath, Errno)
    case cannotStore(FilePath, Errno)
    case everyMirror([RootImageError])
    /// The older image is not available either.
    case fallbackToo(of: RootImageError, RootImageError)
    /// The boot stops for another reason.
    case cancelled
    /// A failure that no code here is expected to throw.
    case unexpected(String)

    /// What happened, for a message.
    public var description: String {
        switch self {
        case .noURL: "there is no URL to fetch the root image from"
        case .transfer(let source, let fault): "\(source): \(fault)"
        case .wrongChunk(let source, let mismatch):
            "\(source) is not the root image that belongs to this initramfs: \(mismatch)"
        case .wrongLength(let source, let bytes, let wanted):
            "\(source) is not the root image that belongs to this initramfs: it has \(bytes) bytes, and"
                + " \(wanted.lowerBound) to \(wanted.upperBound) are wanted"
        case .wrongHash(let source, let wanted, let found):
            "\(source) has another SHA-256 than wanted: \(hexadecimal(found)), not \(hexadecimal(wanted))"
        case .unusable(let source, let fault): "\(source) is not a root image: \(fault)"
        case .wrongVersion(let source, let found, let initramfs):
            "\(source) is of version \(found), the initramfs of version \(initramfs)"
        case .tooLittleMemory(let image, let needed, let available):
            "too little RAM: the root image takes \(mebibytes(image)), the boot \(mebibytes(needed)) with it,"
                + " and \(available >> 20) MiB are free"
        case .truncatedInInitramfs(let file, let format, let bytes):
            "\(file) is cut short: \(bytes) of the \(format.length) bytes of its \(format) are here"
        case .missing(let files): "there is no root image: neither \(files.map(\.string).joined(separator: " nor "))"
        case .archiveIsGone(let file):
            "\(file) cannot be checked: the initramfs has the hash of rootfs.img, which the kernel has unpacked,"
                + " and not that of the image in it"
        case .notOfTheImage(let file, let wanted, let found):
            "\(file) has another SHA-256 than wanted: \(hexadecimal(found)), not \(hexadecimal(wanted))"
        case .unreadableStamp(let file, let reason):
            "cannot read \(file), which tells the right root image from others: \(reason)"
        case .malformedStamp(let file, let reason):
            "\(file), which tells the right root image from others, cannot be understood: \(reason)"
        case .cannotRead(let file, let reason): "cannot read \(file): \(reason)"
        case .cannotStore(let file, let reason): "cannot keep the root image in \(file): \(reason)"
        case .cancelled: "fetching the root image was cancelled"
        case .unexpected(let text): text
        case .fallbackToo(let refusal, let error): "\(refusal); the older image is not available either: \(error)"
        case .everyMirror(let errors):
            "none of \(errors.count) mirrors has the root image: "
                + errors.map(\.description).joined(separator: "; ")
        }
    }

    /// What the operator can do.
    public var advice: [String] {
        switch self {
        case .noURL: ["Give coreos.live.rootfs_url=URL, or load rootfs.img as a second initrd."]
        case .transfer(_, let fault): fault.advice
        case .wrongChunk, .wrongLength:
            [
                "Serve kernel, initramfs and rootfs.img of one and the same build.",
                "If they are: the file is damaged on the server or on its way.",
            ]
        case .wrongHash:
            ["Check firstlight.rootfs_sha256=, or serve the file that it belongs to."]
        case .unusable:
            ["Check the URL: it must lead to a rootfs.img, or to a bare squashfs or erofs image."]
        case .wrongVersion: ["Serve kernel, initramfs and rootfs.img of one and the same build."]
        case .tooLittleMemory(_, let needed, let available):
            [
                "Give the machine \(ByteCount(InitramfsRoom.added(needed - min(needed, available)))) more RAM, "
                    + "or a smaller image."
            ]
        case .truncatedInInitramfs: ["It was cut off on its way to this machine: copy it again."]
        case .missing: ["Load rootfs.img as a second initrd, or give coreos.live.rootfs_url=URL."]
        case .archiveIsGone:
            [
                "Make the initramfs again with firstlight-image initramfs --rootfs rootfs.img, or with the stamp"
                    + " that firstlight-image rootfs --image-hash writes.",
                "Or let this machine fetch rootfs.img: coreos.live.rootfs_url=URL, and no second initrd.",
            ]
        case .notOfTheImage:
            [
                "A second initrd is unpacked by the kernel: give firstlight.rootfs_sha256= of the squashfs or erofs"
                    + " inside, not of rootfs.img.",
                "Or leave it out: an initramfs made with --rootfs knows its image.",
            ]
        case .unreadableStamp, .malformedStamp: ["The initramfs is damaged or was made wrong: make it again."]
        case .cannotRead: ["Check the boot medium."]
        case .cannotStore: ["Give the machine more RAM."]
        case .everyMirror(let errors): errors.first?.advice ?? []
        case .fallbackToo(let refusal, _): refusal.advice
        case .cancelled, .unexpected: []
        }
    }

    /// Whether another mirror may help: the fault is the server's or its file's, not this machine's.
    var isOfItsSource: Bool {
        switch self {
        case .transfer, .wrongChunk, .wrongLength, .wrongHash, .unusable, .wrongVersion: true
        case .noURL, .tooLittleMemory, .truncatedInInitramfs, .missing, .archiveIsGone, .notOfTheImage,
            .unreadableStamp, .malformedStamp, .cannotRead, .cannotStore, .everyMirror, .fallbackToo, .cancelled,
            .unexpected:
            false
        }
    }

    /// Whether no waiting would bring the image: each of its URLs leads to another one, or to none.
    ///
    /// A server that is slow, or does not answer, is waited for and never ends in this.
    public var isFinalOfItsSource: Bool {
        if case .everyMirror(let errors) = self { return errors.allSatisfy(\.isOfItsSource) }
        return isOfItsSource
    }
}
