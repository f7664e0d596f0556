import BootArguments
import Devices
import Encoding
import Glibc
import LinuxSystem
import LoopbackServer
import Reporting
import Synchronization
import SystemPackage
import Testing

@testable import Fetching
@testable import Platforms

/// A server in the place of every metadata service: `http://HOST/PATH` is its `/HOST/PATH`.
struct Stage {
    let server: LoopbackServer
    let access: PlatformAccess
    let makeFetcher: @Sendable () -> ResourceFetcher
    let fetcher: ResourceFetcher

    init(_ files: [String: [UInt8]], scripts: [String] = [], limit: Double = 30, drives: [FilePath] = []) throws {
        let server = try LoopbackServer(files, scripts: scripts)
        var settings = FetchSettings()
        settings.totalTimeout = limit
        let base = server.url("/")
        self.server = server
        makeFetcher = { [settings] in
            ResourceFetcher(settings, pause: { _ in usleep(1000) }) { request, receiver in
                var request = request
                let place = request.url.text.split(separator: "/", maxSplits: 1)[1].dropFirst()
                request.url = try SourceURL(parsing: base + place.filter { !"[]%".contains($0) })
                return try Transfer().perform(request, to: receiver)
            }
        }
        fetcher = makeFetcher()
        let devices = DeviceAccess(
            wait: { _, _, _ in }, firstOf: { candidates, _, _ in candidates.first { drives.contains($0) } }, settle: {},
            loadModule: { _ in })
        access = PlatformAccess.live(fetcher: fetcher, devices: devices) { _ in }
    }

    /// `PUT /path`, in order.
    var asked: [String] { server.requests.map { "\($0.method) \($0.path)" } }
    var statuses: [Int] { server.requests.map(\.status) }
}

