// The stages after the fetch, carried out by the same libraries as a boot of our own.

import BlockDevices
import BootArguments
import BootReport
import Encoding
import Fetching
import FilePlanning
import Glibc
import IgnitionConfig
import LinuxSystem
import Reporting
import SystemPackage
import TargetRoot

extension IgnitionRun {
    // MARK: kargs

    /// Has the distribution's own program change the boot loader; it restarts the machine where it did.
    func setKernelArguments(_ wanted: IgnitionConfig.KernelArguments) throws {
        let helper = KernelArgumentsHelper(wanted)
        guard helper.isNeeded else { return }
        log.info("running \(KernelArgumentsHelper.program)")
        try helper.run()
    }

    // MARK: disks, mount, umount

    func prepareDisks(_ config: IgnitionConfig) throws {
        try config.checkSupport()
        guard config.storage.namesDisks else { return }
        var access = diskAccess
        let fetcher = try fetcher(for: config)
        access.keys = VolumeKeys(known: try knownKeys()) { try fetcher.write($0, to: $1, purpose: .trust) }
        access.volumeOpened = { [self] volume in
            guard let key = volume.key else { return }
            state.keys = (state.keys ?? [:]).merging(
                [volume.name: key.withBytes { DataURL.text(for: Array($0)) }]) { $1 }
        }
        let plan = try DiskStage.plan(config.storage, access: access)
        for warning in plan.warnings { log.warning(warning) }
        for line in plan.lines { log.info("plan: \(line)") }
        try DiskStage.apply(plan, access: access)
        state.nodes = plan.nodes
    }

    func mountFilesystems(_ config: IgnitionConfig) throws {
        guard config.storage.namesDisks else { return }
        var access = MountAccess(diskAccess)
        access.folderMade = { [self] folder in state.mountFolders = (state.mountFolders ?? []) + [folder] }
        access.label = { [self] path in
            if let warning = try TargetRoot(invocation.root).relabel([path]) { log.warning(warning) }
        }
        try FilesystemMounts.mount(
            config.storage, under: invocation.root, nodes: state.nodes, access: access)
    }

    func unmountFilesystems(_ config: IgnitionConfig) throws {
        try FilesystemMounts.unmount(config.storage.mounts.map(\.path), under: invocation.root)
    }

    private var diskAccess: DiskAccess {
        let deadline = arguments.deviceTimeout
        return DiskAccess(
            waitForDevice: { [devices] path in
                let until = deadline == 0 ? .infinity : Machine.uptime() + Double(deadline ?? 90)
                try devices.wait(FilePath(path), until)
            },
            devicesChanged: { [devices] in devices.settleChanged($0.map { FilePath($0) }) },
            loadFilesystem: { [devices] in devices.loadModule($0) },
            report: { [log] event in
                switch event {
                case .writing(let what): log.info("[started]  writing \(what)")
                case .done(let deed): log.info("[finished] \(deed)")
                }
            })
    }

    private func knownKeys() throws -> [String: SecretBytes] {
        try (state.keys ?? [:]).mapValues { SecretBytes(try DataURL(parsing: $0).bytes) }
    }

    // MARK: files

    func writeFiles(_ config: IgnitionConfig) throws {
        var config = config
        var target = TargetRoot(invocation.root)
        target.writesKeyFragment = environment.writesKeyFragment
        let volumes = try volumes(of: config)
        config.persist(volumes, crypttab: target.text("/etc/crypttab"), strict: arguments.isStrict)
        var keys: [String: SecretBytes] = [:]
        for volume in volumes where volume.keyFile != nil {
            guard let url = state.keys?[volume.name] else { throw MissingKey(volume: volume.name) }
            keys[volume.name] = SecretBytes(try DataURL(parsing: url).bytes)
        }
        let pool = ResourceFetcherPool(try fetcher(for: config).settings)
        let scratch = StageState.folder.appending("scratch")
        try Files.makeFolder(scratch, mode: 0o700)
        defer {
            // Nothing but what the original leaves is to stay.
            try? Files.erase(scratch)
            rmdir(StageState.folder.string)
        }
        if target.text(ProvisioningResult.path) != nil, !target.isLiveImage {
            log.warning("Ignition has run on this system before; that a second run gives the same is not certain")
        }
        let folders = (state.mountFolders ?? []).map { $0.hasPrefix("/") ? $0 : "/" + $0 }
        let outcome = try target.provision(
            config, mountFolders: folders, userConfigProvided: state.userConfigProvided, keys: keys,
            scratch: scratch, conformance: arguments.isStrict ? .strict : .dropIn, onFailure: pool.cancel
        ) { try pool.write($0, to: $1) }
        for warning in outcome.warnings { log.warning(warning) }
        for kept in outcome.kept { log.info("kept: \(kept.name) \(kept.reason.rawValue)") }
        for keys in outcome.keyFiles {
            IgnitionLog.journal(
                .authorizedKeys, "wrote ssh authorized keys file for user: \(keys.user)",
                [
                    ("IGNITION_USER_NAME", keys.user),
                    ("IGNITION_PATH", invocation.root.pushing(FilePath(keys.path).removingRoot()).string),
                ])
        }
        log.info(outcome.summary)
        // The real root has them now.
        state.keys = nil
    }

    /// Those of the config's LUKS volumes that the real root is to open again.
    private func volumes(of config: IgnitionConfig) throws -> [CrypttabEntry] {
        try config.storage.luks.map { volume in
            let name = volume.device ?? ""
            let device = state.nodes[name] ?? name
            guard let header = try LUKSHeader.read(device) else { throw DiskFailure.missing(device) }
            let opener: CrypttabEntry.Opener =
                volume.clevis.isUsed ? .clevis(overNetwork: volume.clevis.opensOverNetwork) : .keyFile
            return CrypttabEntry(name: volume.name, uuid: header.uuid, opener: opener)
        }
    }

    /// Fetches as the config says. Its certificate authorities are in it: the cache holds them.
    private func fetcher(for config: IgnitionConfig) throws -> ResourceFetcher {
        var settings = FetchSettings()
        let log = log
        settings.log = { log.info($0) }
        settings.credentials = instanceCredentials
        settings.adopt(config.ignition.timeouts, config.ignition.proxy)
        let fetcher = ResourceFetcher(settings)
        try fetcher.trust(config.ignition.security.tls.certificateAuthorities)
        return fetcher
    }
}

/// The disks stage has left no key for a volume of the config.
struct MissingKey: Error, Equatable, Advising, CustomStringConvertible {
    var volume: String

    var description: String { "there is no key of the LUKS volume \(volume): the stage disks has not run" }
    var advice: [String] { ["Run the stages with the same -state-file, each once, in the order of their units."] }
}
