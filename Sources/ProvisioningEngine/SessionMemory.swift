// What a session finds out once and keeps for as long as its process runs.

import BlockDevices
import DiskPlanning
import IgnitionConfig
import LinuxSystem
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
        /// The plan that the next writes to the disks follow.
        var proof: DiskProof?
    }

    /// A plan of fresh probes.
    struct DiskProof: Sendable {
        let plan: StoragePlan
        private let ended = Machine.uptime()

        /// Whether the disks were looked at just now: where setting up the root takes long, they are looked at again.
        var isFresh: Bool { Machine.uptime() - ended < 2 }

        init(plan: StoragePlan) { self.plan = plan }
    }

    private let content = Mutex(Content())

    /// One part.
    func get<Part: Sendable>(_ part: (Content) -> Part) -> Part { content.withLock { part($0) } }

    /// One part, which nobody else gets then.
    func take<Part: Sendable>(_ part: WritableKeyPath<Content, Part?> & Sendable) -> Part? {
        content.withLock { content in
            defer { content[keyPath: part] = nil }
            return content[keyPath: part]
        }
    }

    /// Changes it.
    func change(_ body: (inout Content) -> Void) { content.withLock { body(&$0) } }
}
