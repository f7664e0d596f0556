import Hashing
import LinuxSystem
import LiveImage
import Reporting
import SystemPackage
import Testing

@testable import InitramfsImage

/// What is taken from an initramfs in the form of Fedora CoreOS's.
@Suite struct OriginalInitramfses {
    private static let module = "kernel/drivers/block/virtio_blk.ko"
    private static let kernel = "6.11.4-301.fc41.x86_64"

    private func archive(_ members: [(String, NewcWriter.Kind, [UInt8])]) throws -> [UInt8] {
        var writer = NewcWriter()
        return try members.flatMap { try writer.member($0.0, $0.1, permissions: 0o644, data: $0.2) }
            + NewcWriter.trailer()
    }

    /// Microcode, the system of one compression, and what makes a live image of it.
    private func original(
        packed compression: Compression = .zstd, stamps: [String: String] = [:],
        members: [(String, NewcWriter.Kind, [UInt8])] = [], kernels: [String] = [Self.kernel], tables: Bool = true
    ) throws -> [UInt8] {
        let index = fixtures.appending("modules")
        var system: [(String, NewcWriter.Kind, [UInt8])] = [("usr", .folder, []), ("init", .link, Array("usr/x".utf8))]
        for kernel in kernels {
            let folder = "usr/lib/modules/\(kernel)"
            for name in tables ? Files.names(in: index) : [] {
                var table = try Files.read(index.appending(name))
                if name == "modules.dep" { table = Array(String(decoding: table, as: UTF8.self).packed.utf8) }
                system.append(("\(folder)/\(name)", .file, table))
            }
            system.append(("\(folder)/modules.dep.bin", .file, [1]))
            for path in try moduleIndex().paths {
                let data = try Compression.xz.program.run(["--stdout"], input: Array(path.utf8)).standardOutput
                system.append(("\(folder)/\(path).xz", .file, data))
            }
        }
        let microcode = try archive([("kernel/x86/microcode/GenuineIntel.bin", .file, [1, 2, 3])])
        let stamps = ["etc/coreos-live-initramfs": "41.1\n"].merging(stamps) { $1 }
        let live = try archive(stamps.sorted { $0.key < $1.key }.map { ($0.key, .file, Array($0.value.utf8)) })
        let packed = try compression.program.run(["--stdout"], input: archive(system + members)).standardOutput
        let stamped = try Compression.gzip.program.run(["--stdout"], input: live).standardOutput
        return microcode + packed + stamped + [0, 0, 0]
    }

    @Test(
        "modules, firmware, stamps and configs are taken, whatever they are packed with",
        arguments: Compression.allCases)
    func isTakenApart(_ compression: Compression) throws {
        let folder = try TemporaryFolder()
        let config = Array(#"{"ignition": {"version": "3.0.0"}}"#.utf8)
        let features = "{\"live-initrd-network\": true}\n"
        let file = try folder.file(
            "original",
            original(
                packed: compression,
                stamps: ["etc/coreos-live-want-rootfs": "hash", "etc/coreos/features.json": features],
                members: [
                    ("usr/lib/firmware/rtl/one.fw", .file, [7]),
                    ("usr/lib/firmware/rtl/two.fw", .link, Array("one.fw".utf8)),
                    ("usr/lib/ignition/base.d/00-core.ign", .file, config),
                    ("usr/bin/bash", .file, [9]),
                ]))
        let found = try OriginalInitramfs(reading: file)
        #expect(found.kernel == Self.kernel)
        #expect(found.warnings == [])
        #expect(
            found.files == [
                "etc/coreos-live-initramfs": Array("41.1\n".utf8), "etc/coreos-live-want-rootfs": Array("hash".utf8),
                "etc/coreos/features.json": Array(features.utf8), "usr/lib/ignition/base.d/00-core.ign": config,
            ])
        let module = found.modules.appending(Self.kernel).appending("\(Self.module).xz")
        #expect(try ModuleFile.read(module) == Array(Self.module.utf8))
        #expect(try Files.read(found.firmware.appending("rtl/two.fw")) == [7])
        #expect(!Files.exists(found.modules.appending(Self.kernel).appending("modules.dep.bin")))
    }

