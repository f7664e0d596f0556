// The options that a config may add to creating and opening a LUKS volume, in the words of cryptsetup.

import IgnitionConfig

/// An option of a LUKS volume that cannot be used.
public enum VolumeOptionFault: Error, Equatable, Sendable, CustomStringConvertible {
    case unknown(String)
    case withoutValue(String)
    case badValue(option: String, value: String)

    /// One sentence without its full stop.
    public var description: String {
        switch self {
        case .unknown(let option): "the LUKS option \(option) is not supported"
        case .withoutValue(let option): "the LUKS option \(option) has no value"
        case .badValue(let option, let value): "the LUKS option \(option) cannot be \"\(value)\""
        }
    }
}

/// The options of a LUKS2 volume; what is `nil` is left to libcryptsetup.
///
/// - SeeAlso: cryptsetup-luksFormat(8), cryptsetup-open(8).
public struct VolumeOptions: Equatable, Sendable {
    /// The cipher, such as `aes`.
    public var cipher = "aes"
    /// The cipher's mode, such as `xts-plain64`.
    public var mode = "xts-plain64"
    /// Bits of the volume key; XTS takes two keys.
    public var keySize: Int?
    /// The hash that derives a key from a passphrase.
    public var hash: String?
    /// `argon2id`, `argon2i` or `pbkdf2`.
    public var keyDerivation: String?
    /// Milliseconds that deriving a key should take.
    public var iterationTime: Int?
    /// Iterations of deriving a key, in place of a benchmark.
    public var iterations: Int?
    /// KiB of memory that deriving a key takes.
    public var memory: Int?
    /// Threads that derive a key.
    public var threads: Int?
    /// Bytes that are encrypted at a time.
    public var sectorSize: Int?
    /// The number of the slot for the config's key.
    public var keySlot: Int?
    /// Bytes of each copy of the header.
    public var metadataSize: Int?
    /// Bytes of the area for key slots.
    public var keySlotsSize: Int?
    /// The alignment of the data, in sectors of 512 bytes.
    public var alignment: Int?
    /// The subsystem label in the header.
    public var subsystem: String?
    /// Flags that the header keeps, and that are in force whenever the volume is opened.
    public var activation: Set<Activation> = []

    /// A LUKS2 header has 32 slots.
    private static let lastKeySlot = 31

    /// A flag of an opened volume, by the option that sets it.
    public enum Activation: String, Sendable, CaseIterable {
        case allowDiscards = "--allow-discards"
        case sameProcessor = "--perf-same_cpu_crypt"
        case submitFromProcessors = "--perf-submit_from_crypt_cpus"
        case noReadWorkqueue = "--perf-no_read_workqueue"
        case noWriteWorkqueue = "--perf-no_write_workqueue"
    }

    /// Parses the options of an entry of `storage.luks`.
    ///
    /// - Parameter wanted: The entry.
    /// - Throws: ``VolumeOptionFault`` at the first option that cannot be used.
    public init(_ wanted: IgnitionConfig.Luks) throws(VolumeOptionFault) {
        var words = Words(wanted.options)
        while let option = words.next() { try adopt(option, &words) }
        for option in wanted.openOptions {
            if let flag = Activation(rawValue: option) {
                activation.insert(flag)
            } else if !Self.withoutEffect.contains(option), option != "--persistent" {
                throw .unknown(option)
            }
        }
        if wanted.discard == true { activation.insert(.allowDiscards) }
    }

