import InitramfsImage
import LinuxSystem
import SystemPackage
import Testing

/// A stop leaves the operator at the console of an initramfs, which has few programs.
@Suite struct ProgramsOfAdvice {
    private static let sources =
        #filePath.split(separator: "/").dropLast(3).reduce("") { "\($0)/\($1)" } + "/Sources/"

    /// Applets of busybox that advice may count on.
    private static let applets = ["blockdev", "chroot", "dd", "dmesg", "rm", "umount"]

    /// Programs of the target, which are run in it.
    private static let ofTheTarget = ["chown", "groupadd", "groupmod", "useradd", "userdel", "usermod"]

    /// Modules that say something at a console: all but the image tool's.
    private static let modules = [
        "Boot", "BootArguments", "BootReport", "Devices", "DiskPlanning", "Fetching", "FilePlanning", "IgnitionConfig",
        "LinuxSystem", "LiveRoot", "NetworkPlanning", "Networking", "Platforms", "ProvisioningEngine", "TargetRoot",
    ]

    /// Programs that an operator may know, and that no initramfs of ours has.
    private static let elsewhere = [
        "blkdiscard", "btrfs", "cfdisk", "cryptsetup", "dmsetup", "e2fsck", "fsck", "fsck.fat", "gdisk", "hdparm",
        "kpartx", "lvchange", "parted", "partprobe", "pvremove", "resize2fs", "sfdisk", "sgdisk", "tune2fs", "vgchange",
        "xfs_admin", "xfs_repair", "zpool",
    ]

    /// The advice of a module: the bodies of its members of that name.
    private func advice(of module: String) throws -> [String] {
        let files = Files.names(in: FilePath(Self.sources + module)).filter { $0.hasSuffix(".swift") }
        try #require(!files.isEmpty, "\(module)")
        return try files.flatMap { file in
            var end: String?
            return try lines(of: "\(module)/\(file)") { line in
                if let open = end {
                    if line == open { end = nil }
                    return true
                }
                guard line.contains(/(var|func) advice\b.*\{/) else { return false }
                if !line.hasSuffix("}") { end = line.prefix { $0 == " " } + "}" }
                return true
            }
        }
    }

    private func lines(of file: String, where isWanted: (Substring) -> Bool = { _ in true }) throws -> [String] {
        // A text that is joined by + is one.
        String(decoding: try Files.read(FilePath(Self.sources + file)), as: UTF8.self)
            .split(separator: "\n").filter(isWanted).joined(separator: "\n")
            .replacing(/"\s*\+\s*"/, with: "").split(separator: "\n").map(String.init)
            // Words of a command line are not advice.
            .filter { $0.contains("\"") && !$0.contains("[\"--") && !$0.drop { $0 == " " }.hasPrefix("//") }
    }

    @Test("the target's programs are run in it, and others are in the initramfs")
    func everywhere() throws {
        let here = HostSystem().stageTools.map(\.name) + Self.applets + ["firstlight"]
        var seen: Set<String> = []
        for line in try Self.modules.flatMap({ try advice(of: $0) }) {
            let words = line.split { " ,;:()\"`".contains($0) }.map(String.init)
            for name in words where Self.ofTheTarget.contains(name) {
                seen.insert(name)
                // Which is "chroot /sysroot ".
                #expect(line.contains("\\(inside)\(name)"), "\(name): \(line)")
            }
            // What is typed where an image is made is not typed at the console.
            let isElsewhere = ["with --", "firstlight-image", "when the image is made"].contains { line.contains($0) }
            for (name, next) in zip(words, words.dropFirst())
            where next.contains(/^--?[a-zA-Z]/) && name.contains(/^[a-z]/) {
                #expect(isElsewhere || (here + Self.ofTheTarget).contains(name), "\(name): \(line)")
            }
        }
        #expect(seen == ["chown", "groupmod", "usermod"])
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
