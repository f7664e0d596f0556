// A config, and disks made up of the bytes behind it: planned, told, and planned the same again.

@testable import DiskFormats
@testable import DiskPlanning
@testable import IgnitionConfig

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = UnsafeBufferPointer(start: data, count: count)
    let end = bytes.firstIndex(of: 0) ?? count
    let parsed = IgnitionConfig.parse(Array(bytes[..<end]), name: "fuzz")
    guard let storage = try? parsed.checked().storage else { return 0 }
    var source = Bytes(rest: bytes[min(end + 1, count)...])
    let inventory = source.inventory(for: storage)
    let layout = DiskLayout(storage, on: inventory)
    for disk in layout.disks { check(disk) }
    let contents = Dictionary(layout.areas.map { ($0, source.content()) }, uniquingKeysWith: { first, _ in first })
    do {
        let plan = try layout.plan(contents)
        for line in plan.lines + plan.summaryLines { precondition(!line.isEmpty) }
        _ = plan.json
        precondition(plan == (try? layout.plan(contents)), "planned again it is another plan")
    } catch {
        precondition(!error.conflicts.isEmpty && !"\(error)".isEmpty)
        _ = error.advice
    }
    return 0
}

/// What is planned stands in the table's usable range or where it was, and nothing overlaps.
private func check(_ disk: DiskPlan) {
    guard disk.action != .keep else { return }
    let made = disk.partitions.filter { $0.change != .keep }
    for (index, one) in made.enumerated() {
        precondition(!one.sectors.isEmpty, "a partition without a sector")
        for other in made[(index + 1)...] where layoutIsSound(disk) {
            precondition(!one.sectors.overlaps(other.sectors), "planned partitions overlap")
        }
    }
}

/// A table whose entries overlap already keeps them so.
private func layoutIsSound(_ disk: DiskPlan) -> Bool {
    let found = disk.disk.table.partitions
    return !found.indices.contains { index in
        found[(index + 1)...].contains { $0.sectors.overlaps(found[index].sectors) }
    }
}

/// Values out of bytes; without any more all are zero.
private struct Bytes {
    var rest: Slice<UnsafeBufferPointer<UInt8>>

    mutating func byte() -> UInt8 { rest.popFirst() ?? 0 }

    /// A number of any magnitude.
    mutating func number() -> UInt64 {
        let shift = UInt64(byte() % 64)
        return UInt64(byte()) << shift &+ UInt64(byte())
    }

    mutating func inventory(for storage: IgnitionConfig.Storage) -> DiskInventory {
        var disks: [FoundDisk] = []
        for (index, path) in storage.disks.map(\.device).enumerated() where byte() != 0xff {
            disks.append(disk(path, node: "/dev/vd\(Character(Unicode.Scalar(97 + UInt8(index % 26))))"))
        }
        let names =
            storage.filesystems.map(\.device) + storage.luks.compactMap(\.device) + storage.raid.flatMap(\.devices)
        let devices = Set(names).sorted().filter { _ in byte() & 1 == 1 }.map { path in
            FoundDevice(path: path, node: path, size: number())
        }
        return DiskInventory(disks: disks, devices: devices)
    }

    private mutating func disk(_ path: String, node: String) -> FoundDisk {
        let sectorSize: UInt64 = byte() & 1 == 0 ? 512 : 4096
        let size = number()
        let table: FoundTable =
            switch byte() % 4 {
            case 0: .none
            case 1:
                .gpt(
                    FoundGPT(
                        usable: range(), usableWhenMoved: room(), capacity: Int(byte()) + 1, partitions: partitions(),
                        damage: damage()))
            case 2: .other("dos", partitions())
            default: .unreadableGPT
            }
        return FoundDisk(
            path: path, node: node, size: size, sectorSize: sectorSize, table: table, content: content(),
            users: byte() > 0xf0 ? [.claimed] : [])
    }

    private mutating func range() -> Range<UInt64> {
        let start = number()
        return start..<(start.addingReportingOverflow(number()).overflow ? .max : max(start, start &+ number()))
    }

    /// The room of a disk that has grown.
    private mutating func room() -> Range<UInt64>? { byte() > 0xc0 ? range() : nil }

    private mutating func damage() -> [FoundGPT.Damage] {
        let bits = byte()
        return [FoundGPT.Damage.primary, .backup, .protectiveMBR].enumerated().filter { bits >> $0.offset & 1 == 1 }
            .map(\.element)
    }

    private mutating func partitions() -> [FoundPartition] {
        (0..<Int(byte() % 6)).map { index in
            FoundPartition(
                number: index + 1, label: ["", "var", "a", "b"][Int(byte() % 4)],
                guid: "0A1B2C3D-0000-4000-8000-00000000000\(index)", type: PlannedPartition.defaultType,
                sectors: range(),
                users: byte() > 0xf0 ? [.mounted(on: "/x")] : [])
        }
    }

    mutating func content() -> Content {
        let kinds = ["ext4", "xfs", "vfat", "swap", "crypto_LUKS", "linux_raid_member", "LVM2_member"]
        let signatures = (0..<Int(byte() % 3)).map { _ -> Signature in
            let kind = kinds[Int(byte()) % kinds.count]
            let member =
                kind == "linux_raid_member"
                ? ArrayMember(
                    uuid: "\(byte() % 2)", name: "any:data", level: Int(byte() % 8) - 1,
                    devices: Int(truncatingIfNeeded: number() >> 33),
                    role: byte() & 1 == 0 ? .active(Int(byte())) : .spare, events: number(), dataSize: number()) : nil
            return Signature(
                type: kind, version: byte() & 1 == 0 ? "2" : nil, label: byte() & 1 == 0 ? "var" : nil, size: number(),
                used: number(), isUnfinished: byte() > 0xe0, member: member)
        }
        return Content(signatures, table: byte() > 0xe0 ? "gpt" : nil)
    }
}
