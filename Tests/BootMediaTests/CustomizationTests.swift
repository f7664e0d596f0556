import BootMedia
import CZlib
import JSONText
import MediaSamples
import Testing

@Suite struct Customizing {
    private let files: [String: String] = [
        "live.ign":
            #"{"ignition": {"version": "3.4.0"}, "storage": {"files": [{"path": "/a", "mode": null, "colour": 1}]}}"#,
        "dest.ign": #"{"ignition":{"version":"3.0.0"},"storage":{"files":[{"path":"/b","mode":420}]}}"#,
        "more/dest.ign": #"{"ignition":{"version":"3.2.0"}}"#, "bad.ign": "{",
        "old.ign": #"{"ignition":{"version":"2.2.0"}}"#,
        "unknown.ign": #"{"ignition":{"version":"3.99.0"}}"#,
        "eth0.nmconnection": "[connection]\nid=eth0\n", "other/eth0.nmconnection": "[connection]\nid=other\n",
        "ca.pem": "-----BEGIN CERTIFICATE-----\n", "hook": "#!/bin/sh\n", "other/hook": "#!/bin/true\n",
        "config.yaml": "append-karg: [a, b]\nfetch-retries: 3\n", "bad.yaml": "colour: red\n",
        "wrong.yaml": "append-karg: a\n", "torn.yaml": "a: [",
    ]

    private struct Made {
        var files = ArchiveFiles()
        var told: [String] = []
        /// The live config.
        var config: JSONValue? {
            files.config.flatMap { try? JSONNode(parsing: $0) }.map { JSONValue($0) }
        }

        /// The contents of a file in the live config.
        func content(_ path: String) -> String? {
            let file = config?["storage"]?["files"]?.elements?.first { $0["path"]?.string == path }
            return file?["contents"].flatMap(unpacked)
        }

        var paths: [String] {
            config?["storage"]?["files"]?.elements?.compactMap { $0["path"]?.string } ?? []
        }
    }

    private static let all = """
        {"installer-config": true, "installer-config-directives": {"console": true}, "live-initrd-network": true}
        """

    private func make(
        features: String = Customizing.all, keyfiles: [(String, [UInt8])] = [], _ change: (inout Customization) -> Void
    ) throws -> Made {
        var customization = Customization()
        change(&customization)
        var told: [String] = []
        let contents = { (path: String) in
            guard let text = files[path] else { throw MediaFault("no \(path)") }
            return Array(text.utf8)
        }
        let made = try customization.files(
            for: Features(parsing: Array(features.utf8)),
            .init(
                read: contents, config: contents,
                keyfiles: { _ in keyfiles.map { (name: $0.0, contents: $0.1) } }, tell: { told.append($0) }))
        return Made(files: made, told: told)
    }

    @Test func nothingMakesNothing() throws {
        let made = try make(features: "{}") { _ in }
        #expect(made.files.isEmpty && made.told.isEmpty)
    }

