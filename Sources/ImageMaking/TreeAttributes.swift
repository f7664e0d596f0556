// What is known of a file in a root, whatever kind of file it is.

/// What the filesystem knows of a file besides its kind and its names.
public struct TreeAttributes: Equatable, Sendable {
    /// The twelve lower mode bits.
    public var permissions: UInt32
    /// The number of the owner.
    public var user: UInt32
    /// The number of the group.
    public var group: UInt32
    /// Seconds since 1970.
    public var modified: Int64
    /// Extended attributes by their full names: `security.capability`.
    public var extended: [[UInt8]: [UInt8]]

    /// Creates attributes: by default of root, of the start of 1970, and without extended attributes.
    public init(
        permissions: UInt32, user: UInt32 = 0, group: UInt32 = 0, modified: Int64 = 0,
        extended: [[UInt8]: [UInt8]] = [:]
    ) {
        self.permissions = permissions
        self.user = user
        self.group = group
        self.modified = modified
        self.extended = extended
    }
}
