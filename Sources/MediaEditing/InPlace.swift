// Changing an image in place so that it is never left half changed.
//
// One area is written and synced before the next. What stood there is kept until all are: in memory, to be written back
// if a write fails, and in a file beside the image, for the case that the power goes. The next command that changes the
// image in place writes it back first.

import BootMedia
import Glibc
import Hashing
import LinuxSystem
import Reporting
import SystemPackage

enum InPlace {
    /// Keeps two commands from changing one image at a time.
    static func lock(_ file: MediaFile) throws {
        guard flock(file.descriptor, LOCK_EX | LOCK_NB) != 0 else { return }
        let fault = SystemFault.current
        guard fault.reason == .wouldBlock else { return }  // a filesystem without locks
        throw BootFailure(
            steps: ["opening \(file.path)"], cause: MediaFault("another command is changing the image right now"))
    }

    /// Carries out the changes; `tell` prints a line for the user.
    static func apply(_ patches: [Patch], to file: MediaFile, telling tell: (String) -> Void) throws {
        guard !patches.isEmpty else { return }
        let undo = Undo(file)
        do throws(FileFault) { try undo.write(patches) } catch {
            // The copy in memory has to suffice.
            tell("warning: \(error); if the power goes now, \(file.path) may stay half changed")
        }
        // The signals wait until the image is whole.
        let signals = heldSignals()
        defer { release(signals) }
        for (index, patch) in patches.enumerated() {
            do {
                try file.write(patch.new, at: patch.offset)
                try file.sync()
            } catch {
                guard restore(patches[...index], to: file) else {
                    throw BootFailure(steps: ["writing \(file.path), which is half changed now"], cause: error)
                }
                undo.remove()
                throw error
            }
        }
        undo.remove()
    }

    /// Whether what stood there stands there again.
    private static func restore(_ patches: ArraySlice<Patch>, to file: MediaFile) -> Bool {
        do {
            let source = try file.source
            // If nothing could be written, nothing has to be written back, and most likely nothing can be.
            for patch in patches where try source.bytes(at: patch.offset, count: patch.old.count) != patch.old {
                try file.write(patch.old, at: patch.offset)
            }
            try file.sync()
            return true
        } catch {
            return false
        }
    }

    /// Writes back what an interrupted command left half changed; whether there was such a thing.
    ///
    /// A change that was complete stays: only the last act of its command was missing.
    static func finishInterrupted(_ file: MediaFile) throws -> Bool {
        let undo = Undo(file)
        guard let patches = try undo.read() else { return false }
        let source = try file.source
        // A change beyond the image belongs to another image.
        let present = patches.map { try? source.bytes(at: $0.offset, count: $0.old.count) }
        let isHalfChanged =
            zip(patches, present).contains { $0.old != $1 } && zip(patches, present).contains { $0.new != $1 }
        let isTheSameImage = zip(patches, present).allSatisfy { patch, bytes in bytes.map(patch.explains) ?? false }
        if isHalfChanged, isTheSameImage {
            try step("writing back what an interrupted command had begun to change") {
                for patch in patches { try file.write(patch.old, at: patch.offset) }
                try file.sync()
            }
        }
        undo.remove()
        return isHalfChanged && isTheSameImage
    }

    private static func heldSignals() -> sigset_t {
        var (held, before) = (sigset_t(), sigset_t())
        sigemptyset(&held)
        for signal in [SIGINT, SIGTERM, SIGHUP, SIGQUIT] { sigaddset(&held, signal) }
        pthread_sigmask(SIG_BLOCK, &held, &before)
        return before
    }

    private static func release(_ signals: sigset_t) {
        var signals = signals
        pthread_sigmask(SIG_SETMASK, &signals, nil)
    }
}

/// The file beside an image that holds what stood in it: `.NAME.firstlight-undo`.
///
/// A magic, the SHA-256 of what follows, the length of the image, and for each change its offset, its length, the old bytes
/// and the new ones; numbers are of 64 bits, little endian. One that is not whole was interrupted before the image was
/// touched.
struct Undo {
    private static let magic = Array("firstlight undo\n".utf8)

    private let path: FilePath?
    private let image: MediaFile
    private let length: UInt64

