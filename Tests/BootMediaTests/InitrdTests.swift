import BootMedia
import CZlib
import CZstd
import MediaSamples
import Testing

/// One zstd frame.
func zstd(_ bytes: [UInt8]) -> [UInt8] {
    var room = [UInt8](repeating: 0, count: ZSTD_compressBound(bytes.count))
    let count = ZSTD_compress(&room, room.count, bytes, bytes.count, 3)
    return Array(room[..<count])
}

/// A frame that decompressors pass over.
let skippable: [UInt8] = [0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]

@Suite struct Initrds {
    private func archive(_ prefix: String, _ text: String = "hello\n") -> [UInt8] {
        newc(prefix, mode: 0o040755) + newc("\(prefix)/file", Array(text.utf8)) + newcTrailer
    }

    private let compressions: [(String, ([UInt8]) throws -> [UInt8])] = [
        ("plain", { $0 }), ("gzip", Gzip.compress), ("xz", { try XZ.compress($0, check: .crc32) }),
        ("xz64", { try XZ.compress($0, check: .crc64) }), ("zstd", zstd),
    ]

    @Test func archivesOfAllKindsFollowOneAnother() throws {
        for padding in [0, 1, 4, 511, 100_000] {
            var initrd: [UInt8] = []
            var wanted: [String] = []
            for round in 1...2 {
                for (name, compress) in compressions {
                    initrd += try compress(archive("\(name)-\(round)")) + [UInt8](repeating: 0, count: padding)
                    wanted.append("\(name)-\(round)/file")
                }
            }
            let files = try ArchiveFiles(reading: initrd)
            // Frames without zeros between them are one archive: nothing follows a zstd frame here but others.
            #expect(files.names == wanted.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) })
            #expect(wanted.allSatisfy { files[$0] == Array("hello\n".utf8) })
            // In pieces it is the same.
            for size in [1, 3, 4096] where initrd.count < 20_000 {
                var rest = initrd[...]
                let pieces = try ArchiveFiles(keeping: .all) {
                    defer { rest = rest.dropFirst(size) }
                    return Array(rest.prefix(size))
                }
                #expect(pieces == files)
            }
        }
    }

    @Test func whatIsNotKeptNeedNotBeRead() throws {
        let large = [UInt8](repeating: 7, count: 1 << 20)
        let plain = newc("large", large) + newc("kept", [1, 2]) + newc("more", large) + newcTrailer
        let initrd = plain + zstd(archive("kept")) + [0, 0, 0] + plain
        let glob = ArchiveGlob(names: ["kept", "kept/file"])
        var count = 0
        func read(_ initrd: [UInt8]) throws -> ArchiveFiles {
            var position = 0
            func passOver(_ count: UInt64) -> Bool {
                guard count <= UInt64(initrd.count - position) else { return false }
                position += Int(count)
                return true
            }
            return try ArchiveFiles(keeping: glob, passOver: passOver) {
                let part = Array(initrd[position...].prefix(1000))
                position += part.count
                count += part.count
                return part
            }
        }
        let files = try read(initrd)
        #expect(files.names == ["kept", "kept/file"] && files["kept"] == [1, 2])
        #expect(count < 20_000)
        // What ends early is an error all the same, and in the same words.
        for cut in [1, 200, 1 << 19, 1 << 20, (1 << 20) + 400] {
            let torn = Array(initrd.dropLast(cut))
            var faults: [String] = []
            do { _ = try ArchiveFiles(reading: torn, keeping: glob) } catch { faults.append("\(error)") }
            do { _ = try read(torn) } catch { faults.append("\(error)") }
            #expect(faults.count == 2 && faults[0] == faults[1], "\(faults)")
        }
    }

    @Test func anEmptyInitrdHasNoFiles() throws {
        #expect(try ArchiveFiles(reading: []).isEmpty)
        #expect(try ArchiveFiles(reading: [0, 0, 0]).isEmpty)
        #expect(try ArchiveFiles(reading: newcTrailer).isEmpty)
    }

