// Files: their content is written beside its place and moves there in one step; several are fetched at a time.

import CLinux
import FilePlanning
import Glibc
import IgnitionConfig
import LinuxSystem
import Reporting
import SystemPackage

extension TargetRoot {
    /// A file in progress, whose content is written beside its place.
    private struct FileUnderWay {
        var place: Place
        var file: Place
        /// The content, open for reading and writing.
        var descriptor: Int32
        /// Whether the content has no name yet.
        ///
        /// A file exists that may turn out to be the same; then not even the folder's times may change.
        var isUnnamed: Bool
        /// A name for parts of the content.
        var spare: Place
        /// Whether the file may replace a folder.
        var replacing: Bool
    }

    /// Writes files whose content comes from other machines; several are fetched at a time, and moved to their places
    /// one after the other.
    func writeFiles(
        _ steps: [FilesPlan.Step], onFailure: () -> Void, fetch: FetchContent, _ applied: inout Applied
    ) throws {
        var underWay: [FileUnderWay] = []
        var contents: [PlannedContent] = []
        var finished = 0
        defer {
            for file in underWay.prefix(finished) { close(file.descriptor) }
            for file in underWay.dropFirst(finished) { abandon(file) }
        }
        for planned in steps where planned.action.isFetched {
            guard case .writeFile(let path, let content, _, _, let replacing) = planned.action else { continue }
            underWay.append(
                try named(planned) {
                    try begin(path, replacing: replacing, &applied)
                })
            contents.append(content)
        }
        let progress = Monitor(FetchProgress())
        let files = underWay
        try withThread {
            inParallel(files.count, limit: Self.fetchesAtOnce) { number in
                if progress.change({ $0.isStopped }) { return }
                let result = Swift.Result {
                    let file = files[number]
                    try fill(file.descriptor, with: contents[number], spare: file.spare, fetch: fetch)
                }
                progress.change { $0.results[number] = result }
            }
        } meanwhile: {
            do {
                for planned in steps {
                    try named(planned) {
                        guard planned.action.isFetched,
                            case .writeFile(let path, _, let mode, let owner, _) = planned.action
                        else { return try perform(planned.action, fetch: fetch, &applied) }
                        try progress.wait { $0.results.removeValue(forKey: finished) }.get()
                        try finish(files[finished], path: path, mode: mode, owner: owner, &applied)
                        finished += 1
                    }
                    applied.done += 1
                }
            } catch {
                progress.change { $0.isStopped = true }
                onFailure()
                throw error
            }
        }
    }

    /// What the fetching threads tell the writing one.
    private struct FetchProgress {
        var results: [Int: Swift.Result<Void, any Error>] = [:]
        var isStopped = false
    }

    private static let fetchesAtOnce = 8

    func writeFile(
        _ path: String, _ content: PlannedContent, mode: UInt32, owner: PlannedOwner, replacing: Bool,
        fetch: FetchContent, _ applied: inout Applied
    ) throws {
        let underWay = try begin(path, replacing: replacing, &applied)
        do {
            try fill(underWay.descriptor, with: content, spare: underWay.spare, fetch: fetch)
            try finish(underWay, path: path, mode: mode, owner: owner, &applied)
        } catch {
            abandon(underWay)
            throw error
        }
        close(underWay.descriptor)
    }

    private func begin(_ path: String, replacing: Bool, _ applied: inout Applied) throws -> FileUnderWay {
        let place = try prepare(path, &applied)
        let file = place.temporary("file")
        if let status = place.status, status.st_mode & S_IFMT == S_IFREG {
            let (folder, path) = (applied.scratch.folder, applied.scratch.path)
            let spare = Place(folder: folder, name: place.path, path: path).temporary("part")
            let descriptor = openat(
                place.folder.descriptor, ".", Int32(FIRSTLIGHT_O_TMPFILE) | O_RDWR | O_CLOEXEC, 0o600)
            if descriptor >= 0 {
                return FileUnderWay(
                    place: place, file: file, descriptor: descriptor, isUnnamed: true, spare: spare,
                    replacing: replacing)
            }
            let scratch = try applied.scratch.create()
            try applied.scratch.remove()
            return FileUnderWay(
                place: place, file: file, descriptor: scratch, isUnnamed: true, spare: spare, replacing: replacing)
        }
        return FileUnderWay(
            place: place, file: file, descriptor: try file.create(), isUnnamed: false, spare: place.temporary("part"),
            replacing: replacing)
    }

    /// Closes and removes a file that was not moved to its place.
    private func abandon(_ underWay: FileUnderWay) {
        close(underWay.descriptor)
        if !underWay.isUnnamed { try? underWay.file.remove() }
    }

    private func finish(
        _ underWay: FileUnderWay, path: String, mode: UInt32, owner: PlannedOwner, _ applied: inout Applied
    ) throws {
        let (file, place) = (underWay.file, underWay.place)
        let ids = try ids(of: owner, &applied)
        if underWay.isUnnamed,
            try isSame(place, as: underWay.descriptor, mode: mode, user: ids.user ?? 0, group: ids.group ?? 0)
        {
            applied.kept.append(.init(path, .sameContent))
            return
        }
        guard underWay.isUnnamed else {
            return try settle(
                file, underWay.descriptor, at: place, mode: mode, ids, replacing: underWay.replacing)
        }
        let named = try file.create()
        do {
            defer { close(named) }
            try copy(underWay.descriptor, into: named, place)
            try settle(file, named, at: place, mode: mode, ids, replacing: underWay.replacing)
        } catch {
            try? file.remove()
            throw error
        }
    }

