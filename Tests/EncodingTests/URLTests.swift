import Encoding
import Testing

@Suite struct DataURLs {
    @Test(
        "are decoded",
        arguments: [
            ("data:,", "", ""), ("data:,A%20brief%20note", "", "A brief note"), ("data:;base64,", "", ""),
            ("data:;base64,aGVsbG8=", "", "hello"), ("data:;base64,aGVsbA==", "", "hell"),
            ("data:;base64,aGVs", "", "hel"), ("data:text/plain;charset=utf-8;base64,w7w=", "text/plain", "ü"),
            ("data:text/plain;a=\",;\",x", "text/plain", "x"), ("data:x-own/type,a,b;c?d", "x-own/type", "a,b;c?d"),
        ])
    func decoded(_ url: String, _ type: String, _ text: String) throws {
        let data = try DataURL(parsing: url)
        #expect(data.mediaType == type)
        #expect(String(decoding: data.bytes, as: UTF8.self) == text)
    }

    @Test(
        "are refused where malformed",
        arguments: [
            ("DATA:,x", DataURL.Fault.notData), ("data:x", .noComma), ("data:text,x", .mediaType),
            ("data:font/woff,x", .mediaType), ("data:;a,x", .parameter), ("data:;base64;a=b,eA==", .parameter),
            ("data:,a b", .character(offset: 7)), ("data:,%4", .character(offset: 6)),
            ("data:,ü", .character(offset: 6)),
            ("data:;base64,aGVsbG8", .base64Length), ("data:;base64,a_==", .base64(offset: 14)),
            ("data:;base64,====", .base64(offset: 13)), ("data:;base64,AAA=AAAA", .base64(offset: 16)),
        ])
    func refused(_ url: String, _ fault: DataURL.Fault) {
        #expect(throws: fault) { try DataURL(parsing: url) }
    }
}

@Suite struct SourceURLs {
    @Test func areTakenApart() throws {
        let url = try SourceURL(parsing: "HTTPS://user:pass@[fe80::1]:8443/a/b?x=1#end")
        #expect(url.scheme == "https")
        #expect(url.host == "[fe80::1]")
        #expect(url.port == "8443")
        #expect(url.path == "/a/b")
        #expect(url.query == "x=1")
        let marked = try SourceURL(parsing: "http://host/\u{301}?\u{301}a#\u{301}")
        #expect(marked.host == "host" && marked.path == "/\u{301}" && marked.query == "\u{301}a")
        #expect(try SourceURL(parsing: "http://me:secret@\u{301}host/").carriesCredentials)
        let arn = try SourceURL(parsing: "arn:aws:s3:::bucket/key?versionId=1")
        #expect(arn.path == "aws:s3:::bucket/key")
        #expect(arn.query == "versionId=1")
    }

    @Test(
        "keep their secrets",
        arguments: [
            ("http://host/rootfs.img", "http://host/rootfs.img"),
            ("https://me:p%40ss@host:8080/a/b.img?token=x#y", "https://host:8080/a/b.img"),
            ("https://me:p@ss@host", "https://host"), ("https://host?token=x", "https://host"),
            ("http://[fe80::1]:8080/a@b", "http://[fe80::1]:8080/a@b"), ("tftp://10.0.2.2/a", "tftp://10.0.2.2/a"),
            ("data:text/plain,secret", "a data: URL"), ("DATA:,secret", "a data: URL"),
            ("https://u:se/cret@host/x", "https://(malformed URL)"), ("http://host/%zz?x", "http://host/%zz"),
            ("arn:aws:s3:::bucket/a@b?versionId=1", "arn:aws:s3:::bucket/a@b"), ("no url?x", "no url"), ("", ""),
            // A password that starts like a port; and what looks like one.
            ("http://joe:12/SECRET@192.0.2.1/x?t", "http://joe:(hidden)@192.0.2.1/x"),
            ("http://\u{301}joe:12/SECRET@192.0.2.1/x", "http://\u{301}joe:(hidden)@192.0.2.1/x"),
            ("http://joe:/SECRET@host", "http://joe:(hidden)@host"),
            ("http://joe/a:SECRET@host", "http://joe/a:(hidden)@host"),
            ("http://joe:8#SECRET@host", "http://joe:(hidden)"), ("http://joe:8?SECRET@host", "http://joe:(hidden)"),
            ("http://joe:1/SE@CRET@host/x", "http://joe:(hidden)@host/x"),
            ("http://host:8080/a@b", "http://host:(hidden)@b"), ("http://host/pkg@1.2/x", "http://host/pkg@1.2/x"),
            ("http://host/pkg@sha256:0", "http://host/pkg@sha256:0"), ("http://host/a?b@c:d", "http://host/a"),
            ("http://host/a?b:c@d", "http://host/a"),
            ("http://me:pw@host:8080/a@b", "http://host:8080/a@b"),
            ("joe:/SECRET@host", "(malformed URL)"), ("joe/SECRET@host", "(malformed URL)"),
            // A user and a password, though the text is not a URL of that form.
            ("http:///me:secret@host/x", "http://(malformed URL)"),
            ("http:////me:se/cret@host", "http://(malformed URL)"),
            ("me:secret@host/x", "(malformed URL)"), ("http:me:secret@host/x", "(malformed URL)"),
            ("//me:secret@host/x", "(malformed URL)"), ("ht tp://me:secret@host/x", "(malformed URL)"),
        ])
    func redacted(_ url: String, _ shown: String) {
        #expect("\(RedactedURL(url))" == shown)
        if let parsed = try? SourceURL(parsing: url) {
            #expect("\(parsed)" == shown)
            #expect("\(Optional(parsed) as Any)" == "Optional(\(shown))")
        }
    }
}