    @Test func framesOfZstandardAreOneArchive() throws {
        let bytes = archive("a")
        let half = bytes.count / 2
        let frames = [skippable, zstd(Array(bytes[..<half])), skippable, zstd(Array(bytes[half...])), skippable]
        let split = Array(frames.joined())
        #expect(try ArchiveFiles(reading: split).names == ["a/file"])
        // Two whole archives in two frames are not two.
        #expect(
            error { try ArchiveFiles(reading: zstd(bytes) + zstd(bytes)) }
                .contains("found trailing garbage inside compressed archive"))
        // With zeros between them they are.
        #expect(try ArchiveFiles(reading: zstd(bytes) + [0, 0, 0, 0] + zstd(archive("b"))).count == 2)
    }

    @Test func ofANameTheLastCounts() throws {
        let initrd =
            newc("f", [1]) + newc("f", [2]) + newcTrailer
            + (try Gzip.compress(newc("f", [3]) + newcTrailer))
        #expect(try ArchiveFiles(reading: initrd)["f"] == [3])
        // A link of that name is not a file, and takes nothing away.
        #expect(try ArchiveFiles(reading: initrd + newc("f", [4], mode: 0o120777) + newcTrailer)["f"] == [3])
    }

    @Test func paddedNamesAreRead() throws {
        let initrd = newc("dir/hello", [UInt8](repeating: 7, count: 5000), namePadding: 3000) + newcTrailer
        #expect(try ArchiveFiles(reading: initrd).names == ["dir/hello"])
    }

    @Test func zerosAfterTheTrailerAreFineInACompressedArchive() throws {
        for (_, compress) in compressions.dropFirst() {
            let zeros = [UInt8](repeating: 0, count: 700_000)
            #expect(try ArchiveFiles(reading: compress(archive("a") + zeros)).count == 1)
            #expect(
                error { try ArchiveFiles(reading: compress(archive("a") + zeros + [1])) }
                    .contains("found trailing garbage inside compressed archive"))
        }
    }

    @Test func truncatedDataIsAnError() throws {
        for (name, compress) in compressions {
            let whole = try compress(archive("a", String(repeating: "hello ", count: 5000)))
            for count in [7, whole.count / 2, whole.count - 5] {
                let text = error { try ArchiveFiles(reading: Array(whole.prefix(count))) }
                #expect(!text.isEmpty, "\(name) \(count)")
                if name == "zstd" { #expect(text.contains("premature EOF reading zstd frame")) }
            }
        }
    }

    @Test func otherCompressionsAreReadAsAnArchive() {
        let magics: [[UInt8]] = [
            [0x02, 0x21, 0x4c, 0x18], [0x42, 0x5a, 0x68, 0x39], [0x5d, 0, 0, 0x80], [0x89, 0x4c, 0x5a],
        ]
        for magic in magics {
            let bytes = magic + [UInt8](repeating: 1, count: 200)
            #expect(error { try ArchiveFiles(reading: bytes) }.contains("reading CPIO entry"))
        }
        #expect(error { try ArchiveFiles(reading: [0x1f, 0x8b]) }.contains("reading CPIO entry"))
    }

    @Test func corruptDataIsAnError() throws {
        for (name, compress) in compressions.dropFirst() {
            var bytes = try compress(archive("a", String(repeating: "hello ", count: 5000)))
            for index in stride(from: 8, to: bytes.count, by: max(bytes.count / 50, 1)) { bytes[index] ^= 0x55 }
            #expect(error { try ArchiveFiles(reading: bytes) } != "", "\(name)")
        }
    }

    @Test func bombsAreStopped() throws {
        let bomb = newc("a", [UInt8](repeating: 0, count: 3 << 20)) + newcTrailer
        let limits = ArchiveLimits(unpacked: 1 << 20, kept: 1 << 20)
        for (name, compress) in compressions.dropFirst() {
            let text = error { try ArchiveFiles(reading: compress(bomb), limits: limits) }
            #expect(text.contains("unpacks to more than 1048576 bytes"), "\(name): \(text)")
            // What is not kept is counted too.
            #expect(error { try ArchiveFiles(reading: compress(bomb), keeping: .config, limits: limits) } != "")
        }
        #expect(error { try ArchiveFiles(reading: bomb, limits: limits) } != "")
        // Very many files without contents.
        let many = (0..<8000).flatMap { newc("file-\($0)") } + newcTrailer
        #expect(error { try ArchiveFiles(reading: many, limits: limits) } != "")
        #expect(try ArchiveFiles(reading: bomb, keeping: .config, limits: limits).isEmpty)
    }

    @Test func filesAreSortedAndFoldersStandBeforeThem() throws {
        var files = ArchiveFiles()
        for name in ["c/f", "c/a/b/d/f", "d", "c/g", "c/a/c/f", "a/b/c"] { files[name] = [] }
        let archive = try XZ.decompress(files.archive(), limit: 1 << 20)
        var names: [String] = []
        var at = 0
        while at < archive.count {
            func field(_ index: Int) -> Int {
                Int(String(decoding: archive[at + 6 + 8 * index..<at + 14 + 8 * index], as: UTF8.self), radix: 16) ?? -1
            }
            let name = String(decoding: archive[at + 110..<at + 110 + field(11) - 1], as: UTF8.self)
            names.append("\(String(field(1), radix: 8)) \(name)")
            #expect(field(0) == (name == "TRAILER!!!" ? 0 : names.count - 1))
            #expect(field(2) == 0 && field(3) == 0 && field(5) == 0)
            at += (110 + field(11) + 3) & ~3
        }
        #expect(
            names == [
                "40755 a", "40755 a/b", "100600 a/b/c", "40755 c", "40755 c/a", "40755 c/a/b", "40755 c/a/b/d",
                "100600 c/a/b/d/f", "40755 c/a/c", "100600 c/a/c/f", "100600 c/f", "100600 c/g", "100600 d",
                "0 TRAILER!!!",
            ])
        #expect(at == archive.count)
    }

    @Test func whatIsWrittenIsReadBack() throws {
        var files = ArchiveFiles()
        files["etc/a"] = Array("1".utf8)
        files["etc/b"] = (0..<100_000).map { UInt8(truncatingIfNeeded: $0) }
        files["x"] = []
        files["/absolute/name"] = [1]
        files["twice//slashed"] = [2]
        let bytes = try files.archive()
        #expect(try ArchiveFiles(reading: bytes) == files)
        #expect(bytes.count % 4 == 0)
        // The stream's flags: CRC32.
        #expect(Array(bytes[6..<8]) == [0, 1])
        #expect(try files.archive() == bytes)
    }

    @Test func filesThatAreKept() throws {
        let initrd = newc("config.ign", [1]) + newc("a/config.ign", [2]) + newc("etc/x", [3]) + newcTrailer
        #expect(try ArchiveFiles(reading: initrd, keeping: .config).names == ["config.ign"])
        #expect(try ArchiveFiles(reading: initrd, keeping: ArchiveGlob(parsing: ["*ign", "etc/?"])).count == 3)
    }
}

