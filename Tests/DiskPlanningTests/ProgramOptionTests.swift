import DiskFormats
import IgnitionConfig
import Testing

@testable import DiskPlanning

/// What options a config may hand to the programs that make filesystems and arrays.
@Suite struct OptionsOfPrograms {
    private func refusal(
        _ format: FilesystemFormat, _ options: [String], label: String? = nil, uuid: String? = nil,
        on found: Content = .blank
    ) -> String? {
        var wanted = IgnitionConfig.Filesystem()
        wanted.device = "/dev/vda1"
        wanted.format = format.rawValue
        wanted.options = options
        wanted.label = label
        wanted.uuid = uuid
        let target = DeviceTarget(node: "/dev/vda1", area: DiskArea(node: "/dev/vda1", bytes: 0..<1 << 30))
        do throws(DiskConflict) {
            _ = try FilesystemPlanner(wanted: wanted, format: format, target: target, found: found).action()
            return nil
        } catch {
            return "\(error)"
        }
    }

    @Test(
        "none that names another device",
        arguments: [
            (FilesystemFormat.btrfs, ["-d", "raid1", "/dev/vdb"], "/dev/vdb"), (.btrfs, ["vdb"], "vdb"),
            (.btrfs, ["--data=raid1", "--", "/dev/vdb"], "--"), (.btrfs, ["--force", "/dev/vdb"], "/dev/vdb"),
            (.btrfs, ["-fd", "raid1", "/dev/vdb"], "/dev/vdb"), (.btrfs, ["--young", "/dev/vdb"], "--young /dev/vdb"),
            (.xfs, ["-l", "logdev=/dev/vdb"], "-l logdev=/dev/vdb"),
            (.xfs, ["-llogdev=/dev/vdb,size=64m"], "-l logdev=/dev/vdb,size=64m"),
            (.xfs, ["-Kl", "size=64m,logdev=/tmp/link"], "-l size=64m,logdev=/tmp/link"),
            (.xfs, ["-l", "name=x"], "-l name=x"), (.xfs, ["-r", "rtdev=/dev/vdb"], "-r rtdev=/dev/vdb"),
            (.xfs, ["-d", "name=/dev/vdb"], "-d name=/dev/vdb"), (.xfs, ["/dev/vdb"], "/dev/vdb"),
            (.ext4, ["-J", "device=/dev/vdb"], "-J device=/dev/vdb"),
            (.ext4, ["-J", "size=4,device=UUID=0a1b2c3d"], "-J size=4,device=UUID=0a1b2c3d"),
            (.ext4, ["-Jdevice=LABEL=journal"], "-J device=LABEL=journal"), (.ext4, ["/dev/vdb"], "/dev/vdb"),
            (.ext4, ["-F", "/dev/vdb"], "/dev/vdb"), (.ext4, ["1000"], "1000"),
            (.ext4, ["-z", "/dev/vdb"], "-z /dev/vdb"),
            (.ext4, ["-z", "dev/vdb"], "-z dev/vdb"), (.ext4, ["-O", "extent,journal_dev"], "-O extent,journal_dev"),
            (.ext4, ["-Ojournal_dev"], "-O journal_dev"), (.vfat, ["/dev/vdb"], "/dev/vdb"),
            (.vfat, ["-I", "4096"], "4096"),
            (.vfat, ["-m", "/proc/self/root/dev/vdb"], "-m /proc/self/root/dev/vdb"), (.swap, ["/dev/vdb"], "/dev/vdb"),
            (.swap, ["--check", "/dev/vdb"], "/dev/vdb"),
        ])
    func foreign(_ format: FilesystemFormat, _ options: [String], _ named: String) {
        let told = refusal(format, options)
        #expect(told?.hasPrefix("/dev/vda1: the option \"\(named)\" ") == true, "\(told ?? "created")")
        // What is kept is not made, and so takes no options.
        #expect(refusal(format, options, on: Content([Signature(type: format.rawValue)])) == nil)
    }

    @Test(
        "all others",
        arguments: [
            (FilesystemFormat.xfs, ["-m", "reflink=0"]),
            (.xfs, ["-d", "su=64k,sw=4", "-l", "su=64k,size=64m,internal=1"]),
            (.xfs, ["-i", "size=512", "-K", "-n", "ftype=1", "-s", "size=4096", "-L", "a", "-q", "-b", "size=4k"]),
            (.xfs, ["-r", "extsize=64k", "-c", "options=/usr/share/xfsprogs/mkfs/lts_5.15.conf"]),
            (.ext4, ["-E", "lazy_itable_init=1,nodiscard", "-b", "4096", "-m0", "-I", "256"]),
            (.ext4, ["-O", "^has_journal", "-J", "size=64", "-T", "largefile", "-v", "-i", "16384", "-L", "data"]),
            (.ext4, ["-b 4096", "-qvj", "-N", "1000", "-G", "16", "-C", "65536", "-g", "8192", "-e", "remount-ro"]),
            (.btrfs, ["--data", "single", "-m", "dup", "-n", "16k", "--csum=xxhash", "-O", "no-holes"]),
            (.btrfs, ["--meta", "dup", "--mixed", "-R", "free-space-tree", "--nodiscard", "-L", "x", "--label", "y"]),
            (.btrfs, ["--newer", "value", "-s4096", "--uuid", "0a1b2c3d-0000-4000-8000-000000000001"]),
            (.vfat, ["-F", "32", "-s", "8", "-n", "EFI", "--codepage", "437", "-S512", "-aI", "--mbr=n"]),
            (.swap, ["--pagesize", "4096", "-p4096", "-v1", "--label", "swap", "-q", "--endianness=little"]),
            (.none, ["x"]),
        ])
    func own(_ format: FilesystemFormat, _ options: [String]) {
        #expect(refusal(format, options) == nil)
    }

