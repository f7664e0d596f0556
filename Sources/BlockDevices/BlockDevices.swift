// BlockDevices is the only code that reads and writes disks: signatures (libblkid), tables (libfdisk), LUKS headers
// (libcryptsetup), filesystems (mkfs programs), and mounts of the config's filesystems.

import DiskFormats
import Reporting
import SystemPackage

/// Why a disk could not be read or changed.
public enum DiskFailure: Error, Equatable, Sendable {
    case unreadable(String, Errno)
    case unwritable(String, Errno)
    /// The device changed after the plan was made, and holds something that the plan did not see.
    case changed(String, holds: Content)
    /// The table is not the one that the plan was made from.
    case tableChanged(String)
    /// libfdisk or the kernel refused a change of the table.
    case tableNotWritten(String, doing: String, Errno)
    /// Something that was erased is still there.
    case notErased(String, holds: Content)
    /// The table was written, but reads back differently.
    case tableNotAsPlanned(String)
    case missing(String)
    case volumeNotCreated(String, Errno)
    case volumeNotOpened(name: String, String, Errno)
    /// A volume that is to be opened, whose key an earlier look had.
    case keyForgotten(name: String, String)
    /// Opening a volume would take more memory than is available, both in bytes, and would end the boot.
    case derivationTooLarge(String, needed: UInt64, available: UInt64)
    /// Another device is already open under the name of a volume of the config.
    case nameTaken(String, by: String)
}

extension DiskFailure: CustomStringConvertible {
    /// One sentence without its full stop.
    public var description: String {
        switch self {
        case .unreadable(let device, let reason): "cannot read \(device): \(reason)"
        case .unwritable(let device, let reason): "cannot write \(device): \(reason)"
        case .changed(let device, let content):
            "\(device) holds \(content) now, which it did not when the plan was made; it was left alone"
        case .tableChanged(let device): "the partition table of \(device) changed after the plan was made"
        case .tableNotWritten(let device, let doing, let reason): "\(device): cannot \(doing): \(reason)"
        case .notErased(let device, let content): "\(device) was erased and still holds \(content)"
        case .tableNotAsPlanned(let device): "the partition table of \(device) does not read back as it was written"
        case .missing(let device): "\(device) is not there"
        case .volumeNotCreated(let device, let reason): "cannot create a LUKS volume on \(device): \(reason)"
        case .volumeNotOpened(let name, let device, let reason):
            "cannot open the LUKS volume on \(device) as \(name): \(reason)"
        case .keyForgotten(let name, let device):
            "the key of the LUKS volume \(name) on \(device) is not known any more"
        case .derivationTooLarge(let device, let needed, let available):
            "a key of the LUKS volume on \(device) takes \(ByteCount(needed)) of RAM to derive, and "
                + "\(ByteCount(available)) are free"
        case .nameTaken(let name, let device): "/dev/mapper/\(name) is open already, on \(device)"
        }
    }
}

extension DiskFailure: Advising {
    /// What the operator can do.
    public var advice: [String] {
        switch self {
        case .unreadable(_, .permissionDenied), .unreadable(_, .notPermitted), .unwritable(_, .permissionDenied),
            .unwritable(_, .notPermitted):
            ["Run it as root: only root may read disks."]
        case .unreadable(_, .noSuchFileOrDirectory): ["Check the spelling, or whether the disk is attached."]
        case .unreadable, .unwritable: ["Check the disk and its cabling: the kernel's own messages say more (dmesg)."]
        case .changed, .tableChanged: ["Find out what else writes to this disk, then try again."]
        case .tableNotWritten, .tableNotAsPlanned, .notErased:
            [
                "Boot again: the next boot finishes what is unfinished.",
                "If that does not help, the disk may be failing.",
            ]
        case .volumeNotCreated: ["Check \"options\", and that the kernel has the cipher and dm-crypt (dmesg)."]
        case .keyForgotten: ["Boot again: the volume is looked into anew."]
        case .volumeNotOpened: ["Check that the kernel has the cipher and dm-crypt (dmesg)."]
        case .derivationTooLarge:
            [
                "Give the machine more RAM, or have the key slot take less: for a volume that exists, with",
                "cryptsetup luksConvertKey --pbkdf-memory from another system; for a new one, in its \"options\".",
            ]
        case .nameTaken: ["Give the volume another \"name\", or close that one first."]
        case .missing: ["Check the spelling, or whether the disk is attached."]
        }
    }
}
