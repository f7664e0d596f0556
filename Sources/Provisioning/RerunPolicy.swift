// What becomes of what an earlier run, or somebody else, has left.

/// How a config is carried out where a part of it is as wanted already.
public enum RerunPolicy: Equatable, Sendable {
    /// What is as wanted is left alone, and systemd applies the presets at every boot.
    case own
    /// The same for what is there already; units and the result are left as the original leaves them, since the
    /// distribution whose initramfs calls us by the original's name goes on from there.
    case dropIn
    /// The original's way, byte for byte: a file with contents that the config does not overwrite is a conflict whatever
    /// it holds, what is appended is appended again, accounts are set even where nothing differs.
    case strict

    /// Whether what is as wanted already is done again all the same.
    public var repeatsAll: Bool { self == .strict }

    /// Whether units and the result are left as the original leaves them.
    public var followsOriginal: Bool { self != .own }
}
