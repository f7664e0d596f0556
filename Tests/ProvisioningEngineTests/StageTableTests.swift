import Testing

@testable import ProvisioningEngine

@Suite("the table of stages")
struct StageTableTests {
    @Test("each name of a stage is run by one part of the boot at least, and each part that has to be done has a name")
    func names() {
        for name in StageName.allCases { #expect(!name.stages.isEmpty, "\(name)") }
        for stage in BootStage.allCases where ![.programs, .proof].contains(stage) {
            switch stage.row.does {
            case .machine: #expect(stage.row.unit == nil, "\(stage)")
            case .session: #expect(stage.row.unit != nil, "\(stage)")
            }
        }
    }

    /// All that has to be done before a stage begins.
    private func before(_ stage: BootStage) -> Set<BootStage> {
        stage.needs.reduce(into: []) { $0.formUnion(before($1).union([$1])) }
    }

    @Test("what a stage needs stands above it")
    func order() {
        let order = BootStage.inLiveBoot
        for (place, stage) in order.enumerated() {
            for need in stage.needs {
                #expect(order.firstIndex(of: need).map { $0 < place } ?? false, "\(stage) after \(need)")
            }
        }
    }

    @Test("as PID 1 a stage comes after all that its unit needs, and so do units after each other")
    func units() {
        for stage in BootStage.inLiveBoot {
            for need in stage.row.unit?.needs ?? [] {
                #expect(need.stages.allSatisfy { before(stage).contains($0) || $0.row.unit == stage.row.unit })
            }
        }
        #expect(StageName.fetch.needs.isEmpty && StageName.rootfs.needs.isEmpty)
        #expect(StageName.root.needs == [.rootfs] && StageName.plan.needs == [.kargs])
        #expect(StageName.disks.needs == [.plan, .root] && StageName.mount.needs == [.root, .disks])
    }

    @Test("nothing is written to a disk before the root image is verified and the disks are planned")
    func noWriteBefore() {
        for stage in [BootStage.disks, .mount, .files] {
            #expect(before(stage).isSuperset(of: [.rootImage, .root, .plan, .kernelArguments]), "\(stage)")
        }
    }

    @Test("the image comes while the config is fetched and the disks are planned; the rest follows what is above it")
    func overlap() {
        for (place, stage) in BootStage.inLiveBoot.enumerated() where place > 0 {
            let above = Set(BootStage.inLiveBoot[..<place])
            switch stage {
            case .rootImage: #expect(above.subtracting(before(stage)) == [.fetchConfig, .kernelArguments])
            case .plan: #expect(above.subtracting(before(stage)) == [.rootImage])
            case .root: #expect(above.subtracting(before(stage)) == [.fetchConfig, .kernelArguments, .plan])
            case .proof: #expect(above.subtracting(before(stage)) == [.root])
            case .programs: #expect(above.subtracting(before(stage)) == [.plan, .proof, .disks])
            case .mount, .files: #expect(above.subtracting(before(stage)) == [.programs])
            default: #expect(above.subtracting(before(stage)) == [], "\(stage)")
            }
        }
    }

    @Test("every stage that systemd starts is wanted by a target or needed by another")
    func wanted() {
        let needed = Set(StageName.allCases.flatMap(\.needs))
        for name in StageName.allCases {
            if let unit = name.unit { #expect(unit.target != nil || needed.contains(name), "\(name)") }
        }
    }

    @Test("the words of a stage are the same, however it is started")
    func topics() {
        #expect(StageName.fetch.topic == "config" && StageName.finish.topic == "report")
        #expect(StageName.plan.topic == "disks")
        for name in StageName.allCases where ![.fetch, .plan, .finish].contains(name) {
            #expect(name.topic == name.rawValue)
        }
    }
}

@Suite("records between stages")
struct StateRecordTests {
    private func again<Record: StateRecord>(_ record: Record) -> Record? { Record(reading: record.text) }

    @Test("what is written is read again")
    func roundTrip() {
        let config = ConfigRecord(source: "config.ign", isWhole: false)
        #expect(again(config) == config)
        #expect(again(ConfigRecord(source: nil, isWhole: true)) == ConfigRecord(source: nil, isWhole: true))
        let nodes = NodesRecord(nodes: ["/dev/disk/by-label/a": "/dev/vda1", "/dev/b": "/dev/b"])
        #expect(again(nodes) == nodes)
        let look = LookRecord(look: DiskLook(lines: ["/dev/vda", "  keep"], nodes: nodes.nodes))
        #expect(again(look) == look)
        let volumes = VolumesRecord(volumes: [
            KeptVolume(name: "a", uuid: "1", opener: .key),
            KeptVolume(name: "b", uuid: "2", opener: .clevis(overNetwork: false)),
            KeptVolume(name: "c", uuid: "3", opener: .clevis(overNetwork: true)),
        ])
        #expect(again(volumes) == volumes)
        var mounts = MountRecord()
        mounts.folders = ["/var"]
        mounts.mounted = ["/var", "/var/lib"]
        #expect(again(mounts) == mounts)
        let image = RootImageRecord(file: "/run/a", offset: 4096, size: 1 << 40, format: "squashfs")
        #expect(again(image) == image)
    }

    @Test("the words in files follow no type's")
    func words() {
        let volume = KeptVolume(name: "c", uuid: "3", opener: .clevis(overNetwork: true))
        #expect(
            VolumesRecord(volumes: [volume]).text.text()
                == #"{"schema":1,"volumes":[{"name":"c","uuid":"3","opener":"clevis-network"}]}"#)
        #expect(
            NodesRecord(nodes: ["/dev/a": "/dev/b"]).text.text() == #"{"schema":1,"nodes":{"/dev/a":"/dev/b"}}"#)
    }

    @Test("a record of another form is none; one without a schema is of the first")
    func schemas() {
        #expect(ConfigRecord(reading: ["schema": 2, "source": "a", "isWhole": true]) == nil)
        #expect(ConfigRecord(reading: ["source": "a", "isWhole": true]) == ConfigRecord(source: "a", isWhole: true))
        #expect(NodesRecord(reading: ["schema": 1]) == nil)
        #expect(
            RootImageRecord(reading: ["file": "/a", "format": "erofs", "offset": -1, "size": 1]) == nil)
    }

    @Test("secrets among the files are known by their names")
    func secrets() {
        let secrets = [
            "config.ign", "config.json", "volumes.json", "scratch", "luks-a.key", "luks-a.proven", ".x.firstlight",
        ]
        for name in secrets {
            #expect(StateFolder.isSecret(name), "\(name)")
        }
        for name in ["report.json", "plan.json", "nodes.json", "log", "mounts.json"] {
            #expect(!StateFolder.isSecret(name), "\(name)")
        }
    }
}
