// BootMedia: boot media of Fedora CoreOS's kind as bytes: ISO 9660, embed areas, initrds, minimal ISOs, and what
// `customize` puts into them. Bytes in, values out; whatever is read comes through a `ByteSource`.

/// Names on a live ISO and in its initrd that its tools and its initramfs know.
public enum BootMediaName {
    /// Where the initrd embed area is: JSON, since 2023-03.
    public static let initrdArea = "COREOS/IGNINFO.JSO"
    /// The initrd embed area of an image without ``initrdArea``: this whole file.
    public static let initrdAreaFile = "IMAGES/IGNITION.IMG"
    /// Where the kernel argument areas are: JSON, since 2021-09.
    public static let argumentAreas = "COREOS/KARGS.JSO"
    /// What the image's installer and initramfs can do: JSON, since 2021-12.
    public static let features = "COREOS/FEATURES.JSO"
    /// What makes a minimal ISO of the full one, since 2021-12.
    public static let minimalISO = "COREOS/MINISO.DAT"
    /// The folder of kernel, initramfs and root image.
    public static let pxeFolder = "IMAGES/PXEBOOT"
    /// The root image.
    public static let rootImage = "IMAGES/PXEBOOT/ROOTFS.IMG"

    /// In the initrd: the Ignition config.
    public static let config = "config.ign"
    /// In the initrd: the folder of NetworkManager keyfiles.
    public static let networkFolder = "etc/coreos-firstboot-network"
    /// In the initramfs: the mark of a live one.
    public static let liveMark = "etc/coreos-live-initramfs"
    /// In the initramfs: the same as ``features`` on the ISO.
    public static let initramfsFeatures = "etc/coreos/features.json"
}

/// Something that is wrong with an image or a request, as one phrase.
public struct MediaFault: Error, Equatable, Sendable, CustomStringConvertible {
    /// The phrase.
    public let description: String

    /// Creates a fault from its phrase.
    public init(_ description: String) { self.description = description }
}
