// Any bytes as the directories of an ISO 9660 image, behind descriptors that are right.

@testable import BootMedia

/// Descriptors that are right, and room for the rest.
private let descriptors: [UInt8] = {
    var image = [UInt8](repeating: 0, count: 24 * 2048)
    func put(_ bytes: [UInt8], at offset: Int) { image.replaceSubrange(offset..<offset + bytes.count, with: bytes) }
    put([1] + Array("CD001".utf8) + [1], at: 16 * 2048)
    put([24, 0, 0, 0], at: 16 * 2048 + 80)
    put([255] + Array("CD001".utf8) + [1], at: 17 * 2048)
    return image
}()

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count > 34 else { return 0 }
    var image = descriptors
    image.withUnsafeMutableBytes { room in
        let given = UnsafeRawBufferPointer(start: data, count: count)
        let (record, rest) = (given[..<34], given[34...].prefix(6 * 2048))
        // The root's record is a given one, but for where it is.
        UnsafeMutableRawBufferPointer(rebasing: room[(16 * 2048 + 156)...]).copyBytes(from: record)
        room[16 * 2048 + 156] = 34
        UnsafeMutableRawBufferPointer(rebasing: room[(16 * 2048 + 158)...]).copyBytes(from: [18, 0, 0, 0])
        UnsafeMutableRawBufferPointer(rebasing: room[(18 * 2048)...]).copyBytes(from: rest)
    }
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
