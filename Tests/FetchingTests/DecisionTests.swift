import CCurl
import Encoding
import IgnitionConfig
import SystemPackage
import Testing

@testable import Fetching

@Suite struct Retrying {
    static let transient: [TransferFault] = [
        .nameNotFound(host: "a"), .cannotConnect(.connectionRefused), .cannotConnect(.noRouteToHost),
        .cannotConnect(.networkUnreachable), .connectTimeout, .noAnswer(seconds: 10), .stalled(seconds: 30),
        .connectionLost(.connectionReset), .connectionLost(nil), .handshake("eof"), .status(408), .status(425),
        .status(429), .status(500), .status(502), .status(503), .status(599),
        .proxyRefused(status: 502), .proxyRefused(status: 503),
    ]
    static let final: [TransferFault] = [
        .status(204), .status(304), .status(400), .status(401), .status(403), .status(404), .status(410), .status(416),
        .certificate("expired"), .badURL, .unsupportedScheme("ftp"), .redirectedTo(scheme: "file"), .tooManyRedirects,
        .proxyRefused(status: 407), .tftpRefused("not found"), .protocolError("x"), .noMemory, .outOfTime(seconds: 3),
        .certificateNotInForce(CertificateValidity(start: 1, end: 2), now: 3), .redirectedToPlainHTTP,
        .redirectedToBadURL, .other("x"),
    ]

    @Test func whatLibcurlSaysIsNotTheServersFaultUnlessItIs() {
        func fault(_ code: CURLcode, proxy: Int = 0) -> TransferFault {
            TransferFault(code, errno: 0, host: "a", proxyStatus: proxy, said: "said")
        }
        #expect(fault(CURLE_WEIRD_SERVER_REPLY) == .protocolError("said"))
        #expect(fault(CURLE_FAILED_INIT) == .other("said"))
        #expect(fault(CURLE_BAD_FUNCTION_ARGUMENT) == .other("said"))
        #expect(fault(CURLE_RECV_ERROR, proxy: 503) == .proxyRefused(status: 503))
        #expect(fault(CURLE_RECV_ERROR, proxy: 302) == .proxyRefused(status: 302))
        #expect(fault(CURLE_RECV_ERROR, proxy: 200) == .connectionLost(nil))
    }

    @Test("may pass by itself", arguments: transient) func passes(fault: TransferFault) {
        #expect(fault.isTransient)
    }

    @Test("stays as it is", arguments: final) func stays(fault: TransferFault) {
        #expect(!fault.isTransient)
        #expect(!fault.isTransientForIgnition)
    }

    @Test func ignitionGivesUpOnEveryStatusBelow500() {
        #expect(!TransferFault.status(429).isTransientForIgnition)
        #expect(!TransferFault.status(408).isTransientForIgnition)
        #expect(TransferFault.status(503).isTransientForIgnition)
        #expect(TransferFault.connectionLost(nil).isTransientForIgnition)
    }

    @Test func delaysDoubleUpToFiveSeconds() {
        let delays = (1...8).map { RetryPolicy.ignition.delay(afterFailures: $0, asked: nil, chance: 1) }
        #expect(delays == [0.2, 0.4, 0.8, 1.6, 3.2, 5, 5, 5])
        #expect(RetryPolicy.patient.delay(afterFailures: 4000, asked: nil, chance: 0) == 5)
        #expect(RetryPolicy.patient.delay(afterFailures: 4000, asked: nil, chance: 1) == 2.5)
    }

    @Test func theServersWishCountsWithinReason() {
        func delay(_ asked: Int?) -> Double {
            RetryPolicy.patient.delay(afterFailures: 1, asked: asked, chance: 0)
        }
        #expect(delay(nil) == 0.2)
        #expect(delay(0) == 0.2)
        #expect(delay(7) == 7)
        #expect(delay(86400) == 30)
    }
}

@Suite struct Heads {
    private func head(_ lines: String...) throws -> ResponseHead {
        var head = try #require(ResponseHead(statusLine: lines[0]))
        for line in lines.dropFirst() { head.add(line: line) }
        return head
    }

    @Test func fieldsAreRead() throws {
        let head = try head(
            "HTTP/1.1 206 Partial Content", "ETag:\"a-1\"", "CONTENT-RANGE: bytes 10-19/20 ", "Content-Length: 10",
            "Retry-After: 3", "no colon")
        #expect(head.status == 206)
        #expect(head.isSuccess)
        #expect(head.validator == .entityTag("\"a-1\""))
        #expect(head.contentLength == 10)
        #expect(head.total == 20)
        #expect(head.contentRange?.first == 10)
        #expect(head.retryAfter == 3)
        #expect(ResponseHead(statusLine: "Content-Length: 1") == nil)
    }

    @Test(
        "lengths that no file has are none",
        arguments: ["18446744073709551615", "9223372036854775808", "18446744073709551616", "+5", "-5", "0x10", ""])
    func lengths(text: String) throws {
        #expect(try head("HTTP/1.1 200 OK", "Content-Length: \(text)").total == nil)
        let part = try head("HTTP/1.1 206 x", "Content-Range: bytes 0-9/\(text)")
        #expect(part.contentRange == nil)
        #expect(try head("HTTP/1.1 206 x", "Content-Range: bytes \(text)-\(text)/*").contentRange == nil)
    }

