// The options that a config hands to the programs that make filesystems and arrays: read as getopt_long(3) reads them,
// so that none of them names another device. These programs are run with force, and ask nobody.

import Encoding
import IgnitionConfig

/// What a program that makes filesystems or arrays would refuse, or take for an order to write elsewhere.
public enum ProgramOptionFault: Error, Equatable, Sendable, CustomStringConvertible {
    /// It names a device or a file.
    case otherDevice(String, program: String)
    /// It is a word that no option takes: the program would take it for a device.
    case operand(String, program: String)
    /// It makes something else of the device than the entry's format.
    case otherFormat(String, program: String)
    /// A field of the entry says it, and is what the next boot compares.
    case ownField(String, field: String)
    /// The program would refuse it, or make another of it.
    case badUUID(String, format: String)
    /// The program would refuse it.
    case badLabel(String, format: String)

    /// One sentence without its full stop.
    public var description: String {
        switch self {
        case .otherDevice(let option, let program):
            "the option \"\(option)\" would have \(program) write to another device than the entry's"
        case .operand(let word, let program): "the option \"\(word)\" would be the name of a device to \(program)"
        case .otherFormat(let option, let program):
            "the option \"\(option)\" would have \(program) make what no boot finds here"
        case .badUUID(let uuid, let format): "\"\(uuid)\" is not a UUID of \(format)"
        case .badLabel(let label, let format):
            "the label \"\(label)\" has a character that one of \(format) cannot have"
        case .ownField(let option, let field): "the option \"\(option)\" has a field of its own, \"\(field)\""
        }
    }

    /// What the operator can do.
    var advice: AdviceLine {
        switch self {
        case .otherDevice: "Leave it out: an entry writes to its own devices, and to no other."
        case .operand: "Leave it out, or put it behind the option that it is the value of, as in \"-b\", \"4096\"."
        case .ownField(_, let field): "Leave it out: the entry's \"\(field)\" says it, and is compared at each boot."
        case .badUUID(_, let format):
            format == "vfat"
                ? "Write it with eight hexadecimal digits: 1234-ABCD."
                : "Write it in full: 0a1b2c3d-0000-4000-8000-000000000001."
        case .badLabel: "Leave out . , ; : ? * / \\ | + = < > [ ] and \", and all that is not ASCII."
        case .otherFormat: "Leave it out: the entry would not be found again at the next boot."
        }
    }
}

/// How a program reads its options.
struct ProgramOptions {
    var program: String
    /// The letters that a value follows.
    var letters: String
    /// The letters without a value.
    var flags: String
    /// The long options that a value follows, without their dashes.
    var names: [String] = []
    /// Those without a value, or with one behind `=` alone.
    var nameFlags: [String] = []
    /// The options whose values name devices, whatever these are called.
    var devices: [String: Naming] = [:]

    /// What in the value of an option names a device.
    enum Naming: Equatable {
        /// All of it.
        case whole
        /// All of it, where it is a path and not a word.
        case path
        /// What stands behind one of these keys: `logdev=/dev/vdb,size=64m`.
        case keys(Set<String>)
    }

    /// A word of a command line, or two that belong together.
    enum Word: Equatable {
        /// `-l` or `--bitmap`, and its value.
        case option(String, String?)
        /// A long option or a letter that nobody here knows, and a word behind it that may be its value.
        case unknown(String, String?)
        case operand(String)
    }

    /// Takes options apart: long ones may be cut short, and letters may share a dash.
    func words(of options: [String]) -> [Word] {
        var words: [Word] = []
        var rest = options[...]
        while let word = rest.popFirst() {
            if word.hasPrefix("--"), word.count > 2 {
                let parts = word.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                let name = parts.first.map(String.init) ?? ""
                if parts.count > 1 {
                    words.append(.option("--\(name)", String(parts[1])))
                } else if takesValue(name) {
                    words.append(.option("--\(name)", rest.popFirst()))
                } else if nameFlags.contains(where: { $0.hasPrefix(name) }) {
                    words.append(.option("--\(name)", nil))
                } else {
                    words.append(.unknown("--\(name)", valueAhead(&rest)))
                }
            } else if word.hasPrefix("-"), word.count > 1, word != "--" {
                var letters = word.dropFirst()
                while let letter = letters.popFirst() {
                    if self.letters.contains(letter) {
                        words.append(.option("-\(letter)", letters.isEmpty ? rest.popFirst() : String(letters)))
                        break
                    }
                    let isFlag = flags.contains(letter)
                    words.append(
                        isFlag
                            ? .option("-\(letter)", nil)
                            : .unknown("-\(letter)", letters.isEmpty ? valueAhead(&rest) : nil))
                }
            } else {
                words.append(.operand(word))
            }
        }
        return words
    }

