// Fetching several resources at once.

import IgnitionConfig
import LinuxSystem

/// Fetchers that threads share: each fetch borrows one with its open connections, or makes a new one.
public final class ResourceFetcherPool: Sendable {
    /// How many resources are fetched at once.
    public static let limit = 8

    /// A fetcher is used by whoever took it out of the list, and by nobody else.
    private struct State: @unchecked Sendable {
        var idle: [ResourceFetcher] = []
        var isCancelled = false
    }

    private let settings: FetchSettings
    private let state = Monitor(State())

    /// Creates a pool without fetchers.
    public init(_ settings: FetchSettings) { self.settings = settings }

    /// Writes like ``ResourceFetcher/write(_:to:purpose:)``; may be called on several threads at once.
    @discardableResult
    public func write(
        _ resource: IgnitionConfig.Resource, to descriptor: Int32, purpose: ResourcePurpose = .content
    ) throws(ResourceFailure) -> UInt64 {
        let fetcher = state.change { $0.idle.popLast() } ?? makeFetcher()
        defer { state.change { $0.idle.append(fetcher) } }
        return try fetcher.write(resource, to: descriptor, purpose: purpose)
    }

    /// Ends all fetches under way; their results are not needed any more.
    public func cancel() { state.change { $0.isCancelled = true } }

    private func makeFetcher() -> ResourceFetcher {
        let fetcher = ResourceFetcher(settings)
        let (state, isWanted) = (state, fetcher.isWanted)
        fetcher.isWanted = { isWanted() && state.change { !$0.isCancelled } }
        return fetcher
    }
}
