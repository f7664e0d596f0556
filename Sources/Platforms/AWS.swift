// Amazon's instance metadata service: the second version with a session token, or the first without.

import BootArguments
import Fetching

extension PlatformAccess {
    func awsConfig() throws(ResourceFailure) -> [UInt8]? {
        try plain("\(linkLocal)/2019-10-01/user-data", headers: try awsSession())
    }

    /// What each request of a session carries; nothing where the service knows no sessions.
    func awsSession() throws(ResourceFailure) -> [(name: String, value: String)] {
        var question = MetadataRequest(
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
}
