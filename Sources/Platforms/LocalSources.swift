// Configs that lie in this machine: QEMU's firmware configuration, a file, a boot FIFO.

import Glibc
import LinuxSystem
import SystemPackage

extension PlatformAccess {
    /// What QEMU was given as `-fw_cfg name=opt/com.coreos/config,file=...`; `nil` where it was not.
    func qemuConfig() throws(PlatformFailure) -> [UInt8]? {
        let device = sysfs.appending("firmware/qemu_fw_cfg")
        if !Files.exists(device) { loadModule("qemu_fw_cfg") }
        guard Files.exists(device) else { throw .noFirmwareDevice }
        let blob = device.appending("by_name/opt/com.coreos/config")
        guard let size = Files.line(blob.appending("size")).flatMap({ Int($0) }) else { return nil }
        let bytes = try read(blob.appending("raw"), buffer: size + 1)
        guard bytes.count == size else { throw .wrongLength(blob.appending("raw"), bytes: size) }
        return bytes
    }

    /// `IGNITION_CONFIG_FILE`, or `config.ign` in the working directory.
    func fileConfig() throws(PlatformFailure) -> [UInt8]? {
        try read(FilePath(environment("IGNITION_CONFIG_FILE") ?? "config.ign"))
    }

    /// What was pushed into a BlueField card together with its boot stream, without the padding.
    func bootFifoConfig() throws(PlatformFailure) -> [UInt8]? {
        loadModule("mlxbf_bootctl")
        let fifo = sysfs.appending("bus/platform/devices/MLNXBF04:00/bootfifo")
        var bytes = try read(fifo)[...]
        while bytes.first == 0 { bytes.removeFirst() }
        while bytes.last == 0 { bytes.removeLast() }
        if bytes.isEmpty { throw .empty(fifo) }
        return Array(bytes)
    }

    /// - Parameter buffer: Bytes for each read: the firmware device starts over for each, and skips what it gave.
    private func read(_ path: FilePath, buffer: Int = 64 << 10) throws(PlatformFailure) -> [UInt8] {
        do throws(Errno) {
            let descriptor = open(path.string, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else { throw Errno(rawValue: errno) }
            defer { close(descriptor) }
            return try readAll(descriptor, buffer: buffer)
        } catch { throw .unreadable(path, error) }
    }
}
