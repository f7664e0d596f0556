// Reads LUKS headers through libcryptsetup.

import CCryptsetup

/// What a LUKS header says of its volume.
public struct LUKSHeader: Equatable, Sendable {
    /// 1 or 2.
    public var version: Int
    /// The volume's UUID.
    public var uuid: String
    /// The label; LUKS1 has none.
    public var label: String?

    /// Reads the header of a device or image file; nothing is written, not even to repair a damaged copy.
    ///
    /// - Parameter path: A block device or an image file.
    /// - Returns: `nil` where there is no LUKS header that libcryptsetup accepts.
    /// - Throws: ``DiskFailure/unreadable(_:_:)``.
    public static func read(_ path: String) throws(DiskFailure) -> LUKSHeader? {
        let copy = try HeaderCopy(path)
        let handle = try CryptHandle(copy.path, of: path)
        return handle.load() == nil ? handle.header() : nil
    }
}
