// One LUKS volume: what the config wants and what its device holds give keep, create, or a conflict.

import DiskFormats
import IgnitionConfig
import JSONText
import Reporting

extension IgnitionConfig.Luks {
    /// The node of the opened volume.
    public var mappedNode: String { "/dev/mapper/\(name)" }

    /// Whether the config gives a key; otherwise one is generated.
    public var givesKey: Bool { !keyFile.isEmpty }
}

/// What is known of a LUKS2 volume before anything is changed.
public struct FoundVolume: Equatable, Sendable {
    /// Why a header is not read.
    public enum HeaderFault: Equatable, Sendable {
        /// What it says is not valid: the header is damaged.
        case damaged(reason: String)
        /// The device or the memory is at fault.
        case unreadable(reason: String)
        /// Part of it is encrypted with one key and part of it with another.
        case reencryption
        /// It was made for a newer cryptsetup.
        case unknownRequirement
    }

    /// The UUID in the header.
    public var uuid: String
    /// The label in the header; empty where there is none.
    public var label: String
    /// Whether the header has the flag that lets discards through.
    public var allowsDiscards: Bool
    /// How many key slots are in use.
    public var keySlots: Int
    /// Whether the config's key or Clevis binding opens the volume; `nil` where neither was tried.
    public var isOpenedByKey: Bool?
    /// The Clevis bindings in the header.
    public var bindings: [FoundBinding] = []
    /// Why the config's binding does not open it; `nil` where it does, or was not tried.
    public var bindingFailure: String?
    /// Why its header cannot be read; the other fields say nothing then.
    public var headerFault: HeaderFault?
    /// The name below `/dev/mapper` under which somebody has opened it, where that is not the config's.
    public var openAs: String?
    /// Whether an earlier run of the stage in this boot created or opened it.
    public var isOfThisBoot = false
    /// What the opened volume holds; not looked at where it could not be opened.
    public var content: Content

    /// Makes a volume of what its header says.
    public init(
        uuid: String, label: String = "", allowsDiscards: Bool = false, keySlots: Int = 1,
        isOpenedByKey: Bool? = nil, content: Content = .notLooked
    ) {
        self.uuid = uuid
        self.label = label
        self.allowsDiscards = allowsDiscards
        self.keySlots = keySlots
        self.isOpenedByKey = isOpenedByKey
        self.content = content
    }
}

/// A LUKS volume of the config, once partitions are planned.
public struct LocatedVolume: Equatable, Sendable {
    /// The index in `storage.luks`.
    public var entry: Int
    /// The entry itself.
    public var wanted: IgnitionConfig.Luks
    /// The kernel's name of its device.
    public var node: String
    /// The area that the volume takes.
    public var area: DiskArea
    /// The partition, where its device is one.
    public var partition: PartitionAddress?
    /// The index in `storage.raid` of the array that it is in.
    public var array: Int?
    /// Who uses the device now, as phrases.
    public var users: [DeviceUse]
    /// Whether its device existed before and is not a disk.
    var wasThere = false

    var target: DeviceTarget {
        DeviceTarget(node: node, area: area, partition: partition, users: users, wasThere: wasThere)
    }

    func plan(_ content: Content, _ found: FoundVolume?) throws(DiskConflict) -> VolumePlan {
        let options: VolumeOptions
        do throws(VolumeOptionFault) { options = try VolumeOptions(wanted) } catch {
            throw conflict(.volumeOption(error))
        }
        if wanted.clevis.isUsed, wanted.clevis.policy == nil { throw conflict(.clevisConfig(name: wanted.name)) }
        let action = try decide(content, found, options)
        if action == .create { try refuseUnmakeable() }
        return VolumePlan(
            entry: entry, wanted: wanted, options: options, node: node, area: area, partition: partition,
            found: content, action: action)
    }

    private func conflict(_ problem: DiskConflict.Problem) -> DiskConflict {
        DiskConflict(node, problem, at: wanted.origin).ofPartition(target.isPartition)
    }

    /// Refuses what cryptsetup would only refuse once the tables are written.
    private func refuseUnmakeable() throws(DiskConflict) {
        if !users.isEmpty { throw conflict(.deviceInUse(users)) }
        if let uuid = wanted.uuid, !uuid.isEmpty, !isPlainUUID(uuid) {
            throw conflict(.programOption(.badUUID(uuid, format: "LUKS")))
        }
        // Options may make the header smaller.
        let size = area.bytes.length
        if wanted.options.isEmpty, size > 0, size <= Self.usualHeader { throw conflict(.tooSmallForVolume(size: size)) }
    }