private let config = Array(#"{"ignition":{"version":"3.4.0"}}"#.utf8)
private let encoded = Array("eyJpZ25pdGlvbiI6eyJ2ZXJzaW9uIjoi\nMy40LjAifX0=\n".utf8)
/// `config`, compressed, in base64.
private let packed = Array("H4sIAAAAAAACA6tWykzPyyzJzM9TsqpWKkstKgYzlYz1TPQMlGprAWys13sgAAAA".utf8)

/// A platform that answers one question.
struct Service: CustomTestStringConvertible, Sendable {
    var platform: Platform
    var path: String
    var answer = config
    var headers: [String: String] = [:]
    var mayBeMissing = true

    var testDescription: String { platform.rawValue }

    static let all = [
        Service(platform: .aliyun, path: "100.100.100.200/latest/user-data"),
        Service(platform: .digitalocean, path: "169.254.169.254/metadata/v1/user-data", mayBeMissing: false),
        Service(platform: .exoscale, path: "169.254.169.254/1.0/user-data"),
        Service(
            platform: .gcp, path: "169.254.169.254/computeMetadata/v1/instance/attributes/user-data",
            headers: ["metadata-flavor": "Google"]),
        Service(platform: .hetzner, path: "169.254.169.254/hetzner/v1/userdata"),
        Service(
            platform: .oraclecloud, path: "169.254.169.254/opc/v2/instance/metadata/user_data", answer: encoded,
            headers: ["authorization": "Bearer Oracle"]),
        Service(
            platform: .packet, path: "metadata.packet.net/userdata", headers: ["accept": "*/*"], mayBeMissing: false),
        Service(platform: .upcloud, path: "169.254.169.254/metadata/v1/user_data"),
        Service(platform: .vultr, path: "169.254.169.254/user-data/user-data"),
    ]
}

@Suite("metadata services")
struct MetadataTests {
    @Test(arguments: [nil, "no disk"]) func packetHearsHowAStageEnds(failure: String?) throws {
        let stage = try Stage(
            ["metadata.packet.net/metadata": Array(#"{"phone_home_url":"http://10.0.0.1/phone-home"}"#.utf8)])
        try Platform.packet.report(stage: "disks", failure: failure, with: stage.fetcher)
        #expect(stage.asked == ["GET /metadata.packet.net/metadata", "POST /10.0.0.1/events"])
        let told = try #require(stage.server.requests.last?.headers["body"])
        #expect(told.contains(failure == nil ? #""running""# : #""failed""#) && told.contains("[disks] Ignition"))
        #expect(told.contains(failure ?? "finished"))
        try Platform.aws.report(stage: "disks", failure: nil, with: stage.fetcher)
        #expect(stage.asked.count == 2)
    }

    @Test("nobody goes on asking a service once the boot has failed elsewhere")
    func cancelled() throws {
        let isCancelled = Mutex(false)
        var settings = FetchSettings()
        settings.totalTimeout = 5
        settings.waits.isCancelled = { isCancelled.withLock { $0 } }
        var attempts = 0
        let fetcher = ResourceFetcher(settings, pause: { _ in }) { _, _ in
            attempts += 1
            if attempts == 3 { isCancelled.withLock { $0 = true } }
            throw TransferFault.cannotConnect(.connectionRefused)
        }
        func failure(_ body: () throws -> Void) -> ResourceFailure.Reason? {
            do { try body() } catch { return (error as? ResourceFailure)?.reason }
            return nil
        }
        #expect(failure { _ = try perform(MetadataRequest("http://192.0.2.1/a"), with: fetcher) } == .cancelled)
        #expect(attempts == 3)
        #expect(failure { _ = try perform(MetadataRequest("http://192.0.2.1/b"), with: fetcher) } == .cancelled)
        #expect(attempts == 3)

        var access = loneAccess()
        access.waits.isCancelled = { true }
        for platform in [Platform.openstack, .cloudstack] {
            #expect(throws: PlatformFailure.cancelled) { try platform.userConfig(through: access) }
        }
        #expect(throws: PlatformFailure.cancelled) { try access.azureDiscConfig(filesystems: ["udf"]) }
    }

    @Test("gives what the service gives, after a fault as well", arguments: Service.all)
    func simple(_ service: Service) throws {
        let stage = try Stage([service.path: service.answer], scripts: ["/\(service.path)=status:503;reset:3"])
        #expect(try service.platform.userConfig(through: stage.access) == config)
        #expect(stage.asked == Array(repeating: "GET /\(service.path)", count: 3))
        for request in stage.server.requests {
            for (name, value) in service.headers { #expect(request.headers[name] == value) }
            #expect(request.headers["user-agent"]?.hasPrefix("Ignition/") == true)
        }
    }

    @Test("takes status 404 for its answer, where there may be none", arguments: Service.all)
    func missing(_ service: Service) throws {
        let stage = try Stage([:])
        if service.mayBeMissing {
            #expect(try service.platform.userConfig(through: stage.access) == nil)
        } else {
            #expect(throws: ResourceFailure.self) { try service.platform.userConfig(through: stage.access) }
        }
        #expect(stage.statuses == [404])
    }

    @Test("takes no other status for the answer that there is none", arguments: Service.all)
    func refused(_ service: Service) throws {
        let stage = try Stage([:], scripts: ["/\(service.path)=status:403"])
        let failure = #expect(throws: ResourceFailure.self) {
            try service.platform.userConfig(through: stage.access)
        }
        #expect(failure?.reason == .transfer(.status(403, retryAfter: nil), attempts: 1))
    }

    @Test func oracleIsAskedAgainWhereItIsBusy() throws {
        let path = "169.254.169.254/opc/v2/instance/metadata/user_data"
        let stage = try Stage([path: encoded], scripts: ["/\(path)=status:429;status:429"])
        #expect(try Platform.oraclecloud.userConfig(through: stage.access) == config)
        #expect(stage.statuses == [429, 429, 200])
    }

    @Test func whatIsNotBase64IsTold() throws {
        let stage = try Stage(["169.254.169.254/opc/v2/instance/metadata/user_data": config])
        #expect(throws: PlatformFailure.notBase64(.oraclecloud)) {
            try Platform.oraclecloud.userConfig(through: stage.access)
        }
    }

    @Test(.enabled("only root may use the ports below 1024") { getuid() == 0 })
    func scalewayIsAskedFromAReservedPort() throws {
        let stage = try Stage(["169.254.42.42/user_data/cloud-init": config])
        #expect(try Platform.scaleway.userConfig(through: stage.access) == config)
        let port = try #require(stage.server.requests.first?.headers["client-port"].flatMap { Int($0) })
        #expect((1..<1024).contains(port))
    }

    @Test func theLimitOfTheFetchHolds() throws {
        let path = "169.254.169.254/hetzner/v1/userdata"
        let stage = try Stage([path: config], scripts: ["/\(path)=silent"], limit: 0.3)
        let failure = #expect(throws: ResourceFailure.self) { try Platform.hetzner.userConfig(through: stage.access) }
        guard case .outOfTime? = failure?.reason else {
            Issue.record("\(String(describing: failure))")
            return
        }
        #expect(stage.fetcher.settings.totalTimeout == 0.3)
    }
}

@Suite("metadata services with a token")
struct TokenTests {
    private let token = Array("s3cret\n".utf8)

    @Test(arguments: [encoded, packed]) func akamai(data: [UInt8]) throws {
        let stage = try Stage(["169.254.169.254/v1/token": token, "169.254.169.254/v1/user-data": data])
        #expect(try Platform.akamai.userConfig(through: stage.access) == config)
        #expect(stage.asked == ["PUT /169.254.169.254/v1/token", "GET /169.254.169.254/v1/user-data"])
        #expect(stage.server.requests.map { $0.headers["metadata-token"] } == [nil, "s3cret"])
        #expect(stage.server.requests.map { $0.headers["accept"] } == ["text/plain", "*/*"])
    }

    @Test(arguments: ["", " \n", "a\nInjected: b"]) func anUnusableTokenIsRefused(text: String) throws {
        let stage = try Stage(["169.254.169.254/v1/token": Array(text.utf8)])
        #expect(throws: PlatformFailure.noToken(.akamai)) { try Platform.akamai.userConfig(through: stage.access) }
    }

    @Test func awsOpensASession() throws {
        let stage = try Stage([
            "169.254.169.254/latest/api/token": token, "169.254.169.254/2019-10-01/user-data": config,
        ])
        #expect(try Platform.aws.userConfig(through: stage.access) == config)
        #expect(
            stage.asked == ["PUT /169.254.169.254/latest/api/token", "GET /169.254.169.254/2019-10-01/user-data"])
        #expect(stage.server.requests.first?.headers["x-aws-ec2-metadata-token-ttl-seconds"] == "21600")
        #expect(stage.server.requests.last?.headers["x-aws-ec2-metadata-token"] == "s3cret")
    }

    @Test(arguments: [403, 404, 405]) func awsFallsBackToTheFirstVersion(status: Int) throws {
        let stage = try Stage(
            ["169.254.169.254/2019-10-01/user-data": config],
            scripts: ["/169.254.169.254/latest/api/token=status:\(status)"])
        #expect(try Platform.aws.userConfig(through: stage.access) == config)
        #expect(stage.server.requests.last?.headers["x-aws-ec2-metadata-token"] == nil)
    }

    @Test func awsWithoutUserDataHasNoConfig() throws {
        let stage = try Stage(["169.254.169.254/latest/api/token": token])
        #expect(try Platform.aws.userConfig(through: stage.access) == nil)
    }
}

@Suite("Azure")
struct AzureTests {
    private let path = "169.254.169.254/metadata/instance/compute/userData"

    @Test func theServiceIsWaitedFor() throws {
        let stage = try Stage([path: encoded], scripts: ["/\(path)=status:404;status:410;status:429;status:500"])
        #expect(try Platform.azure.userConfig(through: stage.access) == config)
        #expect(stage.statuses == [404, 410, 429, 500, 200])
        let request = try #require(stage.server.requests.last)
        #expect(request.path == "/\(path)?api-version=2021-01-01&format=text")
        #expect(request.headers["metadata"] == "true")
    }

    /// A drive of another disc, and the one that matters, which appears late.
    private func access(_ stage: Stage, after turns: Int, _ disc: [String: [UInt8]]) -> PlatformAccess {
        let turn = Monitor(0)
        var access = stage.access
        access.drives = { ["/dev/sr0", "/dev/sr1"] }
        access.device = { _, _ in
            turn.change { $0 += 1 }
            return nil
        }
        access.files = { drive, filesystems, _ in
            #expect(filesystems == ["udf"])
            guard drive == "/dev/sr1", turn.change({ $0 }) >= turns else { throw PlatformFailure.noFilesystem(drive) }
            return disc
        }
        return access
    }

    @Test(arguments: [0, 3]) func withoutUserDataTheDiscCounts(turns: Int) throws {
        let stage = try Stage([path: []])
        let access = access(stage, after: turns, ["ovf-env.xml": [], "CustomData.bin": config])
        #expect(try Platform.azure.userConfig(through: access) == config)
    }

    @Test("what stands in the way of the disc is told while it is waited for")
    func faultsOfDiscs() throws {
        let stage = try Stage([path: []])
        var access = access(stage, after: 0, ["ovf-env.xml": []])
        let told = Monitor(Wait(for: ""))
        let turn = Monitor(0)
        access.waits = Waits(begin: { _ in 0 }, change: { told.change($1) }, end: { _ in })
        access.files = { drive, _, _ in
            if turn.change({ $0 }) == 1 { return drive == "/dev/sr1" ? ["ovf-env.xml": []] : [:] }
            if drive == "/dev/sr0" { return [:] }
            throw PlatformFailure.cannotMount(drive, type: "udf", Errno(rawValue: ENODEV))
        }
        access.device = { _, _ in
            turn.change { $0 += 1 }
            return nil
        }
        #expect(try Platform.azure.userConfig(through: access) == nil)
        let reason = "/dev/sr0 holds another disc; cannot mount the udf on /dev/sr1: No such device"
        #expect(told.change { $0.reason } == reason)
    }

    @Test func aDiscWithoutCustomDataGivesNone() throws {
        let stage = try Stage([path: []])
        let access = access(stage, after: 1, ["ovf-env.xml": []])
        #expect(try Platform.azure.userConfig(through: access) == nil)
    }
}
