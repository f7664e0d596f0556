// The command with which an operator, once, decides which of two things a device is. The agent never runs it.

import DiskFormats

extension Content {
    /// Whether it is an image for optical discs and USB sticks, which has a table and a filesystem by design.
    public var isImage: Bool { !signatures.isEmpty && signatures.allSatisfy { Signature.companions.contains($0.type) } }

    /// Whether it is an MBR beside a GPT, which names partitions that the GPT does not.
    var isHybridMBR: Bool { signatures.isEmpty && table == "dos" }

    /// A command that erases every mark but `kept`.
    ///
    /// wipefs does not find the marks that only our own readers find: zeros go over the first bytes of each of them.
    func erasing(allBut kept: Signature? = nil, on device: String, isPartition: Bool = false) -> String {
        let others = signatures.filter { $0 != kept }
        let listed = others.filter { !$0.isUnlisted }
        var commands: [String] = []
        if !listed.isEmpty || table != nil { commands.append(wiping(listed, on: device, isPartition)) }
        let marks = (others.flatMap(\.marks) + tableMarks).sorted()
        func zeroing(_ place: String) -> String {
            "dd if=/dev/zero of=\(device) bs=1 seek=\(place) count=4 conv=notrunc"
        }
        if marks.count == 1 {
            commands.append(zeroing("\(marks[0])"))
        } else if !marks.isEmpty {
            commands.append("for n in \(marks.map(String.init).joined(separator: " ")); do \(zeroing("$n")); done")
        }
        return commands.joined(separator: "; ")
    }

    private func wiping(_ listed: [Signature], on device: String, _ isPartition: Bool) -> String {
        // It leaves a table alone that stands in a partition; a disk it would then also take while it is in use.
        let wipefs = table != nil && isPartition ? "wipefs -f" : "wipefs"
        let offsets = listed.compactMap { $0.standsOnce ? $0.offset : nil } + (tableOffset.map { [$0] } ?? [])
        if offsets.count == listed.count + (table == nil ? 0 : 1) {
            return wipefs + offsets.map { " -o 0x" + String($0, radix: 16) }.joined() + " \(device)"
        }
        // Several copies of a mark: erase all of that kind, and nothing else.
        var types: [String] = []
        for type in listed.map(\.type) + (table.map { [$0.contains("gpt") ? "gpt,PMBR" : $0] } ?? [])
        where !types.contains(type) { types.append(type) }
        return "\(wipefs) -a -t \(types.joined(separator: ",")) \(device)"
    }

    /// The offset of an MBR's mark, the last two bytes of the first sector.
    private var tableOffset: UInt64? { table == "dos" || table == "PMBR" ? 510 : nil }
}

extension FoundTable {
    /// Whether it is a GPT that can be read, the only table whose partitions are used again.
    var isGPT: Bool { if case .gpt = self { true } else { false } }
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
