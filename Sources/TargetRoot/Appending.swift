// Appending exactly once: a file on persistent storage keeps a record of what was appended to it.
//
// The record is an extended attribute of the file itself and arrives with the content in one step, when the new file
// replaces the old one. It cannot exist without the content, survives whatever is written after the content later, and
// goes with the file. Where there is no record, because the filesystem has no attributes or a program has rewritten the
// file, a file that ends with exactly these lines counts as having them.

import CLinux
import Glibc
import Hashing
import IgnitionConfig
import LinuxSystem
import SystemPackage

extension TargetRoot {
    /// Only root may write `trusted`; ordinary users and some containers may write `user`.
    private static let recordNames = ["trusted.firstlight.appended", "user.firstlight.appended"]

    /// Appends to a file that exists; the new content replaces the old in one step.
    ///
    /// - Parameters:
    ///   - resources: What to append, in order.
    ///   - path: The file.
    ///   - present: What the file already has, by its record or, without a record, by its end, which is about to
    ///     change.
    ///   - repeats: Whether this leaves no record, so that the next run appends again.
    ///   - scratch: A name for files without a name.
    ///   - fetch: Gets what is appended.
    /// - Throws: ``TargetFault``, or what `fetch` throws.
    func append(
        _ resources: [IgnitionConfig.Resource], to path: String, after present: [IgnitionConfig.Resource],
        repeats: Bool, scratch: Place, fetch: FetchContent
    ) throws {
        let place = try place(try resolve(path))
        let old = try named(place) { () throws(Errno) in try place.open(O_RDWR | O_APPEND) }
        defer { close(old) }
        var status = stat()
        guard fstat(old, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw TargetFault.cannot("append to", path: path, .invalidArgument)
        }
        let recorded = appended(to: old)
        var record = recorded
        if record.isEmpty {
            for resource in present {
                let part = try fetched(resource, beside: scratch, fetch: fetch)
                defer { close(part) }
                record.append(try digest(of: part))
            }
        }
        // Not in the file's folder: a run that is killed must leave nothing there once the file is whole.
        let new = try scratch.create()
        try? scratch.remove()
        defer { close(new) }
        // Everything is fetched before the file is touched, so that a lost connection does not leave half of it.
        for resource in resources {
            let part = try fetched(resource, beside: scratch, fetch: fetch)
            defer { close(part) }
            try copy(part, into: new, scratch)
            record.append(try digest(of: part))
        }
        if let length = try lengthBefore(old, new) {
            try named(place) { () throws(Errno) in if ftruncate(old, length) != 0 { throw Errno(rawValue: errno) } }
        }
        if status.st_nlink > 1 {
            // A new file would be separate from the old one's other names, so this one is changed in place. If that
            // stops halfway, the record tells the next run where it began.
            func flush() throws(TargetFault) {
                if fsync(old) != 0 { throw .cannot("append to", path: path, Errno(rawValue: errno)) }
            }
            guard fstat(old, &status) == 0 else {
                throw TargetFault.cannot("append to", path: path, Errno(rawValue: errno))
            }
            setRecord(recorded + [Self.beginWord + String(status.st_size)], of: old)
            try flush()
            try copy(new, into: old, place)
            try flush()
            setRecord(repeats ? recorded : record, of: old)
            try flush()
            return
        }
        let whole = place.temporary("whole")
        let successor = try whole.create()
        do {
            defer { close(successor) }
            try copy(old, into: successor, place)
            try copy(new, into: successor, place)
            try whole.setOwner(status.st_uid, status.st_gid)
            try whole.setMode(status.st_mode & 0o7777)
            try named(place) { () throws(Errno) in try copyAttributes(from: old, to: successor) }
            setRecord(repeats ? recorded : record, of: successor)
            try named(place) { () throws(Errno) in if fsync(successor) != 0 { throw Errno(rawValue: errno) } }
            try whole.move(to: place)
        } catch {
            try? whole.remove()
            throw error
        }
    }

    private func named<Result>(_ place: Place, _ body: () throws(Errno) -> Result) throws(TargetFault) -> Result {
        do throws(Errno) {
            return try body()
        } catch {
            throw .cannot("append to", path: place.path, error)
        }
    }

    /// The indices of the fragments that a file does not have yet.
    func missing(_ fragments: [IgnitionConfig.Resource], of descriptor: Int32, spare: Place, fetch: FetchContent)
        throws -> [Int]
    {
        var record = appended(to: descriptor)
        let joined = try spare.create()
        try? spare.remove()
        defer { close(joined) }
        var missing: [Int] = []
        var ends: [off_t] = []
        for (index, fragment) in fragments.enumerated() {
            let part = try fetched(fragment, beside: spare, fetch: fetch)
            defer { close(part) }
            try copy(part, into: joined, spare)
            ends.append(lseek(joined, 0, SEEK_END))
            let hash = try digest(of: part)
            if let known = record.firstIndex(of: hash) {
                record.remove(at: known)
            } else if lseek(part, 0, SEEK_END) > 0 {
                missing.append(index)
            }
        }
        // What an earlier run left half done does not count as having the lines.
        guard missing.count == fragments.count, self.record(of: descriptor).isEmpty else { return missing }
        for (count, end) in zip(1...max(ends.count, 1), ends).reversed() where ftruncate(joined, end) == 0 {
            if try endsWithLines(descriptor, joined) { return missing.filter { $0 >= count } }
        }
        return missing
    }