    @Test func aLiveConfigIsMerged() throws {
        let made = try make { $0.liveConfigs = ["live.ign", "dest.ign"] }
        #expect(made.files.names == ["config.ign"])
        let merged = made.config?["ignition"]?["config"]?["merge"]?.elements ?? []
        // Without what no Ignition reads.
        #expect(
            merged.compactMap(unpacked) == [
                #"{"ignition":{"version":"3.4.0"},"storage":{"files":[{"path":"/a"}]}}"#,
                #"{"ignition":{"version":"3.0.0"},"storage":{"files":[{"mode":420,"path":"/b"}]}}"#,
            ])
        #expect(made.config?["ignition"]?["version"]?.string == "3.3.0")
        #expect(made.files.config?.last == UInt8(ascii: "\n"))
        #expect(made.told.count == 1 && made.told[0].hasPrefix("Warning parsing live.ign: "))
        #expect(made.told[0].contains("colour"))
    }

    @Test(arguments: ["bad.ign", "old.ign", "unknown.ign", "hook"]) func aBadConfigIsRefused(_ path: String) {
        #expect(error { try make { $0.liveConfigs = [path] } }.hasPrefix("parsing Ignition config \(path): "))
        #expect(error { try make { $0.destinationConfigs = [path] } }.hasPrefix("parsing Ignition config \(path): "))
    }

    @Test func oneDestinationConfigIsItself() throws {
        let made = try make { $0.destinationConfigs = ["dest.ign"] }
        #expect(
            made.content("/etc/coreos/dest.ign")
                == #"{"ignition":{"version":"3.0.0"},"storage":{"files":[{"mode":420,"path":"/b"}]}}"# + "\n")
        #expect(made.content("/etc/coreos/installer.d/0000-customize.yaml") == "ignition-file: /etc/coreos/dest.ign\n")
        #expect(made.told == ["Boot media will automatically run installer."])
        let modes = made.config?["storage"]?["files"]?.elements?.compactMap { $0["mode"]?.integer }
        #expect(modes == [0o600, 0o600])
    }

    @Test func severalDestinationConfigsAreMerged() throws {
        let made = try make { $0.destinationConfigs = ["dest.ign", "more/dest.ign"] }
        let text = made.content("/etc/coreos/dest.ign") ?? ""
        #expect(text.hasPrefix(#"{"ignition":{"config":{"merge":[{"compression":"gzip","source":"data:;base64,"#))
        #expect(text.hasSuffix("\"version\":\"3.3.0\"}}\n"))
    }

    @Test func authoritiesGoWhereAConfigGoes() throws {
        let alone = try make { $0.authorities = ["ca.pem"] }
        let live = alone.config?["ignition"]?["security"]?["tls"]?["certificateAuthorities"]
        #expect(live?.elements?.compactMap(unpacked) == ["-----BEGIN CERTIFICATE-----\n"])
        #expect(alone.paths == [])
        let both = try make {
            $0.authorities = ["ca.pem", "hook"]
            $0.destinationConfigs = ["dest.ign"]
        }
        let text = both.content("/etc/coreos/dest.ign") ?? ""
        #expect(text.contains("certificateAuthorities") && text.contains("merge"))
        #expect(both.told.contains("Warning: hook: no PEM certificate in it"))
    }

    @Test func theInstallerIsToldWhatWasAsked() throws {
        let made = try make {
            $0.destinationDevice = "/dev/sda"
            $0.destinationConsoles = ["tty0", "ttyS0,115200"].compactMap { try? ConsoleSpec(parsing: $0) }
            $0.destinationArgumentsAppended = ["quiet", "a: b", "it's"]
            $0.destinationArgumentsDeleted = ["x=1"]
            $0.networkKeyfiles = ["eth0.nmconnection"]
        }
        #expect(
            made.content("/etc/coreos/installer.d/0000-customize.yaml") == """
                console:
                - tty0
                - ttyS0,115200n8
                append-karg:
                - quiet
                - 'a: b'
                - 'it''s'
                delete-karg:
                - x=1
                copy-network: true
                dest-device: /dev/sda

                """)
        #expect(made.told == ["Boot media will automatically install to /dev/sda without confirmation."])
        #expect(made.files.names == ["config.ign", "etc/coreos-firstboot-network/eth0.nmconnection"])
    }

    @Test func oursComesAfterTheUsersConfig() throws {
        let made = try make {
            $0.installerConfigs = ["config.yaml", "config.yaml"]
            $0.destinationDevice = "/dev/sdb"
        }
        #expect(
            made.paths == [
                "/etc/coreos/installer.d/0000-config.yaml", "/etc/coreos/installer.d/0001-config.yaml",
                "/etc/coreos/installer.d/0002-customize.yaml",
            ])
        #expect(made.content("/etc/coreos/installer.d/0000-config.yaml") == files["config.yaml"])
        let alone = try make { $0.installerConfigs = ["config.yaml"] }
        #expect(alone.paths == ["/etc/coreos/installer.d/0000-config.yaml"])
        #expect(alone.told == ["Boot media will automatically run installer."])
        for path in ["bad.yaml", "wrong.yaml", "torn.yaml"] {
            #expect(
                error { try make { $0.installerConfigs = [path] } }.hasPrefix("parsing installer config \(path): "))
        }
    }

    @Test func aKeyfileAloneRunsNoInstaller() throws {
        let made = try make { $0.networkKeyfiles = ["eth0.nmconnection"] }
        #expect(made.files.names == ["etc/coreos-firstboot-network/eth0.nmconnection"])
        #expect(made.told.isEmpty)
        #expect(
            error { try make { $0.networkKeyfiles = ["eth0.nmconnection", "other/eth0.nmconnection"] } }
                == "config already specifies keyfile eth0.nmconnection")
        let both = try make {
            $0.networkKeyfiles = ["eth0.nmconnection"]
            $0.installerConfigs = ["config.yaml"]
        }
        #expect(both.content("/etc/coreos/installer.d/0001-customize.yaml") == "copy-network: true\n")
    }

    @Test func statesOfNmstateBecomeKeyfiles() throws {
        let printed = Array(
            "NetworkManager:\n- - eth1.nmconnection\n  - |\n    [connection]\n    id=eth1\nnetworkd: []\n".utf8)
        let keyfiles = try NmstateOutput.keyfiles(parsing: printed)
        #expect(keyfiles.map(\.name) == ["eth1.nmconnection"])
        #expect(keyfiles.map(\.contents) == [Array("[connection]\nid=eth1\n".utf8)])
        let made = try make(keyfiles: [("eth1.nmconnection", [1])]) { $0.networkStates = ["any.yaml"] }
        #expect(made.files["etc/coreos-firstboot-network/eth1.nmconnection"] == [1])
        #expect(
            error {
                try make(keyfiles: [("eth0.nmconnection", [1])]) {
                    $0.networkKeyfiles = ["eth0.nmconnection"]
                    $0.networkStates = ["any.yaml"]
                }
            }.contains("config already specifies keyfile"))
        for text in ["", "a: b", "NetworkManager: x", "NetworkManager: [[a]]"] {
            #expect(error { try NmstateOutput.keyfiles(parsing: Array(text.utf8)) } != "")
        }
    }

    @Test func hooksAreProgramsAndUnits() throws {
        let made = try make {
            $0.hooksBefore = ["hook"]
            $0.hooksAfter = ["other/hook"]
        }
        #expect(made.paths == ["/usr/local/bin/pre-install-hook", "/usr/local/bin/post-install-hook"])
        #expect(made.content("/usr/local/bin/pre-install-hook") == "#!/bin/sh\n")
        let units = made.config?["systemd"]?["units"]?.elements ?? []
        #expect(units.compactMap { $0["name"]?.string } == ["pre-install-hook.service", "post-install-hook.service"])
        #expect(
            units[0]["contents"]?.string == """
                # Generated by coreos-installer {iso|pxe} customize

                [Unit]
                Description=Pre-Install Script (hook)
                Documentation=https://coreos.github.io/coreos-installer/customizing-install/
                After=coreos-installer-pre.target
                Before=coreos-installer.service

                [Service]
                Type=oneshot
                ExecStart=/usr/local/bin/pre-install-hook
                RemainAfterExit=true
                StandardOutput=kmsg+console
                StandardError=kmsg+console

                [Install]
                RequiredBy=coreos-installer.service
                """)
        let last = units[1]["contents"]?.string ?? ""
        #expect(last.contains("After=coreos-installer.service\nBefore=coreos-installer.target\n"))
        #expect(last.hasSuffix("RequiredBy=coreos-installer.target"))
        #expect(
            error { try make { $0.hooksBefore = ["hook", "other/hook"] } }
                == "config already specifies path /usr/local/bin/pre-install-hook")
        // It runs only where the installer does: it does not make it run.
        #expect(made.told.isEmpty)
    }

    @Test func whatTheImageCannotIsRefused() {
        func refusal(_ features: String, _ change: (inout Customization) -> Void) -> String {
            error { try make(features: features, change) }
        }
        let network = "This OS image does not support customizing network settings."
        #expect(refusal("{}") { $0.networkKeyfiles = ["eth0.nmconnection"] } == network)
        #expect(refusal("{}") { $0.networkStates = ["any"] } == network)
        let installer = "This OS image does not support customizing installer configuration."
        #expect(refusal("{}") { $0.installerConfigs = ["config.yaml"] } == installer)
        #expect(refusal("{}") { $0.destinationDevice = "/dev/sda" } == installer)
        #expect(refusal("{}") { $0.destinationConfigs = ["dest.ign"] } == installer)
        let consoles = ["tty0"].compactMap { try? ConsoleSpec(parsing: $0) }
        #expect(
            refusal(#"{"installer-config": true}"#) { $0.destinationConsoles = consoles }
                == "This OS image does not support customizing the destination console.")
        #expect(refusal("{}") { $0.liveConfigs = ["dest.ign"] } == "")
        #expect(refusal("{}") { $0.hooksAfter = ["hook"] } == "")
        #expect(error { try Features(parsing: Array(#"{"live-initrd-network": "yes"}"#.utf8)) } != "")
    }

    @Test func consolesByArgumentsAreNoted() throws {
        let made = try make { $0.destinationArgumentsAppended = ["console=ttyS0", "x", "console=tty0"] }
        #expect(made.told[0].contains("--dest-console ttyS0 --dest-console tty0"))
        let other = try make { $0.destinationArgumentsAppended = ["console=ttyS0", "console=hvc7"] }
        #expect(other.told.count == 1)
    }
}

