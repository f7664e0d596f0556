// What the operator can do about a conflict; no line destroys what the refusal did not name.

import DiskFormats
import Reporting

extension DiskConflict: Advising {
    /// What the operator can do; where a line names a field that destroys, the last one says to remove it again.
    public var advice: [String] {
        let lines = advisable
        return lines.map(\.text) + (lines.contains(where: \.destroys) ? [DiskConflict.once] : [])
    }

    /// How a config that destroys has to be changed afterwards.
    static let once = "Then take the \"wipe...\" out again: a config runs on every boot."

    /// The lines for this conflict, without the one that several share.
    var advisable: [AdviceLine] {
        switch problem {
        case .sameDisk: ["Put all partitions of a disk below one entry of storage.disks."]
        case .tableOfLargerDisk:
            [
                "To keep what is there: the whole disk; a controller may hide its end.",
                .wiping("To destroy it:         \"wipeTable\": true"),
            ]
        case .noRoomForCopy:
            [
                "The disk was larger when its table was made: a controller may hide its end.",
                "To keep what is there: leave the disk's partitions as they are.",
            ]
        case .tableNotGPT, .contentWithoutTable:
            ["To keep what is there: another device.", .wiping("To destroy it:         \"wipeTable\": true")]
        case .ownerBesideTable(let content, let table) where content.isImage || !table.isGPT:
            ["To keep what is there: another device.", .wiping("To destroy it:         \"wipeTable\": true")]
        case .ownerBesideTable(let content, _) where content.isHybridMBR:
            [
                "To keep what is there: the same partitions in the GPT, once, from another system.",
                .wiping("To destroy it:         \"wipeTable\": true"),
            ]
        case .ownerBesideTable(let content, _):
            [
                "To keep the partitions: \(erasing(content)), once, at this console.",
                "To keep the other:      leave the disk out of the config.",
                .wiping("To destroy both:        \"wipeTable\": true"),
            ]
        case .ownerBesideKept(let content, _):
            [
                "To keep the partitions: \(erasing(content)), once, at this console.",
                "To keep the other:      leave the disk out of the config.",
            ]
        case .damagedTable:
            [
                "To keep its partitions: repair the table with gdisk, once, from another system.",
                .wiping("To destroy them:        \"wipeTable\": true"),
            ]
        case .notLooked: ["This is a defect of Firstlight; nothing was written."]
        case .diskInUse(let users), .partitionInUse(let users), .deviceInUse(let users): freeing(users)
        case .partitionDiffers(_, let differences, let canBeRecreated):
            differs(differences, canBeRecreated: canBeRecreated)
        case .partitionUnwanted:
            ["To keep it:    leave out its entry.", .wiping("To destroy it: \"wipePartitionEntry\": true")]
        case .ambiguousLabel(_, let numbers):
            ["Say which one: \"number\": \(numbers.map(String.init).joined(separator: " or "))"]
        case .noRoom(_, _, let mark?), .endIsAnothers(let mark):
            [
                "To keep what it names: take the disk elsewhere, or leave it out of the config.",
                "To use its room:       \(zeroing(mark)), once, at this console.",
            ]
        case .noRoom:
            [.wiping("Ask for less, or remove a partition: \"shouldExist\": false, \"wipePartitionEntry\": true")]
        case .numberBeyondTable: ["Use a smaller \"number\"."]
        case .wouldTruncate(let content, let wanted):
            [
                content.isKnown
                    ? "To keep what is there: a larger \"sizeMiB\"." : "To keep what is there: leave its size as it is."
            ] + destroying(content, for: wanted)
        case .metadataAtEnd(let content, let wanted):
            ["To keep what is there: leave its size as it is."] + destroying(content, for: wanted)
        case .memberIsMade: ["Name disks or partitions as \"devices\"."]
        case .arrayMetadata: ["Use 1.2 (the default, without --metadata), 1.0 or 1.1."]
        case .arraySpares: ["Name more \"devices\", or fewer \"spares\"."]
        case .arrayDiffers(let difference, let content):
            ["To keep what is there: change \"\(difference.field)\", or other devices.", toDestroy(content)]
        case .arraysMixed(_, let content, let isWanted):
            ["To keep what is there: other devices."] + (isWanted ? [] : [toDestroy(content)])
        case .arrayIncomplete(_, _, _, _, let members):
            [
                "Attach what is missing, then `exit`. What the devices say that are there:",
                "mdadm --examine \(members.joined(separator: " "))",
            ]
        case .arrayNotAssembled(_, let members, let modules):
            [
                "What its devices say: mdadm --examine \(members.joined(separator: " "))",
                "Where the kernel cannot do it: an initramfs with the module \(modules.last ?? "md_mod").",
                "Where another array is \(device): mdadm --stop \(device), once.",
            ]
        case .volumeOpenAs(let name, _):
            ["Leave out what opens it, such as rd.luks.uuid= or rd.luks.name=; or name it \(name) in the config."]
        case .arrayInUse: ["Leave out what uses it before the stages run, such as an entry of /etc/fstab or LVM."]
        case .volumeHeader(.damaged):
            [
                "To repair it:  cryptsetup repair \(device), or luksHeaderRestore of a backup, from another system.",
                .wiping("To destroy it: \"wipeVolume\": true"),
            ]
        case .volumeHeader(.unreadable): ["See what dmesg says of the device: the header may be whole."]
        case .volumeHeader(.reencryption):
            ["To go on with it: cryptsetup reencrypt --resume-only \(device), once, from another system."]
        case .volumeHeader(.unknownRequirement): ["Open it with the system that made it; luksDump says what it needs."]
        case .volumeInVolume: ["Name a disk, a partition or an array as its \"device\"."]
        case .volumeWithoutKeySlot:
            [
                "To keep what is there: another device; only a copy of its header or of its key opens it again.",
                .wiping("To destroy it:         \"wipeVolume\": true"),
            ]
        case .luks1:
            [
                "To use it again: cryptsetup convert --type luks2 \(device), once, from another system.",
                .wiping("To destroy it:   \"wipeVolume\": true"),
            ]
        case .wrongKey:
            [
                "To keep what is there: another device, or its own key.",
                .wiping("To destroy it:         \"wipeVolume\": true"),
            ]
        case .volumeWithoutKey:
            ["To keep what is there: its key as \"keyFile\".", .wiping("To destroy it:         \"wipeVolume\": true")]
        case .volumeDiffers(let difference):
            [
                "To keep what is there: change or leave out \"\(difference.field)\".",
                .wiping("To destroy it:         \"wipeVolume\": true"),
            ]
        case .clevisConfig: ["Check \"custom.config\" and each \"advertisement\"."]
        case .bindingDiffers:
            [
                "To keep what is there: \"clevis\" as it was when the volume was made.",
                .wiping("To destroy it:         \"wipeVolume\": true"),
            ]
        case .bindingNotOpened:
            [
                "To keep what is there: start the server, or check the TPM, and try again.",
                .wiping("To destroy it:         \"wipeVolume\": true"),
            ]
        case .volumeOption: ["Leave it out, or use the option that this one stands for."]
        case .noSuchDevice: ["Check the spelling, or whether the disk is attached."]
        case .ambiguousDevice: ["Give each partition a label of its own."]
        case .ambiguousLink:
            ["Name the right one by its disk (/dev/disk/by-id/...-part1),", "or detach the other."]
        case .namedElsewhere:
            [
                "To use the one that is there: leave its partition out of \"disks\".",
                "To make another:              give it a \"label\" of its own, or detach the other disk.",
            ]
        case .pathIsRoot: ["Use another \"path\", or none: /var, for instance."]
        case .mapDiffers: ["Free it (umount), then `exit`: the map is made anew from the table."]
        case .misplaced:
            [
                "Free its disk, then have the table read: blockdev --rereadpt,",
                "or for a map kpartx -u, where the initramfs has it.",
            ]
        case .mapNameTaken:
            ["Name another \"number\", or give the other map another name: dmsetup rename, where the initramfs has it."]
        case .readOnly: ["Set it writable (a switch, or blockdev --setrw), or name another device."]
        case .anotherPath:
            ["Start multipathd in the initramfs and name /dev/mapper/..., or detach one path."]
        case .deviceRemoved: ["Name a device that stays."]
        case .sameDevice: ["Keep one of the two entries."]
        case .diskIsPartitioned(_, named: true): ["Name one of its partitions as the device, or none in \"disks\"."]
        case .diskIsPartitioned(let wanted, _):
            [
                "To keep the partitions: one of them as the device.",
                .wiping("To destroy them:        \"\(wanted.wipingField ?? "wipeTable")\": true"),
            ]
        case .otherContent(let content, let wanted):
            keeping(content, wanted) + [toDestroy(content, for: wanted)]
        case .severalSignatures(let content, let wanted):
            [
                "To keep \(wanted): \(erasing(content, allBut: wanted)), once.",
                "To keep another: leave out the entry, or name another device.",
            ]
        case .looksEncrypted(let wanted):
            [
                "To keep what is there: leave out the entry, or another device.",
                // Its start alone makes it unknown bytes.
                wanted.destroying(orBy: "dd if=/dev/zero of=\(device) bs=64k count=1"),
            ]
        case .longerThanPartition:
            [
                isPartition
                    ? "To keep what is there: a larger \"sizeMiB\", or the disk with the size that it had."
                    : "To keep what is there: the disk with the size that it had (an HPA, a LUN, a clone).",
                .wiping("To destroy it:         \"wipeFilesystem\": true"),
            ]
        case .notMountable(_, let refusal): refusal.advice
        case .partOfKept(_, _, _, let reason):
            [
                "To keep the filesystem: take the \"\(reason)\" out, or name another device.",
                "To have the device:     remove it from the filesystem, once, in a running system.",
            ]
        case .programOption(let fault): [fault.advice]
        case .overlaps: ["Repair the partition table first, from another system."]
        case .makerRefuses("mdadm", _): ["Give it another name or level, more devices, or other \"options\"."]
        case .makerRefuses: ["Give it another size, or other \"options\"."]
        case .unwritableLabel: ["Use a label of characters up to U+FFFF, which leaves out emoji."]
        case .unusedType: ["Leave \"typeGuid\" out, or give that of a type."]
        case .tooSmallForVolume: ["Give it more than 16 MiB for the header, and room for data."]
        case .unknownFormat: ["Use one of ext4, xfs, btrfs, vfat, swap, none."]
        }
    }

