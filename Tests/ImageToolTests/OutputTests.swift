import ArgumentParser
import Glibc
import InitramfsImage
import LinuxSystem
import SystemPackage
import Testing

@testable import firstlight_image

@Suite struct Outputs {
    /// Has a command make its result, which is the text, and finish.
    private func make(_ text: String, as path: FilePath) throws {
        let target = try OutputTarget(path.string)
        try Files.write(text, to: target.file)
        try target.finish(telling: "")
    }

    @Test func hashesGoWhereTheirPathLeads() throws {
        let folder = try TemporaryFolder()
        let log = try folder.file("log", "")
        let descriptor = open(log.string, O_WRONLY | O_CLOEXEC)
        defer { close(descriptor) }
        try OutputPlace.write("hash\n", to: FilePath("/dev/fd/\(descriptor)"))
        #expect(try Files.read(log) == Array("hash\n".utf8))
        try OutputPlace.write("other", to: log)
        #expect(try Files.read(log) == Array("other".utf8))
        #expect(throws: Refused.self) { try OutputPlace.write("x", to: "/dev/zero") }
        #expect(kind("/dev/zero") == S_IFCHR)
    }

    @Test func aConfigWithASecretDoesNotTakeThePlaceOfALinkToWhatIsOpen() throws {
        let folder = try TemporaryFolder()
        let log = try folder.file("log", "")
        let descriptor = open(log.string, O_WRONLY | O_CLOEXEC)
        defer { close(descriptor) }
        let config = try folder.file("config.bu", "variant: firstlight\nversion: 1.0.0\n")
        try folder.link("output", to: "/dev/fd/\(descriptor)")
        let output = folder.path.appending("output")
        try TranslateButane.parse(["--set-secret", "a=b", "-o", output.string, config.string]).run()
        #expect(kind(output) == S_IFLNK)
        #expect(try Files.read(log) == Array("{\"ignition\":{\"version\":\"3.6.0\"}}\n".utf8))
        // A link to a file is replaced, so that nobody else can read what is written.
        try folder.link("output", to: "log")
        try TranslateButane.parse(["--set-secret", "a=b", "-o", output.string, config.string]).run()
        #expect(kind(output) == S_IFREG)
    }

    private func kind(_ path: FilePath) -> mode_t? {
        Files.status(path, followingLinks: false).map { $0.st_mode & S_IFMT }
    }

    @Test func aFileIsMadeOrReplaced() throws {
        let folder = try TemporaryFolder()
        let path = folder.path.appending("image")
        for text in ["one", "two"] {
            try make(text, as: path)
            #expect(try Files.read(path) == Array(text.utf8))
        }
    }

    @Test func aLinkToAFileIsReplacedAsAFileIs() throws {
        let folder = try TemporaryFolder()
        let old = try folder.file("old", "old")
        for target in [old.string, "not-there"] {
            try folder.link("image", to: target)
            try make("new", as: folder.path.appending("image"))
            #expect(kind(folder.path.appending("image")) == S_IFREG)
            #expect(try Files.read(old) == Array("old".utf8))
        }
    }

    @Test("a device stays what it is", arguments: ["/dev/zero", "link", "link-to-link"])
    func devices(_ name: String) throws {
        let folder = try TemporaryFolder()
        try folder.link("link", to: "/dev/zero")
        try folder.link("link-to-link", to: "link")
        let path = folder.path.pushing(FilePath(name))
        let refusal = #expect(throws: Refused.self) { try OutputTarget(path.string) }
        #expect("\(try #require(refusal))".hasPrefix("\(path) is a character device"))
    }

    @Test("nothing takes the place of /dev/null", arguments: ["/dev/null", "null"])
    func noDevice(_ name: String) throws {
        let folder = try TemporaryFolder()
        try folder.link("null", to: "/dev/null")
        let path = folder.path.pushing(FilePath(name))
        let target = try OutputTarget(path.string)
        // Made as a file it would take the place of the device.
        try #require(target.file != path)
        try Files.write("x", to: target.file)
        try target.finish(telling: "")
        #expect(kind("/dev/null") == S_IFCHR)
        #expect(kind(folder.path.appending("null")) == S_IFLNK)
    }

    @Test("a pipe takes the bytes", arguments: ["pipe", "link"])
    func pipes(_ name: String) throws {
        let folder = try TemporaryFolder()
        let pipe = folder.path.appending("pipe")
        #expect(mkfifo(pipe.string, 0o600) == 0)
        try folder.link("link", to: "pipe")
        let reader = open(pipe.string, O_RDWR | O_NONBLOCK | O_CLOEXEC)
        defer { close(reader) }
        let path = folder.path.appending(name)
        let before = kind(path)
        try make("bytes", as: path)
        #expect(kind(path) == before)
        var bytes = [UInt8](repeating: 0, count: 10)
        #expect(read(reader, &bytes, bytes.count) == 5)
        #expect(bytes.starts(with: "bytes".utf8))
    }

    @Test("what is open takes the bytes, as /dev/stdout does", arguments: ["/dev/fd/", "/proc/self/fd/", "link"])
    func openFiles(_ prefix: String) throws {
        let folder = try TemporaryFolder()
        let log = try folder.file("log", "before ")
        let descriptor = open(log.string, O_WRONLY | O_APPEND | O_CLOEXEC)
        defer { close(descriptor) }
        try folder.link("link", to: "/dev/fd/\(descriptor)")
        let path = prefix == "link" ? folder.path.appending("link") : FilePath("\(prefix)\(descriptor)")
        // Made as a file it would take the place of the link.
        try #require(OutputTarget(path.string).file != path)
        try make("bytes", as: path)
        #expect(try Files.read(log) == Array("before bytes".utf8))
        #expect(kind(folder.path.appending("link")) == S_IFLNK)
    }
}

@Suite struct DatesOfSources {
    @Test func aDateIsANumberOfSeconds() throws {
        #expect(try sourceDate(in: nil) == nil)
        #expect(try sourceDate(in: "") == nil)
        #expect(try sourceDate(in: "0") == 0)
        #expect(try sourceDate(in: "1700000000") == 1_700_000_000)
    }

    @Test("whatever else is a wrong use", arguments: ["abc", "-1", "+1", "1.5", " 1", "4294967296"])
    func refused(_ text: String) {
        #expect(throws: ValidationError.self) { try sourceDate(in: text) }
    }
}
