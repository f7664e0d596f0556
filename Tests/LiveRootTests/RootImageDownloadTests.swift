import Encoding
import Fetching
import LinuxSystem
import LiveImage
import LoopbackServer
import SystemPackage
import Testing

@testable import LiveRoot

@Suite struct RootImageDownloads {
    private static let shared = Sample()
    var sample: Sample { Self.shared }

    func server(_ behaviour: String = "", _ more: [String: [UInt8]] = [:]) throws -> LoopbackServer {
        try LoopbackServer(
            more.merging(["rootfs.img": sample.archive, "root.squashfs": sample.image]) { $1 },
            scripts: behaviour.isEmpty ? [] : ["/rootfs.img=\(behaviour)"])
    }

    /// The image is whole, and nothing else was kept.
    func expectWhole(_ root: RootImage, _ sample: Sample? = nil) throws {
        let image = (sample ?? self.sample).image
        #expect(root.offset == 0)
        #expect(root.size == UInt64(image.count))
        #expect(root.format == .squashfs)
        let kept = try Files.read(root.file)
        #expect(kept.count == (image.count + 4095) / 4096 * 4096)
        #expect(starts(kept, with: image))
        #expect(Files.names(in: root.file.removingLastComponent()) == ["root.squashfs"])
    }

    /// Gets the image on a machine of its own and looks at it there.
    @discardableResult
    func getWhole(
        _ urls: String..., change: (inout RootImageRequest) throws -> Void = { _ in }
    ) throws -> RootImage {
        let machine = try TestMachine()
        var request = RootImageRequest(.url(try urls.map { try SourceURL(parsing: $0) }))
        request.version = Sample.version
        try change(&request)
        let root = try machine.get(request)
        try expectWhole(root)
        return root
    }

    // MARK: What arrives

    @Test func anArchiveWithoutAHashHasNobodyToVouchForIt() throws {
        let machine = try TestMachine()
        let server = try server()
        let root = try machine.get(server.url("/rootfs.img?key=secret"))
        try expectWhole(root)
        #expect(root.verifiedBy == .nothing)
        #expect(root.version == Sample.version)
        #expect(root.droppedInstallImages == ["metal.x86_64.osmet"])
        #expect(root.bytesFetched == UInt64(sample.archive.count))
        #expect(root.source == server.url("/rootfs.img"))
        #expect(server.requests.first?.headers["user-agent"]?.hasPrefix("Firstlight/") == true)
        // Room for the image and little more.
        let size = try #require(machine.stores.first)
        #expect(machine.stores.count == 1)
        #expect(size >= sample.image.count && size < sample.image.count + 128 << 10)
    }

    @Test func aBareImageIsTakenAsItIs() throws {
        let server = try server()
        let machine = try TestMachine()
        let root = try machine.get(server.url("/root.squashfs"))
        // Its last block counts in full.
        #expect(root.size == UInt64((sample.image.count + 4095) / 4096 * 4096))
        #expect(starts(try Files.read(root.file), with: sample.image))
        #expect(root.version == nil)
    }

    @Test("verifies by chunk and as a whole", arguments: ["", "chunked", "nolength"])
    func verified(behaviour: String) throws {
        let server = try server(behaviour.isEmpty ? "ok" : behaviour)
        let root = try getWhole(server.url("/rootfs.img")) { $0.streamHash = try sample.streamHash }
        #expect(root.verifiedBy == .streamHash)
        let other = try getWhole(server.url("/rootfs.img")) { $0.sha256 = sample.sha256 }
        #expect(other.verifiedBy == .sha256)
    }

    @Test func installImagesAreKeptWhereWanted() throws {
        let machine = try TestMachine()
        let folder = machine.folder.path.appending("osmet")
        let server = try server()
        let root = try machine.get(server.url("/rootfs.img")) { $0.installImages = folder }
        #expect(root.droppedInstallImages.isEmpty)
        #expect(try Files.read(folder.appending("metal.x86_64.osmet")) == Array("packed".utf8))
    }

