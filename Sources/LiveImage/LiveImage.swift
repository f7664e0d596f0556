// LiveImage: the formats a live system comes in: newc archives, stream hashes, root images.
// Bytes in, values out; no I/O.

/// Names that the parts of a live system know each other by.
public enum LiveImageName {
    /// The root image is one of these members of `rootfs.img`, the first one.
    public static let rootImages = ["root.squashfs", "root.erofs"]
    /// A member of `rootfs.img`: the build's version and a newline.
    public static let rootfsVersion = "etc/coreos-live-rootfs"
    /// In the initramfs: the version of the build that it belongs to.
    public static let initramfsVersion = "etc/coreos-live-initramfs"
    /// In the initramfs: the stream hash of the matching `rootfs.img`.
    public static let wantedStreamHash = "etc/coreos-live-want-rootfs"
    /// In the initramfs: the stream hash of the squashfs or erofs inside the matching `rootfs.img`. It is what
    /// can still be checked where the kernel has unpacked the archive. Ours; the original has none.
    public static let wantedImageHash = "etc/firstlight-want-image"
    /// The root image archive on the ISO.
    public static let rootfsOnISO = "images/pxeboot/rootfs.img"
    /// Packed install images, which only an installer reads.
    public static let installImageSuffix = ".osmet"
}

/// The name of an archive member as a path below the root: no leading `/` or `./`.
public func normalizedMemberName(_ name: String) -> String {
    var rest = name[...]
    while true {
        if rest.hasPrefix("/") {
            rest = rest.dropFirst()
        } else if rest.hasPrefix("./") {
            rest = rest.dropFirst(2)
        } else {
            return String(rest)
        }
    }
}

extension UnsafeRawBufferPointer {
    /// The bytes from `start` on, or none where there are fewer.
    func from(_ start: Int) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: dropFirst(start)) }

    /// The first `count` bytes, or all where there are fewer.
    func first(_ count: Int) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: prefix(count)) }

    /// Takes up to `count` bytes off the front.
    mutating func take(_ count: Int) -> UnsafeRawBufferPointer {
        let taken = first(count)
        self = from(taken.count)
        return taken
    }
}
