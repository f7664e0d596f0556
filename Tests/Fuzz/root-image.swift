// Any bytes as a root image: an archive, or a bare filesystem. How it comes in pieces changes nothing.

@testable import LiveImage

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count > 1 else { return 0 }
    let bytes = UnsafeRawBufferPointer(start: data + 1, count: count - 1)
    let whole = story(bytes, slices: bytes.count)
    let pieces = story(bytes, slices: Int(data[0]) + 1)
    precondition(whole == pieces, "in pieces it is another image")
    return 0
}

/// What the reader says, with data as its length and a sum.
private func story(_ bytes: UnsafeRawBufferPointer, slices: Int) -> [String] {
    var reader = RootImageReader()
    var told: [String] = []
    var (length, sum, announced): (UInt64, UInt64, UInt64) = (0, 0, .max)
    do {
        var start = 0
        while start < bytes.count {
            let end = min(start + slices, bytes.count)
            var rest = UnsafeRawBufferPointer(rebasing: bytes[start..<end])
            while let event = try reader.next(&rest) {
                switch event {
                case .image(let format, let offset, let count):
                    precondition(count >= format.length && count < 1 << 61 && offset < UInt64(bytes.count))
                    announced = count
                    told.append("\(format) \(offset) \(count)")
                case .imageData(let part):
                    length += UInt64(part.count)
                    for byte in part { sum = sum &* 31 &+ UInt64(byte) }
                case .version(let text): told.append("version \(text)")
                case .installImage(let name, let count):
                    precondition(!name.contains("/") && name != "..", "a name that leads elsewhere")
                    told.append("\(name) \(count)")
                case .installImageData: break
                }
            }
            start = end
        }
        precondition(length <= announced, "more of the image than was announced")
        try reader.finish()
        told.append("end")
    } catch {
        // At which piece a fault shows is not the same; that it does is.
        return ["fault"]
    }
    return told + ["\(length) \(sum)"]
}
