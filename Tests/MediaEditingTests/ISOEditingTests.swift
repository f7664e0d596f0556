import BootMedia
import Glibc
import MediaSamples
import Testing

@testable import MediaEditing

@Suite struct EditingOfISOs {
    private let place = Workplace()
    private let pristine = SampleLiveISO(.today).bytes()

    private func iso() -> String { place.write("live.iso", pristine) }

    private func embed(_ image: String, _ config: String, force: Bool = false, _ output: String? = nil) throws {
        var command = EmbedIgnition(image: image)
        command.force = force
        command.output = ImageOutput(output)
        try quietly(input: Array(config.utf8)) { try command.run($0) }
    }

    @Test(arguments: Generation.allCases) func configsGoInAndOut(_ generation: Generation) throws {
        let pristine = SampleLiveISO(generation).bytes()
        let image = place.write("live.iso", pristine)
        #expect(refusal { try ShowIgnition(image: image).run($0) } == "No embedded Ignition config.")
        // It is not looked at.
        try embed(image, "not JSON")
        #expect(try printed { try ShowIgnition(image: image).run($0) } == "not JSON")
        #expect(
            refusal { try EmbedIgnition(image: image).run($0) }
                == "This ISO image already has an embedded Ignition config; use -f to force.")
        try embed(image, "{}", force: true)
        #expect(try printed { try ShowIgnition(image: image).run($0) } == "{}")
        try quietly { try RemoveIgnition(image: image).run($0) }
        #expect(place.read("live.iso") == pristine)
        try quietly { try RemoveIgnition(image: image).run($0) }
        #expect(place.read("live.iso") == pristine)
        #expect(place.names == ["live.iso"])
    }

    @Test(arguments: [Generation.january2021, .today, .july2023s390x])
    func whatGRUBWouldCutIsWarnedOf(_ generation: Generation) throws {
        let image = place.write("live.iso", SampleLiveISO(generation).bytes())
        func told(_ arguments: [String]) throws -> [String] {
            let printed = Printed()
            try ModifyArguments(image: image, edit: .init(appending: arguments)).run(printed.streams())
            return printed.told
        }
        #expect(try told(["a=b", "'c=d&e'", "\"f;g\""]) == [])
        let isInScript = generation != .july2023s390x
        // The bytes are those of the original all the same.
        #expect(try told(["u=http://h/?a&b"]).count == (isInScript ? 1 : 0))
        #expect(try printed { try ShowArguments(image: image).run($0) }.hasSuffix("\"f;g\" u=http://h/?a&b\n"))
        // Taking something else out changes nothing in that, but the image still does not boot.
        #expect(try told(["x"]).first?.contains("at the &") == (isInScript ? true : nil))
    }

    @Test func inPlaceIntoAFileAndToStandardOutputIsTheSame() throws {
        let image = iso()
        let other = place.write("other.iso", pristine)
        let edit = KernelArgumentEdit(appending: ["x"], deleting: ["mitigations=auto,nosmt"])
        try quietly { try ModifyArguments(image: other, edit: edit).run($0) }
        var toFile = ModifyArguments(image: image, edit: edit)
        toFile.output = .file("\(place.path)/new.iso")
        try quietly { try toFile.run($0) }
        var toOutput = ModifyArguments(image: image, edit: edit)
        toOutput.output = .standardOutput
        let streamed = Printed()
        try toOutput.run(streamed.streams())
        #expect(place.read("live.iso") == pristine)
        #expect(place.read("new.iso") == place.read("other.iso"))
        #expect(streamed.output == place.read("other.iso"))
        #expect(place.mode("new.iso") == 0o600)
        #expect(
            try printed { try ShowArguments(image: other).run($0) }
                == "coreos.liveiso=fedora-coreos-40 ignition.firstboot ignition.platform.id=metal x\n")
        var defaults = ShowArguments(image: other)
        defaults.showsDefaults = true
        #expect(try printed { try defaults.run($0) } == SampleLiveISO.defaults + "\n")
        try quietly { try ResetArguments(image: other).run($0) }
        #expect(place.read("other.iso") == pristine)
        #expect(place.names == ["live.iso", "new.iso", "other.iso"])
        toOutput.output = .standardOutput
        #expect(
            (try? toOutput.run(Printed().streams(terminal: true))) == nil)
    }

    @Test func aFileThatIsThereStays() throws {
        let image = iso()
        for output in [image, place.write("there", "x"), place.path] {
            #expect(
                refusal { streams in
                    var command = ResetISO(image: image)
                    command.output = .file(output)
                    try command.run(streams)
                } == "persisting output file to \(output): File exists (os error 17)")
        }
        #expect(place.read("live.iso") == pristine)
        #expect(place.read("there") == Array("x".utf8))
        #expect(place.names == ["live.iso", "there"])
        var nowhere = ResetISO(image: image)
        nowhere.output = .file("\(place.path)/none/new.iso")
        #expect(
            refusal { try nowhere.run($0) }.hasPrefix("creating temporary file: No such file or directory (os error 2)")
        )
    }

    @Test func whatCannotBeOpenedIsNamed() {
        #expect(
            refusal { try ResetISO(image: "\(place.path)/none").run($0) }
                == "opening \(place.path)/none: No such file or directory (os error 2)")
        var command = EmbedIgnition(image: iso())
        command.config = "\(place.path)/none.ign"
        #expect(
            refusal { try command.run($0) } == "reading \(place.path)/none.ign: No such file or directory (os error 2)")
    }

    @Test func aLinkIsFollowed() throws {
        let image = iso()
        symlink(image, "\(place.path)/link.iso")
        try embed("\(place.path)/link.iso", "{}")
        #expect(try printed { try ShowIgnition(image: image).run($0) } == "{}")
        #expect(place.names == ["link.iso", "live.iso"])
    }

    @Test func aConfigTooLargeChangesNothing() throws {
        let image = iso()
        try quietly { try ModifyArguments(image: image, edit: .init(appending: ["x"])).run($0) }
        let before = place.read("live.iso")
        var state: UInt64 = 7
        let noise = (0..<20000).map { _ -> UInt8 in
            state = state &* 6_364_136_223_846_793_005 &+ 1
            return UInt8(truncatingIfNeeded: state >> 40)
        }
        var command = EmbedIgnition(image: image)
        command.config = place.write("noise", noise)
        #expect(refusal { try command.run($0) }.hasPrefix("Compressed initramfs is too large: "))
        #expect(place.read("live.iso") == before)
    }

    @Test func keyfilesGoInAndOut() throws {
        let image = iso()
        let one = place.write("one.nmconnection", "[connection]\nid=1\n")
        let two = place.write("two.nmconnection", "[connection]\nid=2\n")
        #expect(refusal { try ExtractNetwork(image: image).run($0) } == "No embedded network settings.")
        try embed(image, "{}")
        try quietly { try EmbedNetwork(image: image, keyfiles: [two, one]).run($0) }
        #expect(
            refusal { try EmbedNetwork(image: image, keyfiles: [one]).run($0) }
                == "This ISO image already has embedded network settings; use -f to force.")
        #expect(
            try printed { try ExtractNetwork(image: image).run($0) } == """
                ########## one.nmconnection ##########
                [connection]
                id=1

                ########## two.nmconnection ##########
                [connection]
                id=2

                """)
        var extract = ExtractNetwork(image: image)
        extract.folder = "\(place.path)/a/b"
        #expect(
            try printed { try extract.run($0) }
                == "\(place.path)/a/b/one.nmconnection\n\(place.path)/a/b/two.nmconnection\n")
        #expect(place.read("a/b/two.nmconnection") == Array("[connection]\nid=2\n".utf8))
        #expect(place.mode("a/b/two.nmconnection") == 0o600)
        #expect(
            refusal { try extract.run($0) } == "opening \(place.path)/a/b/one.nmconnection: File exists (os error 17)")
        var replace = EmbedNetwork(image: image, keyfiles: [one])
        replace.force = true
        try quietly { try replace.run($0) }
        #expect(try printed { try ExtractNetwork(image: image).run($0) }.contains("two") == false)
        #expect(try printed { try ShowIgnition(image: image).run($0) } == "{}")
        mkdir("\(place.path)/other", 0o755)
        let same = place.write("other/one.nmconnection", "x")
        #expect(
            refusal { streams in
                var command = EmbedNetwork(image: image, keyfiles: [one, same])
                command.force = true
                try command.run(streams)
            } == "multiple input files named 'one.nmconnection'")
        try quietly { try RemoveNetwork(image: image).run($0) }
        try quietly { try RemoveIgnition(image: image).run($0) }
        #expect(place.read("live.iso") == pristine)
    }

    @Test func aNetworkAloneNeedsNoForceForAConfig() throws {
        let image = iso()
        let keyfile = place.write("one.nmconnection", "[connection]\n")
        try quietly { try EmbedNetwork(image: image, keyfiles: [keyfile]).run($0) }
        #expect(refusal { try ShowIgnition(image: image).run($0) } == "No embedded Ignition config.")
        try embed(image, "{}")
    }

    @Test func anOldImageTakesNoNetwork() {
        let image = place.write("live.iso", SampleLiveISO(.september2021).bytes())
        let keyfile = place.write("one.nmconnection", "[connection]\n")
        #expect(
            refusal { try EmbedNetwork(image: image, keyfiles: [keyfile]).run($0) }
                == "This OS image does not support customizing network settings.")
    }

    @Test func customizingAndResetting() throws {
        let image = iso()
        var command = CustomizeISO(image: image)
        // Nothing asked for, nothing changed.
        try quietly { try command.run($0) }
        #expect(place.read("live.iso") == pristine)
        command.arguments = .init(appending: ["x"])
        try quietly { try command.run($0) }
        // No config: the automatic login stays.
        #expect(refusal { try ShowIgnition(image: image).run($0) } == "No embedded Ignition config.")
        #expect(try printed { try ShowArguments(image: image).run($0) } == SampleLiveISO.defaults + " x\n")
        #expect(refusal { try command.run($0) } == "This ISO image is already customized; use -f to force.")
        // From the defaults, not from what is there.
        command.force = true
        command.arguments = .init(appending: ["y"])
        try quietly { try command.run($0) }
        #expect(try printed { try ShowArguments(image: image).run($0) } == SampleLiveISO.defaults + " y\n")
        // Without arguments they stay, and old keyfiles go.
        let keyfile = place.write("one.nmconnection", "[connection]\n")
        try quietly { try EmbedNetwork(image: image, keyfiles: [keyfile]).run($0) }
        command.arguments = .init()
        command.customization.liveConfigs = [place.write("a.ign", #"{"ignition":{"version":"3.3.0"}}"#)]
        try quietly { try command.run($0) }
        #expect(try printed { try ShowArguments(image: image).run($0) } == SampleLiveISO.defaults + " y\n")
        #expect(refusal { try ExtractNetwork(image: image).run($0) } == "No embedded network settings.")
        #expect(try printed { try ShowIgnition(image: image).run($0) }.contains("merge"))
        try quietly { try ResetISO(image: image).run($0) }
        #expect(place.read("live.iso") == pristine)
    }

    @Test func anImageWithoutAreasTakesNoArguments() {
        let image = place.write("live.iso", SampleLiveISO(.september2020).bytes())
        var command = CustomizeISO(image: image)
        command.arguments = .init(appending: ["x"])
        #expect(
            refusal { try command.run($0) } == "This OS image does not support customizing live kernel arguments.")
        let text = "No karg embed areas found; old or corrupted CoreOS ISO image."
        #expect(refusal { try ShowArguments(image: image).run($0) } == text)
        #expect(refusal { try ResetArguments(image: image).run($0) } == text)
        #expect(refusal { try ResetISO(image: image).run($0) } == "")
    }

    @Test func structureAndAreasAreShown() throws {
        let image = iso()
        var command = ShowISO(image: image)
        let text = try printed { try command.run($0) }
        #expect(text.hasPrefix("{\n  \"header\": {\n    \"descriptors\": [\n      {\n        \"type\": \"primary\",\n"))
        #expect(text.contains("\"COREOS/IGNINFO.JSO\""))
        command.part = .initrd
        #expect(try printed { try command.run($0) }.contains("\"length\": 16384"))
        command.part = .arguments
        #expect(try printed { try command.run($0) }.contains("\"end\": \"\\n\""))
        command.image = place.write("old.iso", SampleLiveISO(.september2020).bytes())
        #expect(try printed { try command.run($0) } == "null\n")
    }

    @Test func twoCommandsDoNotMeet() throws {
        let image = iso()
        let descriptor = open(image, O_RDWR)
        defer { close(descriptor) }
        flock(descriptor, LOCK_EX)
        #expect(refusal { try ResetISO(image: image).run($0) }.contains("another command is changing the image"))
        // Reading is not a change.
        var copy = ResetISO(image: image)
        copy.output = .file("\(place.path)/new.iso")
        try quietly { try copy.run($0) }
    }
}
