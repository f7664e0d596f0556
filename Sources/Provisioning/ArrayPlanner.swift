// One RAID array: what the config wants + what its members hold -> keep, create, or conflicts.
//
// The config has no word for "wipe this array". What a member holds may go only where the config lets it
// go in another way: with a partition or a table that this very plan removes.

import IgnitionConfig
import JSONText
import Reporting

extension IgnitionConfig.Raid {
    /// The path under which the array is found.
    public var node: String { name.hasPrefix("/dev") ? name : "/dev/md/\(name)" }

    /// The name that mdadm writes into the superblocks.
    ///
    /// - SeeAlso: mdadm 4.2, `Create.c`: `/dev/md0` is `0`, `/dev/md_home` and `/dev/md/home` are `home`.
    var arrayName: String {
        let last = node.split(separator: "/").last.map(String.init) ?? node
        guard node == "/dev/\(last)" else { return last }
        if last.hasPrefix("md_"), last.utf8.count > 3 { return String(last.dropFirst(3)) }
        if last.hasPrefix("md"), last.dropFirst(2).first?.isNumber ?? false { return String(last.dropFirst(2)) }
        return last
    }

    /// md's number of the level.
    var levelNumber: Int {
        switch level {
        case "linear": -1
        case "raid1", "1", "mirror": 1
        case "raid4", "4": 4
        case "raid5", "5": 5
        case "raid6", "6": 6
        case "raid10", "10": 10
        default: 0
        }
    }

    /// Devices that hold content; the others are spares.
    var activeDevices: Int { max(devices.count - min(max(spares ?? 0, 0), devices.count), 0) }

    /// mdadm's `--metadata`, where it is one whose arrays nobody here would find again.
    var unusableMetadata: String? {
        var values: [String] = []
        for (index, option) in options.enumerated() {
            if ["--metadata", "-e"].contains(option), index + 1 < options.count { values.append(options[index + 1]) }
            for prefix in ["--metadata=", "-e"] where option.hasPrefix(prefix) && option != prefix {
                values.append(String(option.dropFirst(prefix.count)))
            }
        }
        return values.first { !["default", "1", "1.0", "1.1", "1.2"].contains($0) }
    }
}

/// A level of md by its number.
enum ArrayLevel {
    static func name(_ number: Int) -> String { number == -1 ? "linear" : "raid\(number)" }

    static func isRedundant(_ number: Int) -> Bool { number > 0 }

    /// How many of the devices must be there for the content to be whole.
    static func needed(_ number: Int, of devices: Int) -> Int {
        switch number {
        case 1: 1
        case 4, 5: max(devices - 1, 1)
        case 6: max(devices - 2, 1)
        // At most every second one may be missing; which ones, mdadm knows.
        case 10: (devices + 1) / 2
        default: devices
        }
    }

    /// Bytes that an array has at most.
    static func size(_ number: Int, of members: [UInt64], active: Int) -> UInt64 {
        let least = members.min() ?? 0
        func times(_ count: Int) -> UInt64 {
            let (size, overflow) = least.multipliedReportingOverflow(by: UInt64(max(count, 1)))
            return overflow ? .max : size
        }
        return switch number {
        case 1: least
        case 4, 5: times(active - 1)
        case 6: times(active - 2)
        case 10: times((active + 1) / 2)
        default:
            members.reduce(0) { sum, size in
                let (more, overflow) = sum.addingReportingOverflow(size)
                return overflow ? .max : more
            }
        }
    }
}

/// The place of an array, once partitions are planned.
struct PlacedArray: Equatable, Sendable {
    /// Which entry of `storage.raid`.
    var entry: Int
    var wanted: IgnitionConfig.Raid
    /// In the config's order.
    var members: [Member]

    struct Member: Equatable, Sendable {
        /// As the config writes it.
        var device: String
        /// `nil`: it is not there.
        var target: FilesystemTarget?
        /// Whether the plan removes the partition or table that what it holds belongs to.
        var isLetGo = false
    }

    /// The inside, as large as it can be at most; how large it is the array itself will tell.
    var area: DiskArea {
        let sizes = members.compactMap(\.target).prefix(wanted.activeDevices).map(\.area.bytes.length)
        let size = ArrayLevel.size(wanted.levelNumber, of: Array(sizes), active: wanted.activeDevices)
        return DiskArea(node: wanted.node, bytes: 0..<size)
    }

