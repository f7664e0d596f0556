import BootMedia
import Glibc
import InitramfsImage
import JSONText
import LinuxSystem
import LiveImage
import SystemPackage
import Testing

@testable import ImageMaking

/// The parts of a live system, small and of the right form.
struct SampleParts {
    var kernel: FilePath
    var initramfs: FilePath
    var rootfs: FilePath

    /// `modules` is the kernel whose modules are in the initramfs.
    init(in folder: borrowing TemporaryFolder, bindsTo other: Bool = false, modules: String? = nil) throws {
        kernel = try folder.file("vmlinuz", Self.bzImage(version: "6.1.0-9-amd64 (builder) #1"))
        let image = try folder.file("root.squashfs", Self.squashfs(200_000))
        rootfs = folder.path.appending("rootfs.img")
        try RootImageArchive(image: image, version: "2026.11.1").write(to: rootfs)
        var writer = NewcWriter()
        let hash = try RootImageArchive.stamps(of: rootfs).streamHash
        // Another digit at the end of the last digest.
        let wanted = other ? hash.dropLast(2) + (hash.hasSuffix("0\n") ? "1\n" : "0\n") : hash[...]
        let index = modules.map { "usr/lib/modules/\($0)/modules.dep" }
        let archive =
            try (index.map { try writer.member($0, .file, permissions: 0o644, data: []) } ?? [])
            + writer.member("etc", .folder, permissions: 0o755)
            + writer.member("etc/coreos-live-initramfs", .file, permissions: 0o644, data: Array("2026.11.1\n".utf8))
            + writer.member("etc/coreos-live-want-rootfs", .file, permissions: 0o644, data: Array(wanted.utf8))
            + NewcWriter.trailer()
        initramfs = try folder.file("initramfs.img", archive)
    }

    static func bzImage(version: String) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 40_000)
        bytes.replaceSubrange(0x202..<0x206, with: Array("HdrS".utf8))
        // The text lies behind the first sector.
        bytes.replaceSubrange(0x20e..<0x210, with: [0x00, 0x30])
        bytes.replaceSubrange(0x3200..<0x3200 + version.utf8.count, with: Array(version.utf8))
        return bytes
    }

    static func squashfs(_ count: Int) -> [UInt8] {
        var bytes = Array("hsqs".utf8) + (4..<count).map { UInt8(truncatingIfNeeded: $0 &* 7919 >> 3) }
        for index in 0..<8 { bytes[40 + index] = UInt8(truncatingIfNeeded: count >> (8 * index)) }
        return bytes
    }
}

@Suite struct MakingISOs {
    private func making(_ parts: SampleParts) -> ISOMaking {
        ISOMaking(kernel: parts.kernel, initramfs: parts.initramfs, rootfs: parts.rootfs)
    }

    @Test func anISOHasAreasThatHoldItsArguments() throws {
        let folder = try TemporaryFolder()
        let parts = try SampleParts(in: folder)
        var making = making(parts)
        making.arguments = "console=ttyS0"
        making.time = 1_700_000_000
        let output = folder.path.appending("live.iso")
        let outcome = try making.make(output)
        #expect(outcome.label == "firstlight-2026.11.1")
        let image = try ISO9660(ByteSource(file: output))
        #expect(image.primary.volumeID == "firstlight-2026.11.1")
        var live = try LiveISO(image)
        let wanted = "console=ttyS0 coreos.liveiso=firstlight-2026.11.1 ignition.firstboot ignition.platform.id=metal"
        #expect(try live.arguments.arguments == wanted)
        #expect(try live.arguments.defaults == wanted)
        #expect(live.initrd.files.isEmpty)
        #expect(live.initrd.region.length == 256 << 10)
        #expect(try live.features.liveNetwork)
        // Longer arguments eat the comment, and leave a line that is one.
        try live.setArguments(String(repeating: "x", count: BootMenu.areaSize - 1))
        for patch in try live.patches() {
            let rest = try image.source.bytes(at: patch.end, count: BootMenu.areaEnd.utf8.count)
            #expect(rest == Array(BootMenu.areaEnd.utf8))
        }
        let rootfs = try image.file("IMAGES/PXEBOOT/ROOTFS.IMG")
        #expect(try image.source.bytes(at: rootfs.offset, count: Int(rootfs.length)) == Files.read(parts.rootfs))
        #expect(Files.names(in: folder.path).filter { $0.hasPrefix("firstlight-image") }.isEmpty)
    }

