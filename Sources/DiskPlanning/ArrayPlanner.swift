// One RAID array: what the config wants and what its members hold give keep, create, or conflicts.
//
// The config has no field to wipe an array. What a member holds may be erased only where the config asks for that in
// another way: it removes the partition or the table that the content belongs to.

import DiskFormats
import IgnitionConfig
import JSONText
import Reporting

extension IgnitionConfig.Raid {
    /// The device node of the array.
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

    /// How many devices hold content; the others are spares.
    var activeDevices: Int { max(devices.count - min(max(spares ?? 0, 0), devices.count), 0) }

    /// Whether the array's content begins where its members begin, since the superblock stands at their end.
    public var beginsWithContent: Bool { values(of: "metadata", letter: "e").last == "1.0" }

    /// The value of mdadm's `--metadata` where this agent would not find such an array at the next boot.
    var unusableMetadata: String? {
        values(of: "metadata", letter: "e").first { !["default", "1", "1.0", "1.1", "1.2"].contains($0) }
    }

    /// The first of the entry's options that would give the array another name than the entry's, by which alone the
    /// next boot finds it.
    var otherName: (fault: ProgramOptionFault, name: String)? {
        let other = given("name", letter: "N").first { $0.value != arrayName && hostless($0.value) != arrayName }
        return other.map { (.ownField("\($0.option) \($0.value)", field: "name"), hostless($0.value)) }
    }

    /// The first of the entry's options that says what a field of the entry says; mdadm takes each of them once.
    var saidTwice: ProgramOptionFault? {
        for (name, letter, field) in [
            ("level", "l", "level"), ("raid-devices", "n", "devices"), ("raid-disks", "n", "devices"),
            ("spare-devices", "x", "spares"), ("spare-disks", "x", "spares"),
        ] as [(String, Character, String)] {
            if let twice = given(name, letter: letter).first {
                return .ownField("\(twice.option) \(twice.value)", field: field)
            }
        }
        return nil
    }

    private func hostless(_ name: String) -> String {
        name.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).last.map(String.init) ?? name
    }

    /// The values that the entry's options give to one of mdadm's.
    private func values(of name: String, letter: Character) -> [String] { given(name, letter: letter).map(\.value) }

    private func given(_ name: String, letter: Character) -> [(option: String, value: String)] {
        ProgramOptions.mdadm.words(of: options).compactMap { word in
            guard case .option(let option, let value?) = word,
                option == "-\(letter)" || option.hasPrefix("--") && "--\(name)".hasPrefix(option)
            else { return nil }
            return (option, value)
        }
    }
}

/// What a level of md means, by its number.
enum ArrayLevel {
    static func name(_ number: Int) -> String { number == -1 ? "linear" : "raid\(number)" }

    static func isRedundant(_ number: Int) -> Bool { number > 0 }

    /// How many devices must be present for the content to be complete.
    static func needed(_ number: Int, of devices: Int) -> Int {
        switch number {
        case 1: 1
        case 4, 5: max(devices - 1, 1)
        case 6: max(devices - 2, 1)
        // At most every second device may be missing; only mdadm knows which ones.
        case 10: (devices + 1) / 2
        default: devices
        }
    }

    /// The largest size that the array can have, in bytes.
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

/// An array and its members, once partitions are planned.
struct LocatedArray: Equatable, Sendable {
    /// The index in `storage.raid`.
    var entry: Int
    var wanted: IgnitionConfig.Raid
    /// In the config's order.
    var members: [Member]

    struct Member: Equatable, Sendable {
        /// The path as the config writes it.
        var device: String
        /// `nil` where the device is not there.
        var target: DeviceTarget?
        /// Whether the plan removes the partition or table that the content belongs to.
        var isLetGo = false
    }

    /// The area inside the array, at its largest possible size; only the array itself tells the real one.
    var area: DiskArea {
        let sizes = members.compactMap(\.target).prefix(wanted.activeDevices).map(\.area.bytes.length)
        let size = ArrayLevel.size(wanted.levelNumber, of: Array(sizes), active: wanted.activeDevices)
        return DiskArea(node: wanted.node, bytes: 0..<size)
    }