@Suite struct Consoles {
    @Test(arguments: [
        ("tty0", "tty0"), ("hvc0", "hvc0"), ("ttysclp0", "ttysclp0"), ("ttyS1", "ttyS1,9600n8"),
        ("ttyAMA1", "ttyAMA1,9600n8"), ("ttyS1,1234567e5", "ttyS1,1234567e5"), ("ttyS2,5o", "ttyS2,5o8"),
        ("ttyS3,17", "ttyS3,17n8"),
    ]) func areRead(_ text: String, _ full: String) throws {
        #expect(try ConsoleSpec(parsing: text).description == full)
    }

    @Test(arguments: [
        "", "foo", "/dev/tty0", "console=tty0", "tty1", "tty0z", "ttyS", "ttyS0z", "ttyS0,", "ttyS0,z", "ttyS0,1p8",
        "ttyS0,115200n4", "ttyS0,115200n8r", "ttyB0", "ttyS999", "ttyS0,99999999999", "ttyS0,115200n88",
    ]) func areRefused(_ text: String) {
        #expect(error { try ConsoleSpec(parsing: text) } != "")
    }

    @Test func prefixesAreNamed() {
        #expect(error { try ConsoleSpec(parsing: "/dev/ttyS0") } == "spec should not start with \"/dev/\"")
    }
}

