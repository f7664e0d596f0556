// The drivers of cards, in an image of their own, which is dropped where the root image needs its RAM.

import SystemPackage

/// The drivers of cards, of which each machine needs only a few, as a squashfs in the initramfs.
///
/// Cards are found before the network is up, so that all drivers which this machine needs are loaded when the root image
/// begins to arrive.
public struct DriverImage: Sendable {
    /// The squashfs.
    public let file: FilePath
    /// Where it is mounted; links among the modules below `/lib/modules` lead there.
    public let folder: FilePath

    /// That of this initramfs, which need not have one.
    public static let ofThisBoot = DriverImage(file: "/drivers.squashfs", folder: "/usr/lib/firstlight/drivers")

    /// A squashfs and where it is mounted.
    public init(file: FilePath, folder: FilePath) {
        self.file = file
        self.folder = folder
    }

    /// The bytes of RAM that are free without it; 0 where there is none.
    public var size: UInt64 { Files.size(file) ?? 0 }

    /// Unmounts it and removes it.
    ///
    /// - Returns: The bytes that are free now; `nil` where it stays.
    public func drop() -> UInt64? {
        let size = size
        guard size > 0 else { return nil }
        do {
            // A driver that is being loaded right now keeps the image until it is loaded.
            try Mounts.unmount(folder, lazily: true)
            try Files.remove(file)
        } catch {
            return nil
        }
        return size
    }
}
