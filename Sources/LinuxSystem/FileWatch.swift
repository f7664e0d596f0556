// Watching files that are written and names that appear (inotify).

import Glibc
import SystemPackage

/// Watches files and folders: when its descriptor becomes readable, ``events()`` returns what happened.
public struct FileWatch: ~Copyable, Sendable {
    /// The descriptor, which becomes readable when something happened.
    public let descriptor: Int32

    /// What to watch for.
    public struct Kinds: OptionSet, Sendable {
        /// Bits of inotify.
        public let rawValue: UInt32
        /// Creates kinds from bits of inotify.
        public init(rawValue: UInt32) { self.rawValue = rawValue }

        /// A file that was open for writing was closed.
        public static let written = Kinds(rawValue: UInt32(IN_CLOSE_WRITE))
        /// A name was created in a folder, or moved there.
        public static let appeared = Kinds(rawValue: UInt32(IN_CREATE) | UInt32(IN_MOVED_TO))
    }

    /// Creates a watch of nothing; throws the errno of the call that failed.
    public init() throws(Errno) {
        descriptor = inotify_init1(Int32(IN_CLOEXEC) | Int32(IN_NONBLOCK))
        if descriptor < 0 { throw Errno(rawValue: errno) }
    }

    deinit { close(descriptor) }

    /// Starts watching a file or folder; returns the number that its events have.
    public func add(_ path: FilePath, _ kinds: Kinds) throws(Errno) -> Int32 {
        let number = inotify_add_watch(descriptor, path.string, kinds.rawValue)
        guard number >= 0 else { throw Errno(rawValue: errno) }
        return number
    }

    /// Stops watching the file of that number.
    public func remove(_ number: Int32) { inotify_rm_watch(descriptor, number) }

    /// The numbers of the files that had events since the last call, each once.
    public func events() -> Set<Int32> {
        var found: Set<Int32> = []
        var buffer = [UInt8](repeating: 0, count: 16 << 10)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            guard count > 0 else { return found }
            var at = 0
            while at + MemoryLayout<inotify_event>.size <= count {
                let event = buffer.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: at, as: inotify_event.self) }
                found.insert(event.wd)
                at += MemoryLayout<inotify_event>.size + Int(event.len)
            }
        }
    }
}
