// Any bytes as a cpio archive.

@testable import LiveImage

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count > 1 else { return 0 }
    let bytes = UnsafeRawBufferPointer(start: data + 1, count: count - 1)
    let slices = Int(data[0]) + 1
    var reader = NewcReader()
    var (left, start): (UInt64, Int) = (0, 0)
    do {
        while start < bytes.count {
            let end = min(start + slices, bytes.count)
            var rest = UnsafeRawBufferPointer(rebasing: bytes[start..<end])
            while let event = try reader.next(&rest) {
                switch event {
                case .member(let header):
                    precondition(left == 0, "a member inside another's data")
                    precondition(!header.name.isEmpty && !header.name.utf8.contains(0))
                    precondition(header.dataOffset.isMultiple(of: 4))
                    left = UInt64(header.size)
                case .data(let part):
                    precondition(!part.isEmpty && UInt64(part.count) <= left)
                    left -= UInt64(part.count)
                case .endOfMember: precondition(left == 0)
                case .endOfArchive: break
                }
            }
            precondition(rest.isEmpty, "bytes were left")
            start = end
        }
        try reader.finish()
        precondition(reader.offset == UInt64(bytes.count))
    } catch {
        _ = "\(error)"
    }
    return 0
}