    private func settle(
        _ file: Place, _ descriptor: Int32, at place: Place, mode: UInt32, _ ids: (user: uid_t?, group: gid_t?),
        replacing: Bool
    ) throws {
        if ids.user != nil || ids.group != nil { try file.setOwner(ids.user, ids.group) }
        try setMode(mode, of: descriptor, for: place)
        // On a real disk, a power cut must not leave a file's name without its content.
        if fsync(descriptor) != 0 { throw TargetFault.cannot("write", path: place.path, Errno(rawValue: errno)) }
        try move(file, to: place, replacing: replacing)
    }

    /// Sets the mode, after the owner: a change of owner clears the setuid bit.
    private func setMode(_ mode: UInt32, of descriptor: Int32, for place: Place) throws(TargetFault) {
        var status = stat()
        if fstat(descriptor, &status) == 0, status.st_mode & 0o7777 == mode { return }
        guard fchmod(descriptor, mode) == 0 else {
            throw .cannot("set the mode of", path: place.path, Errno(rawValue: errno))
        }
    }

    /// Whether a file equals its successor in every respect; it then stays, and keeps its times.
    func isSame(
        _ place: Place, as successor: Int32, mode: UInt32, user: uid_t, group: gid_t
    ) throws -> Bool {
        guard let status = place.status, status.st_mode == S_IFREG | mode, status.st_uid == user,
            status.st_gid == group, let descriptor = try? place.open(O_RDONLY)
        else { return false }
        defer { close(descriptor) }
        // A new file would not have the access lists and capabilities of this one.
        guard attributeNames(of: descriptor).allSatisfy({ $0 == "security.selinux" }) else { return false }
        return try endsAlike(descriptor, successor, whole: true)
    }

    // MARK: Content

    /// Writes content into an empty file; `spare` is a name for one of its parts.
    func fill(_ descriptor: Int32, with content: PlannedContent, spare: Place, fetch: FetchContent) throws {
        for (index, piece) in content.parts.enumerated() {
            switch piece {
            case .text(let text): try put(Array(text.utf8), into: descriptor, spare)
            case .resource(let resource) where (resource.source ?? "").isEmpty: break
            case .resource(let resource) where index == 0: try fetch(resource, descriptor)
            case .resource(let resource):
                let part = try fetched(resource, beside: spare, fetch: fetch)
                defer { close(part) }
                try copy(part, into: descriptor, spare)
            }
        }
    }

    /// Fetches a resource into a file without a name, which is gone when it is closed.
    func fetched(
        _ resource: IgnitionConfig.Resource, beside spare: Place, fetch: FetchContent
    ) throws -> Int32 {
        let part = try spare.create()
        try? spare.remove()
        do {
            if !(resource.source ?? "").isEmpty { try fetch(resource, part) }
            return part
        } catch {
            close(part)
            throw error
        }
    }

    /// Appends all of a file to the end of another.
    func copy(_ source: Int32, into descriptor: Int32, _ place: Place) throws {
        guard lseek(source, 0, SEEK_SET) == 0, lseek(descriptor, 0, SEEK_END) >= 0 else {
            throw TargetFault.cannot("read", path: place.path, Errno(rawValue: errno))
        }
        var buffer = [UInt8](repeating: 0, count: 256 << 10)
        while true {
            let count = read(source, &buffer, buffer.count)
            if count == 0 { return }
            if count > 0 {
                try put(buffer[..<count], into: descriptor, place)
            } else if errno != EINTR {
                throw TargetFault.cannot("read", path: place.path, Errno(rawValue: errno))
            }
        }
    }

    private func put(_ bytes: some Collection<UInt8>, into descriptor: Int32, _ place: Place) throws {
        do throws(Errno) {
            try Files.writeAll(bytes, to: descriptor)
        } catch {
            throw TargetFault.cannot("write", path: place.path, error)
        }
    }

    /// Whether one file equals another or, unless `whole`, ends with it.
    func endsAlike(_ one: Int32, _ other: Int32, whole: Bool) throws -> Bool {
        var (status, wanted) = (stat(), stat())
        guard fstat(one, &status) == 0, fstat(other, &wanted) == 0 else { throw Errno(rawValue: errno) }
        guard whole ? status.st_size == wanted.st_size : status.st_size >= wanted.st_size else { return false }
        guard lseek(one, status.st_size - wanted.st_size, SEEK_SET) >= 0, lseek(other, 0, SEEK_SET) == 0 else {
            throw Errno(rawValue: errno)
        }
        var (ours, theirs) = ([UInt8](repeating: 0, count: 64 << 10), [UInt8](repeating: 0, count: 64 << 10))
        while true {
            let count = try fill(&ours, from: other)
            if count == 0 { return true }
            guard try fill(&theirs, from: one) >= count, ours[..<count] == theirs[..<count] else { return false }
        }
    }

    /// Reads until the buffer is full or the file ends.
    func fill(_ buffer: inout [UInt8], from descriptor: Int32) throws(Errno) -> Int {
        var filled = 0
        while filled < buffer.count {
            let count = buffer.withUnsafeMutableBytes { bytes in
                read(descriptor, bytes.baseAddress?.advanced(by: filled), bytes.count - filled)
            }
            if count == 0 { break }
            if count < 0 {
                let reason = errno
                if reason == EINTR { continue }
                throw Errno(rawValue: reason)
            }
            filled += count
        }
        return filled
    }
}
