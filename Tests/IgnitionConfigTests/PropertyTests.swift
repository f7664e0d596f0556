import IgnitionConfig
import JSONText
import SeededNumbers
import Testing

/// What must hold for any config, tried on some hundreds that a seed makes.
@Suite struct AnyConfig {
    @Test("written and read again it is the same", arguments: 0..<300)
    func roundTrip(_ seed: UInt64) throws {
        var generator = ConfigGenerator(seed: seed)
        var config = try generator.config()
        let text = Array(config.json.text().utf8)
        config.ignition.version = .newest
        let again = IgnitionConfig.parse(text, name: "written")
        #expect(again.report.errors == [])
        #expect(again.config == config)
        #expect(try IgnitionConfig.decode(text, name: "written") == config)
    }

    @Test("valid as written, it is valid by the newest rules", arguments: 0..<300)
    func translation(_ seed: UInt64) throws {
        var generator = ConfigGenerator(seed: seed)
        #expect(try generator.config().validate().errors == [])
    }

    /// Where no path changes its kind, no kernel argument its list, and no header is taken away.
    @Test("merging three in either order of steps gives the same", arguments: 0..<300)
    func associativity(_ seed: UInt64) throws {
        var generator = ConfigGenerator(seed: seed)
        let (a, b, c) = (try generator.config(), try generator.config(), try generator.config())
        #expect(a.merged(with: b).merged(with: c) == a.merged(with: b.merged(with: c)))
    }

    @Test("merged with itself or with nothing it hardly changes", arguments: 0..<100)
    func identity(_ seed: UInt64) throws {
        var generator = ConfigGenerator(seed: seed)
        var config = try generator.config()
        config.ignition.version = .newest
        #expect(config.merged(with: IgnitionConfig()) == config)
        #expect(IgnitionConfig().merged(with: config) == config)
        let twice = config.merged(with: config)
        #expect(twice.storage.files.map(\.path) == config.storage.files.map(\.path))
        #expect(twice.passwd == config.passwd)
        #expect(twice.kernelArguments == config.kernelArguments)
    }
}

/// Makes valid configs of any version. Names come from small sets, so that two configs meet in them.
private struct ConfigGenerator {
    private var numbers: SeededNumbers

    init(seed: UInt64) { numbers = SeededNumbers(seed: seed) }

    mutating func config() throws -> IgnitionConfig {
        let text = json().text()
        let parsed = IgnitionConfig.parse(Array(text.utf8), name: "generated")
        try #require(parsed.report.errors == [], "\(text)")
        return try #require(parsed.config)
    }

    // MARK: Chance

    private mutating func below(_ limit: Int) -> Int { .random(in: 0..<limit, using: &numbers) }

    private mutating func pick<Element>(_ values: [Element]) -> Element { values[below(values.count)] }

    private mutating func some(_ values: [String]) -> JSONValue { .array(subset(values).map { .string($0) }) }

    private mutating func subset(_ values: [String]) -> [String] { values.filter { _ in below(2) == 0 } }

    /// The members of which chance, `nil` or an old version leaves nothing are left out.
    private mutating func object(_ key: (String, JSONValue)?, _ fields: [(String, JSONValue?)]) -> JSONValue {
        var members = key.map { [JSONValue.Member($0.0, $0.1)] } ?? []
        for (name, value) in fields { if let value, below(3) > 0 { members.append(.init(name, value)) } }
        return .object(members)
    }

    private mutating func list(_ keys: [String], _ entry: (inout Self, String) -> JSONValue) -> JSONValue {
        .array(subset(keys).map { entry(&self, $0) })
    }

    // MARK: Parts

    private mutating func json() -> JSONValue {
        let minor = below(8)
        let version = minor == 7 ? "3.7.0-experimental" : "3.\(minor).0"
        let references = object(
            nil,
            [
                ("merge", list(["http://a/1", "data:,x"]) { $0.resource($1, minor) }),
                ("replace", resource("http://a/replace", minor)),
            ])
        let proxy: JSONValue? =
            minor < 1
            ? nil
            : object(
                nil, [("httpProxy", "http://p"), ("httpsProxy", "https://p"), ("noProxy", some(["a", "b", "c"]))])
        let ignition = object(
            ("version", .string(version)),
            [
                ("config", references), ("proxy", proxy),
                ("timeouts", object(nil, [("httpTotal", pick([0, 7])), ("httpResponseHeaders", 3)])),
                (
                    "security",
                    [
                        "tls": [
                            "certificateAuthorities": list(["data:,ca1", "http://a/ca"]) { $0.resource($1, minor) }
                        ]
                    ]
                ),
            ])
        let arguments: JSONValue? =
            minor < 3
            ? nil : object(nil, [("shouldExist", some(["a", "b"])), ("shouldNotExist", some(["c", "d"]))])
        return object(
            ("ignition", ignition),
            [
                ("storage", storage(minor)), ("systemd", systemd()), ("passwd", passwd(minor)),
                ("kernelArguments", arguments),
            ])
    }

    private mutating func resource(_ source: String, _ minor: Int) -> JSONValue {
        let headers = list(["A", "B"]) { ["name": .string($1), "value": .string($0.pick(["1", "2"]))] }
        let hash = "sha512-" + String(repeating: pick(["0", "a", "F"]), count: 128)
        return object(
            ("source", .string(source)),
            [
                ("compression", minor < 1 ? nil : .string(pick(["", "gzip"]))),
                ("httpHeaders", minor < 1 || !source.hasPrefix("http") ? nil : headers),
                ("verification", ["hash": .string(hash)]),
            ])
    }