    /// A name in full, or the start of one that is not a flag's.
    private func takesValue(_ name: String) -> Bool {
        guard !nameFlags.contains(name) else { return false }
        return names.contains { $0.hasPrefix(name) }
    }

    private func valueAhead(_ rest: inout ArraySlice<String>) -> String? {
        rest.first.map { $0.hasPrefix("-") } == false ? rest.popFirst() : nil
    }

    /// The first option that would make the program write elsewhere.
    func fault(of options: [String]) -> ProgramOptionFault? {
        for word in words(of: options) {
            switch word {
            case .operand(let word): return .operand(word, program: program)
            case .option(let option, let value?) where namesDevice(option, value),
                .unknown(let option, let value?) where namesPath(value):
                return .otherDevice("\(option) \(value)", program: program)
            case .option, .unknown: break
            }
        }
        return nil
    }

    private func namesDevice(_ option: String, _ value: String) -> Bool {
        let parts = value.split(separator: ",").map { $0.drop { $0 == " " } }
        if parts.contains(where: { namesPath($0) || namesPath($0.drop { $0 != "=" }.dropFirst()) }) { return true }
        // A long option may be cut short.
        let naming = devices.first { $0.key == option || option.hasPrefix("--") && $0.key.hasPrefix(option) }?.value
        return switch naming {
        case nil: false
        case .whole: true
        case .path: value.contains("/")
        case .keys(let keys): parts.contains { keys.contains(String($0.prefix { $0 != "=" && $0 != " " })) }
        }
    }

    /// Whether a text is a path of a device, however it is written.
    private func namesPath(_ text: some StringProtocol) -> Bool { text.contains("/dev/") || text.hasPrefix("dev/") }
}

extension ProgramOptions {
    /// - SeeAlso: mke2fs(8), e2fsprogs 1.47.
    static let ext4 = ProgramOptions(
        program: "mkfs.ext4", letters: "begilmorstdCEGIJLMNORTUz", flags: "cjnqvDFKSV",
        devices: ["-J": .keys(["device"])])

    /// - SeeAlso: mkfs.xfs(8), xfsprogs 6.1.
    static let xfs = ProgramOptions(
        program: "mkfs.xfs", letters: "bcdilLmnprs", flags: "KNqCfV",
        devices: ["-d": .keys(["name"]), "-l": .keys(["logdev", "name"]), "-r": .keys(["rtdev", "name"])])

    /// - SeeAlso: mkfs.btrfs(8), btrfs-progs 6.2.
    static let btrfs = ProgramOptions(
        program: "mkfs.btrfs", letters: "AblnsmdLORrU", flags: "fVvMKqh",
        names: [
            "alloc-start", "byte-count", "checksum", "csum", "data", "device-uuid", "features", "label", "leafsize",
            "metadata", "nodesize", "rootdir", "runtime-features", "sectorsize", "uuid",
        ], nameFlags: ["force", "help", "mixed", "nodiscard", "quiet", "shrink", "verbose", "version"])

    /// - SeeAlso: mkfs.fat(8), dosfstools 4.2.
    static let vfat = ProgramOptions(
        program: "mkfs.fat", letters: "bfDFghilmMnrRsS", flags: "aAcCIv",
        names: ["codepage", "offset", "variant"], nameFlags: ["help", "invariant", "mbr"])

    /// - SeeAlso: mkswap(8), util-linux 2.38.
    static let swap = ProgramOptions(
        program: "mkswap", letters: "pLvUeos", flags: "cfqFhV",
        names: ["endianness", "label", "offset", "pagesize", "size", "swapversion", "uuid"],
        nameFlags: ["check", "file", "force", "help", "lock", "quiet", "verbose", "version"])

