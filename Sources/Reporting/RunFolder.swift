// The one folder of a boot in RAM.

/// Where everything is that one boot leaves: state, report, log, the root image and its layers.
public let runFolder = "/run/firstlight"
