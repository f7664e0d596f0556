// What people who wait for an image are told.

/// The progress of making an image.
public struct MakingProgress {
    /// What begins now: "packing root.squashfs".
    public var step: (String) -> Void
    /// Bytes of this step that are done, and that there are.
    public var bytes: (_ done: UInt64, _ total: UInt64) -> Void

    /// Creates a report to two functions; a function that is left out does nothing.
    public init(
        step: @escaping (String) -> Void = { _ in },
        bytes: @escaping (_ done: UInt64, _ total: UInt64) -> Void = { _, _ in }
    ) {
        self.step = step
        self.bytes = bytes
    }

    /// A report to nobody.
    public static var untold: MakingProgress { MakingProgress() }
}