    @Test func theMinimalISOCanBeRebuilt() throws {
        let folder = try TemporaryFolder()
        let output = folder.path.appending("live.iso")
        _ = try making(SampleParts(in: folder)).make(output)
        let image = try ISO9660(ByteSource(file: output))
        let minimal = try MinimalISO(parsing: image.contents(of: image.file("COREOS/MINISO.DAT")))
        // Everything large comes from the full image.
        let paths = try image.walk().filter { ["VMLINUZ", "INITRD.IMG", "IGNITION.IMG"].contains($0.entry.name) }
        for (path, entry) in paths { #expect(minimal.files.contains { $0.full == entry.sector }, "\(path)") }
        let root = try image.file("IMAGES/PXEBOOT/ROOTFS.IMG")
        #expect(!minimal.files.contains { $0.full == root.sector })
    }

    @Test func theSameInputMakesTheSameISO() throws {
        let folder = try TemporaryFolder()
        var making = making(try SampleParts(in: folder))
        making.time = 1_700_000_000
        var images: [[UInt8]] = []
        for name in ["one.iso", "other.iso"] {
            _ = try making.make(folder.path.appending(name))
            images.append(try Files.read(folder.path.appending(name)))
            if images.count == 1 { sleep(2) }
        }
        #expect(images[0] == images[1])
    }

    @Test func partsThatDoNotBelongTogetherAreRefused() throws {
        let folder = try TemporaryFolder()
        let output = folder.path.appending("live.iso")
        #expect(throws: LiveParts.Failure.self) { try making(SampleParts(in: folder, bindsTo: true)).make(output) }
        #expect(!Files.exists(output))
    }

    @Test(
        "labels and arguments that cannot be",
        arguments: [
            ("a b", "x"), (String(repeating: "x", count: 33), "x"), ("it's", "x"), ("", "x"), ("a", "x\ny"),
            ("a", String(repeating: "x", count: 1600)),
        ])
    func refused(_ label: String, _ arguments: String) throws {
        let folder = try TemporaryFolder()
        var making = making(try SampleParts(in: folder))
        making.label = label
        making.arguments = arguments
        #expect(throws: ISOMaking.Failure.self) { try making.make(folder.path.appending("live.iso")) }
    }

    @Test func argumentsAreTheSameForEveryLoader() throws {
        let word = "ignition.config.url=http://a/?u=${uuid}&m=${mac}"
        let folder = try TemporaryFolder()
        var making = making(try SampleParts(in: folder))
        making.arguments = word
        let output = folder.path.appending("live.iso")
        _ = try making.make(output)
        let image = try ISO9660(ByteSource(file: output))
        #expect(try LiveISO(image).arguments.arguments.hasPrefix(word))
        func text(_ path: String) throws -> String {
            String(decoding: try image.contents(of: image.file(path)), as: UTF8.self)
        }
        // What GRUB reads of it as script has no arguments in it.
        let menu = try text("EFI/DEBIAN/GRUB.CFG")
        #expect(!menu.contains("ignition.config") && menu.contains("\n    linux /images/pxeboot/vmlinuz $kargs\n"))
        for name in ["uuid", "mac", "serial", "hostname"] { #expect(menu.contains("\nset \(name)='${\(name)}'\n")) }
        #expect(try text("EFI/DEBIAN/KARGS.ENV").hasPrefix("# GRUB Environment Block\nkargs=\(word) "))
        #expect(try text("EFI/DEBIAN/KERNEL.CFG").hasPrefix("linux /images/pxeboot/vmlinuz \(word) "))
        #expect(try text("ISOLINUX/ISOLINUX.CFG").contains(" \(word) "))
    }

    @Test func graftPointsAreEscaped() {
        #expect(ISOMaking.escaped("/a=b\\c") == "/a\\=b\\\\c")
    }

    @Test func withoutALoaderNothingIsMade() throws {
        let folder = try TemporaryFolder()
        var making = making(try SampleParts(in: folder))
        making.system = folder.path
        #expect(throws: ISOMaking.Failure.noLoader) { try making.make(folder.path.appending("live.iso")) }
    }
}

@Suite struct NetworkBootFolders {
    @Test func everyServerIsToldTheSame() throws {
        let folder = try TemporaryFolder()
        let parts = try SampleParts(in: folder)
        var making = NetworkBootMaking(
            kernel: parts.kernel, initramfs: parts.initramfs, rootfs: parts.rootfs, url: "http://192.0.2.1/live/")
        making.configURL = "http://192.0.2.1/config.ign"
        let output = folder.path.appending("pxe")
        let outcome = try making.make(output)
        #expect(outcome.files.count == 9)
        func text(_ path: String) throws -> String {
            String(decoding: try Files.read(output.appending(path)), as: UTF8.self)
        }
        for path in ["pxelinux.cfg/default", "boot.ipxe", "grub/grub.cfg", "matchbox/profiles/firstlight.json"] {
            let text = try text(path)
            #expect(text.contains("coreos.live.rootfs_url=http://192.0.2.1/live/rootfs.img"), "\(path)")
            #expect(text.contains("ignition.config.url=http://192.0.2.1/config.ign"), "\(path)")
        }
        #expect(try text("boot.ipxe").hasPrefix("#!ipxe\nimgfree\n"))
        let profile = try JSONNode(parsing: Files.read(output.appending("matchbox/profiles/firstlight.json")))
        let group = try JSONNode(parsing: Files.read(output.appending("matchbox/groups/default.json")))
        #expect(group["profile"]?.string == profile["id"]?.string)
        #expect(profile["boot"]?["args"]?.elements?.first?.string == "initrd=main")
        #expect(try text("tinkerbell/hardware.yaml").contains("url: http://192.0.2.1/live/boot.ipxe\n"))
        #expect(try Files.read(output.appending("rootfs.img")) == Files.read(parts.rootfs))
        let check = try ImageCheck(output)
        #expect(check.kind == "network-boot")
        #expect(check.problems.isEmpty)
    }

    @Test("GRUB leaves a URL that names the machine as it is")
    func urlsForGRUB() throws {
        var making = NetworkBootMaking(kernel: "k", initramfs: "i", rootfs: "r", url: "http://192.0.2.1/live")
        making.configURL = "http://192.0.2.1/ignition?uuid=${uuid}&mac=${mac}"
        let texts = try making.texts(version: "1")
        func line(_ path: String) -> Substring? {
            texts.first { $0.path == path }?.text.split(separator: "\n").first { $0.contains("ignition.config.url") }
        }
        let word = "ignition.config.url=http://192.0.2.1/ignition?uuid=${uuid}&mac=${mac}"
        #expect(line("grub/grub.cfg")?.contains(" '\(word)' BOOTIF=$net_default_mac") == true)
        #expect(line("pxelinux.cfg/default")?.hasSuffix(" \(word)") == true)
        #expect(BootMenu.quotedForGRUB("a=b,c") == "a=b,c")
        #expect(BootMenu.quotedForGRUB("it's $x") == "'it'\\''s $x'")
    }

    @Test func aBootServerReadsTheFolderWhateverTheUmask() async {
        // A process of its own: others' files are made meanwhile.
        await #expect(processExitsWith: .success) {
            umask(0o077)
            let folder = try TemporaryFolder()
            let parts = try SampleParts(in: folder)
            let output = folder.path.appending("pxe")
            _ = try NetworkBootMaking(
                kernel: parts.kernel, initramfs: parts.initramfs, rootfs: parts.rootfs, url: "http://192.0.2.1"
            ).make(output)
            func modes(_ paths: [String]) -> Set<mode_t?> {
                Set(paths.map { Files.status(output.pushing(FilePath($0))).map { $0.st_mode & 0o7777 } })
            }
            #expect(modes(["", "pxelinux.cfg", "grub", "matchbox", "matchbox/groups", "tinkerbell"]) == [0o755])
            #expect(modes(["vmlinuz", "boot.ipxe", "matchbox/groups/default.json"]) == [0o644])
        }
    }

    @Test func aFolderInUseIsLeftAlone() throws {
        let folder = try TemporaryFolder()
        let parts = try SampleParts(in: folder)
        let making = NetworkBootMaking(
            kernel: parts.kernel, initramfs: parts.initramfs, rootfs: parts.rootfs, url: "http://192.0.2.1")
        try folder.file("pxe/old", "old")
        #expect(throws: NetworkBootMaking.Failure.folderInUse(folder.path.appending("pxe"))) {
            try making.make(folder.path.appending("pxe"))
        }
        #expect(Files.names(in: folder.path.appending("pxe")) == ["old"])
    }

