// Packet shows on a machine's timeline how each stage ended.

import BootArguments
import Encoding
import Fetching
import JSONText

extension Platform {
    /// Reports to the platform how a stage ended; only Packet wants to know.
    ///
    /// - Parameters:
    ///   - stage: The name of the stage.
    ///   - failure: What stopped the stage; `nil` for success.
    ///   - fetcher: Makes the requests.
    /// - Throws: What stopped the report.
    public func report(stage: String, failure: String?, with fetcher: ResourceFetcher) throws {
        guard self == .packet else { return }
        let limit = 30.0
        var metadata = try MetadataRequest("https://metadata.packet.net/metadata", headers: [("Accept", "*/*")])
        metadata.limit = limit
        let answer = try JSONNode(parsing: try perform(metadata, with: fetcher))
        guard let home = answer["phone_home_url"]?.string else { throw PlatformFailure.noPhoneHome }
        let end = "/phone-home"
        let base = home.hasSuffix(end) ? String(home.dropLast(end.count)) : home
        let message = failure.map { "Ignition error: \($0)" } ?? "Ignition status: finished successfully"
        let text: JSONValue = [
            "state": .string(failure == nil ? "running" : "failed"), "message": .string("[\(stage)] \(message)"),
        ]
        let events = try MetadataRequest("\(base)/events").url
        try fetcher.post(json: text.text(), to: events, within: limit)
    }
}
