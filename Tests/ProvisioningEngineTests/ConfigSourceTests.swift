import BootArguments
import Encoding
import IgnitionConfig
import LinuxSystem
import LoopbackServer
import Platforms
import SystemPackage
import Testing

@testable import ProvisioningEngine

@Suite("where the config comes from")
struct ConfigSourceTests {
    private static func url(_ text: String) throws -> ConfigSource { .url(try SourceURL(parsing: text)) }

    private static let cases: [(String, FilePath?, ConfigSource?)] = [
        ("ignition.config.url=http://a/c.ign ignition.platform.id=qemu", "/config.ign", try? url("http://a/c.ign")),
        ("ignition.platform.id=qemu", "/config.ign", .file("/config.ign")),
        ("ignition.platform.id=qemu", nil, .platform(.qemu)),
        ("ignition.platform.id=hetzner", nil, .platform(.hetzner)),
        ("ignition.platform.id=metal", nil, .platform(.metal)),
        ("", nil, .platform(.metal)),
    ]

    @Test(arguments: cases)
    func theFirstThatAppliesWins(line: String, embedded: FilePath?, source: ConfigSource?) throws {
        let arguments = BootArguments(line)
        let url = arguments.configURL?.asWritten
        #expect(try ConfigSource(arguments, url: url, embedded: embedded) == source)
    }

    @Test func aVolumeGoesBeforeWhatTheInitramfsHolds() throws {
        let line = "ignition.config.device=CFG ignition.config.path=/a/../../b/./c.ign"
        let volume = try #require(ConfigVolume(label: "CFG", path: "b/c.ign"))
        #expect(try ConfigSource(BootArguments(line), url: nil, embedded: "/config.ign") == .volume(volume))
    }

    @Test("the initramfs's config stands in the last of the folders for a user's")
    func embeddedConfig() throws {
        let folder = try TemporaryFolder()
        var folders = SystemConfigFolders()
        folders.paths = ["run", "etc", "usr"].map { folder.path.appending($0) }
        let embedded = folder.path.appending("config.ign")
        func found() -> FilePath? { ConfigSource.embeddedConfig(folders, embedded: embedded) }
        #expect(found() == nil)
        let users = folders.paths.map { $0.appending("user.ign") }
        func put(_ file: FilePath) throws {
            try Files.makeFolder(file.removingLastComponent())
            try Files.write("{}", to: file)
        }
        try put(users[2])
        #expect(found() == users[2])
        try put(embedded)
        #expect(found() == embedded)
        try put(users[1])
        #expect(found() == users[1])
        try put(users[0])
        #expect(found() == users[0])
        for user in users { try Files.remove(user) }
        #expect(found() == embedded)
    }

    @Test(arguments: ["nowhere", "Metal"]) func aPlatformThatCannotBeAskedIsNamed(name: String) {
        let failure = #expect(throws: PlatformFailure.unsupported(name)) {
            try ConfigSource(BootArguments("ignition.platform.id=\(name)"), url: nil, embedded: nil)
        }
        let advice = failure?.advice ?? []
        #expect(advice.first?.hasPrefix("Supported are akamai, aliyun, applehv, aws, ") == true)
        #expect(advice.allSatisfy { $0.count <= 72 })
    }

    @Test func onlyAURLElsewhereIsRemote() throws {
        #expect(try Self.url("HTTP://a/c.ign").isRemote)
        #expect(try !Self.url("data:,{}").isRemote)
        #expect(!ConfigSource.platform(.qemu).isRemote)
        #expect(ConfigSource.platform(.aws).isRemote)
    }

    @Test func credentialsAreNotPartOfTheName() throws {
        #expect(try Self.url("https://me:secret@host/c.ign?token=x").name == "https://host/c.ign")
    }
}

@Suite("where the root image comes from")
struct RootImagePlaceTests {
    @Test(
        "one that the kernel could not unpack whole is still the one that came",
        arguments: [
            ["root.squashfs"], ["root.erofs"], ["etc/coreos-live-rootfs"], ["root.squashfs", "etc/coreos-live-rootfs"],
        ])
    func appended(files: [String]) throws {
        let folder = try TemporaryFolder()
        #expect(!holdsAppendedRootImage(folder.path))
        for file in files {
            try Files.makeFolder(folder.path.appending(file).removingLastComponent())
            try Files.write("", to: folder.path.appending(file))
        }
        #expect(holdsAppendedRootImage(folder.path))
    }
}

@Suite("kernel arguments that a config wants")
struct KernelArgumentChangesTests {
    private func changes(_ line: String, want: [String] = [], refuse: [String] = []) -> KernelArgumentChanges {
        var wanted = IgnitionConfig.KernelArguments()
        wanted.shouldExist = want
        wanted.shouldNotExist = refuse
        return KernelArgumentChanges(wanted, on: KernelCommandLine(line))
    }

    @Test func aLineAsWantedSaysNothing() {
        let same = changes(
            "quiet console=ttyS0,115200", want: ["console=ttyS0,115200", "quiet", ""], refuse: ["debug"])
        #expect(same.warnings.isEmpty)
    }

    @Test func wholeWordsAreCompared() {
        let line = "console=ttyS0,115200 quiet dyndbg=\"a b\""
        #expect(changes(line, want: ["console=ttyS0", "qui"]).missing == ["console=ttyS0", "qui"])
        #expect(changes(line, want: ["quiet nosmt", "dyndbg=\"a b\""]).missing == ["quiet nosmt"])
        #expect(changes(line, refuse: ["quiet", "console", ""]).unwanted == ["quiet"])
    }

    @Test func whoServesTheLineIsToldWhatToChange() {
        let lines = changes("debug", want: ["nosmt", "mitigations=auto"], refuse: ["debug"]).warnings
        #expect(lines.map { $0.hasSuffix(": nosmt mitigations=auto") } == [true, false])
        #expect(lines.last?.hasSuffix(": debug") == true)
    }

    @Test(arguments: ["x.url=http://me:secret@a/", "x.url=http://a/?secret", "x=secret\u{1b}[2J", "x=secret\u{9b}2J"])
    func secretsAndControlCharactersAreNotShown(entry: String) {
        let text = changes("", want: [entry]).warnings.joined()
        #expect(text.contains("=... (as in the config)"))
        #expect(!text.contains("secret"))
    }
}
