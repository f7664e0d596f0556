import Encoding
import Glibc
import Hashing
import IgnitionConfig
import LinuxSystem
import LoopbackServer
import Reporting
import SystemPackage
import Testing

@testable import Fetching

private func resource(
    _ source: String?, compression: String? = nil, hash: String? = nil, headers: [(String, String?)] = []
) -> IgnitionConfig.Resource {
    var resource = IgnitionConfig.Resource()
    resource.source = source.map(ConfigURL.init)
    resource.compression = compression
    resource.verification.hash = hash
    resource.httpHeaders = headers.map { name, value in
        var header = IgnitionConfig.HTTPHeader()
        header.name = name
        header.value = value
        return header
    }
    return resource
}

private func reason(_ body: () throws -> Void) -> ResourceFailure.Reason? {
    do {
        try body()
        return nil
    } catch { return (error as? ResourceFailure)?.reason }
}

@Suite final class Resources {
    private let content = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8) }
    private var pauses: [Double] = []

    private func sha256(_ bytes: [UInt8]) -> String {
        "sha256-" + bytes.withUnsafeBytes { hexadecimal(MessageDigest.sha256($0)) }
    }

    private func fetcher(_ settings: FetchSettings = FetchSettings()) -> ResourceFetcher {
        ResourceFetcher(settings, pause: { self.pauses.append($0) })
    }

    @Test func withoutASourceThereAreNoBytes() throws {
        let wrong = resource("", compression: "gzip", hash: sha256([1]))
        #expect(try fetcher().bytes(of: resource(nil)).isEmpty)
        #expect(try fetcher().bytes(of: wrong).isEmpty)
        #expect(reason { _ = try fetcher().bytes(of: wrong, purpose: .config) } != nil)
        #expect(try fetcher().bytes(of: resource("", hash: sha256([])), purpose: .config).isEmpty)
    }

    @Test func configsAndKeysAreNotSentOnToPlainHTTP() throws {
        let folder = try TemporaryFolder()
        let pem = try LoopbackServer.makeCertificate(in: folder.path)
        let plain = try LoopbackServer(["f": content])
        let away = "redirect:\(plain.url("/f"))"
        let secure = try LoopbackServer([:], scripts: ["/f=\(away);\(away);\(away);\(away)"], tls: pem)
        var settings = FetchSettings()
        settings.authorities = FilePath("\(pem).crt")
        let source = resource(secure.url("/f"))
        let wanted = ResourceFailure.Reason.transfer(.redirectedToPlainHTTP, attempts: 1)
        #expect(reason { _ = try fetcher(settings).bytes(of: source, purpose: .config) } == wanted)
        #expect(reason { _ = try fetcher(settings).bytes(of: source, purpose: .trust) } == wanted)
        #expect(reason { _ = try fetcher(settings).trust([source]) } == wanted)
        #expect(plain.requests.isEmpty)
        #expect(try fetcher(settings).bytes(of: source) == content)
    }

    @Test func authoritiesThatCannotBeReadAreToldOfWhereOthersDoNotDo() throws {
        let folder = try TemporaryFolder()
        let pem = try LoopbackServer.makeCertificate(in: folder.path)
        let other = try TemporaryFolder()
        let otherPEM = try LoopbackServer.makeCertificate(in: other.path)
        let server = try LoopbackServer(["f": content], tls: pem)
        var settings = FetchSettings()
        settings.authorities = folder.path.appending("nothing.crt")
        settings.trust(try Files.read(FilePath("\(otherPEM).crt")))
        let source = resource(server.url("/f"))
        guard case .transfer(.certificate(let detail), _)? = reason({ _ = try fetcher(settings).bytes(of: source) })
        else {
            Issue.record("believed")
            return
        }
        #expect(detail.contains("; cannot read \(settings.authorities): No such file"))
        settings.trust(try Files.read(FilePath("\(pem).crt")))
        #expect(try fetcher(settings).bytes(of: source) == content)
    }

    @Test func dataURLsAreDecodedHere() throws {
        #expect(try fetcher().bytes(of: resource("data:,a%20b")) == Array("a b".utf8))
        // gzip -n of "hello\n", in base64.
        let packed = "data:;base64,H4sIAAAAAAAAA8tIzcnJ5wIAIDA6NgYAAAA="
        let hash = sha256(Array("hello\n".utf8))
        #expect(try fetcher().bytes(of: resource(packed, compression: "gzip", hash: hash)) == Array("hello\n".utf8))
        let wrong = resource("data:,x", hash: hash)
        #expect(
            reason { _ = try fetcher().bytes(of: wrong) }
                == .wrongHash(wanted: hash, found: sha256(Array("x".utf8))))
        #expect(reason { _ = try fetcher().bytes(of: resource("data:x")) } == .dataURL(.noComma))
        #expect(
            reason { _ = try fetcher().bytes(of: resource("data:,x", compression: "gzip")) } == .compression(.endsEarly)
        )
        #expect(
            reason { _ = try fetcher().bytes(of: resource("data:,plain-text-here", compression: "gzip")) }
                == .compression(.notGzip))
        #expect(reason { _ = try fetcher().bytes(of: resource("data:,x", hash: "md5-00")) } == .malformedHash)
    }

    @Test("a limit longer than anything takes is none", arguments: [Int.max, 1 << 31, 9_223_372_037])
    func hugeLimits(seconds: Int) throws {
        let server = try LoopbackServer(["f": content])
        var timeouts = IgnitionConfig.Timeouts()
        (timeouts.httpTotal, timeouts.httpResponseHeaders) = (seconds, seconds)
        var settings = FetchSettings()
        settings.adopt(timeouts, IgnitionConfig.Proxy())
        #expect(try fetcher(settings).bytes(of: resource(server.url("/f"))) == content)
    }

    @Test func compressedContentIsHashedAfterwards() throws {
        let server = try LoopbackServer(["f.gz": try gzipped(content)])
        let wanted = resource(server.url("/f.gz"), compression: "gzip", hash: sha256(content).uppercasedDigits)
        #expect(try fetcher().bytes(of: wanted) == content)
    }

    @Test func headersAreIgnitionsOwnAndTheConfigs() throws {
        let server = try LoopbackServer(["f": content])
        _ = try fetcher().bytes(of: resource(server.url("/f"), headers: [("X-Token", "t"), ("accept", "text/plain")]))
        let headers = try #require(server.requests.first).headers
        #expect(headers["user-agent"] == "Ignition/\(ignitionVersion)")
        #expect(headers["accept-encoding"] == "identity")
        #expect(headers["accept"] == "text/plain")
        #expect(headers["x-token"] == "t")
        let nameless = resource(server.url("/f"), headers: [("X-Token", nil)])
        #expect(reason { _ = try fetcher().bytes(of: nameless) } == .headerWithoutValue("X-Token"))
        _ = try fetcher().bytes(of: resource(server.url("/f")))
        #expect(
            server.requests.last?.headers["accept"] == "application/vnd.coreos.ignition+json;version=3.6.0, */*;q=0.1")
    }

    @Test func redirectsDropEveryHeader() throws {
        let server = try LoopbackServer(["g": content], scripts: ["/f=redirect:/g"])
        #expect(try fetcher().bytes(of: resource(server.url("/f"), headers: [("X-Token", "t")])) == content)
        #expect(server.requests.map { $0.headers["x-token"] } == ["t", nil])
        #expect(server.requests.last?.headers["user-agent"] == nil)
    }

    @Test func faultsAreRetriedAndEachAttemptStartsAnew() throws {
        let server = try LoopbackServer(
            ["f": content], scripts: ["/f=status:500;cut:150000;reset:10;status:503 retry:9;ok"])
        let wanted = resource(server.url("/f"), hash: sha256(content))
        #expect(try fetcher().bytes(of: wanted) == content)
        #expect(server.requests.count == 5)
        #expect(pauses == [0.2, 0.4, 0.8, 1.6])
    }

    /// What people may be told while it is fetched.
    private func waits() -> (Waits, Monitor<[Wait]>) {
        let told = Monitor<[Wait]>([])
        let waits = Waits(
            begin: { wait in
                told.change { $0.append(wait) }
                return 1
            },
            change: { _, body in
                told.change {
                    guard var wait = $0.last else { return }
                    body(&wait)
                    if wait != $0.last { $0.append(wait) }
                }
            }, end: { _ in told.change { $0.append(Wait(for: "end")) } })
        return (waits, told)
    }

    @Test func whatIsWaitedForIsToldWithoutSecrets() throws {
        let server = try LoopbackServer(["f": content], scripts: ["/f=status:503;reset:10;ok"])
        let (waits, told) = waits()
        var settings = FetchSettings()
        settings.waits = waits
        let url = server.url("/f").replacingFirst("://", "://me:secret@") + "?token=secret"
        #expect(try fetcher(settings).bytes(of: resource(url)) == content)
        let all = told.change { $0 }
        #expect(all.first?.subject == server.url("/f"))
        #expect(all.first?.reason == "no answer yet")
        #expect(all.last?.subject == "end")
        #expect(all.contains { $0.attempts == 1 && $0.reason == "HTTP status 503 (service unavailable)" })
        #expect(all.contains { $0.attempts == 2 && $0.reason?.hasPrefix("connection lost") == true })
        #expect(all.allSatisfy { $0.attempts == 0 || !$0.advice.isEmpty })
        #expect(!all.contains { "\($0)".contains("secret") })
    }

    @Test func aLimitOfTimeIsPartOfTheWait() throws {
        let (waits, told) = waits()
        var settings = FetchSettings()
        settings.waits = waits
        settings.totalTimeout = 7
        let before = Machine.uptime()
        let fetcher = fetcher(settings)
        var attempts = 0
        fetcher.isWanted = {
            attempts += 1
            return attempts < 4
        }
        #expect(reason { _ = try fetcher.bytes(of: resource("http://127.0.0.1:1/f")) } == .cancelled)
        let deadline = try #require(told.change { $0.first?.deadline })
        #expect(before + 6...before + 20 ~= deadline)
    }

    @Test func refusalsAreFinal() throws {
        let server = try LoopbackServer(["f": content], scripts: ["/f=status:429;status:403"])
        #expect(reason { _ = try fetcher().bytes(of: resource(server.url("/g"))) } == .notFound)
        #expect(
            reason { _ = try fetcher().bytes(of: resource(server.url("/f"))) }
                == .transfer(.status(429), attempts: 1))
        #expect(
            reason { _ = try fetcher().bytes(of: resource(server.url("/f"))) }
                == .transfer(.status(403), attempts: 1))
        #expect(reason { _ = try fetcher().bytes(of: resource("oci://host/image")) } == .unsupportedScheme("oci"))
        #expect(server.requests.count == 3)
    }

    @Test func theTotalTimeLimitsAllAttempts() throws {
        var settings = FetchSettings()
        settings.totalTimeout = 0.5
        let server = try LoopbackServer([:], scripts: ["/f=status:500;silent"])
        let found = reason { _ = try fetcher(settings).bytes(of: resource(server.url("/f"))) }
        guard case .outOfTime? = found else {
            Issue.record("ended otherwise: \(String(describing: found))")
            return
        }
    }

    @Test func timeoutsComeFromTheConfig() {
        var settings = FetchSettings()
        var timeouts = IgnitionConfig.Timeouts()
        settings.adopt(timeouts, IgnitionConfig.Proxy())
        #expect(settings.answerTimeout == 10)
        #expect(settings.totalTimeout == nil)
        timeouts.httpTotal = 30
        timeouts.httpResponseHeaders = 0
        var proxy = IgnitionConfig.Proxy()
        proxy.httpProxy = ConfigURL("http://proxy")
        settings.adopt(timeouts, proxy)
        #expect(settings.answerTimeout == nil)
        #expect(settings.totalTimeout == 30)
        #expect(settings.proxies.http?.text == "http://proxy")
        // No deadline can be told that no clock shows.
        (timeouts.httpTotal, timeouts.httpResponseHeaders) = (.max, .max)
        settings.adopt(timeouts, proxy)
        #expect(settings.answerTimeout == nil && settings.totalTimeout == nil)
    }

    @Test func aFileIsWrittenAsItArrives() throws {
        let folder = try TemporaryFolder()
        let server = try LoopbackServer(["f": content], scripts: ["/f=cut:150000"])
        let path = folder.path.appending("out")
        try Files.write([UInt8](repeating: 1, count: 300_000), to: path)
        let descriptor = open(path.string, O_RDWR | O_CLOEXEC)
        defer { close(descriptor) }
        #expect(try fetcher().write(resource(server.url("/f"), hash: sha256(content)), to: descriptor) == 200_000)
        #expect(try Files.read(path) == content)
    }

    @Test func messagesKeepSecrets() throws {
        let server = try LoopbackServer([:])
        let url = server.url("/f?token=secret").replacingFirst("http://", "http://me:password@")
        do {
            _ = try fetcher().bytes(of: resource(url))
            Issue.record("found what is not there")
        } catch {
            let text = "\(error) \(error.advice)"
            #expect(!text.contains("secret") && !text.contains("password"))
            #expect(text.hasPrefix("http://127.0.0.1:\(server.port)/f: HTTP status 404 (not found)"))
        }
    }

    @Test func tftpIsTriedOnce() throws {
        let server = try LoopbackServer(tftp: ["f": content])
        #expect(try fetcher().bytes(of: resource(server.url("/f"))) == content)
        #expect(
            reason { _ = try fetcher().bytes(of: resource(server.url("/g"))) }
                == .transfer(.tftpRefused("not found"), attempts: 1))
    }
}

extension String {
    /// `sha256-ab` as `sha256-AB`.
    fileprivate var uppercasedDigits: String {
        let parts = split(separator: "-")
        return "\(parts[0])-\(parts[1].uppercased())"
    }

    fileprivate func replacingFirst(_ old: String, _ new: String) -> String {
        hasPrefix(old) ? new + dropFirst(old.count) : self
    }
}
