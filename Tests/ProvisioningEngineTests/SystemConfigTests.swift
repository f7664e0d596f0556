import Encoding
import Glibc
import IgnitionConfig
import LinuxSystem
import SystemPackage
import Testing

@testable import ProvisioningEngine

@Suite("configs that an image brings")
struct SystemConfigTests {
    /// Three folders of a machine of its own.
    private final class Machine {
        let root: FilePath
        var folders = SystemConfigFolders()

        init() throws {
            var template = Array("/tmp/firstlight-configs-XXXXXX".utf8CString)
            root = FilePath(String(cString: try #require(mkdtemp(&template))))
            folders.paths = ["run", "etc", "usr"].map { root.appending($0) }
        }

        deinit { _ = try? Command("rm", ["-rf", root.string]).run() }

        func put(_ path: String, _ text: String) throws {
            let file = root.pushing(FilePath(path))
            try Files.makeFolder(file.removingLastComponent())
            try Files.write(text, to: file)
        }

        /// A config with a file for each path, the last of equal ones winning by its mode.
        func put(_ path: String, files: String..., mode: Int = 0) throws {
            let list = files.map { #"{"path": "\#($0)", "mode": \#(mode)}"# }.joined(separator: ", ")
            try put(path, #"{"ignition": {"version": "3.3.0"}, "storage": {"files": [\#(list)]}}"#)
        }

        func base(_ platform: String? = "qemu", warnings: inout [String]) throws -> [String: Int?] {
            var notes = ConfigNotes()
            let heard = Heard()
            notes.warn = { heard.lines.append($0) }
            let config = try folders.baseConfig(platform: platform, notes: notes)
            warnings = heard.lines
            return Dictionary(uniqueKeysWithValues: config.storage.files.map { ($0.path, $0.mode) })
        }

        func base(_ platform: String? = "qemu") throws -> [String: Int?] {
            var warnings: [String] = []
            let found = try base(platform, warnings: &warnings)
            #expect(warnings.isEmpty)
            return found
        }

        private final class Heard { var lines: [String] = [] }
    }

    @Test func noneAreAnEmptyConfig() throws {
        let machine = try Machine()
        #expect(try machine.folders.baseConfig(platform: "qemu", notes: ConfigNotes()) == IgnitionConfig())
        #expect(machine.folders.userConfig == nil)
    }

    @Test func ofOneNameTheRunTimesGoesBeforeTheLocalAndTheVendors() throws {
        let machine = try Machine()
        try machine.put("usr/base.d/10", files: "/a", "/vendor", mode: 1)
        try machine.put("etc/base.d/10", files: "/a", "/local", mode: 2)
        try machine.put("usr/base.d/20", files: "/b", mode: 1)
        #expect(try machine.base() == ["/a": 2, "/local": 2, "/b": 1])
        try machine.put("run/base.d/10", files: "/a", mode: 3)
        #expect(try machine.base() == ["/a": 3, "/b": 1])
    }

    @Test func namesGoByTheirBytesAndPlatformsOverAll() throws {
        let machine = try Machine()
        try machine.put("usr/base.d/b", files: "/x", mode: 1)
        try machine.put("etc/base.d/Z", files: "/x", "/y", mode: 2)
        try machine.put("run/base.platform.d/qemu/a", files: "/y", mode: 3)
        try machine.put("run/base.platform.d/metal/a", files: "/z", mode: 4)
        #expect(try machine.base() == ["/x": 1, "/y": 3])
        #expect(try machine.base("metal") == ["/x": 1, "/y": 2, "/z": 4])
        #expect(try machine.base(nil) == ["/x": 1, "/y": 2])
    }

    @Test(
        "a fragment that cannot be used stops everything", arguments: ["", "{", #"{"ignition":{"version":"9.9.9"}}"#])
    func brokenBase(text: String) throws {
        let machine = try Machine()
        try machine.put("usr/base.d/10", files: "/a")
        try machine.put("usr/base.d/20", text)
        #expect(throws: InvalidConfig.self) { try machine.base() }
    }

    @Test func aFolderAmongFragmentsStopsEverything() throws {
        let machine = try Machine()
        try Files.makeFolder(machine.root.pushing("usr/base.d/sub"))
        #expect(throws: UnreadableConfig.self) { try machine.base() }
    }

    @Test func aPlatformsBrokenFragmentTakesOutAllOfThem() throws {
        let machine = try Machine()
        try machine.put("usr/base.d/10", files: "/a")
        try machine.put("usr/base.platform.d/qemu/10", files: "/b")
        try machine.put("usr/base.platform.d/qemu/20", "")
        var warnings: [String] = []
        #expect(try machine.base(warnings: &warnings) == ["/a": 0])
        #expect(warnings.count == 1)
    }

    @Test func theFirstUserConfigCounts() throws {
        let machine = try Machine()
        try machine.put("usr/user.ign", "{}")
        #expect(machine.folders.userConfig == machine.root.pushing("usr/user.ign"))
        try machine.put("etc/user.ign", "")
        #expect(machine.folders.userConfig == machine.root.pushing("etc/user.ign"))
    }
}

@Suite("whether a config needs the network")
struct NetworkNeedTests {
    private func needs(_ rest: String) throws -> Bool {
        let text = #"{"ignition": {"version": "3.4.0"\#(rest)}"#
        return namesSomethingRemote(try IgnitionConfig.decode(Array(text.utf8), name: "config.ign"))
    }

    @Test(arguments: [
        "}", #"}, "storage": {"files": [{"path": "/a", "contents": {"source": "data:,a"}}]}"#,
        #"}, "storage": {"files": [{"path": "/a", "contents": {"source": ""}}]}"#,
        #", "config": {"merge": [{"source": "DATA:,"}]}}"#,
    ])
    func itDoesNot(rest: String) throws { #expect(try !needs(rest)) }

    @Test(arguments: [
        #"}, "storage": {"files": [{"path": "/a", "contents": {"source": "http://a/"}}]}"#,
        #"}, "storage": {"files": [{"path": "/a", "append": [{"source": "tftp://a/"}]}]}"#,
        #"}, "storage": {"luks": [{"name": "a", "device": "/dev/a", "keyFile": {"source": "s3://a/b"}}]}"#,
        #"}, "storage": {"luks": [{"name": "a", "device": "/dev/a", "clevis": {"tang": [{"url": "http://t", "thumbprint": "x"}]}}]}"#,
        #"}, "storage": {"luks": [{"name": "a", "device": "/dev/a", "clevis": {"tang": [{"url": "http://t", "thumbprint": "x", "advertisement": "{}"}]}}]}"#,
        #"}, "storage": {"luks": [{"name": "a", "device": "/dev/a", "clevis": {"custom": {"pin": "x", "config": "y", "needsNetwork": true}}}]}"#,
        #", "config": {"merge": [{"source": "https://a/"}]}}"#,
        #", "security": {"tls": {"certificateAuthorities": [{"source": "https://a/"}]}}}"#,
    ])
    func itDoes(rest: String) throws { #expect(try needs(rest)) }

    // As `iso customize --live-ignition` embeds a config, and as somebody embeds the result once more.
    @Test(arguments: [
        #""storage": {"files": [{"path": "/a", "contents": {"source": "http://a/"}}]}"#,
        #""storage": {"luks": [{"name": "a", "device": "/dev/a", "clevis": {"tang": [{"url": "http://t", "thumbprint": "x"}]}}]}"#,
    ])
    func whatAConfigInTheConfigNamesCounts(storage: String) throws {
        func holding(_ rest: String) -> String {
            DataURL.text(for: Array(#"{"ignition": {"version": "3.4.0"\#(rest)}"#.utf8))
        }
        let inner = holding("}, \(storage)")
        for reference in [#""merge": [{"source": "\#(inner)"}]"#, #""replace": {"source": "\#(inner)"}"#] {
            #expect(try needs(#", "config": {\#(reference)}}"#))
            let outer = holding(#", "config": {\#(reference)}}"#)
            #expect(try needs(#", "config": {"merge": [{"source": "\#(outer)"}]}}"#))
        }
        #expect(try !needs(#", "config": {"merge": [{"source": "\#(holding("}"))"}]}}"#))
    }
}
