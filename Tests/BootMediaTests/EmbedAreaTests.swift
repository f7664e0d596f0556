import BootMedia
import MediaSamples
import Testing

/// The image with what the patches say.
func patched(_ bytes: [UInt8], _ patches: [Patch]) -> [UInt8] {
    var bytes = bytes
    for patch in patches {
        let range = Int(patch.offset)..<Int(patch.end)
        #expect(Array(bytes[range]) == patch.old)
        bytes.replaceSubrange(range, with: patch.new)
    }
    return bytes
}

func live(_ bytes: [UInt8]) throws -> LiveISO { try LiveISO(reading: ByteSource(bytes)) }

@Suite struct InitrdAreas {
    @Test(arguments: Generation.allCases) func theAreaIsFound(_ generation: Generation) throws {
        let sample = SampleLiveISO(generation)
        let iso = try live(sample.bytes())
        #expect(iso.initrd.region == Region(offset: UInt64(sample.initrdOffset), length: sample.initrdLength))
        #expect(iso.initrd.files.isEmpty)
        #expect(try iso.patches() == [])
        #expect(try iso.features.liveNetwork == generation.hasFeatures)
    }

    @Test(arguments: Generation.allCases) func whatIsEmbeddedIsShownAndRemoved(_ generation: Generation) throws {
        let pristine = SampleLiveISO(generation).bytes()
        var iso = try live(pristine)
        iso.initrd.files.config = Array("{}".utf8)
        iso.initrd.files["etc/coreos-firstboot-network/a.nmconnection"] = Array("[connection]".utf8)
        let embedded = patched(pristine, try iso.patches())
        #expect(embedded != pristine)

        var other = try live(embedded)
        #expect(other.initrd.files.config == Array("{}".utf8))
        #expect(other.initrd.files.network.names == ["etc/coreos-firstboot-network/a.nmconnection"])
        other.initrd.files.config = nil
        let networkOnly = patched(embedded, try other.patches())
        var last = try live(networkOnly)
        #expect(last.initrd.files.config == nil)
        #expect(last.initrd.files.count == 1)
        last.initrd.files.remove(matching: .network)
        #expect(patched(networkOnly, try last.patches()) == pristine)
    }

