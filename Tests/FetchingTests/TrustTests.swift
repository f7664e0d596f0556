import Encoding
import Glibc
import IgnitionConfig
import LinuxSystem
import LoopbackServer
import SystemPackage
import Testing

@testable import Fetching

@Suite struct CertificateAuthorities {
    private let folder: TemporaryFolder
    private let certificate: [UInt8]
    private let keyAndCertificate: FilePath

    init() throws {
        folder = try TemporaryFolder()
        keyAndCertificate = try LoopbackServer.makeCertificate(in: folder.path)
        certificate = try Files.read(FilePath("\(keyAndCertificate).crt"))
    }

    private func text(_ words: String) -> [UInt8] { Array(words.utf8) }

    @Test func aBundleMayHoldMoreThanCertificates() throws {
        #expect(try checkCertificates([]) == 0)
        #expect(try checkCertificates(certificate) == 1)
        #expect(try checkCertificates(certificate.dropLast()) == 1)
        #expect(try checkCertificates(text("issued for tests\n") + certificate + text("\n# next\n") + certificate) == 2)
        #expect(try checkCertificates(text(String(decoding: certificate, as: UTF8.self).replacing("\n", "\r\n"))) == 1)
    }

    @Test func aBundleMayNotEndInAnythingElse() throws {
        #expect(throws: CertificateFault.textAfterLast) { try checkCertificates(certificate + text("\n")) }
        #expect(throws: CertificateFault.textAfterLast) { try checkCertificates(certificate + text("end")) }
        #expect(throws: CertificateFault.noCertificate) { try checkCertificates(text("<html></html>")) }
        #expect(throws: CertificateFault.noCertificate) { try checkCertificates(certificate.dropLast(40)) }
        #expect(throws: CertificateFault.notACertificate(number: 1)) {
            try checkCertificates(try Files.read(keyAndCertificate))
        }
    }

    @Test func anAuthorityCountsForWhatIsFetchedLater() throws {
        let secure = try LoopbackServer(["f": [1, 2, 3]], tls: keyAndCertificate)
        let plain = try LoopbackServer(["ca.pem.gz": try gzipped(certificate)])
        let fetcher = ResourceFetcher(pause: { _ in })
        let wanted = IgnitionConfig.Resource(source: ConfigURL(secure.url("/f")))
        let early = #expect(throws: ResourceFailure.self) { try fetcher.bytes(of: wanted) }
        guard case .transfer(.certificate, attempts: 1)? = early?.reason else {
            Issue.record("believed in \(String(describing: early))")
            return
        }
        var authority = IgnitionConfig.Resource(source: ConfigURL(plain.url("/ca.pem.gz")))
        authority.compression = "gzip"
        authority.httpHeaders = [IgnitionConfig.HTTPHeader()]
        authority.httpHeaders[0].name = "X-Token"
        authority.httpHeaders[0].value = "t"
        let contents = try fetcher.trust([authority])
        #expect(contents == [certificate])
        #expect(try fetcher.bytes(of: wanted) == [1, 2, 3])
        #expect(try fetcher.trust([authority]) == contents)
        #expect(plain.requests.count == 1)

        // What is known of the source is not taken for what another entry's hash wants.
        var other = authority
        other.verification.hash = "sha256-" + String(repeating: "0", count: 64)
        #expect(throws: ResourceFailure.self) { try fetcher.trust([other]) }

        // Later stages find it in the config itself.
        var config = IgnitionConfig()
        config.ignition.security.tls.certificateAuthorities = [authority]
        let inlined = config.inliningAuthorities(contents).ignition.security.tls.certificateAuthorities
        #expect(inlined.first?.source?.text.hasPrefix("data:;base64,LS0tLS1CRUdJTi") == true)
        #expect(inlined.first?.compression == nil && inlined.first?.httpHeaders.isEmpty == true)
        let later = ResourceFetcher(pause: { _ in })
        try later.trust(inlined)
        #expect(try later.bytes(of: wanted) == [1, 2, 3])
    }

    @Test func anAuthorityThatIsNoneIsNamed() throws {
        let fetcher = ResourceFetcher()
        let failure = #expect(throws: ResourceFailure.self) {
            try fetcher.trust([IgnitionConfig.Resource(Array("hello".utf8))])
        }
        #expect(failure?.reason == .certificate(.noCertificate))
        #expect(fetcher.settings.additionalAuthorities.isEmpty)
    }
}

