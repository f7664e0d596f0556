// The RAM that the kernel keeps for itself: lowered for a root image
// that would not fit otherwise, and restored when that image is gone.

import Reporting
import SystemPackage

/// The RAM that the kernel keeps free for itself.
///
/// Where there are transparent huge pages, by default from 512 MiB of RAM on, it keeps up to 5 % of the RAM free to
/// find ranges of 2 MiB in it, ten times what it needs for everything else (`vm.min_free_kbytes`). The kernel counts
/// this reserve one and a half times when it says how much RAM is available. It also keeps a part of the lowest 16 MiB
/// for devices of the ISA bus (`vm.lowmem_reserve_ratio`).
public struct KernelReserve: Sendable {
    /// `/proc/sys/vm`.
    private let settings: FilePath
    /// Holds the settings as they were before, a line for each; another process may have to put them back.
    private let record: FilePath

    private static let names = ["min_free_kbytes", "lowmem_reserve_ratio"]

    /// That of this machine, lowered for the root image of this boot.
    public static let ofThisBoot = KernelReserve(
        settings: "/proc/sys/vm", record: FilePath(RunFile.kernelReserve.path))

    /// The kernel's settings in a folder, and a file that remembers what they were.
    public init(settings: FilePath, record: FilePath) {
        self.settings = settings
        self.record = record
    }

    /// How the RAM that is kept free was changed, in bytes.
    public struct Change: Equatable, Sendable {
        /// What was kept free before.
        public var from: UInt64
        /// What is kept free now.
        public var to: UInt64

        /// Creates the change of a setting in bytes.
        public init(from: UInt64, to: UInt64) {
            self.from = from
            self.to = to
        }
    }

    /// Lowers it to what the kernel keeps without huge pages and old devices.
    ///
    /// - Parameters:
    ///   - memory: The RAM of the machine in bytes.
    ///   - commandLine: The kernel command line; a setting that an operator has chosen there is kept.
    /// - Returns: `nil` where nothing changes.
    public func lower(ofMemory memory: UInt64, commandLine: String) -> Change? {
        guard !Self.names.contains(where: commandLine.contains), let values, let free = UInt64(values[0]) else {
            return nil
        }
        let least = Self.least(ofMemory: memory)
        guard least < free else { return nil }
        let ratios = values[1].split(whereSeparator: \.isWhitespace).dropFirst().joined(separator: " ")
        do {
            // A record that already exists holds the settings from before.
            if !Files.exists(record) {
                try Files.write(values.joined(separator: "\n"), to: record, mode: 0o600)
            }
            try put(["\(least)", "0 \(ratios)"])
        } catch {
            return nil
        }
        return Change(from: free << 10, to: least << 10)
    }

    /// Puts back what it was, if it was lowered.
    public func restore() {
        guard let old = Files.line(record)?.split(separator: "\n").map(String.init) else { return }
        try? put(old)
        try? Files.remove(record)
    }

    private var values: [String]? {
        let values = Self.names.compactMap { Files.line(settings.appending($0)) }
        return values.count == Self.names.count ? values : nil
    }

    private func put(_ values: [String]) throws(FileFault) {
        for (name, value) in zip(Self.names, values) { try Files.put(value, into: settings.appending(name)) }
    }

    /// What Linux keeps where nothing else asks for more, in KiB: the square root of 16 times the RAM in KiB.
    ///
    /// - SeeAlso: `calculate_min_free_kbytes` in Linux's mm/page_alloc.c.
    static func least(ofMemory memory: UInt64) -> UInt64 { UInt64(Double(memory >> 6).squareRoot()) }
}

extension Machine {
    /// The bytes of RAM that can be had; `nil` if that is unknown.
    ///
    /// `MemAvailable` leaves out the free pages that each processor holds, of which there may be as many as the kernel
    /// keeps free; it takes them back before it ends anybody for want of memory.
    public static func availableMemory() -> UInt64? {
        memory("MemAvailable").map { $0 + (Files.line("/proc/zoneinfo").map(heldPages) ?? 0) << 12 }
    }

    /// The free pages that processors hold: the lines `count: 181` of `/proc/zoneinfo`.
    static func heldPages(inZones text: String) -> UInt64 {
        text.split(separator: "\n").reduce(0) { sum, line in
            let words = line.split(separator: " ")
            return sum + (words.count == 2 && words[0] == "count:" ? UInt64(words[1]) ?? 0 : 0)
        }
    }
}
