// Disks: planned as a whole, told, and only then changed; the config's filesystems mounted and unmounted.

import BlockDevices
import BootArguments
import BootReport
import DiskPlanning
import IgnitionConfig
import JSONText
import LinuxSystem
import Reporting
import SystemPackage
import TargetRoot

extension Stages {
    /// Makes the disks what the config says.
    func prepareDisks() throws {
        guard let config = try loadConfig(), config.storage.namesDisks else { return }
        var access = diskAccess
        let fetcher = try resourceFetcher(for: config)
        access.keys = VolumeKeys(known: state.knownKeys, made: Set(state.volumes.map(\.name))) {
            try fetcher.write($0, to: $1, purpose: .trust)
        }
        access.volumeOpened = { try state.save($0) }
        let plan = try DiskStage.plan(config.storage, access: access)
        try state.save(plan.json, as: "plan.json")
        for warning in plan.warnings { warn(warning) }
        if arguments.planOnly { throw PlanOnly(plan) }
        for line in plan.summaryLines { console.say("plan", line) }
        for line in plan.lines { log.info("plan: \(line)") }
        try DiskStage.apply(plan, access: access)
        if !plan.isEmpty { console.say("disks", "done") }
        note(plan.changes, of: "disks")
    }

    /// Mounts the filesystems that have a path, below the real root.
    func mountFilesystems() throws {
        guard let config = try loadConfig(), config.storage.namesDisks else { return }
        var access = MountAccess(diskAccess)
        // A second run finds the folders made; they stay those of this boot.
        access.folderMade = { folder in
            try state.changeMounts { $0.folders.append(folder) }
            state.recordWrite("the directory \(folder)")
            note(ChangeSummary(created: [folder]), of: "mount")
        }
        access.mounted = { path, node in
            try state.changeMounts { $0.mounted.append(path) }
            note(["\(node) on \(path)"], of: "mount")
        }
        access.unmounted = { path in try state.changeMounts { $0.mounted.removeAll { $0 == path } } }
        access.label = { path in
            if let warning = try TargetRoot(sysroot).relabel([path]) { warn(warning) }
        }
        try FilesystemMounts.mount(config.storage, under: sysroot, nodes: state.plannedNodes, access: access)
    }

    /// Unmounts them: the real root mounts them itself, with its own units. LUKS volumes stay open for it.
    func unmountFilesystems() throws {
        var access = MountAccess(diskAccess)
        access.unmounted = { path in try state.changeMounts { $0.mounted.removeAll { $0 == path } } }
        try FilesystemMounts.unmount(state.mounts.mounted, under: sysroot, access: access)
    }

    private var diskAccess: DiskAccess {
        var access = DiskAccess(
            waitForDevice: { try devices.wait(FilePath($0), deviceDeadline) },
            devicesChanged: { devices.settleChanged($0.map { FilePath($0) }) },
            loadFilesystem: { devices.loadModule($0) },
            report: { event in
                switch event {
                case .writing(let what):
                    console.doing("writing \(what)")
                    state.recordWrite(what)
                case .done(let deed): console.say("disks", deed)
                }
            })
        access.waits = console.waits
        return access
    }
}

extension IgnitionConfig.Storage {
    /// Whether the disks stage has anything to look at.
    var namesDisks: Bool { !disks.isEmpty || !raid.isEmpty || !luks.isEmpty || !filesystems.isEmpty }
}

extension StageState {
    /// Kernel names of the config's filesystem devices, as the disks stage planned them.
    var plannedNodes: [String: String] {
        let pairs = (load("plan.json")?["filesystems"]?.elements ?? []).compactMap { filesystem -> (String, String)? in
            guard let device = filesystem["device"]?.string, let node = filesystem["node"]?.string else { return nil }
            return (device, node)
        }
        return Dictionary(pairs) { first, _ in first }
    }
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
