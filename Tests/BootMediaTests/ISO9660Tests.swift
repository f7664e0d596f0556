import BootMedia
import MediaSamples
import Testing

@Suite struct ISO9660Reading {
    private func iso(_ change: (inout SampleISO) -> Void = { _ in }) -> SampleISO {
        var iso = SampleISO()
        iso["content/dir/subfile.txt"] = Array("sub\n".utf8)
        iso["content/file.txt"] = Array("foo\n".utf8)
        iso["a/b/c/d/deep"] = Array("deep".utf8)
        change(&iso)
        return iso
    }

    private func open(_ bytes: [UInt8]) throws -> ISO9660 { try ISO9660(ByteSource(bytes)) }

    @Test func descriptorsAreRead() throws {
        let image = try open(SampleLiveISO(.today).bytes())
        #expect(image.primary.systemID == "LINUX")
        #expect(image.primary.volumeID == "fedora-coreos-40")
        #expect(image.primary.root.name == ".")
        #expect(
            image.descriptors == [
                .primary(image.primary), .boot(systemID: "EL TORITO SPECIFICATION", bootID: ""), .supplementary,
            ])
        #expect(UInt64(image.primary.size) * 2048 == image.source.length)
    }

    @Test func pathsAreLookedUp() throws {
        let image = try open(iso().bytes())
        #expect(try image.entry("/") == image.primary.root)
        #expect(try image.entry("").isDirectory)
        #expect(try image.entry("./CONTENT/../CONTENT/DIR").name == "DIR")
        #expect(try image.contents(of: image.file("CONTENT/FILE.TXT")) == Array("foo\n".utf8))
        #expect(try image.contents(of: image.file("/A/B/C/D/DEEP")) == Array("deep".utf8))
        #expect(throws: MediaFault.self) { try image.file("CONTENT") }
        for path in ["MISSING", "MISSING/FILE", "CONTENT/FILE.TXT/FILE", "content/file.txt"] {
            #expect(throws: ISO9660.NotFound.self) { try image.entry(path) }
            #expect(try image.fileIfPresent(path) == nil)
        }
    }

    @Test func aDirectoryCanBeLongerThanASector() throws {
        let image = try open(
            iso { iso in for number in 1...150 { iso["many/\(number).dat"] = [UInt8(number)] } }.bytes())
        #expect(try image.entries(of: image.entry("MANY")).count == 150)
        #expect(try image.contents(of: image.file("MANY/149.DAT")) == [149])
    }

    @Test func allPathsAreWalkedDepthFirst() throws {
        let paths = try open(iso().bytes()).walk().map(\.path)
        #expect(
            paths == [
                "CONTENT", "CONTENT/DIR", "CONTENT/DIR/SUBFILE.TXT", "CONTENT/FILE.TXT", "A", "A/B", "A/B/C", "A/B/C/D",
                "A/B/C/D/DEEP",
            ])
    }

    @Test func namesLoseVersionAndDot() throws {
        let iso = iso {
            $0["names/noext"] = []; $0["names/!#.x"] = nil; $0["names/a-b_c d.e+f"] = []
        }
        let names = try open(iso.bytes()).walk().map(\.path).filter { $0.hasPrefix("NAMES/") }
        #expect(names == ["NAMES/NOEXT", "NAMES/A-B_C D.E+F"])
    }

    /// The image with some bytes of the first record of that name in another way.
    private func changed(_ iso: SampleISO, record name: String, _ change: (inout [UInt8], Int) -> Void) -> [UInt8] {
        var bytes = iso.bytes()
        let wanted = Array(name.utf8)
        let place = bytes.indices.dropLast(wanted.count).first { bytes[$0...].starts(with: wanted) } ?? 0
        change(&bytes, place - 33)
        return bytes
    }

    @Test func aTruncatedImageIsRefused() throws {
        let bytes = iso().bytes()
        #expect(error { try open(Array(bytes.dropLast(2048))) } == "ISO image is incomplete")
        #expect(error { try open(Array(bytes.prefix(17 * 2048))) }.contains("reading volume descriptor"))
        #expect(error { try open([]) }.contains("getting volume descriptor #1"))
        #expect(error { try open([UInt8](repeating: 1, count: 1 << 16)) }.contains("unknown descriptor ID"))
        // Types that nobody knows, without end.
        #expect(error { try open([UInt8](repeating: 7, count: 1 << 20)) }.contains("volume descriptors"))
    }

    @Test func brokenRecordsAreRefused() throws {
        let overTheEnd = changed(iso(), record: "FILE.TXT") { bytes, record in
            bytes.replaceSubrange(record..<record + 1, with: [255])
        }
        // What stands before it is found.
        let first = try open(overTheEnd)
        #expect(try first.entry("CONTENT/DIR").name == "DIR")
        let short = changed(iso(), record: "CONTENT") { bytes, record in bytes[record] = 20 }
        #expect(error { try open(short).entry("CONTENT") }.contains("incomplete directory record"))
        let name = changed(iso(), record: "CONTENT") { bytes, record in bytes[record + 33] = UInt8(ascii: "$") }
        #expect(error { try open(name).walk() }.contains("invalid string name \"$ONTENT\""))
        let beyond = changed(iso(), record: "CONTENT") { bytes, record in bytes[record + 4] = 0x7f }
        #expect(error { try open(beyond).walk() }.contains("reading directory CONTENT"))
        let long = changed(iso(), record: "CONTENT") { bytes, record in bytes[record + 13] = 0xff }
        #expect(error { try open(long).walk() }.contains("reading directory CONTENT"))
    }

    @Test func aRecordOverTheEndOfItsDirectoryIsRefused() throws {
        var bytes = iso().bytes()
        let folder = iso().offsets["content/"] ?? 0
        // A record that begins eight bytes before the end of its folder, and such as are passed over up to there.
        var position = folder
        while bytes[position] != 0 { position += Int(bytes[position]) }
        while position < folder + 2040 {
            let left = folder + 2040 - position
            let length = left < 68 + 34 ? left : 34
            bytes[position] = UInt8(length)
            bytes[position + 32] = 1
            bytes[position + 33] = 1
            position += length
        }
        bytes[position] = 34
        #expect(error { try open(bytes).walk() }.contains("incomplete directory record"))
    }

    @Test func directoriesWithoutEndAreRefused() throws {
        let root = (try open(iso().bytes())).primary.root.sector
        let cyclic = changed(iso(), record: "DIR") { bytes, record in
            bytes.replaceSubrange(
                record + 2..<record + 6, with: (0..<4).map { UInt8(truncatingIfNeeded: root >> (8 * $0)) })
        }
        #expect(error { try open(cyclic).walk() }.contains("overlaps another one"))
        // A look at one path ends by itself.
        #expect(try open(cyclic).entry("CONTENT/DIR/CONTENT/DIR/CONTENT/FILE.TXT").length == 4)
        let overlapping = changed(iso(), record: "CONTENT") { bytes, record in bytes[record + 11] = 0x10 }
        #expect(error { try open(overlapping).walk() }.contains("overlaps another one"))
    }

    @Test func aSmallFileIsNotAGigabyte() throws {
        let bytes = changed(iso(), record: "FILE.TXT") { bytes, record in bytes[record + 13] = 0x40 }
        let image = try open(bytes)
        let file = try image.file("CONTENT/FILE.TXT")
        #expect(error { try image.contents(of: file) }.contains("more than the"))
    }
}

/// What a call that has to fail says; empty where it does not fail.
func error(_ body: () throws -> some Any) -> String {
    do {
        _ = try body()
        return ""
    } catch {
        return "\(error)"
    }
}