@Suite struct Attempts {
    @Test func eachIsLogged() throws {
        let server = try LoopbackServer(["f": [1]], scripts: ["/f=status:500"])
        let lines = Monitor<[String]>([])
        var settings = FetchSettings()
        settings.log = { line in lines.change { $0.append(line) } }
        _ = try ResourceFetcher(settings, pause: { _ in }).bytes(
            of: IgnitionConfig.Resource(source: ConfigURL(server.url("/f?token=secret"))))
        let url = server.url("/f")
        #expect(
            lines.change { $0 } == [
                "GET \(url): attempt #1", "GET \(url): HTTP status 500 (internal server error)",
                "GET \(url): attempt #2",
            ])
    }

    @Test func aTokenIsAskedForWithPut() throws {
        let server = try LoopbackServer(["token": [7]])
        let resource = IgnitionConfig.Resource(source: ConfigURL(server.url("/token")))
        var exchange = HTTPExchange()
        exchange.method = .put
        #expect(try ResourceFetcher().bytes(of: resource, exchange: exchange) == [7])
        #expect(server.requests.map(\.method) == ["PUT"])
    }
}

@Suite struct ManyResources {
    private func scratchFile(_ folder: TemporaryFolder, _ name: String) -> Int32 {
        open(folder.path.appending(name).string, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    }

    @Test func eightConnectionsServeThemAll() throws {
        let count = 60
        let files = Dictionary(
            uniqueKeysWithValues: (0..<count).map { ("f\($0)", [UInt8](repeating: UInt8($0), count: 999)) })
        let server = try LoopbackServer(files, scripts: (0..<count).map { "/f\($0)=wait:0.02" })
        let folder = try TemporaryFolder()
        let pool = ResourceFetcherPool(FetchSettings())
        let failures = Monitor(0)
        inParallel(count, limit: ResourceFetcherPool.limit) { number in
            let descriptor = scratchFile(folder, "\(number)")
            defer { close(descriptor) }
            do {
                try pool.write(IgnitionConfig.Resource(source: ConfigURL(server.url("/f\(number)"))), to: descriptor)
            } catch { failures.change { $0 += 1 } }
        }
        #expect(failures.change { $0 } == 0)
        for number in 0..<count {
            #expect(try Files.read(folder.path.appending("\(number)")) == files["f\(number)"])
        }
        let connections = Set(server.requests.map { $0.headers["client-port"] })
        #expect(server.requests.count == count)
        #expect(2...8 ~= connections.count)
    }

    @Test func whatIsGivenUpEnds() throws {
        let server = try LoopbackServer([:], scripts: ["/f=silent"])
        let folder = try TemporaryFolder()
        let pool = ResourceFetcherPool(FetchSettings())
        let descriptor = scratchFile(folder, "f")
        defer { close(descriptor) }
        try startThread {
            while server.requests.isEmpty { Fetching.sleep(seconds: 0.02) }
            pool.cancel()
        }
        let failure = #expect(throws: ResourceFailure.self) {
            try pool.write(IgnitionConfig.Resource(source: ConfigURL(server.url("/f"))), to: descriptor)
        }
        #expect(failure?.reason == .cancelled)
    }
}

extension String {
    fileprivate func replacing(_ old: Character, _ new: String) -> String {
        map { $0 == old ? new : String($0) }.joined()
    }
}
