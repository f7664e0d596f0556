// Any bytes as coreos/miniso.dat: what is read is written so that the same is read again.

@testable import BootMedia

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: data, count: count))
    do {
        let minimal = try MinimalISO(parsing: bytes)
        let again = try MinimalISO(parsing: minimal.bytes)
        precondition(again == minimal)
        precondition(minimal.digest.count == 32)
        var position: UInt64 = 0
        for piece in minimal.pieces {
            switch piece {
            case .packed(let count): position += count
            case .full(_, let count): position += count
            case .rest: break
            }
        }
        precondition(position <= UInt64(UInt32.max) * 2048 + UInt64(UInt32.max))
        var reader = try XZReader(minimal.packed)
        var left = 1 << 20
        while left > 0, let part = try reader.next(4096) {
            precondition(!part.isEmpty)
            left -= part.count
        }
    } catch {
        _ = "\(error)"
    }
    return 0
}
