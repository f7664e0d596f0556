import ProvisioningEngine
import SystemPackage
import Testing

@testable import IgnitionCompat

@Suite("the command line of ignition")
struct IgnitionInvocationTests {
    private func parse(_ line: String) throws -> IgnitionInvocation.Request {
        try IgnitionInvocation.parse(line.split(separator: " ", omittingEmptySubsequences: false).map(String.init))
    }

    private func run(_ line: String) throws -> IgnitionInvocation? {
        guard case .run(let invocation) = try parse(line) else { return nil }
        return invocation
    }

    @Test(
        "one dash or two, with = or without, are the same",
        arguments: [
            "-root /sysroot -platform qemu -stage disks", "--root=/sysroot --platform=qemu --stage=disks",
            "-root=/sysroot --platform qemu --stage=disks", "--root=/sysroot --platform=qemu --stage=disks ",
            "--root=/sysroot --platform=qemu --stage=disks - -bogus",
            "-root /sysroot -platform qemu -stage disks -- -x",
        ])
    func forms(line: String) throws {
        var wanted = IgnitionInvocation()
        wanted.root = "/sysroot"
        wanted.platform = .qemu
        wanted.stage = .disks
        #expect(try run(line) == wanted)
    }

    @Test func defaultsAreTheOriginals() throws {
        let invocation = try #require(try run("-platform metal -stage fetch-offline"))
        #expect(invocation.configCache == "/run/ignition.json")
        #expect(invocation.neednet == "/run/ignition/neednet")
        #expect(invocation.stateFile == "/run/ignition/state")
        #expect(invocation.root == "/")
        #expect(invocation.fetchTimeout == 120)
        #expect(!invocation.logsToStandardOutput)
    }

    @Test func aSwitchTakesItsValueAfterTheEqualsSignAlone() throws {
        #expect(try run("-log-to-stdout=false -platform file -stage files")?.logsToStandardOutput == false)
        #expect(try run("-log-to-stdout -platform file -stage files")?.logsToStandardOutput == true)
        // "false" is a word of its own here, and ends the flags.
        #expect(throws: InvocationFault.missing("platform")) { try parse("-log-to-stdout false -platform file") }
        #expect(try parse("-version") == .version)
        #expect(try parse("-h") == .help)
        #expect(try parse("--help") == .help)
    }

    @Test(
        "what cannot be is a usage error",
        arguments: [
            ("", InvocationFault.missing("platform")),
            ("-version=false", .missing("platform")),
            ("-platform file", .missing("stage")),
            ("-bogus", .flag(.unknown("-bogus"))),
            ("---root", .flag(.badSyntax("---root"))),
            ("-=x", .flag(.badSyntax("-=x"))),
            ("-root", .flag(.needsValue("-root"))),
            ("-platform nowhere", .flag(.badValue("nowhere", of: "platform", "nowhere is not a valid platform"))),
            ("-platform= -stage disks", .flag(.badValue("", of: "platform", " is not a valid platform"))),
            ("-stage boot -bogus", .flag(.badValue("boot", of: "stage", "boot is not a valid stage"))),
            ("-version=perhaps", .flag(.badSwitch("perhaps", of: "version"))),
            ("-fetch-timeout 5", .flag(.badValue("5", of: "fetch-timeout", "not a time such as 2m or 1m30s"))),
        ])
    func faults(line: String, fault: InvocationFault) {
        #expect(throws: fault) { try parse(line) }
    }

    @Test(
        "times are read as Ignition's",
        arguments: [
            ("2m", 120), ("90s", 90), ("1m30s", 90), ("1.5h", 5400), ("0", 0), ("1999ms", 1), (".5m", 30), ("1.s", 1),
            ("-3s", -3), ("+3s", 3), ("1h2m3s", 3723), ("900us", 0),
        ])
    func times(text: String, seconds: Int) {
        #expect(wholeSeconds(text) == seconds)
    }

    @Test(arguments: ["", "5", "m", "1x", ".s", "1m 2s", "1..s", "--1s", "999999999h", "-", "s5"])
    func whatIsNoTime(text: String) {
        #expect(wholeSeconds(text) == nil)
    }

    @Test func theUnitsArgumentsMayBeEmpty() throws {
        let words = ["--root=/sysroot", "--platform=qemu", "--stage=umount", ""]
        guard case .run(let invocation) = try IgnitionInvocation.parse(words) else {
            Issue.record("not a run")
            return
        }
        #expect(invocation.stage == .umount)
    }

    @Test func otherProgramsTakeDoubleDashes() throws {
        let apply = try ApplyInvocation(["--root", "/a", "config.ign", "--offline"])
        #expect(apply.root == "/a" && apply.isOffline && apply.file == "config.ign" && !apply.ignoresUnsupported)
        #expect(try ApplyInvocation(["-"]).file == "-")
        #expect(try ApplyInvocation(["a", "b"]).file.isEmpty)
        #expect(throws: FlagFault.unknown("-root")) { try ApplyInvocation(["-root", "/a"]) }
        #expect(throws: InvocationFault.missing("platform")) { try RemovalInvocation([]) }
        #expect(try RemovalInvocation(["--platform=vmware", "--log-to-stdout"]).logsToStandardOutput)
        #expect(throws: InvocationFault.flag(.unknown("x"))) { try RemovalInvocation(["--platform=vmware", "x"]) }
    }
}

@Suite("the environment of ignition")
struct IgnitionEnvironmentTests {
    @Test func anEmptyVariableIsNone() throws {
        let environment = try IgnitionEnvironment { _ in "" }
        #expect(environment == (try IgnitionEnvironment { _ in nil }))
        #expect(environment.folders.paths == ["/run/ignition", "/etc/ignition", "/usr/lib/ignition"])
        #expect(environment.writesKeyFragment && !environment.isInContainer)
    }

    @Test func eachVariableCounts() throws {
        let values = [
            "IGNITION_SYSTEM_CONFIG_DIR": "/v", "IGNITION_SYSTEM_LOCAL_CONFIG_DIR": "/l",
            "IGNITION_SYSTEM_RUNTIME_CONFIG_DIR": "/r", "IGNITION_KERNEL_CMDLINE_PATH": "/c",
            "IGNITION_WRITE_AUTHORIZED_KEYS_FRAGMENT": "0", "container": "podman",
        ]
        let environment = try IgnitionEnvironment { values[$0] }
        #expect(environment.folders.paths == ["/r", "/l", "/v"])
        #expect(environment.commandLine == "/c")
        #expect(!environment.writesKeyFragment && environment.isInContainer)
        #expect(throws: EnvironmentFault.self) {
            try IgnitionEnvironment { $0.hasSuffix("FRAGMENT") ? "perhaps" : nil }
        }
    }
}
