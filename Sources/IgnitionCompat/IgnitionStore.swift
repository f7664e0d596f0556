// Ignition's state file and cache, as the place where stages leave what the next ones need.

import Encoding
import IgnitionConfig
import JSONText
import LinuxSystem
import ProvisioningEngine
import Reporting
import Synchronization
import SystemPackage

/// One stage's view of what the stages before it have left.
///
/// The state is written to its file only after the stage has succeeded.
final class IgnitionStore: SessionStore, Sendable {
    private struct Content {
        var state: IgnitionState
        var progress: ConfigProgress
        /// The config as it was found, until it is whole and in the cache.
        var found: FetchedConfig?
    }

    private let content: Mutex<Content>
    private let cache: FilePath

    /// Makes the store of one stage.
    ///
    /// - Parameters:
    ///   - state: The state as the last stage left it.
    ///   - cache: Where the whole config is kept.
    ///   - isFetching: Whether the stage finds the config; otherwise it reads the config from the cache.
    init(_ state: IgnitionState, cache: FilePath, isFetching: Bool) {
        content = Mutex(Content(state: state, progress: isFetching ? .unknown : .complete))
        self.cache = cache
    }

    /// The state as it is to be written.
    var state: IgnitionState { content.withLock { $0.state } }

    private func change(_ body: (inout IgnitionState) -> Void) { content.withLock { body(&$0.state) } }

    // MARK: The config

    var configProgress: ConfigProgress { content.withLock { $0.progress } }

    func keepNoConfig() throws { try keep(whole: IgnitionConfig()) }

    func keep(_ config: FetchedConfig, isWhole: Bool) throws {
        content.withLock {
            $0.found = config
            $0.progress = isWhole ? .complete : .incomplete
        }
    }

    func keep(whole config: IgnitionConfig) throws {
        try step("writing the config to \(cache)") {
            try Files.makeFolder(cache.removingLastComponent())
            try Files.write(config.json.text(), to: cache, mode: 0o600)
        }
        content.withLock {
            $0.found = nil
            $0.progress = .complete
        }
    }

    func fetchedConfig() throws -> FetchedConfig? {
        if let found = content.withLock({ $0.found }) { return found }
        return try step("reading the config from \(cache)") {
            FetchedConfig(source: cache.string, bytes: try Files.read(cache), isChecked: true)
        }
    }

    var hasUserConfig: Bool { state.userConfigProvided }

    /// Takes note of a config that was read.
    func record(_ config: IgnitionState.RecordedConfig) { change { $0.fetchedConfigs.append(config) } }

    /// Has the journal tell of each config that was read, for other programs.
    func tellJournal() {
        for config in state.fetchedConfigs {
            IgnitionLog.journal(
                .config, "fetched \(config.isReferenced ? "referenced " : "")\(config.kind.rawValue) config",
                [
                    ("IGNITION_CONFIG_TYPE", config.kind.rawValue), ("IGNITION_CONFIG_SRC", config.source),
                    ("IGNITION_CONFIG_REFERENCED", config.isReferenced ? "true" : "false"),
                ])
        }
    }

    var platformFiles: JSONValue { state.outputFiles }
    func keep(platformFiles: JSONValue) throws { change { $0.outputFiles = platformFiles } }

    // MARK: Disks and mounts

    var nodes: [String: String] { state.nodes }
    func keep(nodes: [String: String]) throws { change { $0.nodes = nodes } }

    // Ignition looks at the disks only once, so there is nothing to keep.
    var look: DiskLook? { nil }
    func keep(look: DiskLook) throws {}

    var mountFolders: [String] { (state.mountFolders ?? []).map { $0.hasPrefix("/") ? $0 : "/" + $0 } }
    func keep(mountFolder: String) throws { change { $0.mountFolders = ($0.mountFolders ?? []) + [mountFolder] } }

    // Ignition unmounts what its config names, so there is nothing to keep.
    var mounted: [String]? { nil }
    func keep(mounted path: String) throws {}
    func forget(mounted path: String) throws {}

    // MARK: LUKS volumes

    // Ignition finds the volumes by its config.
    var volumes: [KeptVolume]? { nil }

    func keep(_ volume: KeptVolume, key: SecretBytes?) throws {
        guard let key else { return }
        let url = key.withBytes { DataURL.text(for: Array($0)) }
        change { $0.keys = ($0.keys ?? [:]).merging([volume.name: url]) { $1 } }
    }

    func keys() throws -> [String: SecretBytes] {
        try (state.keys ?? [:]).mapValues { SecretBytes(try DataURL(parsing: $0).bytes) }
    }

    func key(of volume: String) throws -> SecretBytes {
        guard let url = state.keys?[volume] else { throw MissingKey(volume: volume) }
        return SecretBytes(try DataURL(parsing: url).bytes)
    }

    func forgetKeys() throws { change { $0.keys = nil } }
}

/// The disks stage has left no key for a volume of the config.
struct MissingKey: Error, Equatable, Advising, CustomStringConvertible {
    var volume: String

    var description: String { "there is no key of the LUKS volume \(volume): the stage disks has not run" }
    var advice: [String] { ["Run the stages with the same -state-file, each once, in the order of their units."] }
}
