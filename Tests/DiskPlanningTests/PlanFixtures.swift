import DiskFormats
import DiskPlanning
import Glibc
import IgnitionConfig
import JSONText
import Testing

/// One folder below `Fixtures/plans`: `config.ign`, `disks.json` (what is found), `plan.txt` (what is said).
struct PlanFixture: CustomTestStringConvertible {
    let testDescription: String
    let folder: String

    private static let root =
        #filePath.split(separator: "/").dropLast(3).reduce("") { "\($0)/\($1)" } + "/Fixtures/plans"

    static var all: [PlanFixture] {
        guard let handle = opendir(root) else { return [] }
        defer { closedir(handle) }
        var names: [String] = []
        while let entry = readdir(handle) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if !name.hasPrefix(".") { names.append(name) }
        }
        return names.sorted().map { PlanFixture(testDescription: $0, folder: "\(root)/\($0)") }
    }

    func bytes(_ name: String) throws -> [UInt8] {
        let file = try #require(fopen("\(folder)/\(name)", "r"), "\(folder)/\(name) is missing")
        defer { fclose(file) }
        var bytes: [UInt8] = []
        while case let byte = getc(file), byte != EOF { bytes.append(UInt8(byte)) }
        return bytes
    }

    func storage() throws -> IgnitionConfig.Storage {
        try IgnitionConfig.parse(bytes("config.ign"), name: "config.ign").checked().storage
    }
}

/// Disks described in a few words of JSON; partitions hold what their `holds` says.
struct DescribedDisks {
    var inventory = DiskInventory(disks: [])
    var contents: [DiskArea: Content] = [:]

    /// What nothing is said of is blank.
    func contents(of layout: DiskLayout) -> [DiskArea: Content] {
        var contents = contents
        for area in layout.areas where contents[area] == nil { contents[area] = .blank }
        return contents
    }

