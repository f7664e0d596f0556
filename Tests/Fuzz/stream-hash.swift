// Any bytes as a stream hash; what is read is written again, and chunks are let through as they are.

@testable import LiveImage

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: data, count: count))
    guard let hash = try? StreamHash(parsing: bytes) else { return 0 }
    precondition((try? StreamHash(parsing: Array(hash.text.utf8))) == hash, "written and read again it is another")
    precondition(hash.lengths.lowerBound <= hash.lengths.upperBound)
    guard hash.chunkSize <= 4096 else { return 0 }
    // The text itself as the stream, in pieces; its digests are whatever the hash says of that chunk, but for one.
    var chunk = 0
    let wrong = count % 7
    var verifier = ChunkVerifier(hash) { _ in
        defer { chunk += 1 }
        return chunk == wrong || chunk >= hash.digests.count ? [] : hash.digests[chunk]
    }
    var passed = 0
    do {
        var start = 0
        while start < bytes.count {
            let end = min(start + 1 + count % 97, bytes.count)
            try bytes[start..<end].withUnsafeBytes { part in
                var rest = part
                while let good = try verifier.next(&rest, last: end == bytes.count) {
                    precondition(good.elementsEqual(bytes[passed..<passed + good.count]), "other bytes came through")
                    passed += good.count
                }
            }
            start = end
        }
        precondition(passed == bytes.count && hash.lengths.contains(UInt64(passed)))
    } catch {
        precondition(passed <= wrong * hash.chunkSize, "bytes behind a wrong chunk came through")
    }
    precondition(verifier.verified == UInt64(passed))
    return 0
}