    /// Whether a file ends with the lines of another that holds more than blanks.
    private func endsWithLines(_ descriptor: Int32, _ lines: Int32) throws -> Bool {
        guard try endsAlike(descriptor, lines, whole: false) else { return false }
        var (whole, end) = (stat(), stat())
        guard fstat(descriptor, &whole) == 0, fstat(lines, &end) == 0, end.st_size > 0 else { return false }
        var byte: UInt8 = 0
        let start = whole.st_size - end.st_size
        if start > 0, takesRecord(descriptor), pread(descriptor, &byte, 1, start - 1) != 1 || byte != UInt8(ascii: "\n")
        {
            return false
        }
        var first = [UInt8](repeating: 0, count: 4096)
        let count = pread(lines, &first, first.count, 0)
        return count > 0 && first[..<count].contains { $0 > UInt8(ascii: " ") }
    }

    /// The SHA-256 of an open file, in hexadecimal.
    private func digest(of descriptor: Int32) throws(Errno) -> String {
        guard lseek(descriptor, 0, SEEK_SET) == 0 else { throw Errno(rawValue: errno) }
        var digest = MessageDigest(.sha256)
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = try fill(&buffer, from: descriptor)
            if count == 0 { break }
            buffer.withUnsafeBytes { digest.update(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
        }
        let digits = Array("0123456789abcdef".utf8)
        return String(
            decoding: digest.finish().flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    /// The length of a file with several names before an earlier run appended to it and was stopped halfway.
    ///
    /// - Parameters:
    ///   - descriptor: The file.
    ///   - lines: What is to be appended now.
    /// - Returns: `nil` where there was no such run, or where the file continues with something else than these lines:
    ///   somebody has written to it since, or the config has changed.
    /// - Throws: The errno of a failed read.
    private func lengthBefore(_ descriptor: Int32, _ lines: Int32) throws(Errno) -> off_t? {
        guard let word = record(of: descriptor).first(where: { $0.hasPrefix(Self.beginWord) }),
            let length = off_t(word.dropFirst(Self.beginWord.count)), length >= 0
        else { return nil }
        guard lseek(descriptor, length, SEEK_SET) >= 0, lseek(lines, 0, SEEK_SET) == 0 else {
            throw Errno(rawValue: errno)
        }
        var (there, wanted) = ([UInt8](repeating: 0, count: 64 << 10), [UInt8](repeating: 0, count: 64 << 10))
        var isLonger = false
        while true {
            let count = try fill(&there, from: descriptor)
            if count == 0 { return isLonger ? length : nil }
            isLonger = true
            guard try fill(&wanted, from: lines) >= count, there[..<count] == wanted[..<count] else { return nil }
        }
    }

    // MARK: Attributes

    /// In a record, this precedes the length of a file to which something is being appended.
    private static let beginWord = "from "

    /// The hashes of what was appended to an open file.
    private func appended(to descriptor: Int32) -> [String] {
        record(of: descriptor).filter { !$0.hasPrefix(Self.beginWord) }
    }

    private func record(of descriptor: Int32) -> [String] {
        for name in Self.recordNames {
            guard let value = attribute(name, of: descriptor) else { continue }
            return String(decoding: value, as: UTF8.self).split(separator: "\n").map(String.init)
        }
        return []
    }

    private func takesRecord(_ descriptor: Int32) -> Bool {
        fgetxattr(descriptor, Self.recordNames[0], nil, 0) >= 0 || errno != EOPNOTSUPP
    }

    /// Sets the record; where the filesystem takes none, the end of the file has to tell.
    private func setRecord(_ record: [String], of descriptor: Int32) {
        if record.isEmpty {
            for name in Self.recordNames { fremovexattr(descriptor, name) }
            return
        }
        let value = Array(record.joined(separator: "\n").utf8)
        for name in Self.recordNames where fsetxattr(descriptor, name, value, value.count, 0) == 0 { return }
    }

    func attributeNames(of descriptor: Int32) -> [String] {
        let size = flistxattr(descriptor, nil, 0)
        guard size > 0 else { return [] }
        var buffer = [CChar](repeating: 0, count: size)
        let count = flistxattr(descriptor, &buffer, buffer.count)
        guard count > 0 else { return [] }
        return buffer[..<count].split(separator: 0).map {
            String(decoding: $0.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
    }

    private func attribute(_ name: String, of descriptor: Int32) -> [UInt8]? {
        let size = fgetxattr(descriptor, name, nil, 0)
        guard size >= 0 else { return nil }
        var value = [UInt8](repeating: 0, count: size)
        let count = fgetxattr(descriptor, name, &value, size)
        return count < 0 ? nil : Array(value[..<count])
    }

    /// Copies access lists, capabilities and other attributes.
    private func copyAttributes(from old: Int32, to new: Int32) throws(Errno) {
        for name in attributeNames(of: old) {
            guard let value = attribute(name, of: old) else { continue }
            if fsetxattr(new, name, value, value.count, 0) != 0 { throw Errno(rawValue: errno) }
        }
    }
}
