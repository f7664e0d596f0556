// The command line. A subcommand only names its inputs; the library does the work.

import ArgumentParser
import Boot
import CLinux
import Commands
import Networking
import ProvisioningEngine
import Reporting

struct Firstlight: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "firstlight",
        abstract: "Boot a machine from RAM and let it provision itself.",
        discussion: "As PID 1 of an initramfs firstlight boots the machine; these commands are for looking closer.",
        subcommands: [
            Validate.self, Plan.self, Probe.self, Links.self, Fetch.self, Network.self, Stage.self, Arguments.self,
            StageEnded.self, BootByScript.self, BootEnded.self, WatchMedium.self, Needs.self,
            SelfTest.self,
        ])

    @Flag(name: .customLong("version"), help: "Show the version.") var showsVersion = false
    @Flag(help: "With --version: show the libraries that are part of this program, too.") var libraries = false

    func validate() throws {
        if libraries, !showsVersion { throw ValidationError("--libraries goes together with --version.") }
    }

    func run() throws {
        guard showsVersion else { throw CleanExit.helpRequest(self) }
        print("firstlight \(firstlightVersion)")
        guard libraries else { return }
        guard let text = SelfDescription.librariesText else {
            throw ValidationError("This build does not know its libraries; a build by `make agent` does.")
        }
        print(text)
    }
}

/// Refuses what is empty and must not be: what a script has in `--root="$ROOT"` where nothing is set.
private func refuseEmpty(_ options: KeyValuePairs<String, String?>) throws {
    for (name, value) in options where value?.isEmpty == true { throw ValidationError("\(name) is empty.") }
}

struct Validate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Check Ignition configs.",
        discussion: "Exit status: 0 without errors (warnings do not count), 1 otherwise.")

    @Argument(help: "The configs; - is standard input.") var files: [String]
    @Flag(help: "Print the reports as JSON.") var json = false
    @Flag(help: "Treat warnings as errors.") var strict = false

    func run() throws {
        throw ExitCode(ValidateCommand.run(files, asJSON: json, isStrict: strict))
    }
}

struct Plan: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what a config would do to this machine's disks. Writes nothing.",
        usage: "firstlight plan --config <config> [--disk <device=image> ...] [<options>]",
        discussion: """
            What the config refers to is fetched, as the boot would. Exit status: 0 nothing to do, 2 changes, 3 would destroy data, 1 error. The content of files \
            that the config overwrites does not count as data.
            """)

    @Option(help: "The Ignition config; - is standard input.") var config: String
    @Option(help: "A system's root: show what its users, files and units would become too.") var root: String?
    @Option(
        name: .customLong("disk"),
        help: ArgumentHelp(
            "An image file that stands for a disk of another machine; this one's own disks do not count then.",
            valueName: "device=image"))
    var disks: [String] = []
    @Option(help: .hidden) var configName: String?
    @Flag(help: .hidden) var placed = false
    @Flag(help: "Print the plan as JSON.") var json = false
    @Flag(help: "Fetch nothing: an error where the config refers to another machine.") var offline = false

    func validate() throws { try refuseEmpty(["--config": config, "--root": root]) }

    func run() throws {
        var inputs = PlanCommand.Inputs(config: config)
        inputs.name = configName
        inputs.isPlaced = placed
        inputs.root = root
        inputs.disks = disks
        inputs.isOffline = offline
        throw ExitCode(PlanCommand.run(inputs, asJSON: json))
    }
}

struct Probe: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print what devices or image files hold, as JSON.")

    @Argument(help: "Device nodes or image files.") var files: [String]

    func run() throws {
        guard ProbeCommand.probe(files) else { throw ExitCode(1) }
    }
}

struct Links: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print the /dev/disk links that belong to block devices.")

    @Argument(help: "Device nodes.") var devices: [String]

    func run() throws {
        guard ProbeCommand.links(devices) else { throw ExitCode(1) }
    }
}

