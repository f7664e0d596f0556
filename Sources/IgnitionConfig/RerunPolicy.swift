// How a config is carried out over what an earlier run, or somebody else, has left.

/// How closely Ignition's behaviour is followed where ours differs: what is done where things are as wanted already.
public enum RerunPolicy: Equatable, Sendable {
    /// Our own: what is as wanted is left alone, and systemd applies the presets at every boot.
    case own
    /// Existing things as in `own`; units and the result file are left as Ignition leaves them, because the
    /// distribution whose initramfs calls this program by Ignition's name relies on that.
    case dropIn
    /// Byte for byte: a file with contents that the config does not overwrite is a conflict whatever it holds, appended
    /// fragments are appended again, and accounts are set even where nothing differs.
    case strict

    /// Whether things that are as wanted already are done again.
    public var repeatsAll: Bool { self == .strict }

    /// Whether units and the result file are left as Ignition leaves them.
    public var followsOriginal: Bool { self != .own }
}
