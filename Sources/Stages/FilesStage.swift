// Users, files, links and units, written into the real root.

import Fetching
import FilePlanning
import IgnitionConfig
import LinuxSystem
import Reporting
import SystemPackage
import TargetRoot

extension Stages {
    /// Makes the real root's files, users and units what the config says.
    func writeFiles() throws {
        guard arguments.ignitionFirstboot else { return }
        // Without a config there is still the result to leave: that provisioning ran, and with nothing.
        let given = try loadConfig()
        let isUsers = try loadUserConfig() != nil
        var config = given ?? IgnitionConfig()
        var target = TargetRoot(sysroot)
        target.writesKeyFragment = try IgnitionEnvironment.keyFragment(variable)
        config.persist(state.volumes, crypttab: target.text("/etc/crypttab"), strict: arguments.isStrict)
        var keys: [String: SecretBytes] = [:]
        for volume in state.volumes where volume.keyFile != nil { keys[volume.name] = try state.key(of: volume) }
        let pool = ResourceFetcherPool(try resourceFetcher(for: config).settings)
        let scratch = StageState.folder.appending("scratch")
        try Files.makeFolder(scratch, mode: 0o700)
        let outcome = try target.provision(
            config, mountFolders: state.mounts.folders, userConfigProvided: isUsers, keys: keys, scratch: scratch,
            conformance: arguments.isStrict ? .strict : .own, written: state.recordWrite, onFailure: pool.cancel
        ) { resource, descriptor in
            try pool.write(resource, to: descriptor)
        }
        // The real root has them now; nobody else needs them.
        try state.forgetKeys()
        for warning in outcome.warnings { warn(warning) }
        for kept in outcome.kept { log.info("kept: \(kept.name) \(kept.reason.rawValue)") }
        if given != nil { console.say("files", outcome.summary) }
        note(outcome.changes, of: "files")
    }
}
