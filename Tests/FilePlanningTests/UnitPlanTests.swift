import IgnitionConfig
import Testing

@testable import FilePlanning

@Suite struct PresetInstances {
    @Test(
        arguments: [
            ("systemd 239 (239-41)\n+PAM", true, true), ("systemd 252 (252.38-1)\n", true, false),
            ("systemd 239~rc1", true, true), ("systemd 219\n", false, false), ("no version", true, false),
            (nil, true, false),
        ] as [(String?, Bool, Bool)])
    func oldReleasesAreWarnedOf(_ said: String?, _ isInstance: Bool, _ isWarned: Bool) {
        var unit = IgnitionConfig.Unit()
        unit.name = isInstance ? "a@b.service" : "a.service"
        unit.enabled = true
        #expect((instanceWarning(for: [unit]) { said } != nil) == isWarned)
        unit.enabled = nil
        #expect(instanceWarning(for: [unit]) { said } == nil)
    }
}

@Suite struct FirstBoots {
    @Test(
        "at a first boot systemd enables units itself, unless only its program could tell of one",
        arguments: [
            (#""enabled": true, "contents": "[Unit]\n[Install]\nWantedBy=x\n""#, false),
            (#""enabled": true, "contents": "[Unit]\n""#, true), (#""enabled": true"#, true),
            (#""enabled": false, "contents": "[Install]\nWantedBy=x\n""#, true),
            (#""enabled": true, "contents": "[Install]\n", "mask": true"#, false), (#""contents": "[Unit]\n""#, false),
        ])
    func presets(_ unit: String, _ isRun: Bool) throws {
        let wanted = try config(#""systemd": {"units": [{"name": "a.service", \#(unit)}]}"#)
        var found = inventory([:])
        func runs() throws -> Bool {
            try FilesPlan(wanted, on: found).steps.contains { if case .preset = $0.action { true } else { false } }
        }
        let isEver = wanted.systemd.units[0].enabled != nil && wanted.systemd.units[0].mask != true
        #expect(try runs() == isEver)
        found.isBeforeFirstBoot = true
        #expect(try runs() == isRun)
    }

    @Test("one unit of several that systemd may not enable, an instance, and a config with an identifier")
    func others() throws {
        let fine = #"{"name": "a.service", "enabled": true, "contents": "[Install]\nWantedBy=x\n"}"#
        var found = inventory(["/etc/machine-id": .nothing])
        func steps(_ json: String) throws -> Int {
            try FilesPlan(config(json), on: found).steps.count { if case .preset = $0.action { true } else { false } }
        }
        found.isBeforeFirstBoot = true
        let file = #""storage": {"files": [{"path": "/etc/machine-id", "contents": {"source": "data:,"}}]}"#
        #expect(try steps(#"\#(file), "systemd": {"units": [\#(fine)]}"#) == 1)
        found.places = [:]
        #expect(try steps(#""systemd": {"units": [\#(fine)]}"#) == 0)
        #expect(try steps(#""systemd": {"units": [\#(fine), {"name": "image.service", "enabled": true}]}"#) == 1)
        let instance = fine.replacing("a.service", with: "a@b.service")
        #expect(try steps(#""systemd": {"units": [\#(instance)]}"#) == 1)
    }
}

@Suite struct UnitPlans {
    @Test func contentsDropinsMasksAndPresets() throws {
        let actions = try steps(
            #"""
            "systemd": {"units": [
              {"name": "a.service", "enabled": true, "contents": "[Unit]\n[Install]\nA=b\n",
               "dropins": [{"name": "x.conf", "contents": ""}, {"name": "y.conf"}]},
              {"name": "b.service", "mask": true, "contents": "[Unit]\n"},
              {"name": "c.service", "mask": false},
              {"name": "d.service", "mask": false, "enabled": false},
              {"name": "e.service", "mask": true},
              {"name": "f.service", "contents": ""}]}
            """#,
            [
                "/etc/systemd/system/c.service": .link(target: "/dev/null"),
                "/etc/systemd/system/d.service": .link(target: "/lib/other.service"),
                "/etc/systemd/system/e.service": .link(target: "/dev/null"),
            ])
        let folder = "/etc/systemd/system"
        #expect(
            actions == [
                .writeFile(
                    .init(
                        "\(folder)/a.service.d/x.conf", .init(text: ""), mode: 0o644, owner: .unchanged,
                        replacing: false)),
                .writeFile(
                    .init(
                        "\(folder)/a.service", .init(text: "[Unit]\n[Install]\nA=b\n"), mode: 0o644, owner: .unchanged,
                        replacing: false)),
                .makeLink(.init("\(folder)/b.service", target: "/dev/null", owner: .unchanged, replacing: false)),
                .removeLink("\(folder)/c.service"),
                .writeFile(
                    .init(
                        FilesPlan.presetFile, .init(text: "enable a.service\ndisable d.service\n"), mode: 0o644,
                        owner: .unchanged, replacing: false)),
                .preset(enabled: ["a.service"], disabled: ["d.service"]),
            ])
    }

    @Test func presetsOfInstancesShareALineAndStaleLinesGo() throws {
        let wanted = try config(
            #"""
            "systemd": {"units": [
              {"name": "z.service", "enabled": true}, {"name": "echo@b.service", "enabled": true},
              {"name": "echo@a.service", "enabled": true}, {"name": "m.service", "enabled": false}]}
            """#)
        let text = "enable echo@.service b a\ndisable m.service\nenable z.service\n"
        #expect(presetText(for: wanted.systemd.units, existing: nil) == text)
        #expect(presetText(for: wanted.systemd.units, existing: text) == text)
        let existing = "# by hand\nenable other.service\nenable m.service\nenable echo@.service old\n"
        #expect(
            presetText(for: wanted.systemd.units, existing: existing) == "# by hand\nenable other.service\n" + text)
        #expect(presetText(for: [], existing: existing) == nil)
    }

    @Test("an instance that is disabled has a line of its own, since only \"enable\" takes a list of them")
    func disabledInstances() throws {
        let units = try config(
            #"""
            "systemd": {"units": [{"name": "echo@a.service", "enabled": false}, {"name": "echo@b.service", "enabled": true},
              {"name": "echo@c.service", "enabled": false}]}
            """#
        ).systemd.units
        let text = "enable echo@.service b\ndisable echo@a.service\ndisable echo@c.service\n"
        #expect(presetText(for: units, existing: nil) == text && presetText(for: units, existing: text) == text)
    }

    @Test func theOriginalTakesATemplateForItsInstanceWithoutAName() throws {
        let units = try config(
            #""systemd": {"units": [{"name": "t@.service", "enabled": true}, {"name": "t@x.service", "enabled": true}]}"#
        ).systemd.units
        #expect(presetText(for: units, existing: nil) == "enable t@.service x\n")
        #expect(appendedPresets(for: units, existing: nil, disabling: []) == "enable t@.service  x\n")
    }
}
