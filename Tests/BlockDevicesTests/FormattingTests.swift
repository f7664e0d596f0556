import DiskFormats
import DiskPlanning
import Glibc
import IgnitionConfig
import LinuxSystem
import Reporting
import Synchronization
import SystemPackage
import Testing

@testable import BlockDevices

@Suite struct Access {
    /// Clevis may wait for a tang server while a new volume is bound.
    @Test("several threads tell of their waits, too")
    func waits() {
        let told = Mutex(0)
        var access = DiskAccess.settled
        access.waits = Waits(
            begin: { _ in
                told.withLock { $0 += 1 }
                return 1
            }, change: { _, _ in }, end: { _ in })
        let waits = access.guarded().waits
        waits.end(waits.begin(Wait(for: "a tang server")))
        #expect(told.withLock { $0 } == 1)
    }
}

@Suite(.serialized) struct Formatting {
    private func config(_ image: Image, _ fields: String) throws -> IgnitionConfig.Storage {
        try storage("{\"filesystems\": [{\"device\": \"\(image.path)\", \(fields)}]}")
    }

    private func provision(_ storage: IgnitionConfig.Storage) throws -> [FilesystemPlan.Action] {
        let plan = try DiskStage.plan(storage, access: .settled)
        try DiskStage.apply(plan, access: .settled)
        return plan.filesystems.map(\.action)
    }

    @Test(
        "makes each format once, then keeps it",
        .enabled(if: isInstalled("mkfs.ext4", "mkfs.xfs", "mkfs.btrfs", "mkfs.fat", "mkswap")),
        arguments: ["ext4", "xfs", "btrfs", "vfat", "swap"])
    func reuse(_ format: String) throws {
        let image = try Image(320 << 20)
        let wanted = try config(image, "\"format\": \"\(format)\", \"label\": \"DATA\"")
        #expect(try provision(wanted) == [.create])
        let made = try image.digest()
        #expect(try provision(wanted) == [.keep])
        #expect(try image.digest() == made)

        let other = try config(image, "\"format\": \"\(format)\", \"label\": \"OTHER\"")
        #expect(throws: BootFailure.self) { try provision(other) }
        #expect(throws: BootFailure.self) { try provision(config(image, #""format": "none""#)) }
        #expect(try image.digest() == made)

        let again = try config(image, "\"format\": \"\(format)\", \"label\": \"OTHER\", \"wipeFilesystem\": true")
        #expect(try provision(again) == [.create])
        #expect(try Look(image.path).whole.signatures.map(\.label) == ["OTHER"])
        #expect(try provision(config(image, #""format": "none", "wipeFilesystem": true"#)) == [.erase])
        #expect(try !Look(image.path).whole.isKnown)
        #expect(try provision(config(image, #""format": "none", "wipeFilesystem": true"#)) == [.keep])
    }