    private func freeing(_ users: [DeviceUse]) -> [AdviceLine] {
        if users.contains(where: \.isOfLiveMedium) {
            return [
                "This boot runs from it. To have it all in RAM: coreos.liveiso.fromram on the",
                "kernel command line. Or name another device.",
            ]
        }
        let arrays = users.compactMap(\.innermost.array)
        guard !arrays.isEmpty else { return ["Name another device, or free this one first."] }
        // udev or somebody started the array, and nobody uses it.
        return ["Where nothing uses it: mdadm --stop \(arrays.joined(separator: " ")), once; else name another device."]
    }

    /// The command for content that no field of the config destroys; it takes nothing that the refusal did not name.
    private func toDestroy(_ content: Content) -> AdviceLine {
        guard content.table == nil || partitions != nil else {
            return "To destroy it:         from another system, which can show its partitions."
        }
        return "To destroy it:         \(erasing(content)), once, at this console."
    }

    /// The same, or the field of the entry that the config has for the place.
    private func toDestroy(_ content: Content, for wanted: WantedContent) -> AdviceLine {
        wanted.wipingField == nil ? toDestroy(content) : wanted.destroying(orBy: "")
    }

    /// The command that takes the header of a table's copy.
    private func zeroing(_ mark: UInt64) -> String {
        "dd if=/dev/zero of=\(device) bs=512 seek=\(mark / 512) count=1 conv=notrunc"
    }

