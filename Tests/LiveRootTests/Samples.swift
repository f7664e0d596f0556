// Root images made up for tests: the superblock is real, the content is a pattern.

import Encoding
import Fetching
import Glibc
import Hashing
import LinuxSystem
import LiveImage
import LoopbackServer
import SystemPackage
import Testing

@testable import LiveRoot

struct Sample {
    static let version = "40.20240101.0"
    static let chunkSize = 256 << 10

    let image: [UInt8]
    /// A `rootfs.img`: the image, the version, a packed install image.
    let archive: [UInt8]

    /// - Parameter seed: Samples of different seeds differ in every byte, and in nothing else.
    init(bytes: Int = 5_000_000, seed: Int = 0, version: String = Sample.version) {
        var image: [UInt8] = []
        image.reserveCapacity(bytes)
        for block in 0... where image.count < bytes {
            let value = UInt8(truncatingIfNeeded: block &* 31 &+ block >> 8 &+ seed)
            image += [UInt8](repeating: value, count: min(1000, bytes - image.count))
            if image.count == bytes { break }
        }
        image.replaceSubrange(0..<4, with: "hsqs".utf8)
        image.replaceSubrange(40..<48, with: (0..<8).map { UInt8(truncatingIfNeeded: bytes >> ($0 * 8)) })
        self.image = image
        archive =
            Sample.member("root.squashfs", image) + Sample.member("etc", [], mode: 0o040755)
            + Sample.member("etc/coreos-live-rootfs", Array("\(version)\n".utf8))
            + Sample.member("metal.x86_64.osmet", Array("packed".utf8)) + Sample.member("TRAILER!!!", [], mode: 0)
    }

    /// Of the archive.
    var streamHash: StreamHash { get throws { try Sample.streamHash(of: archive) } }
    /// Of the image in it.
    var imageHash: StreamHash { get throws { try Sample.streamHash(of: image) } }

    private static func streamHash(of bytes: [UInt8]) throws -> StreamHash {
        try StreamHash(
            chunkSize: chunkSize,
            digests: stride(from: 0, to: bytes.count, by: chunkSize).map { start in
                bytes[start..<min(start + chunkSize, bytes.count)].withUnsafeBytes(MessageDigest.sha256)
            })
    }

    var sha256: [UInt8] { archive.withUnsafeBytes(MessageDigest.sha256) }

    static func member(_ name: String, _ data: [UInt8], mode: UInt32 = 0o100644) -> [UInt8] {
        func field(_ value: Int) -> String {
            let digits = String(value, radix: 16, uppercase: true)
            return String(repeating: "0", count: 8 - digits.count) + digits
        }
        func padding(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: (4 - count % 4) % 4) }
        let numbers = [1, Int(mode), 0, 0, 1, 0, data.count, 0, 0, 0, 0, name.utf8.count + 1, 0].map(field).joined()
        return Array("070701\(numbers)\(name)\0".utf8) + padding(110 + name.utf8.count + 1) + data
            + padding(data.count)
    }
}

/// Whether `bytes` start with `beginning`; quick also where nothing is optimized.
func starts(_ bytes: [UInt8], with beginning: [UInt8]) -> Bool {
    bytes.count >= beginning.count && memcmp(bytes, beginning, beginning.count) == 0
}

/// A machine whose store is a plain folder, which never sleeps, and which remembers what it was told.
final class TestMachine {
    let folder: TemporaryFolder
    var memory: UInt64 = 1 << 40
    private(set) var stores: [UInt64] = []
    private(set) var pauses: [Double] = []
    private(set) var events: [RootImageEvent] = []
    var clock: MachineClock?
    private(set) var turns = 0
    private(set) var isInTurn = false
    private(set) var countedOutOfTurn = 0
    /// Bytes that the kernel keeps free, and lets go of where it is asked.
    var reserve: UInt64 = 0
    private(set) var isReserveLowered = false
    /// Bytes of drivers that can go.
    var drivers: UInt64 = 0
    private(set) var areDriversDropped = false
    /// Something holds the drivers' image, and nothing is gained.
    var keepsDrivers = false

    init() throws { folder = try TemporaryFolder() }

    var machine: RootImageMachine {
        RootImageMachine(
            availableMemory: {
                if !self.isInTurn { self.countedOutOfTurn += 1 }
                return self.memory + (self.isReserveLowered ? self.reserve : 0)
                    + (self.areDriversDropped ? self.drivers : 0)
            },
            makeStore: { (folder, size) throws(FileFault) in
                if !self.isInTurn { self.countedOutOfTurn += 1 }
                self.stores.append(size)
                try Files.makeFolder(folder)
            },
            pause: { self.pauses.append($0) }, chance: { 0 }, clock: clock,
            inTurn: { body in
                self.turns += 1
                self.isInTurn = true
                body()
                self.isInTurn = false
            },
            lowerReserve: {
                guard self.reserve > 0, !self.isReserveLowered else { return nil }
                self.isReserveLowered = true
                return KernelReserve.Change(from: self.reserve, to: 0)
            },
            restoreReserve: { self.isReserveLowered = false },
            droppableDrivers: { self.areDriversDropped ? 0 : self.drivers },
            dropDrivers: {
                if self.keepsDrivers { return nil }
                self.areDriversDropped = true
                return self.drivers
            })
    }

    func get(_ request: RootImageRequest) throws -> RootImage {
        var request = request
        request.folder = folder.path.appending("image")
        return try request.get(on: machine) { event in
            if case .progress = event { return }
            self.events.append(event)
        }
    }

    func get(_ url: String..., change: (inout RootImageRequest) throws -> Void = { _ in }) throws -> RootImage {
        var request = RootImageRequest(.url(try url.map { try SourceURL(parsing: $0) }))
        request.version = Sample.version
        try change(&request)
        return try get(request)
    }

    /// The error, where there is one.
    func refusal(_ url: String..., change: (inout RootImageRequest) throws -> Void = { _ in }) -> RootImageError? {
        do {
            var request = RootImageRequest(.url(try url.map { try SourceURL(parsing: $0) }))
            request.version = Sample.version
            try change(&request)
            _ = try get(request)
            return nil
        } catch { return error as? RootImageError }
    }

    var retries: [RootImageRetry] {
        events.compactMap { if case .retrying(let retry) = $0 { retry } else { nil } }
    }

    var startedOver: Int { events.count { if case .startedOver = $0 { true } else { false } } }
}
