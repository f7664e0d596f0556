import BootMedia
import LinuxSystem
import Reporting
import SystemPackage
import Testing

@testable import InitramfsImage

/// Images made from a small system of our own, looked at with other programs.
@Suite struct WholeImages {
    /// A system whose programs are scripts and whose modules are texts.
    func initramfs(in folder: borrowing TemporaryFolder) throws -> Initramfs {
        let index = fixtures.appending("modules")
        for name in Files.names(in: index) {
            try folder.file("modules/6.1.0/\(name)", Files.read(index.appending(name)))
        }
        for path in try moduleIndex().paths { try folder.file("modules/6.1.0/\(path)", Array(path.utf8)) }
        try folder.file("bin/busybox", Array("#!/bin/sh\necho sh; echo init; echo ls\n".utf8), mode: 0o755)
        try folder.file("bin/mkfs.ext4", Array("#!/bin/sh\n".utf8), mode: 0o755)
        try folder.file("etc/mke2fs.conf", Array("[defaults]\n".utf8))
        var initramfs = Initramfs(
            modules: try ModuleSelection(parsing: "virtio"), agent: try folder.file("agent", elf()))
        initramfs.host.modules = folder.path.appending("modules")
        initramfs.host.certificates = fixtures.appending("authority.pem")
        initramfs.host.ext4Defaults = folder.path.appending("etc/mke2fs.conf")
        initramfs.host.programs = [folder.path.appending("bin")]
        initramfs.host.stageTools = [HostProgram(name: "mkfs.ext4", package: "e2fsprogs")]
        return initramfs
    }

    @Test func theSameInputGivesTheSameBytes() throws {
        let one = try TemporaryFolder()
        let other = try TemporaryFolder()
        try initramfs(in: one).write(to: one.path.appending("image"))
        try initramfs(in: other).write(to: other.path.appending("image"))
        let bytes = try Files.read(one.path.appending("image"))
        #expect(bytes == (try Files.read(other.path.appending("image"))))
        #expect(bytes.count % 4 == 0)
        #expect(Files.status(one.path.appending("image")).map { $0.st_mode & 0o777 } == 0o644)
        #expect(Files.names(in: one.path).filter { $0.hasPrefix("image") } == ["image"])
    }

    @Test func whatWasPackedIsUsedAgain() throws {
        let folder = try TemporaryFolder()
        let plain = folder.path.appending("plain")
        var initramfs = try initramfs(in: folder)
        try initramfs.write(to: plain)
        let cache = folder.path.appending("cache/packed")
        initramfs.cache = cache
        func packed() -> [String] { Files.names(in: cache) }
        func make(_ name: String) throws -> [UInt8] {
            try initramfs.write(to: folder.path.appending(name))
            return try Files.read(folder.path.appending(name))
        }
        let bytes = try Files.read(plain)
        #expect(try make("first") == bytes)
        #expect(packed().count == 2 && Files.status(cache).map { $0.st_mode & 0o777 } == 0o700)
        #expect(try make("second") == bytes && packed().count == 2)
        // It is what is in the cache that is used.
        for name in packed() {
            let file = cache.appending(name)
            let right = try Files.read(file)
            #expect(Files.status(file).map { $0.st_mode & 0o777 } == 0o600)
            var marked = right
            marked[marked.count - 1] ^= 1
            try Files.write(marked, to: file, mode: 0o600)
            #expect(try make("marked") != bytes)
            // Not what anybody may have written.
            try Files.write(marked, to: file, mode: 0o622)
            #expect(try make("open") == bytes)
        }
        // Another module, another image; the agent is packed as it was.
        let module = initramfs.host.modules.appending("6.1.0/kernel/drivers/block/virtio_blk.ko")
        try Files.write(Array("other".utf8), to: module)
        #expect(try make("other") != bytes && packed().count == 3)
    }

    @Test func aHostWithoutAuthoritiesIsToldWhereTheyAre() throws {
        let folder = try TemporaryFolder()
        var initramfs = try initramfs(in: folder)
        initramfs.host.certificates = folder.path.appending("none.crt")
        do throws(BootFailure) {
            try initramfs.write(to: folder.path.appending("image"))
            Issue.record("an image was made")
        } catch {
            #expect("\(error.cause)" == "\(folder.path)/none.crt is not installed")
            #expect(error.advice == ["On Debian: apt-get install ca-certificates"])
        }
    }

