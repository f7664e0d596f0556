// Configs on volumes that are found by their labels.

import BootArguments
import LinuxSystem
import Reporting
import SystemPackage

/// The path of the config on a config drive of OpenStack's kind.
let openstackUserData = "openstack/latest/user_data"

/// How long a drive is waited for that need not be there: Ignition's own limit.
///
/// `rd.timeout=` does not count here, since every boot without such a drive waits for all of it.
private let optionalDriveSeconds = 30.0

extension PlatformAccess {
    /// The first volume with one of the labels; `nil` if none appears in `seconds` (`nil` waits without limit).
    func volume(_ labels: [String], within seconds: Double?) -> FilePath? {
        ["sr_mod", "isofs"].forEach(loadModule)
        let paths = labels.map { FilePath("/dev/disk/by-label").appending($0) }
        let wait = Wait(
            for: "a volume labelled \(labels.joined(separator: " or "))", reason: "not there yet",
            deadline: seconds.map { Machine.uptime() + $0 }, advice: ["Check that it is attached, and its label"])
        return waits.wait(for: wait) { _ in device(paths, seconds) }
    }

    /// Reads one file of a volume after waiting for it; `nil` if the volume or the file is missing.
    private func file(_ path: String, on label: String, within seconds: Double?) throws -> [UInt8]? {
        guard let drive = volume([label], within: seconds) else { return nil }
        return try files(drive, [], [path])[path]
    }

    func configDriveConfig() throws -> [UInt8]? { try file(openstackUserData, on: "config-2", within: nil) }

    func ibmConfig() throws -> [UInt8]? { try file("user-data", on: "cidata", within: optionalDriveSeconds) }

    func kubevirtConfig() throws -> [UInt8]? {
        guard let drive = volume(["cidata", "config-2"], within: nil) else { return nil }
        let path = drive.lastComponent == "cidata" ? "user-data" : openstackUserData
        return try files(drive, [], [path])[path]
    }

    /// Reads the first file that is not a cloud-config: Proxmox writes one itself if the user gave nothing.
    func proxmoxConfig() throws -> [UInt8]? {
        guard let drive = volume(["cidata"], within: optionalDriveSeconds) else { return nil }
        let paths = ["user-data", "vendor-data"]
        let found = try files(drive, [], paths)
        return paths.compactMap { found[$0] }.first { !$0.isEmpty && !$0.starts(with: Array("#cloud-config\n".utf8)) }
    }

    /// Reads the config that `ignition.config.device` and `ignition.config.path` name; unlike a platform's, it must
    /// exist.
    ///
    /// - Parameters:
    ///   - path: The path of the config on the volume.
    ///   - label: The label of the volume.
    ///   - seconds: How long the volume is waited for; `nil` waits without limit.
    /// - Returns: The bytes of the file.
    /// - Throws: ``PlatformFailure`` if the volume or the file is missing or cannot be read.
    public func config(at path: String, onVolume label: String, within seconds: Int?) throws -> [UInt8] {
        guard let drive = volume([label], within: seconds.map { Double($0) }) else {
            throw PlatformFailure.noVolume(label: label, seconds: seconds)
        }
        guard let bytes = try files(drive, [], [path])[path] else { throw PlatformFailure.noFile(path, on: drive) }
        return bytes
    }
}
