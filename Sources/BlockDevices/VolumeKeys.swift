// The keys of LUKS volumes: those that the config gives, those that were made here, and those derived from them.

import CLinux
import Encoding
import Glibc
import Hashing
import IgnitionConfig
import LinuxSystem
import Synchronization
import SystemPackage

/// The key of a volume's data, as a look at the volume has derived it.
public struct ProvenKey: Sendable {
    /// What it was derived from: the hash of the header's UUID and of what opens it.
    public var proof: [UInt8]
    /// The key.
    public var key: SecretBytes

    /// Makes a proven key of both parts.
    public init(proof: [UInt8], key: SecretBytes) {
        self.proof = proof
        self.key = key
    }
}

/// The keys of a config's volumes, from the first look until the volumes are open.
public final class VolumeKeys: Sendable {
    /// Writes the bytes of a resource into an open file.
    public typealias Fetch = @Sendable (IgnitionConfig.Resource, Int32) throws -> Void

    private struct Known {
        var passphrases: [String: SecretBytes]
        var proven: [String: ProvenKey]
        var bindings: [String: VolumeBinding] = [:]
    }

    private let fetch: Fetch
    private let made: Set<String>
    private let known: Mutex<Known>

    /// Makes a set of keys.
    ///
    /// - Parameters:
    ///   - known: Passphrases of volumes that an earlier run of the stage created, by name.
    ///   - made: All volumes that it created or opened.
    ///   - proven: What an earlier look derived, by the names of the volumes.
    ///   - fetch: Gets a key file that the config names.
    public init(
        known: [String: SecretBytes] = [:], made: Set<String> = [], proven: [String: ProvenKey] = [:],
        fetch: @escaping Fetch
    ) {
        self.known = Mutex(Known(passphrases: known, proven: proven))
        self.made = made.union(known.keys)
        self.fetch = fetch
    }

    /// Makes keys that come only from the config itself (`data:`).
    ///
    /// - Returns: Keys that fetch nothing.
    public static func inline() -> VolumeKeys {
        VolumeKeys { resource, descriptor in
            try Files.writeAll(try DataURL(parsing: resource.source?.text ?? "").bytes, to: descriptor)
        }
    }

    /// Whether an earlier run of the stage created or opened the volume.
    func isKnown(_ name: String) -> Bool { made.contains(name) }

    /// The passphrase of a volume; `nil` where the config gives none and none is known.
    func passphrase(of wanted: IgnitionConfig.Luks) throws -> SecretBytes? {
        if let known = known.withLock({ $0.passphrases[wanted.name] }) { return known }
        guard wanted.givesKey else { return nil }
        let file = try memoryFile("key")
        defer { close(file) }
        try fetch(wanted.keyFile, file)
        let passphrase = try Files.naming("read", "memfd:key") { () throws(Errno) in
            try SecretBytes(contentsOf: file)
        }
        known.withLock { $0.passphrases[wanted.name] = passphrase }
        return passphrase
    }

    // MARK: What was derived

    /// Identifies what a key is derived from, so that it is not derived twice from the same input.
    static func proof(of uuid: String, openedBy opener: SecretBytes) -> [UInt8] {
        var digest = MessageDigest(.sha256)
        Array("\(uuid)\0".utf8).withUnsafeBytes { digest.update($0) }
        opener.withBytes { digest.update(UnsafeRawBufferPointer($0)) }
        return digest.finish()
    }

    /// What looks have derived, by the names of the volumes.
    public var proven: [String: ProvenKey] { known.withLock { $0.proven } }
    func provenKey(of volume: String) -> ProvenKey? { known.withLock { $0.proven[volume] } }
    func keep(_ key: ProvenKey, of volume: String) { known.withLock { $0.proven[volume] = key } }

    // MARK: Clevis

    func binding(of volume: String) -> VolumeBinding? { known.withLock { $0.bindings[volume] } }
    func keep(_ binding: VolumeBinding, of volume: String) { known.withLock { $0.bindings[volume] = binding } }

    /// Checks that a server answers; the answer does not matter.
    func ask(_ url: String) throws {
        let file = try memoryFile("answer")
        defer { close(file) }
        try fetch(IgnitionConfig.Resource(source: ConfigURL(url)), file)
    }

    /// The passphrase of a new volume: the config's, or 4096 random bytes as 8192 digits, which is what Ignition makes.
    func passphraseForNew(_ wanted: IgnitionConfig.Luks) throws -> SecretBytes {
        if let given = try passphrase(of: wanted) { return given }
        let made = SecretBytes.randomDigits(bytes: 4096)
        known.withLock { $0.passphrases[wanted.name] = made }
        return made
    }

    /// Opens a file without a name that is only in memory.
    private func memoryFile(_ name: String) throws(FileFault) -> Int32 {
        let file = firstlight_memory_file(name)
        guard file >= 0 else { throw FileFault("make", FilePath("memfd:\(name)"), Errno(rawValue: -file)) }
        return file
    }
}
