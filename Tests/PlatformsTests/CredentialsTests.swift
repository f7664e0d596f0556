import BootArguments
import LinuxSystem
import Testing

@testable import Fetching
@testable import Platforms

@Suite("what an instance may show to its cloud's storage")
struct CredentialsTests {
    private let metadata = "169.254.169.254/latest/meta-data"
    private let keys = Array(
        #"{"Code":"Success","AccessKeyId":"AK","SecretAccessKey":"SK","Token":"ST","Expiration":"2026"}"#.utf8)

    private func instance(_ platform: Platform?, _ stage: Stage) -> (InstanceCredentials, Monitor<[String]>) {
        let told = Monitor<[String]>([])
        let instance = InstanceCredentials(platform, fetcher: stage.makeFetcher) { text in
            told.change { $0.append(text) }
        }
        return (instance, told)
    }

    @Test func aRoleGivesItsKeysOnce() throws {
        let stage = try Stage(
            [
                "169.254.169.254/latest/api/token": Array("session".utf8),
                "\(metadata)/placement/region": Array("eu-west-1".utf8),
                "roles": Array("reader\n".utf8), "\(metadata)/iam/security-credentials/reader": keys,
            ], scripts: ["/\(metadata)/iam/security-credentials/=file:roles"])
        let (instance, told) = instance(.aws, stage)
        let wanted = CloudCredentials(
            aws: AWSCredentials(accessKey: "AK", secretKey: "SK", sessionToken: "ST"), awsRegion: "eu-west-1")
        #expect(instance.credentials(for: .amazon) == wanted)
        #expect(instance.credentials(for: .amazon) == wanted)
        #expect(stage.server.requests.count == 4)
        #expect(stage.server.requests.dropFirst().allSatisfy { $0.headers["x-aws-ec2-metadata-token"] == "session" })
        #expect(instance.credentials(for: .google) == CloudCredentials())
        #expect(told.change { $0 }.isEmpty)
    }

    @Test func withoutARoleThereIsTheRegionAlone() throws {
        let stage = try Stage([
            "169.254.169.254/latest/api/token": Array("session".utf8),
            "\(metadata)/placement/region": Array("eu-west-1".utf8),
        ])
        let (instance, told) = instance(.aws, stage)
        #expect(instance.credentials(for: .amazon) == CloudCredentials(awsRegion: "eu-west-1"))
        #expect(told.change { $0 }.isEmpty)
    }

    @Test func aServiceWithoutSenseIsToldAndDoneWithout() throws {
        let stage = try Stage(
            [
                "169.254.169.254/latest/api/token": Array("session".utf8),
                "roles": Array("reader".utf8), "\(metadata)/iam/security-credentials/reader": Array("{}".utf8),
            ], scripts: ["/\(metadata)/iam/security-credentials/=file:roles"])
        let (instance, told) = instance(.aws, stage)
        #expect(instance.credentials(for: .amazon) == CloudCredentials())
        #expect(told.change { $0 }.map { $0.contains("without credentials") && $0.contains("reader") } == [true])
    }

    @Test func aServiceAccountGivesAToken() throws {
        let path = "169.254.169.254/computeMetadata/v1/instance/service-accounts/default/token"
        let stage = try Stage([path: Array(#"{"access_token":"T","expires_in":3599,"token_type":"Bearer"}"#.utf8)])
        let (instance, _) = instance(.gcp, stage)
        #expect(instance.credentials(for: .google) == CloudCredentials(googleToken: "T"))
        let request = try #require(stage.server.requests.first)
        #expect(request.headers["metadata-flavor"] == "Google")
        #expect(request.path.hasSuffix("?scopes=https://www.googleapis.com/auth/devstorage.read_only"))
        #expect(instance.credentials(for: .amazon) == CloudCredentials())
    }

    @Test(arguments: [nil, Platform.metal, .azure]) func elsewhereNobodyIsAsked(platform: Platform?) throws {
        let stage = try Stage([:])
        let (instance, _) = instance(platform, stage)
        #expect(instance.credentials(for: .amazon) == CloudCredentials())
        #expect(instance.credentials(for: .google) == CloudCredentials())
        #expect(stage.server.requests.isEmpty)
    }
}