    @Test(
        "URLs that nothing boots from",
        arguments: ["", "live", "ftp://a/b", "http://", "http://a/b c", "http://a/${x}", "http://a/\n"])
    func urls(_ url: String) {
        let making = NetworkBootMaking(kernel: "k", initramfs: "i", rootfs: "r", url: url)
        #expect(throws: NetworkBootMaking.Failure.url(url)) { try making.base() }
    }
}

/// A PE32+ file for UEFI with one section and room for more, or without.
func sampleStub(headers: Int = 1024, subsystem: UInt8 = 10) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: headers + 512)
    func put(_ value: Int, _ width: Int, at offset: Int) {
        for index in 0..<width { bytes[offset + index] = UInt8(truncatingIfNeeded: value >> (8 * index)) }
    }
    put(0x5a4d, 2, at: 0)
    put(0x80, 4, at: 0x3c)
    put(0x4550, 4, at: 0x80)
    put(0x8664, 2, at: 0x84)
    put(1, 2, at: 0x86)
    put(240, 2, at: 0x94)
    let optional = 0x98
    put(0x20b, 2, at: optional)
    put(4096, 4, at: optional + 32)
    put(512, 4, at: optional + 36)
    put(headers, 4, at: optional + 60)
    put(Int(subsystem), 2, at: optional + 68)
    put(16, 4, at: optional + 108)
    let section = optional + 240
    bytes.replaceSubrange(section..<section + 5, with: Array(".text".utf8))
    for (offset, value) in [(8, 100), (12, 4096), (16, 512), (20, headers)] { put(value, 4, at: section + offset) }
    return bytes
}

