import BlockDevices
import BootArguments
import Devices
import Encoding
import IgnitionConfig
import LinuxSystem
import LoopbackServer
import NetworkPlanning
import Platforms
import Reporting
import SystemPackage
import TargetRoot
import Testing

@testable import ProvisioningEngine

@Suite("a session of provisioning")
struct SessionTests {
    enum Way: CaseIterable, Sendable { case live, dropIn }

    private func session(
        _ way: Way, _ line: String, _ store: MemoryStore = MemoryStore(), waited: Monitor<[String]> = Monitor([]),
        told: Monitor<[String]> = Monitor([]), devices: DeviceAccess? = nil
    ) -> ProvisioningSession {
        let arguments = BootArguments(line)
        let observer = SessionObserver { event in
            switch event {
            case .warning(let text), .noted(_, let text): told.change { $0.append(text) }
            case .noConfig(let text): told.change { $0.append(text ?? "empty") }
            default: break
            }
        }
        var session = ProvisioningSession(
            arguments, way == .live ? .live(arguments) : .dropIn(arguments), store: store, observer: observer,
            devices: devices ?? .absent(waited))
        session.folders.paths = ["/nonexistent"]
        session.root = "/nonexistent"
        return session
    }

    private func url(_ rest: String) -> String {
        "ignition.firstboot ignition.config.url="
            + DataURL.text(for: Array(#"{"ignition": {"version": "3.4.0"}\#(rest)}"#.utf8))
    }

    @Test("a platform's files go into the real root, for root alone", arguments: Way.allCases)
    func platformFiles(way: Way) throws {
        let folder = try TemporaryFolder()
        let store = MemoryStore()
        let file = PlatformFile(path: "/var/lib/hyperv/.kvp_pool_0", bytes: [1, 0, 255])
        try store.keep(platformFiles: [file].json)
        let session = session(way, "", store)
        try session.writePlatformFiles(into: TargetRoot(folder.path))
        let left = folder.path.appending("var/lib/hyperv/.kvp_pool_0")
        #expect(try Files.read(left) == file.bytes)
        #expect(Files.status(left).map { $0.st_mode & 0o777 } == 0o600)
        // Another's form, of content elsewhere, is left alone.
        try store.keep(platformFiles: [["path": "/x", "contents": ["source": "http://192.0.2.1/x"]]])
        try session.writePlatformFiles(into: TargetRoot(folder.path))
        #expect(Files.names(in: folder.path) == ["var"])
    }

    private let mounting = #"""
        , "storage": {"filesystems": [{"device": "/dev/disk/by-partlabel/var", "format": "xfs", "path": "/var"}]}
        """#

    @Test(
        "the volume of a config is waited for as every device is",
        arguments: [("", 90.0), ("rd.timeout=7", 7), ("rd.timeout=0", .infinity)], Way.allCases)
    func configVolume(_ limit: (line: String, seconds: Double), way: Way) throws {
        let seconds = Monitor<[Double]>([])
        let devices = DeviceAccess(
            wait: { _, _, _ in },
            firstOf: { paths, deadline, _ in
                #expect(paths == ["/dev/disk/by-label/CFG"])
                seconds.change { $0.append((deadline - Machine.uptime()).rounded()) }
                return nil
            }, settle: {}, loadModule: { _ in })
        let session = session(
            way, "ignition.firstboot ignition.config.device=CFG ignition.config.path=c.ign \(limit.line)",
            devices: devices)
        let error = #expect(throws: BootFailure.self) { try session.fetchConfig() }
        #expect(seconds.change { $0 } == [limit.seconds])
        let words = limit.seconds.isFinite ? " within \(Int(limit.seconds)) s" : ""
        #expect(error.map { "\($0.cause)" } == "no volume labelled CFG appeared\(words)")
    }

    // A label can lead to another device by the time of the next stage, and what is mounted is written to.
    @Test("what is mounted is the device that was planned, in every way", arguments: Way.allCases)
    func plannedNodes(way: Way) throws {
        let store = MemoryStore()
        store.nodes = ["/dev/disk/by-partlabel/var": "/dev/vdb3"]
        let waited = Monitor<[String]>([])
        let session = session(way, url(mounting), store, waited: waited)
        try session.fetchConfig()
        #expect(throws: BootFailure.self) { try session.mountFilesystems() }
        #expect(waited.change { $0 } == ["/dev/vdb3"])
    }

    @Test("nothing is mounted by a name that no plan has looked at, in every way", arguments: Way.allCases)
    func unplanned(way: Way) throws {
        let waited = Monitor<[String]>([])
        let session = session(way, url(mounting), MemoryStore(), waited: waited)
        try session.fetchConfig()
        let error = #expect(throws: BootFailure.self) { try session.mountFilesystems() }
        let failure = MountFailure.notPlanned(device: "/dev/disk/by-partlabel/var", on: "/var")
        #expect(error?.cause as? MountFailure == failure)
        #expect(waited.change { $0 } == [], "no device is waited for")
    }

    @Test("a config is kept as it was written where it is whole, and as Ignition caches it under its name")
    func kept() throws {
        let (live, dropIn) = (MemoryStore(), MemoryStore())
        try session(.live, url(""), live).fetchConfig()
        try session(.dropIn, url(""), dropIn).fetchConfig()
        #expect(live.whole == nil && live.config?.bytes.starts(with: Array(#"{"ignition": {"#.utf8)) == true)
        #expect(dropIn.whole != nil)
        #expect(live.configProgress == .complete && dropIn.configProgress == .complete)
    }

    @Test("what cannot be done stops a boot as soon as it is known, and a drop-in at its stage")
    func unsupported() throws {
        let virtiofs = #"""
            , "storage": {"filesystems": [{"device": "share", "format": "virtiofs", "path": "/a"}]}
            """#
        let text = #"{"ignition": {"version": "3.7.0-experimental"}\#(virtiofs)}"#
        let arguments = "ignition.firstboot ignition.config.url=" + DataURL.text(for: Array(text.utf8))
        #expect {
            try session(.live, arguments).fetchConfig()
        } throws: { ($0 as? BootFailure)?.cause is UnsupportedConfig }
        let dropIn = session(.dropIn, arguments)
        try dropIn.fetchConfig()
        #expect(throws: UnsupportedConfig.self) { try dropIn.prepareDisks() }
    }

    @Test("without ignition.firstboot a boot has no config, and says so where one is given")
    func noFirstBoot() throws {
        let told = Monitor<[String]>([])
        let store = MemoryStore()
        let session = session(.live, "ignition.config.url=data:,", store, told: told)
        try session.findConfig()
        #expect(try session.config() == nil)
        #expect(store.configProgress == .complete)
        #expect(told.change { $0.count } == 1)
    }

    // The server of the authorities may be why the boot failed, and the shell comes after the report.
    @Test("posting a report waits for the config's authorities within its own time", .timeLimit(.minutes(1)))
    func silentAuthorities() throws {
        let server = try LoopbackServer([:], scripts: ["/ca=silent"])
        let text = #"""
            {"ignition": {"version": "3.4.0", "timeouts": {"httpResponseHeaders": 0}, "security": {"tls": {
            "certificateAuthorities": [{"source": "\#(server.url("/ca"))"}, {"source": "\#(server.url("/ca?2"))"}]}}}}
            """#
        let config = try IgnitionConfig.parse(Array(text.utf8), name: "c.ign").checked()
        let fetcher = session(.live, "").resourceFetcher(for: config, authoritiesWithin: 0.5)
        #expect(fetcher.settings.additionalAuthorities.isEmpty)
        #expect(fetcher.settings.totalTimeout == nil && fetcher.isWanted())
    }

    @Test("an empty config is none", arguments: Way.allCases)
    func empty(way: Way) throws {
        let store = MemoryStore()
        let told = Monitor<[String]>([])
        let session = session(way, "ignition.firstboot ignition.config.url=data:,", store, told: told)
        try session.fetchConfig()
        #expect(!store.hasUserConfig && store.configProgress == .complete)
        #expect(told.change { $0.first }?.hasPrefix("none: ") == true)
    }

    @Test("what needs the network is told apart from every other failure")
    func network() throws {
        var offline = session(.dropIn, "ignition.config.url=http://192.0.2.1/c.ign")
        offline.isOffline = true
        #expect {
            try offline.fetchConfig()
        } throws: { ProvisioningSession.needsNetwork($0) }
        var broken = session(.dropIn, "ignition.config.url=data:,%7b")
        broken.isOffline = true
        #expect {
            try broken.fetchConfig()
        } throws: { !ProvisioningSession.needsNetwork($0) }
    }

    @Test("half of a config device is refused where it would be used", arguments: Way.allCases)
    func halfAConfigDevice(way: Way) throws {
        let half = " ignition.config.device=CFG"
        #expect(throws: ArgumentProblem.self) { try session(way, "ignition.firstboot" + half).fetchConfig() }
        try session(way, url("") + half).fetchConfig()
    }

    @Test("only firstlight.strict changes how a rerun goes, in every way")
    func rerun() {
        #expect(SessionRules.live(BootArguments("")).rootIsInRAM && !SessionRules.dropIn(BootArguments("")).rootIsInRAM)
        #expect(SessionRules.live(BootArguments("")).rerun == .own)
        #expect(SessionRules.dropIn(BootArguments("")).rerun == .dropIn)
        #expect(SessionRules.live(BootArguments("firstlight.strict")).rerun == .strict)
        #expect(SessionRules.dropIn(BootArguments("firstlight.strict")).rerun == .strict)
    }

    @Test("a URL names this machine in a boot, and stays as it is under the name of Ignition")
    func machineURLs() throws {
        func url(_ text: String) throws -> MachineURL { MachineURL(try SourceURL(parsing: text)) }
        let text = "http://192.0.2.1/ignition?uuid=${uuid}&mac=${mac}"
        var live = session(.live, "")
        live.machineFacts = {
            MachineFacts(
                uuid: "4C4C4544-0042-3510-8052-B4C04F4D4B31", bootCard: MACAddress("52:54:00:12:34:56"))
        }
        #expect(
            try live.filled(url(text), of: "ignition.config.url").text
                == "http://192.0.2.1/ignition?uuid=4c4c4544-0042-3510-8052-b4c04f4d4b31&mac=52%3A54%3A00%3A12%3A34%3A56"
        )
        #expect(try session(.dropIn, "").filled(url(text), of: "ignition.config.url").text == text)
        let problem = #expect(throws: ArgumentProblem.self) {
            try live.filled(url("http://a/${serial}?token=secret"), of: "firstlight.report_url")
        }
        #expect(
            problem.map { "\($0)" }
                == "firstlight.report_url=http://a/${serial}: ${serial}: this machine's firmware gives no serial number"
        )
    }

    @Test("what is not a URL stops a boot of its own as soon as a config is looked for, and tells no secret")
    func noURL() throws {
        let line = "ignition.firstboot ignition.config.url=http://me:sec/ret@a/c.ign"
        let problem = #expect(throws: ArgumentProblem.self) { try session(.live, line).findConfig() }
        #expect(problem.map { "\($0)".contains("the URL's port is not a number") } == true)
        #expect(problem.map { "\($0)".contains("sec") } == false)
        // Ignition passes it over.
        var arguments = BootArguments(line)
        #expect(arguments.passOverConfigURL() == problem)
        #expect(arguments.problems.isEmpty && arguments.configURL == nil)
    }

    @Test("a boot whose URLs name what there is not stops before anything is looked for")
    func machineURLsAreCheckedFirst() throws {
        func failure(_ line: String, _ facts: MachineFacts) -> String? {
            let arguments = BootArguments(line)
            var live = LiveSession(arguments, observer: SessionObserver(), devices: .absent(Monitor([])))
            live.provisioning.machineFacts = { facts }
            do {
                try live.checkURLs()
                return nil
            } catch { return (error as? ArgumentProblem)?.reason }
        }
        let shared = MachineFacts(uuid: "03000200-0400-0500-0006-000700080009")
        let line = "ignition.firstboot ignition.config.url=http://a/"
        #expect(failure(line + "${uiud}", MachineFacts()) == "${uiud} is not known; did you mean ${uuid}?")
        #expect(
            failure(line + "${mac}/${uuid}", shared)
                == "${uuid}: \"03000200-0400-0500-0006-000700080009\" is not this machine's own: many have it")
        // What only the network tells is not missed before there is one, and what is not used is not missed at all.
        #expect(failure(line + "${mac}/${hostname}", shared) == nil)
        #expect(failure("ignition.config.url=http://a/${uuid}", shared) == nil)
        #expect(failure("coreos.live.rootfs_url=http://a/${serial}", shared) != nil)
        #expect(failure("coreos.liveiso=X coreos.live.rootfs_url=http://a/${serial}", shared) == nil)
    }

    // A key that takes the image's room would end the boot when the image has come.
    @Test("a key is derived once it is known what the root image still takes, and with that left over")
    func derivingBesideTheImage() throws {
        let room = Monitor<[UInt64?]>([nil, nil, 5 << 20])
        var session = session(.live, "")
        session.memoryTurn = MemoryTurn(FilePath("/proc/self/nowhere"))
        var reserved: UInt64?
        let key = try session.deriving({ bytes in
            reserved = bytes
            return SecretBytes(count: 3)
        }) { room.change { $0.count > 1 ? $0.removeFirst() : $0[0] } }
        #expect(key?.count == 3 && reserved == 5 << 20)
    }

    @Test("where the image never comes, the look ends with the boot")
    func derivingWithoutAnImage() {
        let session = session(.live, "")
        var waits = Waits.untold
        waits.isCancelled = { true }
        #expect(throws: StageCancelled.self) {
            try session.telling(SessionObserver(waits: waits)).deriving({ _ in nil }) { nil }
        }
    }
}
