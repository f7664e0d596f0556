import BootMedia
import MediaSamples
import Testing

@Suite struct MinimalISOData {
    private func data(_ files: [MinimalISO.File], packed: [UInt8] = [1, 2, 3]) throws -> MinimalISO {
        try MinimalISO(program: "0.11.0", files: files, digest: [UInt8](repeating: 9, count: 32), packed: packed)
    }

    @Test func isWrittenAsBincode() throws {
        let bytes = try data([
            .init(minimal: 250, full: 251, length: 65535), .init(minimal: 300, full: 1 << 20, length: 1),
        ])
        .bytes
        var wanted = Array("MINISO\0\0".utf8)
        wanted += [1, 6]
        wanted += Array("0.11.0".utf8)
        wanted += [2, 250, 251, 251, 0, 251, 255, 255, 251, 44, 1, 252, 0, 0, 16, 0, 1]
        wanted += [UInt8](repeating: 9, count: 32)
        wanted += [3, 1, 2, 3]
        #expect(bytes == wanted)
    }

    @Test func isReadBackWithTheZerosBehindIt() throws {
        let minimal = try data([.init(minimal: 1, full: 2, length: 3000)], packed: [UInt8](repeating: 5, count: 300))
        #expect(try MinimalISO(parsing: minimal.bytes + [UInt8](repeating: 0, count: 5000)) == minimal)
        for count in 0..<minimal.bytes.count {
            #expect(error { try MinimalISO(parsing: Array(minimal.bytes.prefix(count))) } != "")
        }
    }

    @Test func thePiecesAreInOrder() throws {
        let minimal = try data([.init(minimal: 0, full: 7, length: 2048), .init(minimal: 3, full: 5, length: 10)])
        let wanted: [MinimalISO.Piece] = [
            .full(offset: 14336, count: 2048), .packed(4096), .full(offset: 10240, count: 10), .rest,
        ]
        #expect(minimal.pieces == wanted)
    }

    @Test func whatIsNoDataIsRefused() throws {
        let bytes = try data([.init(minimal: 1, full: 2, length: 3)]).bytes
        func with(_ index: Int, _ byte: UInt8) -> [UInt8] {
            var bytes = bytes
            bytes[index] = byte
            return bytes
        }
        #expect(error { try MinimalISO(parsing: [UInt8](repeating: 0, count: 16384)) }.contains("not a miniso file!"))
        #expect(
            error { try MinimalISO(parsing: with(8, 2)) }
                .contains("incompatible miniso file version: 1 vs 2 (created by 0.11.0)"))
        #expect(error { try MinimalISO(parsing: with(9, 254)) } != "")
        #expect(error { try MinimalISO(parsing: with(16, 250)) }.contains("failed to deserialize data"))
        #expect(error { try MinimalISO(parsing: with(16, 0)) } != "")
        #expect(error { try MinimalISO(parsing: with(17, 253)) } != "")
        // A length of all of memory.
        var liar = Array(bytes.prefix(bytes.count - 4))
        liar += [253]
        liar += [UInt8](repeating: 0xff, count: 8)
        #expect(error { try MinimalISO(parsing: liar) } != "")
    }

    @Test func filesThatOverlapAreRefused() throws {
        #expect(
            error { try data([.init(minimal: 1, full: 0, length: 2049), .init(minimal: 2, full: 9, length: 1)]) }
                .contains("Files at offsets 2048 and 4096 overlap"))
        #expect(
            error { try data([.init(minimal: 5, full: 0, length: 1), .init(minimal: 2, full: 9, length: 1)]) } != "")
        #expect(error { try data([]) }.contains("table is empty"))
    }

    private func entry(_ sector: UInt32, _ length: UInt32) -> ISO9660.Entry {
        .init(name: "", isDirectory: false, sector: sector, length: length)
    }

    @Test func theTableHoldsEachFileOnce() throws {
        let minimal = [("b", entry(9, 5)), ("a", entry(3, 4)), ("link", entry(3, 4)), ("empty", entry(3, 0))]
        let full = [
            ("a", entry(30, 4)), ("b", entry(20, 5)), ("link", entry(30, 4)), ("empty", entry(0, 0)),
            ("x", entry(1, 1)),
        ]
        #expect(
            try MinimalISO.table(minimal: minimal, full: full) == [
                .init(minimal: 3, full: 30, length: 4), .init(minimal: 9, full: 20, length: 5),
            ])
        #expect(
            error { try MinimalISO.table(minimal: minimal, full: []) }.contains("missing minimal file b in full ISO"))
        #expect(
            error { try MinimalISO.table(minimal: [("a", entry(3, 4))], full: [("a", entry(3, 5))]) }
                .contains("File a has different lengths"))
    }

    @Test func aMinimalISOLosesItsMedium() throws {
        let pristine = SampleLiveISO(.today).minimal.bytes()
        for url in [nil, "https://boot.example/rootfs.img"] {
            var iso = try live(pristine)
            let bytes = patched(pristine, try iso.becomeMinimal(rootImageURL: url))
            let made = try live(bytes)
            let defaults = "mitigations=auto,nosmt ignition.firstboot ignition.platform.id=metal"
            #expect(try made.arguments.defaults == defaults)
            #expect(
                try made.arguments.arguments
                    == defaults + (url.map { " coreos.live.rootfs_url=\($0)" } ?? ""))
            // The file is as long as before, blanks at its end.
            let file = try made.image.file(BootMediaName.argumentAreas)
            let json = try made.image.contents(of: file)
            #expect(json.starts(with: Array("{\n  \"default\": \"mitigations=auto,nosmt ignition.f".utf8)))
            #expect(json.last == UInt8(ascii: " "))
        }
        var iso = try live(pristine)
        #expect(error { try iso.becomeMinimal(rootImageURL: "a b") } == "forbidden whitespace found in 'a b'")
        var none = try live(SampleLiveISO(.today, defaults: "a b").minimal.bytes())
        #expect(
            error { try none.becomeMinimal(rootImageURL: nil) } == "minimal ISO does not have coreos.liveiso= karg")
    }
}
