// Probing a block device: what it is and what is on it. Nothing is written.

import CBlkid
import CLinux
import DeviceNames
import Glibc
import LinuxSystem
import SystemPackage

enum DeviceProbe {
    /// The names that come from the disk's own identity.
    static func names(of disk: SysfsDevice) -> DiskNames {
        var answers = DeviceAnswers()
        let questions = disk.openQuestions
        if !questions.isEmpty, let node = disk.node {
            let descriptor = open(node.string, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
            if descriptor >= 0 {
                defer { close(descriptor) }
                for question in questions { ask(descriptor, question, &answers) }
            }
        }
        return DiskNames(of: disk, answers: answers)
    }

    private static func ask(_ descriptor: Int32, _ question: SysfsDevice.Question, _ answers: inout DeviceAnswers) {
        switch question {
        case .ataIdentity:
            var words = [UInt8](repeating: 0, count: 512)
            guard firstlight_ata_identity(descriptor, &words) == 0 else { return }
            answers.identity = ATAIdentity(words: words, textInOrder: true)
        case .vitalProductData:
            // A drive that was taken for ATA and answered is not asked twice.
            guard answers.identity == nil else { return }
            answers.page80 = page(0x80, of: descriptor)
            answers.page83 = page(0x83, of: descriptor)
        }
    }

    private static func page(_ number: UInt8, of descriptor: Int32) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: 255)
        let count = firstlight_scsi_page(descriptor, number, &bytes)
        return count > 0 ? Array(bytes[..<Int(count)]) : nil
    }

    /// All links of the device, by its current content.
    static func links(of device: SysfsDevice, names: DiskNames) -> DeviceLinks {
        guard let node = device.node else { return DeviceLinks(of: device, disk: names, values: ProbedValues()) }
        var member: ProbedValues?
        if device.disk.name.hasPrefix("md"),
            let name = device.sysfs.names("\(device.disk.path)/slaves").first
        {
            member = values(of: FilePath("/dev/\(name)"), isDisc: false)
        }
        return DeviceLinks(
            of: device, disk: names, values: values(of: node, isDisc: device.name.hasPrefix("sr")), member: member)
    }

    /// The values that libblkid finds.
    ///
    /// There are none on a blank device, on an unreadable one, or if several signatures exclude each other.
    static func values(of node: FilePath, isDisc: Bool) -> ProbedValues {
        var values = ProbedValues()
        let descriptor = open(node.string, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
        guard descriptor >= 0 else { return values }
        defer { close(descriptor) }
        if isDisc, firstlight_disc_present(descriptor) == 0 { return values }
        guard let probe = blkid_new_probe() else { return values }
        defer { blkid_free_probe(probe) }
        blkid_probe_set_superblocks_flags(
            probe, BLKID_SUBLKS_LABEL | BLKID_SUBLKS_UUID | BLKID_SUBLKS_TYPE | BLKID_SUBLKS_USAGE)
        if isDisc { blkid_probe_filter_superblocks_usage(probe, BLKID_FLTR_NOTIN, BLKID_USAGE_RAID) }
        guard blkid_probe_set_device(probe, descriptor, 0, 0) == 0, search(probe) else { return values }
        values.usage = value("USAGE", probe).map { String(decoding: $0, as: UTF8.self) }
        values.uuid = value("UUID", probe)
        values.label = value("LABEL", probe)
        values.partitionScheme = value("PART_ENTRY_SCHEME", probe).map { String(decoding: $0, as: UTF8.self) }
        values.partitionUUID = value("PART_ENTRY_UUID", probe).map { String(decoding: $0, as: UTF8.self) }
        values.partitionName = value("PART_ENTRY_NAME", probe)
        return values
    }

    /// Probes as udev does: on a disk of a floppy's size, a partition table excludes a filesystem.
    private static func search(_ probe: blkid_probe) -> Bool {
        blkid_probe_enable_partitions(probe, 1)
        if blkid_probe_get_size(probe) <= 1440 << 10, blkid_probe_is_wholedisk(probe) != 0 {
            blkid_probe_enable_superblocks(probe, 0)
            guard blkid_do_fullprobe(probe) >= 0 else { return false }
            if blkid_probe_has_value(probe, "PTTYPE") != 0 { return true }
        }
        blkid_probe_set_partitions_flags(probe, BLKID_PARTS_ENTRY_DETAILS)
        blkid_probe_enable_superblocks(probe, 1)
        return blkid_do_safeprobe(probe) == 0
    }

    private static func value(_ name: String, _ probe: blkid_probe) -> [UInt8]? {
        var text: UnsafePointer<CChar>?
        var length = 0
        guard blkid_probe_lookup_value(probe, name, &text, &length) == 0, let text else { return nil }
        let bytes = UnsafeRawBufferPointer(start: text, count: length).prefix { $0 != 0 }
        return bytes.isEmpty ? nil : Array(bytes)
    }
}