@Suite struct Globs {
    @Test(arguments: [
        ("gzip/hello", "gzip/hello", true), ("gzip/*", "gzip/a/b", true), ("*/hello", "a/b/hello", true),
        ("*", "", true), ("?", "/", true), ("?", "", false), ("a*b*c", "aXbYbZc", true), ("a*b", "ac", false),
        ("[a-c]x", "bx", true), ("[!a-c]x", "bx", false), ("[!a-c]x", "dx", true), ("[]]", "]", true),
        ("[]-]", "-", true), ("[a-]", "-", true), ("**/b", "b", true), ("**/b", "a/c/b", true), ("**/b", "ab", false),
        ("a/**/b", "a/b", true), ("a/**/b", "a/x/y/b", true), ("a/**/b", "ax/b", false), ("a/**", "a/b/c", true),
        ("**", "a/b", true), ("A", "a", false), (".*", ".x", true), ("é?", "éa", true),
    ]) func match(_ glob: String, _ name: String, _ matches: Bool) throws {
        #expect(try ArchiveGlob(parsing: [glob]).matches(name) == matches)
    }

    @Test(arguments: ["***", "a**", "**a", "[", "[a", "[!", "a/b**/c", "[]"])
    func areRefused(_ glob: String) {
        #expect(error { try ArchiveGlob(parsing: [glob]) } != "")
    }

    @Test func noPatternIsSlow() throws {
        let glob = try ArchiveGlob(parsing: [String(repeating: "*a", count: 200) + "b"])
        #expect(!glob.matches(String(repeating: "a", count: 4000)))
    }
}