@Suite struct UnifiedKernels {
    @Test func sectionsAreAddedBehindTheStub() throws {
        let folder = try TemporaryFolder()
        let parts = try SampleParts(in: folder)
        var making = UnifiedKernelMaking(kernel: parts.kernel, initramfs: parts.initramfs, arguments: "console=ttyS0")
        making.stub = try folder.file("stub", sampleStub())
        making.rootfs = parts.rootfs
        let output = folder.path.appending("live.efi")
        let outcome = try making.make(output)
        #expect(outcome.kernel == "6.1.0-9-amd64")
        let bytes = try Files.read(output)
        let pe = try PEFile(head: bytes, size: UInt64(bytes.count))
        #expect(pe.sections.map(\.name) == [".text", ".osrel", ".cmdline", ".uname", ".initrd", ".linux"])
        // In memory and in the file one behind the other, each where its alignment wants it.
        for (section, next) in zip(pe.sections, pe.sections.dropFirst()) {
            #expect(section.address + section.virtualSize <= next.address)
            #expect(next.address % 4096 == 0)
            #expect(section.offset + section.storedSize <= next.offset)
        }
        func contents(_ name: String) throws -> [UInt8] {
            let section = try #require(pe.sections.first { $0.name == name })
            return Array(bytes[Int(section.offset)..<Int(section.offset + section.virtualSize)])
        }
        #expect(try contents(".linux") == Files.read(parts.kernel))
        #expect(try contents(".cmdline") == Array("console=ttyS0".utf8))
        let initrd = try contents(".initrd")
        #expect(initrd.starts(with: try Files.read(parts.initramfs)))
        #expect(initrd.suffix(try Files.read(parts.rootfs).count) == (try Files.read(parts.rootfs))[...])
        let check = try ImageCheck(output)
        #expect(check.kind == "uki")
        #expect(check.facts.contains { $0.topic == "arguments" && $0.text == "console=ttyS0" })
    }

