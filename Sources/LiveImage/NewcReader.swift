// Reading newc cpio archives as they arrive.

import Encoding

/// The header of one member of a newc archive.
///
/// 110 bytes: the magic `070701`, then 13 numbers of 8 hex digits each; the name and its NUL follow,
/// then the data, each padded with NUL to a multiple of 4 from the start of the archive.
/// - SeeAlso: Linux, `Documentation/driver-api/early-userspace/buffer-format.rst`.
public struct NewcHeader: Equatable, Sendable {
    public static let length = 110
    public static let magic: [UInt8] = Array("070701".utf8)
    public static let trailer = "TRAILER!!!"

    public var inode: UInt32
    /// File type and permissions, as `st_mode`.
    public var mode: UInt32
    public var user: UInt32
    public var group: UInt32
    public var links: UInt32
    /// Seconds since 1970.
    public var modified: UInt32
    /// Bytes of data; below 4 GiB by the format.
    public var size: UInt32
    public var name: String
    /// Where the member's data starts, in bytes from the start of the archive.
    public var dataOffset: UInt64

    public var isRegularFile: Bool { mode & 0o170000 == 0o100000 }
}

/// Why bytes are no newc archive. Offsets count from its start.
public enum NewcError: Error, Equatable, Sendable, CustomStringConvertible {
    case notAnArchive(offset: UInt64)
    case brokenHeader(offset: UInt64)
    case brokenName(offset: UInt64)
    case endsEarly(offset: UInt64, member: String?)
    case trailingData(offset: UInt64)

    public var description: String {
        switch self {
        case .notAnArchive(let offset): "no cpio member where one should start, at byte \(offset)"
        case .brokenHeader(let offset): "a cpio header with characters that are no hex digits, at byte \(offset)"
        case .brokenName(let offset): "a cpio member with an impossible name, at byte \(offset)"
        case .endsEarly(let offset, let member?): "the archive ends at byte \(offset), inside \(member)"
        case .endsEarly(let offset, nil): "the archive ends at byte \(offset), before its last member"
        case .trailingData(let offset): "something follows the end of the archive, at byte \(offset)"
        }
    }
}

/// Reads an archive from slices of any length, without holding any data back.
///
///     while let event = try reader.next(&slice) { ... }
///     ...
///     try reader.finish()
public struct NewcReader: Sendable {
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

    /// Linux's own limit of a name, its NUL included.
    private static let longestName = 4096

    private var state = State.header
    /// Header or name bytes that arrived before the rest of them.
    private var pending: [UInt8] = []
    private var member: String?
    /// Bytes read so far.
    public private(set) var offset: UInt64 = 0

    public init() {}

    /// Takes bytes off the front of `slice` and returns what they say; `nil` once the slice is used up.
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
                // dracut-cpio pads names, so that data begins on a block that can be shared; as the kernel does, the
                // first NUL ends the name, and one has to be the last byte.
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

    /// Passes over what is left of a member's data, for a caller that can seek: go on at ``offset``.
    public mutating func skipData() {
        guard case .data(let left) = state else { return }
        offset += left
        state = .data(left: 0)
    }

    /// Says that no more bytes will come.
    public func finish() throws(NewcError) {
        guard case .ended = state else { throw .endsEarly(offset: offset, member: member) }
    }

    /// Fills ``pending`` up to `count`; whether it is full.
    private mutating func collect(
        _ count: Int, from slice: inout UnsafeRawBufferPointer, checkingMagic: Bool = false
    ) throws(NewcError) -> Bool {
        let taken = slice.take(count - pending.count)
        let start = offset - UInt64(pending.count)
        pending.append(contentsOf: taken)
        offset += UInt64(taken.count)
        // Early, so that garbage is told by its first bytes and not by its 110th.
        if checkingMagic, !pending.starts(with: NewcHeader.magic.prefix(pending.count)) {
            throw .notAnArchive(offset: start)
        }
        return pending.count == count
    }

    /// Skips to the next multiple of 4; whether the slice reached that far.
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
