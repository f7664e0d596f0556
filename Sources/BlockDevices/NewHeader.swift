// A new LUKS2 header, complete in memory before any of it is on the disk.
//
// libcryptsetup writes one step by step: a power cut would leave a header without keys, or one of which neither
// copy is whole, and nobody could tell it from somebody's damaged volume. So none of ours is ever seen unfinished.

import CLinux
import Glibc
import SystemPackage

extension HeaderCopy {
    /// Puts a header on the disk, the blocks by which it is recognised last.
    ///
    /// - Parameters:
    ///   - length: Bytes before the encrypted data.
    ///   - second: Where the second copy of the header begins.
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
            guard let bytes = readBytes(descriptor, at: position, count: count),
                pwrite(disk, bytes, count, off_t(position)) == count
            else { return false }
            position += UInt64(count)
        }
        return true
    }
}

extension firstlight_topology {
    /// Bytes that a volume of `size` bytes encrypts at a time, where the config does not say: as libcryptsetup
    /// chooses for a device, which it does not see when it writes into memory.
    func encryptedSector(size: UInt64) -> UInt32 {
        let isSound = physical > logical && physical <= 4096 && physical % logical == 0
        let best = isSound ? physical : min(logical, 4096)
        return size % UInt64(best) == 0 ? best : 512
    }

    /// What the start of the data is aligned to, in sectors of 512 bytes; 0 is libcryptsetup's own choice.
    var alignment: Int {
        // A stripe of an array, for one, where the usual MiB is no multiple of it.
        let stripe = optimal > minimum && optimal % 4096 == 0 ? optimal : minimum
        return stripe > 0 && (1 << 20) % stripe != 0 ? Int(stripe / 512) : 0
    }
}
