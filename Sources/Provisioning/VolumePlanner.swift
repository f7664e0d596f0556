// One LUKS volume: what the config wants + what its device holds -> keep, create, or a conflict.

import IgnitionConfig
import JSONText
import Reporting

extension IgnitionConfig.Luks {
    /// The node of the opened volume.
    public var mappedNode: String { "/dev/mapper/\(name)" }

    /// Whether the config names a key; else one is made.
    public var givesKey: Bool { !(keyFile.source ?? "").isEmpty }
}

/// What is known of a LUKS2 volume before anything is changed.
public struct FoundVolume: Equatable, Sendable {
    public var uuid: String
    public var label: String
    /// The flag that lets discards through, as the header keeps it.
    public var allowsDiscards: Bool
    /// How many keys can open it.
    public var keySlots: Int
    /// Whether the config's key, or its binding, opens it; `nil` where the config gives none.
    public var isOpenedByKey: Bool?
    /// What Clevis has bound it to.
    public var bindings: [FoundBinding] = []
    /// Why the config's binding does not open it; `nil` where it does, or was not tried.
    public var bindingFailure: String?
    /// Whether an earlier run of the stage in this boot made or opened it.
    public var isOfThisBoot = false
    /// What stands inside, where it could be opened.
    public var content: Content

    public init(
        uuid: String, label: String = "", allowsDiscards: Bool = false, keySlots: Int = 1,
        isOpenedByKey: Bool? = nil, content: Content = .blank
    ) {
        self.uuid = uuid
        self.label = label
        self.allowsDiscards = allowsDiscards
        self.keySlots = keySlots
        self.isOpenedByKey = isOpenedByKey
        self.content = content
    }
}

/// The place of a LUKS volume, once partitions are planned.
public struct PlacedVolume: Equatable, Sendable {
    /// Which entry of `storage.luks`.
    public var entry: Int
    public var wanted: IgnitionConfig.Luks
    /// The kernel's name of its device.
    public var node: String
    public var area: DiskArea
    public var partition: PartitionAddress?
    /// The entry of `storage.raid` whose inside it stands in.
    public var array: Int?
    /// What uses the device now.
    public var users: [String]
    /// Whether it is a partition that was there before.
    var wasThere = false

    var target: FilesystemTarget {
        FilesystemTarget(node: node, area: area, partition: partition, users: users, wasThere: wasThere)
    }

    func plan(_ content: Content, _ found: FoundVolume?) throws(DiskConflict) -> VolumePlan {
        let options: VolumeOptions
        do throws(VolumeOptionFault) { options = try VolumeOptions(wanted) } catch {
            throw conflict(.volumeOption(error))
        }
        if wanted.clevis.isUsed, wanted.clevis.policy == nil { throw conflict(.clevisConfig(name: wanted.name)) }
        let action = try decide(content, found)
        if action == .create, !users.isEmpty { throw conflict(.deviceInUse(users)) }
        return VolumePlan(
            entry: entry, wanted: wanted, options: options, node: node, area: area, partition: partition,
            found: content, action: action)
    }

    private func conflict(_ problem: DiskConflict.Problem) -> DiskConflict {
        DiskConflict(node, problem, at: wanted.origin)
    }

    private func decide(_ content: Content, _ found: FoundVolume?) throws(DiskConflict) -> VolumePlan.Action {
        // What this boot has wiped and made anew is not wiped again when the stage is tried once more.
        let wantedName = "LUKS2 \"\(wanted.name)\""
        if content.kind == .notLooked { throw conflict(.notLooked) }
        if wanted.wipeVolume == true, found?.isOfThisBoot != true || found?.isOpenedByKey != true { return .create }
        if content.kind == .noise, wasThere { throw conflict(.looksEncrypted(wanted: wantedName)) }
        guard content.isKnown else { return .create }
        guard let luks = content.signatures.first(where: { $0.type == "crypto_LUKS" }) else {
            throw conflict(.otherContent(content, wanted: wantedName))
        }
        guard content.table == nil, content.signatures.count == 1 else {
            throw conflict(.severalSignatures(content, wanted: luks))
        }
        if content.signatures[0].version == "1" { throw conflict(.luks1) }
        guard let found else { throw conflict(.otherContent(content, wanted: wantedName)) }
        // None of ours is ever on a disk without one; somebody may have its key elsewhere.
        if found.keySlots == 0 { throw conflict(.volumeWithoutKeySlot) }
        if let label = wanted.label, label != found.label {
            throw conflict(
                .volumeDiffers(PartitionDifference("label", found: "\"\(found.label)\"", wanted: "\"\(label)\"")))
        }
        if let uuid = wanted.uuid, !uuid.isEmpty, uuid.lowercased() != found.uuid.lowercased() {
            throw conflict(.volumeDiffers(PartitionDifference("uuid", found: found.uuid, wanted: uuid)))
        }
        if found.allowsDiscards != (wanted.discard ?? false) {
            throw conflict(
                .volumeDiffers(
                    PartitionDifference(
                        "discard", found: "\(found.allowsDiscards)", wanted: "\(wanted.discard ?? false)")))
        }
        if wanted.clevis.isUsed {
            try requireBinding(found)
            return .keep
        }
        switch found.isOpenedByKey {
        case nil: throw conflict(.volumeWithoutKey(name: wanted.name))
        case false?: throw conflict(.wrongKey(name: wanted.name))
        case true?: return .keep
        }
    }
}

extension PlacedVolume {
    private func requireBinding(_ found: FoundVolume) throws(DiskConflict) {
        guard let policy = wanted.clevis.policy, found.bindings.contains(where: { $0.policy == policy }) else {
            throw conflict(
                .bindingDiffers(
                    found: found.bindings.map { $0.policy.map { "\($0)" } ?? "something unknown" },
                    wanted: wanted.clevis.policy.map { "\($0)" } ?? ""))
        }
        if found.isOpenedByKey != true {
            throw conflict(.bindingNotOpened("\(policy)", found.bindingFailure ?? ""))
        }
    }
}

/// What becomes of one entry of `storage.luks`.
public struct VolumePlan: Equatable, Sendable {
    public var entry: Int
    public var wanted: IgnitionConfig.Luks
    public var options: VolumeOptions
    public var node: String
    public var area: DiskArea
    public var partition: PartitionAddress?
    /// What the area holds before anything is changed.
    public var found: Content
    public var action: Action

    public enum Action: String, Sendable {
        /// Only opened.
        case keep = "keep"
        /// Made on a blank area, or after erasing the signatures of what is `found`, and opened.
        case create = "create"
    }

    var destruction: Destruction? {
        guard action == .create, found.isSomebodys, wanted.wipeVolume == true else { return nil }
        return Destruction(
            device: node, label: "", size: area.bytes.length, content: found, reason: "wipeVolume",
            origin: wanted.origin)
    }

    var json: JSONValue {
        [
            "name": .string(wanted.name), "device": JSONValue(wanted.device), "node": .string(node),
            "action": .string(action.rawValue), "found": found.json, "place": .string(wanted.origin.describe()),
        ]
    }
}
