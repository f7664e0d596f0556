// Amazon's instance metadata service: version 2 with a session token, or version 1 without.

import BootArguments
import Fetching
import JSONText

extension PlatformAccess {
    func awsConfig() throws(ResourceFailure) -> [UInt8]? {
        try plain("\(linkLocal)/2019-10-01/user-data", headers: try awsSession())
    }

    /// The headers of each request of a session; none if the service has no sessions.
    func awsSession() throws(ResourceFailure) -> [(name: String, value: String)] {
        var question = try MetadataRequest(
            "\(linkLocal)/latest/api/token", headers: [("X-aws-ec2-metadata-token-ttl-seconds", "21600")])
        question.exchange.method = .put
        do throws(ResourceFailure) {
            return headerValue(try request(question)).map { [("X-aws-ec2-metadata-token", $0)] } ?? []
        } catch {
            switch error.reason {
            case .notFound, .transfer(.status(403, _), _), .transfer(.status(405, _), _): return []
            default: throw error
            }
        }
    }
    /// The temporary keys of the instance's role, if it has one, and the instance's region.
    func awsCredentials() throws -> CloudCredentials {
        let session = try awsSession()
        func ask(_ item: String) throws(ResourceFailure) -> [UInt8]? {
            try plain("\(linkLocal)/latest/meta-data/\(item)", headers: session)
        }
        var credentials = CloudCredentials()
        credentials.awsRegion = try ask("placement/region").flatMap(headerValue)
        let roles = try ask("iam/security-credentials/") ?? []
        guard let role = headerValue(Array(roles.prefix { $0 != UInt8(ascii: "\n") })),
            let answer = try ask("iam/security-credentials/\(role)")
        else { return credentials }
        let keys = try JSONNode(parsing: answer)
        guard let id = keys["AccessKeyId"]?.string, let secret = keys["SecretAccessKey"]?.string else {
            throw PlatformFailure.noKeys(role: role)
        }
        credentials.aws = AWSCredentials(accessKey: id, secretKey: secret, sessionToken: keys["Token"]?.string)
        return credentials
    }
}
