// Filesystems of others, mounted to read from them: not a byte of their devices changes.

import DiskPlanning
import Glibc
import LinuxSystem
import SystemPackage

/// Mounts a filesystem read-only in such a way that the kernel writes nothing to its device.
public enum ReadOnlyMounts {
    /// Those without a journal and without files that wait for their removal.
    private static let withoutJournal = ["iso9660", "udf", "vfat", "exfat", "squashfs", "erofs"]

    /// Mounts a filesystem.
    ///
    /// A read-only mount of a device that takes writes replays a journal, and an ext4 removes files that were open when
    /// the power went even where the journal is left alone. So the device is one that takes no writes.
    ///
    /// - Parameters:
    ///   - device: The block device.
    ///   - folder: Where it is mounted.
    ///   - type: What libblkid calls the filesystem.
    ///   - flags: MS_* bits beside MS_RDONLY.
    ///   - loadModule: Loads a kernel module by name.
    /// - Throws: The errno of mount(2).
    public static func mount(
        _ device: FilePath, on folder: FilePath, type: String, flags: Int = 0, loadModule: (String) -> Void
    ) throws(FileFault) {
        // One driver for all three; without modprobe the kernel loads none by another name.
        let type = ["ext2", "ext3"].contains(type) ? "ext4" : type
        modules(for: type).forEach(loadModule)
        let option = FilesystemFormat(rawValue: type)?.optionToLeaveJournal
        let data = option.map { option in option.name + (option.value.map { "=\($0)" } ?? "") }
        func mount(_ source: FilePath) throws(FileFault) {
            do throws(FileFault) {
                try Mounts.mount(source.string, on: folder, type: type, flags: UInt(MS_RDONLY | flags), data: data)
            } catch {
                // Whoever reads of it knows the device, and no loop device.
                throw FileFault("mount \(device) on", folder, error.reason)
            }
        }
        func mountLoop(otherwise: () throws(FileFault) -> Void) throws(FileFault) {
            loadModule("loop")
            guard let loop = try? LoopDevice(file: device, readOnly: true) else { return try otherwise() }
            try mount(loop.path)
        }
        // A btrfs is known by its nodes, and one of several devices must not get another.
        if type != "btrfs", !withoutJournal.contains(type) {
            return try mountLoop { () throws(FileFault) in try mount(device) }
        }
        do throws(FileFault) { try mount(device) } catch {
            // Sectors of more than 2048 bytes are too large for a disc's filesystem; those of a loop device have 512.
            guard error.reason == .invalidArgument else { throw error }
            try mountLoop { () throws(FileFault) in throw error }
        }
    }

    /// The device that a mount reads from, where it does so through a loop device.
    public static func device(behind source: String) -> String {
        let name = source.dropFirst("/dev/".count)
        let backing = Files.line(FilePath("/sys/block/\(name)/loop/backing_file"))
        return source.hasPrefix("/dev/loop") ? backing ?? source : source
    }

    /// The modules for a filesystem, because without modprobe the kernel cannot load what a mount needs.
    private static func modules(for type: String) -> [String] {
        switch type {
        case "iso9660": ["isofs"]
        case "vfat": ["vfat", "nls_cp437", "nls_ascii", "nls_iso8859_1", "nls_utf8"]
        default: [type]
        }
    }
}
