// Appending exactly once: a file on persistent storage keeps a record of what was appended to it.
//
// The record is an extended attribute of the file itself and arrives with the content in one step, when the new file
// replaces the old one. It cannot exist without the content, survives whatever is written after the content later, and
// goes with the file. Where there is no record, because the filesystem has no attributes or a program has rewritten the
// file, a file that ends with exactly these lines counts as having them.

import CLinux
import FilePlanning
import Glibc
import IgnitionConfig
import SystemPackage

/// Appends to files that exist.
struct Appender {
    let fragments: FragmentStore
    /// A name for files without a name.
    let scratch: TargetEntry

    /// Appends to a file; the new content replaces the old in one step.
    ///
    /// - Parameters:
    ///   - planned: What to append. Whether it is `present` was read from the file's record or, without a record, from
    ///     its end, which is about to change.
    ///   - place: The file.
    /// - Throws: ``TargetFault``, or why a fragment cannot be fetched.
    func append(_ planned: PlannedAppend, to place: TargetEntry) throws {
        let old = try place.openFile(O_RDWR | O_APPEND, to: "append to")
        var status = try old.status(to: "append to")
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw TargetFault.cannot("append to", path: planned.path, .invalidArgument)
        }
        let found = AppendRecord(of: old)
        let before = AppendRecord(hashes: found.hashes)
        var after = before
        if after.hashes.isEmpty { for resource in planned.present { after.add(try fragments.open(resource).sha256()) } }
        // Not in the file's folder: a run that is killed must leave nothing there once the file is whole.
        let new = try scratch.createUnnamed()
        // Everything is fetched before the file is touched, so that a lost connection does not leave half of it.
        for resource in planned.fragments {
            let part = try fragments.open(resource)
            try new.append(contentsOf: part)
            after.add(try part.sha256())
        }
        if planned.repeats { after = before }
        // If somebody has written to the file since, or the config has changed, the file goes on differently.
        if let length = found.unfinishedFrom, try old.isBeginning(of: new, from: length) {
            try old.truncate(to: length, to: "append to")
        }
        if status.st_nlink > 1 {
            // A new file would be separate from the old one's other names, so this one is changed in place. If that
            // stops halfway, the record tells the next run where it began.
            status = try old.status(to: "append to")
            AppendRecord(hashes: found.hashes, unfinishedFrom: status.st_size).write(to: old)
            try old.flush(to: "append to")
            try old.append(contentsOf: new)
            try old.flush(to: "append to")
            after.write(to: old)
            try old.flush(to: "append to")
            return
        }
        let whole = place.temporary("whole")
        let successor = try whole.createFile()
        do {
            try successor.append(contentsOf: old)
            try successor.append(contentsOf: new)
            try whole.setOwner(status.st_uid, status.st_gid)
            try whole.setMode(status.st_mode & 0o7777)
            try old.copyAttributes(to: successor, to: "append to")
            after.write(to: successor)
            try successor.flush(to: "append to")
            try whole.move(to: place)
        } catch {
            try? whole.remove()
            throw error
        }
    }

    /// The indices of the fragments that a file does not have yet.
    func missing(_ wanted: [IgnitionConfig.Resource], of file: OpenFile) throws -> [Int] {
        let record = AppendRecord(of: file)
        var unmatched = record.hashes
        let joined = try scratch.createUnnamed()
        var missing: [Int] = []
        var ends: [off_t] = []
        for (index, fragment) in wanted.enumerated() {
            let part = try fragments.open(fragment)
            try joined.append(contentsOf: part)
            ends.append(try joined.status().st_size)
            let hash = try part.sha256()
            if let known = unmatched.firstIndex(of: hash) {
                unmatched.remove(at: known)
            } else if try part.status().st_size > 0 {
                missing.append(index)
            }
        }
        // What an earlier run left half done does not count as having the lines.
        guard missing.count == wanted.count, record.isEmpty else { return missing }
        for (count, end) in zip(1...max(ends.count, 1), ends).reversed() {
            try joined.truncate(to: end)
            if try endsWithLines(file, joined) { return missing.filter { $0 >= count } }
        }
        return missing
    }

    /// Whether a file ends with the lines of another that holds more than blanks.
    private func endsWithLines(_ file: OpenFile, _ lines: OpenFile) throws(TargetFault) -> Bool {
        guard try file.ends(with: lines) else { return false }
        let (size, length) = (try file.status().st_size, try lines.status().st_size)
        guard length > 0 else { return false }
        let start = size - length
        if start > 0, AppendRecord.isTaken(by: file) {
            var byte: [UInt8] = [0]
            try file.seek(to: start - 1)
            guard try file.fill(&byte) == 1, byte[0] == UInt8(ascii: "\n") else { return false }
        }
        var first = [UInt8](repeating: 0, count: 4096)
        try lines.seek(to: 0)
        return first[..<(try lines.fill(&first))].contains { $0 > UInt8(ascii: " ") }
    }
}

/// What a file says of that which was appended to it.
struct AppendRecord {
    /// SHA-256 of each fragment, in hexadecimal.
    var hashes: [String]
    /// The length that a file with several names had before a run appended to it that was stopped halfway.
    var unfinishedFrom: off_t?

    var isEmpty: Bool { hashes.isEmpty && unfinishedFrom == nil }

    init(hashes: [String], unfinishedFrom: off_t? = nil) {
        self.hashes = hashes
        self.unfinishedFrom = unfinishedFrom
    }

    /// Only root may write `trusted`; ordinary users and some containers may write `user`.
    private static let attributes = ["trusted.firstlight.appended", "user.firstlight.appended"]
    /// Precedes the length.
    private static let lengthWord = "from "

    /// Reads the record of a file; empty where there is none.
    init(of file: OpenFile) {
        let value = Self.attributes.lazy.compactMap { file.attribute($0) }.first ?? []
        let words = String(decoding: value, as: UTF8.self).split(separator: "\n").map(String.init)
        hashes = words.filter { !$0.hasPrefix(Self.lengthWord) }
        unfinishedFrom = words.lazy.filter { $0.hasPrefix(Self.lengthWord) }
            .compactMap { off_t($0.dropFirst(Self.lengthWord.count)) }.first { $0 >= 0 }
    }

    mutating func add(_ hash: String) { hashes.append(hash) }

    /// Whether the file's filesystem keeps records.
    static func isTaken(by file: OpenFile) -> Bool {
        fgetxattr(file.descriptor, attributes[0], nil, 0) >= 0 || errno != EOPNOTSUPP
    }

    /// Leaves the record; where the filesystem takes none, the end of the file has to tell.
    func write(to file: OpenFile) {
        if isEmpty {
            for name in Self.attributes { fremovexattr(file.descriptor, name) }
            return
        }
        let words = hashes + (unfinishedFrom.map { [Self.lengthWord + String($0)] } ?? [])
        let value = Array(words.joined(separator: "\n").utf8)
        for name in Self.attributes where fsetxattr(file.descriptor, name, value, value.count, 0) == 0 { return }
    }
}
