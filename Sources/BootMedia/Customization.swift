// What `iso customize` and `pxe customize` put into an image.

import Reporting

/// The options that both commands share, as they were given: paths of files, not what is in them.
public struct Customization: Equatable, Sendable {
    /// Configs of the system that is installed.
    public var destinationConfigs: [String] = []
    /// The disk to install to.
    public var destinationDevice: String?
    /// Of the installed system, for kernel and boot loader.
    public var destinationConsoles: [ConsoleSpec] = []
    /// Kernel arguments to add to the installed system.
    public var destinationArgumentsAppended: [String] = []
    /// Kernel arguments to take from the installed system.
    public var destinationArgumentsDeleted: [String] = []
    /// NetworkManager keyfiles.
    public var networkKeyfiles: [String] = []
    /// nmstate, YAML or JSON.
    public var networkStates: [String] = []
    /// PEM files.
    public var authorities: [String] = []
    /// Programs to run before the installer.
    public var hooksBefore: [String] = []
    /// Programs to run after the installer.
    public var hooksAfter: [String] = []
    /// YAML files for the installer, the last one wins.
    public var installerConfigs: [String] = []
    /// Configs of the live system.
    public var liveConfigs: [String] = []

    /// Nothing.
    public init() {}

    /// What it takes from outside.
    public struct HostAccess {
        /// The contents of a file.
        public var read: (String) throws -> [UInt8]
        /// The Ignition config of a file.
        public var config: (String) throws -> [UInt8]
        /// The keyfiles that nmstate makes of the state in a file, with their names.
        public var keyfiles: (_ path: String) throws -> [(name: String, contents: [UInt8])]
        /// Gets each line for the user.
        public var tell: (String) -> Void

        /// Creates the access from its functions.
        public init(
            read: @escaping (String) throws -> [UInt8], config: @escaping (String) throws -> [UInt8],
            keyfiles: @escaping (String) throws -> [(name: String, contents: [UInt8])],
            tell: @escaping (String) -> Void
        ) {
            self.read = read
            self.config = config
            self.keyfiles = keyfiles
            self.tell = tell
        }
    }

    /// The files to embed.
    ///
    /// `features` is what the image says that it can do. Throws where a setting needs something else, or where a file
    /// cannot be read or is invalid.
    public func files(for features: Features, _ host: HostAccess) throws -> ArchiveFiles {
        var building = Building(features, host)
        for path in destinationConfigs { try building.addDestinationConfig(path) }
        if let destinationDevice { building.changeInstaller { $0.device = destinationDevice } }
        for console in destinationConsoles { try building.addConsole(console) }
        if let hint = ConsoleSpec.hint(on: destinationArgumentsAppended) { host.tell("\n\(hint)\n") }
        for argument in destinationArgumentsAppended {
            building.changeInstaller { $0.appendedArguments.append(argument) }
        }
        for argument in destinationArgumentsDeleted {
            building.changeInstaller { $0.deletedArguments.append(argument) }
        }
        for path in networkKeyfiles { try building.addKeyfile(path) }
        for path in networkStates { try building.addNetworkState(path) }
        for path in authorities { try building.addAuthority(path) }
        for path in hooksBefore { try building.addHook(path, .before) }
        for path in hooksAfter { try building.addHook(path, .after) }
        for path in installerConfigs { try building.addInstallerConfig(path) }
        for path in liveConfigs { try building.addLiveConfig(path) }
        return try building.finish()
    }
}

/// The last component of a path.
///
/// - Throws: Where there is none: "", "/", "..".
public func baseName(_ path: String) throws(MediaFault) -> String {
    let parts = path.parts(separatedBy: UInt8(ascii: "/")).filter { !$0.isEmpty && $0 != "." }
    guard let name = parts.last, name != ".." else { throw MediaFault("missing filename in \(path)") }
    return name
}

/// Adds keyfiles to an initrd; only the last component of each path counts.
///
/// - Throws: Where two have the same name.
public func embedKeyfiles(
    _ paths: [String], in files: inout ArchiveFiles, read: (String) throws -> [UInt8], tell: (String) -> Void
) throws {
    for path in paths {
        let contents = try read(path)
        let name = try baseName(path)
        let member = "\(BootMediaName.networkFolder)/\(name)"
        guard files[member] == nil else { throw MediaFault("multiple input files named '\(name)'") }
        KeyfileCheck.warnings(contents, name: name).forEach { tell("Warning: \(path): \($0)") }
        files[member] = contents
    }
}

private struct Building {
    private let features: Features
    private let host: Customization.HostAccess
    private var files = ArchiveFiles()
    private var live = LiveConfig()
    private var destinations: [UserConfig] = []
    private var destinationAuthorities: [[UInt8]] = []
    /// What is asked of the installer besides the users' own configs; `nil` where nothing is.
    private var installer: InstallerConfig?
    private var installerConfigs = 0
    private var hasNetwork = false

    init(_ features: Features, _ host: Customization.HostAccess) {
        self.features = features
        self.host = host
    }

    mutating func changeInstaller(_ change: (inout InstallerConfig) -> Void) {
        var config = installer ?? InstallerConfig()
        change(&config)
        installer = config
    }

    private func read(_ path: String) throws -> [UInt8] { try host.read(path) }