    @Test("install images give way to the system, unless they are needed", arguments: [false, true])
    func installImagesWhereRAMIsShort(comesFirst: Bool) throws {
        let image = Sample.member("root.squashfs", sample.image)
        let packed = Sample.member("metal.osmet", Array("packed".utf8))
        let end = Sample.member("TRAILER!!!", [], mode: 0)
        let server = try LoopbackServer(["rootfs.img": (comesFirst ? packed + image : image + packed) + end])
        func get(_ memory: UInt64, isNeeded: Bool) throws -> (kept: [String], dropped: [String]) {
            let machine = try TestMachine()
            machine.memory = memory
            let folder = machine.folder.path.appending("osmet")
            let root = try machine.get(server.url("/rootfs.img")) {
                $0.version = nil
                $0.installImages = folder
                $0.needsInstallImages = isNeeded
            }
            #expect(starts(try Files.read(root.file), with: sample.image))
            return (Files.names(in: folder), root.droppedInstallImages)
        }
        #expect(try get(96 << 20, isNeeded: false) == (["metal.osmet"], []))
        #expect(try get(48 << 20, isNeeded: false) == ([], ["metal.osmet"]))
        #expect(try get(48 << 20, isNeeded: true) == (["metal.osmet"], []))
    }

    @Test func redirectsAreFollowed() throws {
        let server = try LoopbackServer(
            ["rootfs.img": sample.archive],
            scripts: ["/latest=redirect:/rootfs.img;redirect:/rootfs.img", "/rootfs.img=cut:1000000"])
        try getWhole(server.url("/latest"))
        #expect(server.requests.map(\.path) == ["/latest", "/rootfs.img", "/latest", "/rootfs.img"])
    }

    @Test func aProxyIsUsed() throws {
        let proxy = try server()
        try getWhole("http://images.invalid/rootfs.img") { $0.proxy = try SourceURL(parsing: proxy.url("")) }
        #expect(proxy.requests.first?.path == "http://images.invalid/rootfs.img")
    }

