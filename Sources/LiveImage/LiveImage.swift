// LiveImage: the formats of a live system: newc archives, stream hashes, root images. Bytes in, values out;
// no I/O.

/// File names by which the parts of a live system refer to each other.
public enum LiveImageName {
    /// The members of `rootfs.img` that can be the root image; it has exactly one of them.
    public static let rootImages = ["root.squashfs", "root.erofs"]
    /// The member of `rootfs.img` that has the version of the build and a newline.
    public static let rootfsVersion = "etc/coreos-live-rootfs"
    /// The file of the initramfs that has the version of its build.
    public static let initramfsVersion = "etc/coreos-live-initramfs"
    /// The file of the initramfs that has the stream hash of the matching `rootfs.img`.
    public static let wantedStreamHash = "etc/coreos-live-want-rootfs"
    /// The file of the initramfs that has the stream hash of the root image inside the matching `rootfs.img`.
    ///
    /// It is what can still be verified when the kernel has unpacked the archive. Fedora CoreOS does not have this
    /// file.
    public static let wantedImageHash = "etc/firstlight-want-image"
    /// The file of the initramfs that has the stream hash of the older `rootfs.img` to fall back on.
    ///
    /// Fedora CoreOS does not have this file.
    public static let wantedFallbackHash = "etc/firstlight-want-fallback"
    /// The path of `rootfs.img` on the ISO.
    public static let rootfsOnISO = "images/pxeboot/rootfs.img"
    /// The suffix of packed install images, which only an installer reads.
    public static let installImageSuffix = ".osmet"
}

/// The name of an archive member as a path below the root, without leading `/` and `./`.
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
    /// The bytes from `start` on; none if there are fewer.
    func from(_ start: Int) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: dropFirst(start)) }

    /// The first `count` bytes, or all if there are fewer.
    func first(_ count: Int) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: prefix(count)) }

    /// Takes up to `count` bytes off the front.
    mutating func take(_ count: Int) -> UnsafeRawBufferPointer {
        let taken = first(count)
        self = from(taken.count)
        return taken
    }
}
