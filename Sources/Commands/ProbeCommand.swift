// `firstlight probe` and `firstlight links`: what is on this disk, and by which names it is known.

import Devices
import LinuxSystem
import ProvisioningEngine
import Reporting
import SystemPackage

/// What a person can ask of devices.
public enum ProbeCommand {
    /// Prints what devices or image files hold, one JSON object each.
    ///
    /// - Returns: Whether all could be read.
    public static func probe(_ files: [String]) -> Bool {
        forEach(files) { print(try deviceDescription($0).text(.pretty), terminator: "") }
    }

    /// Prints the `/dev/disk` links that belong to devices, sorted, one a line.
    ///
    /// - Returns: Whether all could be read.
    public static func links(_ devices: [String]) -> Bool {
        forEach(devices) { device in try describeLinks(for: FilePath(device)).forEach { print($0) } }
    }
}
