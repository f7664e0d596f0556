// How much RAM the initramfs has, and what is reported if that was too little for what was loaded.

import Glibc
import LinuxSystem
import LiveImage
import Reporting
import SystemPackage

/// The room that the kernel had to unpack the initramfs, and what is left of it.
///
/// The kernel unpacks into a tmpfs of half of the RAM that the archives themselves leave. It cuts off what does not fit
/// and reports that only in its log. With `rootfstype=ramfs` there is no such limit; then the archives and the unpacked
/// files must fit into RAM together.
public struct InitramfsRoom: Equatable, Sendable {
    /// The RAM of the machine in bytes.
    public var memory: UInt64
    /// The RAM that the kernel has not reserved for itself, in bytes.
    public var managed: UInt64
    /// Bytes that are still available.
    public var available: UInt64
    /// The size of the filesystem that the kernel unpacked into; `nil` means no limit.
    public var capacity: UInt64?
    /// Bytes that are free in that filesystem; `nil` means no limit.
    public var free: UInt64?
    /// Bytes of the archives that the boot loader loaded; `nil` if unknown.
    public var archives: UInt64?
    /// Bytes by which files grow at most when they are unpacked; images are stored as they are.
    public var growth: UInt64 = 0
    /// Bytes that are missing from files that were cut off.
    public var missing: UInt64 = 0

    /// Creates a room without limit, of which nothing else is known; all numbers are bytes.
    public init(memory: UInt64, managed: UInt64, available: UInt64) {
        self.memory = memory
        self.managed = managed
        self.available = available
    }

    /// Bytes that may look free in a full filesystem, because the kernel's pages come and go.
    static let slack: UInt64 = 64 << 10
    /// Bytes that the boot needs in addition to what was unpacked.
    public static let allowance: UInt64 = 20 << 20
    /// Bytes below which the boot cannot continue.
    static let least: UInt64 = 12 << 20

    /// Adds to what is missing; a damaged header may ask for any number of bytes.
    mutating func addMissing(_ bytes: UInt64) {
        missing = min(missing, Self.mostMissing) + min(bytes, Self.mostMissing)
        missing = min(missing, Self.mostMissing)
    }

    /// Bytes beyond which nobody has RAM: what is worked out from them cannot overflow.
    private static let mostMissing: UInt64 = 1 << 60

    /// Whether something did not fit.
    public var isFull: Bool { free.map { $0 < Self.slack } ?? false }

    /// Bytes that everything takes when it is unpacked.
    private var unpacked: UInt64 {
        let used = (capacity ?? 0) - min(free ?? 0, capacity ?? 0)
        return max(archives.map { $0 + growth } ?? 0, used + missing) + (4 << 20)
    }

    /// Bytes of RAM that the machine needs to boot with what was loaded.
    public var neededMemory: UInt64 {
        let more = unpacked > capacity ?? 0 ? 2 * (unpacked - (capacity ?? 0)) : 0
        return memory + Self.added(more)
    }

    /// Bytes of RAM that it needs with `rootfstype=ramfs`; `nil` if it is unknown how much was loaded.
    public var neededWithoutLimit: UInt64? {
        archives.map { memory - min(managed, memory) + Self.added($0 + unpacked + Self.allowance) }
    }

    /// How much RAM has to be added to make `bytes` more available: the kernel keeps a part of all RAM for itself.
    ///
    /// The result is a number of bytes that is a multiple of 1 MiB.
    public static func added(_ bytes: UInt64) -> UInt64 {
        let mebibyte: UInt64 = 1 << 20
        return (bytes + bytes / 32 + (4 << 20) + mebibyte - 1) / mebibyte * mebibyte
    }

    /// Throws if the initramfs cannot be complete or RAM is used up.
    public func check() throws(Shortage) {
        if isFull { throw .initramfsCutOff(self) }
        if available < Self.least { throw .used(self) }
    }

    /// What a failure's report adds if room is short, whatever has failed: the shortage may be the cause.
    public var complaint: String? {
        if isFull, let capacity {
            return "The initramfs is full: \(ByteCount(capacity)), half of the RAM. Give the machine more RAM."
        }
        if available < Self.least {
            return "RAM is used up: \(ByteCount(available)) of \(ByteCount(memory)) are free. Give the machine more."
        }
        return nil
    }

    /// Which shortage stops the boot.
    public enum Shortage: Error, Equatable, CustomStringConvertible, Advising {
        case initramfsCutOff(InitramfsRoom)
        case used(InitramfsRoom)

        /// What happened, for a message.
        public var description: String {
            switch self {
            case .initramfsCutOff(let room):
                "too little RAM: this machine has \(mebibytes(room.memory)), and what was loaded with the initramfs "
                    + "needs \(mebibytes(room.neededMemory)); the kernel has cut it off"
            case .used(let room):
                "too little RAM: of \(mebibytes(room.memory)) only \(mebibytes(room.available)) are left; "
                    + "the boot needs \(mebibytes(room.memory + InitramfsRoom.added(InitramfsRoom.allowance)))"
            }
        }