    /// Bytes before the data, as cryptsetup lays out a LUKS2 volume by itself.
    private static let usualHeader: UInt64 = 16 << 20

    private func decide(
        _ content: Content, _ found: FoundVolume?, _ options: VolumeOptions
    ) throws(DiskConflict) -> VolumePlan.Action {
        // A volume that this boot wiped and created is not wiped again when the stage runs once more.
        let wantedContent = WantedContent.volume(wanted.name)
        if content.kind == .notLooked { throw conflict(.notLooked) }
        if wanted.wipeVolume == true, found?.isOfThisBoot != true || found?.isOpenedByKey != true { return .create }
        if content.kind == .noise, wasThere { throw conflict(.looksEncrypted(wanted: wantedContent)) }
        guard content.isKnown else { return .create }
        guard let luks = content.signatures.first(where: { $0.type == "crypto_LUKS" }) else {
            throw conflict(.otherContent(content, wanted: wantedContent))
        }
        guard content.table == nil, content.signatures.count == 1 else {
            throw conflict(.severalSignatures(content, wanted: luks))
        }
        if content.signatures[0].version == "1" { throw conflict(.luks1) }
        guard let found else { throw conflict(.otherContent(content, wanted: wantedContent)) }
        if let fault = found.headerFault { throw conflict(.volumeHeader(fault)) }
        if let name = found.openAs { throw conflict(.volumeOpenAs(name, wanted: wanted.name)) }
        // This program never leaves a header without keys on a disk, so somebody may have its key elsewhere.
        if found.keySlots == 0 { throw conflict(.volumeWithoutKeySlot) }
        if let label = wanted.label, label != found.label {
            throw conflict(
                .volumeDiffers(FieldDifference("label", found: "\"\(found.label)\"", wanted: "\"\(label)\"")))
        }
        if let uuid = wanted.uuid, !uuid.isEmpty, uuid.lowercased() != found.uuid.lowercased() {
            throw conflict(.volumeDiffers(FieldDifference("uuid", found: found.uuid, wanted: uuid)))
        }
        // "openOptions" may say what "discard" says; the header keeps it as one flag.
        let allowsDiscards = options.activation.contains(.allowDiscards)
        if found.allowsDiscards != allowsDiscards {
            let option = VolumeOptions.Activation.allowDiscards.rawValue
            throw conflict(
                .volumeDiffers(
                    allowsDiscards && wanted.discard != true
                        ? FieldDifference("openOptions", found: "without \(option)", wanted: option)
                        : FieldDifference("discard", found: "\(found.allowsDiscards)", wanted: "\(allowsDiscards)")))
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

extension LocatedVolume {
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

extension StoragePlan {
    /// Warns of each new volume whose key is made here, where the root that it is left in goes with the boot.
    ///
    /// One that is wiped at each boot is to be gone then.
    public mutating func warnOfKeysInRAM() {
        for volume in volumes where volume.action == .create && volume.wanted.wipeVolume != true {
            guard !volume.wanted.givesKey, !volume.wanted.clevis.isUsed else { continue }
            warnings.append(
                "the key of LUKS volume \"\(volume.wanted.name)\" exists in RAM only: after this boot nobody can open it; "
                    + "give it a keyFile or clevis")
        }
    }
}

/// What becomes of one entry of `storage.luks`.
public struct VolumePlan: Equatable, Sendable {
    /// The index in `storage.luks`.
    public var entry: Int
    /// The entry itself.
    public var wanted: IgnitionConfig.Luks
    /// The entry's options.
    public var options: VolumeOptions
    /// The kernel's name of the device.
    public var node: String
    /// The area that the volume takes.
    public var area: DiskArea
    /// The partition, where the device is one.
    public var partition: PartitionAddress?
    /// What the area holds before anything is changed.
    public var found: Content
    /// What is done to the area.
    public var action: Action

    /// What is done to a LUKS volume.
    public enum Action: String, Sendable {
        /// Opened, and nothing else.
        case keep = "keep"
        /// Created on an area without known content, or after the signatures in `found` are erased, and opened.
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
