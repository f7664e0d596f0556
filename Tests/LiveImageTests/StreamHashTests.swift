import LiveImage
import Testing

private let digestA = String(repeating: "0f", count: 32)
private let digestB = String(repeating: "a5", count: 32)

@Suite struct StreamHashText {
    @Test func readsAndWritesTheSameText() throws {
        let text = "stream-hash sha256 2097152\n\(digestA)\n\(digestB)\n"
        let hash = try StreamHash(parsing: Array(text.utf8))
        #expect(hash.chunkSize == 2 << 20)
        let digests: [[UInt8]] = [Array(repeating: 0x0f, count: 32), Array(repeating: 0xa5, count: 32)]
        #expect(hash.digests == digests)
        #expect(hash.text == text)
        #expect(try StreamHash(parsing: Array(text.utf8.dropLast())) == hash)
        #expect(hash.lengths == (2 << 20) + 1...4 << 20)
        #expect(try StreamHash(digests: []).lengths == 0...0)
    }

    @Test func anEmptyFileHasNoLines() throws {
        #expect(try StreamHash(parsing: Array("stream-hash sha256 1\n".utf8)).digests.isEmpty)
    }

    @Test(
        "refuses what is not a stream hash",
        arguments: [
            ("", StreamHash.Malformed.header("")),
            ("stream-hash  sha256 2097152\n", .header("stream-hash  sha256 2097152")),
            ("stream-hash sha512 2097152\n", .header("stream-hash sha512 2097152")),
            ("stream-hash sha256 2097152 \n", .header("stream-hash sha256 2097152 ")),
            ("stream-hash sha256 0\n", .chunkSize("0")),
            ("stream-hash sha256 -1\n", .chunkSize("-1")),
            ("stream-hash sha256 67108865\n", .chunkSize("67108865")),
            ("stream-hash sha256 99999999999999999999\n", .chunkSize("99999999999999999999")),
            ("stream-hash sha256 4\n\(digestA)\n\(digestB.dropLast())\n", .digest(line: 3)),
            ("stream-hash sha256 4\n\n\(digestA)\n", .digest(line: 2)),
            ("stream-hash sha256 4\n\(digestB.uppercased())\n", .digest(line: 2)),
            ("stream-hash sha256 4\n\(digestA)\r\n", .digest(line: 2)),
        ] as [(String, StreamHash.Malformed)])
    func refuses(text: String, why: StreamHash.Malformed) {
        #expect(throws: why) { try StreamHash(parsing: Array(text.utf8)) }
    }
}

@Suite struct ChunkVerification {
    /// A stand-in for SHA-256 that sees every byte and the length.
    private static func digest(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
        [bytes.reduce(UInt8(bytes.count)) { ($0 &* 3) &+ $1 }]
    }

    private func hash(of bytes: [UInt8], chunk: Int) throws -> StreamHash {
        let digests = stride(from: 0, to: bytes.count, by: chunk).map { start in
            bytes[start..<min(start + chunk, bytes.count)].withUnsafeBytes(Self.digest)
        }
        return try StreamHash(chunkSize: chunk, digests: digests)
    }

    /// What is let through, up to the error where there is one.
    private func run(_ bytes: [UInt8], _ wanted: StreamHash, slices: Int) -> ([UInt8], StreamHashMismatch?) {
        var verifier = ChunkVerifier(wanted, digest: Self.digest)
        var through: [UInt8] = []
        do {
            try inSlices(of: slices, bytes) { slice, last in
                var rest = slice
                while let verified = try verifier.next(&rest, last: last) { through += verified }
            }
            #expect(verifier.verified == UInt64(through.count))
            return (through, nil)
        } catch {
            return (through, error as? StreamHashMismatch)
        }
    }

    @Test("lets right bytes through in order", arguments: [1, 3, 4, 5, 8, 9, 100], [0, 1, 3, 4, 8, 11])
    func letsThrough(slices: Int, length: Int) throws {
        let bytes = pattern(length)
        let (through, fault) = run(bytes, try hash(of: bytes, chunk: 4), slices: slices)
        #expect(fault == nil)
        #expect(through == bytes)
    }

    @Test("stops before a wrong chunk", arguments: [1, 4, 6, 100])
    func stops(slices: Int) throws {
        let bytes = pattern(20)
        let wanted = try hash(of: bytes, chunk: 8)
        var wrong = bytes
        wrong[13] ^= 0x10
        let (through, fault) = run(wrong, wanted, slices: slices)
        #expect(fault == .chunk(index: 1, offset: 8))
        #expect(through == Array(bytes[..<8]))
    }

    @Test("notices an early end and a late one", arguments: [1, 8, 100])
    func length(slices: Int) throws {
        let bytes = pattern(20)
        let wanted = try hash(of: bytes, chunk: 8)
        #expect(run(Array(bytes[..<8]), wanted, slices: slices).1 == .endsEarly(offset: 8, chunksDue: 2))
        #expect(run(Array(bytes[..<11]), wanted, slices: slices).1 == .endsEarly(offset: 11, chunksDue: 2))
        #expect(run([], wanted, slices: slices).1 == .endsEarly(offset: 0, chunksDue: 3))
        #expect(run(Array(bytes[..<19]), wanted, slices: slices).1 == .chunk(index: 2, offset: 16))
        let whole = pattern(16)
        let fault = run(whole + [1], try hash(of: whole, chunk: 8), slices: slices).1
        #expect(fault == .tooLong(offset: 16))
    }

    @Test func goesOnAtTheChunkThatWasWrong() throws {
        let bytes = pattern(20)
        var verifier = ChunkVerifier(try hash(of: bytes, chunk: 8), digest: Self.digest)
        var wrong = bytes
        wrong[9] = 0xff
        wrong.withUnsafeBytes { all in
            var slice = all
            #expect(throws: StreamHashMismatch.chunk(index: 1, offset: 8)) {
                while try verifier.next(&slice, last: true) != nil {}
            }
        }
        #expect(verifier.verified == 8)
        try bytes[8...].withUnsafeBytes { rest in
            var slice = UnsafeRawBufferPointer(rebasing: rest[..<3])
            #expect(try verifier.next(&slice, last: false) == nil)
            verifier.discardPending()
            slice = rest
            while try verifier.next(&slice, last: true) != nil {}
        }
        #expect(verifier.verified == 20)
    }
}