    @Test func aStubWithoutRoomOrForAnotherSystemIsRefused() throws {
        let additions = (0..<5).map { PEFile.Addition(name: ".s\($0)", size: 10) }
        #expect(throws: PEFile.Failure.noRoom) { try PEFile.adding(additions, to: sampleStub(headers: 512)) }
        #expect(throws: PEFile.Failure.notEFI(subsystem: 3)) {
            try PEFile.adding(additions, to: sampleStub(subsystem: 3))
        }
        #expect(throws: PEFile.Failure.tooLarge) {
            try PEFile.adding([PEFile.Addition(name: ".linux", size: 1 << 32)], to: sampleStub())
        }
        #expect(throws: PEFile.Failure.notPE) { try PEFile.adding(additions, to: Array("MZ".utf8)) }
    }

    @Test func noNumberOfAHeaderTraps() throws {
        // Every byte of the headers, one after the other, with its bits turned.
        let whole = sampleStub()
        for index in 0..<600 {
            var bytes = whole
            bytes[index] ^= 0xff
            _ = try? PEFile.adding([PEFile.Addition(name: ".x", size: 10)], to: bytes)
            _ = try? PEFile(head: Array(bytes.prefix(index)), size: UInt64(index))
        }
    }
}

@Suite struct Sticks {
    private func machine(_ folder: borrowing TemporaryFolder, removable: String = "1") throws {
        let disk = "sys/devices/usb1/1-1/host6/block/sdb"
        for (name, text) in [
            ("removable", removable), ("size", "8192"), ("ro", "0"), ("dev", "8:16"), ("sdb1/partition", "1"),
            ("sdb1/dev", "8:17"), ("device/model", "Ultra Fit  "),
        ] { try folder.file("\(disk)/\(name)", text + "\n") }
        try folder.file("sys/devices/usb1/1-1/idVendor", "0781\n")
        try folder.file("sys/devices/usb1/1-1/serial", "4C53\n")
        try folder.link("sys/dev/block/8:16", to: "../../devices/usb1/1-1/host6/block/sdb")
        try folder.link("sys/dev/block/8:17", to: "../../devices/usb1/1-1/host6/block/sdb/sdb1")
        try folder.file("proc/swaps", "Filename Type Size Used Priority\n")
        try folder.file("proc/self/mountinfo", "22 1 0:20 / /proc rw - proc proc rw\n")
    }

