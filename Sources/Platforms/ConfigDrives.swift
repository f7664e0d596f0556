// Configs on volumes that are found by their labels.

import BootArguments
import LinuxSystem
import Reporting
import SystemPackage

/// Where OpenStack's kind of config drive has the config.
let openstackUserData = "openstack/latest/user_data"

extension PlatformAccess {
    /// The first volume of one of the labels to be there; `nil` after so many seconds (`nil`: never).
    func volume(_ labels: [String], within seconds: Double?) -> FilePath? {
        ["sr_mod", "isofs"].forEach(loadModule)
        let paths = labels.map { FilePath("/dev/disk/by-label").appending($0) }
        let wait = Wait(
            for: "a volume labelled \(labels.joined(separator: " or "))", reason: "not there yet",
            deadline: seconds.map { Machine.uptime() + $0 }, advice: ["Check that it is attached, and its label"])
        return waits.wait(for: wait) { _ in device(paths, seconds) }
    }

    /// One file of a volume that is waited for; `nil` where the volume or the file is not there.
    private func file(_ path: String, on label: String, within seconds: Double?) throws -> [UInt8]? {
        guard let drive = volume([label], within: seconds) else { return nil }
        return try files(drive, [], [path])[path]
    }

    func configDriveConfig() throws -> [UInt8]? { try file(openstackUserData, on: "config-2", within: nil) }

    func ibmConfig() throws -> [UInt8]? { try file("user-data", on: "cidata", within: 30) }

    func kubevirtConfig() throws -> [UInt8]? {
        guard let drive = volume(["cidata", "config-2"], within: nil) else { return nil }
        let path = drive.lastComponent == "cidata" ? "user-data" : openstackUserData
        return try files(drive, [], [path])[path]
    }

    /// Proxmox itself writes a cloud-config where the user gave nothing.
    func proxmoxConfig() throws -> [UInt8]? {
        guard let drive = volume(["cidata"], within: 30) else { return nil }
        let paths = ["user-data", "vendor-data"]
        let found = try files(drive, [], paths)
        return paths.compactMap { found[$0] }.first { !$0.isEmpty && !$0.starts(with: Array("#cloud-config\n".utf8)) }
    }

    /// `ignition.config.device` and `ignition.config.path`: unlike a platform's volume, this one must be there.
    ///
    /// - Throws: ``PlatformFailure``.
    public func config(at path: String, onVolume label: String) throws -> [UInt8] {
        let seconds = 30
        guard let drive = volume([label], within: Double(seconds)) else {
            throw PlatformFailure.noVolume(label: label, seconds: seconds)
        }
        guard let bytes = try files(drive, [], [path])[path] else { throw PlatformFailure.noFile(path, on: drive) }
        return bytes
    }
}