    /// What is to be done.
    ///
    /// - Returns: `nil` where there are conflicts.
    func plan(
        _ content: (FilesystemTarget) -> Content, conflicts: inout [DiskConflict], warnings: inout [String]
    ) -> ArrayPlan? {
        let before = conflicts.count
        if let metadata = wanted.unusableMetadata {
            conflicts.append(conflict(wanted.node, .arrayMetadata(metadata)))
        }
        if wanted.activeDevices < 1 {
            conflicts.append(conflict(wanted.node, .arraySpares(wanted.spares ?? 0, of: wanted.devices.count)))
        }
        var planned: [ArrayPlan.Member] = []
        for member in members {
            guard let target = member.target else { continue }
            let holds = content(target)
            planned.append(
                ArrayPlan.Member(
                    node: target.node, area: target.area, partition: target.partition, found: holds,
                    isLetGo: member.isLetGo && holds.isKnown))
            switch holds.kind {
            case .notLooked: conflicts.append(conflict(target.node, .notLooked))
            case .noise where target.wasThere && !member.isLetGo:
                conflicts.append(conflict(target.node, .looksEncrypted(wanted: wantedName)))
            case .known where !member.isLetGo && holds.arrayMember == nil:
                conflicts.append(conflict(target.node, problem(holds)))
            case .blank, .unknown, .noise, .known: break
            }
        }
        guard conflicts.count == before else { return nil }
        let old = planned.filter { $0.superblock != nil }
        guard let action = decide(old, planned, &conflicts, &warnings), conflicts.count == before else { return nil }
        return ArrayPlan(entry: entry, wanted: wanted, members: planned, area: area, action: action)
    }

    private var wantedName: String { "RAID array \"\(wanted.arrayName)\"" }

    private func conflict(_ device: String, _ problem: DiskConflict.Problem) -> DiskConflict {
        DiskConflict(device, problem, at: wanted.origin)
    }

    /// What is wrong with a device that holds something else, or its member and something else.
    private func problem(_ holds: Content) -> DiskConflict.Problem {
        let own = holds.signatures.first { $0.member?.isNamed(wanted.arrayName) == true }
        return own.map { .severalSignatures(holds, wanted: $0) } ?? .otherContent(holds, wanted: wantedName)
    }

    private func decide(
        _ old: [ArrayPlan.Member], _ all: [ArrayPlan.Member], _ conflicts: inout [DiskConflict],
        _ warnings: inout [String]
    ) -> ArrayPlan.Action? {
        guard let first = old.first, let found = first.superblock else { return create(&conflicts) }
        let before = conflicts.count
        for member in old.dropFirst() where member.superblock?.uuid != found.uuid {
            conflicts.append(conflict(member.node, .arraysMixed(with: first.node)))
        }
        if let difference = difference(found) { conflicts.append(conflict(first.node, .arrayDiffers(difference))) }
        guard conflicts.count == before else { return nil }
        // Somebody can lay an array around what is there, and never start it.
        let isNeverStarted = old.allSatisfy { $0.superblock?.events == 0 && $0.superblock?.data == .blank }
        if isNeverStarted, ArrayLevel.isRedundant(found.level), old.count < all.count {
            // A power cut came while mdadm wrote the superblocks, one member after the other.
            return create(&conflicts)
        }
        for member in members {
            let users = (member.target?.users ?? []).filter { !$0.hasPrefix("held by md") }
            if let target = member.target, !users.isEmpty {
                conflicts.append(conflict(target.node, .deviceInUse(users)))
            }
        }
        return keep(old, all, level: found.level, devices: found.devices, &conflicts, &warnings)
    }

    private func create(_ conflicts: inout [DiskConflict]) -> ArrayPlan.Action? {
        for member in members {
            if let target = member.target, !target.users.isEmpty {
                conflicts.append(conflict(target.node, .deviceInUse(target.users)))
            } else if member.target == nil {
                conflicts.append(conflict(member.device, .noSuchDevice))
            }
        }
        return .create
    }

