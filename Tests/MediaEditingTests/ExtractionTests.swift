import BootMedia
import Glibc
import MediaEditing
import MediaSamples
import Testing

@Suite struct Extraction {
    private let place = Workplace()

    @Test func pxeFilesAreNamedForTheImage() throws {
        let image = place.write("fedora-40.x86_64.iso", SampleLiveISO(.today).bytes())
        var command = ExtractPXE(image: image)
        command.folder = "\(place.path)/out"
        let prefix = "\(place.path)/out/fedora-40.x86_64"
        #expect(
            try printed { try command.run($0) } == "\(prefix)-vmlinuz\n\(prefix)-initrd.img\n\(prefix)-rootfs.img\n")
        #expect(place.read("out/fedora-40.x86_64-vmlinuz") == Array("the kernel".utf8))
        #expect(place.read("out/fedora-40.x86_64-rootfs.img")?.count == 5000)
        #expect(refusal { try command.run($0) } == "opening \(prefix)-vmlinuz: File exists (os error 17)")
        let other = place.write("other.iso", SampleISO().bytes())
        #expect(refusal { try ExtractPXE(image: other).run($0) }.hasPrefix("Unrecognized CoreOS ISO image."))
    }

    /// A full ISO that has its minimal one packed, and that minimal one.
    private func packed() throws -> (full: String, minimal: [UInt8]) {
        let sample = SampleLiveISO(.today)
        let full = place.write("full.iso", sample.bytes())
        let minimal = place.write("minimal.iso", sample.minimal.bytes())
        let told = Printed()
        try PackMinimalISO(full: full, minimal: minimal).run(told.streams())
        #expect(told.told.last == "Packing successful!")
        return (full, sample.minimal.bytes())
    }

    @Test func aMinimalISOComesOutAsItWasPacked() throws {
        let (full, minimal) = try packed()
        let before = place.read("full.iso")
        var command = ExtractMinimalISO(image: full)
        command.output = "\(place.path)/out.iso"
        command.rootImage = "\(place.path)/rootfs.img"
        command.rootImageURL = "https://boot.example/rootfs.img"
        try quietly { try command.run($0) }
        #expect(place.read("full.iso") == before)
        #expect(place.read("rootfs.img")?.count == 5000)
        var wanted = try LiveISO(reading: ByteSource(minimal))
        var bytes = minimal
        for patch in try wanted.becomeMinimal(rootImageURL: command.rootImageURL) {
            bytes.replaceSubrange(Int(patch.offset)..<Int(patch.end), with: patch.new)
        }
        #expect(place.read("out.iso") == bytes)
        #expect(
            try printed { try ShowArguments(image: "\(place.path)/out.iso").run($0) }
                == "mitigations=auto,nosmt ignition.firstboot ignition.platform.id=metal "
                + "coreos.live.rootfs_url=https://boot.example/rootfs.img\n")
        // It can be customized, and has no minimal one itself.
        try quietly(input: [1]) { try EmbedIgnition(image: "\(place.path)/out.iso").run($0) }
        try quietly { try ResetISO(image: "\(place.path)/out.iso").run($0) }
        #expect(
            refusal { try ExtractMinimalISO(image: "\(place.path)/out.iso").run($0) }
                == "This ISO image does not support extracting a minimal ISO.")

        let streamed = Printed()
        command.output = "-"
        command.rootImage = nil
        try command.run(streamed.streams())
        try quietly { try ResetArguments(image: "\(place.path)/out.iso").run($0) }
        #expect(streamed.output.count == minimal.count)
        #expect((try? command.run(Printed().streams(terminal: true))) == nil)
        // The root image is written even if the ISO then cannot be.
        command.output = "\(place.path)/out.iso"
        command.rootImage = "\(place.path)/again.img"
        #expect(refusal { try command.run($0) } == "File exists (os error 17)")
        #expect(place.read("again.img")?.count == 5000)
        #expect(refusal { try command.run($0) } == "opening \(place.path)/again.img: File exists (os error 17)")
    }

    @Test func aCustomizedISOHasNoMinimalOne() throws {
        let (full, _) = try packed()
        let text = "Cannot operate on ISO with embedded customizations.\nReset it with `coreos-installer iso reset`"
        try quietly { try ModifyArguments(image: full, edit: .init(appending: ["x"])).run($0) }
        #expect(refusal { try ExtractMinimalISO(image: full).run($0) }.hasPrefix(text))
        try quietly { try ResetISO(image: full).run($0) }
        try quietly(input: [1]) { try EmbedIgnition(image: full).run($0) }
        #expect(refusal { try ExtractMinimalISO(image: full).run($0) }.hasPrefix(text))
    }

    @Test func oneFlippedByteIsFound() throws {
        let (full, _) = try packed()
        var bytes = place.read("full.iso") ?? []
        let offsets = SampleLiveISO(.today).image.offsets
        // In a file that both have.
        bytes[(offsets["images/pxeboot/vmlinuz"] ?? 0) + 3] ^= 1
        place.write("full.iso", bytes)
        let streamed = Printed()
        #expect(
            refusal { try ExtractMinimalISO(image: full).run($0) }.hasPrefix(
                "unpacking miniso: wrong final digest: expected "))
        _ = try? ExtractMinimalISO(image: full).run(streamed.streams())
        #expect(streamed.output.isEmpty)
        bytes[(offsets["images/pxeboot/vmlinuz"] ?? 0) + 3] ^= 1
        // Anywhere in the data.
        let data = offsets["coreos/miniso.dat"] ?? 0
        let length = bytes[data..<data + 16384].lastIndex { $0 != 0 }.map { $0 - data } ?? 0
        #expect(length > 300)
        for place in stride(from: data, to: data + length, by: 37) where !(data + 9..<data + 9 + 20).contains(place) {
            bytes[place] ^= 0x10
            self.place.write("full.iso", bytes)
            #expect(refusal { try ExtractMinimalISO(image: full).run($0) } != "", "byte \(place - data)")
            bytes[place] ^= 0x10
        }
    }

    @Test func whatCannotBePackedIsRefused() throws {
        let sample = SampleLiveISO(.today)
        let full = place.write("full.iso", sample.bytes())
        var other = sample.minimal
        other["coreos/more"] = [1]
        let strange = place.write("strange.iso", other.bytes())
        #expect(
            refusal { try PackMinimalISO(full: full, minimal: strange).run($0) }
                .contains("missing minimal file COREOS/MORE in full ISO"))
        var small = sample
        small.image["coreos/miniso.dat"] = [UInt8](repeating: 0, count: 100)
        let tight = place.write("tight.iso", small.bytes())
        var minimal = small.minimal
        minimal["coreos/miniso.dat"] = nil
        let fits = place.write("fits.iso", minimal.bytes())
        #expect(
            refusal { try PackMinimalISO(full: tight, minimal: fits).run($0) }.contains("collision with end of file"))
        #expect(place.read("tight.iso") == small.bytes())
        #expect(
            refusal { try PackMinimalISO(full: full, minimal: place.write("none.iso", SampleISO().bytes())).run($0) }
                .contains("No files found"))
        #expect(place.read("full.iso") == sample.bytes())
    }

    @Test func packingConsumesWhatItPacked() throws {
        let sample = SampleLiveISO(.today)
        var command = PackMinimalISO(
            full: place.write("full.iso", sample.bytes()),
            minimal: place.write("minimal.iso", sample.minimal.bytes()))
        command.consume = true
        try quietly { try command.run($0) }
        #expect(place.names == ["full.iso"])
    }
}