    @Test func anotherConfigLeavesNothingToBePacked() throws {
        let folder = try TemporaryFolder()
        var initramfs = try initramfs(in: folder)
        let cache = folder.path.appending("packed")
        initramfs.cache = cache
        try initramfs.write(to: folder.path.appending("plain"))
        let packed = Files.names(in: cache)
        let secret = #"{"ignition": {"version": "3.4.0"}, "passwd": {"users": [{"name": "secret"}]}}"#
        initramfs.ignition = try folder.file("config", Array(secret.utf8))
        initramfs.network = [try folder.file("lan.nmconnection", Array("[connection]\nid=secret\n".utf8))]
        try initramfs.write(to: folder.path.appending("image"))
        #expect(packed.count == 2 && Files.names(in: cache) == packed)
        let files = try ImageListing(reading: folder.path.appending("image")).parts[1].files.map(\.path)
        #expect(files == ["/config.ign", "/etc/coreos-firstboot-network/lan.nmconnection"])
        // A file of the user's in that place comes before ours.
        initramfs.inclusions = [try Inclusion(parsing: "\(try folder.file("own", [1])):/config.ign")]
        try initramfs.write(to: folder.path.appending("image"))
        let all = try ImageListing(reading: folder.path.appending("image")).parts.flatMap(\.files)
        #expect(all.filter { $0.path == "/config.ign" }.map(\.size) == [1])
    }

