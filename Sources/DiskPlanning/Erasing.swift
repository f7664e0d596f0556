// The command with which an operator, once, decides which of two things a device is. The agent never runs it.

import DiskFormats

extension Content {
    /// Whether it is an image for optical discs and USB sticks, which has a table and a filesystem by design.
    public var isImage: Bool { !signatures.isEmpty && signatures.allSatisfy { Signature.companions.contains($0.type) } }

    /// A command that erases every mark but `kept`.
    func erasing(allBut kept: Signature? = nil, on device: String) -> String {
        let others = signatures.filter { $0 != kept }
        if let unlisted = others.first(where: \.isUnlisted), let offset = unlisted.offset {
            return "dd if=/dev/zero of=\(device) bs=1 seek=\(offset) count=16 conv=notrunc"
        }
        let offsets = others.compactMap { $0.standsOnce ? $0.offset : nil } + (tableOffset.map { [$0] } ?? [])
        if offsets.count == others.count + (table == nil ? 0 : 1) {
            return "wipefs" + offsets.map { " -o 0x" + String($0, radix: 16) }.joined() + " \(device)"
        }
        // Several copies of a mark: erase all of that kind, and nothing else.
        var types: [String] = []
        for type in others.map(\.type) + (table.map { [$0 == "gpt" ? "gpt,PMBR" : $0] } ?? [])
        where !types.contains(type) { types.append(type) }
        return "wipefs -a -t \(types.joined(separator: ",")) \(device)"
    }

    /// The offset of an MBR's mark, the last two bytes of the first sector.
    private var tableOffset: UInt64? { table == "dos" || table == "PMBR" ? 510 : nil }
}

extension Signature {
    /// Whether wipefs does not know the mark.
    fileprivate var isUnlisted: Bool { ["bcachefs", "hammer2", "qnx6", "openbsd_softraid", "geom"].contains(type) }

    /// Whether the mark stands in one place only.
    fileprivate var standsOnce: Bool {
        switch type {
        case "zfs_member", "nilfs2", "vfat", "ufs": false
        case "crypto_LUKS": version == "1"
        default: true
        }
    }
}

/// A table as people write it, with its article.
func tableName(_ table: FoundTable) -> String {
    switch table {
    case .none: "no partition table"
    case .gpt: tableName("gpt")
    case .other(let type, _): tableName(type)
    case .unreadableGPT: tableName("broken gpt")
    }
}
