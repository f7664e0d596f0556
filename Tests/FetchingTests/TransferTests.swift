import Encoding
import Glibc
import LinuxSystem
import LoopbackServer
import SystemPackage
import Testing

@testable import Fetching

private final class Collector: TransferReceiver {
    struct Enough: Error {}

    var heads: [ResponseHead] = []
    var bytes: [UInt8] = []
    var limit = Int.max

    func begin(_ head: ResponseHead) { heads.append(head) }
    func receive(_ more: UnsafeRawBufferPointer) throws {
        bytes.append(contentsOf: more)
        if bytes.count > limit { throw Enough() }
    }
}

private func faultOf(_ body: () throws -> Void) -> TransferFault? {
    do {
        try body()
        return nil
    } catch { return error as? TransferFault }
}

@Suite struct Transfers {
    private let content = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8) }

    /// The fault of a GET under a behaviour, with short time limits.
    private func fault(under behaviour: String) throws -> TransferFault? {
        let server = try LoopbackServer(["f": content], scripts: ["/f=\(behaviour)"])
        var request = try TransferRequest(url: server.url("/f"))
        if behaviour.hasPrefix("stall") { request.stallTimeout = 1.5 }
        if behaviour == "silent" { request.answerTimeout = 0.5 }
        return faultOf { _ = try Transfer().perform(request, to: Collector()) }
    }

    @Test func aFileComesWithItsHead() throws {
        let server = try LoopbackServer(["f": content])
        let collector = Collector()
        let transfer = try Transfer()
        var request = try TransferRequest(url: server.url("/f?token=1"))
        request.headers = [("User-Agent", "Firstlight/1"), ("X-Empty", ""), ("Accept", nil)]
        #expect(try transfer.perform(request, to: collector).status == 200)
        #expect(collector.bytes == content)
        #expect(collector.heads.map(\.total) == [300_000])
        #expect(collector.heads.first?.validator == .entityTag("\"v1\""))
        #expect(collector.heads.first?.isAuthenticated == false)
        let seen = try #require(server.requests.first)
        #expect(seen.headers["user-agent"] == "Firstlight/1")
        #expect(seen.headers["x-empty"] == "")
        #expect(seen.headers["accept"] == nil)
        #expect(seen.headers["range"] == nil)
    }

    @Test("brings a body of any form", arguments: ["chunked", "nolength"])
    func forms(behaviour: String) throws {
        let server = try LoopbackServer(["f": content], scripts: ["/f=\(behaviour)"])
        let collector = Collector()
        _ = try Transfer().perform(try TransferRequest(url: server.url("/f")), to: collector)
        #expect(collector.bytes == content)
        #expect(collector.heads.map(\.total) == [nil])
    }

    @Test func aRangeIsTheRest() throws {
        let server = try LoopbackServer(["f": content])
        var request = try TransferRequest(url: server.url("/f"))
        let point = ResumePoint(offset: 299_000, validator: .entityTag("\"v1\""), total: 300_000)
        request.headers = point.headers.map { ($0.name, $0.value) }
        let collector = Collector()
        let head = try Transfer().perform(request, to: collector)
        #expect(point.judge(head) == .continues)
        #expect(collector.bytes == Array(content[299_000...]))
    }

    @Test func anAnswerWithoutSuccessBringsNoBody() throws {
        let server = try LoopbackServer([:], scripts: ["/f=status:503 retry:7"])
        let collector = Collector()
        let transfer = try Transfer()
        let head = try transfer.perform(try TransferRequest(url: server.url("/f")), to: collector)
        #expect(head.fault == .status(503, retryAfter: 7))
        #expect(try transfer.perform(try TransferRequest(url: server.url("/f")), to: collector).status == 404)
        #expect(collector.heads.isEmpty)
        #expect(collector.bytes.isEmpty)
    }

    @Test func faultsHaveNames() throws {
        #expect(try fault(under: "reset:1000") == .connectionLost(.connectionReset))
        #expect(try fault(under: "cut:1000") == .connectionLost(nil))
        #expect(try fault(under: "chunked cut:60000") == .connectionLost(nil))
        #expect(try fault(under: "stall:1000") == .stalled(seconds: 2))
        #expect(try fault(under: "silent") == .noAnswer(seconds: 1))
        #expect(try fault(under: "redirect:/f;redirect:file:///etc/passwd") == .redirectedTo(scheme: "file"))
        #expect(
            try fault(under: Array(repeating: "redirect:/f", count: 40).joined(separator: ";")) == .tooManyRedirects)
    }

    @Test func urlsAreCheckedBeforeAnythingIsSent() throws {
        let transfer = try Transfer()
        func fault(_ url: String) -> TransferFault? {
            faultOf { _ = try transfer.perform(try TransferRequest(url: url), to: Collector()) }
        }
        #expect(fault("ftp://127.0.0.1/f") == .unsupportedScheme("ftp"))
        #expect(fault("file:///etc/passwd") == .unsupportedScheme("file"))
        #expect(fault("http:///f") == .badURL)
        #expect(fault("http://127.0.0.1:1/f") == .cannotConnect(.connectionRefused))
        #expect(fault("http://name.invalid/f") == .nameNotFound(host: "name.invalid"))
    }

    @Test func theTotalTimeIsKept() throws {
        let server = try LoopbackServer(["f": content], scripts: ["/f=stall:10"])
        var request = try TransferRequest(url: server.url("/f"))
        request.totalTimeout = 0.3
        let found = faultOf { _ = try Transfer().perform(request, to: Collector()) }
        #expect(found == .outOfTime(seconds: 1))
    }

    @Test func theReceiverCanEndIt() throws {
        let server = try LoopbackServer(["f": content])
        let collector = Collector()
        collector.limit = 1000
        #expect(throws: Collector.Enough.self) {
            try Transfer().perform(try TransferRequest(url: server.url("/f")), to: collector)
        }
    }

    @Test("redirects keep the headers or drop them", arguments: [true, false])
    func redirects(keeps: Bool) throws {
        let server = try LoopbackServer(["g": content], scripts: ["/f=redirect:/g"])
        var request = try TransferRequest(url: server.url("/f"))
        request.headers = [("X-Secret", "1"), ("Range", "bytes=299999-")]
        request.keepsHeadersWhenRedirected = keeps
        let collector = Collector()
        _ = try Transfer().perform(request, to: collector)
        #expect(collector.bytes.count == (keeps ? 1 : 300_000))
        #expect(server.requests.map { $0.headers["x-secret"] } == ["1", keeps ? "1" : nil])
    }

    @Test("a redirect that leads nowhere is told", arguments: ["//", "http://h/100%"])
    func badRedirects(target: String) throws {
        let server = try LoopbackServer([:], scripts: ["/f=redirect:\(target)"])
        let request = try TransferRequest(url: server.url("/f"))
        #expect(faultOf { _ = try Transfer().perform(request, to: Collector()) } == .redirectedToBadURL)
    }

    @Test func aProxyIsAskedForTheWholeURL() throws {
        let proxy = try LoopbackServer(["f": content], scripts: ["CONNECT=status:407"])
        var request = try TransferRequest(url: "http://files.invalid/f")
        request.proxies = ProxyRules(try SourceURL(parsing: proxy.url("")))
        let collector = Collector()
        _ = try Transfer().perform(request, to: collector)
        #expect(collector.bytes == content)
        #expect(proxy.requests.first?.path == "http://files.invalid/f")
        request.url = try SourceURL(parsing: "https://files.invalid/f")
        #expect(faultOf { _ = try Transfer().perform(request, to: Collector()) } == .proxyRefused(status: 407))
        #expect(proxy.requests.last?.method == "CONNECT")
    }

    @Test func certificatesAreCheckedUnlessNobodyHasToBeTrusted() throws {
        let folder = try TemporaryFolder()
        let pem = try LoopbackServer.makeCertificate(in: folder.path)
        let server = try LoopbackServer(["f": content], tls: pem)
        var request = try TransferRequest(url: server.url("/f"))
        guard case .certificate? = faultOf({ _ = try Transfer().perform(request, to: Collector()) }) else {
            Issue.record("a server that nobody knows was trusted")
            return
        }
        request.trust = .authorities("/no/such/file")
        guard case .certificate? = faultOf({ _ = try Transfer().perform(request, to: Collector()) }) else {
            Issue.record("trusted without authorities")
            return
        }
        request.trust = .anybody()
        #expect(try Transfer().perform(request, to: Collector()).isAuthenticated == false)
        request.trust = .authorities("/no/such/file", additional: try Files.read(FilePath("\(pem).crt")))
        #expect(try Transfer().perform(request, to: Collector()).isAuthenticated)
        request.trust = .authorities(FilePath("\(pem).crt"))
        let collector = Collector()
        #expect(try Transfer().perform(request, to: collector).isAuthenticated)
        #expect(collector.bytes == content)
    }

    @Test("shows credentials to nobody who may be another", arguments: ["me:pw@", "me@", "?token=t"])
    func credentials(secret: String) throws {
        let folder = try TemporaryFolder()
        let pem = try LoopbackServer.makeCertificate(in: folder.path)
        let server = try LoopbackServer(["f": content], tls: pem)
        let url = secret.hasPrefix("?") ? server.url("/f") + secret : "https://\(secret)127.0.0.1:\(server.port)/f"
        var request = try TransferRequest(url: url)
        request.trust = .anybody()
        guard case .certificate? = faultOf({ _ = try Transfer().perform(request, to: Collector()) }) else {
            Issue.record("a server that nobody knows has seen the credentials")
            return
        }
        #expect(server.requests.isEmpty)
        request.trust = .anybody(withCredentials: FilePath("\(pem).crt"))
        #expect(try Transfer().perform(request, to: Collector()).isAuthenticated)
        // Also where a redirect leads there.
        let first = try LoopbackServer([:], scripts: ["/f=redirect:\(url)"])
        request = try TransferRequest(url: first.url("/f"))
        request.trust = .anybody()
        guard case .certificate? = faultOf({ _ = try Transfer().perform(request, to: Collector()) }) else {
            Issue.record("a redirect has shown the credentials to a server that nobody knows")
            return
        }
    }

    @Test func whatHttpsPromisesIsNotRedirectedAway() throws {
        let folder = try TemporaryFolder()
        let pem = try LoopbackServer.makeCertificate(in: folder.path)
        let plain = try LoopbackServer(["f": content])
        let away = "redirect:\(plain.url("/f"))"
        let secure = try LoopbackServer([:], scripts: ["/f=\(away);\(away)"], tls: pem)
        let start = try LoopbackServer([:], scripts: ["/f=redirect:\(secure.url("/f"))"])
        var request = try TransferRequest(url: secure.url("/f"))
        request.trust = .authorities(FilePath("\(pem).crt"))
        request.followsToPlainHTTP = false
        for url in [secure.url("/f"), start.url("/f")] {
            request.url = try SourceURL(parsing: url)
            #expect(faultOf { _ = try Transfer().perform(request, to: Collector()) } == .redirectedToPlainHTTP)
        }
        #expect(plain.requests.isEmpty)
        // From http to http nothing is lost.
        let other = try LoopbackServer([:], scripts: ["/f=redirect:\(plain.url("/f"))"])
        request.url = try SourceURL(parsing: other.url("/f"))
        #expect(try Transfer().perform(request, to: Collector()).isSuccess)
    }

    @Test(
        "a certificate that is not in force tells both times",
        arguments: [
            ("20990101000000Z", "21000101000000Z", "valid only from 2099-01-01 00:00 UTC"),
            ("20100101000000Z", "20110203040500Z", "was valid until 2011-02-03 04:05 UTC"),
        ])
    func certificateTimes(start: String, end: String, told: String) throws {
        let folder = try TemporaryFolder()
        let pem = try LoopbackServer.makeCertificate(in: folder.path, from: start, to: end)
        let server = try LoopbackServer(["f": content], tls: pem)
        var request = try TransferRequest(url: server.url("/f"))
        request.trust = .authorities(FilePath("\(pem).crt"))
        let fault = try #require(faultOf { _ = try Transfer().perform(request, to: Collector()) })
        #expect(fault.description.contains(told))
        #expect(fault.description.hasSuffix("and this machine's clock says \(utcText(time(nil)))"))
        #expect(fault.advice.first?.contains("clock") == true)
    }

    @Test func tftpBringsAFile() throws {
        let server = try LoopbackServer(tftp: ["f": content])
        let collector = Collector()
        let head = try Transfer().perform(try TransferRequest(url: server.url("/f")), to: collector)
        #expect(head.status == 200)
        #expect(head.total == 300_000)
        #expect(collector.bytes == content)
        let other = try TransferRequest(url: server.url("/g"))
        let missing = faultOf { _ = try Transfer().perform(other, to: Collector()) }
        #expect(missing == .tftpRefused("not found"))
    }
}

extension TransferRequest {
    fileprivate init(url: String) throws { self.init(url: try SourceURL(parsing: url)) }
}