struct Fetch: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Fetch a URL as the boot would.",
        usage: "firstlight fetch <url> [--output <file>] [--hash <hash>] [<options>]",
        discussion: "Attempts are reported on standard error. Exit status: 0 fetched and verified, 1 otherwise.")

    @Argument(help: "data, http, https, tftp, s3, gs or arn.") var url: String
    @Option(name: .shortAndLong, help: "Write here, not to standard output.") var output: String?
    @Option(help: "sha256-HEX or sha512-HEX of the content.") var hash: String?
    @Flag(help: "The content is gzip-compressed.") var gzip = false
    @Option(name: .customLong("header"), help: "An HTTP header, \"Name: value\".") var headers: [String] = []
    @Option(name: .customLong("ca"), help: "A PEM file of certificate authorities to trust as well.")
    var authorities: [String] = []
    @Option(help: "A proxy's URL, for http and https.") var proxy: String?
    @Option(help: "A host, domain, address or network that is reached without the proxy.") var noProxy: [String] = []
    @Option(help: "Seconds for all attempts; 0 means no limit.") var timeout = 60
    @Option(help: "Seconds until an answer begins; 0 means no limit.") var answerTimeout = 10

    func validate() throws { try refuseEmpty(["--output": output, "--hash": hash]) }

    func run() throws {
        var trial = FetchTrial(url: url)
        trial.output = output
        trial.hash = hash
        trial.isCompressed = gzip
        trial.headers = headers
        trial.authorities = authorities
        trial.proxy = proxy
        trial.noProxy = noProxy
        trial.timeout = timeout
        trial.answerTimeout = answerTimeout
        guard FetchCommand.run(trial) else { throw ExitCode(1) }
    }
}

struct Network: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what kernel arguments or keyfiles amount to, or bring that network up.",
        usage: "firstlight network [<options>] [<arguments> ...]",
        discussion: """
            Without --up nothing is touched: the profiles are printed as NetworkManager's keyfiles, and what is left out \
            of them on standard error. Exit status: 0 as asked, 1 otherwise.
            """)

    @Argument(help: "Kernel arguments: ip=, vlan=, bond= and the like.") var arguments: [String] = []
    @Option(help: "A folder of keyfiles, which take precedence over the arguments.") var keyfiles: String?
    @Flag(help: "Bring it up: changes this machine's interfaces and /etc/resolv.conf.") var up = false
    @Option(name: .customLong("url"), help: "With --up: a URL that must be reachable.") var urls: [String] = []
    @Option(help: "With --up: renew leases for so many seconds.") var stay = 0
    @Option(help: "With --up: a system's root to hand the network over to at the end.") var root: String?

    func validate() throws { try refuseEmpty(["--keyfiles": keyfiles, "--root": root]) }

    func run() throws {
        var trial = NetworkTrial()
        trial.arguments = arguments
        trial.keyfiles = keyfiles
        trial.bringsUp = up
        trial.urls = urls
        trial.staySeconds = stay
        trial.root = root
        guard trial.run() else { throw ExitCode(1) }
    }
}

extension StageName: ExpressibleByArgument {}

struct Stage: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run one stage of the boot.",
        discussion: "Stages: \(StageName.allCases.map(\.rawValue).joined(separator: ", ")).")

    @Argument(help: "The stage.") var stage: StageName

    func run() throws {
        guard StageRunner.run(stage) else { throw ExitCode(1) }
    }
}

struct Arguments: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print the kernel arguments that firstlight honours, as a Markdown table.")

    func run() { print(SelfDescription.argumentsTable, terminator: "") }
}

struct StageEnded: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stage-ended",
        abstract: "Report the death of a stage that could not report it itself; for ExecStopPost of its unit.",
        shouldDisplay: false)

    @Argument(help: "The stage.") var stage: StageName

    func run() { StageRunner.tellDeath(of: stage) }
}

struct BootByScript: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "boot",
        abstract: "Run the boot's stages, for an initramfs whose PID 1 is a shell script.",
        discussion: "Exit status: 0 the root is ready, 1 it is not and a shell is wanted; the reason was reported.",
        shouldDisplay: false)

    @Option(help: "Where the real root is assembled.") var root: String
    @Flag(help: "Bring the network up, too.") var network = false

    func run() throws {
        guard ScriptedBoot(root: root, bringsUpNetwork: network).run() else { throw ExitCode(1) }
    }
}

struct BootEnded: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "boot-ended",
        abstract: "Report how `firstlight boot` died, where it could not report it itself.", shouldDisplay: false)

    @Option(help: "Where it was to assemble the real root.") var root: String
    @Argument(help: "Its exit status, as a shell knows it.") var status: Int32

    func run() { ScriptedBoot(root: root).tellDeath(status: status) }
}

struct WatchMedium: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch-medium",
        abstract: "Leave a process behind that reports when the medium of the real root is gone.", shouldDisplay: false)

    @Option(help: "Where the real root is assembled.") var root: String

    func run() throws { try MediumWatch.leave(for: root) }
}

struct Needs: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print what this boot needs, in words for a script.", shouldDisplay: false)

    func run() { print(BootNeeds.ofThisMachine.words.joined(separator: " ")) }
}

struct SelfTest: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "self-test", abstract: "Check what the link of this binary may have lost.", shouldDisplay: false)

    func run() throws {
        guard firstlight_end_thread_through({ next in next?() }) == 0 else {
            throw ValidationError("A thread that ended was not unwound.")
        }
    }
}
