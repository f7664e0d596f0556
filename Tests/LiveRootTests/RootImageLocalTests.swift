import Fetching
import Hashing
import LinuxSystem
import LiveImage
import LoopbackServer
import SystemPackage
import Testing

@testable import LiveRoot

@Suite struct RootImagesOnAnISO {
    private static let shared = Sample(bytes: 3_000_000)
    private var sample: Sample { Self.shared }

    /// A folder that looks like a mounted ISO.
    private func medium(_ archive: [UInt8]) throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        try Files.makeFolder(folder.path.appending("images/pxeboot"))
        try Files.write(archive, to: folder.path.appending(LiveImageName.rootfsOnISO))
        return folder
    }

    private func get(
        _ folder: TemporaryFolder, copy: Bool, on machine: TestMachine, version: String = Sample.version,
        change: (inout RootImageRequest) throws -> Void = { _ in }
    ) throws -> RootImage {
        var request = RootImageRequest(.iso(mountedOn: folder.path, copyToRAM: copy))
        request.version = version
        try change(&request)
        return try machine.get(request)
    }

    private func refusal(_ body: () throws -> RootImage) -> RootImageError? {
        do {
            _ = try body()
            return nil
        } catch { return error as? RootImageError }
    }

    @Test func inPlaceItIsAPartOfTheArchive() throws {
        let folder = try medium(sample.archive)
        let machine = try TestMachine()
        let root = try get(folder, copy: false, on: machine)
        #expect(root.file == folder.path.appending("images/pxeboot/rootfs.img"))
        #expect(root.offset == 124)
        #expect(root.size == 3_000_000)
        #expect(root.version == Sample.version)
        #expect(root.verifiedBy == .bootMedium)
        #expect(root.droppedInstallImages == ["metal.x86_64.osmet"])
        #expect(machine.stores.isEmpty)
    }

    @Test func inPlaceItIsVerifiedWhereAHashIsKnown() throws {
        let folder = try medium(sample.archive)
        let root = try get(folder, copy: false, on: TestMachine()) { $0.streamHash = try sample.streamHash }
        #expect(root.verifiedBy == .streamHash)
        #expect(root.offset == 124)
        #expect(root.size == 3_000_000)
        var damaged = sample.archive
        damaged[1_000_000] ^= 1
        let other = try medium(damaged)
        let error = refusal { try get(other, copy: false, on: TestMachine()) { $0.streamHash = try sample.streamHash } }
        #expect(
            error
                == .wrongChunk(
                    source: "\(other.path)/images/pxeboot/rootfs.img", .chunk(index: 3, offset: 786_432)))
    }

    @Test("is checked against the image's own hash", arguments: [false, true])
    func ownHash(copy: Bool) throws {
        let folder = try medium(sample.archive)
        let root = try get(folder, copy: copy, on: TestMachine()) { $0.imageHash = try sample.imageHash }
        #expect(root.verifiedBy == .streamHash)
        #expect(root.size == 3_000_000)
        let machine = try TestMachine()
        let other = Sample(bytes: 3_000_000, seed: 5)
        let error = refusal {
            try get(folder, copy: copy, on: machine) {
                $0.streamHash = try sample.streamHash
                $0.imageHash = try other.imageHash
            }
        }
        let file = folder.path.appending("images/pxeboot/rootfs.img")
        #expect(error == .wrongChunk(source: "\(file)", .chunk(index: 0, offset: 0)))
        #expect(Files.names(in: machine.folder.path.appending("image")).isEmpty)
        // The image's hash alone does not let a longer image through.
        let longer = Sample(bytes: 3_000_001)
        guard
            case .wrongChunk? = refusal({
                try get(folder, copy: copy, on: TestMachine()) { $0.imageHash = try longer.imageHash }
            })
        else {
            Issue.record("another image passed")
            return
        }
    }

    @Test func aMediumThatStaysIsCheckedOnceAndReadAgainLater() throws {
        let folder = try medium(sample.archive)
        let checked = try get(folder, copy: false, on: TestMachine()) { $0.streamHash = try sample.streamHash }
        #expect(checked.caution == "the medium stays mounted: checked once and read again later")
        #expect(try get(folder, copy: false, on: TestMachine()).caution == "the medium stays mounted: read again later")
        #expect(try get(folder, copy: true, on: TestMachine()).caution == nil)
    }

    @Test func theCheckTellsItsProgress() throws {
        let folder = try medium(sample.archive)
        var request = RootImageRequest(.iso(mountedOn: folder.path, copyToRAM: false))
        request.streamHash = try sample.streamHash
        var bytes: [UInt64] = []
        _ = try request.get { event in
            if case .progress(let progress) = event {
                #expect(progress.total == UInt64(sample.archive.count))
                bytes.append(progress.bytes)
            }
        }
        // Every byte once.
        #expect(bytes.last == UInt64(sample.archive.count))
        #expect(bytes == bytes.sorted())
    }

    @Test func theCheckCanBeLeftOut() throws {
        var damaged = sample.archive
        damaged[1_000_000] ^= 1
        let folder = try medium(damaged)
        let root = try get(folder, copy: false, on: TestMachine()) {
            $0.streamHash = try sample.streamHash
            $0.imageHash = try sample.imageHash
            $0.checksMedium = false
        }
        #expect(root.verifiedBy == .leftOut)
        #expect(root.story.hasSuffix("not checked, as firstlight.check_medium=0 asks"))
        // What is copied is read anyway, and a hash on the command line says that nothing else is mounted.
        guard
            case .wrongChunk? = refusal({
                try get(folder, copy: true, on: TestMachine()) {
                    $0.streamHash = try sample.streamHash
                    $0.checksMedium = false
                }
            }),
            case .wrongHash? = refusal({
                try get(folder, copy: false, on: TestMachine()) {
                    $0.sha256 = sample.sha256
                    $0.checksMedium = false
                }
            })
        else {
            Issue.record("a damaged image passed")
            return
        }
    }

    @Test("install images wait for the check", arguments: [false, true])
    func waitingInstallImages(copy: Bool) throws {
        var damaged = sample.archive
        // In the trailer: everything was unpacked by then.
        damaged[damaged.count - 1] ^= 1
        let folder = try medium(damaged)
        let machine = try TestMachine()
        let target = machine.folder.path.appending("osmet")
        let error = refusal {
            try get(folder, copy: copy, on: machine) {
                $0.sha256 = sample.sha256
                $0.installImages = target
            }
        }
        #expect(error != nil)
        #expect(Files.names(in: machine.folder.path).filter { $0.hasPrefix("osmet") }.isEmpty)
    }

    @Test func aCopyIsTheImageAlone() throws {
        let folder = try medium(sample.archive)
        let machine = try TestMachine()
        let root = try get(folder, copy: true, on: machine) { $0.streamHash = try sample.streamHash }
        #expect(root.offset == 0)
        #expect(starts(try Files.read(root.file), with: sample.image))
        #expect(root.verifiedBy == .streamHash)
        #expect(machine.stores.count == 1)
        let unverified = try get(folder, copy: true, on: TestMachine())
        #expect(unverified.verifiedBy == .bootMedium)
        machine.memory = 10 << 20
        guard case .tooLittleMemory? = refusal({ try get(folder, copy: true, on: machine) }) else {
            Issue.record("copied into RAM that is not there")
            return
        }
    }

    /// As on every other way in: nobody knows which of two is meant.
    @Test("two images, or half of one, are refused in place too", arguments: [false, true])
    func unusableInPlace(copy: Bool) throws {
        let two = Sample.member("root.squashfs", sample.image) + Sample.member("root.erofs", sample.image)
        let cases = [
            (two + Sample.member("TRAILER!!!", [], mode: 0), "the archive holds a second root image, root.erofs"),
            (Array(sample.image.prefix(2_000_000)), "is cut short"),
        ]
        for (bytes, reason) in cases {
            let error = refusal { try get(try medium(bytes), copy: copy, on: TestMachine()) }
            #expect(error.map { "\($0)".contains(reason) } == true, "\(String(describing: error))")
        }
    }

    @Test func installImagesAreFoundInPlace() throws {
        let folder = try medium(sample.archive)
        let machine = try TestMachine()
        let target = machine.folder.path.appending("osmet")
        let root = try get(folder, copy: false, on: machine) { $0.installImages = target }
        #expect(root.droppedInstallImages.isEmpty)
        #expect(try Files.read(target.appending("metal.x86_64.osmet")) == Array("packed".utf8))
    }

    @Test func aBareImageIsTakenAsItIs() throws {
        let root = try get(try medium(sample.image), copy: false, on: TestMachine())
        #expect(root.offset == 0)
        #expect(root.size == 3_000_000)
    }

    @Test func damageIsSeenWithoutReadingEverything() throws {
        let cut = try medium(Array(sample.archive[..<2_000_000]))
        guard
            case .unusable(_, .truncated(_, has: 2_000_000))? = refusal({
                try get(cut, copy: false, on: TestMachine())
            })
        else {
            Issue.record("a short archive passed")
            return
        }
        let late = try medium(Array(sample.archive[..<3_000_200]))
        guard case .unusable(_, .archive(.endsEarly))? = refusal({ try get(late, copy: false, on: TestMachine()) })
        else {
            Issue.record("an archive without an end passed")
            return
        }
        let text = try medium(Array("not an image".utf8))
        guard
            case .unusable(_, .unknown(what: "a text", member: nil))? = refusal({
                try get(text, copy: false, on: TestMachine())
            })
        else {
            Issue.record("a text passed")
            return
        }
        let other = try medium(sample.archive)
        guard case .wrongVersion? = refusal({ try get(other, copy: false, on: TestMachine(), version: "1") }) else {
            Issue.record("another build passed")
            return
        }
        let empty = try TemporaryFolder()
        guard case .missing? = refusal({ try get(empty, copy: false, on: TestMachine()) }) else {
            Issue.record("found an image in an empty folder")
            return
        }
    }
}

