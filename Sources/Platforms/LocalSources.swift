// Configs on this machine: QEMU's firmware configuration, a file, a boot FIFO.

import CLinux
import Glibc
import LinuxSystem
import Reporting
import SystemPackage

extension PlatformAccess {
    /// The possible lengths of a firmware entry: its format has 32 bits for them, but memory is smaller.
    private static let firmwareLengths = 0...(1 << 30)

    /// Reads what QEMU got as `-fw_cfg name=opt/com.coreos/config,file=...`; `nil` if it got nothing.
    func qemuConfig() throws(PlatformFailure) -> [UInt8]? {
        let device = sysfs.appending("firmware/qemu_fw_cfg")
        if !Files.exists(device) { loadModule("qemu_fw_cfg") }
        guard Files.exists(device) else { throw .noFirmwareDevice }
        let blob = device.appending("by_name/opt/com.coreos/config")
        guard let text = Files.line(blob.appending("size")) else { return nil }
        guard let size = Int(text), Self.firmwareLengths.contains(size) else {
            throw .badLength(blob.appending("size"), text)
        }
        if size > Self.muchForFirmwareFiles, let bytes = try directly(blob, size: size) { return bytes }
        let bytes = try slowly(blob.appending("raw"), size: size)
        guard bytes.count == size else { throw .wrongLength(blob.appending("raw"), bytes: size) }
        return bytes
    }

    /// The length up to which the kernel's file is read within a second; its time grows with the square of the length.
    private static let muchForFirmwareFiles = 64 << 10

    /// Reads from the device's ports; `nil` if that is impossible, or the bytes differ from those of the file.
    private func directly(_ blob: FilePath, size: Int) throws(PlatformFailure) -> [UInt8]? {
        guard let key = Files.line(blob.appending("key")).flatMap({ UInt16($0) }), let bytes = readFirmware(key, size),
            bytes.count == size
        else { return nil }
        let beginning = try start(of: blob.appending("raw"), count: 4096)
        return bytes.starts(with: beginning) && !beginning.isEmpty ? bytes : nil
    }

    /// Reads the kernel's file page by page, and reports the progress.
    private func slowly(_ raw: FilePath, size: Int) throws(PlatformFailure) -> [UInt8] {
        do throws(Errno) {
            let descriptor = open(raw.string, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else { throw Errno(rawValue: errno) }
            defer { close(descriptor) }
            var bytes: [UInt8] = []
            var tellAt = uptime() + 10
            var page = [UInt8](repeating: 0, count: 64 << 10)
            while bytes.count <= size {
                let count = Glibc.read(descriptor, &page, page.count)
                if count < 0, errno == EINTR { continue }
                guard count >= 0 else { throw Errno(rawValue: errno) }
                if count == 0 { break }
                bytes += page[..<count]
                if uptime() > tellAt {
                    say("for the config from QEMU's firmware: \(ByteCount(bytes.count)) of \(ByteCount(size))")
                    tellAt = uptime() + 10
                }
            }
            return bytes
        } catch { throw .unreadable(raw, error) }
    }

    private func start(of path: FilePath, count: Int) throws(PlatformFailure) -> [UInt8] {
        do throws(Errno) {
            let descriptor = open(path.string, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else { throw Errno(rawValue: errno) }
            defer { close(descriptor) }
            var bytes = [UInt8](repeating: 0, count: count)
            let got = Glibc.read(descriptor, &bytes, count)
            guard got >= 0 else { throw Errno(rawValue: errno) }
            return Array(bytes[..<got])
        } catch { throw .unreadable(path, error) }
    }

    /// Reads the file of `IGNITION_CONFIG_FILE`, or `config.ign` in the working directory.
    func fileConfig() throws(PlatformFailure) -> [UInt8]? {
        try read(FilePath(environment("IGNITION_CONFIG_FILE") ?? "config.ign"))
    }

    /// Reads what was pushed into a BlueField card together with its boot stream, without the padding.
    func bootFifoConfig() throws(PlatformFailure) -> [UInt8]? {
        loadModule("mlxbf_bootctl")
        let fifo = sysfs.appending("bus/platform/devices/MLNXBF04:00/bootfifo")
        var bytes = try read(fifo)[...]
        while bytes.first == 0 { bytes.removeFirst() }
        while bytes.last == 0 { bytes.removeLast() }
        if bytes.isEmpty { throw .empty(fifo) }
        return Array(bytes)
    }

    private func read(_ path: FilePath) throws(PlatformFailure) -> [UInt8] {
        do throws(FileFault) { return try Files.read(path) } catch { throw .unreadable(path, error.reason) }
    }
}

/// The bytes of an entry of QEMU's firmware configuration; `nil` if the device cannot be reached that way.
func readFirmwareAtItsPorts(_ key: UInt16, _ count: Int) -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: count)
    return firstlight_fw_cfg_read(key, &bytes, count) == 0 ? bytes : nil
}
