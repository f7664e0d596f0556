// The /var of an ostree deployment: empty in the image, in RAM or on a disk of the config's, and never without the
// folders that the root's links lead to.

import LinuxSystem
import LiveRoot
import Reporting
import SystemPackage
import TargetRoot

extension LiveSession {
    /// What Fedora CoreOS's root has links to, with modes.
    private static let varFolders: [(path: String, mode: UInt32)] =
        [("/var/roothome", 0o700)]
        + ["lib", "log", "home", "opt", "srv", "usrlocal", "mnt", "media"].map { ("/var/\($0)", 0o755) }

    /// Makes the folders that are missing in `/var`, which by now is what the real root will have.
    func populateVar() throws {
        guard Files.exists(OSTreeRoot.booted) else { return }
        let target = TargetRoot(provisioning.root)
        try step("populating /var") {
            let made = try target.makeFolders(Self.varFolders)
            // The maps that sssd left there belong to an earlier boot.
            try target.removeFolder("/var/lib/sss/mc")
            if !made.isEmpty { try label(made) }
        }
    }

    /// Unmounts the config's filesystems, and also the `/var`
    /// in RAM if the real root mounts another one over it.
    public func unmountFilesystems() throws {
        try provisioning.unmountFilesystems()
        let path = provisioning.root.appending("var")
        guard Files.exists(OSTreeRoot.booted), TargetRoot(provisioning.root).mountsVar,
            Mounts.all().contains(where: { $0.target == path })
        else { return }
        try step("unmounting the /var in RAM") { try Mounts.unmount(path) }
    }

    /// Gives files of the root the labels of its policy.
    func label(_ paths: [String]) throws {
        if let warning = try TargetRoot(provisioning.root).relabel(paths) { provisioning.warn(warning) }
    }
}
