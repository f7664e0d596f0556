// Where a zstd frame ends, found without decompressing it: the next part of an initramfs starts there.

import Encoding

/// A zstd frame.
///
/// - SeeAlso: RFC 8878, section 3.1.1.
enum ZstandardFrame {
    static let magic: [UInt8] = [0x28, 0xb5, 0x2f, 0xfd]

    /// The length in bytes of the frame at the start of `bytes`; `nil` if that is not a whole frame.
    static func length(_ bytes: ArraySlice<UInt8>) -> Int? {
        guard bytes.starts(with: magic), bytes.count > 5 else { return nil }
        let descriptor = bytes[bytes.startIndex + 4]
        let isSingleSegment = descriptor & 0x20 != 0
        let dictionary = [0, 1, 2, 4][Int(descriptor & 3)]
        let contentSize = [isSingleSegment ? 1 : 0, 2, 4, 8][Int(descriptor >> 6)]
        var at = bytes.startIndex + 5 + (isSingleSegment ? 0 : 1) + dictionary + contentSize
        while at + 3 <= bytes.endIndex {
            let header = number(bigEndian: bytes[at..<at + 3].reversed())
            // Type 1 is one byte that is repeated.
            let stored = header >> 1 & 3 == 1 ? 1 : header >> 3
            at += 3 + stored
            guard header & 1 == 1 else { continue }
            if descriptor & 4 != 0 { at += 4 }  // the checksum
            return at <= bytes.endIndex ? at - bytes.startIndex : nil
        }
        return nil
    }
}
