import DiskFormats
import DiskPlanning
import Glibc
import IgnitionConfig
import LinuxSystem
import Synchronization
import Testing

@testable import BlockDevices

/// A sparse image file that goes away with the value.
final class Image {
    let path: String
    let size: Int

    init(_ size: Int) throws {
        // In memory where that is to be had: sgdisk waits for every disk of the machine (sync).
        let folder = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"
        // No digit at the end: after one a partition's name has a `p`.
        var name = Array("\(folder)/firstlight-test-XXXXXX.img".utf8CString)
        let descriptor = mkstemps(&name, 4)
        try #require(descriptor >= 0 && ftruncate(descriptor, off_t(size)) == 0)
        close(descriptor)
        path = name.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "" }
        self.size = size
    }

    deinit { unlink(path) }

    func write(_ bytes: [UInt8], at offset: Int) throws {
        let descriptor = open(path, O_WRONLY)
        defer { close(descriptor) }
        try #require(pwrite(descriptor, bytes, bytes.count, off_t(offset)) == bytes.count)
    }

    func bytes(_ range: Range<Int>) throws -> [UInt8] {
        let descriptor = open(path, O_RDONLY)
        defer { close(descriptor) }
        return try #require(wholeBytes(descriptor, at: UInt64(range.lowerBound), count: range.count))
    }

    /// Erases a range, as a dying disk or an operator would.
    func zero(_ range: Range<Int>) throws { try write([UInt8](repeating: 0, count: range.count), at: range.lowerBound) }

    /// Both copies of a table by the disk's size and what it was made from: sfdisk sleeps a quarter of a second for each.
    private static let tables = Mutex<[String: (first: [UInt8], last: [UInt8])]>([:])

    /// Makes a GPT, in the words of sfdisk: `"3: size=8MiB, name=var"`; the same one, GUIDs too, for the same words.
    func partition(_ entries: String...) throws {
        let script = (["label: gpt", "first-lba: 34"] + entries).joined(separator: "\n") + "\n"
        let key = "\(size) \(script)"
        if let table = Self.tables.withLock({ $0[key] }) {
            try write(table.first, at: 0)
            return try write(table.last, at: size - table.last.count)
        }
        try Command("sfdisk", ["--quiet", path], input: Array(script.utf8)).run()
        let table = (first: try bytes(0..<34 * 512), last: try bytes(size - 33 * 512..<size))
        Self.tables.withLock { $0[key] = table }
    }

    /// Copies another image's data (not its holes) into a place of this one.
    func copy(_ other: Image, at offset: Int) throws {
        try run(
            "dd", "if=\(other.path)", "of=\(path)", "bs=1M", "seek=\(offset >> 20)", "conv=notrunc,sparse",
            "status=none")
    }

    /// Changes with every byte of the image; holes are skipped, so it takes as long as the data is.
    func digest() throws -> UInt64 {
        let descriptor = open(path, O_RDONLY)
        defer { close(descriptor) }
        let (nextData, nextHole): (Int32, Int32) = (3, 4)  // SEEK_DATA, SEEK_HOLE
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        var position: off_t = 0
        while case let data = lseek(descriptor, position, nextData), data >= 0 {
            position = lseek(descriptor, data, nextHole)
            let bytes = try #require(wholeBytes(descriptor, at: UInt64(data), count: Int(position - data)))
            bytes.withUnsafeBytes { bytes in
                for index in stride(from: 0, to: bytes.count & ~7, by: 8) {
                    let word = bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)
                    // A hole and zeros are the same content.
                    if word == 0 { continue }
                    hash = (hash ^ word ^ UInt64(Int(data) + index)) &* 0x100_0000_01b3
                }
            }
        }
        return hash
    }
}

@discardableResult
func run(_ program: String, _ arguments: String...) throws -> String {
    let output = try Command(program, arguments).run()
    return output.text
}

func isInstalled(_ programs: String...) -> Bool { programs.allSatisfy { Command($0, []).isInstalled } }

/// The storage of a config in the words of a config.
func storage(_ json: String) throws -> IgnitionConfig.Storage {
    let text = "{\"ignition\": {\"version\": \"3.4.0\"}, \"storage\": \(json)}"
    return try IgnitionConfig.parse(Array(text.utf8), name: "config.ign").checked().storage
}

extension DiskLayout {
    /// The plan where nothing stands anywhere.
    func planBlank() throws(DiskRefusal) -> StoragePlan {
        try plan(Dictionary(uniqueKeysWithValues: areas.map { ($0, Content.blank) }))
    }
}
