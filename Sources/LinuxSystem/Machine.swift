// The machine as a whole: modules, memory, time, power.

import CLinux
import Glibc
import SystemPackage

/// The machine as a whole.
public enum Machine {
    /// Loads a module file, which the kernel decompresses if `compressed` is set.
    ///
    /// A module that is loaded already is accepted.
    public static func loadModule(_ file: FilePath, parameters: String = "", compressed: Bool = false) throws(Errno) {
        let descriptor = open(file.string, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Errno(rawValue: errno) }
        defer { close(descriptor) }
        try loadModule(descriptor: descriptor, parameters: parameters, compressed: compressed)
    }

    /// Loads a module image from memory.
    public static func loadModule(image: [UInt8], parameters: String) throws(Errno) {
        let descriptor = firstlight_memory_file("module")
        guard descriptor >= 0 else { throw Errno(rawValue: -descriptor) }
        defer { close(descriptor) }
        try Files.writeAll(image, to: descriptor)
        try loadModule(descriptor: descriptor, parameters: parameters, compressed: false)
    }

    private static func loadModule(descriptor: Int32, parameters: String, compressed: Bool) throws(Errno) {
        let result = firstlight_load_module(descriptor, parameters, compressed)
        if result < 0, result != -EEXIST { throw Errno(rawValue: -result) }
    }

    /// The running kernel's version: `6.1.0-56-amd64`.
    public static var kernelVersion: String { Files.line("/proc/sys/kernel/osrelease") ?? "" }

    /// A field of `/proc/meminfo` (`MemTotal`, `MemAvailable`) in bytes; `nil` if it is missing.
    public static func memory(_ field: String) -> UInt64? {
        guard let text = Files.line("/proc/meminfo") else { return nil }
        for line in text.split(separator: "\n") where line.hasPrefix(field + ":") {
            return line.split(separator: " ").dropFirst().first.flatMap { UInt64($0) }.map { $0 << 10 }
        }
        return nil
    }

    /// The seconds since the kernel started, including suspend: the boot's clock.
    public static func uptime() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    /// How the machine ends.
    public enum End: Sendable { case restart, powerOff, halt }

    /// Ends the machine; returns only if the kernel refuses.
    public static func end(_ how: End) {
        let code: CChar =
            switch how {
            case .restart: CChar(UInt8(ascii: "r"))
            case .powerOff: CChar(UInt8(ascii: "p"))
            case .halt: CChar(UInt8(ascii: "h"))
            }
        _ = firstlight_reboot(code)
    }

    /// Bytes from the kernel's random generator.
    public static func random(_ count: Int) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    }
}