@Suite struct InstallerConfigs {
    @Test(arguments: [
        "dest-device: /dev/sda\n", "{}", "# comment\nappend-karg:\n- a\n- 'b: c'\nconsole: [ttyS0]\n",
        #"{"append-karg": ["a"], "copy-network": true}"#, "fetch-retries: infinite\n", "fetch-retries: 3",
        "image-url: http://example.com/d\noffline: true\nsave-partindex: [1-2, '-3']\n",
        "ignition-hash: sha256-" + String(repeating: "a", count: 64), "---\nstream: stable\n", "stream: a\n...\n",
        "", "# nothing\n\n", "---\n", "append-karg:\nconsole:\n",
    ]) func areRight(_ text: String) throws {
        try InstallerConfig.check(Array(text.utf8))
    }

    @Test(arguments: [
        "~", "- a\n", "text", "colour: red", "dest-device: [a]", "append-karg: a", "copy-network: maybe",
        "copy-network: 'true'", "image-url: nowhere", "console: [tty7]", "fetch-retries: many",
        "ignition-hash: md5-aa", "config-file: [a]", "firstboot-args: a", "a: [", "stream: a\nstream: b\n", "\t- x",
        "stream: *nowhere", "append-karg: ~",
    ]) func areWrong(_ text: String) {
        #expect(error { try InstallerConfig.check(Array(text.utf8)) } != "")
    }

