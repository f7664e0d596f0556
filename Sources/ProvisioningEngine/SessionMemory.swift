// What a session finds out once and keeps for as long as its process runs.

import BlockDevices
import IgnitionConfig
import Synchronization

/// What the stages of one process share, on whatever threads they run.
///
/// After a failure it is forgotten: somebody may have changed the config in a shell.
final class SessionMemory: Sendable {
    struct Content: Sendable {
        /// The image's base configs, merged.
        var base: IgnitionConfig?
        /// The user's config; `.some(nil)`: there is none.
        var user: IgnitionConfig??
        /// The keys of LUKS volumes, from the first look at the disks until the volumes are open.
        var keys: VolumeKeys?
    }

    private let content = Mutex(Content())

    /// One part.
    func get<Part: Sendable>(_ part: (Content) -> Part) -> Part { content.withLock { part($0) } }

    /// Changes it.
    func change(_ body: (inout Content) -> Void) { content.withLock { body(&$0) } }
}
