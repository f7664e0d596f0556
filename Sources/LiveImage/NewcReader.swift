// Reading newc cpio archives while they arrive.

import Encoding

/// The header of one member of a newc archive.
///
/// It has 110 bytes: the magic `070701`, then 13 numbers of 8 hexadecimal digits each. The name and a NUL follow, then
/// the data; each is padded with NUL to a multiple of 4 from the start of the archive.
/// - SeeAlso: Linux, `Documentation/driver-api/early-userspace/buffer-format.rst`.
public struct NewcHeader: Equatable, Sendable {
    /// The bytes of a header without the name.
    public static let length = 110
    /// The first bytes of a header.
    public static let magic: [UInt8] = Array("070701".utf8)
    /// The name of the member that ends an archive.
    public static let trailer = "TRAILER!!!"

    /// The inode number.
    public var inode: UInt32
    /// File type and permissions as in `st_mode`.
    public var mode: UInt32
    /// The number of the owner.
    public var user: UInt32
    /// The number of the owning group.
    public var group: UInt32
    /// The number of hard links.
    public var links: UInt32
    /// The modification time in seconds since 1970.
    public var modified: UInt32
    /// The length of the data in bytes; the format limits it to less than 4 GiB.
    public var size: UInt32
    /// The name as it is in the archive.
    public var name: String
    /// Where the member's data starts, in bytes from the start of the archive.
    public var dataOffset: UInt64

    /// Whether the mode says that this is a regular file.
    public var isRegularFile: Bool { mode & 0o170000 == 0o100000 }
}

/// Why bytes are not a newc archive; offsets count from its start.
public enum NewcError: Error, Equatable, Sendable, CustomStringConvertible {
    case notAnArchive(offset: UInt64)
    case brokenHeader(offset: UInt64)
    case brokenName(offset: UInt64)
    case endsEarly(offset: UInt64, member: String?)
    case trailingData(offset: UInt64)

    /// What is wrong, as a phrase that follows the name of the file.
    public var description: String {
        switch self {
        case .notAnArchive(let offset): "no cpio member where one should start, at byte \(offset)"
        case .brokenHeader(let offset): "a cpio header with characters that are not hex digits, at byte \(offset)"
        case .brokenName(let offset): "a cpio member with an impossible name, at byte \(offset)"
        case .endsEarly(let offset, let member?): "the archive ends at byte \(offset), inside \(member)"
        case .endsEarly(let offset, nil): "the archive ends at byte \(offset), before its last member"
        case .trailingData(let offset): "something follows the end of the archive, at byte \(offset)"
        }
    }
}

/// Reads an archive from slices of any length, without holding data back.
///
///     while let event = try reader.next(&slice) { ... }
///     ...
///     try reader.finish()
public struct NewcReader: Sendable {
    /// What the next bytes of an archive mean.
    public enum Event {
        case member(NewcHeader)
        /// The next part of the last member's data; never empty.
        case data(UnsafeRawBufferPointer)
        /// The last member's data is complete.
        case endOfMember
        /// The archive is complete; only padding may follow.
        case endOfArchive
    }

    private enum State {
        case header
        case name(NewcHeader, length: Int)
        case namePadding(NewcHeader)
        case data(left: UInt64)
        case dataPadding
        case ended
    }

    /// The limit of Linux for a name, including its NUL.
    private static let longestName = 4096

    private var state = State.header
    /// Header or name bytes that arrived before the rest.
    private var pending: [UInt8] = []
    private var member: String?
    /// How many bytes were read.
    public private(set) var offset: UInt64 = 0

    /// Creates a reader at the start of an archive.
    public init() {}

