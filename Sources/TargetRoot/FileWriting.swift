// Files: their content is written beside its place and moves there in one step; several are fetched at a time.

import CLinux
import FilePlanning
import Glibc
import LinuxSystem
import SystemPackage

/// A file in progress, whose content is written beside its place.
private struct FileInProgress: Sendable {
    var planned: PlannedFile
    var place: TargetEntry
    /// The name that the content has, or gets before it moves to its place.
    var file: TargetEntry
    var content: OpenFile
    /// Whether the content has no name yet.
    ///
    /// A file exists that may turn out to be the same; then not even the folder's times may change.
    var isUnnamed: Bool
    /// A name for parts of the content.
    var spare: TargetEntry

    /// Removes a file that was not moved to its place.
    func abandon() { if !isUnnamed { try? file.remove() } }
}

extension FileApplier {
    /// Writes files whose content comes from other machines; several are fetched at a time, and moved to their places
    /// one after the other.
    func writeFiles(_ steps: [FilesPlan.Step]) throws {
        var begun: [FileInProgress] = []
        var finished = 0
        defer { for file in begun.dropFirst(finished) { file.abandon() } }
        for planned in steps where planned.action.isFetched {
            guard case .writeFile(let file) = planned.action else { continue }
            begun.append(try planned.named { try begin(file) })
        }
        let progress = Monitor(FetchProgress())
        let (files, writer) = (begun, writer)
        try withThread {
            inParallel(files.count, limit: Self.fetchesAtOnce) { number in
                if progress.change({ $0.isStopped }) { return }
                let result = Swift.Result<[String], any Error> {
                    let file = files[number]
                    return try writer.fill(file.content, with: file.planned.content, spare: file.spare)
                }
                progress.change { $0.results[number] = result }
            }
        } meanwhile: {
            do {
                for planned in steps {
                    try planned.named {
                        guard planned.action.isFetched else { return try perform(planned.action) }
                        let hashes = try progress.wait { $0.results.removeValue(forKey: finished) }.get()
                        try finish(files[finished], hashes)
                        finished += 1
                    }
                    done += 1
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
        var results: [Int: Swift.Result<[String], any Error>] = [:]
        var isStopped = false
    }

    private static let fetchesAtOnce = 8

    func write(_ planned: PlannedFile) throws {
        let file = try begin(planned)
        do {
            try finish(file, try writer.fill(file.content, with: planned.content, spare: file.spare))
        } catch {
            file.abandon()
            throw error
        }
    }

    private func begin(_ planned: PlannedFile) throws -> FileInProgress {
        let place = try prepare(planned.path)
        let file = place.temporary("file")
        if let status = place.status, status.st_mode & S_IFMT == S_IFREG {
            let spare = TargetEntry(folder: scratch.folder, name: place.path, path: scratch.path).temporary("part")
            let descriptor = openat(
                place.folder.descriptor, ".", Int32(FIRSTLIGHT_O_TMPFILE) | O_RDWR | O_CLOEXEC, 0o600)
            let content =
                descriptor >= 0 ? OpenFile(owning: descriptor, path: place.path) : try scratch.createUnnamed()
            return FileInProgress(
                planned: planned, place: place, file: file, content: content, isUnnamed: true, spare: spare)
        }
        return FileInProgress(
            planned: planned, place: place, file: file, content: try file.createFile(), isUnnamed: false,
            spare: place.temporary("part"))
    }

    /// `hashes` are those of the fetched parts.
    private func finish(_ begun: FileInProgress, _ hashes: [String]) throws {
        let (planned, file) = (begun.planned, begun.file)
        let owner = try owners.numbers(of: planned.owner)
        guard begun.isUnnamed else {
            if planned.recordsParts { AppendRecord(hashes: hashes).write(to: begun.content) }
            return try publish(file, begun.content, begun, owner)
        }
        if try begun.place.isSame(as: begun.content, mode: planned.mode, owner: owner) {
            changes.kept.append(.init(planned.path, .sameContent))
            return
        }
        let named = try file.createFile()
        do {
            try named.append(contentsOf: begun.content)
            try publish(file, named, begun, owner)
        } catch {
            try? file.remove()
            throw error
        }
    }

    /// Moves a file with all of its content to its place.
    private func publish(
        _ file: TargetEntry, _ content: OpenFile, _ begun: FileInProgress, _ owner: OwnerNumbers
    ) throws(TargetFault) {
        try file.setOwner(owner)
        try content.setMode(begun.planned.mode)
        // On a real disk, a power cut must not leave a file's name without its content.
        try content.flush()
        try file.move(to: begun.place, replacing: begun.planned.replacing)
    }
}
