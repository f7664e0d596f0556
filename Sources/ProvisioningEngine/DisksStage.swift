// Disks: planned as a whole, planned again, told, and only then changed.

import BlockDevices
import BootArguments
import DiskPlanning
import Fetching
import IgnitionConfig
import LinuxSystem
import Reporting
import SystemPackage

extension ProvisioningSession {
    /// Looks at the disks and plans, while the root image is on its way; writes nothing.
    ///
    /// A conflict stops the boot here. What the look has opened is closed again, and the plan is made anew right before
    /// the first write, by ``proveDisks()``.
    public func planDisks() throws {
        guard let (storage, access) = try disksOfConfig() else { return }
        let plan = try plan(storage, access)
        observer(.planned(plan.json))
        if arguments.planOnly { throw PlanOnly(plan) }
        try store.keep(look: DiskLook(plan))
        for (volume, key) in memory.get(\.keys)?.proven ?? [:] { try store.keep(key, of: volume) }
        observer(.detail("the disks are planned, and will be looked at again before the first write"))
        // Loading these modules takes time too, and the image is still on its way.
        for mount in storage.mounts { try? access.loadFilesystem(mount.type) }
    }

    /// Looks at the disks again and plans anew, for ``prepareDisks()``; writes nothing.
    public func proveDisks() throws {
        guard let (storage, access) = try disksOfConfig() else { return }
        let proof = SessionMemory.DiskProof(plan: try plan(storage, access))
        memory.change { $0.proof = proof }
    }

    /// Makes the disks what the config says.
    public func prepareDisks() throws {
        guard let (storage, access) = try disksOfConfig() else { return }
        let proof = memory.take(\.proof)
        let plan = if let proof, proof.isFresh { proof.plan } else { try plan(storage, access) }
        observer(.planned(plan.json))
        if let look = store.look { tell(look, nowIs: DiskLook(plan)) }
        for warning in plan.warnings { warn(warning) }
        if arguments.planOnly { throw PlanOnly(plan) }
        try store.keep(nodes: plan.nodes)
        observer(.carryingOut(summary: plan.summaryLines, plan: plan.lines))
        try DiskStage.apply(plan, access: access)
        memory.change { $0.keys = nil }
        try store.forgetProvenKeys()
        if !plan.isEmpty { observer(.told(topic: "disks", "done")) }
        observer(.did(topic: "disks", plan.changes, []))
    }

    private func plan(_ storage: IgnitionConfig.Storage, _ access: DiskAccess) throws -> StoragePlan {
        var plan = try DiskStage.plan(storage, access: access)
        try DiskStage.fetchKeys(for: plan, access)
        if rules.rootIsInRAM { plan.warnOfKeysInRAM() }
        return plan
    }

    /// What the config says of disks, and the access to them; `nil` where it says nothing.
    private func disksOfConfig() throws -> (IgnitionConfig.Storage, DiskAccess)? {
        guard let config = try config() else { return nil }
        try config.checkSupport()
        guard config.storage.namesDisks else { return nil }
        var access = diskAccess
        access.medium = medium
        access.keys = try volumeKeys(of: config)
        access.volumeOpened = { [store] in try store.keep(KeptVolume($0), key: $0.key) }
        if let roomForImage { access.besideImage = { try deriving($0, beside: roomForImage) } }
        return (config.storage, access)
    }

    private func volumeKeys(of config: IgnitionConfig) throws -> VolumeKeys {
        if let known = memory.get(\.keys) { return known }
        let pool = ResourceFetcherPool(try resourceFetcher(for: config).settings)
        let names = Set(config.storage.luks.map(\.name))
        let made = Set((try store.volumes ?? []).map(\.name))
        let keys = VolumeKeys(known: try store.keys(), made: made, proven: store.provenKeys(of: names)) {
            try pool.write($0, to: $1, purpose: .trust)
        }
        memory.change { $0.keys = keys }
        return keys
    }

    /// Derives a key while nobody else takes much RAM, and once it is known how much the root image still needs.
    func deriving(
        _ body: (UInt64) throws -> SecretBytes?, beside roomForImage: () -> UInt64?
    ) throws -> SecretBytes? {
        let wait = Wait(for: "the size of the root image", reason: "a LUKS volume's key takes RAM that it may need")
        try observer.waits.wait(for: wait) { _ throws(StageCancelled) in
            while roomForImage() == nil {
                if observer.waits.isCancelled() { throw StageCancelled() }
                sleep(seconds: 0.1)
            }
        }
        observer(.detail("the key of a LUKS volume is derived"))
        var result: Result<SecretBytes?, any Error> = .success(nil)
        memoryTurn.take { result = Result { try body(roomForImage() ?? 0) } }
        return try result.get()
    }

    private func tell(_ look: DiskLook, nowIs proof: DiskLook) {
        if look == proof { return observer(.detail("the disks are as they were planned")) }
        observer(.detail("the disks are not as they were planned, and are planned again; the first plan was:"))
        for line in look.lines { observer(.detail("  \(line)")) }
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
                case .done(let summary): observer(.done(summary))
                }
            })
        access.waits = observer.waits
        return access
    }
}

extension DiskLook {
    fileprivate init(_ plan: StoragePlan) { self.init(lines: plan.lines, nodes: plan.nodes) }
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
