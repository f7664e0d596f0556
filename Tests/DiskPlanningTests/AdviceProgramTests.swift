import Glibc
import InitramfsImage
import Testing

/// A stop leaves the operator at the console of an initramfs, which has few programs.
@Suite struct ProgramsOfAdvice {
    private static let sources =
        #filePath.split(separator: "/").dropLast(3).reduce("") { "\($0)/\($1)" } + "/Sources/"

    /// Applets of busybox that advice may count on.
    private static let applets = ["blockdev", "dd", "dmesg", "umount"]

    /// Programs that an operator may know, and that no initramfs of ours has.
    private static let elsewhere = [
        "blkdiscard", "btrfs", "cfdisk", "cryptsetup", "dmsetup", "e2fsck", "fsck", "fsck.fat", "gdisk", "hdparm",
        "kpartx", "lvchange", "parted", "partprobe", "pvremove", "resize2fs", "sfdisk", "sgdisk", "tune2fs", "vgchange",
        "xfs_admin", "xfs_repair", "zpool",
    ]

    private func lines(of file: String) throws -> [String] {
        let handle = try #require(fopen(Self.sources + file, "r"))
        defer { fclose(handle) }
        var text: [UInt8] = []
        while case let byte = getc(handle), byte != EOF { text.append(UInt8(byte)) }
        // A text that is joined by + is one.
        return String(decoding: text, as: UTF8.self)
            .replacing(/"\s*\+\s*"/, with: "").split(separator: "\n").map(String.init)
            // Words of a command line are no advice.
            .filter { $0.contains("\"") && !$0.contains("[\"--") && !$0.drop { $0 == " " }.hasPrefix("//") }
    }

    @Test("advice names programs that are there, or says where they are")
    func named() throws {
        let here = HostSystem().stageTools.map(\.name) + Self.applets
        var seen: Set<String> = []
        let planning = ["ConflictAdvice", "Erasing", "ArrayPlanner", "WantedContent", "MountRefusal"]
        for file in planning.map({ "DiskPlanning/\($0)" }) + ["BlockDevices/BlockDevices"] {
            for line in try lines(of: "\(file).swift") {
                let words = line.split { " ,;:()\"".contains($0) }.map(String.init)
                let isElsewhere = line.contains("from another system") || line.contains("where the initramfs has it")
                for name in words where Self.elsewhere.contains(name) && !(name == "btrfs" && !line.contains("check")) {
                    seen.insert(name)
                    #expect(isElsewhere, "\(name): \(line)")
                }
                // A word before an option, or before an operand of dd, is a program.
                for (name, next) in zip(words, words.dropFirst())
                where next.hasPrefix("--") && next.count > 3 || next.hasPrefix("if=") {
                    seen.insert(name)
                    // mdadm has the array first.
                    let isKnown = here.contains(name) || line.contains("mdadm ") || line.contains("without --")
                    #expect(isKnown || isElsewhere, "\(name): \(line)")
                }
                for name in here where words.contains(name) { seen.insert(name) }
            }
        }
        #expect(seen.isSuperset(of: ["dd", "mdadm", "wipefs", "blockdev", "e2fsck", "gdisk"]), "\(seen.sorted())")
    }
}
