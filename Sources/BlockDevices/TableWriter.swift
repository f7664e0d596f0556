// Writes partition tables through libfdisk: explicit sectors, and only the entries that change.

import CFdisk
import CLinux
import DiskFormats
import DiskPlanning
import Glibc
import LinuxSystem
import SystemPackage

/// One disk, open for writing its table; closed and its buffers flushed when the value goes away.
///
/// On a disk that has grown, libfdisk moves the second copy to the new end when it writes, as sgdisk does.
struct TableWriter: ~Copyable {
    private let disk: FoundDisk
    private let descriptor: Int32
    private let context: OpaquePointer
    /// What the kernel knew when the disk was opened.
    private let original: OpaquePointer?
    private let isFile: Bool

    init(_ disk: FoundDisk) throws(DiskFailure) {
        // libfdisk writes the second copy, the first copy, then the protective MBR, and syncs only at the end. O_DSYNC
        // makes the disk keep that order, so that a power cut leaves at least one copy whole.
        let descriptor = open(disk.node, O_RDWR | O_DSYNC | O_CLOEXEC)
        guard descriptor >= 0 else { throw .unwritable(disk.node, Errno(rawValue: errno)) }
        guard let context = fdisk_new_context() else {
            close(descriptor)
            throw .unwritable(disk.node, .noMemory)
        }
        fdisk_disable_dialogs(context, 1)
        fdisk_enable_wipe(context, 0)
        // An image of a disk cannot tell its sector size; for a disk this changes nothing.
        fdisk_save_user_sector_size(context, UInt32(clamping: disk.sectorSize), UInt32(clamping: disk.sectorSize))
        fdisk_save_user_grain(context, 1 << 20)
        let result = fdisk_assign_device_by_fd(context, descriptor, disk.node, 0)
        guard result == 0 else {
            fdisk_unref_context(context)
            close(descriptor)
            throw .unwritable(disk.node, Errno(rawValue: -result))
        }
        var table: OpaquePointer?
        fdisk_get_partitions(context, &table)
        self.disk = disk
        self.descriptor = descriptor
        self.context = context
        original = table
        isFile = fdisk_is_regfile(context) == 1
    }

    deinit {
        if let original { fdisk_unref_table(original) }
        // The disk was flushed explicitly. libfdisk would use sync(2), which waits for every disk of the machine.
        fdisk_deassign_device(context, 1)
        fdisk_unref_context(context)
        close(descriptor)
    }

    /// Makes the table what the plan says, and writes it.
    ///
    /// It tells the kernel of changed entries. Where the kernel has to read the whole table, the caller makes it do so
    /// after this value is gone.
    func write(_ plan: DiskPlan) throws(DiskFailure) {
        if plan.createsTable {
            // As sgdisk does it: the first sector after the entries is usable, not only the first MiB.
            fdisk_set_first_lba(context, plan.geometry.usable(diskSize: disk.size).lowerBound)
            try check("create a GPT", fdisk_create_disklabel(context, "gpt"))
        }
        guard fdisk_is_labeltype(context, FDISK_DISKLABEL_GPT) == 1 else { throw .tableChanged(disk.node) }
        if !plan.createsTable {
            for old in disk.table.partitions where mustGo(old, plan) {
                try check("delete partition \(old.number)", fdisk_delete_partition(context, old.number - 1))
            }
        }
        for partition in plan.partitions {
            switch partition.change {
            case .keep: break
            case .create, .recreate: try add(partition)
            case .resize: try resize(partition)
            }
        }
        try check("write its partition table", fdisk_write_disklabel(context))
        guard fsync(descriptor) == 0 else { throw .unwritable(disk.node, Errno(rawValue: errno)) }
        if !plan.isWrittenInFull, !isFile, disk.map == nil { try rereadTable(plan) }
    }

    /// Moves the second copy to the end of a disk that has grown; the entries stay as they are.
    ///
    /// libfdisk takes the room before it into account once it has opened the table anew.
    func moveSecondCopy() throws(DiskFailure) {
        guard fdisk_is_labeltype(context, FDISK_DISKLABEL_GPT) == 1 else { throw .tableChanged(disk.node) }
        try check("write its partition table", fdisk_write_disklabel(context))
        guard fsync(descriptor) == 0 else { throw .unwritable(disk.node, Errno(rawValue: errno)) }
    }