    /// Decides what is to be done.
    ///
    /// - Parameters:
    ///   - content: Tells what a member holds.
    ///   - conflicts: Gets what contradicts the config.
    ///   - warnings: Gets what the operator should know of an array that is kept.
    /// - Returns: `nil` where there are conflicts.
    func plan(
        _ content: (DeviceTarget) -> Content, conflicts: inout [DiskConflict], warnings: inout [String]
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
                conflicts.append(conflict(target.node, .looksEncrypted(wanted: wantedContent)))
            case .known where !member.isLetGo && holds.arrayMember == nil:
                conflicts.append(conflict(target.node, problem(holds)).ofPartition(target.isPartition))
            case .blank, .unknown, .noise, .known: break
            }
        }
        guard conflicts.count == before else { return nil }
        let old = planned.filter { $0.superblock != nil }
        guard let action = decide(old, planned, &conflicts, &warnings), conflicts.count == before else { return nil }
        return ArrayPlan(entry: entry, wanted: wanted, members: planned, area: area, action: action)
    }

    private var wantedContent: WantedContent { .array(wanted.arrayName) }

    private func conflict(_ device: String, _ problem: DiskConflict.Problem) -> DiskConflict {
        DiskConflict(device, problem, at: wanted.origin)
    }

    /// The conflict of a device that holds something else, alone or beside its superblock.
    private func problem(_ holds: Content) -> DiskConflict.Problem {
        let own = holds.signatures.first { $0.member?.isNamed(wanted.arrayName) == true }
        return own.map { .severalSignatures(holds, wanted: $0) } ?? .otherContent(holds, wanted: wantedContent)
    }

    private func decide(
        _ old: [ArrayPlan.Member], _ all: [ArrayPlan.Member], _ conflicts: inout [DiskConflict],
        _ warnings: inout [String]
    ) -> ArrayPlan.Action? {
        guard let first = old.first, let found = first.superblock else { return create(&conflicts) }
        let before = conflicts.count
        for member in old.dropFirst() where member.superblock?.uuid != found.uuid {
            let isWanted = member.superblock?.isNamed(wanted.arrayName) == true
            conflicts.append(
                conflict(member.node, .arraysMixed(with: first.node, member.found, isWanted: isWanted))
                    .ofPartition(member.partition != nil))
        }
        if let other = wanted.otherName, found.isNamed(other.name), !found.isNamed(wanted.arrayName) {
            // An option of the entry, not somebody else, has given it the name.
            conflicts.append(conflict(first.node, .programOption(other.fault)))
        } else if let difference = difference(found) {
            conflicts.append(
                conflict(first.node, .arrayDiffers(difference, first.found)).ofPartition(first.partition != nil))
        }
        guard conflicts.count == before else { return nil }
        // An array that was created over existing data and never started leaves that data: such members are not blank.
        let isNeverStarted = old.allSatisfy { $0.superblock?.events == 0 && $0.superblock?.data == .blank }
        let isEmpty = ArrayLevel.isRedundant(found.level) || old.contains { $0.superblock?.hasStart == true }
        if isNeverStarted, isEmpty, old.count < all.count {
            // A power cut came while mdadm wrote the superblocks, one member after the other.
            return create(&conflicts)
        }
        for member in members {
            let users = (member.target?.users ?? []).filter { $0.array == nil }
            if let target = member.target, !users.isEmpty {
                conflicts.append(conflict(target.node, .deviceInUse(users)))
            }
        }
        return keep(old, all, level: found.level, devices: found.devices, &conflicts, &warnings)
    }

    private func create(_ conflicts: inout [DiskConflict]) -> ArrayPlan.Action? {
        if let fault = wanted.otherName?.fault ?? wanted.saidTwice ?? ProgramOptions.mdadm.fault(of: wanted.options) {
            conflicts.append(conflict(wanted.node, .programOption(fault)))
        }
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
        var toAdd: [String] = []
        for member in all where member.superblock == nil {
            toAdd.append(member.node)
            let holds = member.found.isSomething ? " and holds \(member.found)" : ""
            missing.append("\(member.node) is not part of it" + holds)
        }
        for member in old {
            guard let superblock = member.superblock else { continue }
            // mdadm treats a member that is one event behind as up to date.
            if newest - superblock.events > 1 {
                missing.append("\(member.node) is out of date")
                toAdd.append(member.node)
            } else if case .active(let role) = superblock.role {
                if superblock.isRebuilding {
                    missing.append("\(member.node) is being rebuilt")
                } else {
                    roles.insert(role)
                }
            } else if superblock.role == .other {
                missing.append("\(member.node) has failed")
                toAdd.append(member.node)
            }
        }
        let needed = ArrayLevel.needed(level, of: devices)
        if roles.count < needed {
            conflicts.append(
                conflict(
                    wanted.node,
                    .arrayIncomplete(
                        level: ArrayLevel.name(level), present: roles.count, needed: needed, missing,
                        members: old.map(\.node))))
            return nil
        }
        if roles.count < devices {
            warnings.append(
                "\(wanted.node) is degraded, with \(roles.count) of \(devices) devices: "
                    + missing.joined(separator: ", ") + adding(toAdd))
        } else if !missing.isEmpty {
            warnings.append("\(wanted.node) lacks a spare: " + missing.joined(separator: ", ") + adding(toAdd))
        }
        return .keep
    }

    /// The command that completes an array that is kept; nothing else would ever do it.
    private func adding(_ nodes: [String]) -> String {
        nodes.isEmpty ? "" : "; once, when it runs: mdadm \(wanted.node) --add " + nodes.joined(separator: " ")
    }

    private func difference(_ found: ArrayMember) -> FieldDifference? {
        if !found.isNamed(wanted.arrayName) {
            return FieldDifference("name", found: "\"\(found.name)\"", wanted: "\"\(wanted.arrayName)\"")
        }
        if found.level != wanted.levelNumber {
            return FieldDifference(
                "level", found: ArrayLevel.name(found.level), wanted: ArrayLevel.name(wanted.levelNumber))
        }
        if found.devices != wanted.activeDevices {
            return FieldDifference(
                "devices", found: "\(found.devices)", wanted: "\(wanted.activeDevices) without spares")
        }
        return nil
    }
}

