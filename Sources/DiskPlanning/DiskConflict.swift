// The reasons not to touch any disk: what the config asks for contradicts what the disks hold.

import DiskFormats
import IgnitionConfig
import Reporting

/// One thing in the config that is impossible, or that would destroy something that the config did not ask to destroy.
public struct DiskConflict: Error, Equatable, Sendable {
    /// The entry of the config.
    public var origin: IgnitionConfig.Origin
    /// The kernel's name of the device; the config's path where there is no such device.
    public var device: String
    /// What is wrong.
    public var problem: Problem
    /// Whether the device is a partition, out of which wipefs takes a table by force alone.
    var isPartition = false
    /// What the partition holds that the conflict is about; `nil` where that is not known.
    var content: Content?
    /// The partitions that go with the device's table, each with what it holds; `nil` where they are not known.
    var partitions: [String]?

    /// Makes a conflict.
    ///
    /// - Parameters:
    ///   - device: The kernel's name of the device, or the config's path.
    ///   - problem: What is wrong.
    ///   - origin: The entry of the config.
    public init(_ device: String, _ problem: Problem, at origin: IgnitionConfig.Origin) {
        self.device = device
        self.problem = problem
        self.origin = origin
    }

    /// The same conflict of a device that is a partition, or is not.
    func ofPartition(_ isPartition: Bool) -> DiskConflict {
        var conflict = self
        conflict.isPartition = isPartition
        return conflict
    }

    /// What is wrong with a device, or with what the config wants of it.
    public enum Problem: Equatable, Sendable {
        // Disks
        case sameDisk(as: String)
        case tableNotGPT(FoundTable)
        /// Bytes of the disk that the table was made for, and of this one.
        case tableOfLargerDisk(UInt64, UInt64)
        case contentWithoutTable(Content)
        /// Something beside the table claims the whole disk.
        case ownerBesideTable(Content, table: FoundTable)
        /// The same, and partitions that the config keeps hold something; `kept` names each of them and its content.
        case ownerBesideKept(Content, kept: [String])
        /// The table has lost a copy, and nothing on it belongs to the config: a repair could revive an old table.
        case damagedTable(FoundTable)
        /// Nobody looked at the device, so nothing is known to be free.
        case notLooked
        case diskInUse([DeviceUse])
        /// The map of a partition is in use, and shows other bytes of its disk than the table says.
        case mapDiffers(found: Range<UInt64>?, wanted: Range<UInt64>)
        /// The node of a partition shows other bytes of its disk than the table says.
        case misplaced(MisplacedPartition)
        /// Another map has the name that a new partition's map would get.
        case mapNameTaken
        /// The plan would write to the device, and it is read-only.
        case readOnly
        /// Another device of the machine is a way to the same disk.
        case anotherPath(String)

        // Partitions
        case partitionInUse([DeviceUse])
        case partitionDiffers(label: String, [FieldDifference], canBeRecreated: Bool)
        case partitionUnwanted(label: String)
        case ambiguousLabel(String, numbers: [Int])
        /// The end of the disk has the copy of another table, and any change would write this table's copy over it.
        ///
        /// `mark`: bytes from the start to that copy's header.
        case endIsAnothers(mark: UInt64)
        /// The partition reaches into the place of the table's second copy: the disk has lost sectors at its end.
        case noRoomForCopy
        /// `another`: the disk has more room, at whose end stands the copy of another table, its header there.
        case noRoom(wanted: String, largest: UInt64, another: UInt64?)
        case numberBeyondTable(Int, capacity: Int)
        /// The smaller partition would cut off part of the content.
        case wouldTruncate(Content, wanted: WantedContent?)
        /// The content keeps metadata at the end, and would not find it after the end moves.
        case metadataAtEnd(Content, wanted: WantedContent?)

