// Looking: what is there already where the config wants something.

import Glibc
import IgnitionConfig
import LinuxSystem
import Provisioning
import Reporting
import SystemPackage

extension TargetRoot {
    /// Everything the plan has to know of the target. Writes nothing into it.
    ///
    /// Content is fetched here only where a file is there already and the config does not overwrite it.
    /// - Parameter scratch: Our folder for such content; made where it is missing.
    public func inventory(
        for config: IgnitionConfig, scratch: FilePath, fetch: FetchContent
    ) throws -> TargetInventory {
        let mounts = Mounts.all().map(\.target)
        var inventory = TargetInventory(accounts: accounts(), presets: text(FilesPlan.presetFile))
        func look(_ path: String, _ isWanted: (FilePath) throws -> Bool = { _ in false }) throws {
            inventory.places[path] = try place(of: path, mounts: mounts, isWanted: isWanted)
        }
        let storage = config.storage
        for directory in storage.directories { try look(directory.path) }
        for link in storage.links {
            try look(link.path)
            if link.hard == true { try look(plainPath("/" + (link.target ?? ""))) }
        }
        for file in storage.files {
            try look(file.path) { place in
                file.overwrite == true ? false : try holds(file, place, scratch: scratch, fetch: fetch)
            }
        }
        for unit in config.systemd.units {
            let path = "\(FilesPlan.unitFolder)/\(unit.name)"
            try look(path) { holds(unit.contents, $0) }
            for dropin in unit.dropins { try look("\(path).d/\(dropin.name)") { holds(dropin.contents, $0) } }
        }
        return inventory
    }

    private func place(
        of path: String, mounts: [FilePath], isWanted: (FilePath) throws -> Bool
    ) throws -> TargetPlace {
        let resolved: String
        do throws(PathFault) {
            resolved = try resolve(path)
        } catch {
            switch error {
            case .blocked(let other): return TargetPlace(resolved: path, found: .blocked(by: other))
            case .tooManyLinks: return TargetPlace(resolved: path, found: .circular)
            }
        }
        let place = outside(resolved)
        guard let status = Files.status(place, followingLinks: false) else {
            return TargetPlace(resolved: resolved, found: .nothing)
        }
        let found: TargetPlace.Found =
            switch status.st_mode & S_IFMT {
            case S_IFREG: .file(hasWantedContent: try isWanted(place))
            case S_IFDIR: .folder(holdsMounts: mounts.contains { $0.starts(with: place) })
            case S_IFLNK: .link(target: Files.linkTarget(place) ?? "")
            default: .other
            }
        return TargetPlace(
            resolved: resolved, found: found,
            identity: FileIdentity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino)))
    }

    /// Whether a file has a text and the mode that goes with units.
    private func holds(_ text: String?, _ place: FilePath) -> Bool {
        guard let text, !text.isEmpty || Files.size(place) == 0 else { return false }
        return Files.size(place) == UInt64(text.utf8.count) && (try? Files.read(place)) == Array(text.utf8)
            && Files.status(place).map { $0.st_mode & 0o7777 } == 0o644
    }

    /// Whether a file holds what the config puts into it: all of it, or at its end where the config only appends.
    private func holds(
        _ file: IgnitionConfig.File, _ place: FilePath, scratch: FilePath, fetch: FetchContent
    ) throws -> Bool {
        let content = file.plannedContent
        if content.parts.isEmpty { return false }
        return try step("comparing \(file.path) with \(file.origin)") {
            try Files.makeFolder(scratch, mode: 0o700)
            let wanted = scratch.appending("content")
            defer { unlink(wanted.string) }
            try write(content, to: wanted, part: scratch.appending("part"), fetch: fetch)
            return try endsAlike(place, wanted, whole: file.contents.source != nil)
        }
    }

    /// Compares files by pieces, from their ends on.
    private func endsAlike(_ place: FilePath, _ wanted: FilePath, whole: Bool) throws -> Bool {
        guard let size = Files.size(place), let wantedSize = Files.size(wanted),
            whole ? size == wantedSize : size >= wantedSize
        else { return false }
        let one = open(place.string, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard one >= 0 else { throw Errno(rawValue: errno) }
        defer { close(one) }
        let other = open(wanted.string, O_RDONLY | O_CLOEXEC)
        guard other >= 0 else { throw Errno(rawValue: errno) }
        defer { close(other) }
        guard lseek(one, off_t(size - wantedSize), SEEK_SET) >= 0 else { throw Errno(rawValue: errno) }
        var (ours, theirs) = ([UInt8](repeating: 0, count: 64 << 10), [UInt8](repeating: 0, count: 64 << 10))
        while true {
            let count = try fill(&ours, from: other)
            if count == 0 { return true }
            guard try fill(&theirs, from: one) >= count, ours[..<count] == theirs[..<count] else { return false }
        }
    }

    /// Reads until the buffer is full or the file ends.
    private func fill(_ buffer: inout [UInt8], from descriptor: Int32) throws(Errno) -> Int {
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
