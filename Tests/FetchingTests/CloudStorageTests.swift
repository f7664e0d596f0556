import Encoding
import IgnitionConfig
import LoopbackServer
import Testing

@testable import Fetching

@Suite struct Signatures {
    private let example = AWSCredentials(
        accessKey: "AKIAIOSFODNN7EXAMPLE", secretKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")

    /// The examples of "Signature Calculations for the Authorization Header" in the S3 API reference.
    @Test(arguments: [
        (
            "/test.txt", [], [(name: "range", value: "bytes=0-9")],
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        ),
        (
            "/", [(name: "lifecycle", value: "")], [],
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
        ),
        (
            "/", [(name: "prefix", value: "J"), (name: "max-keys", value: "2")], [],
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
        ),
    ])
    func published(
        path: String, query: [(name: String, value: String)], more: [(name: String, value: String)], signature: String
    ) {
        let time = "20130524T000000Z"
        let headers =
            more + [
                (name: "x-amz-date", value: time), (name: "host", value: "examplebucket.s3.amazonaws.com"),
                (name: "x-amz-content-sha256", value: RequestSignature.emptyPayload),
            ]
        let found = RequestSignature(credentials: example, region: "us-east-1", time: time).authorization(
            method: "GET", path: path, query: query, headers: headers)
        #expect(found.hasSuffix("Signature=\(signature)"))
        #expect(found.hasPrefix("AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"))
    }

    /// `get-vanilla` of AWS's signature test suite.
    @Test func plainest() {
        let credentials = AWSCredentials(
            accessKey: "AKIDEXAMPLE", secretKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
        let time = "20150830T123600Z"
        let found = RequestSignature(
            credentials: credentials, region: "us-east-1", service: "service", time: time
        ).authorization(
            method: "GET", path: "/", query: [],
            headers: [(name: "host", value: "example.amazonaws.com"), (name: "x-amz-date", value: time)])
        #expect(
            found.hasSuffix(
                "SignedHeaders=host;x-amz-date, "
                    + "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"))
    }

    /// RFC 4231, test cases 2 and 6.
    @Test func keyedHashes() {
        #expect(
            hexadecimal(RequestSignature.hmac(Array("Jefe".utf8), Array("what do ya want for nothing?".utf8)))
                == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
        #expect(
            hexadecimal(
                RequestSignature.hmac(
                    [UInt8](repeating: 0xaa, count: 131),
                    Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8)))
                == "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54")
    }
}

@Suite struct BucketObjects {
    private func object(_ text: String, instance: String? = nil) throws -> S3Object? {
        S3Object(try SourceURL(parsing: text), instanceRegion: instance)
    }

    private func url(_ text: String, in region: String) throws -> String? {
        try object(text)?.signedRequest(in: region, as: nil, time: "").url.text
    }

    @Test func bucketsHaveHosts() throws {
        #expect(
            try url("s3://my-bucket/a%20b/c+d.ign?versionId=v%2B1", in: "eu-west-1")
                == "https://my-bucket.s3.dualstack.eu-west-1.amazonaws.com/a%20b/c%2Bd.ign?versionId=v%2B1")
        // No wildcard certificate is good for a name with a dot.
        #expect(
            try url("s3://my.bucket/key", in: "eu-west-1")
                == "https://s3.dualstack.eu-west-1.amazonaws.com/my.bucket/key")
        #expect(
            try url("s3://my-bucket/key", in: "cn-north-1")
                == "https://my-bucket.s3.dualstack.cn-north-1.amazonaws.com.cn/key")
    }

    @Test func bucketsAreLookedUpNearby() throws {
        #expect(
            try object("s3://my-bucket/key")?.lookupURL.text
                == "https://s3.dualstack.us-east-1.amazonaws.com/my-bucket")
        #expect(try object("s3://b/key", instance: "ap-south-1")?.lookupRegion == "ap-south-1")
        #expect(try object("arn:aws-cn:s3:::b/key")?.lookupRegion == "cn-north-1")
        #expect(try object("arn:aws-us-gov:s3:::b/key", instance: "ap-south-1")?.lookupRegion == "us-gov-west-1")
    }

    @Test func resourceNamesNameObjects() throws {
        let plain = try #require(try object("arn:aws:s3:::my-bucket/dir/key:1?versionId=7"))
        #expect(plain.bucket == "my-bucket" && plain.key == "dir/key:1" && plain.version == "7")
        #expect(
            try url("arn:aws:s3:us-west-2:123456789012:accesspoint/point/object/dir/key", in: "us-east-1")
                == "https://point-123456789012.s3-accesspoint.dualstack.us-west-2.amazonaws.com/dir/key")
    }

    @Test(
        "is refused",
        arguments: ["s3://bucket", "s3:///key", "arn:aws:s3:::bucket", "arn:aws:s3:r:1:accesspoint/p/key"])
    func refused(text: String) throws {
        #expect(try object(text) == nil)
    }

    @Test func googlesObjectsAreEscapedWhole() throws {
        #expect(
            googleStorageURL(try SourceURL(parsing: "gs://bucket/dir/a%20b"))?.text
                == "https://storage.googleapis.com/storage/v1/b/bucket/o/dir%2Fa%20b?alt=media")
        #expect(googleStorageURL(try SourceURL(parsing: "gs://bucket/")) == nil)
    }
}

