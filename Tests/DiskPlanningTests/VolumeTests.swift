import DiskFormats
import IgnitionConfig
import Testing

@testable import DiskPlanning

@Suite struct Volumes {
    private func located(_ json: String) throws -> LocatedVolume {
        let text = """
            {"ignition": {"version": "3.4.0"},
             "storage": {"luks": [{"name": "data", "device": "/dev/vda1"\(json.isEmpty ? "" : ", " + json)}]}}
            """
        let config = try IgnitionConfig.parse(Array(text.utf8), name: "config.ign").checked()
        return LocatedVolume(
            entry: 0, wanted: config.storage.luks[0], node: "/dev/vda1",
            area: DiskArea(node: "/dev/vda", bytes: 0..<1 << 30), users: [])
    }

    private static let key = #""keyFile": {"source": "data:,x"}"#
    private let luks2 = Content([Signature(type: "crypto_LUKS", version: "2")])

    @Test(
        "is kept only when header and key are the config's",
        arguments: [
            (key, FoundVolume(uuid: "u", isOpenedByKey: true), "keep"),
            (key + #", "label": "a""#, FoundVolume(uuid: "u", label: "a", isOpenedByKey: true), "keep"),
            (key + #", "label": "a""#, FoundVolume(uuid: "u", isOpenedByKey: true), "label"),
            (
                key + #", "uuid": "0A1B2C3D-0000-4000-8000-000000000001""#,
                FoundVolume(uuid: "0a1b2c3d-0000-4000-8000-000000000001", isOpenedByKey: true), "keep"
            ),
            (key + #", "discard": true"#, FoundVolume(uuid: "u", isOpenedByKey: true), "discard"),
            (key, FoundVolume(uuid: "u", allowsDiscards: true, isOpenedByKey: true), "discard"),
            (
                key + #", "openOptions": ["--allow-discards"]"#,
                FoundVolume(uuid: "u", allowsDiscards: true, isOpenedByKey: true), "keep"
            ),
            (
                key + #", "openOptions": ["--allow-discards"]"#, FoundVolume(uuid: "u", isOpenedByKey: true),
                "openOptions is without --allow-discards"
            ),
            (key, FoundVolume(uuid: "u", isOpenedByKey: false), "does not open"),
            ("", FoundVolume(uuid: "u"), "no key"),
            (key, FoundVolume(uuid: "u", keySlots: 0), "key slot"),
            (key, opened(as: "luks-u"), "is open already, as luks-u; the config names it"),
            (key, hurt(.damaged(reason: "Invalid argument")), "header cannot be read: Invalid argument"),
            (key, hurt(.unreadable(reason: "Input/output error")), "header cannot be read: Input/output error"),
            (key + #", "wipeVolume": true"#, FoundVolume(uuid: "u", isOpenedByKey: true), "create"),
        ])
    func decisions(json: String, found: FoundVolume, outcome: String) throws {
        let volume = try located(json)
        do throws(DiskConflict) {
            let plan = try volume.plan(luks2, found)
            #expect("\(plan.action)" == outcome)
        } catch {
            #expect("\(error)".contains(outcome), "\(error)")
        }
    }

    @Test(
        "never overwrites what the config does not wipe",
        arguments: [
            Content([Signature(type: "ext4", label: "backup")]),
            Content([Signature(type: "crypto_LUKS", version: "1")]),
            Content([Signature(type: "crypto_LUKS", version: "2"), Signature(type: "xfs")]), Content(table: "gpt"),
        ])
    func foreign(content: Content) throws {
        #expect(throws: DiskConflict.self) { try located(Self.key).plan(content, nil) }
        #expect(try located(#""wipeVolume": true"#).plan(content, nil).action == .create)
        #expect(try located("").plan(.blank, nil).action == .create)
        #expect(try located("").plan(.unknown, nil).action == .create)
        #expect(throws: DiskConflict.self) { try located("").plan(.notLooked, nil) }
        var partition = try located("")
        #expect(try partition.plan(.noise, nil).action == .create)
        partition.wasThere = true
        #expect(throws: DiskConflict.self) { try partition.plan(.noise, nil) }
    }

    @Test("a LUKS1 volume can be made one that is used again")
    func old() throws {
        let content = Content([Signature(type: "crypto_LUKS", version: "1")])
        let conflict = #expect(throws: DiskConflict.self) { try located(Self.key).plan(content, nil) }
        #expect(
            conflict?.advice.first
                == "To use it again: cryptsetup convert --type luks2 /dev/vda1, once, from another system.")
    }

    @Test("reads cryptsetup's options as cryptsetup does")
    func options() throws {
        let json = #"""
            "options": ["--cipher=serpent-xts-plain64", "-s", "256", "-hsha512", "--pbkdf", "argon2i",
             "--pbkdf-memory=65536", "--sector-size", "4096", "--luks2-metadata-size=64k", "--use-urandom"],
            "openOptions": ["--perf-same_cpu_crypt"], "discard": true
            """#
        let options = try VolumeOptions(located(json).wanted)
        #expect(options.cipher == "serpent" && options.mode == "xts-plain64" && options.volumeKeySize == 256)
        #expect(options.hash == "sha512" && options.keyDerivation == "argon2i" && options.memory == 65536)
        #expect(options.sectorSize == 4096 && options.metadataSize == 65536)
        #expect(options.activation == [.sameProcessor, .allowDiscards])
        #expect(try VolumeOptions(located("").wanted).volumeKeySize == 512)
    }

    @Test(
        "an option that is not understood is named",
        arguments: [
            ("--integrity", VolumeOptionFault.unknown("--integrity")), ("--cipher", .withoutValue("--cipher")),
            ("-c=aes", .badValue(option: "-c", value: "=aes")),
            ("--key-size=12", .badValue(option: "--key-size", value: "12")),
            ("--pbkdf=md5", .badValue(option: "--pbkdf", value: "md5")),
            ("--key-slot=4294967295", .badValue(option: "--key-slot", value: "4294967295")),
            ("--key-slot=32", .badValue(option: "--key-slot", value: "32")),
            ("--key-size=4294967288", .badValue(option: "--key-size", value: "4294967288")),
            ("--luks2-keyslots-size=9t", .badValue(option: "--luks2-keyslots-size", value: "9t")),
        ])
    func badOptions(option: String, fault: VolumeOptionFault) throws {
        let volume = try located(#""options": ["\#(option)"]"#)
        #expect(throws: fault) { try VolumeOptions(volume.wanted) }
    }

    @Test("a key that goes with the boot is warned of, but not where the volume goes too")
    func keysInRAM() throws {
        func warnings(_ json: String, _ content: Content = .blank, _ found: FoundVolume? = nil) throws -> [String] {
            var plan = StoragePlan(volumes: [try located(json).plan(content, found)])
            plan.warnOfKeysInRAM()
            return plan.warnings
        }
        #expect(
            try warnings("") == [
                "the key of LUKS volume \"data\" exists in RAM only: after this boot nobody can open it; "
                    + "give it a keyFile or clevis"
            ])
        #expect(try warnings(Self.key) == [])
        #expect(try warnings(#""clevis": {"tpm2": true}"#) == [])
        #expect(try warnings(#""wipeVolume": true"#) == [])
        var earlier = FoundVolume(uuid: "u", isOpenedByKey: true)
        earlier.isOfThisBoot = true
        #expect(try warnings("", luks2, earlier) == [])
    }

    @Test("a volume in a volume is refused for what it is")
    func nested() throws {
        let text = """
            {"ignition": {"version": "3.4.0"}, "storage": {"luks": [
             {"name": "outer", "device": "/dev/vda", \(Self.key)},
             {"name": "inner", "device": "/dev/mapper/outer", \(Self.key)}]}}
            """
        let storage = try IgnitionConfig.parse(Array(text.utf8), name: "config.ign").checked().storage
        let device = FoundDevice(path: "/dev/vda", node: "/dev/vda", size: 1 << 30)
        let layout = DiskLayout(storage, on: DiskInventory(disks: [], devices: [device]))
        let refusal = #expect(throws: DiskRefusal.self) { try layout.planBlank() }
        #expect(
            refusal?.description
                == "/dev/mapper/outer is a LUKS volume of this config, and a volume in a volume is not supported.")
        #expect(refusal?.failure.steps == ["planning storage.luks[1], config.ign line 3"])
    }

    @Test("a filesystem inside a volume is planned with it")
    func inside() throws {
        let text = """
            {"ignition": {"version": "3.4.0"}, "storage": {
             "disks": [{"device": "/dev/vda", "partitions": [{"label": "c"}]}],
             "luks": [{"name": "data", "device": "/dev/disk/by-partlabel/c", \(Self.key)}],
             "filesystems": [{"device": "/dev/mapper/data", "format": "xfs", "label": "d", "path": "/var"}]}}
            """
        let storage = try IgnitionConfig.parse(Array(text.utf8), name: "config.ign").checked().storage
        #expect(storage.devicesToWaitFor() == ["/dev/vda"])
        let disk = FoundDisk(path: "/dev/vda", node: "/dev/vda", size: 1 << 30, table: .none)
        let layout = DiskLayout(storage, on: DiskInventory(disks: [disk]))
        let first = try layout.planBlank()
        #expect(first.summary == "4 created, nothing destroyed.")
        #expect(
            first.summaryLines == [
                "/dev/vda: GPT, 1 partition, LUKS2 \"data\" and xfs \"d\" created, nothing destroyed"
            ])
        let area = try #require(layout.volumes.first?.area)
        var found = FoundVolume(uuid: "u", isOpenedByKey: true)
        found.content = Content([Signature(type: "ext4", label: "mine")])
        #expect(throws: DiskRefusal.self) { try layout.plan([area: luks2], volumes: [0: found]) }
        found.content = Content([Signature(type: "xfs", label: "d")])
        let second = try layout.plan([area: luks2], volumes: [0: found])
        #expect(second.volumes.map(\.action) == [.keep] && second.filesystems.map(\.action) == [.keep])
    }
}

private func opened(as name: String) -> FoundVolume {
    var found = FoundVolume(uuid: "u", isOpenedByKey: true)
    found.openAs = name
    return found
}

private func hurt(_ fault: FoundVolume.HeaderFault) -> FoundVolume {
    var found = FoundVolume(uuid: "")
    found.headerFault = fault
    return found
}

@Test("what would destroy a volume is named only where its header is damaged")
func adviceOfHeaders() {
    let advice = { (fault: FoundVolume.HeaderFault) in
        "\(DiskConflict("/dev/vdb", .volumeHeader(fault), at: IgnitionConfig.Disk().origin).advice)"
    }
    #expect(advice(.damaged(reason: "")).contains("wipeVolume") && advice(.damaged(reason: "")).contains("repair"))
    #expect(!advice(.unreadable(reason: "")).contains("wipeVolume"))
}
