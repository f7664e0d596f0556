// The versions that the programs of this package report.

/// This release, as in `firstlight 0.1.0`.
public let firstlightVersion = "0.1.0"

/// The release of Ignition whose behaviour is followed.
public let ignitionVersion = "2.26.0"