    @Test func bothPartsHoldWhatTheyShould() throws {
        let folder = try TemporaryFolder()
        try initramfs(in: folder).write(to: folder.path.appending("image"))
        let listing = try ImageListing(reading: folder.path.appending("image"))
        #expect(listing.parts.map(\.compression) == ["zstd", "squashfs"])
        #expect(listing.kernel == "6.1.0")
        let paths = Set(listing.parts.flatMap(\.files).map(\.path))
        #expect(
            paths.isSuperset(of: [
                "/init", "/early/modules.list", "/early/loop.ko", "/early/squashfs.ko", "/etc/mke2fs.conf",
                "/etc/ssl/certs/ca-certificates.crt", "/bin", "/lib64", "/usr/bin/busybox", "/usr/bin/ls",
                "/usr/bin/firstlight", "/usr/sbin/mkfs.ext4", "/usr/sbin/modprobe",
                "/usr/share/firstlight/ca-certificates.crt", "/usr/lib/modules/6.1.0/modules.alias",
                "/usr/lib/modules/6.1.0/kernel/drivers/block/virtio_blk.ko",
            ]))
        #expect(paths.isDisjoint(with: ["/usr/bin/init", "/config.ign", "/etc/coreos-live-want-rootfs"]))
    }

    @Test("drivers of cards, where they are many, stand in an image of their own, and links lead there")
    func driversStandApart() throws {
        let folder = try TemporaryFolder()
        let image = folder.path.appending("image")
        var initramfs = try initramfs(in: folder)
        initramfs.modules = try ModuleSelection(parsing: "virtio,e1000e")
        initramfs.leastDrivers = 1
        try initramfs.write(to: image)
        let listing = try ImageListing(reading: image)
        let drivers = "/usr/lib/firstlight/drivers"
        try #require(listing.parts.map(\.mountPoint) == [nil, "/usr", drivers])
        #expect(listing.kernel == "6.1.0")
        let card = "kernel/drivers/net/ethernet/intel/e1000e/e1000e.ko"
        #expect(listing.parts[2].files.map(\.path) == ["\(drivers)/\(card)", "\(drivers)/kernel/drivers/ptp/ptp.ko"])
        let others = listing.parts[1].files.map(\.path)
        #expect(!others.contains("/usr/lib/modules/6.1.0/\(card)"))
        #expect(others.contains("/usr/lib/modules/6.1.0/kernel/drivers/block/virtio_blk.ko"))

        let length = try #require(ZstandardFrame.length(try Files.read(image)[...]))
        let unpacked = folder.path.appending("usr")
        let offset = length + (4 - length % 4) % 4 + 124
        try HostProgram.listSquashfs.run(["-q", "-n", "-o", "\(offset)", "-d", unpacked.string, image.string])
        #expect(Files.linkTarget(unpacked.appending("lib/modules/6.1.0/\(card)")) == "\(drivers)/\(card)")
        #expect(Files.isFolder(unpacked.appending("lib/firstlight/drivers")))
        // With few of them it has none.
        initramfs.leastDrivers = 1 << 20
        try initramfs.write(to: image)
        #expect(try ImageListing(reading: image).parts.count == 2)
    }

    @Test func cpioAndUnsquashfsUnpackIt() throws {
        let folder = try TemporaryFolder()
        let image = folder.path.appending("image")
        var initramfs = try initramfs(in: folder)
        initramfs.ignition = try folder.file("config", Array(#"{"ignition": {"version": "3.4.0"}}"#.utf8))
        initramfs.network = [try folder.file("lan.nmconnection", Array("[connection]\n".utf8))]
        try initramfs.write(to: image)
        #expect(Files.status(image).map { $0.st_mode & 0o777 } == 0o600)

        let bytes = try Files.read(image)
        let length = try #require(ZstandardFrame.length(bytes[...]))
        let first = try HostProgram.zstd.run(["-dcq"], input: Array(bytes[..<length])).standardOutput
        let list = try Command("cpio", ["--list", "--verbose", "--quiet"], input: first).run().text
        #expect(list.contains(/-rwxr-xr-x .* 4096 Jan .* 1970 init/))

        // The second archive starts at a multiple of 4.
        let start = length + (4 - length % 4) % 4
        #expect(bytes[start...].starts(with: Array("070701".utf8)))
        let words = ["--list", "--verbose", "--quiet"]
        let second = try Command("cpio", words, input: Array(bytes[start...])).run().text
        #expect(second.contains(/-rw------- .* root .* root .* 34 Jan .* 1970 config.ign/))
        #expect(second.contains(/drwxr-xr-x .* 1970 etc\/coreos-firstboot-network/))
        #expect(second.contains(/-rw------- .* etc\/coreos-firstboot-network\/lan.nmconnection/))
        let unpacked = folder.path.appending("usr").string
        let offset = start + 124
        try HostProgram.listSquashfs.run(["-q", "-n", "-o", "\(offset)", "-d", unpacked, image.string])
        let module = FilePath(unpacked).appending("lib/modules/6.1.0/kernel/fs/xfs/xfs.ko")
        #expect(try Files.read(module) == Array("kernel/fs/xfs/xfs.ko".utf8))
        let early = FilePath(unpacked).appending("lib/modules/6.1.0/kernel/drivers/block/loop.ko")
        #expect(Files.linkTarget(early) == "/early/loop.ko")
    }

    @Test("keyfiles are checked when they are put in")
    func keyfilesAreChecked() throws {
        let folder = try TemporaryFolder()
        func outcome(_ texts: [String]) throws -> [String] {
            var initramfs = try initramfs(in: folder)
            initramfs.network = try texts.enumerated().map { number, text in
                try folder.file("k\(number).nmconnection", Array("[connection]\n\(text)\n".utf8))
            }
            do throws(BootFailure) {
                let warnings = try initramfs.write(to: folder.path.appending("image")).warnings
                return warnings.filter { $0.contains("nmconnection") }
            } catch {
                return ["\(error.cause)"]
            }
        }
        let radio = "type=wifi"
        let card = "type=ethernet\ninterface-name=eno1"
        #expect(try outcome([card]) == [])
        #expect(
            try outcome(["autoconnect=perhaps"]) == ["k0.nmconnection: connection.autoconnect=perhaps cannot be read"])
        #expect(try outcome([radio]) == ["k0.nmconnection: connection type wifi is not supported"])
        #expect(
            try outcome([card, radio]) == [
                "k1.nmconnection: connection type wifi is not supported; the boot goes on without it"
            ])
        #expect(try outcome([card, "type=ethernet\n[ipv4]\nmethod=shared"]).count == 1)
    }

    @Test func aFastImageHoldsTheSame() throws {
        let folder = try TemporaryFolder()
        var initramfs = try initramfs(in: folder)
        // Text that a higher level makes smaller.
        let numbers = (0..<40_000).map { "\($0 &* 2_654_435_761 % 9973) " }.joined()
        initramfs.inclusions = [
            try Inclusion(parsing: "\(folder.file("numbers", Array(numbers.utf8))):/etc/numbers")
        ]
        let images = try [false, true].map { isFast in
            let image = folder.path.appending("image-\(isFast)")
            initramfs.isFast = isFast
            try initramfs.write(to: image)
            return (parts: try ImageListing(reading: image).parts, size: Files.size(image) ?? 0)
        }
        #expect(images[0].parts.map(\.files) == images[1].parts.map(\.files))
        #expect(images[0].parts.map(\.compression) == images[1].parts.map(\.compression))
        #expect(images[0].size < images[1].size)
    }

    @Test("archives are listed however they are compressed, one behind the other")
    func compressedParts() throws {
        let folder = try TemporaryFolder()
        func archive(_ name: String) throws -> [UInt8] {
            try folder.file(name, [UInt8](repeating: 7, count: 300_000))
            let words = ["--create", "--format=newc", "--quiet", "-D", folder.path.string]
            let command = Command("cpio", words, input: Array("\(name)\n".utf8))
            return try command.run().standardOutput
        }
        var image = try archive("plain")
        for compression in Compression.allCases {
            let input = try archive(compression.rawValue)
            // As mkinitramfs and dracut call it: the kernel's own decoder knows this checksum alone.
            let options = compression == .xz ? ["--check=crc32"] : []
            image += try compression.program.run(options + ["--quiet", "--stdout"], input: input).standardOutput
            image += [UInt8](repeating: 0, count: (4 - image.count % 4) % 4)
        }
        let file = try folder.file("image", image)
        let listing = try ImageListing(reading: file)
        #expect(listing.parts.map(\.compression) == [nil, "zstd", "gzip", "xz"])
        #expect(listing.parts.flatMap(\.files).map(\.path) == ["/plain", "/zstd", "/gzip", "/xz"])
        #expect(listing.parts.flatMap(\.files).allSatisfy { $0.size == 300_000 })
        for compression in Compression.allCases {
            let packed = try compression.program.run(["--quiet", "--stdout"], input: Array("text".utf8)).standardOutput
            #expect(compression.length(packed[...]) == packed.count)
            #expect(compression.length((packed + [1, 2, 3, 4, 5])[...]) == packed.count)
            #expect(compression.length(packed.dropLast(1)) == nil)
        }
    }

    @Test func aConfigWithMistakesIsNotEmbedded() throws {
        let folder = try TemporaryFolder()
        var initramfs = try initramfs(in: folder)
        initramfs.ignition = try folder.file("config.ign", Array(#"{"ignition": {"version": 3}}"#.utf8))
        #expect(throws: (any Error).self) { try initramfs.write(to: folder.path.appending("image")) }
        #expect(!Files.exists(folder.path.appending("image")))
    }

    @Test func aDynamicAgentIsRefused() throws {
        let folder = try TemporaryFolder()
        var initramfs = try initramfs(in: folder)
        initramfs.agent = try folder.file("dynamic", elf(interpreter: "/lib64/ld.so", needed: ["libc.so.6"]))
        #expect(throws: (any Error).self) { try initramfs.write(to: folder.path.appending("image")) }
    }

    @Test func whatClevisNeedsIsThereOnRequest() throws {
        let folder = try TemporaryFolder()
        var initramfs = try initramfs(in: folder)
        for name in ["clevis", "bash"] { try folder.file("bin/\(name)", Array("#!/bin/sh\n".utf8), mode: 0o755) }
        initramfs.host.clevisTools = ["bash", "clevis"].map { HostProgram(name: $0, package: $0) }
        initramfs.host.clevisLibraries = []
        let wanted: Set = ["/usr/sbin/clevis", "/usr/sbin/bash", "/usr/bin/bash"]
        for hasClevis in [false, true] {
            initramfs.hasClevis = hasClevis
            try initramfs.write(to: folder.path.appending("image"))
            let listing = try ImageListing(reading: folder.path.appending("image"))
            let paths = Set(listing.parts.flatMap(\.files).map(\.path))
            #expect(hasClevis ? paths.isSuperset(of: wanted) : paths.isDisjoint(with: wanted))
        }
    }

    @Test func theFirmwareOfTheModulesComesAlong() throws {
        let folder = try TemporaryFolder()
        var initramfs = try initramfs(in: folder)
        initramfs.host.firmware = [folder.path.appending("firmware")]
        try folder.file("firmware/6.1.0/net/card.fw", Array("new".utf8))
        try folder.file("firmware/net/card.fw", Array("old".utf8))
        let path = try #require(try moduleIndex().paths.first { $0.hasSuffix("virtio_blk.ko") })
        try folder.file("modules/6.1.0/\(path)", moduleAsking(for: ["net/card.fw", "net/none.fw"]))
        let outcome = try initramfs.write(to: folder.path.appending("image"))
        #expect(outcome.warnings.contains { $0.hasPrefix("1 module asks for firmware") && $0.contains("virtio_blk") })
        let listing = try ImageListing(reading: folder.path.appending("image"))
        #expect(
            listing.parts.flatMap(\.files).filter { $0.path.hasPrefix("/usr/lib/firmware") }.map(\.path)
                == ["/usr/lib/firmware/net/card.fw"])
    }

    @Test func aMissingToolNamesItsPackage() throws {
        let folder = try TemporaryFolder()
        var initramfs = try initramfs(in: folder)
        initramfs.host.stageTools.append(HostProgram(name: "mkfs.none", package: "noneprogs"))
        let failure = #expect(throws: (any Error).self) { try initramfs.write(to: folder.path.appending("image")) }
        #expect("\(try #require(failure))" == "adding tools: mkfs.none is not installed")
    }

    @Test func anInitramfsKnowsItsRootImage() throws {
        let folder = try TemporaryFolder()
        let image = try folder.file("root", squashfs(5000))
        let rootfs = folder.path.appending("rootfs.img")
        try RootImageArchive(image: image, version: "2026.11.1").write(to: rootfs)
        let bytes = try Files.read(rootfs)
        #expect(bytes.count % 4 == 0)
        #expect(Array(bytes[124..<124 + 5000]) == squashfs(5000))

        let facts = try RootImageFacts(reading: rootfs)
        #expect(facts.version == "2026.11.1")
        let sum = try Command("sha256sum", [rootfs.string]).run().text.prefix(64)
        #expect(facts.hash.text == "stream-hash sha256 2097152\n\(sum)\n")
        let own = try Command("sha256sum", [image.string]).run().text.prefix(64)
        #expect(facts.imageHash.text == "stream-hash sha256 2097152\n\(own)\n")

        var initramfs = try initramfs(in: folder)
        initramfs.rootfs = rootfs
        try initramfs.write(to: folder.path.appending("image"))
        let files = try ImageListing(reading: folder.path.appending("image")).parts[1].files
        #expect(files.contains { $0.path == "/etc/coreos-live-initramfs" && $0.size == 10 })
        #expect(files.contains { $0.path == "/etc/coreos-live-want-rootfs" && $0.size == 92 })
        #expect(files.contains { $0.path == "/etc/firstlight-want-image" && $0.size == 92 })
        // What `pxe customize` asks for before it puts keyfiles in.
        var features = Features()
        features.liveNetwork = true
        #expect(files.contains { $0.path == "/etc/coreos/features.json" && $0.size == features.text.utf8.count })
    }

    @Test func aRootImageIsMadeOfAWholeFilesystemAndAVersion() throws {
        let folder = try TemporaryFolder()
        let output = folder.path.appending("rootfs.img")
        let whole = try folder.file("whole", squashfs(5000))
        let cut = try folder.file("cut", Array(squashfs(5000).dropLast(1000)))
        let other = try folder.file("other", Array("hello".utf8))
        #expect(throws: RootImageArchive.Failure.self) {
            try RootImageArchive(image: cut, version: "1").write(to: output)
        }
        #expect(throws: RootImageArchive.Failure.self) {
            try RootImageArchive(image: other, version: "1").write(to: output)
        }
        #expect(throws: RootImageArchive.Failure.self) {
            try RootImageArchive(image: whole, version: "1\n2").write(to: output)
        }
        #expect(!Files.exists(output))
    }

    @Test func aBareFilesystemHasAHashAndNoVersion() throws {
        let folder = try TemporaryFolder()
        let facts = try RootImageFacts(reading: folder.file("root", squashfs(3 << 20)))
        #expect(facts.version == nil)
        #expect(facts.hash.digests.count == 2)
        // The same bytes, chunk by chunk, whether or not an archive is around them.
        #expect(facts.imageHash == facts.hash)
        let wrapped = folder.path.appending("rootfs.img")
        try RootImageArchive(image: folder.path.appending("root"), version: "1").write(to: wrapped)
        #expect(try RootImageFacts(reading: wrapped).imageHash == facts.imageHash)
    }
}