    init(_ file: MediaFile) {
        image = file
        // The file lies beside the image itself, not beside a link to it; beside a device nothing outlives a power cut.
        path = Files.resolved(FilePath(file.path)).flatMap { real in
            guard let name = real.lastComponent?.string, Files.isRegularFile(real) else { return nil }
            return real.removingLastComponent().appending(".\(name).firstlight-undo")
        }
        length = (try? file.length) ?? 0
    }

    /// Keeps what stands where the changes go, so that a power cut does not take it.
    func write(_ patches: [Patch]) throws(FileFault) {
        guard let path else { return }
        try Files.write(Self.contents(patches, length: length), to: path, mode: 0o600)
        // Its name has to be there before the first byte of the image changes.
        NewFile.syncFolder(of: path.string)
    }

    static func contents(_ patches: [Patch], length: UInt64) -> [UInt8] {
        var body = bytes(length)
        for patch in patches { body += bytes(patch.offset) + bytes(UInt64(patch.old.count)) + patch.old + patch.new }
        return magic + MessageDigest.sha256(body) + body
    }

    /// `nil` where there is none of an image of this length.
    ///
    /// Throws where it may be somebody else's: whoever wrote it says what is to stand in the image.
    func read() throws -> [Patch]? {
        guard let path, let bytes = try trusted(path) else { return nil }
        let body = Array(bytes.dropFirst(Self.magic.count + 32))
        guard bytes.starts(with: Self.magic),
            Array(bytes.dropFirst(Self.magic.count).prefix(32)) == MessageDigest.sha256(body)
        else {
            remove()
            return nil
        }
        var rest = body[...]
        func number() -> UInt64? {
            guard rest.count >= 8 else { return nil }
            defer { rest = rest.dropFirst(8) }
            return rest.prefix(8).enumerated().reduce(0) { $0 | UInt64($1.element) << UInt64(8 * $1.offset) }
        }
        guard number() == length else {
            remove()
            return nil
        }
        var patches: [Patch] = []
        while let offset = number(), let count = number().flatMap({ Int(exactly: $0) }), count <= rest.count / 2 {
            patches.append(
                Patch(offset: offset, old: Array(rest.prefix(count)), new: Array(rest.dropFirst(count).prefix(count))))
            rest = rest.dropFirst(2 * count)
        }
        return patches
    }

    private func trusted(_ path: FilePath) throws -> [UInt8]? {
        func refusal(_ reason: String) -> MediaFault {
            MediaFault(
                "\(image.path) is left alone: \(path), which would say what an interrupted command had begun to change in "
                    + "it, \(reason); see whose it is, and remove it")
        }
        // A pipe must not keep the command waiting.
        let descriptor = open(path.string, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else {
            let reason = Errno(rawValue: errno)
            if reason == .noSuchFileOrDirectory { return nil }
            throw refusal(reason == .tooManySymbolicLinkLevels ? "is a link" : "cannot be read: \(reason)")
        }
        defer { close(descriptor) }
        var (own, other) = (stat(), stat())
        guard fstat(descriptor, &own) == 0, fstat(image.descriptor, &other) == 0 else { throw SystemFault.current }
        guard own.st_mode & S_IFMT == S_IFREG else { throw refusal("is not a file") }
        guard [geteuid(), other.st_uid].contains(own.st_uid) else { throw refusal("belongs to somebody else") }
        guard own.st_mode & 0o022 == 0 else { throw refusal("can be written by others than its owner") }
        return try Files.naming("read", path) { () throws(Errno) in try readAll(descriptor) }
    }

    func remove() {
        guard let path, unlink(path.string) == 0 else { return }
        // Otherwise it could be there again after a power cut.
        NewFile.syncFolder(of: path.string)
    }

    private static func bytes(_ number: UInt64) -> [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: number >> UInt64(8 * $0)) }
    }
}

extension Files {
    fileprivate static func isRegularFile(_ path: FilePath) -> Bool {
        status(path).map { $0.st_mode & S_IFMT == S_IFREG } ?? false
    }
}

extension Patch {
    /// Whether bytes that stand there now can be what an interrupted write left: each sector the old one or the new one.
    func explains(_ now: [UInt8]) -> Bool {
        stride(from: 0, to: now.count, by: 512).allSatisfy { start in
            let sector = start..<min(start + 512, now.count)
            return now[sector] == old[sector] || now[sector] == new[sector]
        }
    }
}