        // RAID arrays
        case arrayMetadata(String)
        case arraySpares(Int, of: Int)
        case arrayDiffers(FieldDifference, Content)
        /// `isWanted`: this array has the name of the config's array, and may be the right one of the two.
        case arraysMixed(with: String, Content, isWanted: Bool)
        /// `members`: the devices that are there and belong to it.
        case arrayIncomplete(level: String, present: Int, needed: Int, [String], members: [String])
        /// Why; `members`, and the kernel modules that its level needs.
        case arrayNotAssembled(String, members: [String], modules: [String])
        /// The config itself creates this member.
        case memberIsMade(String, by: String)

        // LUKS volumes
        /// The device is itself a volume of the config.
        case volumeInVolume
        case luks1
        case volumeWithoutKey(name: String)
        case volumeWithoutKeySlot
        /// The volume that is to be kept is open under a name that is not the config's.
        case volumeOpenAs(String, wanted: String)
        /// The array that is to be kept runs under another node, and somebody uses it.
        case arrayInUse(node: String, [DeviceUse])
        /// What is there says that it is LUKS2, and its header cannot be read.
        case volumeHeader(FoundVolume.HeaderFault)
        case wrongKey(name: String)
        case volumeDiffers(FieldDifference)
        case volumeOption(VolumeOptionFault)
        case clevisConfig(name: String)
        case bindingDiffers(found: [String], wanted: String)
        case bindingNotOpened(String, String)

        // Filesystems
        case noSuchDevice
        case ambiguousDevice([String])
        /// Several devices claim the link, and no partition of the config tells which one is meant.
        case ambiguousLink([String])
        /// The name leads to something that exists, and the config would create another thing of that name.
        case namedElsewhere(existing: String, own: String)
        /// The path is `/`, where the real root itself is mounted.
        case pathIsRoot
        case deviceRemoved
        case sameDevice(as: String)
        /// `named`: the config itself wants partitions there.
        case diskIsPartitioned(wanted: WantedContent, named: Bool)
        case otherContent(Content, wanted: WantedContent)
        /// The device holds what the config wants, and something that contradicts it.
        case severalSignatures(Content, wanted: Signature)
        case looksEncrypted(wanted: WantedContent)
        /// The filesystem to keep is longer than its partition.
        case longerThanPartition(Signature, size: UInt64)
        /// The content is what the config wants, but the kernel cannot mount it, even without replaying its journal.
        case notMountable(Content, MountRefusal)
        case deviceInUse([DeviceUse])
        /// The device is one of several of a filesystem that the config keeps, and the config lets go of it.
        case partOfKept(Signature, keptOn: String, by: IgnitionConfig.Origin, reason: String)
        /// An option for the program that makes what the config wants.
        case programOption(ProgramOptionFault)
        /// The program that makes the filesystem says that it could not, by the size or by an option.
        case makerRefuses(program: String, said: String)
        case overlaps(number: Int)
        case unknownFormat(String)
        /// The partition's field is one that a table holds as something else.
        case unwritableLabel(String)
        case unusedType
        /// The device has no room for a header and data.
        case tooSmallForVolume(size: UInt64)
    }
}

/// A field of the config and the different value that was found.
public struct FieldDifference: Equatable, Sendable {
    /// The config's name of the field, such as `label` or `sizeMiB`.
    public var field: String
    /// The value that was found, as text.
    public var found: String
    /// The value that the config gives, as text.
    public var wanted: String

    /// Makes a difference of a field's name and both values.
    public init(_ field: String, found: String, wanted: String) {
        self.field = field
        self.found = found
        self.wanted = wanted
    }
}

