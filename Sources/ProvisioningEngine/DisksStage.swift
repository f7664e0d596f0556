// Disks: planned as a whole, told, and only then changed.

import BlockDevices
import BootArguments
import DiskPlanning
import IgnitionConfig
import LinuxSystem
import Reporting
import SystemPackage

extension ProvisioningSession {
    /// Makes the disks what the config says.
    public func prepareDisks() throws {
        guard let config = try config() else { return }
        try config.checkSupport()
        guard config.storage.namesDisks else { return }
        var access = diskAccess
        let fetcher = try resourceFetcher(for: config)
        access.keys = VolumeKeys(known: try store.keys(), made: Set((store.volumes ?? []).map(\.name))) {
            try fetcher.write($0, to: $1, purpose: .trust)
        }
        access.volumeOpened = { [store] in try store.keep(KeptVolume($0), key: $0.key) }
        let plan = try DiskStage.plan(config.storage, access: access)
        observer(.planned(plan.json))
        for warning in plan.warnings { warn(warning) }
        if arguments.planOnly { throw PlanOnly(plan) }
        try store.keep(nodes: plan.nodes)
        observer(.carryingOut(summary: plan.summaryLines, plan: plan.lines))
        try DiskStage.apply(plan, access: access)
        if !plan.isEmpty { observer(.told(topic: "disks", "done")) }
        observer(.did(topic: "disks", plan.changes, []))
    }

    /// What planning, writing and mounting need of the machine.
    var diskAccess: DiskAccess {
        var access = DiskAccess(
            waitForDevice: { [self] in try devices.wait(FilePath($0), deviceDeadline) },
            devicesChanged: { [devices] in devices.settleChanged($0.map { FilePath($0) }) },
            loadFilesystem: { [devices] in devices.loadModule($0) },
            report: { [observer] event in
                switch event {
                case .writing(let what): observer(.writing(what))
                case .done(let deed): observer(.done(deed))
                }
            })
        access.waits = observer.waits
        return access
    }
}

extension KeptVolume {
    fileprivate init(_ volume: OpenVolume) {
        self.init(
            name: volume.name, uuid: volume.uuid,
            opener: volume.key == nil ? .clevis(overNetwork: volume.opensOverNetwork) : .key)
    }
}

extension IgnitionConfig.Storage {
    /// Whether the disks stage has anything to look at.
    var namesDisks: Bool { !disks.isEmpty || !raid.isEmpty || !luks.isEmpty || !filesystems.isEmpty }
}

/// `firstlight.plan`: the plan is what was asked for; the boot ends with it.
struct PlanOnly: Error, Advising, CustomStringConvertible {
    let description: String

    init(_ plan: StoragePlan) {
        description = (["firstlight.plan: the plan, not carried out"] + plan.lines.map { "    " + $0 })
            .joined(separator: "\n")
    }

    var advice: [String] { ["Boot without firstlight.plan to carry it out."] }
}
