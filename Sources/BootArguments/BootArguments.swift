// BootArguments: the kernel command line as one typed value. Descriptions only: no I/O.

import Encoding
import Reporting

/// Every argument that the agent honours.
///
/// Reading never fails: what cannot be taken as it stands is a ``warnings`` line where the boot can go on
/// without it, or one of ``problems`` where it cannot. Each argument is described in ``documentation``.
///
/// Where the consumers of Fedora CoreOS's live system disagree about one and the same line, the rules are
/// those of the kernel and dracut (``KernelCommandLine``), with these readings per key:
///
/// - URLs of the root image are all kept, as mirrors; of any other key the last value counts.
/// - An empty value is not a value: `coreos.live.rootfs_url=` is not given, `ignition.config.url=` leaves an
///   earlier one standing (as Ignition does), and `coreos.liveiso=` warns and is not given.
/// - `ignition.firstboot=` is false (as its generator reads it), though a bare `ignition.firstboot` is true;
///   everywhere else an empty value is true, as dracut has it.
/// - `-` and `_` are alike in the names of modules and their parameters and in `firstlight.*`, as the kernel
///   has it for anything of the form `module.parameter`; other keys are compared exactly.
public struct BootArguments: Equatable, Sendable {
    /// The line as it was read, for arguments that only the real root uses.
    public var commandLine: KernelCommandLine

    // MARK: Root image
    /// Where the root image is, best first: http, https or tftp.
    public var rootfsURLs: [MachineURL] = []
    /// Where an older root image is, best first, which is used where no server has the root image that is wanted.
    public var fallbackURLs: [MachineURL] = []
    /// The label of the volume that holds the root image.
    public var liveISO: String?
    /// Copy the image off the medium and let the medium go.
    public var fromRAM = false
    /// SHA-256 of the root image file, 64 lower-case hexadecimal digits.
    public var rootfsSHA256: String?
    /// Whether an ISO that stays mounted is checked before it is used.
    public var checksMedium = true
    /// The proxy of every HTTP request.
    ///
    /// It may hold a password: never print it.
    public var proxy: SourceURL?
    /// The size of the writable layer; `nil`: not given, which is 50% of the RAM.
    public var overlaySize: OverlaySize?

    // MARK: Ignition
    /// Whether the machine is provisioned; without it no config is looked at.
    public var ignitionFirstboot = false
    /// `metal`, `qemu`...
    public var platform: String?
    /// Where the config is: http, https, tftp or data.
    public var configURL: MachineURL?
    /// A config on a volume: `ignition.config.device` and `ignition.config.path`.
    public var configVolume: ConfigVolume?
    /// Compute and print the plan, then stop before anything is written.
    public var planOnly = false
    /// Whether existing things are treated as Ignition treats them; otherwise what is as wanted is left alone.
    public var isStrict = false
    /// Where the report of provisioning is posted: http or https.
    public var reportURL: MachineURL?

    // MARK: Network
    /// What the command line says about the network.
    public var network = NetworkArguments()

    // MARK: Debugging and failure
    /// The points of the boot at which `rd.break` opens a shell.
    public var breakPoints: Set<BreakPoint> = []
    /// `rd.shell`: whether a failure may end in a shell.
    public var shellAllowed = true
    /// `rd.emergency`: what a failure ends in where that is not a shell.
    public var emergency: EmergencyAction = .shell
    /// The least severe messages that the log keeps; `nil`: not given.
    public var logLevel: LogLevel?

    // MARK: Console
    /// Device names without their options, in order (`ttyS0`); the last is `/dev/console`.
    public var consoles: [String] = []
    /// Whether `quiet` is on the command line.
    public var quiet = false

    // MARK: Modules and devices
    /// Modules never to load; names with `_`.
    public var blockedModules: Set<String> = []
    /// Modules to load before anything is looked for, in order; names with `_`.
    public var extraModules: [String] = []
    /// By module (name with `_`): `parameter=value`, in order.
    public var moduleParameters: [String: [String]] = [:]
    /// Seconds to wait for a device; 0 is for ever, `nil` the stage's own default.
    public var deviceTimeout: Int?

    // MARK: The real root's init
    /// The path of the real root's init, `init=`; `nil`: not given.
    public var initProgram: String?
    /// What init gets on its own command line: run levels and the like, then everything after `--`.
    public var initArguments: [String] = []

    /// Warnings about arguments that the boot goes on without; one line each.
    public var warnings: [String] = []
    /// Problems that stop the boot if it needs the argument.
    public var problems: [ArgumentProblem] = []

    /// Reads the text of `/proc/cmdline`.
    public init(_ text: String) { self.init(KernelCommandLine(text)) }

    /// Reads the bytes of `/proc/cmdline`, which need not be UTF-8.
    public init(bytes: some Collection<UInt8>) { self.init(KernelCommandLine(bytes: bytes)) }

    /// What a failure ends in: the operator's shell, unless the command line forbids or replaces it.
    ///
    /// `rd.emergency=reboot` alone is taken at its word; with an explicit `rd.shell` the shell comes first.
    /// `rd.shell=0` alone halts, as dracut does.
    public var failureAction: EmergencyAction {
        guard shellAllowed else { return emergency == .shell ? .halt : emergency }
        return commandLine.last("rd.shell") == nil ? emergency : .shell
    }

    /// Whether the kernel's messages are to be kept off the consoles.
    ///
    /// It is `false` where the command line asks for more messages or for a level.
    public var lowersConsoleLevel: Bool {
        logLevel == nil && !["debug", "ignore_loglevel", "loglevel"].contains { commandLine.last($0) != nil }
    }