    private mutating func adopt(_ option: String, _ words: inout Words) throws(VolumeOptionFault) {
        switch option {
        case "--cipher", "-c":
            let value = try words.value(of: option)
            // In `xchacha20,aes-adiantum-plain64` the cipher ends at the first dash.
            guard let dash = value.firstIndex(of: "-") else { throw .badValue(option: option, value: value) }
            cipher = String(value[..<dash])
            mode = String(value[value.index(after: dash)...])
        case "--key-size", "-s":
            // libcryptsetup accepts or refuses sizes; this only keeps out what is not a size.
            let bits = try words.number(of: option, upTo: 1 << 16)
            guard bits > 0, bits % 8 == 0 else { throw .badValue(option: option, value: "\(bits)") }
            keySize = bits
        case "--hash", "-h": hash = try words.value(of: option)
        case "--pbkdf":
            let value = try words.value(of: option)
            guard ["argon2id", "argon2i", "pbkdf2"].contains(value) else {
                throw .badValue(option: option, value: value)
            }
            keyDerivation = value
        case "--iter-time", "-i": iterationTime = try words.number(of: option)
        case "--pbkdf-force-iterations": iterations = try words.number(of: option)
        case "--pbkdf-memory": memory = try words.number(of: option)
        case "--pbkdf-parallel": threads = try words.number(of: option)
        case "--sector-size": sectorSize = try words.number(of: option)
        case "--key-slot", "-S": keySlot = try words.number(of: option, upTo: Self.lastKeySlot)
        case "--luks2-metadata-size": metadataSize = try words.size(of: option)
        case "--luks2-keyslots-size": keySlotsSize = try words.size(of: option)
        case "--align-payload": alignment = try words.number(of: option)
        case "--subsystem": subsystem = try words.value(of: option)
        case "--type", "-M":
            let value = try words.value(of: option)
            guard value == "luks2" else { throw .badValue(option: option, value: value) }
        case _ where Self.withoutEffect.contains(option): break
        default: throw .unknown(option)
        }
    }

    /// Options that change nothing about a volume.
    private static let withoutEffect: Set<String> = [
        "--use-random", "--use-urandom", "--batch-mode", "-q", "--verbose", "-v", "--debug", "--force-password",
        "--disable-keyring", "--disable-locks",
    ]

    /// The same with a derivation of keys that takes no time.
    package var quick: VolumeOptions {
        var options = self
        (options.keyDerivation, options.iterations) = ("pbkdf2", 1000)
        (options.iterationTime, options.memory, options.threads) = (nil, nil, nil)
        return options
    }

    /// Bits of the volume key.
    public var volumeKeySize: Int { keySize ?? (mode.hasPrefix("xts-") ? 512 : 256) }
}

/// Command-line words of the forms `--name value`, `--name=value`, `-n value`, `-nvalue`.
private struct Words {
    private var rest: [String]
    private var attached: String?

    init(_ words: [String]) { rest = words.reversed() }

    mutating func next() -> String? {
        guard let word = rest.popLast() else { return nil }
        attached = nil
        if word.hasPrefix("--"), let equals = word.firstIndex(of: "=") {
            attached = String(word[word.index(after: equals)...])
            return String(word[..<equals])
        }
        if !word.hasPrefix("--"), word.hasPrefix("-"), word.count > 2 {
            attached = String(word.dropFirst(2))
            return String(word.prefix(2))
        }
        return word
    }

    mutating func value(of option: String) throws(VolumeOptionFault) -> String {
        guard let value = attached ?? rest.popLast() else { throw .withoutValue(option) }
        return value
    }

    mutating func number(of option: String, upTo most: Int = Int(UInt32.max)) throws(VolumeOptionFault) -> Int {
        let value = try value(of: option)
        guard let number = Int(value), 0...most ~= number else {
            throw .badValue(option: option, value: value)
        }
        return number
    }

    /// A number of bytes, or of a binary unit: `16m`.
    mutating func size(of option: String) throws(VolumeOptionFault) -> Int {
        let value = try value(of: option)
        let digits = value.prefix { $0.isNumber }
        let units = ["": 1, "k": 1 << 10, "kib": 1 << 10, "m": 1 << 20, "mib": 1 << 20]
        guard let number = Int(digits), let unit = units[value.dropFirst(digits.count).lowercased()],
            number <= 1 << 30
        else { throw .badValue(option: option, value: value) }
        return number * unit
    }
}
