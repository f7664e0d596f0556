// Reads LUKS headers through libcryptsetup.

import CCryptsetup

/// What a LUKS header says of itself.
public struct LUKSHeader: Equatable, Sendable {
    public var version: Int
    public var uuid: String
    /// LUKS1 has none.
    public var label: String?

    /// Reads the header of a device or image file; it writes nothing, not even to mend a damaged copy.
    ///
    /// - Returns: `nil` where there is no LUKS header that libcryptsetup accepts.
    public static func read(_ path: String) throws(DiskFailure) -> LUKSHeader? {
        let copy = try HeaderCopy(path)
        let handle = try CryptHandle(copy.path, of: path)
        return handle.load() ? handle.header() : nil
    }
}