@Suite struct PXEImages {
    private let place = Workplace()

    /// Microcode, the initramfs and Fedora CoreOS's own, each as it is in a real one.
    private func initramfs(features: String = SampleLiveISO.features, more: [UInt8] = []) throws -> [UInt8] {
        let microcode = newc("kernel/x86/microcode/GenuineIntel.bin", [UInt8](repeating: 5, count: 3000)) + newcTrailer
        let main = try XZ.compress(newc("usr/bin/init", Array("init".utf8)) + newcTrailer, check: .crc32)
        let own = try Gzip.compress(
            newc("etc/coreos-live-initramfs", Array("40\n".utf8))
                + newc("etc/coreos/features.json", Array(features.utf8))
                + newcTrailer)
        return microcode + [UInt8](repeating: 0, count: 512) + main + [UInt8](repeating: 0, count: -main.count & 3)
            + own
            + [UInt8](repeating: 0, count: -own.count & 3) + more
    }

    @Test func whatIsAddedIsAppended() throws {
        let initrd = try initramfs()
        var command = CustomizePXE(initrd: place.write("initrd.img", initrd), output: "\(place.path)/new.img")
        command.customization.liveConfigs = [place.write("a.ign", #"{"ignition":{"version":"3.3.0"}}"#)]
        command.customization.networkKeyfiles = [place.write("one.nmconnection", "[connection]\n")]
        let told = Printed()
        try command.run(told.streams())
        #expect(told.told.count == 1 && told.told[0].contains("ignition.firstboot ignition.platform.id=metal"))
        let made = place.read("new.img") ?? []
        #expect(made.starts(with: initrd))
        #expect(Array(made[initrd.count...].prefix(6)) == [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0])
        #expect(place.mode("new.img") == 0o600)
        var unwrap = UnwrapIgnition()
        unwrap.initrd = "\(place.path)/new.img"
        #expect(try printed { try unwrap.run($0) }.contains("merge"))
        var network = UnwrapNetwork()
        network.initrd = "\(place.path)/new.img"
        #expect(try printed { try network.run($0) } == "########## one.nmconnection ##########\n[connection]\n")

        let streamed = Printed()
        var toOutput = command
        toOutput.output = "-"
        try toOutput.run(streamed.streams())
        #expect(streamed.output == made)
        #expect(
            refusal { try command.run($0) }
                == "persisting output file to \(place.path)/new.img: File exists (os error 17)")
        let again = CustomizePXE(initrd: "\(place.path)/new.img", output: "\(place.path)/third.img")
        #expect(refusal { try again.run($0) } == "input is already customized")
        #expect(!place.names.contains { $0.hasPrefix("third") || $0.hasPrefix(".") })
    }

    @Test func aPipeIsReadOnce() throws {
        let initrd = try initramfs()
        var ends: [Int32] = [-1, -1]
        try #require(pipe(&ends) == 0)
        defer { close(ends[0]) }
        #expect(initrd.withUnsafeBytes { Glibc.write(ends[1], $0.baseAddress, $0.count) } == initrd.count)
        close(ends[1])
        let command = CustomizePXE(initrd: "/dev/fd/\(ends[0])", output: "\(place.path)/new.img")
        try quietly { try command.run($0) }
        #expect(place.read("new.img")?.starts(with: initrd) == true)
    }

    @Test func anotherInitramfsIsRefused() throws {
        let command = CustomizePXE(
            initrd: place.write("initrd.img", newc("a", [1]) + newcTrailer), output: "\(place.path)/new.img")
        #expect(refusal { try command.run($0) } == "not a CoreOS live initramfs image")
        let torn = CustomizePXE(
            initrd: place.write("torn.img", Array(try initramfs().dropLast(60))), output: "\(place.path)/new.img")
        #expect(refusal { try torn.run($0) }.hasPrefix("reading/copying input initrd: "))
        var old = CustomizePXE(
            initrd: place.write("old.img", try initramfs(features: "{}")), output: "\(place.path)/new.img")
        old.customization.destinationDevice = "/dev/sda"
        #expect(
            refusal { try old.run($0) } == "This OS image does not support customizing installer configuration.")
        #expect(place.names == ["initrd.img", "old.img", "torn.img"])
    }