extension DiskConflict: CustomStringConvertible {
    /// One sentence without its full stop.
    public var description: String {
        switch problem {
        case .sameDisk(let other): "\(device) is in the config twice, also as \(other)"
        case .tableNotGPT(.unreadableGPT): "\(device) holds a GPT of which neither copy can be read"
        case .tableNotGPT(.other(let type, _)): "\(device) holds \(tableName(type)); only a GPT can be edited"
        case .tableNotGPT: "\(device) holds no GPT"
        case .tableOfLargerDisk(let larger, let size):
            "\(device) has \(ByteCount(size)), and holds a GPT of a disk "
                + "that has \(ByteCount(larger - min(larger, size))) more"
        case .contentWithoutTable(let content):
            "\(device) holds \(content) without a partition table; the config wants partitions there"
        case .ownerBesideTable(let content, let table) where content.isHybridMBR && table.isGPT:
            "\(device) holds a GPT, and an MBR that names partitions which the GPT does not"
        case .ownerBesideTable(let content, let table):
            content.isImage
                ? "\(device) holds an image (\(content)) beside \(tableName(table)), and is not a disk to edit"
                : "\(device) holds \(content) beside \(tableName(table)); one of them is out of date"
        case .ownerBesideKept(let content, let kept):
            "\(device) holds \(content), and partitions that the config keeps hold something: "
                + kept.joined(separator: ", ")
        case .damagedTable(let table):
            "\(device) holds \(tableName(table)) that has lost its \(table.damage), and none of the config's partitions"
        case .notLooked: "\(device) was not looked at"
        case .diskInUse(let users): "\(device) is \(phrases(users))"
        case .mapDiffers(let found, let wanted):
            "\(device) is in use and does not show the partition: it shows \(found.map(sectors) ?? "something else"), "
                + "the table says \(sectors(wanted))"
        case .misplaced(let place):
            "\(device) does not show the partition of its disk's table: it shows "
                + "\(place.found.map(sectors) ?? "something else"), the table "
                + (place.wanted.map { "says \(sectors($0))" } ?? "has no such partition")
        case .mapNameTaken: "\(device) is another map; the partition of that name could not be made"
        case .readOnly: "\(device) is read-only, and the config changes what is on it"
        case .anotherPath(let other): "\(device) and \(other) are two paths to one disk"
        case .partitionInUse(let users): "\(device) is \(phrases(users)); the config changes it"
        case .partitionDiffers(let label, let differences, _):
            "\(device)\(quoted(label)) is not what the config wants: "
                + differences.map { "\($0.field) is \($0.found), wanted \($0.wanted)" }.joined(separator: "; ")
        case .partitionUnwanted(let label): "\(device)\(quoted(label)) is there; the config wants it gone"
        case .ambiguousLabel(let label, let numbers):
            "\(device) has \(numbers.count) partitions \(label.isEmpty ? "without a label" : "labelled \"\(label)\"") "
                + "(\(listed(numbers))); "
                + "the config does not say which one it means"
        case .noRoomForCopy:
            "\(device) reaches to the end of its disk, where a change of the table writes its second copy"
        case .endIsAnothers:
            "\(device) ends with the copy of another table, which names partitions; "
                + "a change or a repair would overwrite it"
        case .noRoom(let wanted, let largest, let another):
            "\(device) has no room for \(wanted); the largest free block has \(ByteCount(largest))"
                + (another == nil ? "" : "; the end of the disk has the copy of another table, which names partitions")
        case .numberBeyondTable(let number, let capacity):
            "\(device) has a table of \(capacity) partitions; the config wants number \(number)"
        case .wouldTruncate(let content, _):
            content.isKnown
                ? "\(device) holds \(content), which would not fit into the smaller partition the config wants"
                : "\(device) holds \(content), and the smaller partition the config wants could cut part of it off"
        case .metadataAtEnd(let content, _):
            "\(device) holds \(content), which uses its end too; the config wants another size"
        case .arrayMetadata(let metadata):
            "\(device): an array with metadata \(metadata) would not be found again at the next boot"
        case .arraySpares(let spares, let devices):
            "\(device) wants \(spares) spares of \(devices) devices, which leaves none for the array"
        case .arrayDiffers(let difference, let content):
            "\(device) holds \(content) and is a member of a RAID array that is not what the config wants: "
                + "\(difference.field) is \(difference.found), wanted \(difference.wanted)"
        case .arraysMixed(let other, let content, _):
            "\(device) holds \(content) and is a member of another RAID array than \(other)"
        case .arrayIncomplete(let level, let present, let needed, let missing, _):
            "\(device) has \(present) of the \(needed) devices that its \(level) needs: "
                + missing.joined(separator: ", ")
        case .arrayNotAssembled(let reason, _, _): "\(device) cannot be assembled: \(reason)"
        case .memberIsMade(let member, let maker):
            "\(device) has the member \(member), which is \(maker) of the config; that is not supported"
        case .volumeInVolume:
            "\(device) is a LUKS volume of this config, and a volume in a volume is not supported"
        case .luks1: "\(device) holds a LUKS1 volume; only LUKS2 volumes are used again"
        case .volumeWithoutKey(let name):
            "\(device) holds a LUKS2 volume, and the config gives \"\(name)\" no key to open it"
        case .volumeOpenAs(let name, let wanted):
            "\(device) holds a LUKS2 volume that is open already, as \(name); the config names it \(wanted)"
        case .arrayInUse(let node, let users): "\(device) runs already, as \(node), which is \(phrases(users))"
        case .volumeHeader(.damaged(let reason)), .volumeHeader(.unreadable(let reason)):
            "\(device) holds a LUKS2 volume whose header cannot be read: \(reason)"
        case .volumeHeader(.reencryption):
            "\(device) holds a LUKS2 volume whose reencryption was not finished"
        case .volumeHeader(.unknownRequirement):
            "\(device) holds a LUKS2 volume that needs a newer cryptsetup than this one"
        case .volumeWithoutKeySlot: "\(device) holds a LUKS2 volume whose key slots are all empty"
        case .wrongKey(let name): "\(device) holds a LUKS2 volume that the key of \"\(name)\" does not open"
        case .volumeDiffers(let difference):
            "\(device) holds a LUKS2 volume that is not what the config wants: "
                + "\(difference.field) is \(difference.found), wanted \(difference.wanted)"
        case .volumeOption(let fault): "\(device): \(fault)"
        case .clevisConfig(let name): "the Clevis configuration of \"\(name)\" is not a JSON object"
        case .bindingDiffers(let found, let wanted):
            "\(device) holds a LUKS2 volume that Clevis has bound to "
                + "\(found.isEmpty ? "nothing" : found.joined(separator: " and to ")); the config wants \(wanted)"
        case .bindingNotOpened(let policy, let reason):
            "\(device) holds a LUKS2 volume that its Clevis binding to \(policy) does not open"
                + (reason.isEmpty ? "" : ": \(reason)")
        case .noSuchDevice: "\(device) is not there, and the config makes no such partition"
        case .ambiguousDevice(let nodes): "\(device) would be the name of \(nodes.joined(separator: " and "))"
        case .ambiguousLink(let nodes):
            "\(device) is the name of \(nodes.joined(separator: " and ")); the config does not say which one it means"
        case .namedElsewhere(let existing, let own):
            "\(device) is the name of \(existing); the config would make \(own) of the same name"
        case .pathIsRoot: "\(device) is to be mounted at /, where the real root is"
        case .deviceRemoved: "\(device) goes away with the partitions that the config removes"
        case .sameDevice(let other): "\(device) is also the device of \(other)"
        case .diskIsPartitioned(let wanted, named: true):
            "\(device) cannot hold both: the config wants partitions there, and \(wanted) in their place"
        case .diskIsPartitioned(let wanted, _): "\(device) holds partitions; the config wants \(wanted) in their place"
        case .otherContent(let content, let wanted):
            "\(device) holds \(content)\(withUUID(content, wanted)); the config wants \(wanted)"
        case .severalSignatures(let content, _): "\(device) holds \(content), which exclude each other"
        case .looksEncrypted(let wanted):
            "\(device) reads like noise from start to end, looks encrypted or compressed and has no header; "
                + "the config wants \(wanted)"
        case .longerThanPartition(let signature, let size):
            "\(device) holds \(signature) of \(signature.size ?? 0) bytes, but has only \(size)"
        case .notMountable(let content, let refusal):
            "\(device) holds \(content), which the config keeps, but \(refusal)"
        case .deviceInUse(let users): "\(device) is \(phrases(users)); the config creates it anew"
        case .partOfKept(let filesystem, let node, let keeper, let reason):
            "\(device) belongs to the \(filesystem) on \(node), which \(keeper.path) keeps; "
                + "\"\(reason)\" would destroy a part of it"
        case .programOption(let fault): "\(device): \(fault)"
        case .overlaps(let number): "\(device) shares sectors with partition \(number) of its disk"
        case .makerRefuses(let program, let said): "\(device): \(program) would refuse to make it: \(said)"
        case .unwritableLabel(let label):
            "\(device): the label \"\(label)\" has a character that libfdisk cannot write"
        case .unusedType: "\(device): a \"typeGuid\" of zeros marks an entry that is not used"
        case .tooSmallForVolume(let size):
            "\(device) has \(ByteCount(size)), which a LUKS volume's header takes by itself"
        case .unknownFormat(let format): "\(device): there is no way here to create \(format)"
        }
    }

    /// The UUID of the filesystem that was found, where the config gives one and so it may be all that differs.
    private func withUUID(_ content: Content, _ wanted: WantedContent) -> String {
        guard case .filesystem(_, givesUUID: true) = wanted, content.table == nil, content.signatures.count == 1,
            let uuid = content.signatures[0].uuid
        else { return "" }
        return " with UUID \(uuid)"
    }

    /// The sentence, and what stands in the partitions that a way out would destroy.
    var told: String {
        if let content, content.isSomething { return "\(self); it holds \(content.inWords)" }
        guard let partitions, !partitions.isEmpty else { return "\(self)" }
        return "\(self). In its partitions: " + partitions.joined(separator: "; ")
    }

    private func quoted(_ label: String) -> String { label.isEmpty ? "" : " \"\(label)\"" }
    private func listed(_ numbers: [Int]) -> String { numbers.map(String.init).joined(separator: ", ") }
    /// Who uses it, each once; the claim itself is left out if its holder is known.
    private func phrases(_ users: [DeviceUse]) -> String {
        let known = users.filter { $0 != .claimed }
        var told: [String] = []
        for use in known.isEmpty ? users : known where !told.contains(use.description) { told.append(use.description) }
        return told.joined(separator: ", ")
    }
}