    @Test func nothingOfItIsWrittenOrReadOutsideOfOurFolder() throws {
        let folder = try TemporaryFolder()
        let secret = try folder.file("secret", [5])
        let file = try folder.file(
            "original",
            original(members: [
                ("usr/lib/firmware/../../../../outside", .file, [6]),
                ("usr/lib/firmware/away", .link, Array("\(secret)".utf8)),
                ("usr/lib/firmware/up", .link, Array("../../..".utf8)),
                ("usr/lib/firmware/up/written", .file, [6]),
            ]))
        let found = try OriginalInitramfs(reading: file)
        #expect(!Files.exists(found.firmware.appending("away")))
        // The folder came before the link, which goes nowhere then.
        #expect(Files.names(in: found.firmware) == ["up"])
        #expect(Files.names(in: found.firmware.appending("up")) == ["written"])
        #expect(Files.names(in: folder.path) == ["original", "secret"])
    }

    @Test func whatIsNoLiveInitramfsIsRefused() throws {
        let folder = try TemporaryFolder()
        let plain = try folder.file("plain", archive([("init", .file, [1])]))
        #expect(throws: OriginalInitramfs.Failure.noStamps(plain)) { _ = try OriginalInitramfs(reading: plain).kernel }
        let empty = try folder.file("empty", original(kernels: []))
        #expect(throws: OriginalInitramfs.Failure.noModules(empty)) { _ = try OriginalInitramfs(reading: empty).kernel }
        let two = try folder.file("two", original(kernels: ["6.1", "6.2"]))
        #expect(throws: OriginalInitramfs.Failure.severalKernels(two, ["6.1", "6.2"])) {
            _ = try OriginalInitramfs(reading: two).kernel
        }
    }

    @Test func settingsOfACustomizedOneAreNamed() throws {
        let folder = try TemporaryFolder()
        let file = try folder.file("live.img", original(stamps: ["config.ign": "{}"]))
        let found = try OriginalInitramfs(reading: file)
        #expect(
            found.warnings == [
                """
                warning: \(file) holds config.ign, which is not taken.
                  --ignition and --network put such files into the new image.
                """
            ])
    }

    @Test func filesOfSeveralNamesHaveTheContentOfTheLast() throws {
        func member(_ name: String, _ data: [UInt8]) throws -> [UInt8] {
            var writer = NewcWriter()
            var bytes = try writer.member(name, .file, permissions: 0o644, data: data)
            // The number of links is the fifth of the header's numbers.
            bytes.replaceSubrange(6 + 4 * 8..<6 + 5 * 8, with: "00000002".utf8)
            return bytes
        }
        let folder = try TemporaryFolder()
        let file = try folder.file("image", member("one", []) + member("two", [4]) + NewcWriter.trailer())
        var found: [String: InitramfsArchive.Content] = [:]
        try InitramfsArchive.forEach(in: file) { try $0.forEachFile { found[$0] = $1 } }
        #expect(found == ["one": .bytes([4]), "two": .bytes([4])])
    }

    // MARK: The image that is made of it

    private func initramfs(in folder: borrowing TemporaryFolder, from bytes: [UInt8]) throws -> Initramfs {
        var initramfs = try WholeImages().initramfs(in: folder)
        initramfs.modules = try ModuleSelection(parsing: "all")
        initramfs.host.modules = folder.path.appending("no-modules-of-the-host")
        initramfs.original = try folder.file("original", bytes)
        return initramfs
    }

    @Test func theImageHasItsKernelAndItsStamps() throws {
        let folder = try TemporaryFolder()
        let image = folder.path.appending("image")
        let stamps = ["etc/coreos-live-want-rootfs": "hash"]
        let config: (String, NewcWriter.Kind, [UInt8]) = ("usr/lib/ignition/base.d/00-core.ign", .file, [1])
        let outcome = try initramfs(in: folder, from: original(stamps: stamps, members: [config])).write(to: image)
        #expect(outcome.kernel == Self.kernel)
        #expect(outcome.modules == (try moduleIndex().paths.count))
        #expect(outcome.warnings == [])
        let listing = try ImageListing(reading: image)
        #expect(listing.kernel == Self.kernel)
        let paths = Set(listing.parts.flatMap(\.files).map(\.path))
        #expect(
            paths.isSuperset(of: [
                "/early/squashfs.ko", "/usr/lib/modules/\(Self.kernel)/\(Self.module)",
                "/usr/lib/modules/\(Self.kernel)/modules.alias", "/etc/coreos-live-initramfs",
                "/etc/coreos-live-want-rootfs",
            ]))
        // What lies below /usr of the first part is hidden once the second is mounted there.
        let mounted = listing.parts.filter { $0.mountPoint != nil }.flatMap(\.files).map(\.path)
        #expect(mounted.contains("/usr/lib/ignition/base.d/00-core.ign"))
        var texts: [String: InitramfsArchive.Content] = [:]
        try InitramfsArchive.forEach(in: image) { try $0.forEachFile { texts[$0] = $1 } }
        #expect(texts["etc/coreos-live-want-rootfs"] == .bytes(Array("hash".utf8)))
    }

    @Test func aKernelWithoutSquashfsUnpacksEverything() throws {
        let folder = try TemporaryFolder()
        let image = folder.path.appending("image")
        var bytes = try original()
        // Its tables name no squashfs.
        let index = fixtures.appending("modules")
        let tables = try ["dep", "alias", "softdep", "builtin"].map { name in
            let text = String(decoding: try Files.read(index.appending("modules.\(name)")), as: UTF8.self)
            let lines = text.split(separator: "\n").filter { !$0.contains("squashfs") }.map { "\($0)\n" }
            let table = name == "dep" ? lines.joined().packed : lines.joined()
            return ("usr/lib/modules/\(Self.kernel)/modules.\(name)", NewcWriter.Kind.file, Array(table.utf8))
        }
        bytes += try Compression.gzip.program.run(["--stdout"], input: archive(tables)).standardOutput
        try initramfs(in: folder, from: bytes).write(to: image)
        let listing = try ImageListing(reading: image)
        #expect(listing.parts.map(\.mountPoint) == [nil])
        let paths = Set(listing.parts.flatMap(\.files).map(\.path))
        #expect(paths.isSuperset(of: ["/init", "/usr/bin/busybox", "/usr/lib/modules/\(Self.kernel)/\(Self.module)"]))
    }

    @Test func theRootImageHasToBeTheOneThatGoesWithIt() throws {
        let folder = try TemporaryFolder()
        let rootfs = try folder.file(
            "rootfs.img",
            archive([
                ("root.squashfs", .file, squashfs(4096)), ("etc/coreos-live-rootfs", .file, Array("41.1\n".utf8)),
            ]))
        let right = try RootImageArchive.stamps(of: rootfs).streamHash
        var good = try initramfs(in: folder, from: original(stamps: ["etc/coreos-live-want-rootfs": right]))
        good.rootfs = rootfs
        try good.write(to: folder.path.appending("image"))
        var bad = try initramfs(
            in: folder,
            from: original(stamps: [
                "etc/coreos-live-want-rootfs": "stream-hash sha256 2097152\n\(String(repeating: "0", count: 64))\n"
            ]))
        bad.rootfs = rootfs
        do {
            try bad.write(to: folder.path.appending("image"))
            Issue.record("an initramfs was made")
        } catch {
            #expect("\(error.cause)" == "\(folder.path)/original belongs to another root image than \(rootfs)")
        }
    }

    @Test func anotherKernelIsNotToBeHad() throws {
        let folder = try TemporaryFolder()
        var initramfs = try initramfs(in: folder, from: original())
        initramfs.kernel = "6.1.0-9-amd64"
        do {
            _ = try initramfs.explanation()
            Issue.record("there is an explanation")
        } catch {
            #expect("\(error.cause)" == "\(folder.path)/original is for Linux \(Self.kernel), not for 6.1.0-9-amd64")
        }
    }
}

extension String {
    /// The paths of modules as they are where modules are compressed.
    fileprivate var packed: String {
        split(separator: ".ko", omittingEmptySubsequences: false).joined(separator: ".ko.xz")
    }
}