    /// - SeeAlso: mdadm(8), mdadm 4.2, where it creates an array.
    static let mdadm = ProgramOptions(
        program: "mdadm", letters: "ZbcilpmrnxudzUNaek", flags: "ABCDEFGIQhVXYWvqsfRSow1ty",
        names: [
            "array-size", "auto", "backup-file", "bitmap", "bitmap-chunk", "chunk", "cluster-name", "config",
            "consistency-policy", "data-offset", "delay", "home-cluster", "homehost", "layout", "level", "metadata",
            "name", "nodes", "parity", "raid-devices", "raid-disks", "rounding", "size", "spare-devices", "spare-disks",
            "symlinks", "uuid", "write-journal",
        ],
        nameFlags: [
            "assume-clean", "brief", "failfast", "force", "nofailfast", "quiet", "readonly", "run", "verbose",
            "write-behind", "write-mostly", "write-zeroes",
        ],
        devices: ["-b": .path, "--bitmap": .path, "--write-journal": .whole, "--backup-file": .whole])
}

extension FilesystemFormat {
    /// How the format's program reads its options, and which of them give a label; `nil` for ``none``.
    private var program: (options: ProgramOptions, labels: [String])? {
        switch self {
        case .none: nil
        case .ext4: (.ext4, ["-L"])
        case .xfs: (.xfs, ["-L"])
        case .btrfs: (.btrfs, ["-L", "--label"])
        case .vfat: (.vfat, ["-n"])
        case .swap: (.swap, ["-L", "--label"])
        }
    }

    /// The first of the config's options that would have the format's program write elsewhere than to its device, or
    /// make what the next boot would refuse.
    ///
    /// `label` is what the entry itself says: an empty one wants none, and any other comes last, and holds.
    func fault(of options: [String], label: String?, uuid: String?) -> ProgramOptionFault? {
        guard let program else { return nil }
        if let uuid, !uuid.isEmpty, !isUUID(uuid) { return .badUUID(uuid, format: rawValue) }
        if self == .vfat, let label, !label.unicodeScalars.allSatisfy(Self.isOfVFATLabel) {
            return .badLabel(label, format: rawValue)
        }
        for case .option(let option, let value?) in program.options.words(of: options) {
            if isElsewhere(option, value) {
                return .otherFormat("\(option) \(value)", program: program.options.program)
            }
            // A long option may be cut short.
            if label == "", !value.isEmpty, program.labels.contains(where: { $0.hasPrefix(option) }) {
                return .ownField("\(option) \(value)", field: "label")
            }
        }
        return program.options.fault(of: options)
    }

    /// Whether an option makes something that no later boot would find as this format where it looks for it.
    private func isElsewhere(_ option: String, _ value: String) -> Bool {
        let parts = value.split(separator: ",")
        return switch (self, option) {
        case (.ext4, "-O"): parts.contains("journal_dev")
        case (.ext4, "-E"): parts.contains { $0.hasPrefix("offset=") }
        case (.ext4, "-t"): value != "ext4"
        case (.vfat, "--offset"), (.swap, "--offset"), (.swap, "-o"): value != "0"
        default: false
        }
    }

    private func isUUID(_ text: String) -> Bool {
        guard self == .vfat else { return isPlainUUID(text) }
        let groups = text.utf8.split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
        return [[8], [4, 4]].contains(groups.map(\.count)) && groups.joined().allSatisfy { hexadecimalValue($0) != nil }
    }

    /// - SeeAlso: mkfs.fat(8), dosfstools 4.2, in the C locale.
    private static func isOfVFATLabel(_ scalar: Unicode.Scalar) -> Bool {
        (0x20..<0x7f).contains(scalar.value) && !"*?.,;:/\\|+=<>[]\"".unicodeScalars.contains(scalar)
    }
}

/// Whether a text is a UUID in the form that every program takes.
func isPlainUUID(_ text: String) -> Bool {
    let groups = text.utf8.split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
    return groups.map(\.count) == [8, 4, 4, 4, 12] && groups.joined().allSatisfy { hexadecimalValue($0) != nil }
}
