// Reports that the running system's medium is gone, in boots where another program's init leaves the initramfs.

import CLinux
import LinuxSystem
import ProvisioningEngine
import SystemPackage

/// The process that outlasts the initramfs, as `medium_watch.c` has it.
public enum MediumWatch {
    /// A busybox that needs no library, where the makers of the initramfs have found one.
    private static let busybox = FilePath("/usr/lib/firstlight/busybox")

    /// Leaves the process behind if the root runs from a medium.
    ///
    /// - Parameter root: What is about to be made the root.
    /// - Throws: ``FileFault`` where the process could not be started.
    public static func leave(for root: String) throws(FileFault) {
        guard let medium = LiveSession.medium, Files.exists(busybox) else { return }
        let result = firstlight_leave_medium_watch(busybox.string, root, medium)
        guard result == 0 else { throw FileFault("start", busybox, Errno(rawValue: -result)) }
    }
}
