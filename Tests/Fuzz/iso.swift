// Any bytes as the directories of an ISO 9660 image, behind descriptors that are right.

@testable import BootMedia

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count > 34 else { return 0 }
    let given = UnsafeBufferPointer(start: data, count: count)
    var image = [UInt8](repeating: 0, count: 24 * 2048)
    func put(_ bytes: some Collection<UInt8>, at offset: Int) {
        for (index, byte) in bytes.enumerated() where offset + index < image.count { image[offset + index] = byte }
    }
    put([1] + Array("CD001".utf8) + [1], at: 16 * 2048)
    put([24, 0, 0, 0], at: 16 * 2048 + 80)
    // The root's record is a given one, but for where it is.
    put(given.prefix(34), at: 16 * 2048 + 156)
    put([34], at: 16 * 2048 + 156)
    put([18, 0, 0, 0], at: 16 * 2048 + 158)
    put([255] + Array("CD001".utf8) + [1], at: 17 * 2048)
    put(given.dropFirst(34), at: 18 * 2048)
    do {
        let iso = try ISO9660(ByteSource(image))
        _ = try? iso.file(BootMediaName.argumentAreas)
        let found = try iso.walk()
        precondition(found.count <= image.count)
        for (path, entry) in found {
            // A name may be empty: a NUL ends it.
            precondition(!path.utf8.contains(0) && !entry.name.utf8.contains(UInt8(ascii: "/")))
            if !entry.isDirectory { _ = try? iso.contents(of: entry) }
        }
    } catch {
        _ = "\(error)"
    }
    return 0
}
