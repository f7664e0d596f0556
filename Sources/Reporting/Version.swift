// The version of all programs of this package.

/// This release, as in `firstlight 0.1.0`.
public let firstlightVersion = "0.1.0"

/// The release of Ignition whose behaviour is followed, as its own name is called.
public let ignitionVersion = "2.26.0"