    @Test func wrappingAndUnwrapping() throws {
        var wrap = WrapIgnition()
        wrap.output = place.write("config.img", "what was there")
        try quietly(input: Array("not JSON".utf8)) { try wrap.run($0) }
        wrap.output = nil
        let printedInitrd = Printed()
        try wrap.run(printedInitrd.streams(input: Array("not JSON".utf8)))
        #expect(printedInitrd.output == place.read("config.img"))
        #expect((try? wrap.run(Printed().streams(terminal: true))) == nil)
        #expect(try printed(input: printedInitrd.output) { try UnwrapIgnition().run($0) } == "not JSON")
        #expect(
            refusal { try UnwrapIgnition().run($0) } == "couldn't find Ignition config in archive")
        // - is a name here.
        let folder = getcwd(nil, 0)
        defer { free(folder) }
        var toDash = WrapNetwork(keyfiles: [place.write("a.nmconnection", "[connection]\n")])
        toDash.output = "\(place.path)/-"
        try quietly { try toDash.run($0) }
        var network = UnwrapNetwork()
        network.initrd = "\(place.path)/-"
        network.folder = "\(place.path)/out"
        #expect(try printed { try network.run($0) } == "\(place.path)/out/a.nmconnection\n")
        #expect(
            refusal { try network.run($0) } == "opening \(place.path)/out/a.nmconnection: File exists (os error 17)")
        // What is not a file stays what it is.
        symlink("\(place.path)/config.img", "\(place.path)/link")
        wrap.output = "\(place.path)/link"
        try quietly(input: [1]) { try wrap.run($0) }
        unwrapsTo([1], "config.img")
    }

    private func unwrapsTo(_ bytes: [UInt8], _ name: String) {
        var unwrap = UnwrapIgnition()
        unwrap.initrd = "\(place.path)/\(name)"
        let shown = Printed()
        #expect((try? unwrap.run(shown.streams())) != nil)
        #expect(shown.output == bytes)
    }

    @Test func keyfilesStayInTheirFolder() throws {
        // A slash with an accent is a slash.
        let name = "etc/coreos-firstboot-network/..\u{2f}\u{300}x"
        let path = place.write("initrd.img", newc(name, [2]) + newcTrailer)
        var unwrap = UnwrapNetwork()
        unwrap.initrd = path
        unwrap.folder = "\(place.path)/a/b"
        #expect(try printed { try unwrap.run($0) } == "\(place.path)/a/b/\u{300}x\n")
        #expect(place.names == ["a", "initrd.img"])
    }

    @Test func initrdsAreListedAndExtracted() throws {
        let path = place.write("initrd.img", try initramfs())
        var show = ShowInitrd(initrd: path)
        #expect(
            try printed { try show.run($0) }
                == "etc/coreos-live-initramfs\netc/coreos/features.json\nkernel/x86/microcode/GenuineIntel.bin\nusr/bin/init\n"
        )
        show.globs = ["etc/*", "usr/bin/init"]
        #expect(try printed { try show.run($0) }.split(separator: "\n").count == 3)
        show.initrd = "-"
        #expect(try printed(input: try initramfs()) { try show.run($0) }.hasSuffix("usr/bin/init\n"))
        show.globs = ["***"]
        #expect(refusal { try show.run($0) }.hasPrefix("parsing glob patterns: "))
        var extract = ExtractInitrd(initrd: path)
        extract.folder = "\(place.path)/out"
        extract.isVerbose = true
        extract.globs = ["usr/*"]
        #expect(try printed { try extract.run($0) } == "\(place.path)/out/usr/bin/init\n")
        #expect(place.read("out/usr/bin/init") == Array("init".utf8))
        #expect(refusal { try extract.run($0) } == "opening \(place.path)/out/usr/bin/init: File exists (os error 17)")
    }

    @Test(arguments: ["/etc/passwd", "../x", "a/../../x", "a/..", "a/../..\u{2f}\u{300}x", "/\u{300}etc"])
    func namesThatLeadOutAreRefused(_ name: String) {
        let path = place.write("initrd.img", newc("a0", [1]) + newc(name, [2]) + newcTrailer)
        var extract = ExtractInitrd(initrd: path)
        extract.folder = "\(place.path)/out"
        #expect(refusal { try extract.run($0) } == "path \(name) contains path traversal")
        #expect(place.names == ["initrd.img"])
    }
}
