// Works on independent devices at the same time, since each program mostly waits for its own disk.

import LinuxSystem
import Reporting

extension DiskAccess {
    /// The same access, one thread at a time: the second to ask waits until the first has its answer.
    func guarded() -> DiskAccess {
        let door = Monitor(())
        let access = self
        var guarded = self
        guarded.waitForDevice = { path in try door.change { _ in try access.waitForDevice(path) } }
        guarded.devicesChanged = { nodes in try door.change { _ in try access.devicesChanged(nodes) } }
        guarded.loadFilesystem = { type in try door.change { _ in try access.loadFilesystem(type) } }
        guarded.report = { event in door.change { _ in access.report(event) } }
        guarded.volumeOpened = { volume in try door.change { _ in try access.volumeOpened(volume) } }
        return guarded
    }
}

/// mkfs.btrfs and mkfs.xfs take some MiB of RAM each, and a machine may have little.
private let mostAtOnce = 4

/// Does the same with each of several devices, and returns the results in their order.
///
/// Everything that was begun is finished; the first failure in that order is thrown.
func sideBySide<Item: Sendable, Result: Sendable, Failure: Error>(
    _ items: [Item], _ body: @Sendable (Item) throws(Failure) -> Result
) throws(Failure) -> [Result] {
    let results = Monitor<[Int: Swift.Result<Result, Failure>]>([:])
    inParallel(items.count, limit: mostAtOnce) { number in
        let result: Swift.Result<Result, Failure>
        do throws(Failure) { result = .success(try body(items[number])) } catch { result = .failure(error) }
        results.change { $0[number] = result }
    }
    let all = results.change { $0.sorted { $0.key < $1.key }.map(\.value) }
    var found: [Result] = []
    for result in all { found.append(try result.get()) }
    return found
}

extension DiskStage {
    /// Does the same with each of several devices; a failure names its step: `partitioning /dev/vda`.
    static func sideBySide<Item: Sendable>(
        _ items: [Item], _ doing: String, _ node: KeyPath<Item, String> & Sendable,
        _ body: @Sendable (Item) throws -> Void
    ) throws(BootFailure) {
        _ = try BlockDevices.sideBySide(items) { item throws(BootFailure) in
            try step("\(doing) \(item[keyPath: node])") { try body(item) }
        }
    }
}
