import Encoding
import Glibc
import Hashing
import IgnitionConfig
import LinuxSystem
import LoopbackServer
import SystemPackage
import Testing

@testable import Fetching

/// A clock that can be set without harm.
private final class TestClock: Sendable {
    private let time: Monitor<Int>
    let changes = Monitor<[MachineClock.Change]>([])
    let buildDate: Int

    init(at time: Int, buildDate: Int) {
        self.time = Monitor(time)
        self.buildDate = buildDate
    }

    var now: Int { time.change { $0 } }

    var clock: MachineClock {
        MachineClock(
            buildDate: buildDate, now: { self.now },
            set: { wanted in
                self.time.change { $0 = wanted }; return true
            })
    }

    var settings: FetchSettings {
        var settings = FetchSettings()
        settings.clock = clock
        settings.clockWasSet = { change in self.changes.change { $0.append(change) } }
        return settings
    }
}

/// 2026-11-01 00:00 UTC.
private let build = 1_793_491_200

@Suite struct Clocks {
    @Test func noClockIsBeforeTheBuild() {
        let early = TestClock(at: 100, buildDate: build)
        let change = early.clock.catchUp()
        #expect(early.now == build)
        #expect(
            change?.description
                == "set from 1970-01-01 00:01 UTC to 2026-11-01 00:00 UTC, the date of this program")
        #expect(early.clock.catchUp() == nil)
        #expect(early.clock.isDoubtful)
        let right = TestClock(at: build + 86400, buildDate: build)
        #expect(right.clock.catchUp() == nil)
        #expect(!right.clock.isDoubtful)
        let unknown = TestClock(at: 100, buildDate: 0)
        #expect(unknown.clock.catchUp() == nil)
    }

    @Test func onlyADoubtfulClockIsSetAndOnlyForward() {
        let doubtful = TestClock(at: build + 30, buildDate: build)
        #expect(doubtful.clock.setForward(to: build, of: "a") == nil)
        #expect(doubtful.clock.setForward(to: build + 90, of: "a") == nil)
        let change = doubtful.clock.setForward(to: build + 91, of: "a")
        #expect(doubtful.now == build + 91)
        #expect(change?.description.hasSuffix(", the date that a tells") == true)
        let sure = TestClock(at: build + 100_000, buildDate: build)
        #expect(sure.clock.setForward(to: build + 900_000, of: "a") == nil)
    }

    @Test(
        "dates are read",
        arguments: [
            ("Sun, 01 Nov 2026 00:00:00 GMT", build), ("Sunday, 01-Nov-26 00:00:00 GMT", build), ("yesterday", nil),
            ("Sun, 32 Nov 2026 00:00:00 GMT", nil), ("", nil),
        ] as [(String, Int?)])
    func dates(text: String, seconds: Int?) {
        #expect(ResponseHead(status: 200, fields: ["date": text]).date == seconds)
        #expect(ResponseHead(status: 200).date == nil)
    }

    // MARK: What a server says

    private let content = Array("what was hashed\n".utf8)
    private var hash: String { "sha256-" + content.withUnsafeBytes { hexadecimal(MessageDigest.sha256($0)) } }

    private func resource(_ url: String, hash: String?) -> IgnitionConfig.Resource {
        var resource = IgnitionConfig.Resource(source: ConfigURL(url))
        resource.verification.hash = hash
        return resource
    }

    @Test func aDateCountsWithAHash() throws {
        let told = "date:\(build + 5_000_000)"
        let server = try LoopbackServer(["f": content], scripts: ["/f=\(told);\(told);\(told)"])
        let clock = TestClock(at: build, buildDate: build)
        let fetcher = ResourceFetcher(clock.settings)
        _ = try fetcher.bytes(of: resource(server.url("/f"), hash: nil))
        #expect(clock.now == build)
        let wrong = "sha256-" + String(repeating: "0", count: 64)
        #expect(throws: ResourceFailure.self) { try fetcher.bytes(of: resource(server.url("/f"), hash: wrong)) }
        #expect(clock.now == build)
        _ = try fetcher.bytes(of: resource(server.url("/f"), hash: hash))
        #expect(clock.now == build + 5_000_000)
        #expect(clock.changes.change { $0 }.map(\.source) == ["the date that 127.0.0.1 tells"])
    }

    @Test func aCertificateOfTheFutureIsNotAskedForWhereAHashVouches() throws {
        let folder = try TemporaryFolder()
        let pem = try LoopbackServer.makeCertificate(in: folder.path, from: "20990101000000Z", to: "21000101000000Z")
        // 2099-06-01.
        let date = 4_083_955_200
        let server = try LoopbackServer(["f": content], scripts: ["/f=date:\(date)"], tls: pem)
        let url = server.url("/f")
        func fetch(_ clock: TestClock, _ wanted: IgnitionConfig.Resource) throws -> [UInt8] {
            var settings = clock.settings
            settings.authorities = FilePath("\(pem).crt")
            return try ResourceFetcher(settings).bytes(of: wanted)
        }
        func isRefused(_ clock: TestClock, _ wanted: IgnitionConfig.Resource) -> Bool {
            do {
                _ = try fetch(clock, wanted)
                return false
            } catch {
                guard case .transfer(.certificateNotInForce, attempts: 1)? = (error as? ResourceFailure)?.reason else {
                    return false
                }
                return true
            }
        }
        let sure = TestClock(at: build + 100_000, buildDate: build)
        #expect(isRefused(sure, resource(url, hash: hash)))
        let doubtful = TestClock(at: build, buildDate: build)
        #expect(isRefused(doubtful, resource(url, hash: nil)))
        var secret = resource(url, hash: hash)
        secret.httpHeaders = [IgnitionConfig.HTTPHeader()]
        secret.httpHeaders[0].name = "Authorization"
        secret.httpHeaders[0].value = "Bearer t"
        #expect(isRefused(doubtful, secret))
        #expect(isRefused(doubtful, resource(url + "?token=t", hash: hash)))
        #expect(server.requests.isEmpty)
        #expect(try fetch(doubtful, resource(url, hash: hash)) == content)
        #expect(doubtful.now == date)
    }

    @Test func aSignatureThatIsTooOldNamesTheClock() throws {
        let place = "/bucket.s3.dualstack.us-east-1.amazonaws.com/key"
        let server = try LoopbackServer(
            [:],
            scripts: ["/s3.dualstack.us-east-1.amazonaws.com/bucket=status:403", "\(place)=status:403 date:\(build)"])
        var settings = FetchSettings()
        settings.credentials = { _ in CloudCredentials(aws: AWSCredentials(accessKey: "AK", secretKey: "S")) }
        let failure = #expect(throws: ResourceFailure.self) {
            try ResourceFetcher(settings, inThePlaceOfClouds: server)
                .bytes(of: IgnitionConfig.Resource(source: ConfigURL("s3://bucket/key")))
        }
        #expect(failure?.description.contains("the server's clock says 2026-11-01 00:00 UTC, this machine's") == true)
        #expect(failure?.advice.first?.contains("clock") == true)
    }
}