    private func erasing(_ content: Content, allBut kept: Signature? = nil) -> String {
        content.erasing(allBut: kept, on: device, isPartition: isPartition)
    }

    /// How to let go of content that a new size would harm; an array that the config wants has no such line.
    private func destroying(_ content: Content, for wanted: WantedContent?) -> [AdviceLine] {
        switch wanted {
        case .array?: []
        case .filesystem?, .volume?: wanted.map { [toDestroy(content, for: $0)] } ?? []
        // What is unknown has no mark that a command could erase.
        case nil: content.isKnown ? [toDestroy(content)] : []
        }
    }

    private func differs(_ differences: [FieldDifference], canBeRecreated: Bool) -> [AdviceLine] {
        let fields = differences.map { "\"\($0.field)\"" }.joined(separator: ", ")
        var lines: [AdviceLine] = ["To keep the partition: change or leave out \(fields)."]
        if differences.map(\.field) == ["sizeMiB"] { lines.append("To resize it:          \"resize\": true") }
        lines.append(
            canBeRecreated
                ? .wiping("To create it anew:     \"wipePartitionEntry\": true")
                : .wiping("To create it anew:     its \"number\" and \"wipePartitionEntry\": true"))
        return lines
    }

    /// What the config has to say to accept `content`.
    private func keeping(_ content: Content, _ wanted: WantedContent) -> [AdviceLine] {
        let formats = ["ext4", "xfs", "btrfs", "vfat", "swap"]
        // Only a filesystem's entry has these fields.
        guard case .filesystem(_, let givesUUID) = wanted, let only = content.signatures.first,
            content.signatures.count == 1, content.table == nil, formats.contains(only.type)
        else { return ["To keep what is there: leave out the entry, or another device."] }
        let label = only.label.map { "\"label\": \"\($0)\"" } ?? "no \"label\""
        guard givesUUID else {
            return ["To keep what is there: \"format\": \"\(only.type)\" and \(label), or another device."]
        }
        return [
            "To keep what is there: another device, or \"format\": \"\(only.type)\", \(label),",
            "                       \(only.uuid.map { "\"uuid\": \"\($0)\"" } ?? "no \"uuid\"")",
        ]
    }
}
