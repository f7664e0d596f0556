import Encoding
import Hashing
import LinuxSystem
import Testing

@testable import Fetching

@Suite struct Digests {
    @Test func knownValues() {
        var digest = MessageDigest(.sha256)
        #expect(
            hexadecimal(digest.finish()) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        for piece in ["a", "", "bc"] { Array(piece.utf8).withUnsafeBytes { digest.update($0) } }
        let abc = hexadecimal(digest.finish())
        #expect(abc == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect(Array("abc".utf8).withUnsafeBytes { hexadecimal(MessageDigest.sha256($0)) } == abc)
        var long = MessageDigest(.sha512)
        Array("abc".utf8).withUnsafeBytes { long.update($0) }
        #expect(hexadecimal(long.finish()).hasPrefix("ddaf35a193617abacc417349ae204131"))
    }
}

func gzipped(_ bytes: [UInt8]) throws -> [UInt8] { try Command("gzip", ["-c"], input: bytes).run().standardOutput }

@Suite struct Gunzipping {
    private func gunzip(_ bytes: [UInt8], slices: Int) throws -> [UInt8] {
        let gunzip = try Gunzip()
        var content: [UInt8] = []
        try bytes.withUnsafeBytes { all in
            for start in stride(from: 0, to: all.count, by: slices) {
                let slice = UnsafeRawBufferPointer(rebasing: all[start..<min(start + slices, all.count)])
                try gunzip.push(slice) { content.append(contentsOf: $0) }
            }
        }
        try gunzip.finish()
        return content
    }

    @Test("one member or several are one content", arguments: [1, 7, 4096, 1 << 20])
    func members(slices: Int) throws {
        let one = [UInt8](repeating: 7, count: 300_000)
        let two = Array("two".utf8)
        #expect(try gunzip(try gzipped(one), slices: slices) == one)
        #expect(try gunzip(try gzipped(one) + gzipped([]) + gzipped(two), slices: slices) == one + two)
    }

    @Test func whatIsNoGzipIsRefused() throws {
        let good = try gzipped(Array("some text".utf8))
        #expect(throws: Gunzip.Fault.notGzip) { try gunzip(Array("plain text, and more".utf8), slices: 100) }
        #expect(throws: Gunzip.Fault.endsEarly) { try gunzip([], slices: 1) }
        #expect(throws: Gunzip.Fault.endsEarly) { try gunzip(Array(good.dropLast(3)), slices: 5) }
        var wrong = good
        wrong[good.count - 6] ^= 1
        #expect(throws: Gunzip.Fault.self) { try gunzip(wrong, slices: 100) }
        #expect(throws: Gunzip.Fault.self) { try gunzip(good + [0, 0, 0, 0], slices: 100) }
    }
}
