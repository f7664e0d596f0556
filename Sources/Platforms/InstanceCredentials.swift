// The credentials that a cloud gives its instance for the cloud's own storage: the keys of a role, a token.

import BootArguments
import Fetching
import Synchronization

/// Asks the platform's metadata service for credentials, once, when a fetch first needs them; for several threads.
public final class InstanceCredentials: Sendable {
    /// Seconds for each question; without an answer, storage is read without credentials.
    private static let limit = 10.0

    private let platform: Platform?
    private let fetcher: @Sendable () -> ResourceFetcher
    private let warn: @Sendable (String) -> Void
    private let known = Mutex<CloudCredentials?>(nil)

    /// Creates credentials that have not been asked for yet.
    ///
    /// - Parameters:
    ///   - platform: The platform; only `aws` and `gcp` give their instances credentials.
    ///   - fetcher: Makes what asks the metadata service; it uses no proxy.
    ///   - warn: Receives why storage is read without credentials.
    public init(
        _ platform: Platform?, fetcher: @escaping @Sendable () -> ResourceFetcher,
        warn: @escaping @Sendable (String) -> Void
    ) {
        self.platform = platform
        self.fetcher = fetcher
        self.warn = warn
    }

    /// The credentials for a storage; empty if the platform is not the storage's, or its service does not answer.
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
            let fetcher = fetcher()
            var access = PlatformAccess.hypervisor
            access.request = { request throws(ResourceFailure) in
                var request = request
                request.limit = Self.limit
                return try perform(request, with: fetcher)
            }
            var found = CloudCredentials()
            do { found = try question(access) } catch {
                // The next object asks again: one slow answer must not make all of them anonymous.
                warn("reading cloud storage without credentials: \(error)")
                return found
            }
            known = found
            return found
        }
    }
}
