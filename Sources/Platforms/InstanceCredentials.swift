// What a cloud lets its instance show to the cloud's own storage: the keys of a role, a token.

import BootArguments
import Fetching
import Synchronization

/// Asks the platform's metadata service once, when a fetch first needs to know; for threads to share.
public final class InstanceCredentials: Sendable {
    /// Seconds for each question: without an answer the storage is asked as anybody may.
    private static let limit = 10.0

    private let platform: Platform?
    private let settings: FetchSettings
    private let warn: @Sendable (String) -> Void
    private let known = Mutex<CloudCredentials?>(nil)

    /// - Parameters:
    ///   - platform: None but `aws` and `gcp` give their instances anything to show.
    ///   - settings: For the metadata service: no proxy.
    ///   - warn: Told that the storage is asked without credentials, and why.
    public init(_ platform: Platform?, settings: FetchSettings, warn: @escaping @Sendable (String) -> Void) {
        self.platform = platform
        self.settings = settings
        self.warn = warn
    }

    /// Nothing, where the platform is another than the storage's, or its service has no answer.
    public func credentials(for storage: CloudStorage) -> CloudCredentials {
        switch (platform, storage) {
        case (.aws, .amazon): ask { try $0.awsCredentials() }
        case (.gcp, .google): ask { try $0.gcpCredentials() }
        default: CloudCredentials()
        }
    }

    private func ask(_ question: (PlatformAccess) throws -> CloudCredentials) -> CloudCredentials {
        known.withLock { known in
            if let known { return known }
            let fetcher = ResourceFetcher(settings)
            var access = PlatformAccess.hypervisor
            access.request = { request throws(ResourceFailure) in
                var request = request
                request.limit = Self.limit
                return try perform(request, with: fetcher)
            }
            var found = CloudCredentials()
            do { found = try question(access) } catch { warn("reading cloud storage without credentials: \(error)") }
            known = found
            return found
        }
    }
}
