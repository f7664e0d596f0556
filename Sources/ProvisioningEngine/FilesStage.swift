// Users, files, links and units, written into the real root.

import BlockDevices
import BootReport
import Fetching
import FilePlanning
import Glibc
import IgnitionConfig
import LinuxSystem
import LiveRoot
import Platforms
import Reporting
import SystemPackage
import TargetRoot

extension ProvisioningSession {
    /// Has the programs of the real root that ``writeFiles()`` will run in RAM before they are needed.
    ///
    /// A compressed image gives them slowly, a CD more so.
    public func readPrograms() {
        guard let config = try? config() else { return }
        try? startedRoot().readPrograms(for: config)
    }

    /// Makes the real root's files, users and units what the config says.
    public func writeFiles() throws {
        guard isWanted else { return }
        // Without a config there is still the result to leave: that provisioning ran, and with nothing.
        let given = try config()
        var config = given ?? IgnitionConfig()
        let target = try startedRoot()
        let volumes = try volumes(of: config)
        config.persist(volumes, crypttab: target.text("/etc/crypttab"), policy: rules.rerun)
        var keys: [String: SecretBytes] = [:]
        for volume in volumes where volume.keyFile != nil { keys[volume.name] = try store.key(of: volume.name) }
        if rules.warnsOfEarlierRun, target.text(ProvisioningResult.path) != nil, !target.isLiveImage {
            warn("Ignition has run on this system before; a second run may give another result")
        }
        let outcome = try write(config, into: target, keys: keys, through: try resourceFetcher(for: config).settings)
        try writePlatformFiles(into: target)
        // The real root has the keys now, and nobody else needs them.
        try store.forgetKeys()
        observer(.wroteFiles(summary: outcome.summary, isAsked: given != nil))
        observer(.did(topic: "files", outcome.changes, []))
    }

    /// Writes what the platform gave beside the config, for root alone.
    func writePlatformFiles(into target: TargetRoot) throws {
        // A form of another's making is left alone.
        let files = try [PlatformFile](store.platformFiles) ?? []
        for file in files {
            try target.replaceFile(file.path, with: file.bytes, mode: 0o600)
            observer(.wrote(file.path))
        }
        if !files.isEmpty, let warning = try target.relabel(files.map(\.path)) { warn(warning) }
    }

    /// Writes a config's files, links and units into the root of a container image, and nothing else.
    ///
    /// - Parameters:
    ///   - bytes: The text of the config.
    ///   - name: The name in front of line numbers.
    ///   - ignoresUnsupported: Whether parts that a container cannot have are left out; otherwise they are an error.
    /// - Throws: What is wrong with the config, or the step that failed.
    public func writeContainerFiles(of bytes: [UInt8], name: String, ignoresUnsupported: Bool) throws {
        observer(.parsing(bytes))
        let parsed = IgnitionConfig.parse(bytes, name: name)
        observer(.parsed(parsed.report))
        let fetcher = try resourceFetcher()
        let completion = ConfigCompletion(fetcher, proxy: proxyArgument) { [observer] in observer(.warning($0)) }
        var config = try completion.complete(try parsed.checked()) ?? IgnitionConfig()
        let unsupported = config.takeAwayWhatIsNoFile()
        if !unsupported.isEmpty, !ignoresUnsupported { throw ContainerFault.unsupported(unsupported) }
        if isOffline, namesSomethingRemote(config) { throw ContainerFault.remote }
        let outcome = try write(config, into: try targetRoot(), leavesResult: false, through: fetcher.settings)
        observer(.wroteFiles(summary: outcome.summary, isAsked: true))
    }

    /// The root of the system that this boot goes on with.
    private func startedRoot() throws -> TargetRoot {
        var target = try targetRoot()
        target.nextInit = arguments.allowsFirstBoot ? arguments.initProgram ?? SwitchRoot.candidates[0] : nil
        return target
    }

    private func targetRoot() throws -> TargetRoot {
        var target = TargetRoot(root)
        target.writesKeyFragment = try writesKeyFragment ?? keyFragment(variable)
        return target
    }