    @Test("an image larger than any memory is refused", arguments: [UInt64.max, 1 << 62, UInt64.max - 5000])
    func hugeImages(length: UInt64) throws {
        let machine = try TestMachine()
        let unpacker = RootImageUnpacker(
            RootImageRequest(.url([])), source: "a", keeps: true, on: machine.machine, telling: { _ in })
        #expect {
            try unpacker.check(total: length)
        } throws: { if case RootImageError.tooLittleMemory = $0 { true } else { false } }
    }

    // MARK: Beside other stages

    @Test("a cancelled transfer ends soon and leaves nothing")
    func cancelled() throws {
        let server = try server("stall:3000000")
        let machine = try TestMachine()
        let began = monotonicSeconds()
        let error = machine.refusal(server.url("/rootfs.img")) { request in
            request.waits.isCancelled = { monotonicSeconds() > began + 0.5 }
        }
        #expect(error == .cancelled)
        // A stall is given up after 30 seconds.
        #expect(monotonicSeconds() - began < 10)
        #expect(Files.names(in: machine.folder.path.appending("image")).isEmpty)
    }

    @Test("free RAM is counted, and room taken, while nobody else takes any")
    func inTurn() throws {
        let server = try server()
        let machine = try TestMachine()
        _ = try machine.get(server.url("/rootfs.img"))
        #expect(machine.turns >= 2 && !machine.isInTurn && machine.countedOutOfTurn == 0)
    }

    // MARK: Resuming

    @Test func aBrokenTransferGoesOnAtTheVeryByte() throws {
        let server = try server("cut:1234567;cut:1000001")
        let machine = try TestMachine()
        let root = try machine.get(server.url("/rootfs.img"))
        try expectWhole(root)
        #expect(server.requests.map { $0.headers["range"] } == [nil, "bytes=1234567-", "bytes=2234568-"])
        #expect(server.requests.map { $0.headers["if-range"] } == [nil, "\"v1\"", "\"v1\""])
        #expect(server.requests.map(\.status) == [200, 206, 206])
        #expect(server.requests.map(\.sent).reduce(0, +) == sample.archive.count)
        #expect(root.bytesFetched == UInt64(sample.archive.count))
        #expect(machine.retries.map(\.from) == [1_234_567, 2_234_568])
        #expect(machine.retries.map(\.attempt) == [2, 3])
        #expect(machine.pauses == [0.2, 0.2])
        #expect(machine.startedOver == 0)
    }

    @Test("goes on after other faults too", arguments: ["reset:3000000", "stall:3000000"])
    func otherFaults(behaviour: String) throws {
        let server = try server(behaviour)
        try getWhole(server.url("/rootfs.img")) {
            $0.streamHash = try sample.streamHash
            $0.stallTimeout = 1.2
        }
        let asked = try #require(server.requests.last?.headers["range"])
        #expect(asked == "bytes=\(sample.archive.count - (server.requests.last?.sent ?? 0))-")
    }

    @Test func aServerThatIsNotReadyIsWaitedFor() throws {
        let server = try server("status:503;status:503 retry:9;status:429;silent")
        let machine = try TestMachine()
        let root = try machine.get(server.url("/rootfs.img")) { $0.stallTimeout = 1.2 }
        try expectWhole(root)
        #expect(machine.pauses == [0.2, 9, 0.8, 1.6])
        #expect(machine.retries.map(\.from) == [0, 0, 0, 0])
        #expect(machine.startedOver == 0)
    }

    @Test func aDateNamesAVersionToo() throws {
        let server = try server("cut:1000000 etag:;etag:")
        try getWhole(server.url("/rootfs.img"))
        #expect(server.requests.last?.headers["if-range"] == "Mon, 01 Jan 2024 00:00:00 GMT")
        #expect(server.requests.last?.status == 206)
    }

    @Test("starts over where the rest cannot be had", arguments: ["norange", "wrongrange;ok", "status:416;ok"])
    func startsOver(behaviour: String) throws {
        let server = try server("cut:3000000;\(behaviour)")
        let machine = try TestMachine()
        try expectWhole(try machine.get(server.url("/rootfs.img")))
        #expect(machine.startedOver == 1)
        #expect(server.requests.last?.sent == sample.archive.count)
    }

    @Test func aFileThatChangedStartsOver() throws {
        let other = Sample(bytes: 3_000_000, seed: 9)
        let server = try server("cut:3000000;file:new.img etag:v2", ["new.img": other.archive])
        let machine = try TestMachine()
        let root = try machine.get(server.url("/rootfs.img")) { $0.sha256 = other.sha256 }
        try expectWhole(root, other)
        #expect(machine.startedOver == 1)
        #expect(machine.stores.count == 2)
    }

    @Test func withoutAVersionOnlyVerifiedChunksAreKept() throws {
        let nameless = "etag:W nodate"
        let blind = try server("cut:3000000 \(nameless);\(nameless)")
        let machine = try TestMachine()
        try expectWhole(try machine.get(blind.url("/rootfs.img")))
        #expect(blind.requests.last?.headers["range"] == nil)
        #expect(machine.startedOver == 1)

        let verified = try server("cut:3000000 \(nameless);\(nameless)")
        try getWhole(verified.url("/rootfs.img")) { $0.streamHash = try sample.streamHash }
        // The block of 2 MiB that was whole.
        #expect(verified.requests.last?.headers["range"] == "bytes=2097152-")
        #expect(verified.requests.last?.headers["if-range"] == nil)
    }

    // MARK: Mirrors

    @Test func theNextMirrorContinuesWhatIsVerified() throws {
        let first = try server("cut:3000000;status:404")
        let second = try server()
        let machine = try TestMachine()
        let root = try machine.get(first.url("/rootfs.img"), second.url("/rootfs.img")) {
            $0.streamHash = try sample.streamHash
        }
        try expectWhole(root)
        #expect(second.requests.map { $0.headers["range"] } == ["bytes=2097152-"])
        #expect(second.requests.map { $0.headers["if-range"] } == [nil])
        #expect(machine.retries.map(\.description) == ["trying again from 2 MiB, mirror 2 of 2, attempt 2"])
        #expect(root.source == second.url("/rootfs.img"))
    }

    @Test func withoutChunksTheSameMirrorIsPreferred() throws {
        let first = try server("cut:3000000")
        let second = try server()
        try getWhole(first.url("/rootfs.img"), second.url("/rootfs.img"))
        #expect(first.requests.count == 2)
        #expect(second.requests.isEmpty)
    }

    @Test func aMirrorThatHasNothingIsPassedOver() throws {
        let first = try LoopbackServer([:])
        let second = try server()
        let machine = try TestMachine()
        try expectWhole(try machine.get(first.url("/rootfs.img"), "ftp://old/rootfs.img", second.url("/rootfs.img")))
        let refused = machine.events.compactMap {
            if case .mirrorRefused(.transfer(_, let fault)) = $0 { fault } else { nil }
        }
        #expect(refused == [.status(404), .unsupportedScheme("ftp")])
    }

    @Test func onlyTheWrongChunkIsFetchedAgain() throws {
        let first = try server("flip:3000000")
        let second = try server()
        let machine = try TestMachine()
        let root = try machine.get(first.url("/rootfs.img"), second.url("/rootfs.img")) {
            $0.streamHash = try sample.streamHash
        }
        try expectWhole(root)
        let start = 3_000_000 / Sample.chunkSize * Sample.chunkSize
        #expect(second.requests.map { $0.headers["range"] } == ["bytes=\(start)-"])
    }

    @Test func everyMirrorMayBeWrong() throws {
        let first = try server("flip:3000000")
        let second = try LoopbackServer([:])
        let error = try TestMachine().refusal(first.url("/rootfs.img"), second.url("/rootfs.img")) {
            $0.streamHash = try sample.streamHash
        }
        let index = 3_000_000 / Sample.chunkSize
        let mismatch = StreamHashMismatch.chunk(index: index, offset: UInt64(index * Sample.chunkSize))
        #expect(
            error
                == .everyMirror([
                    .wrongChunk(source: first.url("/rootfs.img"), mismatch),
                    .transfer(source: second.url("/rootfs.img"), .status(404)),
                ]))
    }

    @Test func bothHashesAreCheckedAcrossMirrors() throws {
        let first = try server("flip:3000000")
        let second = try server()
        let machine = try TestMachine()
        let root = try machine.get(first.url("/rootfs.img"), second.url("/rootfs.img")) {
            $0.streamHash = try sample.streamHash
            $0.sha256 = sample.sha256
        }
        try expectWhole(root)
        #expect(machine.startedOver == 0)
        #expect(second.requests.count == 1)
        guard
            case .wrongHash? = machine.refusal(
                second.url("/rootfs.img"),
                change: {
                    $0.streamHash = try sample.streamHash
                    $0.sha256 = Sample(seed: 3).sha256
                })
        else {
            Issue.record("one right hash made another one moot")
            return
        }
    }

    @Test func theImagesOwnHashIsEnough() throws {
        let first = try server("flip:3000000")
        let second = try server()
        let machine = try TestMachine()
        let root = try machine.get(first.url("/rootfs.img"), second.url("/rootfs.img")) {
            $0.imageHash = try sample.imageHash
        }
        try expectWhole(root)
        #expect(root.verifiedBy == .streamHash)
        #expect(root.source == second.url("/rootfs.img"))
    }

    @Test("a refused mirror's install images are gone", arguments: [true, false])
    func unverifiedInstallImages(wholeHash: Bool) throws {
        // Only what follows the install image is wrong: the header of the archive's end.
        let flip = "flip:\(sample.archive.count - 100)"
        let first = try server("\(flip);\(flip)")
        let second = try LoopbackServer(["rootfs.img": sample.archive])
        let machine = try TestMachine()
        let folder = machine.folder.path.appending("osmet")
        let change: (inout RootImageRequest) throws -> Void = {
            if wholeHash { $0.sha256 = sample.sha256 }
            $0.installImages = folder
        }
        #expect(machine.refusal(first.url("/rootfs.img"), change: change) != nil)
        #expect(Files.names(in: machine.folder.path).filter { $0.hasPrefix("osmet") }.isEmpty)
        _ = try machine.get(first.url("/rootfs.img"), second.url("/rootfs.img"), change: change)
        #expect(try Files.read(folder.appending("metal.x86_64.osmet")) == Array("packed".utf8))
        #expect(Files.names(in: machine.folder.path).filter { $0.hasPrefix("osmet") } == ["osmet"])
    }

    @Test func theDateOfAVerifiedImagesServerSetsADoubtfulClock() throws {
        let build = 1_793_491_200
        let time = Monitor(build)
        let clock = MachineClock(
            buildDate: build, now: { time.change { $0 } },
            set: { wanted in
                time.change { $0 = wanted }
                return true
            })
        let told = "date:\(build + 9_000_000)"
        let server = try server("\(told);\(told)")
        let machine = try TestMachine()
        machine.clock = clock
        _ = try machine.get(server.url("/rootfs.img"))
        #expect(time.change { $0 } == build)
        _ = try machine.get(server.url("/rootfs.img")) { $0.sha256 = sample.sha256 }
        #expect(time.change { $0 } - build - 9_000_000 < 60)
        #expect(time.change { $0 } >= build + 9_000_000)
        let changes = machine.events.compactMap { if case .clockSet(let change) = $0 { change } else { nil } }
        #expect(changes.map(\.source) == ["the date that \(server.url("/rootfs.img")) tells"])
    }

    @Test func credentialsGoOnlyToAServerThatProvesWhoItIs() throws {
        let folder = try TemporaryFolder()
        let pem = try LoopbackServer.makeCertificate(in: folder.path)
        let server = try LoopbackServer(["rootfs.img": sample.archive], tls: pem)
        let url = "https://me:pw@127.0.0.1:\(server.port)/rootfs.img"
        guard case .transfer(_, .certificate)? = try TestMachine().refusal(url, change: { $0.sha256 = sample.sha256 })
        else {
            Issue.record("a server that nobody knows has seen the password")
            return
        }
        let root = try getWhole(url) {
            $0.sha256 = sample.sha256
            $0.authorities = FilePath("\(pem).crt")
        }
        #expect(root.verifiedBy == .sha256)
    }

    // MARK: TLS and TFTP

    @Test func certificatesCountWhereNoHashIsKnown() throws {
        let folder = try TemporaryFolder()
        let pem = try LoopbackServer.makeCertificate(in: folder.path)
        let server = try LoopbackServer(["rootfs.img": sample.archive], tls: pem)
        let url = server.url("/rootfs.img")
        guard case .transfer(_, .certificate)? = try TestMachine().refusal(url) else {
            Issue.record("a server that nobody knows was believed")
            return
        }
        let verified = try getWhole(url) { $0.streamHash = try sample.streamHash }
        #expect(verified.verifiedBy == .streamHash)
        let trusted = try getWhole(url) { $0.authorities = FilePath("\(pem).crt") }
        #expect(trusted.verifiedBy == .tls)
    }

    @Test func aRedirectToPlainHTTPVouchesForNothing() throws {
        let folder = try TemporaryFolder()
        let pem = try LoopbackServer.makeCertificate(in: folder.path)
        let plain = try server()
        let secure = try LoopbackServer(
            [:], scripts: ["/rootfs.img=redirect:\(plain.url("/rootfs.img"))"], tls: pem)
        let root = try TestMachine().get(secure.url("/rootfs.img")) { $0.authorities = FilePath("\(pem).crt") }
        #expect(root.verifiedBy == .nothing)
    }

    @Test func tftpStartsOver() throws {
        let server = try LoopbackServer(tftp: ["rootfs.img": sample.archive], silentAfter: 1500)
        let machine = try TestMachine()
        let root = try machine.get(server.url("/rootfs.img")) {
            $0.streamHash = try sample.streamHash
            $0.stallTimeout = 1.2
        }
        try expectWhole(root)
        #expect(machine.startedOver == 1)
        #expect(server.requests.map(\.path) == ["rootfs.img", "rootfs.img"])
        #expect(
            try TestMachine().refusal(server.url("/other.img"))
                == .transfer(source: server.url("/other.img"), .tftpRefused("not found")))
    }
}