    @Test func aStickIsDescribed() throws {
        let folder = try TemporaryFolder()
        try machine(folder)
        let stick = try StickDevice("/dev/sdb", below: folder.path, number: "8:16")
        #expect(
            stick
                == StickDevice(
                    path: "/dev/sdb", name: "sdb", size: 4 << 20, isRemovable: true, model: "Ultra Fit", serial: "4C53")
        )
        #expect(stick.description == "/dev/sdb  4 MiB, Ultra Fit, serial 4C53")
        try stick.check(imageSize: 4 << 20, force: false)
        #expect(throws: StickDevice.Refusal.self) { try stick.check(imageSize: 4 << 20 + 1, force: true) }
    }

    @Test func whatIsInUseIsRefusedWhateverIsForced() throws {
        let folder = try TemporaryFolder()
        try machine(folder)
        #expect(throws: StickDevice.Refusal.partition("/dev/sdb1", disk: "sdb")) {
            try StickDevice("/dev/sdb1", below: folder.path, number: "8:17")
        }
        try folder.file("proc/self/mountinfo", "22 1 8:17 / /mnt/photos rw - vfat /dev/sdb1 rw\n")
        let mounted = try StickDevice("/dev/sdb", below: folder.path, number: "8:16")
        #expect(throws: StickDevice.Refusal.mounted("/dev/sdb", ["/mnt/photos"])) {
            try mounted.check(imageSize: 1, force: true)
        }
        try machine(folder)
        try folder.file("proc/swaps", "Filename Type Size Used Priority\n/dev/sdb1 partition 100 0 -2\n")
        let swap = try StickDevice("/dev/sdb", below: folder.path, number: "8:16")
        #expect(throws: StickDevice.Refusal.held("/dev/sdb", ["swap on sdb1"])) {
            try swap.check(imageSize: 1, force: true)
        }
        try machine(folder)
        try folder.file("sys/devices/usb1/1-1/host6/block/sdb/sdb1/holders/dm-0", "")
        let held = try StickDevice("/dev/sdb", below: folder.path, number: "8:16")
        #expect(throws: StickDevice.Refusal.held("/dev/sdb", ["dm-0 uses sdb1"])) {
            try held.check(imageSize: 1, force: true)
        }
    }

    @Test func onlyADeviceThatIsNotRemovableCanBeForced() throws {
        let folder = try TemporaryFolder()
        try machine(folder, removable: "0")
        let disk = try StickDevice("/dev/sdb", below: folder.path, number: "8:16")
        #expect(throws: StickDevice.Refusal.notRemovable("/dev/sdb")) { try disk.check(imageSize: 1, force: false) }
        try disk.check(imageSize: 1, force: true)
        #expect(disk.proof == "4C53")
    }

    @Test func aFileIsNoDevice() throws {
        let folder = try TemporaryFolder()
        let file = try folder.file("file", "x")
        #expect(throws: StickDevice.Refusal.notDevice(file)) { try StickDevice(file) }
    }

    @Test func whatIsOnItIsListed() {
        #expect(
            StickDevice.contents(inListing: "sdb 14.9G   \nsdb1 14.9G vfat HOLI\\x20DAYS data\n\n") == [
                "sdb  14.9G", "sdb1  14.9G  vfat  HOLI DAYS  data",
            ])
    }

    @Test func anImageIsWrittenAndComparedAndAnOldTableAtTheEndGoes() throws {
        let folder = try TemporaryFolder()
        let image = try folder.file("image", (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 31) })
        let device = try folder.file("device", [UInt8](repeating: 7, count: 3 << 20))
        var told: [UInt64] = []
        let progress = MakingProgress(bytes: { done, _ in told.append(done) })
        #expect(try StickWriting(image: image, device: device).run(telling: progress) == 100_000)
        let bytes = try Files.read(device)
        #expect(bytes.starts(with: try Files.read(image)))
        #expect(bytes[100_000..<2 << 20].allSatisfy { $0 == 7 })
        #expect(bytes[(2 << 20)...].allSatisfy { $0 == 0 })
        #expect(told == [100_000, 100_000])
    }

    @Test func aDeviceThatIsFullIsNamed() {
        let failure = StickWriting.Failure.writing("/dev/full", at: 0, .noSpace)
        #expect(failure.advice == ["Nothing was written."])
    }

    @Test func howFarADeviceCameThatIsGoneIsTold() {
        let pulled = StickWriting.Failure.gone("/dev/sdb", isReadBack: false, after: 128 << 20, of: 700 << 20)
        #expect("\(pulled)" == "/dev/sdb went away while it was written to, after 128 MiB of 700 MiB")
        #expect(pulled.advice.first?.contains("does not boot") == true)
        let later = StickWriting.Failure.gone("/dev/sdb", isReadBack: true, after: 0, of: 700 << 20)
        #expect("\(later)" == "/dev/sdb went away while it was read back, after 0 B of 700 MiB")
        #expect(later.advice.first?.contains("not compared") == true)
    }
}

