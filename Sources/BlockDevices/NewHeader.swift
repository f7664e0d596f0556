// A new LUKS2 header, complete in memory before any of it is on the disk.
//
// libcryptsetup writes a header step by step. A power cut would leave one without keys, or with two damaged copies, and
// nobody could tell it from a damaged volume of somebody's. Therefore none of ours is ever on a disk unfinished.

import CLinux
import Glibc
import SystemPackage

extension HeaderCopy {
    /// Writes a header to the disk; the blocks by which it is recognised come last.
    ///
    /// - Parameters:
    ///   - node: The device.
    ///   - length: Bytes before the encrypted data.
    ///   - second: The offset of the header's second copy.
    /// - Throws: ``DiskFailure``.
    func write(to node: String, length: UInt64, second: UInt64) throws(DiskFailure) {
        let disk = open(node, O_RDWR | O_CLOEXEC)
        guard disk >= 0 else { throw .unwritable(node, Errno(rawValue: errno)) }
        defer { close(disk) }
        let block: UInt64 = 4096
        guard second > block, second + block <= length else { throw .volumeNotCreated(node, .invalidArgument) }
        for ranges in [[block..<second, second + block..<length], [0..<block], [second..<second + block]] {
            for range in ranges {
                guard put(range, on: disk) else { throw .unwritable(node, Errno(rawValue: errno)) }
            }
            guard fsync(disk) == 0 else { throw .unwritable(node, Errno(rawValue: errno)) }
        }
    }

    private func put(_ range: Range<UInt64>, on disk: Int32) -> Bool {
        var position = range.lowerBound
        while position < range.upperBound {
            let count = Int(min(1 << 20, range.upperBound - position))
            guard let bytes = wholeBytes(descriptor, at: position, count: count),
                pwrite(disk, bytes, count, off_t(position)) == count
            else { return false }
            position += UInt64(count)
        }
        return true
    }
}

extension firstlight_topology {
    /// Bytes that a volume encrypts at a time, if the config does not say.
    ///
    /// libcryptsetup makes the same choice for a device, which it does not see when it writes into memory.
    ///
    /// - Parameter size: Bytes of the volume's device.
    /// - Returns: 512 to 4096.
    func encryptedSector(size: UInt64) -> UInt32 {
        let isSound = physical > logical && physical <= 4096 && physical % logical == 0
        let best = isSound ? physical : min(logical, 4096)
        return size % UInt64(best) == 0 ? best : 512
    }

    /// The alignment of the data in sectors of 512 bytes; 0 leaves it to libcryptsetup.
    var alignment: Int {
        // It matters for the stripe of an array, for instance, if the usual MiB is not a multiple of it.
        let stripe = optimal > minimum && optimal % 4096 == 0 ? optimal : minimum
        return stripe > 0 && (1 << 20) % stripe != 0 ? Int(stripe / 512) : 0
    }
}
