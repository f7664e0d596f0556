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
        #expect(root.voucher == .bootMedium)
        #expect(root.droppedInstallImages == ["metal.x86_64.osmet"])
        #expect(machine.stores.isEmpty)
    }

    @Test func inPlaceItIsVerifiedWhereAHashIsKnown() throws {
        let folder = try medium(sample.archive)
        let root = try get(folder, copy: false, on: TestMachine()) { $0.streamHash = try sample.streamHash }
        #expect(root.voucher == .streamHash)
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

    @Test func aCopyIsTheImageAlone() throws {
        let folder = try medium(sample.archive)
        let machine = try TestMachine()
        let root = try get(folder, copy: true, on: machine) { $0.streamHash = try sample.streamHash }
        #expect(root.offset == 0)
        #expect(starts(try Files.read(root.file), with: sample.image))
        #expect(root.voucher == .streamHash)
        #expect(machine.stores.count == 1)
        let unverified = try get(folder, copy: true, on: TestMachine())
        #expect(unverified.voucher == .bootMedium)
        machine.memory = 10 << 20
        guard case .tooLittleMemory? = refusal({ try get(folder, copy: true, on: machine) }) else {
            Issue.record("copied into RAM that is not there")
            return
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

    private func get(_ folder: TemporaryFolder, installImages: FilePath? = nil) throws(RootImageError) -> RootImage {
        var request = RootImageRequest(.initramfs(root: folder.path))
        request.version = Sample.version
        request.installImages = installImages
        return try request.get { _ in }
    }

    @Test func itIsFoundAndTheRestIsDropped() throws {
        let folder = try initramfs()
        let root = try get(folder)
        #expect(root.file == folder.path.appending("root.squashfs"))
        #expect(root.size == 400_000)
        #expect(root.version == Sample.version)
        #expect(root.voucher == .bootMedium)
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