/// What becomes of one entry of `storage.raid`.
public struct ArrayPlan: Equatable, Sendable {
    /// The index in `storage.raid`.
    public var entry: Int
    /// The entry itself.
    public var wanted: IgnitionConfig.Raid
    /// The members that are present, in the config's order.
    public var members: [Member]
    /// The area inside the array, at its largest possible size.
    public var area: DiskArea
    /// What is done to the array.
    public var action: Action

    /// One member that is present.
    public struct Member: Equatable, Sendable {
        /// The kernel's name of the device.
        public var node: String
        /// The area that the member takes.
        public var area: DiskArea
        /// The partition, where the member is one.
        public var partition: PartitionAddress?
        /// What the area holds before anything is changed.
        public var found: Content
        /// Whether the content is erased before the table changes, because the config removes what it belongs to.
        public var isLetGo: Bool

        /// The superblock; `nil` where the device is not a member of an array or does not stay one.
        public var superblock: ArrayMember? { isLetGo ? nil : found.arrayMember }
    }

    /// What is done to an array.
    public enum Action: String, Sendable {
        /// Assembled, and nothing else.
        case keep = "keep"
        /// Created on members that are blank, are let go, or belong to an array that was never finished.
        case create = "create"
    }

    /// mdadm's arguments to create the array, as Ignition passes them.
    public var creation: [String] {
        let spares = wanted.spares ?? 0
        return ["--create", wanted.name, "--force", "--run", "--homehost", "any", "--level", wanted.level ?? ""]
            + ["--raid-devices", "\(wanted.activeDevices)"]
            + (spares > 0 ? ["--spare-devices", "\(spares)"] : []) + wanted.options + members.map(\.node)
    }

    /// The kernel modules that the array may need.
    public var modules: [String] {
        switch wanted.levelNumber {
        case -1: ["md_mod", "linear"]
        case 4, 5, 6: ["md_mod", "raid456"]
        case let level: ["md_mod", "raid\(level)"]
        }
    }

    /// The conflict of an array that mdadm does not start; `reason` is what it says.
    public func notAssembled(_ reason: String) -> DiskConflict.Problem {
        .arrayNotAssembled(
            reason, members: members.filter { $0.superblock != nil }.map(\.node), modules: modules)
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

extension ArrayMember {
    /// Whether this member of an array without redundancy, which counts no events, has the array's start: whatever has
    /// a name begins in the first 128 KiB, so that where they are blank nobody has put anything into the array.
    fileprivate var hasStart: Bool { role == .active(0) && (level == -1 || chunk >= 128 << 10) }
}

extension Content {
    /// The superblock, if the content is a member of one array.
    ///
    /// Other signatures are allowed in two cases: an array with its superblock at the end also shows what it holds, and
    /// mdadm leaves what it finds before the start of its data.
    var arrayMember: ArrayMember? {
        guard let first = signatures.first, let member = first.member else { return nil }
        let isInside = first.mayShowItsInside
        let others = signatures.dropFirst()
        guard others.allSatisfy({ !$0.isAtTheEnd && (isInside || ($0.offset ?? 0) < member.dataOffset) }),
            table == nil || isInside
        else { return nil }
        return member
    }

    /// Whether there are bytes, with a name or without.
    var isSomething: Bool { kind != .blank && kind != .notLooked }

    /// Whether the content may be somebody's, so that its loss has to be listed.
    var isSomebodys: Bool { isKnown || kind == .noise }
}