extension ResourceFetcher {
    /// Asks a server in the place of every cloud: for `https://HOST/PATH` as `/HOST/PATH`.
    convenience init(_ settings: FetchSettings, inThePlaceOfClouds server: LoopbackServer) {
        let start = server.url("/")
        self.init(settings, pause: { _ in }) { request, receiver in
            var request = request
            request.url = try SourceURL(parsing: start + request.url.text.dropFirst("https://".count))
            return try Transfer().perform(request, to: receiver)
        }
    }
}

@Suite struct CloudFetches {
    private let content = Array("what the bucket holds\n".utf8)

    private func fetcher(_ server: LoopbackServer, _ credentials: CloudCredentials = .init()) -> ResourceFetcher {
        var settings = FetchSettings()
        settings.credentials = { _ in credentials }
        return ResourceFetcher(settings, inThePlaceOfClouds: server)
    }

    private let lookup = "/s3.dualstack.us-east-1.amazonaws.com/bucket"
    private let place = "/bucket.s3.dualstack.eu-west-1.amazonaws.com/key"
    private var scripts: [String] {
        [
            "\(lookup)=status:503;status:403 header:x-amz-bucket-region=eu-west-1", "\(place)=status:500;file:f;file:f",
        ]
    }

    @Test func anybodyMayReadAPublicBucket() throws {
        let server = try LoopbackServer(["f": content], scripts: scripts)
        let fetcher = fetcher(server)
        let source = IgnitionConfig.Resource(source: ConfigURL("s3://bucket/key?versionId=3"))
        #expect(try fetcher.bytes(of: source) == content)
        #expect(try fetcher.bytes(of: source) == content)
        // The region is asked for once; both kinds of requests are tried again.
        #expect(server.requests.map(\.method) == ["HEAD", "HEAD", "GET", "GET", "GET"])
        #expect(server.requests.last?.path == "\(place)?versionId=3")
        #expect(server.requests.allSatisfy { $0.headers["authorization"] == nil })
    }

    @Test func aRoleSigns() throws {
        let server = try LoopbackServer(["f": content], scripts: scripts)
        let keys = AWSCredentials(accessKey: "AK", secretKey: "SECRET", sessionToken: "TOKEN")
        #expect(
            try fetcher(server, CloudCredentials(aws: keys)).bytes(
                of: IgnitionConfig.Resource(source: ConfigURL("arn:aws:s3:::bucket/key")))
                == content)
        let seen = try #require(server.requests.last).headers
        let time = try #require(seen["x-amz-date"])
        #expect(seen["x-amz-security-token"] == "TOKEN")
        #expect(seen["x-amz-content-sha256"] == RequestSignature.emptyPayload)
        // Signed for the real host.
        let object = try #require(S3Object(try SourceURL(parsing: "s3://bucket/key"), instanceRegion: nil))
        let wanted = try object.signedRequest(in: "eu-west-1", as: keys, time: time).headers.last?.value
        #expect(seen["authorization"] == wanted)
        #expect(wanted?.contains("SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token") == true)
        #expect(server.requests.first?.headers["authorization"] == nil)
    }

    @Test func googleTakesATokenOrNone() throws {
        let path = "/storage.googleapis.com/storage/v1/b/bucket/o/dir%2Fkey"
        let server = try LoopbackServer(["f": content], scripts: ["\(path)=file:f;file:f"])
        let source = IgnitionConfig.Resource(source: ConfigURL("gs://bucket/dir/key"))
        #expect(try fetcher(server).bytes(of: source) == content)
        #expect(try fetcher(server, CloudCredentials(googleToken: "T")).bytes(of: source) == content)
        #expect(server.requests.map { $0.headers["authorization"] } == [nil, "Bearer T"])
        #expect(server.requests.map(\.path) == [path + "?alt=media", path + "?alt=media"])
    }

    @Test(
        "says what is wrong",
        arguments: [
            ("s3://bucket/key", "gzip", ResourceFailure.Reason.compressedObject),
            ("s3://bucket", "", .malformedObject),
            ("gs://bucket", "", .malformedObject),
            ("arn:aws:s3:us-west-2:1:accesspoint/p/object/k", "", .anonymousAccessPoint),
            ("s3://nowhere/key", "", .notFound),
        ])
    func faults(source: String, compression: String, reason: ResourceFailure.Reason) throws {
        let server = try LoopbackServer([:])
        var resource = IgnitionConfig.Resource(source: ConfigURL(source))
        resource.compression = compression
        let found = #expect(throws: ResourceFailure.self) { try fetcher(server).bytes(of: resource) }
        #expect(found?.reason == reason)
    }
}
