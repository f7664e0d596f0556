import Encoding
import Fetching
import IgnitionConfig
import JSONText
import LoopbackServer
import Testing

@testable import ProvisioningEngine

@Suite("the config that a plan is made for")
struct WholeConfigTests {
    private func config(_ references: String, disk: String? = nil) -> [UInt8] {
        let storage = disk.map { #", "storage": {"disks": [{"device": "\#($0)"}]}"# } ?? ""
        return Array(#"{"ignition": {"version": "3.4.0", "config": {\#(references)}}\#(storage)}"#.utf8)
    }

    private func whole(_ bytes: [UInt8], offline: Bool = false) throws -> IgnitionConfig {
        var settings = FetchSettings()
        settings.isOffline = offline
        let fetcher = ResourceFetcher(settings, pause: { _ in })
        let text = IgnitionConfig.PlacedText(bytes, source: .init(name: "config.ign"))
        return try ProvisioningPreview.wholeConfig(text, through: fetcher) { _ in }
    }

    @Test func whatItMergesAndIsReplacedByIsInIt() throws {
        let server = try LoopbackServer(["b.ign": config("", disk: "/dev/b")])
        let url = server.url("/b.ign")
        let merged = try whole(config(#""merge": [{"source": "\#(url)"}]"#, disk: "/dev/a"))
        #expect(merged.storage.disks.map(\.device) == ["/dev/a", "/dev/b"])
        let replaced = try whole(config(#""replace": {"source": "\#(url)"}"#, disk: "/dev/a"))
        #expect(replaced.storage.disks.map(\.device) == ["/dev/b"])
    }

    @Test func offlineOnlyWhatIsAtHandIsFollowed() throws {
        let inside = DataURL.text(for: config("", disk: "/dev/b"))
        let merged = try whole(config(#""merge": [{"source": "\#(inside)"}]"#), offline: true)
        #expect(merged.storage.disks.map(\.device) == ["/dev/b"])
        #expect {
            try whole(config(#""replace": {"source": "http://192.0.2.1/x.ign"}"#, disk: "/dev/a"), offline: true)
        } throws: { "\($0)".contains("needs the network") }
    }

    @Test func anEmptyReplacementIsNoConfig() throws {
        #expect(try whole(config(#""replace": {"source": "data:,"}"#, disk: "/dev/a")).storage.disks.isEmpty)
        #expect(try whole(config(#""replace": {"source": ""}"#, disk: "/dev/a")).storage.disks.isEmpty)
    }

    @Test func theSecretsOfKernelArgumentsAreNotInThePlan() {
        var wanted = IgnitionConfig.KernelArguments()
        wanted.shouldExist = ["quiet", "url=http://me:secret@host/"]
        #expect(
            KernelArgumentChanges(wanted, on: .init("")).json
                == ["missing": ["quiet", "url=... (as in the config)"], "unwanted": []])
    }
}
