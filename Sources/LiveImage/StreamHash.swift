// Stream hashes: one digest per chunk, so that a file can be verified while it arrives.

import Encoding

/// The digests of a file's chunks, in order.
///
/// The text has the form of `/etc/coreos-live-want-rootfs`:
///
///     stream-hash sha256 2097152
///     <64 lower-case hex digits>      one line per chunk; the last chunk may be shorter
public struct StreamHash: Equatable, Sendable {
    /// The bytes per chunk, from 1 to 64 MiB.
    public let chunkSize: Int
    /// The SHA-256 of each chunk, 32 bytes each.
    public let digests: [[UInt8]]

    /// The chunk size of new hashes, 2 MiB.
    public static let usualChunkSize = 2 << 20
    /// The largest chunk size that is read, 64 MiB.
    public static let largestChunkSize = 64 << 20
    /// The bytes of a digest.
    public static let digestLength = 32

    /// Why a text is not a stream hash.
    public enum Malformed: Error, Equatable, Sendable, CustomStringConvertible {
        case header(String)
        case chunkSize(String)
        /// A line that is not a digest; lines count from 1.
        case digest(line: Int)

        /// What is wrong, as a phrase that follows the name of the file.
        public var description: String {
            switch self {
            case .header(let text):
                "the stream hash starts with \"\(text)\", not with \"stream-hash sha256 SIZE\""
            case .chunkSize(let text): "the stream hash has chunks of \(text) bytes; 1 to 67108864 can be"
            case .digest(let line): "line \(line) of the stream hash is not a SHA-256 of 64 lower-case hex digits"
            }
        }
    }

    /// Creates a hash from digests of 32 bytes each.
    ///
    /// - Throws: ``Malformed/chunkSize(_:)`` for a chunk size that is not allowed.
    public init(chunkSize: Int = usualChunkSize, digests: [[UInt8]]) throws(Malformed) {
        guard 1...Self.largestChunkSize ~= chunkSize else { throw .chunkSize("\(chunkSize)") }
        self.chunkSize = chunkSize
        self.digests = digests
    }

    /// Reads the text form; the last newline may be missing.
    public init(parsing text: some Collection<UInt8>) throws(Malformed) {
        var lines = text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        if lines.last?.isEmpty == true { lines.removeLast() }
        let header = lines.first.map { String(decoding: $0, as: UTF8.self) } ?? ""
        let words = header.split(separator: " ", omittingEmptySubsequences: false)
        guard words.count == 3, words[0] == "stream-hash", words[1] == "sha256" else {
            throw .header(String(header.prefix(40)))
        }
        guard words[2].allSatisfy({ $0.isASCII && $0.isNumber }), let size = Int(words[2]) else {
            throw .chunkSize(String(words[2].prefix(20)))
        }
        var digests: [[UInt8]] = []
        for (index, line) in lines.dropFirst().enumerated() {
            guard line.count == 2 * Self.digestLength, let digest = bytes(lowerCaseHex: line) else {
                throw .digest(line: index + 2)
            }
            digests.append(digest)
        }
        try self.init(chunkSize: size, digests: digests)
    }

    /// The text form, which ends in a newline.
    public var text: String {
        (["stream-hash sha256 \(chunkSize)"] + digests.map { hexadecimal($0) }).joined(separator: "\n") + "\n"
    }

    /// The shortest and the longest file, in bytes, that can have this hash.
    public var lengths: ClosedRange<UInt64> {
        let longest = UInt64(chunkSize) * UInt64(digests.count)
        return (digests.isEmpty ? 0 : longest - UInt64(chunkSize) + 1)...longest
    }
}

private func bytes(lowerCaseHex text: some Collection<UInt8>) -> [UInt8]? {
    text.contains { UInt8(ascii: "A")...UInt8(ascii: "F") ~= $0 } ? nil : bytes(hexadecimal: text)
}
