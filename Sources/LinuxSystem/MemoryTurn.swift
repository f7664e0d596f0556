// Takes turns among the users of much RAM: the root image, and the derivation of each key of a LUKS volume. Both may be
// under way at once, in one process or in two.

import Glibc
import Reporting
import SystemPackage

/// Lets one at a time count the RAM that is free and take a large part of it.
public struct MemoryTurn: Sendable {
    private let file: FilePath

    /// The turn of this boot.
    public static let ofThisBoot = MemoryTurn(FilePath(RunFile.memoryTurn.path))

    /// A turn that is taken by locking a file.
    public init(_ file: FilePath) { self.file = file }

    /// Runs `body` while nobody else has the turn.
    public func take(_ body: () -> Void) {
        try? Files.makeFolder(file.removingLastComponent(), mode: 0o700)
        let descriptor = open(file.string, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        defer { if descriptor >= 0 { close(descriptor) } }
        // Without a lock each of them counts the RAM as if the other were not there.
        if descriptor >= 0 { while flock(descriptor, LOCK_EX) != 0, errno == EINTR {} }
        body()
    }
}

extension Mounts {
    /// The bytes that still fit the filesystem that is mounted at `path`; `nil` where none is.
    public static func room(at path: FilePath) -> UInt64? {
        var status = statvfs()
        guard all().contains(where: { $0.target == path }), statvfs(path.string, &status) == 0 else { return nil }
        return UInt64(status.f_bavail) * UInt64(status.f_frsize)
    }
}