@Suite struct RootImagesInTheInitramfs {
    private static let shared = Sample(bytes: 400_000)
    private var sample: Sample { Self.shared }

    private func initramfs(image: [UInt8]? = nil, version: String? = Sample.version) throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        try Files.makeFolder(folder.path.appending("etc"))
        try Files.write(image ?? sample.image, to: folder.path.appending("root.squashfs"))
        try Files.write("packed", to: folder.path.appending("metal.osmet"))
        if let version { try Files.write("\(version)\n", to: folder.path.appending("etc/coreos-live-rootfs")) }
        return folder
    }

    private func get(
        _ folder: TemporaryFolder, installImages: FilePath? = nil, change: (inout RootImageRequest) -> Void = { _ in }
    ) throws(RootImageError) -> RootImage {
        var request = RootImageRequest(.initramfs(root: folder.path))
        request.version = Sample.version
        request.installImages = installImages
        change(&request)
        return try request.get { _ in }
    }

    @Test func itIsCheckedAgainstItsOwnHash() throws {
        let folder = try initramfs()
        let hash = try sample.imageHash
        #expect(try get(folder) { $0.imageHash = hash }.verifiedBy == .streamHash)
        let sha256 = sample.image.withUnsafeBytes(MessageDigest.sha256)
        #expect(try get(folder) { $0.sha256 = sha256 }.verifiedBy == .sha256)

        var damaged = sample.image
        damaged[300_000] ^= 1
        let other = try initramfs(image: damaged)
        let file = other.path.appending("root.squashfs")
        #expect(throws: RootImageError.wrongChunk(source: "\(file)", .chunk(index: 1, offset: 262_144))) {
            try get(other, installImages: other.path.appending("osmet")) { $0.imageHash = hash }
        }
        #expect(!Files.exists(other.path.appending("osmet")))
        #expect(
            throws: RootImageError.notOfTheImage(
                file, wanted: sha256, found: damaged.withUnsafeBytes(MessageDigest.sha256))
        ) { try get(other) { $0.sha256 = sha256 } }
    }

    @Test func aHashThatCannotBeCheckedStopsTheBoot() throws {
        let folder = try initramfs()
        let file = folder.path.appending("root.squashfs")
        let streamHash = try sample.streamHash
        #expect(throws: RootImageError.archiveIsGone(file)) { try get(folder) { $0.streamHash = streamHash } }
        #expect(RootImageError.archiveIsGone(file).advice.count == 2)
        // The archive's hash, given on the command line, cannot be checked either.
        let hash = try sample.imageHash
        guard
            case .notOfTheImage? = #expect(
                throws: RootImageError.self,
                performing: {
                    try get(folder) {
                        $0.imageHash = hash
                        $0.sha256 = sample.sha256
                    }
                })
        else {
            Issue.record("a hash that was not checked was passed over")
            return
        }
    }

    @Test func stampsAreReadOrStopTheBoot() throws {
        let folder = try TemporaryFolder()
        let etc = folder.path.appending("etc")
        try Files.makeFolder(etc)
        var request = RootImageRequest(.initramfs())
        try request.readStamps(in: folder.path)
        #expect(request.streamHash == nil && request.imageHash == nil && request.version == nil)

        try Files.write(try sample.streamHash.text, to: etc.appending("coreos-live-want-rootfs"))
        try Files.write(try sample.imageHash.text, to: etc.appending("firstlight-want-image"))
        try Files.write("41.1\n", to: etc.appending("coreos-live-initramfs"))
        try request.readStamps(in: folder.path)
        #expect(request.streamHash == (try sample.streamHash))
        #expect(request.imageHash == (try sample.imageHash))
        #expect(request.version == "41.1")

        for name in ["coreos-live-want-rootfs", "firstlight-want-image"] {
            for text in ["", "sha256 abc\n"] {
                let other = try TemporaryFolder()
                try Files.makeFolder(other.path.appending("etc"))
                try Files.write(text, to: other.path.appending("etc/\(name)"))
                guard
                    case .malformedStamp? = #expect(
                        throws: RootImageError.self, performing: { try request.readStamps(in: other.path) })
                else {
                    Issue.record("\(name) with \"\(text)\" was taken for no hash")
                    continue
                }
            }
        }
        // A folder stands for whatever cannot be read.
        for name in ["coreos-live-want-rootfs", "firstlight-want-image", "coreos-live-initramfs"] {
            let other = try TemporaryFolder()
            let stamp = other.path.appending("etc/\(name)")
            try Files.makeFolder(stamp)
            #expect(throws: RootImageError.unreadableStamp(stamp, .isDirectory)) {
                try request.readStamps(in: other.path)
            }
        }
    }

    @Test func itIsFoundAndTheRestIsDropped() throws {
        let folder = try initramfs()
        let root = try get(folder)
        #expect(root.file == folder.path.appending("root.squashfs"))
        #expect(root.size == 400_000)
        #expect(root.version == Sample.version)
        #expect(root.verifiedBy == .bootMedium)
        #expect(root.droppedInstallImages == ["metal.osmet"])
        #expect(Files.names(in: folder.path) == ["etc", "root.squashfs"])
    }

    @Test func installImagesAreMovedWhereWanted() throws {
        let folder = try initramfs()
        _ = try get(folder, installImages: folder.path.appending("run/osmet"))
        #expect(try Files.read(folder.path.appending("run/osmet/metal.osmet")) == Array("packed".utf8))
        #expect(!Files.exists(folder.path.appending("metal.osmet")))
    }

    @Test func anotherBuildIsRefused() throws {
        let folder = try initramfs(version: "1.0")
        let marker = "\(folder.path)/etc/coreos-live-rootfs"
        #expect(throws: RootImageError.wrongVersion(source: marker, found: "1.0", initramfs: Sample.version)) {
            try get(folder)
        }
    }

    @Test func aFullInitramfsIsToldByTheSuperblock() throws {
        let folder = try initramfs(image: Array(sample.image[..<300_000]))
        let format = RootImageFormat(.squashfs, length: 400_000)
        let error = RootImageError.truncatedInInitramfs(
            folder.path.appending("root.squashfs"), format, bytes: 300_000)
        #expect(throws: error) { try get(folder) }
        #expect(!error.advice.isEmpty)
    }

    @Test func nothingIsMissing() throws {
        let folder = try TemporaryFolder()
        let files = [folder.path.appending("root.squashfs"), folder.path.appending("root.erofs")]
        #expect(throws: RootImageError.missing(files)) { try get(folder) }
        try Files.write("short", to: files[1])
        #expect(throws: RootImageError.unusable(source: files[1].string, .unknown(what: "a text"))) { try get(folder) }
    }
}