    init(_ json: [UInt8]) throws {
        let root = try JSONNode(parsing: json)
        for disk in root["disks"]?.elements ?? [] { try add(disk: disk) }
        for device in root["devices"]?.elements ?? [] { try add(device: device) }
        for link in root["nodes"]?.members ?? [] { inventory.nodes[link.key] = link.value.string }
        for link in root["twins"]?.members ?? [] {
            inventory.twins[link.key] = link.value.elements?.compactMap(\.string)
        }
        inventory.unread = root["unread"]?.elements?.compactMap(\.string) ?? []
        for area in root["areas"]?.elements ?? [] {
            let node = try #require(area["node"]?.string)
            let start = UInt64(try #require(area["start"]?.integer))
            let end = UInt64(try #require(area["end"]?.integer))
            contents[DiskArea(node: node, bytes: start..<end)] = DescribedDisks.content(area)
        }
    }

    private mutating func add(disk: JSONNode) throws {
        let path = try #require(disk["path"]?.string)
        let node = disk["node"]?.string ?? path
        let size = UInt64(try #require(disk["size"]?.integer))
        let sectorSize = UInt64(disk["sectorSize"]?.integer ?? 512)
        let partitions = try (disk["partitions"]?.elements ?? []).map { partition in
            let start = UInt64(try #require(partition["start"]?.integer))
            let end = UInt64(try #require(partition["end"]?.integer))
            let number = Int(try #require(partition["number"]?.integer))
            contents[DiskArea(node: node, bytes: start * sectorSize..<end * sectorSize)] =
                DescribedDisks.content(partition)
            return FoundPartition(
                number: number, label: partition["label"]?.string ?? "",
                guid: partition["guid"]?.string ?? "00000000-0000-4000-8000-00000000000\(number)",
                type: partition["type"]?.string ?? PlannedPartition.defaultType, sectors: start..<end,
                users: DescribedDisks.users(partition))
        }
        let usable = SectorGeometry(sectorSize: sectorSize).usable(diskSize: size)
        let table: FoundTable =
            switch disk["table"]?.string {
            case nil: .none
            case "gpt": .gpt(FoundGPT(usable: usable, partitions: partitions, damage: DescribedDisks.damage(disk)))
            case "broken": .unreadableGPT
            case let other?: .other(other, partitions)
            }
        var content = DescribedDisks.content(disk)
        content.table = disk["table"]?.string
        contents[DiskArea(node: node, bytes: 0..<size)] = content
        inventory.disks.append(
            FoundDisk(
                path: path, node: node, size: size, sectorSize: sectorSize, table: table,
                content: Content(content.signatures, rest: content.rest), users: DescribedDisks.users(disk)))
    }

    private mutating func add(device: JSONNode) throws {
        let path = try #require(device["path"]?.string)
        let node = device["node"]?.string ?? path
        let size = UInt64(try #require(device["size"]?.integer))
        var partition: PartitionAddress?
        if let disk = device["disk"]?.string, let number = device["number"]?.integer {
            partition = PartitionAddress(disk: disk, number: Int(number))
        } else {
            contents[DiskArea(node: node, bytes: 0..<size)] =
                contents[DiskArea(node: node, bytes: 0..<size)] ?? DescribedDisks.content(device)
        }
        inventory.devices.append(
            FoundDevice(path: path, node: node, size: size, partition: partition, users: DescribedDisks.users(device)))
    }

    private static func content(_ node: JSONNode) -> Content {
        let signatures = (node["holds"]?.elements ?? []).map { mark in
            Signature(
                type: mark["type"]?.string ?? "", version: mark["version"]?.string, label: mark["label"]?.string,
                uuid: mark["uuid"]?.string, size: mark["size"]?.integer.map { UInt64($0) },
                used: mark["used"]?.integer.map { UInt64($0) }, isUnfinished: mark["unfinished"]?.bool ?? false,
                offset: mark["offset"]?.integer.map { UInt64($0) })
        }
        let rest: Content.Rest =
            switch node["rest"]?.string {
            case "unknown": .unknown
            case "noise": .noise
            default: .blank
            }
        return Content(signatures, table: node["nested"]?.string, rest: rest)
    }

    /// Mount points: `"mounted": ["/srv"]`.
    private static func users(_ node: JSONNode) -> [DeviceUse] {
        (node["mounted"]?.elements ?? []).compactMap(\.string).map { .mounted(on: $0) }
    }

    private static func damage(_ node: JSONNode) -> [FoundGPT.Damage] {
        (node["damage"]?.elements ?? []).compactMap { $0.string.flatMap { FoundGPT.Damage(rawValue: $0) } }
    }
}

@Suite struct StoragePlanning {
    /// A plan's tree, the boot's lines below it; a refusal's sentence and advice.
    func told(_ fixture: PlanFixture) throws -> String {
        let disks = try DescribedDisks(fixture.bytes("disks.json"))
        let layout = DiskLayout(try fixture.storage(), on: disks.inventory)
        do {
            let plan = try layout.plan(disks.contents(of: layout))
            return (plan.lines + [""] + plan.summaryLines).joined(separator: "\n") + "\n"
        } catch let refusal {
            let failure = refusal.failure
            return "\(refusal)\n" + failure.steps.map { "while \($0)\n" }.joined()
                + failure.advice.map { "\($0)\n" }.joined()
        }
    }

    @Test("says what it will do, or why not", arguments: PlanFixture.all)
    func plans(_ fixture: PlanFixture) throws {
        #expect(try told(fixture) == String(decoding: fixture.bytes("plan.txt"), as: UTF8.self))
    }

    @Test("tells programs the same")
    func json() throws {
        let fixture = try #require(PlanFixture.all.first { $0.testDescription == "guide-second-boot" })
        let disks = try DescribedDisks(fixture.bytes("disks.json"))
        let layout = DiskLayout(try fixture.storage(), on: disks.inventory)
        let json = try layout.plan(disks.contents(of: layout)).json
        #expect(json["kept"] == 2 && json["created"] == 0 && json["destroyed"]?.elements == [])
        let filesystem = try #require(json["filesystems"]?.elements?.first)
        #expect(filesystem["device"] == "/dev/disk/by-partlabel/var" && filesystem["node"] == "/dev/vda1")
        #expect(filesystem["action"] == "keep" && filesystem["place"] == "storage.filesystems[0], config.ign line 18")
        let partition = try #require(json["disks"]?.elements?.first?["partitions"]?.elements?.first)
        #expect(partition["action"] == "keep" && partition["start"] == 2048 && partition["sectors"] == 8_386_527)
    }

    @Test func thereAreFixtures() { #expect(PlanFixture.all.count > 20) }
}

extension DiskLayout {
    /// The plan where nothing stands anywhere.
    func planBlank() throws(DiskRefusal) -> StoragePlan {
        try plan(Dictionary(uniqueKeysWithValues: areas.map { ($0, Content.blank) }))
    }
}
