// Sending: a text is posted to a server.

import Encoding
import IgnitionConfig
import Reporting

extension ResourceFetcher {
    /// Posts a JSON text.
    ///
    /// Network faults and server errors are retried as when fetching. An unreachable network is not: if there is none
    /// at that time, none will come.
    ///
    /// - Parameters:
    ///   - json: The body.
    ///   - url: An http or https URL.
    ///   - seconds: The time limit of all attempts together.
    /// - Throws: ``ResourceFailure`` if the last answer was not a success (2xx) or there was none.
    public func post(json: String, to url: SourceURL, within seconds: Double) throws(ResourceFailure) {
        do {
            try untilDone(url, Deadline(limit: seconds), retries: true, retriedStatuses: [408, 425, 429]) {
                $0 == .cannotConnect(.networkUnreachable)
            } request: {
                var request = request(
                    url,
                    adding: [
                        (name: "User-Agent", value: "Firstlight/\(firstlightVersion)"), (name: "Accept", value: "*/*"),
                        (name: "Content-Type", value: "application/json"),
                    ])
                request.method = .post
                request.body = Array(json.utf8)
                // No header is meant for the first server alone.
                request.keepsHeadersWhenRedirected = true
                return request
            } receiver: { _ in
                NoBody()
            } isDone: {
                $0.isSuccess
            }
        } catch {
            throw ResourceFailure(source: RedactedURL(url), reason: reason(for: error))
        }
    }
}