/// A place on a disk, in units of 512 bytes as dmsetup counts.
private func sectors(_ bytes: Range<UInt64>) -> String {
    "\((bytes.upperBound - bytes.lowerBound) / 512) sectors from \(bytes.lowerBound / 512) on"
}

/// Every conflict of every device, found before the first write.
public struct DiskRefusal: Error, Equatable, Sendable, CustomStringConvertible, Advising {
    /// At least one.
    public var conflicts: [DiskConflict]

    /// Makes a refusal of at least one conflict.
    public init(_ conflicts: [DiskConflict]) { self.conflicts = conflicts }

    /// One sentence for a single conflict; several get a line each, with their places in the config.
    public var description: String {
        if conflicts.count == 1, let only = conflicts.first { return "\(only.told)." }
        let lines = conflicts.map { "  \($0.told).\n    at \($0.origin)" }
        return "the config and the disks contradict each other in \(conflicts.count) places.\n"
            + lines.joined(separator: "\n")
    }

    /// The advice of each conflict, under the name of its device where there are several; what several devices share
    /// stands once, under all their names.
    public var advice: [String] {
        if conflicts.count == 1, let only = conflicts.first { return only.advice }
        var groups: [(devices: [String], advice: [AdviceLine])] = []
        for conflict in conflicts {
            let advice = conflict.advisable
            guard let same = groups.firstIndex(where: { $0.advice == advice }) else {
                groups.append(([conflict.device], advice))
                continue
            }
            if !groups[same].devices.contains(conflict.device) { groups[same].devices.append(conflict.device) }
        }
        let lines = groups.flatMap { group in
            ["\(group.devices.joined(separator: ", ")):"] + group.advice.map { "  \($0.text)" }
        }
        return lines + (groups.contains { $0.advice.contains(where: \.destroys) } ? [DiskConflict.once] : [])
    }

    /// The failure that ends the boot; the place of a single conflict in the config is its step.
    public var failure: BootFailure {
        let steps = conflicts.count == 1 ? conflicts.map { "planning \($0.origin)" } : ["planning storage"]
        return BootFailure(steps: steps, cause: self)
    }
}