    @Test(
        "no label where the entry wants none: the next boot would refuse the filesystem",
        arguments: [
            (FilesystemFormat.ext4, ["-L", "data"], "-L data"), (.xfs, ["-Ldata"], "-L data"),
            (.btrfs, ["--label=data"], "--label data"), (.btrfs, ["--lab", "data"], "--lab data"),
            (.vfat, ["-n", "DATA"], "-n DATA"), (.swap, ["-qL", "data"], "-L data"),
        ])
    func labels(_ format: FilesystemFormat, _ options: [String], _ named: String) {
        let told = "/dev/vda1: the option \"\(named)\" has a field of its own, \"label\""
        #expect(refusal(format, options, label: "") == told)
        // Where both give one, the field's is the last.
        #expect(refusal(format, options, label: "x") == nil && refusal(format, options) == nil)
    }

    @Test("no UUID that the program refuses, or makes another of")
    func uuids() {
        let whole = "0a1b2c3d-0000-4000-8000-00000000000F"
        for format: FilesystemFormat in [.ext4, .xfs, .btrfs, .swap] {
            for wrong in ["random", "1234-ABCD", "0a1b2c3d00004000800000000000000f", whole + "0", "{\(whole)}"] {
                #expect(refusal(format, [], uuid: wrong) == "/dev/vda1: \"\(wrong)\" is not a UUID of \(format)")
            }
            #expect(refusal(format, [], uuid: whole) == nil && refusal(format, [], uuid: "") == nil)
        }
        for wrong in [whole, "1234-ABC", "123-4ABCD", "1234-ABCG", "-1234ABCD", "1234--ABCD"] {
            #expect(refusal(.vfat, [], uuid: wrong) != nil, "\(wrong)")
        }
        for right in ["1234-ABCD", "1234abcd"] { #expect(refusal(.vfat, [], uuid: right) == nil, "\(right)") }
    }

    @Test("no label that mkfs.fat refuses", arguments: ["boot.x", "a/b", "D\u{e4}", "a\"b", "a\tb"])
    func vfatLabels(label: String) {
        let told = refusal(.vfat, [], label: label)
        #expect(told == "/dev/vda1: the label \"\(label)\" has a character that one of vfat cannot have")
        #expect(refusal(.ext4, [], label: label) == nil && refusal(.vfat, [], label: "EFI-SYS 1_a") == nil)
    }

    private func array(_ options: [String], _ content: Content = .blank) throws -> DiskRefusal? {
        let words = options.map { "\"\($0)\"" }.joined(separator: ", ")
        let text = """
            {"ignition": {"version": "3.4.0"}, "storage": {"raid": [{"name": "data", "level": "raid1",
             "devices": ["/dev/vda", "/dev/vdb"], "options": [\(words)]}]}}
            """
        let storage = try IgnitionConfig.parse(Array(text.utf8), name: "config.ign").checked().storage
        let devices = ["/dev/vda", "/dev/vdb"].map { FoundDevice(path: $0, node: $0, size: 1 << 30) }
        let layout = DiskLayout(storage, on: DiskInventory(disks: [], devices: devices))
        do throws(DiskRefusal) {
            _ = try layout.planBlank()
            return nil
        } catch {
            return error
        }
    }

    @Test(
        "an array takes no other device or file by them either",
        arguments: [
            ["--write-journal", "/dev/vdc"], ["--write-journal=/dev/vdc"], ["--write-j", "/dev/vdc"],
            ["--bitmap", "/var/bitmap"], ["--bitmap=/dev/vdc"], ["-b", "/var/bitmap"], ["-b/var/bitmap"], ["/dev/vdc"],
            ["--assume-clean", "/dev/vdc"], ["missing"], ["-c", "64", "/dev/vdc"], ["--", "/dev/vdc"],
            ["-e1.2", "vdc"],
        ])
    func members(_ options: [String]) throws {
        let refusal = try array(options)
        #expect(refusal?.description.contains("/dev/md/data: the option \"") == true)
        #expect(refusal?.advice.isEmpty == false)
    }

    @Test(
        "and takes what is about itself",
        arguments: [
            ["--bitmap=internal"], ["--bitmap", "internal"], ["-b", "none"], ["-binternal", "--bitmap-chunk", "64M"],
            ["--chunk", "512", "--layout=left-symmetric", "--assume-clean"], ["--metadata=1.0", "--name", "data"],
            ["-e", "1.2", "-c64", "-Rf", "--consistency-policy", "resync"], ["--data-offset", "8M", "--size=max"],
            ["--homehost", "any", "--failfast", "--write-mostly", "--write-behind=256", "-p", "n2"],
        ])
    func arrays(_ options: [String]) throws {
        #expect(try array(options) == nil)
    }
}
