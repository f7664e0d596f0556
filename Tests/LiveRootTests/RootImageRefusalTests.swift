import Fetching
import LinuxSystem
import LiveImage
import LoopbackServer
import SystemPackage
import Testing

@testable import LiveRoot

/// What no image is made of, and what is told of it.
extension RootImageDownloads {
    @Test func aMissingFileIsFinal() throws {
        let server = try LoopbackServer([:])
        let error = try #require(try TestMachine().refusal(server.url("/rootfs.img?key=secret")))
        #expect(error == .transfer(source: server.url("/rootfs.img"), .status(404)))
        #expect(error.description == "\(server.url("/rootfs.img")): HTTP status 404 (not found)")
        #expect(!error.advice.isEmpty)
        #expect(server.requests.count == 1)
    }

    @Test func aWrongHashIsFinal() throws {
        let server = try server("flip:3000000;flip:200;ok")
        let url = server.url("/rootfs.img")
        let chunk = UInt64(3_000_000 / Sample.chunkSize)
        #expect(
            try TestMachine().refusal(url) { $0.streamHash = try sample.streamHash }
                == .wrongChunk(source: url, .chunk(index: Int(chunk), offset: chunk * UInt64(Sample.chunkSize))))
        guard case .wrongHash? = try TestMachine().refusal(url, change: { $0.sha256 = sample.sha256 }) else {
            Issue.record("a changed archive passed")
            return
        }
        let other = Sample(seed: 3)
        #expect(
            try TestMachine().refusal(url) { $0.sha256 = other.sha256 }
                == .wrongHash(source: url, wanted: other.sha256, found: sample.sha256))
        #expect(server.requests.count == 3)
    }

    @Test func aRefusedImageLeavesNothingBehind() throws {
        let server = try server("flip:3000000")
        let machine = try TestMachine()
        let error = machine.refusal(server.url("/rootfs.img")) { $0.sha256 = sample.sha256 }
        #expect(error != nil)
        #expect(machine.stores.count == 1)
        #expect(Files.names(in: machine.folder.path.appending("image")).isEmpty)
    }

    @Test func aTruncatedArchiveIsRefused() throws {
        let server = try server("short:3000000;short:3000000;short:3000000 nolength;short:5000100")
        let url = server.url("/rootfs.img")
        let wanted = try sample.streamHash
        let machine = try TestMachine()
        #expect(
            machine.refusal(url)
                == .unusable(source: url, .archive(.endsEarly(offset: 3_000_000, member: "root.squashfs"))))
        #expect(
            machine.refusal(url) { $0.streamHash = wanted }
                == .wrongLength(source: url, bytes: 3_000_000, wanted: wanted.lengths))
        let has = UInt64(3_000_000)
        let due = wanted.digests.count - Int(has) / Sample.chunkSize
        #expect(
            machine.refusal(url) { $0.streamHash = wanted }
                == .wrongChunk(source: url, .endsEarly(offset: has, chunksDue: due)))
        #expect(
            machine.refusal(url)
                == .unusable(source: url, .archive(.endsEarly(offset: 5_000_100, member: "root.squashfs"))))
    }

    @Test func whatFollowsTheArchiveIsRefused() throws {
        let server = try LoopbackServer(["rootfs.img": sample.archive + [1]])
        let url = server.url("/rootfs.img")
        #expect(
            try TestMachine().refusal(url)
                == .unusable(source: url, .archive(.trailingData(offset: UInt64(sample.archive.count)))))
    }

    @Test func anotherBuildIsRefused() throws {
        let server = try LoopbackServer(["rootfs.img": Sample(version: "41.1").archive])
        let url = server.url("/rootfs.img")
        let error = try #require(try TestMachine().refusal(url))
        #expect(error == .wrongVersion(source: url, found: "41.1", initramfs: Sample.version))
        #expect(error.description == "\(url) is of version 41.1, the initramfs of version \(Sample.version)")
    }

    @Test func tooLittleMemoryIsToldBeforeTheBody() throws {
        let server = try server()
        let machine = try TestMachine()
        machine.memory = 12 << 20
        let error = machine.refusal(server.url("/rootfs.img"))
        let bytes = UInt64(sample.archive.count)
        #expect(error == .tooLittleMemory(image: bytes, needed: bytes + 16 << 20, available: 12 << 20))
        #expect(machine.stores.isEmpty)
        #expect(error?.advice.first == "Give the machine 14 MiB more RAM, or a smaller image.")
    }

    @Test func tooLittleMemoryIsToldByTheHeaderWhereTheLengthIsUnknown() throws {
        let machine = try TestMachine()
        machine.memory = 12 << 20
        let server = try server("nolength")
        let bytes = UInt64(sample.image.count)
        #expect(
            machine.refusal(server.url("/rootfs.img"))
                == .tooLittleMemory(image: bytes, needed: bytes + 12 << 20, available: 12 << 20))
        #expect(machine.stores.isEmpty)
    }

    @Test func theKernelKeepsLessWhereTheImageWouldNotFit() throws {
        let server = try server()
        let machine = try TestMachine()
        machine.memory = 16 << 20
        machine.reserve = 60 << 20
        _ = try machine.get(server.url("/rootfs.img"))
        #expect(machine.isReserveLowered)
        let lowered = KernelReserve.Change(from: 60 << 20, to: 0)
        #expect(machine.events.count { $0 == .reserveLowered(lowered) } == 1)
    }

    @Test func theKernelKeepsWhatItDoesWhereTheImageFits() throws {
        let server = try server()
        let machine = try TestMachine()
        machine.reserve = 60 << 20
        _ = try machine.get(server.url("/rootfs.img"))
        #expect(!machine.isReserveLowered)
    }

    @Test("what the kernel keeps is put back where the image is refused or given up, and is told as free")
    func theReserveIsPutBack() throws {
        let server = try server()
        let machine = try TestMachine()
        machine.memory = 4 << 20
        machine.reserve = 8 << 20
        let bytes = UInt64(sample.archive.count)
        #expect(
            machine.refusal(server.url("/rootfs.img"))
                == .tooLittleMemory(image: bytes, needed: bytes + 16 << 20, available: 12 << 20))
        #expect(!machine.isReserveLowered)
        machine.memory = 16 << 20
        let error = machine.refusal(server.url("/rootfs.img")) { $0.sha256 = [UInt8](repeating: 1, count: 32) }
        #expect({ if case .wrongHash? = error { true } else { false } }())
        #expect(machine.events.contains { if case .reserveLowered = $0 { true } else { false } })
        #expect(!machine.isReserveLowered)
    }

    @Test func driversOfCardsGoWhereTheImageWouldNotFitOtherwise() throws {
        let server = try server()
        let machine = try TestMachine()
        machine.memory = 10 << 20
        machine.reserve = 2 << 20
        machine.drivers = 14 << 20
        _ = try machine.get(server.url("/rootfs.img"))
        #expect(machine.isReserveLowered && machine.areDriversDropped)
        let told = machine.events.filter {
            switch $0 {
            case .reserveLowered, .driversDropped: true
            default: false
            }
        }
        #expect(told == [.reserveLowered(.init(from: 2 << 20, to: 0)), .driversDropped(14 << 20)])
    }

    @Test("drivers stay where the image fits without their room, and where it does not fit with it")
    func driversStay() throws {
        let server = try server()
        let machine = try TestMachine()
        machine.memory = 10 << 20
        machine.reserve = 60 << 20
        machine.drivers = 14 << 20
        _ = try machine.get(server.url("/rootfs.img"))
        #expect(!machine.areDriversDropped)
        let other = try TestMachine()
        other.memory = 4 << 20
        other.drivers = 8 << 20
        let bytes = UInt64(sample.archive.count)
        #expect(
            other.refusal(server.url("/rootfs.img"))
                == .tooLittleMemory(image: bytes, needed: bytes + 16 << 20, available: 12 << 20))
        #expect(!other.areDriversDropped)
    }

    @Test("drivers that cannot be dropped leave no room for the image")
    func driversCannotBeDropped() throws {
        let server = try server()
        let machine = try TestMachine()
        machine.memory = 12 << 20
        machine.drivers = 14 << 20
        machine.keepsDrivers = true
        let bytes = UInt64(sample.archive.count)
        #expect(
            machine.refusal(server.url("/rootfs.img"))
                == .tooLittleMemory(image: bytes, needed: bytes + 16 << 20, available: 12 << 20))
    }

    @Test func somethingElseIsNamed() throws {
        let server = try LoopbackServer(["page": Array("<!DOCTYPE html><title>Sign in".utf8), "empty": []])
        let error = try #require(try TestMachine().refusal(server.url("/page")))
        #expect(error.description == "\(server.url("/page")) is not a root image: this is an HTML or XML page")
        #expect(
            try TestMachine().refusal(server.url("/empty"))
                == .unusable(source: server.url("/empty"), .empty))
    }

    @Test func urlsAreNeeded() throws {
        #expect(try TestMachine().refusal() == .noURL)
        #expect(
            try TestMachine().refusal("nfs://server/rootfs.img")
                == .transfer(source: "nfs://server/rootfs.img", .unsupportedScheme("nfs")))
    }
}