@Suite struct KernelsOfOneBoot {
    @Test("an initramfs with another kernel's modules is refused", arguments: ["iso", "pxe", "uki", "uki with a root"])
    func otherModules(_ what: String) throws {
        let folder = try TemporaryFolder()
        let parts = try SampleParts(in: folder, modules: "6.1.0-8-amd64")
        let output = folder.path.appending("output")
        let failure = #expect(throws: LiveParts.Failure.self) {
            switch what {
            case "iso":
                _ = try ISOMaking(kernel: parts.kernel, initramfs: parts.initramfs, rootfs: parts.rootfs).make(output)
            case "pxe":
                let making = NetworkBootMaking(
                    kernel: parts.kernel, initramfs: parts.initramfs, rootfs: parts.rootfs, url: "http://192.0.2.1")
                _ = try making.make(output)
            default:
                var making = UnifiedKernelMaking(kernel: parts.kernel, initramfs: parts.initramfs, arguments: "")
                if what != "uki" { making.rootfs = parts.rootfs }
                _ = try making.make(output)
            }
        }
        let text = "\(parts.initramfs) has the modules of Linux 6.1.0-8-amd64, and \(parts.kernel) is 6.1.0-9-amd64"
        #expect(failure.map { "\($0)" } == text)
        #expect(failure?.advice == ["Make one for that kernel: firstlight-image initramfs --kernel 6.1.0-9-amd64"])
        #expect(!Files.exists(output))
    }

    @Test("an image whose kernel is not the initramfs's has a problem", arguments: ["live.iso", "pxe", "live.efi"])
    func otherKernel(_ name: String) throws {
        let folder = try TemporaryFolder()
        let parts = try SampleParts(in: folder, modules: "6.1.0-9-amd64")
        let output = folder.path.appending(name)
        var kernel = output
        switch name {
        case "pxe":
            let making = NetworkBootMaking(
                kernel: parts.kernel, initramfs: parts.initramfs, rootfs: parts.rootfs, url: "http://192.0.2.1")
            _ = try making.make(output)
            kernel = output.appending("vmlinuz")
        case "live.iso":
            _ = try ISOMaking(kernel: parts.kernel, initramfs: parts.initramfs, rootfs: parts.rootfs).make(output)
        default:
            var making = UnifiedKernelMaking(kernel: parts.kernel, initramfs: parts.initramfs, arguments: "")
            making.stub = try folder.file("stub", sampleStub())
            _ = try making.make(output)
        }
        #expect(try ImageCheck(output).problems.isEmpty)
        // The version of the kernel in it, which its build follows.
        var bytes = try Files.read(kernel)
        let version = try #require(bytes.firstRange(of: Array("9-amd64 (builder)".utf8)))
        bytes[version.lowerBound] = UInt8(ascii: "7")
        try Files.write(bytes, to: kernel)
        let problem = "the initramfs has the modules of Linux 6.1.0-9-amd64, and the kernel is 6.1.0-7-amd64"
        #expect(try ImageCheck(output).problems == [problem])
    }
}

@Suite struct Checking {
    @Test func eachPartIsKnown() throws {
        let folder = try TemporaryFolder()
        let parts = try SampleParts(in: folder)
        #expect(try ImageCheck(parts.kernel).kind == "kernel")
        #expect(try ImageCheck(parts.initramfs).kind == "initramfs")
        #expect(try ImageCheck(parts.rootfs).kind == "rootfs")
        #expect(try ImageCheck(folder.path.appending("root.squashfs")).kind == "rootfs")
        #expect(try ImageCheck(folder.file("text", "hello\n")).title == "a text")
        #expect(try ImageCheck(folder.file("text", "hello\n")).json["ok"]?.bool == false)
        let tree = try ImageCheck(folder.file("root.tar", tar([.file("sbin/init"), .file("etc/machine-id", "x")])))
        #expect(tree.kind == "tree")
        #expect(tree.facts.contains { $0.text == "/etc/machine-id" })
    }

    @Test func anISOOfPartsThatDifferHasAProblem() throws {
        let folder = try TemporaryFolder()
        let parts = try SampleParts(in: folder)
        let output = folder.path.appending("live.iso")
        _ = try ISOMaking(kernel: parts.kernel, initramfs: parts.initramfs, rootfs: parts.rootfs).make(output)
        let good = try ImageCheck(output)
        #expect(good.kind == "iso")
        #expect(good.problems.isEmpty)
        #expect(good.facts.contains { $0.text == "initramfs and root image belong together" })
        #expect(good.text.split(separator: "\n").allSatisfy { $0.count <= 110 })
        // One byte of the root image in it.
        let image = try ISO9660(ByteSource(file: output))
        let root = try image.file("IMAGES/PXEBOOT/ROOTFS.IMG")
        var bytes = try Files.read(output)
        bytes[Int(root.offset) + 100_000] ^= 1
        try Files.write(bytes, to: output)
        #expect(try ImageCheck(output).problems.count == 1)
    }
}