    private func write(
        _ config: IgnitionConfig, into target: TargetRoot, keys: [String: SecretBytes] = [:],
        leavesResult: Bool = true, through settings: FetchSettings
    ) throws -> TargetRoot.Outcome {
        let pool = ResourceFetcherPool(settings)
        let scratch = StateFolder.scratch
        try Files.makeFolder(scratch, mode: 0o700)
        defer {
            if rules.leavesNoFolder {
                try? Files.erase(scratch)
                rmdir(StateFolder.folder.string)
            }
        }
        let outcome = try target.provision(
            config, mountFolders: leavesResult ? try store.mountFolders : [],
            userConfigProvided: try !leavesResult || store.hasUserConfig, keys: keys, scratch: scratch,
            policy: rules.rerun, leavesResult: leavesResult, written: { [observer] in observer(.wrote($0)) },
            onFailure: pool.cancel
        ) { resource, descriptor in
            try pool.write(resource, to: descriptor)
        }
        for warning in outcome.warnings { warn(warning) }
        for kept in outcome.kept { observer(.detail("kept: \(kept.name) \(kept.reason.rawValue)")) }
        for keys in outcome.keyFiles { observer(.wroteKeys(user: keys.user, path: keys.path)) }
        return outcome
    }

    /// Those of the config's LUKS volumes that the real root is to open again.
    private func volumes(of config: IgnitionConfig) throws -> [CrypttabEntry] {
        if let volumes = try store.volumes { return volumes.map { CrypttabEntry($0) } }
        let nodes = try store.nodes
        return try config.storage.luks.map { volume in
            let name = volume.device ?? ""
            let device = nodes[name] ?? name
            guard let header = try LUKSHeader.read(device) else { throw DiskFailure.missing(device) }
            let opener: CrypttabEntry.Opener =
                volume.clevis.isUsed ? .clevis(overNetwork: volume.clevis.opensOverNetwork) : .keyFile
            return CrypttabEntry(name: volume.name, uuid: header.uuid, opener: opener)
        }
    }
}

extension CrypttabEntry {
    fileprivate init(_ volume: KeptVolume) {
        let opener: Opener =
            switch volume.opener {
            case .key: .keyFile
            case .clevis(let overNetwork): .clevis(overNetwork: overNetwork)
            }
        self.init(name: volume.name, uuid: volume.uuid, opener: opener)
    }
}

extension IgnitionConfig {
    /// Leaves what can be done to a container alone.
    ///
    /// - Returns: The names of the parts that were taken out and said something.
    mutating func takeAwayWhatIsNoFile() -> [String] {
        var taken: [String] = []
        func take<Part: Equatable>(_ name: String, _ part: inout [Part]) {
            if !part.isEmpty { taken.append(name) }
            part = []
        }
        take("kernelArguments.shouldExist", &kernelArguments.shouldExist)
        take("kernelArguments.shouldNotExist", &kernelArguments.shouldNotExist)
        take("passwd.users", &passwd.users)
        take("passwd.groups", &passwd.groups)
        take("storage.disks", &storage.disks)
        take("storage.raid", &storage.raid)
        take("storage.luks", &storage.luks)
        take("storage.filesystems", &storage.filesystems)
        return taken
    }
}

/// Why a config cannot be written into a container.
enum ContainerFault: Error, Equatable, Advising, CustomStringConvertible {
    case unsupported([String])
    case remote

    var description: String {
        switch self {
        case .unsupported(let parts):
            "the config asks for what a container does not have: \(parts.joined(separator: ", "))"
        case .remote: "the config names something on another machine, and --offline is given"
        }
    }

    var advice: [String] {
        switch self {
        case .unsupported: ["--ignore-unsupported leaves them out."]
        case .remote: []
        }
    }
}

// MARK: Where keys go

/// `IGNITION_WRITE_AUTHORIZED_KEYS_FRAGMENT`; `nil` where it is not set.
///
/// - Parameter value: A variable's value; `nil` where it is not set.
/// - Returns: Whether SSH keys go to `.ssh/authorized_keys.d/ignition`.
/// - Throws: A value that is neither true nor false.
public func keyFragment(_ value: (String) -> String?) throws(EnvironmentFault) -> Bool? {
    let name = "IGNITION_WRITE_AUTHORIZED_KEYS_FRAGMENT"
    switch value(name) ?? "" {
    case "": return nil
    case "true", "1": return true
    case "false", "0": return false
    case let other: throw EnvironmentFault(variable: name, value: other)
    }
}

/// A variable of the environment that is not what it can be.
public struct EnvironmentFault: Error, Equatable, CustomStringConvertible {
    var variable: String
    var value: String

    /// What is wrong, in one line.
    public var description: String { "\(variable)=\(value): true or false is expected" }
}