        /// What the operator can do.
        public var advice: [String] {
            switch self {
            case .initramfsCutOff(let room):
                ["Give the machine \(mebibytes(room.neededMemory - room.memory)) more RAM."]
                    + (room.neededWithoutLimit.map {
                        ["Or add rootfstype=ramfs to the kernel command line: then \(mebibytes($0)) suffice."]
                    } ?? [])
                    + ["Or do not load the root image; let it be fetched: coreos.live.rootfs_url=URL"]
            case .used:
                ["Give the machine \(mebibytes(InitramfsRoom.added(InitramfsRoom.allowance))) more RAM."]
            }
        }
    }
}

/// An amount as `576 MiB`, rounded up, because memory is given to machines in MiB.
func mebibytes(_ bytes: UInt64) -> String { "\((bytes >> 20) + (bytes & 0xf_ffff > 0 ? 1 : 0)) MiB" }

extension InitramfsRoom {
    /// The room of this machine, as long as it runs in its initramfs.
    public static func now() -> InitramfsRoom {
        let managed = Machine.memory("MemTotal") ?? 0
        var room = InitramfsRoom(
            memory: max(physicalMemory() ?? 0, managed), managed: managed,
            available: Machine.memory("MemAvailable") ?? .max)
        var status = statvfs()
        if statvfs("/", &status) == 0, status.f_blocks > 0, Files.isInRAM("/") {
            room.capacity = UInt64(status.f_blocks) * UInt64(status.f_frsize)
            room.free = UInt64(status.f_bavail) * UInt64(status.f_frsize)
        }
        guard room.isFull else { return room }
        room.archives = loadedArchives(inLog: kernelLog())
        for (file, size) in filesOfInitramfs() {
            // Filesystem images do not grow, and their superblocks tell how long they should be.
            if let format = RootImageFormat(of: file) {
                room.addMissing(format.length > size ? format.length - size : 0)
            } else {
                room.growth += size
            }
        }
        return room
    }

    /// The size of the archives as the kernel logs it: `Freeing initrd memory: 152812K`.
    static func loadedArchives(inLog log: String) -> UInt64? {
        for line in log.split(separator: "\n") {
            guard let range = line.firstRange(of: "Freeing initrd memory: ") else { continue }
            let digits = line[range.upperBound...].prefix(while: \.isNumber)
            if let kibibytes = UInt64(digits) { return kibibytes << 10 }
        }
        return nil
    }

    /// The sum of the System RAM in `/proc/iomem`: `00100000-1fffffff : System RAM`.
    static func physicalMemory(_ text: String? = Files.line("/proc/iomem")) -> UInt64? {
        guard let text else { return nil }
        var sum: UInt64 = 0
        for line in text.split(separator: "\n") where line.hasSuffix(" : System RAM") && !line.hasPrefix(" ") {
            let ends = line.prefix { $0 != " " }.split(separator: "-").compactMap { UInt64($0, radix: 16) }
            if ends.count == 2, ends[1] > ends[0] { sum += ends[1] - ends[0] + 1 }
        }
        return sum > 0 ? sum : nil
    }

    private static func kernelLog() -> String {
        let descriptor = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        var log: [UInt8] = []
        var record = [UInt8](repeating: 0, count: 8192)
        while true {
            let count = read(descriptor, &record, record.count)
            if count > 0 {
                log += record[..<count]
            } else if count == 0 || (errno != EPIPE && errno != EINTR) {
                return String(decoding: log, as: UTF8.self)
            }
        }
    }

    /// The regular files that the kernel unpacked, with their sizes.
    private static func filesOfInitramfs() -> [(FilePath, UInt64)] {
        var found: [(FilePath, UInt64)] = []
        guard let root = Files.status("/") else { return found }
        var folders: [FilePath] = ["/"]
        while let folder = folders.popLast() {
            for name in Files.names(in: folder) {
                let path = folder.appending(name)
                guard let status = Files.status(path, followingLinks: false), status.st_dev == root.st_dev else {
                    continue
                }
                switch status.st_mode & S_IFMT {
                case S_IFDIR: folders.append(path)
                case S_IFREG: found.append((path, UInt64(status.st_size)))
                default: break
                }
            }
        }
        return found
    }
}

extension RootImageFormat {
    /// Reads the format of the filesystem image in a file; `nil` if it is not one.
    fileprivate init?(of file: FilePath) {
        let descriptor = open(file.string, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var head = [UInt8](repeating: 0, count: Self.headLength)
        let count = read(descriptor, &head, head.count)
        guard count > 0, let format = head[..<count].withUnsafeBytes({ RootImageFormat(head: $0) }) else { return nil }
        self = format
    }
}
