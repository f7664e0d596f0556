// The forms of a live system's root: an archive (rootfs.img) or a bare filesystem image.

/// Why a stream has no usable root image.
public enum RootImageFault: Error, Equatable, Sendable, CustomStringConvertible {
    case empty
    /// The bytes are not a root image.
    ///
    /// `what` is a phrase that follows "this is", if the first bytes are known; `member` is the archive member that
    /// should be an image, if there is one.
    case unknown(what: String?, member: String? = nil)
    case noImage
    case twoImages(second: String)
    case truncated(RootImageFormat, has: UInt64)
    case archive(NewcError)

    /// What is wrong, as a phrase that follows the name of the file.
    public var description: String {
        switch self {
        case .empty: "it is empty"
        case .unknown(let what?, let member): "\(member ?? "this") is \(what)"
        case .unknown(nil, let member?): "\(member) is neither a squashfs nor an erofs"
        case .unknown(nil, nil): "it is not an archive, a squashfs or an erofs"
        case .noImage: "the archive holds neither \(LiveImageName.rootImages.joined(separator: " nor "))"
        case .twoImages(let second): "the archive holds a second root image, \(second)"
        case .truncated(let format, let has):
            "the \(format) image is cut short: it has \(has) of its \(format.length) bytes"
        case .archive(let error): "\(error)"
        }
    }
}

/// Reads a root image in either form from slices of any length; its first bytes tell the form.
///
/// Data is passed on without being copied, except for the first 2 KiB of the image.
public struct RootImageReader: ~Copyable {
    /// What the next bytes of a stream mean.
    public enum Event {
        /// A root image starts at `offset` of the stream, and `length` bytes of it are worth keeping.
        ///
        /// That is all of an archive member; of a bare image it is what the superblock states, rounded up to 4096
        /// bytes, because the last block counts in full.
        case image(RootImageFormat, offset: UInt64, length: UInt64)
        case imageData(UnsafeRawBufferPointer)
        /// The version text of the archive, without surrounding blanks and newlines.
        case version(String)
        /// A packed install image starts; `name` is a plain file name.
        case installImage(name: String, length: UInt64)
        case installImageData(UnsafeRawBufferPointer)
    }

    private enum Container { case unknown, archive, bare(left: UInt64?) }

    private enum Member { case none, imageHead(NewcHeader, name: String), image, version([UInt8]), installImage }

    private static let versionLimit = 4096

    private var container = Container.unknown
    private var member = Member.none
    private var archive = NewcReader()
    /// The first bytes of the stream, later of the image.
    private let head: UnsafeMutableRawBufferPointer
    private var headCount = 0
    private var replaysHead = false
    /// The bytes that followed the head in the same slice.
    private var afterHead: UnsafeRawBufferPointer?
    private var format: RootImageFormat?

    /// Creates a reader at the start of a stream.
    public init() { head = .allocate(byteCount: RootImageFormat.headLength, alignment: 16) }

    deinit { head.deallocate() }

    /// Takes bytes off the front of `slice` and returns what they mean, or `nil` if it needs more.
    ///
    /// Data that it returns is valid until the next call. Call it until it returns `nil` before the memory behind
    /// `slice` is used again.
    public mutating func next(_ slice: inout UnsafeRawBufferPointer) throws(RootImageFault) -> Event? {
        if replaysHead {
            replaysHead = false
            return .imageData(headBytes)
        }
        if let rest = afterHead {
            afterHead = nil
            return .imageData(rest)
        }
        switch container {
        case .unknown:
            guard fillHead(NewcHeader.magic.count, from: &slice) else { return nil }
            if headBytes.elementsEqual(NewcHeader.magic) {
                container = .archive
                var magic = headBytes
                _ = try readArchive(&magic)
                headCount = 0
            } else {
                container = .bare(left: nil)
            }
            return try next(&slice)
        case .archive: return try nextOfArchive(&slice)
        case .bare(left: nil):
            guard fillHead(RootImageFormat.headLength, from: &slice) else { return nil }
            guard let format = RootImageFormat(head: headBytes) else { throw unknown(lookingAhead: slice) }
            let length = (format.length + 4095) / 4096 * 4096
            self.format = format
            container = .bare(left: length - UInt64(headCount))
            replaysHead = true
            return .image(format, offset: 0, length: length)
        case .bare(let left?):
            let data = slice.take(Int(clamping: left))
            container = .bare(left: left - UInt64(data.count))
            // What follows the filesystem (padding, hash trees) is not part of it.
            if left == 0 { slice = slice.from(slice.count) }
            return data.isEmpty ? nil : .imageData(data)
        }
    }