    @Test(arguments: [
        ("stream: a\n---\nstream: b\n", "more than one document"), ("stream: a\n---\n", "more than one document"),
        ("---\n---\n", "more than one document"), ("stream: a\n---\n[", "more than one document"),
        ("stream: a\n...\n}", "line 3"),
    ])
    func areOneDocument(_ text: String, _ said: String) {
        let told = error { try InstallerConfig.check(Array(text.utf8)) }
        #expect(told.contains(said), "\(told)")
    }

    @Test func stringsStayStrings() throws {
        for text in [
            "", "true", "null", "~", "1", "1e3", "a#b", "a # b", "- a", "a: b", "[a]", "'", "\"", "é", "a\nb", "\u{7}",
            "no", "/dev/sda", "-x", "=", "0x1f", ".inf", "2020-01-01", "@a", "a:", "it'\u{350}s",
        ] {
            var config = InstallerConfig()
            config.device = text
            config.appendedArguments = [text]
            try InstallerConfig.check(Array(config.text.utf8))
            #expect(config.text.contains("dest-device: "))
        }
    }
}

@Suite struct Keyfiles {
    @Test func whatIsLikelyWrongIsTold() {
        func warnings(_ text: String, _ name: String = "a.nmconnection") -> [String] {
            KeyfileCheck.warnings(Array(text.utf8), name: name)
        }
        #expect(warnings("# c\r\n[connection]\r\nid=a\r\n\r\n[ipv4]\nmethod=auto\n").isEmpty)
        #expect(warnings("[connection]\n", "a").count == 1)
        #expect(warnings("id=a\n[connection]\n").count == 1)
        #expect(warnings("[connection]\nsecret\n") == ["line 2: a setting is written as KEY=VALUE"])
        #expect(warnings("[connection\n").count == 2)
        #expect(warnings("").count == 1)
        #expect(KeyfileCheck.warnings([0xff], name: "a.nmconnection") == ["it is not UTF-8"])
        #expect(warnings(String(repeating: "x\n", count: 100)).count == 6)
    }
}

/// The text of a resource that `customize` made.
func unpacked(_ resource: JSONValue) -> String? {
    guard let source = resource["source"]?.string, source.hasPrefix("data:;base64,"),
        resource["compression"]?.string == "gzip"
    else { return nil }
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    var bytes: [UInt8] = []
    var (word, bits) = (0, 0)
    for digit in source.utf8.dropFirst(13) where digit != UInt8(ascii: "=") {
        guard let value = alphabet.firstIndex(of: digit) else { return nil }
        (word, bits) = (word << 6 | value, bits + 6)
        if bits >= 8 {
            bits -= 8
            bytes.append(UInt8(truncatingIfNeeded: word >> bits))
        }
    }
    var stream = z_stream()
    guard inflateInit2_(&stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else { return nil }
    defer { inflateEnd(&stream) }
    var room = [UInt8](repeating: 0, count: 1 << 16)
    let status = bytes.withUnsafeMutableBufferPointer { input in
        room.withUnsafeMutableBufferPointer { output in
            stream.next_in = input.baseAddress
            stream.avail_in = UInt32(input.count)
            stream.next_out = output.baseAddress
            stream.avail_out = UInt32(output.count)
            return inflate(&stream, Z_FINISH)
        }
    }
    guard status == Z_STREAM_END else { return nil }
    return String(decoding: room.dropLast(Int(stream.avail_out)), as: UTF8.self)
}
