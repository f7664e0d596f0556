// Metadata services that answer a single question, some with a header or an encoding of their own.

import BootArguments
import Fetching
import JSONText

extension PlatformAccess {
    /// The answer as it is; `nil` for status 404, which means that there is none.
    ///
    /// If `mayBeMissing` is false, 404 is a failure.
    func plain(
        _ url: String, headers: [(name: String, value: String)] = [], mayBeMissing: Bool = true
    ) throws(ResourceFailure) -> [UInt8]? {
        try answer(to: try MetadataRequest(url, headers: headers), mayBeMissing: mayBeMissing)
    }

    func answer(to question: MetadataRequest, mayBeMissing: Bool = true) throws(ResourceFailure) -> [UInt8]? {
        do { return try request(question) } catch {
            guard error.reason == .notFound, mayBeMissing else { throw error }
            return nil
        }
    }

    func gcpConfig() throws(ResourceFailure) -> [UInt8]? {
        try plain(
            "\(linkLocal)/computeMetadata/v1/instance/attributes/user-data", headers: [("Metadata-Flavor", "Google")])
    }

    /// A token of the instance's service account that can read storage; none if it has no such account.
    func gcpCredentials() throws -> CloudCredentials {
        let scope = "https://www.googleapis.com/auth/devstorage.read_only"
        let answer = try plain(
            "\(linkLocal)/computeMetadata/v1/instance/service-accounts/default/token?scopes=\(scope)",
            headers: [("Metadata-Flavor", "Google")])
        return CloudCredentials(googleToken: try answer.flatMap { try JSONNode(parsing: $0)["access_token"]?.string })
    }

    /// Reads the user data; the service accepts no other `Accept`.
    func packetConfig() throws(ResourceFailure) -> [UInt8]? {
        try plain("https://metadata.packet.net/userdata", headers: [("Accept", "*/*")], mayBeMissing: false)
    }

    func oracleConfig() throws -> [UInt8]? {
        var question = try MetadataRequest(
            "\(linkLocal)/opc/v2/instance/metadata/user_data", headers: [("Authorization", "Bearer Oracle")])
        question.exchange.retriedStatuses = [429]
        return try answer(to: question).map { try decodedBase64($0, .oraclecloud) }
    }

    /// Reads the user data from a port below 1024, which proves that root asks.
    func scalewayConfig() throws(ResourceFailure) -> [UInt8]? {
        var question = try MetadataRequest("http://169.254.42.42/user_data/cloud-init")
        question.exchange.fromReservedPort = true
        return try answer(to: question)
    }

    func akamaiConfig() throws -> [UInt8]? {
        var first = try MetadataRequest(
            "\(linkLocal)/v1/token", headers: [("Accept", "text/plain"), ("Metadata-Token-Expiry-Seconds", "300")])
        first.exchange.method = .put
        guard let token = headerValue(try request(first)) else { throw PlatformFailure.noToken(.akamai) }
        let headers = [(name: "Accept", value: "*/*"), (name: "Metadata-Token", value: token)]
        let data = try plain("\(linkLocal)/v1/user-data", headers: headers, mayBeMissing: false)
        return try data.map { try decompressed(try decodedBase64($0, .akamai), .akamai) }
    }
}