    /// Ends the stream: no more bytes will come.
    ///
    /// - Throws: ``RootImageFault`` if there is no whole root image.
    public mutating func finish() throws(RootImageFault) {
        switch container {
        case .unknown where headCount == 0: throw .empty
        case .unknown, .bare(left: nil):
            if let format = RootImageFormat(head: headBytes) { throw .truncated(format, has: UInt64(headCount)) }
            throw unknown(lookingAhead: UnsafeRawBufferPointer(start: nil, count: 0))
        case .bare(let left?):
            guard let format else { throw .empty }
            let has = (format.length + 4095) / 4096 * 4096 - left
            guard has >= format.length else { throw .truncated(format, has: has) }
        case .archive:
            do throws(NewcError) { try archive.finish() } catch { throw .archive(error) }
            guard format != nil else { throw .noImage }
        }
    }

    private var headBytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: head[..<headCount]) }

    /// Copies bytes into ``head`` until it has `count`; returns whether it has.
    private mutating func fillHead(_ count: Int, from slice: inout UnsafeRawBufferPointer) -> Bool {
        let taken = slice.take(max(0, count - headCount))
        UnsafeMutableRawBufferPointer(rebasing: head[headCount...]).copyMemory(from: taken)
        headCount += taken.count
        return headCount >= count
    }

    private func unknown(lookingAhead slice: UnsafeRawBufferPointer, member: String? = nil) -> RootImageFault {
        let isoMagic = slice.from(32769 - headCount).first(5)
        return .unknown(what: knownByItsFirstBytes(headBytes, isoMagic: isoMagic), member: member)
    }

    private mutating func readArchive(
        _ slice: inout UnsafeRawBufferPointer
    ) throws(RootImageFault) -> NewcReader.Event? {
        do throws(NewcError) { return try archive.next(&slice) } catch { throw .archive(error) }
    }

    private mutating func nextOfArchive(
        _ slice: inout UnsafeRawBufferPointer
    ) throws(RootImageFault) -> Event? {
        while let event = try readArchive(&slice) {
            switch event {
            case .member(let header):
                if let said = try begin(header) { return said }
            case .data(let data):
                switch member {
                case .none: break
                case .imageHead(let header, let name):
                    if let said = try readImageHead(data, header, name) { return said }
                case .image: return .imageData(data)
                case .installImage: return .installImageData(data)
                case .version(var text):
                    member = .none
                    text.append(contentsOf: data.prefix(Self.versionLimit - text.count))
                    member = .version(text)
                }
            case .endOfMember:
                defer { member = .none }
                if case .version(let text) = member { return .version(trimmed(text)) }
            case .endOfArchive: break
            }
        }
        return nil
    }

    private mutating func begin(_ header: NewcHeader) throws(RootImageFault) -> Event? {
        member = .none
        guard header.isRegularFile else { return nil }
        let name = normalizedMemberName(header.name)
        if LiveImageName.rootImages.contains(name) {
            guard format == nil else { throw .twoImages(second: name) }
            guard header.size > 0 else { throw .empty }
            headCount = 0
            member = .imageHead(header, name: name)
        } else if name == LiveImageName.rootfsVersion {
            member = .version([])
        } else if name.hasSuffix(LiveImageName.installImageSuffix), !name.contains("/") {
            member = .installImage
            return .installImage(name: name, length: UInt64(header.size))
        }
        return nil
    }

    private mutating func readImageHead(
        _ data: UnsafeRawBufferPointer, _ header: NewcHeader, _ name: String
    ) throws(RootImageFault) -> Event? {
        var rest = data
        guard fillHead(min(RootImageFormat.headLength, Int(header.size)), from: &rest) else { return nil }
        guard let format = RootImageFormat(head: headBytes) else { throw unknown(lookingAhead: rest, member: name) }
        guard format.length <= UInt64(header.size) else { throw .truncated(format, has: UInt64(header.size)) }
        self.format = format
        member = .image
        replaysHead = true
        afterHead = rest.isEmpty ? nil : rest
        return .image(format, offset: header.dataOffset, length: UInt64(header.size))
    }
}

/// The text of a version marker without surrounding blanks, newlines and NULs.
public func trimmed(_ marker: some Collection<UInt8>) -> String {
    let isBlank = { (byte: UInt8) in byte == 0x20 || 0x09...0x0d ~= byte || byte == 0 }
    let text = marker.drop(while: isBlank)
    let end = text.reversed().drop(while: isBlank)
    return String(decoding: end.reversed(), as: UTF8.self)
}