    private func mustGo(_ old: FoundPartition, _ plan: DiskPlan) -> Bool {
        switch plan.partitions.first(where: { $0.number == old.number })?.change {
        case .keep, .resize: false
        case .create, .recreate, nil: true
        }
    }

    private func add(_ planned: PlannedPartition) throws(DiskFailure) {
        let doing = "create partition \(planned.number)"
        guard let partition = fdisk_new_partition() else { throw .tableNotWritten(disk.node, doing: doing, .noMemory) }
        defer { fdisk_unref_partition(partition) }
        fdisk_partition_set_partno(partition, planned.number - 1)
        fdisk_partition_set_start(partition, planned.sectors.lowerBound)
        fdisk_partition_set_size(partition, planned.sectors.upperBound - planned.sectors.lowerBound)
        // Exactly this size: libfdisk must not align what the plan has decided.
        fdisk_partition_size_explicit(partition, 1)
        if !planned.label.isEmpty { fdisk_partition_set_name(partition, planned.label) }
        if let guid = planned.guid { fdisk_partition_set_uuid(partition, guid) }
        guard let type = fdisk_label_parse_parttype(fdisk_get_label(context, "gpt"), planned.type) else {
            throw .tableNotWritten(disk.node, doing: doing, .invalidArgument)
        }
        defer { fdisk_unref_parttype(type) }
        fdisk_partition_set_type(partition, type)
        try check(doing, fdisk_add_partition(context, partition, nil))
    }

    /// Changes the size; number, GUID, type, name and attributes stay.
    private func resize(_ planned: PlannedPartition) throws(DiskFailure) {
        let doing = "resize partition \(planned.number)"
        guard let partition = fdisk_new_partition() else { throw .tableNotWritten(disk.node, doing: doing, .noMemory) }
        defer { fdisk_unref_partition(partition) }
        fdisk_partition_set_size(partition, planned.sectors.upperBound - planned.sectors.lowerBound)
        fdisk_partition_size_explicit(partition, 1)
        try check(doing, fdisk_set_partition(context, planned.number - 1, partition))
    }

    /// Tells the kernel of changed entries only, so that the other partitions may stay mounted.
    private func rereadTable(_ plan: DiskPlan) throws(DiskFailure) {
        try KernelPartitions.whileBusy(disk.node) {
            // The result says nothing: to libfdisk a change that the kernel refuses is only a warning.
            fdisk_reread_changes(context, original)
            return KernelPartitions.agree(with: plan)
        }
    }

    private func check(_ doing: String, _ result: Int32) throws(DiskFailure) {
        guard result == 0 else {
            throw .tableNotWritten(disk.node, doing: doing, Errno(rawValue: result < 0 ? -result : EINVAL))
        }
    }
}

/// Writes the sector that keeps others from taking the disk for empty.
///
/// Without it the kernel does not look for a GPT, and libfdisk does not open one. Only the entries and their mark are
/// written: before them is the code of a boot loader, and the identity of the disk.
func writeProtectiveMBR(_ disk: FoundDisk) throws(DiskFailure) {
    guard let found = try BlockFile(disk.node).read(at: 0, count: 512) else { throw .unreadable(disk.node, .ioError) }
    var sector = Array(found[..<446]) + [UInt8](repeating: 0, count: 66)
    let sectors = UInt32(clamping: disk.size / disk.sectorSize - 1)
    // Entry 1: from sector 1, type 0xee, as many sectors as the field can say.
    sector.replaceSubrange(446..<458, with: [0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff, 1, 0, 0, 0])
    sector.replaceSubrange(458..<462, with: (0..<4).map { UInt8(truncatingIfNeeded: sectors >> (8 * $0)) })
    sector[510] = 0x55
    sector[511] = 0xaa
    let descriptor = open(disk.node, O_RDWR | O_CLOEXEC)
    guard descriptor >= 0 else { throw .unwritable(disk.node, Errno(rawValue: errno)) }
    defer { close(descriptor) }
    guard pwrite(descriptor, sector, sector.count, 0) == sector.count, fsync(descriptor) == 0 else {
        throw .unwritable(disk.node, Errno(rawValue: errno))
    }
}