    /// Bytes that do not compress.
    private func noise(_ count: Int) -> [UInt8] {
        var state: UInt64 = 1
        return (0..<count).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(truncatingIfNeeded: state >> 33)
        }
    }

    @Test func whatJustFitsFits() throws {
        let pristine = SampleLiveISO(.today, initrdLength: 4096).bytes()
        var iso = try live(pristine)
        // As long as its archive is one byte too long.
        var count = 4096
        iso.initrd.files.config = noise(count)
        while try iso.initrd.files.archive().count > 4096 {
            count -= 1
            iso.initrd.files.config = noise(count)
        }
        let fits = patched(pristine, try iso.patches())
        #expect(try live(fits).initrd.files.config == noise(count))
        // xz streams have multiples of four bytes.
        let size = try iso.initrd.files.archive().count
        #expect(size > 4092)
        iso.initrd.files.config = noise(count + 8)
        let over = try iso.initrd.files.archive().count
        #expect(error { try iso.patches() } == "Compressed initramfs is too large: \(over) > 4096")
    }

    @Test func anAreaOfExactlyTheArchiveIsEnough() throws {
        var files = ArchiveFiles()
        files.config = noise(3000)
        let size = try files.archive().count
        for (length, fits) in [(size, true), (size - 1, false)] {
            var iso = try live(SampleLiveISO(.today, initrdLength: length).bytes())
            iso.initrd.files = files
            if fits {
                #expect(try iso.patches().count == 1)
            } else {
                #expect(error { try iso.patches() } == "Compressed initramfs is too large: \(size) > \(length)")
            }
        }
    }

    @Test func otherFilesStay() throws {
        let sample = SampleLiveISO(.today)
        var files = ArchiveFiles()
        files["usr/lib/other"] = [1, 2, 3]
        files.config = [4]
        var bytes = sample.bytes()
        let archive = try files.archive()
        bytes.replaceSubrange(sample.initrdOffset..<sample.initrdOffset + archive.count, with: archive)
        var iso = try live(bytes)
        iso.initrd.files.config = nil
        let removed = try live(patched(bytes, try iso.patches()))
        #expect(removed.initrd.files.names == ["usr/lib/other"])
    }

    @Test func anUncompressedAreaIsRead() throws {
        let sample = SampleLiveISO(.february2022)
        var bytes = sample.bytes()
        let archive = newc("config.ign", Array("{}".utf8)) + newcTrailer
        bytes.replaceSubrange(sample.initrdOffset..<sample.initrdOffset + archive.count, with: archive)
        #expect(try live(bytes).initrd.files.config == Array("{}".utf8))
    }

    /// An archive in which no regular file is: what is left where others took their files out.
    @Test func resettingLeavesZeros() throws {
        let sample = SampleLiveISO(.february2022)
        let pristine = sample.bytes()
        var bytes = pristine
        let archive = newcTrailer
        bytes.replaceSubrange(sample.initrdOffset..<sample.initrdOffset + archive.count, with: archive)
        var iso = try live(bytes)
        #expect(iso.initrd.files.isEmpty)
        // Who changes nothing of it leaves it as it is.
        #expect(try iso.patches() == [])
        iso.initrd.files = ArchiveFiles()
        #expect(patched(bytes, try iso.patches()) == pristine)
    }

    @Test func whatIsPutInAgainIsWrittenAsEverythingIs() throws {
        let sample = SampleLiveISO(.february2022)
        let pristine = sample.bytes()
        var bytes = pristine
        let archive = newc("config.ign", Array("{}".utf8)) + newcTrailer
        bytes.replaceSubrange(sample.initrdOffset..<sample.initrdOffset + archive.count, with: archive)
        var iso = try live(bytes)
        #expect(try iso.patches() == [])
        iso.initrd.files.config = Array("{}".utf8)
        var fresh = try live(pristine)
        fresh.initrd.files.config = Array("{}".utf8)
        let written = patched(pristine, try fresh.patches())
        #expect(patched(bytes, try iso.patches()) == written)
        // What is written so already is not written again.
        var again = try live(written)
        again.initrd.files.config = Array("{}".utf8)
        #expect(try again.patches() == [])
    }

    @Test func garbageInTheAreaIsAnError() throws {
        let sample = SampleLiveISO(.today)
        var bytes = sample.bytes()
        bytes[sample.initrdOffset + 100] = 1
        let text = error { try live(bytes) }
        #expect(text.hasPrefix("Unrecognized CoreOS ISO image.: decoding initrd embed area: reading CPIO entry"))
    }

    @Test func anotherISOIsNotRecognized() throws {
        var iso = SampleISO()
        iso["a/b"] = [1]
        #expect(error { try live(iso.bytes()) }.hasPrefix("Unrecognized CoreOS ISO image.: finding initrd embed area"))
        #expect(error { try live([1, 2, 3]) }.hasPrefix("parsing ISO9660 image"))
    }

    @Test(arguments: [
        (#"{"file": "images/ignition.img", "offset": 18446744073709551615}"#, "expected a number"),
        (#"{"file": "images/ignition.img", "offset": 9223372036854775807}"#, "offset 9223372036854775807 is beyond"),
        (#"{"file": "images/ignition.img", "offset": 999999999, "length": 10}"#, "reading 10 bytes at "),
        (#"{"file": "images/ignition.img", "length": 999999999}"#, "reading 999999999 bytes at "),
        (#"{"file": "images/ignition.img", "length": 9223372036854775807}"#, "reading 9223372036854775807 bytes at "),
        (#"{"file": "images/ignition.img", "offset": 16383, "length": 2}"#, "do not lie within IGNITION.IMG"),
        (#"{"file": "images/ignition.img", "offset": 16385}"#, "is beyond the end"),
        (#"{"file": "images/ignition.img", "length": -1}"#, "expected a number that is not negative"),
        (#"{"file": "nowhere"}"#, "finding initrd embed area"),
        (#"{"file": "images"}"#, "entry IMAGES is a directory"),
        (#"{"offset": 0}"#, "missing field `file`"),
        (#"{"file": 7}"#, "expected a string"),
        (#"[]"#, "expected an object"),
        (#"{"file": "#, "decoding igninfo"),
    ]) func jsonThatLiesIsRefused(_ json: String, _ text: String) throws {
        var sample = SampleLiveISO(.today)
        sample.image["coreos/igninfo.json"] = Array(json.utf8)
        let told = error { try live(sample.bytes()) }
        #expect(told.hasPrefix("Unrecognized CoreOS ISO image."))
        #expect(told.contains(text), "\(told)")
    }
}

@Suite struct ArgumentAreasOfISOs {
    @Test(arguments: Generation.allCases) func theAreasAreFound(_ generation: Generation) throws {
        let sample = SampleLiveISO(generation)
        let iso = try live(sample.bytes())
        #expect(iso.hasArguments == generation.hasArguments)
        guard generation.hasArguments else {
            #expect(
                error { try iso.arguments } == "No karg embed areas found; old or corrupted CoreOS ISO image.")
            return
        }
        let areas = try iso.arguments
        #expect(areas.areas.map(\.region.offset) == sample.argumentOffsets.map(UInt64.init))
        #expect(areas.length == sample.argumentLength)
        #expect(areas.defaults == SampleLiveISO.defaults)
        #expect(areas.arguments == SampleLiveISO.defaults)
        #expect(areas.areDefault)
    }

    @Test(arguments: Generation.allCases.filter(\.hasArguments))
    func changedArgumentsAreReadBackAndReset(_ generation: Generation) throws {
        let sample = SampleLiveISO(generation)
        let pristine = sample.bytes()
        var iso = try live(pristine)
        try iso.setArguments("  a=b c ")
        let changed = patched(pristine, try iso.patches())
        let (end, pad): (UInt8, UInt8) = generation.rawValue.contains("s390x") ? (0, 0) : (0x0a, 0x23)
        for offset in sample.argumentOffsets {
            #expect(Array(changed[offset..<offset + 7]) == Array("a=b c".utf8) + [end, pad])
            #expect(changed[offset + sample.argumentLength - 1] == pad)
        }
        var other = try live(changed)
        #expect(try other.arguments.arguments == "a=b c")
        #expect(try other.arguments.defaults == SampleLiveISO.defaults)
        #expect(other.hasChangedArguments)
        try other.setArguments(try other.arguments.defaults)
        #expect(patched(changed, try other.patches()) == pristine)
    }

    @Test func headerOrJSONIsEnough() throws {
        let sample = SampleLiveISO(.september2021)
        let json = Array("KARGS.JSO".utf8)
        func destroyed(_ bytes: [UInt8], json destroysJSON: Bool, header: Bool) -> [UInt8] {
            var bytes = bytes
            if header { bytes.replaceSubrange(32672..<32680, with: [UInt8](repeating: 0, count: 8)) }
            if destroysJSON, let place = bytes.indices.dropLast(9).first(where: { bytes[$0...].starts(with: json) }) {
                bytes[place] = UInt8(ascii: "Z")
            }
            return bytes
        }
        let bytes = sample.bytes()
        for (json, header) in [(false, false), (false, true), (true, false)] {
            let areas = try live(destroyed(bytes, json: json, header: header)).arguments
            #expect(areas.defaults == SampleLiveISO.defaults)
            #expect(areas.areas.map(\.region.offset) == sample.argumentOffsets.map(UInt64.init))
        }
        let iso = try live(destroyed(bytes, json: true, header: true))
        #expect(error { try iso.arguments } == "No karg embed areas found; old or corrupted CoreOS ISO image.")
        // Corrupt headers never matter while the JSON is there.
        var corrupt = bytes
        corrupt.replaceSubrange(32680..<32768, with: [UInt8](repeating: 0xff, count: 88))
        #expect(try live(corrupt).arguments.areDefault)
    }

    @Test func argumentsFillTheAreaUpToItsLastByte() throws {
        let pristine = SampleLiveISO(.today).bytes()
        var iso = try live(pristine)
        try iso.setArguments(String(repeating: "x", count: 1138))
        #expect(try live(patched(pristine, try iso.patches())).arguments.arguments.count == 1138)
        for count in [1139, 1140, 5000] {
            #expect(
                error { try iso.setArguments(String(repeating: "x", count: count)) }
                    == "kargs too large for area: \(count + 1) vs 1139")
        }
        #expect(error { try iso.setArguments("a\nb") } != "")
    }

    @Test func areasThatDifferAreRefused() throws {
        let sample = SampleLiveISO(.today)
        var bytes = sample.bytes()
        bytes[sample.argumentOffsets[1]] = UInt8(ascii: "M")
        let text = error { try live(bytes) }
        #expect(text.hasPrefix("kargs don't match at all offsets! (expected 'mitigations"))
        #expect(text.contains("but offset \(sample.argumentOffsets[1]) has: 'Mitigations"))
        bytes[sample.argumentOffsets[0]] = 0xff
        #expect(error { try live(bytes) }.contains("invalid UTF-8"))
    }

    @Test(arguments: [
        (#"{"default": "", "files": [], "size": 10}"#, "No karg embed areas found; corrupted CoreOS ISO image."),
        (#"{"default": "", "files": [], "size": 2049}"#, "karg embed area size larger than 2048 (found 2049)"),
        (#"{"default": "12345", "files": [], "size": 4}"#, "default kargs size 5 larger than embed areas (4)"),
        (
            #"{"default": "", "files": [{"path": "isolinux/isolinux.cfg", "offset": 9999999}], "size": 10}"#,
            "reading 10 bytes at "
        ),
        (
            #"{"default": "", "files": [{"path": "coreos/readme", "offset": 0}], "size": 10}"#,
            "do not lie within README"
        ),
        (#"{"default": "", "files": [{"path": "nowhere", "offset": 0}], "size": 10}"#, "looking up 'nowhere'"),
        (#"{"default": "", "files": [{"path": "images", "offset": 0}], "size": 10}"#, "looking up 'images'"),
        (#"{"default": "", "files": [{"offset": 0}], "size": 10}"#, "missing field `path`"),
        (
            #"{"default": "", "files": [{"path": "coreos/readme", "offset": 0, "pad": "ab"}], "size": 1}"#,
            "pad: expected one ASCII character"
        ),
        (#"{"default": "", "files": {}, "size": 10}"#, "files: expected a list"),
        (#"{"default": "", "files": []}"#, "missing field `size`"),
        (
            #"{"default": "", "files": [{"path": "images/ignition.img", "offset": 1}], "size": 10}"#,
            "overlap; corrupt ISO?"
        ),
        ("", "decoding kargs embed area info"),
    ]) func jsonThatLiesIsRefused(_ json: String, _ text: String) throws {
        var sample = SampleLiveISO(.today)
        sample.image["coreos/kargs.json"] = Array(json.utf8)
        let told = error { try live(sample.bytes()) }
        #expect(told.contains(text), "\(told)")
    }

    @Test(arguments: [
        (8, 4096, "karg embed area length larger than 2048 (found 4096)"),
        (16, 1 << 40, "reading default kargs"), (24, 1 << 40, "reading kargs embed area"),
        (24, 0, "No karg embed areas found; corrupted CoreOS ISO image."), (24, 100, "lies within the system area"),
        (24, -1, "reading kargs embed area"),
    ]) func headersThatLieAreRefused(_ place: Int, _ number: Int, _ text: String) throws {
        var bytes = SampleLiveISO(.january2021).bytes()
        bytes.replaceSubrange(32672 + place..<32680 + place, with: SampleLiveISO.number(number))
        let told = error { try live(bytes) }
        #expect(told.contains(text), "\(told)")
    }

    @Test func whatIsShownOfTheAreas() throws {
        let sample = SampleLiveISO(.july2023s390x)
        let iso = try live(sample.bytes())
        #expect(
            iso.initrd.description.text() == "{\"offset\":\(sample.initrdOffset),\"length\":\(sample.initrdLength)}")
        #expect(
            try iso.arguments.description.text()
                == "{\"length\":1139,\"default\":\"\(SampleLiveISO.defaults)\",\"kargs\":[{\"offset\":"
                + "\(sample.argumentOffsets[0]),\"length\":1139,\"pad\":\"\\u0000\",\"end\":\"\\u0000\"}]}")
        #expect(!(try live(SampleLiveISO(.september2021).bytes()).arguments.description.text().contains("pad")))
    }
}

@Suite struct EditingOfArguments {
    private func edited(
        _ text: String, append: [String] = [], delete: [String] = [], replace: [String] = []
    ) throws -> String {
        try KernelArgumentEdit(appending: append, deleting: delete, replacing: replace).applied(to: text)
    }

    @Test func deletingTakesWholeArguments() throws {
        #expect(try edited("foo bar foobar", delete: ["foo"]) == "bar foobar")
        #expect(try edited("foo bar foobar", delete: ["foobar"]) == "foo bar")
        #expect(try edited("foo bar foobar", delete: ["foo bar"]) == "foobar")
        #expect(try edited("foo bar", delete: ["  bar ", "foo", "missing"]) == "")
        // Two equal neighbours share a blank.
        #expect(try edited("a a a a b", delete: ["a"]) == "a a b")
        #expect(try edited("a x a x b", delete: ["x"]) == "a a b")
    }

    @Test func theOrderIsFixed() throws {
        #expect(try edited("a=1", append: ["a=2", " b "], replace: ["a=2=3"]) == "a=1 a=3 b")
        #expect(try edited("a", append: ["a"], delete: ["a"]) == "a")
        #expect(try edited("x=1 x=1 x=1", replace: ["x=1=2"]) == "x=2 x=1 x=2")
        #expect(try edited("  a ", append: []) == "a")
        #expect(try edited("a=\u{300}", replace: ["a=\u{300}=b"]) == "a=b")
    }

    @Test(arguments: ["a", "a=b", "a=b=", "=b=c", "a==c", "a=b=c=d", ""])
    func aReplacementHasThreeParts(_ text: String) {
        #expect(error { try edited("a=b", replace: [text]) } == "Wrong input, format should be: KEY=OLD=NEW")
    }
}