    @Test("a status has three digits", arguments: ["-206", "99", "1000", "9223372036854775808", "two"])
    func statuses(text: String) { #expect(ResponseHead(statusLine: "HTTP/1.1 \(text) OK") == nil) }

    @Test func weakTagsNameNothing() throws {
        #expect(try head("HTTP/1.0 200", "ETag: W/\"a\"").validator == nil)
        let dated = try head("HTTP/1.1 200 OK", "ETag: W/\"a\"", "Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT")
        #expect(dated.validator == .lastModified("Mon, 01 Jan 2024 00:00:00 GMT"))
        #expect(try head("HTTP/1.1 503 x", "Retry-After: Mon, 01 Jan 2024 00:00:00 GMT").retryAfter == nil)
        #expect(try head("HTTP/1.1 503 x", "Retry-After: -5").retryAfter == nil)
    }

    @Test(
        "malformed ranges are none",
        arguments: [
            "", "bytes", "bytes 1-2", "bytes 2-1/9", "bytes 0-9/9", "bytes a-b/c", "items 1-2/3", "bytes 1/2",
        ])
    func malformed(text: String) { #expect(ContentRange(text) == nil) }

    @Test func aRangeMayHaveNoTotal() {
        #expect(ContentRange("bytes 1-2/*")?.total == nil)
        #expect(ContentRange("bytes 1-2/*")?.last == 2)
    }
}

@Suite struct Resuming {
    private static let tag = Validator.entityTag("\"a\"")

    private func answer(
        _ status: Int, range: String? = nil, tag: String? = "\"a\"", offset: UInt64 = 100,
        validator: Validator? = Resuming.tag, total: UInt64? = 1000
    ) -> ResumePoint.Answer {
        var head = ResponseHead(status: status)
        if let range { head.fields["content-range"] = range }
        if let tag { head.fields["etag"] = tag }
        return ResumePoint(offset: offset, validator: validator, total: total).judge(head)
    }

    @Test func theRestIsAskedForWithTheVersion() {
        let point = ResumePoint(offset: 100, validator: Self.tag, total: nil)
        #expect(point.headers.map { "\($0.name): \($0.value)" } == ["Range: bytes=100-", "If-Range: \"a\""])
        let unnamed = ResumePoint(offset: 7, validator: nil, total: nil)
        #expect(unnamed.headers.map { "\($0.name): \($0.value)" } == ["Range: bytes=7-"])
        #expect(ResumePoint(offset: 0, validator: Self.tag, total: nil).headers.isEmpty)
    }

    @Test func aFittingRangeContinues() {
        #expect(answer(206, range: "bytes 100-999/1000") == .continues)
        #expect(answer(206, range: "bytes 100-999/*") == .continues)
        #expect(answer(206, range: "bytes 100-999/1000", tag: nil) == .continues)
        #expect(answer(206, range: "bytes 100-999/1000", tag: "\"b\"", validator: nil) == .continues)
        #expect(answer(206, range: "bytes 100-999/1000", total: nil) == .continues)
    }

    @Test func theWholeFileStartsOver() {
        #expect(answer(200) == .startsOver)
        #expect(answer(200, tag: "\"b\"") == .startsOver)
        #expect(answer(200, offset: 0) == .continues)
    }

    @Test func anythingElseFitsNowhere() {
        #expect(answer(206, range: "bytes 99-999/1000") == .unusable)
        #expect(answer(206, range: "bytes 100-1999/2000") == .unusable)
        #expect(answer(206, range: "bytes 100-999/1000", tag: "\"b\"") == .unusable)
        #expect(answer(206) == .unusable)
        #expect(answer(416) == .unusable)
    }
}

@Suite struct Proxies {
    private static let rules = ProxyRules(
        http: try? SourceURL(parsing: "http://plain:3128"), https: try? SourceURL(parsing: "http://secure:3128"),
        exceptions: ["example.com", ".inner.org", "*.star.net", "10.1.0.0/16", "fd00::/8", "192.0.2.7", "odd.io:8080"])

    @Test(
        "are chosen by scheme and host",
        arguments: [
            ("http://host.net/x", "plain"), ("https://host.net/x", "secure"), ("tftp://host.net/x", nil),
            ("http://localhost/x", nil), ("http://127.1.2.3:80/x", nil), ("https://[::1]/x", nil),
            ("http://example.com/", nil), ("http://www.EXAMPLE.com/", nil), ("http://myexample.com/", "plain"),
            ("http://inner.org/", "plain"), ("http://a.inner.org/", nil), ("http://a.star.net/", nil),
            ("http://star.net/", "plain"), ("http://10.1.200.3/", nil), ("http://10.2.0.1/", "plain"),
            ("http://[fd12::1]:81/", nil), ("http://[fe80::1]/", "plain"), ("http://192.0.2.7:99/", nil),
            ("http://odd.io:8080/", nil), ("http://odd.io/", "plain"), ("https://user:pw@www.example.com/", nil),
        ] as [(String, String?)])
    func chosen(url: String, name: String?) throws {
        let proxy = Self.rules.proxy(for: try SourceURL(parsing: url))
        #expect(proxy?.text == name.map { "http://\($0):3128" })
    }

    @Test func aStarIsEverything() throws {
        let url = try SourceURL(parsing: "http://host.net/")
        let proxy = try SourceURL(parsing: "http://p")
        #expect(ProxyRules(http: proxy, exceptions: ["*"]).proxy(for: url) == nil)
        #expect(ProxyRules(proxy).proxy(for: url) == proxy)
        #expect(ProxyRules(https: proxy).proxy(for: url) == nil)
    }
}