    private func keep(
        _ old: [ArrayPlan.Member], _ all: [ArrayPlan.Member], level: Int, devices: Int,
        _ conflicts: inout [DiskConflict], _ warnings: inout [String]
    ) -> ArrayPlan.Action? {
        let newest = old.compactMap(\.superblock?.events).max() ?? 0
        var roles: Set<Int> = []
        var missing = members.filter { $0.target == nil }.map { "\($0.device) is not there" }
        missing += all.filter { $0.superblock == nil }.map { "\($0.node) is not part of it" }
        for member in old {
            guard let superblock = member.superblock else { continue }
            // mdadm takes a member that is one event behind for up to date.
            if newest - superblock.events > 1 {
                missing.append("\(member.node) is out of date")
            } else if case .active(let role) = superblock.role {
                if superblock.isRebuilding {
                    missing.append("\(member.node) is being rebuilt")
                } else {
                    roles.insert(role)
                }
            } else if superblock.role == .other {
                missing.append("\(member.node) has failed")
            }
        }
        let needed = ArrayLevel.needed(level, of: devices)
        if roles.count < needed {
            conflicts.append(
                conflict(
                    wanted.node,
                    .arrayIncomplete(level: ArrayLevel.name(level), present: roles.count, needed: needed, missing)))
            return nil
        }
        if roles.count < devices {
            warnings.append(
                "\(wanted.node) is degraded, with \(roles.count) of \(devices) devices: "
                    + missing.joined(separator: ", "))
        } else if !missing.isEmpty {
            warnings.append("\(wanted.node) lacks a spare: " + missing.joined(separator: ", "))
        }
        return .keep
    }

    private func difference(_ found: ArrayMember) -> PartitionDifference? {
        if !found.isNamed(wanted.arrayName) {
            return PartitionDifference("name", found: "\"\(found.name)\"", wanted: "\"\(wanted.arrayName)\"")
        }
        if found.level != wanted.levelNumber {
            return PartitionDifference(
                "level", found: ArrayLevel.name(found.level), wanted: ArrayLevel.name(wanted.levelNumber))
        }
        if found.devices != wanted.activeDevices {
            return PartitionDifference(
                "devices", found: "\(found.devices)", wanted: "\(wanted.activeDevices) without spares")
        }
        return nil
    }
}

/// What becomes of one entry of `storage.raid`.
public struct ArrayPlan: Equatable, Sendable {
    public var entry: Int
    public var wanted: IgnitionConfig.Raid
    /// Those that are there, in the config's order.
    public var members: [Member]
    /// The inside, as large as it can be at most.
    public var area: DiskArea
    public var action: Action

    public struct Member: Equatable, Sendable {
        /// The kernel's name.
        public var node: String
        public var area: DiskArea
        public var partition: PartitionAddress?
        /// What the area holds before anything is changed.
        public var found: Content
        /// Whether that is erased before the table changes: the config removes what it belongs to.
        public var isLetGo: Bool

        /// `nil` where it is not a member of an array, or is not to stay one.
        public var superblock: ArrayMember? { isLetGo ? nil : found.arrayMember }
    }

    public enum Action: String, Sendable {
        /// Only assembled.
        case keep = "keep"
        /// Made of members that are blank, let go, or were never finished.
        case create = "create"
    }

    /// mdadm's arguments to create it, as the original calls it.
    public var creation: [String] {
        let spares = wanted.spares ?? 0
        return ["--create", wanted.name, "--force", "--run", "--homehost", "any", "--level", wanted.level ?? ""]
            + ["--raid-devices", "\(wanted.activeDevices)"]
            + (spares > 0 ? ["--spare-devices", "\(spares)"] : []) + wanted.options + members.map(\.node)
    }

    /// The kernel modules it may need.
    public var modules: [String] {
        switch wanted.levelNumber {
        case -1: ["md_mod", "linear"]
        case 4, 5, 6: ["md_mod", "raid456"]
        case let level: ["md_mod", "raid\(level)"]
        }
    }

    /// `raid1 "data"`.
    public var title: String { "\(ArrayLevel.name(wanted.levelNumber)) \"\(wanted.arrayName)\"" }

    var json: JSONValue {
        [
            "name": .string(wanted.name), "node": .string(wanted.node),
            "level": .string(ArrayLevel.name(wanted.levelNumber)), "action": .string(action.rawValue),
            "members": .array(
                members.map { member in
                    [
                        "node": .string(member.node), "found": member.found.json,
                        "member": .bool(member.superblock != nil),
                    ]
                }), "place": .string(wanted.origin.describe()),
        ]
    }
}

extension Content {
    /// The superblock, where a member of one array stands there. RAID goes before everything else: what an array
    /// with its superblock at the end holds shows on its members too, and mdadm leaves what it finds before its data.
    var arrayMember: ArrayMember? {
        guard let first = signatures.first, let member = first.member else { return nil }
        let isInside = first.mayShowItsInside
        let others = signatures.dropFirst()
        guard others.allSatisfy({ !$0.isAtTheEnd && (isInside || ($0.offset ?? 0) < member.dataOffset) }),
            table == nil || isInside
        else { return nil }
        return member
    }

    /// Whether it is somebody's, so that it is told before it goes.
    var isSomebodys: Bool { isKnown || kind == .noise }
}
