// The config's filesystems, mounted below the real root while files are written, and unmounted again.

import BlockDevices
import BootReport
import IgnitionConfig
import LinuxSystem
import Reporting
import SystemPackage
import TargetRoot

extension ProvisioningSession {
    /// Mounts the filesystems that have a path, below the real root.
    ///
    /// By the kernel names that the disks stage planned: a label could lead to another device by now, and what is
    /// mounted is written to.
    public func mountFilesystems() throws {
        guard let config = try config(), config.storage.namesDisks else { return }
        var access = mountAccess
        // A second run finds these folders in place; they still count as made by this boot.
        access.folderMade = { [store, observer] folder in
            try store.keep(mountFolder: folder)
            observer(.wrote("the directory \(folder)"))
            observer(.did(topic: "mount", ChangeSummary(created: [folder]), []))
        }
        access.mounted = { [store, observer] path, node in
            try store.keep(mounted: path)
            observer(.did(topic: "mount", ChangeSummary(), ["\(node) on \(path)"]))
        }
        access.label = { [root, observer] path in
            if let warning = try TargetRoot(root).relabel([path]) { observer(.warning(warning)) }
        }
        try FilesystemMounts.mount(config.storage, under: root, nodes: try store.nodes, access: access)
    }

    /// Unmounts them: the real root mounts them itself, with its own units.
    ///
    /// LUKS volumes stay open for it.
    public func unmountFilesystems() throws {
        let paths = try store.mounted ?? config()?.storage.mounts.map(\.path) ?? []
        try FilesystemMounts.unmount(paths, under: root, access: mountAccess)
    }

    private var mountAccess: MountAccess {
        var access = MountAccess(diskAccess)
        access.unmounted = { [store] in try store.forget(mounted: $0) }
        return access
    }
}
