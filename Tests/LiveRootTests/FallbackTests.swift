import Encoding
import Fetching
import LinuxSystem
import LiveImage
import LoopbackServer
import SystemPackage
import Testing

@testable import LiveRoot

@Suite("the older image to fall back on")
struct FallbackTests {
    private let mismatch = StreamHashMismatch.chunk(index: 0, offset: 0)

    private func url(_ text: String) throws -> SourceURL { try SourceURL(parsing: text) }

    private func put(_ name: String, _ bytes: [UInt8], in folder: TemporaryFolder) throws {
        let file = folder.path.appending(name)
        try Files.makeFolder(file.removingLastComponent())
        try Files.write(bytes, to: file)
    }

    @Test func isWantedByItsOwnHashAlone() throws {
        let folder = try TemporaryFolder()
        let (new, old) = (Sample(bytes: 600_000), Sample(bytes: 600_000, seed: 7))
        var request = RootImageRequest(.url([try url("http://a/new")]))
        request.sha256 = new.sha256
        request.proxy = try url("http://proxy")
        try put(LiveImageName.wantedStreamHash, Array(new.streamHash.text.utf8), in: folder)
        try put(LiveImageName.wantedImageHash, Array(new.imageHash.text.utf8), in: folder)
        try put(LiveImageName.initramfsVersion, Array("2\n".utf8), in: folder)
        try request.readStamps(in: folder.path)
        #expect(try request.forFallback([url("http://a/old")], in: folder.path) == nil)
        try put(LiveImageName.wantedFallbackHash, Array(old.streamHash.text.utf8), in: folder)
        let other = try #require(try request.forFallback([url("http://a/old")], in: folder.path))
        #expect(try other.source == .url([url("http://a/old")]) && other.proxy == url("http://proxy"))
        #expect(try other.streamHash == old.streamHash)
        #expect(other.imageHash == nil && other.sha256 == nil && other.version == nil)
        #expect(try request.streamHash == new.streamHash && request.version == "2")
    }

    @Test func aStampThatCannotBeReadIsAnError() throws {
        let folder = try TemporaryFolder()
        try put(LiveImageName.wantedFallbackHash, Array("nonsense\n".utf8), in: folder)
        #expect(throws: RootImageError.self) {
            try RootImageRequest(.url([url("http://a/new")])).forFallback([url("http://a/old")], in: folder.path)
        }
    }

    @Test func isUsedWhereNoWaitingWouldBringTheOther() {
        let wrong = RootImageError.wrongChunk(source: "http://a/r", mismatch)
        let gone = RootImageError.transfer(source: "http://b/r", .status(404))
        #expect(wrong.isFinalOfItsSource && gone.isFinalOfItsSource)
        #expect(RootImageError.everyMirror([wrong, gone]).isFinalOfItsSource)
        // What this machine lacks it lacks for any image.
        #expect(!RootImageError.tooLittleMemory(image: 2, needed: 2, available: 1).isFinalOfItsSource)
        #expect(!RootImageError.malformedStamp("/etc/x", .header("")).isFinalOfItsSource)
        #expect(!RootImageError.fallbackToo(of: wrong, gone).isFinalOfItsSource)
    }

    @Test func theAdviceIsAboutTheImageThatWasWanted() {
        let wrong = RootImageError.wrongChunk(source: "http://a/new.img", mismatch)
        let both = RootImageError.fallbackToo(of: wrong, .transfer(source: "http://a/old.img", .status(404)))
        #expect(
            both.description
                == "\(wrong); the older image is not available either: http://a/old.img: HTTP status 404 (not found)")
        #expect(both.advice == wrong.advice && !both.advice.isEmpty)
    }
}