    @Test("a vfat that bears our mark is made again, whatever it has of a label", .enabled(if: isInstalled("mkfs.fat")))
    func unfinished() throws {
        let image = try Image(32 << 20)
        try run("mkfs.fat", "-n", "HALF", image.path)
        let wanted = try config(image, #""format": "vfat", "label": "WHOLE""#)
        #expect(throws: BootFailure.self) { try DiskStage.plan(wanted, access: .settled) }
        try InProgressMarker.write(true, for: .vfat, on: image.path)
        #expect(try provision(wanted) == [.create])
        #expect(try provision(wanted) == [.keep])
        // In a filesystem of another kind it is content.
        try run("mkfs.ext4", "-q", "-F", image.path)
        try InProgressMarker.write(true, for: .vfat, on: image.path)
        #expect(throws: BootFailure.self) { try DiskStage.plan(wanted, access: .settled) }
    }

    @Test("an xfs that bears our mark is made again until somebody mounts it", .enabled(if: isInstalled("mkfs.xfs")))
    func unfinishedXFS() throws {
        let image = try Image(320 << 20)
        let wanted = try config(image, #""format": "xfs", "label": "WHOLE""#)
        #expect(try provision(wanted) == [.create])
        #expect(try provision(wanted) == [.keep])
        try InProgressMarker.write(true, for: .xfs, on: image.path)
        // A cache has kept the superblock and lost an allocation group's header.
        try image.zero(512..<2048)
        #expect(try provision(wanted) == [.create])
        #expect(try provision(wanted) == [.keep])
        // A record behind the maker's: it was mounted, and the mark has outlived its day.
        try InProgressMarker.write(true, for: .xfs, on: image.path)
        let head = try image.bytes(0..<512)
        func number(_ at: Int, _ count: Int) -> Int { head[at..<at + count].reduce(0) { $0 << 8 | Int($1) } }
        let (start, bits) = (number(0x30, 8), number(0x7c, 1))
        let log = ((start >> bits) * number(0x54, 4) + start & (1 << bits - 1)) * number(0x04, 4)
        let first = try image.bytes(log..<log + 512)
        #expect(first.starts(with: [0xfe, 0xed, 0xba, 0xbe]))
        try image.write(first, at: log + 1024)
        #expect(try DiskStage.plan(wanted, access: .settled).filesystems.map(\.action) == [.keep])
    }

    @Test("of what is done side by side the first failure is told, and the rest is done")
    func sideBySide() throws {
        struct Broken: Error {}
        let done = Monitor<Set<String>>([])
        let failure = #expect(throws: BootFailure.self) {
            try DiskStage.sideBySide(["a", "b", "c", "d", "e"], "preparing", \.self) { name in
                done.change { _ = $0.insert(name) }
                if name == "b" || name == "d" { throw Broken() }
            }
        }
        #expect(failure?.steps == ["preparing b"])
        #expect(done.change { $0 } == ["a", "b", "c", "d", "e"])
    }

    @Test(
        "finds a kept filesystem inside a partition, before that partition has a node",
        .enabled(if: isInstalled("mkfs.xfs", "sfdisk")))
    func guide() throws {
        let image = try Image(1 << 30)
        let wanted = try storage(
            """
            {"disks": [{"device": "\(image.path)", "wipeTable": true, "partitions": [{"label": "var"}]}],
             "filesystems": [{"device": "/dev/disk/by-partlabel/var", "label": "var", "format": "xfs", "path": "/var"}]}
            """)
        let first = try DiskStage.plan(wanted, access: .settled)
        #expect(first.summary == "3 created, nothing destroyed.")
        var tables = first
        tables.filesystems = []
        try DiskStage.apply(tables, access: .settled)
        let inner = try Image(1023 << 20)
        try run("mkfs.xfs", "-q", "-L", "var", "-d", "size=900m", inner.path)
        try image.copy(inner, at: 1 << 20)

        let before = try image.digest()
        let second = try DiskStage.plan(wanted, access: .settled)
        #expect(second.isEmpty)
        #expect(second.summaryLines == ["\(image.path): 1 partition and xfs \"var\" kept, nothing destroyed"])
        try DiskStage.apply(second, access: .settled)
        #expect(try image.digest() == before)

        // Half-way through, mkfs.xfs says so itself: that is our own work, to be finished.
        let start = 1 << 20
        try image.write([1], at: start + 0x7e)
        // Without the right checksum it is somebody's filesystem with a flipped bit.
        #expect(try DiskStage.plan(wanted, access: .settled).filesystems.map(\.action) == [.keep])
        try image.write([0, 0, 0, 0], at: start + 0xe0)
        let sum = crc32c(try image.bytes(start..<start + 512))
        try image.write((0..<4).map { UInt8(truncatingIfNeeded: sum >> (8 * $0)) }, at: start + 0xe0)
        #expect(try DiskStage.plan(wanted, access: .settled).filesystems.map(\.action) == [.create])
        // Somebody else's filesystem is not.
        let foreign = try Image(900 << 20)
        try run("mkfs.ext4", "-q", "-F", "-L", "backup", foreign.path)
        try image.zero(1 << 20..<2 << 20)
        try image.copy(foreign, at: 1 << 20)
        #expect(throws: BootFailure.self) { try DiskStage.plan(wanted, access: .settled) }
    }

    @Test("a device that holds something since it was planned is left alone", .enabled(if: isInstalled("mkfs.ext4")))
    func changed() throws {
        let image = try Image(64 << 20)
        let plan = try DiskStage.plan(config(image, #""format": "ext4""#), access: .settled)
        try run("mkfs.ext4", "-q", "-F", "-L", "new", image.path)
        let before = try image.digest()
        #expect(throws: BootFailure.self) { try DiskStage.apply(plan, access: .settled) }
        #expect(try image.digest() == before)
    }

    @Test(
        "what mkfs refuses is found before the first write",
        .enabled(if: isInstalled("mkfs.xfs") && isInstalled("mkfs.ext4")),
        arguments: [
            (#""format": "ext4", "options": ["-O", "nonsense"]"#, "nonsense"),
            (#""format": "ext4", "options": ["-b", "1000"]"#, "block size"),
            (#""format": "xfs", "options": ["-m", "nonsense=1"]"#, "nonsense"),
            (#""format": "xfs", "options": ["-d", "size=1t"]"#, "size"),
        ])
    func refused(fields: String, said: String) throws {
        let image = try Image(512 << 20)
        let refusal = #expect(throws: BootFailure.self) {
            try DiskStage.plan(config(image, fields), access: .settled)
        }
        let text = "\(refusal.map { "\($0.cause)" } ?? "")"
        #expect(text.contains("would refuse to make it") && text.lowercased().contains(said), "\(text)")
        #expect(try image.bytes(0..<1 << 20).allSatisfy { $0 == 0 })
        for format in ["ext4", "xfs"] {
            let fine = try config(image, "\"format\": \"\(format)\"")
            #expect(try DiskStage.plan(fine, access: .settled).filesystems.map(\.action) == [.create])
        }
    }

    @Test(
        "what mkswap, mkfs.fat, libcryptsetup and mdadm refuse is found before the first write, too",
        .enabled(if: isInstalled("mdadm", "mkswap", "mkfs.fat")),
        arguments: [
            (#""filesystems": [{"device": "@1", "format": "swap", "options": ["--bogus"]}]"#, "bogus"),
            (#""filesystems": [{"device": "@1", "format": "vfat", "options": ["-F", "99"]}]"#, "fat"),
            (#""luks": [{"name": "a", "device": "@1", "options": ["--sector-size", "777"]}]"#, "invalid"),
            (#""luks": [{"name": "a", "device": "@1", "options": ["--luks2-keyslots-size", "100m"]}]"#, ""),
            (#""luks": [{"name": "a", "device": "@3", "options": ["--pbkdf", "pbkdf2"]}]"#, ""),
            (#""raid": [{"name": "a", "level": "raid6", "devices": ["@1", "@2"]}]"#, "at least 4"),
            (
                #""raid": [{"name": "a", "level": "raid1", "devices": ["@1", "@2"], "options": ["--frobnicate"]}]"#,
                "frob"
            ),
            (
                #""raid": [{"name": "aaaaaaaaaabbbbbbbbbbccccccccccddd", "level": "raid1", "devices": ["@1", "@2"]}]"#,
                "long"
            ),
        ])
    func alsoRefused(what: String, said: String) throws {
        let images = [try Image(64 << 20), try Image(64 << 20), try Image(3 << 20)]
        func wanted(_ text: String) throws -> IgnitionConfig.Storage {
            let named = (1...3).reduce(text) { $0.replacing("@\($1)", with: images[$1 - 1].path) }
            return try storage("{\(named)}")
        }
        let refusal = #expect(throws: BootFailure.self) { try DiskStage.plan(wanted(what), access: .settled) }
        let text = "\(refusal.map { "\($0.cause)" } ?? "")"
        #expect(text.contains("would refuse to make it") && text.lowercased().contains(said), "\(text)")
        for fine in [
            #""filesystems": [{"device": "@1", "format": "swap"}, {"device": "@2", "format": "vfat", "label": "A"}]"#,
            #""luks": [{"name": "a", "device": "@1", "label": "x", "options": ["--sector-size", "4096"]}]"#,
            #""raid": [{"name": "a", "level": "raid1", "devices": ["@1", "@2"], "options": ["--bitmap=internal"]}]"#,
        ] { _ = try DiskStage.plan(wanted(fine), access: .settled) }
    }

    @Test("a key that cannot be had stops before the first write")
    func missingKey() throws {
        let image = try Image(64 << 20)
        try run("mkfs.ext4", "-q", "-F", "-L", "old", image.path)
        let wanted = try storage(
            """
            {"disks": [{"device": "\(image.path)", "wipeTable": true, "partitions": [{"number": 1, "label": "a"}]}],
             "luks": [{"name": "a", "device": "/dev/disk/by-partlabel/a", "keyFile": {"source": "https://gone.example/k"}}]}
            """)
        struct Gone: Error {}
        var access = DiskAccess.settled
        access.keys = VolumeKeys { _, _ in throw Gone() }
        let plan = try DiskStage.plan(wanted, access: access)
        let before = try image.digest()
        let failure = #expect(throws: BootFailure.self) { try DiskStage.apply(plan, access: access) }
        #expect(failure?.steps.contains { $0.hasPrefix("fetching the key of the LUKS volume a") } == true)
        #expect(try image.digest() == before)
    }

    @Test("tells each write before it begins and each change once it is made", .enabled(if: isInstalled("mkfs.ext4")))
    func story() throws {
        let image = try Image(64 << 20)
        let plan = try DiskStage.plan(config(image, #""format": "ext4", "label": "x""#), access: .settled)
        let events = Mutex<[DiskEvent]>([])
        var access = DiskAccess.settled
        access.report = { event in events.withLock { $0.append(event) } }
        try DiskStage.apply(plan, access: access)
        let told = events.withLock { $0 }
        #expect(
            told == [.writing("ext4 \"x\" on \(image.path)"), .done("ext4 \"x\" created on \(image.path)")])
    }
}

@Suite struct MountPoints {
    @Test("makes missing folders and tells which; a link on the way is refused")
    func folders() throws {
        var name = Array("/tmp/firstlight-root-XXXXXX".utf8CString)
        let folder = try #require(mkdtemp(&name).map { FilePath(String(cString: $0)) })
        defer { _ = try? run("rm", "-r", folder.string) }
        try Files.makeFolder(folder.appending("var"))
        symlink("var", folder.appending("home").string)
        var made: [String] = []
        func open(_ path: String) throws -> (path: FilePath, target: FilePath?) {
            let point = try MountPoint(path, under: folder) { made.append($0) }
            let target = Files.resolved(point.target)
            return (point.path, target)
        }
        let data = folder.appending("var/lib/data")
        let point = try open("/var/lib/data")
        #expect(point.path == data && point.target == Files.resolved(data))
        #expect(made == ["/var/lib", "/var/lib/data"])
        #expect(Files.status(folder.appending("var/lib"))?.st_mode == S_IFDIR | 0o755)
        #expect(throws: MountFailure.notAFolder(folder.appending("home"), isLink: true)) { try open("/home/core") }
        try Files.write("", to: folder.appending("var/file"))
        #expect(throws: MountFailure.notAFolder(folder.appending("var/file"), isLink: false)) {
            try open("/var/file/below")
        }
        #expect(made == ["/var/lib", "/var/lib/data"])
        #expect(!Files.exists(folder.appending("var/core")))
    }
}
