// The config as a boot would carry it out, for whoever asks before there is one.

import Fetching
import IgnitionConfig

extension Inspection {
    /// Reads a config, checks it and follows what it refers to, as the boot does.
    ///
    /// - Parameter fetcher: Has the whole config's timeouts, proxy and certificate authorities afterwards. Where its
    ///   settings are offline, a reference to another machine is an error.
    /// - Returns: The whole, its references still in it; an empty config where one that is referred to is empty.
    static func wholeConfig(
        _ bytes: [UInt8], name: String, through fetcher: ResourceFetcher, warn: @escaping (String) -> Void
    ) throws -> IgnitionConfig {
        let parsed = IgnitionConfig.parse(bytes, name: name)
        for warning in parsed.report.warnings { warn("\(warning)") }
        let config = try parsed.checked()
        try config.checkSupport()
        let whole = try ConfigCompletion(fetcher, proxy: nil, warn: warn).complete(config) ?? IgnitionConfig()
        try whole.checkSupport()
        return whole
    }
}