    mutating func addDestinationConfig(_ path: String) throws {
        destinations.append(try UserConfig(try host.config(path), path: path, tell: host.tell))
    }

    mutating func addConsole(_ console: ConsoleSpec) throws {
        guard features.installerConfigDirectives.contains("console") else {
            throw MediaFault("This OS image does not support customizing the destination console.")
        }
        changeInstaller { $0.consoles.append(console) }
    }

    private func requireNetwork() throws {
        guard features.liveNetwork else {
            throw MediaFault("This OS image does not support customizing network settings.")
        }
    }

    mutating func addKeyfile(_ path: String) throws {
        try requireNetwork()
        try addKeyfile(named: try baseName(path), try read(path), from: path)
    }

    mutating func addNetworkState(_ path: String) throws {
        try requireNetwork()
        let keyfiles = try host.keyfiles(path)
        for (name, contents) in keyfiles { try addKeyfile(named: try baseName(name), contents, from: path) }
        hasNetwork = true
    }

    private mutating func addKeyfile(named name: String, _ contents: [UInt8], from path: String) throws {
        let member = "\(BootMediaName.networkFolder)/\(name)"
        guard files[member] == nil else { throw MediaFault("config already specifies keyfile \(name)") }
        KeyfileCheck.warnings(contents, name: name).forEach { host.tell("Warning: \(path): \($0)") }
        files[member] = contents
        hasNetwork = true
    }

    mutating func addAuthority(_ path: String) throws {
        let contents = try read(path)
        let mark = Array("-----BEGIN ".utf8)
        if !contents.indices.contains(where: { contents[$0...].starts(with: mark) }) {
            host.tell("Warning: \(path): no PEM certificate in it")
        }
        try live.addAuthority(contents)
        destinationAuthorities.append(contents)
    }

    enum Hook {
        case before, after

        var word: String { self == .before ? "pre" : "post" }
        var title: String { self == .before ? "Pre" : "Post" }
        var ordering: String {
            self == .before
                ? "After=coreos-installer-pre.target\nBefore=coreos-installer.service"
                : "After=coreos-installer.service\nBefore=coreos-installer.target"
        }
        var requiredBy: String { self == .before ? "coreos-installer.service" : "coreos-installer.target" }
    }

    mutating func addHook(_ path: String, _ hook: Hook) throws {
        let contents = try read(path)
        let name = try baseName(path)
        let program = "/usr/local/bin/\(hook.word)-install-\(name)"
        try live.addFile(program, contents, mode: 0o700)
        try live.addUnit(
            "\(hook.word)-install-\(name).service",
            """
            # Generated by coreos-installer {iso|pxe} customize

            [Unit]
            Description=\(hook.title)-Install Script (\(name))
            Documentation=https://coreos.github.io/coreos-installer/customizing-install/
            \(hook.ordering)

            [Service]
            Type=oneshot
            ExecStart=\(program)
            RemainAfterExit=true
            StandardOutput=kmsg+console
            StandardError=kmsg+console

            [Install]
            RequiredBy=\(hook.requiredBy)
            """)
    }

    mutating func addInstallerConfig(_ path: String) throws {
        let contents = try read(path)
        try step("parsing installer config \(path)") { try InstallerConfig.check(contents) }
        try addInstallerConfig(named: try baseName(path), contents)
    }

    private mutating func addInstallerConfig(named name: String, _ contents: [UInt8]) throws {
        guard features.installerConfig else {
            throw MediaFault("This OS image does not support customizing installer configuration.")
        }
        let number = String(installerConfigs)
        let padded = String(repeating: "0", count: max(4 - number.count, 0)) + number
        try live.addFile("/etc/coreos/installer.d/\(padded)-\(name)", contents, mode: 0o600)
        installerConfigs += 1
    }

    mutating func addLiveConfig(_ path: String) throws {
        try live.merge(try UserConfig(try host.config(path), path: path, tell: host.tell))
    }

    mutating func finish() throws -> ArchiveFiles {
        if !destinations.isEmpty {
            let path = "/etc/coreos/dest.ign"
            try live.addFile(path, try destinationConfig(), mode: 0o600)
            changeInstaller { $0.ignitionFile = path }
        }
        if installerConfigs > 0 || installer != nil {
            if let device = installer?.device {
                host.tell("Boot media will automatically install to \(device) without confirmation.")
            } else {
                host.tell("Boot media will automatically run installer.")
            }
            if hasNetwork { changeInstaller { $0.copiesNetwork = true } }
        }
        // After the users' own, so that it wins.
        if let installer { try addInstallerConfig(named: "customize.yaml", Array(installer.text.utf8)) }
        // An empty config would switch off the automatic login of the live system.
        if !live.isEmpty { files.config = live.bytes }
        return files
    }

    /// The user's own config where it is the only one and nothing is added to it.
    private func destinationConfig() throws -> [UInt8] {
        if destinations.count == 1, destinationAuthorities.isEmpty {
            return destinations[0].bytes + [UInt8(ascii: "\n")]
        }
        var config = LiveConfig()
        for authority in destinationAuthorities { try config.addAuthority(authority) }
        for destination in destinations { try config.merge(destination) }
        return config.bytes
    }
}