    /// Whether systemd in a real root without an identifier is going to take this boot for its first.
    ///
    /// It applies presets by itself then.
    public var allowsFirstBoot: Bool {
        !network.identityIsUUID
            && !commandLine.words.contains {
                ["systemd.condition_first_boot", "systemd.machine_id"].contains(Self.underscored($0.key))
            }
    }

    /// The first problem that concerns one of `scopes`.
    public func problem(in scopes: ArgumentProblem.Scope...) -> ArgumentProblem? {
        problems.first { scopes.contains($0.scope) }
    }

    /// What is wrong with the arguments of the network, for a boot that does without it; one line each.
    public var networkWarnings: [String] {
        problems.filter { $0.scope == .network }.map { "\($0); not used, and not handed over" }
    }

    /// Removes the problem of a malformed config URL, for callers that go on without one, and returns it; `nil`: none.
    public mutating func passOverConfigURL() -> ArgumentProblem? {
        problems.firstIndex { $0.scope == .configURL }.map { problems.remove(at: $0) }
    }

    /// Whether the platform is asked for a config over the network if the initramfs holds none.
    public var asksPlatformOverNetwork: Bool {
        ignitionFirstboot && configURL == nil && configVolume == nil
            && platform.flatMap(Platform.init)?.needsNetwork ?? false
    }

    /// Whether anything needs the network.
    ///
    /// `rootImageIsLocal` tells that the root image came with the initramfs, which makes its URLs moot;
    /// `configNeedsNetwork` tells that the config at hand names something remote.
    public func needsNetwork(rootImageIsLocal: Bool = false, configNeedsNetwork: Bool = false) -> Bool {
        let fetchesImage = !rootfsURLs.isEmpty && liveISO == nil && !rootImageIsLocal
        let fetchesConfig = ignitionFirstboot && configURL.map { !$0.asWritten.isData } ?? false
        return network.isNeeded || fetchesImage || fetchesConfig || configNeedsNetwork
    }
}

/// A config on a volume of this machine.
public struct ConfigVolume: Equatable, Sendable {
    /// The filesystem's label, as `/dev/disk/by-label` has it.
    public var label: String
    /// The path in that filesystem, without a leading slash.
    public var path: String

    /// Cleans the path; `nil` where the label is not one name, or nothing is left of the path.
    public init?(label: String, path: String) {
        guard !label.isEmpty, !label.contains("/"), label != ".", label != ".." else { return nil }
        var parts: [Substring] = []
        for part in path.split(separator: "/") where part != "." {
            if part == ".." { _ = parts.popLast() } else { parts.append(part) }
        }
        if parts.isEmpty { return nil }
        self.label = label
        self.path = parts.joined(separator: "/")
    }
}

/// How much the writable layer may hold.
public enum OverlaySize: Equatable, Sendable, CustomStringConvertible {
    /// Of the machine's RAM, 1 to 100.
    case percent(Int)
    case bytes(UInt64)

    /// Reads `50%`, `512M`, `2G`, `2GiB`, or a number of bytes; `nil` for anything else, 0 included.
    public init?(_ text: String) {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        guard let number = UInt64(digits), number > 0 else { return nil }
        let unit = text.dropFirst(digits.count).lowercased()
        if unit == "%" {
            guard number <= 100 else { return nil }
            self = .percent(Int(number))
            return
        }
        let shifts: [String: UInt64] = ["": 0, "k": 10, "m": 20, "g": 30, "t": 40]
        guard let shift = shifts[unit.hasSuffix("ib") ? String(unit.dropLast(2)) : unit], unit != "ib",
            number <= UInt64.max >> shift
        else { return nil }
        self = .bytes(number << shift)
    }

    /// The size for people, as a percentage or a count of bytes.
    public var description: String {
        switch self {
        case .percent(let percent): "\(percent)%"
        case .bytes(let bytes): "\(ByteCount(bytes))"
        }
    }

    /// The same as tmpfs takes it as its `size=`.
    public var tmpfsSize: String {
        switch self {
        case .percent(let share): "\(share)%"
        case .bytes(let count): "\(count)"
        }
    }
}

/// Where `rd.break` opens a shell: dracut's points, in the order of the boot.
public enum BreakPoint: String, CaseIterable, Sendable {
    case cmdline
    case preUdev = "pre-udev"
    case preTrigger = "pre-trigger"
    case initqueue
    case preMount = "pre-mount"
    case mount
    case prePivot = "pre-pivot"
    /// The last moment; a bare `rd.break` too.
    case cleanup
}

/// What a failure of the boot ends in.
public enum EmergencyAction: String, CaseIterable, Sendable {
    case shell, reboot
    case powerOff = "poweroff"
    case halt
}

/// The least severe messages that the log keeps.
public enum LogLevel: String, CaseIterable, Sendable {
    case trace, debug, info, notice, warning, error, critical
}

/// An argument that cannot be honoured, and must not be passed over in silence.
public struct ArgumentProblem: Error, Equatable, Sendable, CustomStringConvertible {
    /// What the argument matters to: without that, the boot can go on.
    public enum Scope: Sendable { case rootImage, network, configURL, provisioning, boot }

    /// What the argument matters to.
    public var scope: Scope
    /// As it was written.
    public var argument: String
    /// Why it cannot be honoured.
    public var reason: String
    /// What the operator can do about it, one line each.
    public var advice: [String]

    /// Takes the argument as it was written, and why it cannot be honoured.
    public init(_ scope: Scope, _ argument: String, _ reason: String, advice: [String] = []) {
        self.scope = scope
        self.argument = argument
        self.reason = reason
        self.advice = advice
    }

    /// The argument, a colon and the reason.
    public var description: String { "\(argument): \(reason)" }
}

extension ArgumentProblem: Advising {}
