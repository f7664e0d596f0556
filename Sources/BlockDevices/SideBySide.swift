// Devices that have nothing to do with each other are worked on at the same time: each program waits for its
// own disk most of the time.

import LinuxSystem
import Reporting

extension DiskAccess {
    /// The same for several threads: whoever asks second waits for the first to have its answer.
    func guarded() -> DiskAccess {
        let door = Monitor(self)
        return DiskAccess(
            waitForDevice: { path in try door.change { try $0.waitForDevice(path) } },
            devicesChanged: { nodes in try door.change { try $0.devicesChanged(nodes) } },
            loadFilesystem: { type in try door.change { try $0.loadFilesystem(type) } },
            report: { event in door.change { $0.report(event) } },
            volumeOpened: { volume in try door.change { try $0.volumeOpened(volume) } }, keys: keys)
    }
}

extension DiskStage {
    /// mkfs.btrfs and mkfs.xfs take some MiB of RAM each, and a machine may have little.
    private static let mostAtOnce = 4

    /// Does the same with each of several devices. All that are begun are finished; the first failure in their
    /// order is then told, as one of a step: `partitioning /dev/vda`.
    static func sideBySide<Item>(
        _ items: [Item], _ doing: String, _ node: KeyPath<Item, String>, _ body: (Item) throws -> Void
    ) throws(BootFailure) {
        let failures = Monitor<[Int: any Error]>([:])
        inParallel(items.count, limit: mostAtOnce) { number in
            do { try body(items[number]) } catch { failures.change { $0[number] = error } }
        }
        guard let first = failures.change({ $0.min { $0.key < $1.key } }) else { return }
        try step("\(doing) \(items[first.key][keyPath: node])") { throw first.value }
    }
}
