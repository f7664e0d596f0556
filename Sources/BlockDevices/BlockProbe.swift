// libblkid: the signatures and tables that it knows. Only `Look` asks it, and only `Eraser` lets it write.

import CBlkid
import CLinux
import DiskFormats
import Glibc
import LinuxSystem
import SystemPackage

/// One open libblkid probe over a range of a device or image file, closed when the value goes away.
struct BlockProbe: ~Copyable {
    private let path: String
    private let descriptor: Int32
    private let handle: blkid_probe
    private let offset: UInt64
    /// Bytes of the range.
    private let length: UInt64

    /// Opens a probe.
    ///
    /// - Parameters:
    ///   - path: A block device or an image file.
    ///   - bytes: The range to look at; `nil` is the whole device.
    ///   - sectorSize: Bytes of a logical sector, for disk images, which cannot tell it.
    ///   - forWriting: Whether the probe is used to erase.
    ///   - sharing: Whether others may use other ranges of the device meanwhile.
    /// - Throws: ``DiskFailure/unreadable(_:_:)``.
    init(
        _ path: String, bytes: Range<UInt64>? = nil, sectorSize: UInt64? = nil, forWriting: Bool = false,
        sharing: Bool = false
    ) throws(DiskFailure) {
        // O_EXCL asks for the device alone, so that a mounted one fails to open.
        let access = forWriting ? O_RDWR | (sharing ? 0 : O_EXCL) : O_RDONLY
        let descriptor = open(path, access | O_CLOEXEC)
        guard descriptor >= 0 else { throw .unreadable(path, Errno(rawValue: errno)) }
        // The cache may be outdated if the same disk was written through another node.
        posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED)
        guard let handle = blkid_new_probe() else {
            close(descriptor)
            throw .unreadable(path, .noMemory)
        }
        let start = bytes?.lowerBound ?? 0
        let length = bytes.map { $0.upperBound - $0.lowerBound } ?? 0
        guard
            blkid_probe_set_device(handle, descriptor, blkid_loff_t(clamping: start), blkid_loff_t(clamping: length))
                == 0
        else {
            blkid_free_probe(handle)
            close(descriptor)
            throw .unreadable(path, .ioError)
        }
        if let sectorSize { blkid_probe_set_sectorsize(handle, UInt32(clamping: sectorSize)) }
        self.path = path
        self.descriptor = descriptor
        self.handle = handle
        offset = start
        self.length = UInt64(clamping: blkid_probe_get_size(handle))
    }

    deinit {
        blkid_free_probe(handle)
        close(descriptor)
    }

    /// Every signature in the range, in libblkid's order (RAID first), with sizes where they are cheap to know.
    ///
    /// libblkid's own answer ends at the first RAID or LUKS signature; what is beside it matters here too.
    func signatures() throws(DiskFailure) -> [Signature] {
        enable(superblocks: true, partitions: false)
        var signatures: [Signature] = []
        while true {
            switch blkid_do_probe(handle) {  // 0 found, 1 nothing more, else failed
            case 0: if let one = signature(), !signatures.contains(one) { signatures.append(one) }
            case 1: return signatures
            default: throw .unreadable(path, .ioError)
            }
        }
    }

    /// The kind of partition table in the range.
    func table() throws(DiskFailure) -> String? {
        enable(superblocks: false, partitions: true)
        switch blkid_do_fullprobe(handle) {
        case 0: return value("PTTYPE")
        case 1: return nil
        default: throw .unreadable(path, .ioError)
        }
    }

    /// The partitions of a table of any kind, without extended partitions, which only contain others.
    func partitions() throws(DiskFailure) -> [FoundPartition] {
        enable(superblocks: false, partitions: true)
        guard let list = blkid_probe_get_partitions(handle) else { return [] }
        let perSector = UInt64(max(blkid_probe_get_sectorsize(handle), 512)) / 512
        return (0..<blkid_partlist_numof_partitions(list)).compactMap { index in
            guard let partition = blkid_partlist_get_partition(list, index),
                blkid_partition_is_extended(partition) == 0
            else { return nil }
            // libblkid counts in units of 512 bytes here, whatever the sector size.
            let start = UInt64(clamping: blkid_partition_get_start(partition)) / perSector
            let count = UInt64(clamping: blkid_partition_get_size(partition)) / perSector
            let (end, overflow) = start.addingReportingOverflow(count)
            guard !overflow else { return nil }
            return FoundPartition(
                number: Int(blkid_partition_get_partno(partition)),
                label: blkid_partition_get_name(partition).map { String(cString: $0) } ?? "",
                guid: blkid_partition_get_uuid(partition).map { String(cString: $0).uppercased() } ?? "",
                type: blkid_partition_get_type_string(partition).map { String(cString: $0).uppercased() } ?? "",
                sectors: start..<end)
        }
    }

    /// Erases every signature in the range, including tables and backup copies.
    ///
    /// - Parameter kept: Ranges in which nothing is erased, counted from the start of the probe's range.
    /// - Throws: ``DiskFailure/unwritable(_:_:)``.
    func wipe(except kept: [Range<UInt64>]) throws(DiskFailure) {
        enable(superblocks: true, partitions: true, evenWithoutMBR: true)
        var erased = 0
        while true {
            let found = blkid_do_probe(handle)
            if found == 1 { break }
            guard found == 0 else { throw .unwritable(path, .ioError) }
            let mark = number("SBMAGIC_OFFSET") ?? number("PTMAGIC_OFFSET")
            if let mark, kept.contains(where: { $0.contains(mark) }) { continue }
            // The probe steps back, so that the same prober finds a second copy of its mark.
            guard blkid_do_wipe(handle, 0) == 0 else { throw .unwritable(path, Errno(rawValue: errno)) }
            erased += 1
            // A mark that cannot be erased would be found again and again.
            guard erased < 1000 else { throw .unwritable(path, .ioError) }
        }
        guard fsync(descriptor) == 0 else { throw .unwritable(path, Errno(rawValue: errno)) }
    }

    /// Writes zeros over bytes of the range.
    func zero(at position: UInt64, count: Int) throws(DiskFailure) {
        let zeros = [UInt8](repeating: 0, count: count)
        guard pwrite(descriptor, zeros, count, off_t(clamping: offset + position)) == count, fsync(descriptor) == 0
        else { throw .unwritable(path, Errno(rawValue: errno)) }
    }

    private func enable(superblocks: Bool, partitions: Bool, evenWithoutMBR: Bool = false) {
        blkid_reset_probe(handle)
        blkid_probe_enable_superblocks(handle, superblocks ? 1 : 0)
        // See UnlistedSignatures: its reader of OCFS 1 follows lengths on the disk out of its own memory.
        skip("ocfs", in: blkid_probe_filter_superblocks_type)
        blkid_probe_set_superblocks_flags(
            handle,
            BLKID_SUBLKS_TYPE | BLKID_SUBLKS_USAGE | BLKID_SUBLKS_LABEL | BLKID_SUBLKS_UUID | BLKID_SUBLKS_VERSION
                | BLKID_SUBLKS_MAGIC)
        blkid_probe_enable_partitions(handle, partitions ? 1 : 0)
        if partitions, claimsTooMuch { skip("gpt", in: blkid_probe_filter_partitions_type) }
        blkid_probe_set_partitions_flags(handle, BLKID_PARTS_MAGIC | (evenWithoutMBR ? BLKID_PARTS_FORCE_GPT : 0))
    }

    private typealias Filter = (blkid_probe, Int32, UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Int32

    /// Has libblkid pass over one format.
    private func skip(_ format: String, in filter: Filter) {
        format.withCString { name in
            var names: [UnsafeMutablePointer<CChar>?] = [UnsafeMutablePointer(mutating: name), nil]
            _ = filter(handle, BLKID_FLTR_NOTIN, &names)
        }
    }

    private var claimsTooMuch: Bool {
        let reader = PartitionTableReader(
            size: length, sectorSize: UInt64(blkid_probe_get_sectorsize(handle))
        ) { [descriptor, offset] position, count in
            wholeBytes(descriptor, at: offset + position, count: count)
        }
        return reader?.claimsTooMuch == true
    }

    /// The signature that the probe has just found.
    private func signature() -> Signature? {
        guard let type = value("TYPE") else { return nil }
        let usage = SuperblockReader.usage(type) { [descriptor, offset] position, count in
            wholeBytes(descriptor, at: offset + position, count: count)
        }
        let version = value("VERSION")
        let member =
            type != "linux_raid_member"
            ? nil
            : ArrayMember.read(version: version ?? "", size: length) { [descriptor, offset] position, count in
                wholeBytes(descriptor, at: offset + position, count: count)
            }
        let read = { [descriptor, offset] (position: UInt64, count: Int) in
            wholeBytes(descriptor, at: offset + position, count: count)
        }
        // The mark may have come along with a copied image, or may be outdated.
        let isMarked =
            InProgressMarker.isThere(type, length: length, read: read)
            && (type == "vfat" ? SuperblockReader.isEmptyFAT(read: read) : SuperblockReader.isUnusedXFS(read: read))
        return Signature(
            type: type, version: version, label: value("LABEL"), uuid: value("UUID"), size: usage?.size,
            used: usage?.used, isUnfinished: isMarked || usage?.isUnfinished == true,
            member: member, offset: number("SBMAGIC_OFFSET"))
    }

    private func number(_ name: String) -> UInt64? { value(name).flatMap { UInt64($0) } }

    private func value(_ name: String) -> String? {
        var text: UnsafePointer<CChar>?
        guard blkid_probe_lookup_value(handle, name, &text, nil) == 0 else { return nil }
        return text.map { String(cString: $0) }
    }
}
