import IgnitionConfig
import JSONText
import LinuxSystem
import SystemPackage

@testable import Devices
@testable import ProvisioningEngine

/// What stages leave, in memory.
final class MemoryStore: SessionStore, @unchecked Sendable {
    var configProgress = ConfigProgress.unknown
    var config: FetchedConfig?
    var whole: IgnitionConfig?
    var platformFiles = JSONValue.null
    var nodes: [String: String] = [:]
    var look: DiskLook?
    var mountFolders: [String] = []
    var mounted: [String]? = []
    var volumes: [KeptVolume]? = []

    func keepNoConfig() throws {
        config = nil
        configProgress = .complete
    }

    func keep(_ config: FetchedConfig, isWhole: Bool) throws {
        self.config = config
        configProgress = isWhole ? .complete : .incomplete
    }

    func keep(whole config: IgnitionConfig) throws {
        whole = config
        self.config = FetchedConfig(source: "whole", bytes: Array(config.json.text().utf8), isChecked: true)
        configProgress = .complete
    }

    func fetchedConfig() throws -> FetchedConfig? { config }
    var hasUserConfig: Bool { config != nil }
    func keep(platformFiles: JSONValue) throws { self.platformFiles = platformFiles }
    func keep(nodes: [String: String]) throws { self.nodes = nodes }
    func keep(look: DiskLook) throws { self.look = look }
    func keep(mountFolder: String) throws { mountFolders.append(mountFolder) }
    func keep(mounted path: String) throws { mounted?.append(path) }
    func forget(mounted path: String) throws { mounted?.removeAll { $0 == path } }
    func keep(_ volume: KeptVolume, key: SecretBytes?) throws { volumes?.append(volume) }
    func keys() throws -> [String: SecretBytes] { [:] }
    func key(of volume: String) throws -> SecretBytes { SecretBytes(count: 1) }
    func forgetKeys() throws {}
}

extension DeviceAccess {
    /// A machine on which nothing ever appears. Tells what was waited for.
    static func absent(_ waited: Monitor<[String]>) -> DeviceAccess {
        DeviceAccess(
            wait: { path, _, _ throws(DeviceTimeout) in
                waited.change { $0.append(path.string) }
                throw DeviceTimeout(path, seconds: 0)
            },
            firstOf: { _, _, _ in nil }, settle: {}, loadModule: { _ in })
    }
}