    private mutating func storage(_ minor: Int) -> JSONValue {
        let disks = list(["/dev/a", "/dev/b"]) { me, device in
            let partitions = me.list(["1", "2", "x", "y"]) { me, name in
                let key: (String, JSONValue) =
                    Int64(name).map { ("number", .integer($0)) } ?? ("label", .string(name))
                return me.object(
                    key,
                    [
                        ("sizeMiB", me.pick([0, 10, 20])), ("wipePartitionEntry", true),
                        ("typeGuid", "0FC63DAF-8483-4772-8E79-3D69D8477DE4"), ("guid", ""),
                        ("resize", minor < 2 ? nil : false),
                    ])
            }
            return me.object(
                ("device", .string(device)), [("wipeTable", .bool(me.below(2) == 0)), ("partitions", partitions)])
        }
        let filesystems = list(["/dev/c", "/dev/d"]) { me, device in
            me.object(
                ("device", .string(device)),
                [
                    ("wipeFilesystem", true), ("uuid", "u"), ("label", .string(me.pick(["", "l"]))),
                    ("path", .string(me.pick(["", "/var", "/srv"]))), ("options", me.some(["-a", "-b"])),
                    ("mountOptions", minor < 1 ? nil : me.some(["ro", "noatime"])),
                ])
        }
        var formatted = filesystems
        formatted = .array(
            (filesystems.elements ?? []).map { filesystem in
                var filesystem = filesystem
                filesystem["format"] = .string(pick(minor < 3 ? ["ext4", "xfs"] : ["btrfs", "none"]))
                return filesystem
            })
        let luks: JSONValue? = minor < 2 ? nil : list(["l", "m"]) { $0.volume($1, minor) }
        let raid = list(["r", "s"]) { me, name in
            me.object(
                ("name", .string(name)), [("spares", 1), ("options", me.some(["-x"]))]
            ).with("level", .string(me.pick(["raid1", "raid6"]))).with(
                "devices", .array([.string(me.pick(["/dev/e", "/dev/f"]))]))
        }
        return object(
            nil,
            [
                ("disks", disks), ("raid", raid), ("luks", luks), ("filesystems", formatted),
                ("files", list(["/f/1", "/f/2", "/f/\u{e9}"]) { $0.file($1, minor) }),
                ("directories", list(["/d/1", "/d/2"]) { $0.node($1, [("mode", $0.pick([493, 448, 1023]))]) }),
                (
                    "links",
                    list(["/l/1", "/l/2"]) { $0.node($1, [("hard", false)]).with("target", $0.pick(["/t", "u"])) }
                ),
            ])
    }

    private mutating func volume(_ name: String, _ minor: Int) -> JSONValue {
        let tang = list(["http://t1", "http://t2"]) {
            $0.object(("url", .string($1)), [("advertisement", minor < 4 ? nil : "{}")]).with("thumbprint", "x")
        }
        return object(
            ("name", .string(name)),
            [
                ("label", "l"), ("uuid", "u"), ("options", some(["-a"])), ("wipeVolume", true),
                ("keyFile", resource("data:,key", minor)),
                ("clevis", object(nil, [("tpm2", true), ("threshold", 2), ("tang", tang)])),
                ("discard", minor < 4 ? nil : true), ("openOptions", minor < 4 ? nil : some(["-o", "-p"])),
                ("cex", minor < 5 ? nil : ["enabled": false]),
            ]
        ).with("device", .string(pick(["/dev/g", "/dev/h"])))
    }

    private mutating func node(_ path: String, _ fields: [(String, JSONValue?)]) -> JSONValue {
        // By number alone: a number from one config and a name from another would exclude each other.
        let owner: JSONValue = ["id": .integer(Int64(below(3)))]
        return object(
            ("path", .string(path)), fields + [("user", owner), ("group", owner)])
    }

    private mutating func file(_ path: String, _ minor: Int) -> JSONValue {
        let append = list(["data:,1", "http://a/2"]) { $0.resource($1, minor) }
        return node(
            path,
            [
                ("mode", pick([420, 2541, 0, 4095])), ("append", append),
                ("contents", resource(pick(["data:,a", "http://a/b", "tftp://a/c"]), minor)),
            ])
    }

    private mutating func systemd() -> JSONValue {
        [
            "units": list(["a.service", "b.timer", "c@.service", "c@x.service"]) { me, name in
                me.object(
                    ("name", .string(name)),
                    [
                        ("enabled", .bool(me.below(2) == 0)), ("mask", false), ("contents", "[Unit]\nA=b\n"),
                        (
                            "dropins",
                            me.list(["1.conf", "2.conf"]) {
                                $0.object(("name", .string($1)), [("contents", "[Service]\nA=\u{e9}\n")])
                            }
                        ),
                    ])
            }
        ]
    }

    private mutating func passwd(_ minor: Int) -> JSONValue {
        [
            "users": list(["core", "root"]) { me, name in
                me.object(
                    ("name", .string(name)),
                    [
                        ("uid", .integer(Int64(me.below(9)))), ("shell", .string(me.pick(["", "/bin/sh"]))),
                        ("sshAuthorizedKeys", me.some(["k1", "k2", "k3"])), ("groups", me.some(["g", "h"])),
                        ("passwordHash", "*"), ("gecos", "A \"B\" \\ \u{1F600}"), ("homeDir", "/h"),
                        ("noCreateHome", true), ("noUserGroup", false), ("noLogInit", true), ("system", false),
                        ("primaryGroup", "p"), ("shouldExist", minor < 2 ? nil : true),
                    ])
            },
            "groups": list(["g", "h"]) { me, name in
                me.object(("name", .string(name)), [("gid", 5), ("passwordHash", ""), ("system", true)])
            },
        ]
    }
}

extension JSONValue {
    fileprivate func with(_ key: String, _ value: JSONValue) -> JSONValue {
        var value = (self, value)
        value.0[key] = value.1
        return value.0
    }
}