    /// Takes bytes off the front of `slice` and returns what they mean, or `nil` when the slice is used up.
    public mutating func next(_ slice: inout UnsafeRawBufferPointer) throws(NewcError) -> Event? {
        while true {
            switch state {
            case .header:
                guard try collect(NewcHeader.length, from: &slice, checkingMagic: true) else { return nil }
                let (header, nameLength) = try parseHeader()
                guard 1...Self.longestName ~= nameLength else {
                    throw .brokenName(offset: offset - UInt64(NewcHeader.length))
                }
                state = .name(header, length: nameLength)
            case .name(var header, let length):
                guard try collect(length, from: &slice) else { return nil }
                // dracut-cpio pads names so that data begins on a block
                // that can be shared. As in the kernel, the first NUL
                // ends the name, and the last byte has to be NUL.
                guard pending.last == 0, let end = pending.firstIndex(of: 0), end > 0 else {
                    throw .brokenName(offset: offset - UInt64(length))
                }
                header.name = String(decoding: pending[..<end], as: UTF8.self)
                pending.removeAll(keepingCapacity: true)
                state = .namePadding(header)
            case .namePadding(var header):
                guard skipPadding(&slice) else { return nil }
                if header.name == NewcHeader.trailer {
                    state = .ended
                    member = nil
                    return .endOfArchive
                }
                header.dataOffset = offset
                member = header.name
                state = .data(left: UInt64(header.size))
                return .member(header)
            case .data(let left):
                if left == 0 {
                    state = .dataPadding
                    return .endOfMember
                }
                if slice.isEmpty { return nil }
                let data = slice.take(Int(clamping: left))
                offset += UInt64(data.count)
                state = .data(left: left - UInt64(data.count))
                return .data(data)
            case .dataPadding:
                guard skipPadding(&slice) else { return nil }
                member = nil
                state = .header
            case .ended:
                if let other = slice.firstIndex(where: { $0 != 0 }) {
                    throw .trailingData(offset: offset + UInt64(other))
                }
                offset += UInt64(slice.count)
                slice = slice.from(slice.count)
                return nil
            }
        }
    }

    /// Bytes of the last member's data that have not come yet.
    public var dataLeft: UInt64 { if case .data(let left) = state { left } else { 0 } }

    /// Skips the rest of a member's data for a caller that can seek, which continues at ``offset``.
    public mutating func skipData() {
        guard case .data(let left) = state else { return }
        offset += left
        state = .data(left: 0)
    }

    /// Ends the archive: no more bytes will come.
    ///
    /// - Throws: ``NewcError/endsEarly(offset:member:)`` if the archive is incomplete.
    public func finish() throws(NewcError) {
        guard case .ended = state else { throw .endsEarly(offset: offset, member: member) }
    }

    /// Fills ``pending`` up to `count` bytes; returns whether it is full.
    private mutating func collect(
        _ count: Int, from slice: inout UnsafeRawBufferPointer, checkingMagic: Bool = false
    ) throws(NewcError) -> Bool {
        let taken = slice.take(count - pending.count)
        let start = offset - UInt64(pending.count)
        pending.append(contentsOf: taken)
        offset += UInt64(taken.count)
        // The magic is checked early, so that an error names the first wrong byte and not the 110th.
        if checkingMagic, !pending.starts(with: NewcHeader.magic.prefix(pending.count)) {
            throw .notAnArchive(offset: start)
        }
        return pending.count == count
    }

    /// Skips to the next multiple of 4; returns whether the slice reached that far.
    private mutating func skipPadding(_ slice: inout UnsafeRawBufferPointer) -> Bool {
        let wanted = Int((4 - offset % 4) % 4)
        let skipped = slice.take(wanted)
        offset += UInt64(skipped.count)
        return skipped.count == wanted
    }

    private mutating func parseHeader() throws(NewcError) -> (NewcHeader, nameLength: Int) {
        var fields: [UInt32] = []
        fields.reserveCapacity(13)
        var value: UInt32 = 0
        for (position, byte) in pending[NewcHeader.magic.count...].enumerated() {
            guard let digit = hexadecimalValue(byte) else {
                throw .brokenHeader(offset: offset - UInt64(NewcHeader.length))
            }
            value = value << 4 | UInt32(digit)
            if position % 8 == 7 {
                fields.append(value)
                value = 0
            }
        }
        pending.removeAll(keepingCapacity: true)
        let header = NewcHeader(
            inode: fields[0], mode: fields[1], user: fields[2], group: fields[3], links: fields[4],
            modified: fields[5], size: fields[6], name: "", dataOffset: 0)
        return (header, Int(fields[11]))
    }
}
