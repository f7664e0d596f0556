import CLinux
import Encoding
import Glibc
import Hashing
import InitramfsImage
import LinuxSystem
import LiveImage
import SystemPackage
import Testing

@testable import ImageMaking

@Suite struct MakingRootImages {
    /// A layout with these layers, each compressed by a program or not at all.
    private func layout(
        _ folder: borrowing TemporaryFolder, _ layers: [[Sample]], compression: Compression? = nil,
        labels: String = "{}"
    ) throws -> FilePath {
        func blob(_ bytes: [UInt8]) throws -> String {
            let digest = hexadecimal(MessageDigest.sha256(bytes))
            try folder.file("layout/blobs/sha256/\(digest)", bytes)
            return #"{"digest": "sha256:\#(digest)", "size": \#(bytes.count)}"#
        }
        let archives = layers.map(tar)
        let blobs = try archives.map { archive in
            try blob(compression.map { try $0.program.run(["-c", "-q"], input: archive).standardOutput } ?? archive)
        }
        let plain = archives.map { #""sha256:\#(hexadecimal(MessageDigest.sha256($0)))""# }.joined(separator: ",")
        let config = try blob(Array(#"{"rootfs": {"diff_ids": [\#(plain)]}, "config": {"Labels": \#(labels)}}"#.utf8))
        let manifest = try blob(Array(#"{"config": \#(config), "layers": [\#(blobs.joined(separator: ","))]}"#.utf8))
        try folder.file("layout/oci-layout", #"{"imageLayoutVersion": "1.0.0"}"#)
        try folder.file("layout/index.json", #"{"manifests": [\#(manifest)]}"#)
        return folder.path.appending("layout")
    }

    private let layers: [[Sample]] = [
        [.folder("sbin"), .file("sbin/init", "1"), .file("etc/old"), .file("etc/machine-id", "x")],
        [.file("etc/.wh.old"), .file("etc/new", "2", user: 1234, extended: ["user.note": "kept"])],
    ]

    private func making(_ source: FilePath) -> RootMaking {
        var making = RootMaking(source: source)
        making.host.modules = "/nonexistent"
        return making
    }

    /// What a squashfs in a root image holds: type, mode, owner, size and path.
    private func listing(_ image: FilePath) throws -> [String] {
        let text = try HostProgram.listSquashfs.run(["-quiet", "-llnumeric", "-offset", "124", image.string]).text
        return text.split(separator: "\n").map { line in
            let fields = line.split(separator: " ", omittingEmptySubsequences: true)
            return "\(fields[0]) \(fields[1]) \(fields.dropFirst(5).joined(separator: " "))"
        }
    }

    @Test("the layers of an image, however they are compressed", arguments: [nil, Compression.gzip, .zstd])
    func layouts(_ compression: Compression?) throws {
        let folder = try TemporaryFolder()
        let output = folder.path.appending("rootfs.img")
        let labels = #"{"org.opencontainers.image.version": "12.7"}"#
        let outcome = try making(layout(folder, layers, compression: compression, labels: labels)).make(output)
        #expect(outcome.version == "12.7")
        #expect(outcome.takenOut.map(\.path) == ["etc/machine-id"])
        #expect(
            try listing(output) == [
                "drwxr-xr-x 0/0 squashfs-root", "drwxr-xr-x 0/0 squashfs-root/etc",
                "-rw-r--r-- 1234/0 squashfs-root/etc/new", "drwxr-xr-x 0/0 squashfs-root/sbin",
                "-rw-r--r-- 0/0 squashfs-root/sbin/init",
            ])
        let hash = try RootImageArchive.stamps(of: output)
        #expect(hash == outcome.stamps)
    }

    @Test func extendedAttributesAreKept() throws {
        let folder = try TemporaryFolder()
        let output = folder.path.appending("rootfs.img")
        _ = try making(layout(folder, layers)).make(output)
        let place = folder.path.appending("unpacked").string
        try HostProgram.listSquashfs.run([
            "-quiet", "-n", "-offset", "124", "-user-xattrs", "-dest", place, output.string, "etc/new",
        ])
        var value = [UInt8](repeating: 0, count: 20)
        let count = getxattr("\(place)/etc/new", "user.note", &value, value.count)
        #expect(count == 4)
        #expect(value.starts(with: Array("kept".utf8)))
    }

    @Test func whatDockerSavesIsRead() throws {
        let folder = try TemporaryFolder()
        let config = #"{"rootfs": {"diff_ids": []}}"#
        let manifest =
            #"[{"Config": "c.json", "RepoTags": ["a:1"], "Layers": ["1/layer.tar", "2/layer.tar", "3/layer.tar"]}]"#
        let text = { (bytes: [UInt8]) in String(decoding: bytes, as: UTF8.self) }
        // Docker's older versions point at a layer that is there already.
        let archive = tar([
            .file("1/layer.tar", text(tar(layers[0]))), .file("2/layer.tar", text(tar(layers[1]))),
            .link("3/layer.tar", to: "../2/layer.tar"), .file("c.json", config), .file("manifest.json", manifest),
        ])
        for (name, bytes) in [
            ("plain.tar", archive),
            ("packed.tar.gz", try Compression.gzip.program.run(["-c"], input: archive).standardOutput),
        ] {
            let output = folder.path.appending("rootfs.img")
            _ = try making(folder.file(name, bytes)).make(output)
            #expect(try listing(output).contains("-rw-r--r-- 1234/0 squashfs-root/etc/new"))
            var other = making(folder.path.appending(name))
            other.image = "b:1"
            #expect(throws: ContainerImage.Failure.unknownName(folder.path.appending(name), "b:1", ["a:1"])) {
                try other.make(output)
            }
        }
    }

    @Test func aChangedLayerIsRefusedAndNothingIsWritten() throws {
        let folder = try TemporaryFolder()
        let source = try layout(folder, layers)
        let blob = source.appending("blobs/sha256/\(hexadecimal(MessageDigest.sha256(tar(layers[1]))))")
        var bytes = try Files.read(blob)
        bytes[0] ^= 1
        try Files.write(bytes, to: blob)
        let output = folder.path.appending("rootfs.img")
        #expect(throws: ContainerImage.Failure.self) { try making(source).make(output) }
        #expect(!Files.exists(output))
        #expect(Files.names(in: folder.path) == ["layout"])
    }

    @Test("an image is not made inside of its own source", arguments: ["root/x.img", "root/sub/x.img", "link/x.img"])
    func insideOfTheSource(_ name: String) throws {
        let folder = try TemporaryFolder()
        try folder.file("root/sbin/init", "1")
        try folder.file("root/sub/y")
        try folder.link("link", to: "root/sub")
        let root = folder.path.appending("root")
        let output = folder.path.pushing(FilePath(name))
        let failure = #expect(throws: RootMaking.Failure.self) { try making(root).make(output) }
        #expect("\(try #require(failure))" == "\(output) lies in \(root), which it would be made of")
        #expect(Files.names(in: root) == ["sbin", "sub"])
    }

    @Test func aLinkIntoAnotherPlaceIsNoPlaceInTheSource() throws {
        let folder = try TemporaryFolder()
        try folder.file("root/sbin/init", "1")
        try folder.file("rootfs/y")
        try folder.link("root/out", to: "../rootfs")
        _ = try making(folder.path.appending("root")).make(folder.path.appending("root/out/x.img"))
        #expect(Files.names(in: folder.path.appending("rootfs")) == ["x.img", "y"])
        // What packs a layout reads only what its manifest names.
        let layout = try layout(folder, layers)
        _ = try making(layout).make(layout.appending("x.img"))
    }

    @Test func whatASquashfsCannotHoldIsListed() throws {
        let folder = try TemporaryFolder()
        let archive = tar([
            .file("sbin/init", "1"), .file("etc/a", "1", extended: ["system.posix_acl_access": "x"]),
            .file("etc/b", "1", extended: ["user.note": "kept", "system.other": "x"]),
        ])
        let output = folder.path.appending("rootfs.img")
        let outcome = try making(folder.file("root.tar", archive)).make(output)
        #expect(outcome.leftOut == ["the POSIX ACL of /etc/a", "the attribute system.other of /etc/b"])
        #expect(outcome.notes.contains("left out: the POSIX ACL of /etc/a"))
    }

    @Test func theSameInputMakesTheSameBytes() throws {
        let folder = try TemporaryFolder()
        try folder.file("root/sbin/init", "1")
        var images: [[UInt8]] = []
        for time in [10_000, 20_000] {
            // A build of later: younger files, and the machine's own.
            let times = [timespec](repeating: timespec(tv_sec: time, tv_nsec: 0), count: 2)
            utimensat(AT_FDCWD, "\(folder.path)/root/sbin/init", times, 0)
            try folder.file("root/etc/machine-id", "\(time)")
            for name in ["root", "root/sbin", "root/etc"] { utimensat(AT_FDCWD, "\(folder.path)/\(name)", times, 0) }
            var making = making(folder.path.appending("root"))
            making.time = 5000
            let output = folder.path.appending("rootfs.img")
            _ = try making.make(output)
            images.append(try Files.read(output))
        }
        #expect(images[0] == images[1])
    }

    @Test func whatIsKeptOnRequestIsThere() throws {
        let folder = try TemporaryFolder()
        var making = try making(layout(folder, layers))
        making.keepsTraces = true
        let output = folder.path.appending("rootfs.img")
        #expect(try making.make(output).takenOut.isEmpty)
        #expect(try listing(output).contains("-rw-r--r-- 0/0 squashfs-root/etc/machine-id"))
    }

    @Test func theModulesOfAKernelAreAdded() throws {
        let folder = try TemporaryFolder()
        try folder.file("modules/6.1.0/modules.dep", "")
        try folder.file("modules/6.1.0/kernel/x.ko", "x")
        try folder.link("modules/6.1.0/build", to: "/usr/src")
        var making = making(try folder.file("root.tar", tar(layers[0])))
        making.host.modules = folder.path.appending("modules")
        let output = folder.path.appending("rootfs.img")
        #expect(try making.make(output).warnings.contains { $0.contains("no modules for Linux 6.1.0") })
        making.kernel = "6.1.0"
        #expect(try making.make(output).warnings.isEmpty)
        let list = try listing(output)
        #expect(list.contains { $0.hasSuffix("squashfs-root/usr/lib/modules/6.1.0/kernel/x.ko") })
        #expect(!list.contains { $0.contains("build") })
    }

    @Test func aRootWithoutInitIsToldOf() {
        #expect(RootMaking.lacks(of: RootTree(), kernel: nil) == [.noInit])
    }

    @Test("what is not a root is refused", arguments: ["", "text", String(repeating: "x", count: 2000)])
    func noRoot(_ text: String) throws {
        let folder = try TemporaryFolder()
        let source = try folder.file("source", text)
        #expect(throws: RootMaking.Failure.self) { try making(source).make(folder.path.appending("out")) }
        #expect(Files.names(in: folder.path) == ["source"])
    }

    /// A root with one of each thing that belongs to one build, and with none of what belongs to machines.
    private func tracked(_ folder: borrowing TemporaryFolder) throws -> FilePath {
        for name in Self.traces { try folder.file("root/\(name)", "1") }
        try folder.file("root/etc/dropbear/banner", "1")
        try folder.file("root/etc/shadow", "root:*:1::::::\ncore:$y$j9T$x:1::::::\nmail:!:1::::::\nnone::1::::::\n")
        return folder.path.appending("root")
    }

    private static let traces = [
        "etc/machine-id", "var/lib/dbus/machine-id", "etc/ssh/ssh_host_rsa_key", "etc/dropbear/dropbear_rsa_host_key",
        "etc/resolv.conf", "var/lib/systemd/random-seed", "var/lib/systemd/credential.secret",
        "var/lib/NetworkManager/secret_key", "boot/loader/random-seed", ".dockerenv", "run/.containerenv",
    ]
    private static let password =
        "warning: /etc/shadow has the password hash of core, and so has whoever gets the image"

    @Test func whatBelongsToOneBuildIsTakenOut() throws {
        let folder = try TemporaryFolder()
        var making = making(try tracked(folder))
        let outcome = try making.make(folder.path.appending("rootfs.img"))
        #expect(outcome.takenOut.map(\.path).sorted() == Self.traces.sorted())
        #expect(outcome.warnings.contains(Self.password))
        #expect(try listing(folder.path.appending("rootfs.img")).contains { $0.hasSuffix("etc/dropbear/banner") })
        making.keepsTraces = true
        #expect(try !making.make(folder.path.appending("rootfs.img")).warnings.contains(Self.password))
    }

    @Test("a filesystem image is looked into for what belongs to one build, and for an init", arguments: [true, false])
    func filesystems(_ isSquashfs: Bool) throws {
        let folder = try TemporaryFolder()
        let root = try tracked(folder)
        let image = folder.path.appending("image")
        func made() throws -> RootMaking.Outcome {
            if isSquashfs {
                let words = ["-noappend", "-quiet", "-no-progress"]
                try HostProgram.makeSquashfs.run([root.string, image.string] + words)
            } else {
                try HostProgram(name: "mkfs.erofs", package: "").run(["--quiet", image.string, root.string])
            }
            return try making(image).make(folder.path.appending("rootfs.img"))
        }
        func traces(_ warnings: [String]) -> [String] {
            warnings.compactMap { $0.firstMatch(of: /holds \/(.*), which belongs to one build/).map { String($0.1) } }
        }
        let first = try made().warnings
        #expect(traces(first).sorted() == Self.traces.sorted())
        #expect(first.contains { $0.hasPrefix("warning: the root has no init") })
        #expect(first.contains(Self.password) == isSquashfs)
        // An empty machine-id is what systemd asks an image to have, and a link leads to a file that the boot makes.
        try Files.write("", to: root.appending("etc/machine-id"))
        try Files.remove(root.appending("etc/resolv.conf"))
        try folder.link("root/etc/resolv.conf", to: "../run/resolv.conf")
        try folder.file("root/usr/sbin/init", "1")
        try folder.link("root/sbin", to: "usr/sbin")
        let second = try made().warnings
        let rest = Self.traces.filter { !["etc/machine-id", "etc/resolv.conf"].contains($0) }
        #expect(traces(second).sorted() == rest.sorted())
        #expect(!second.contains { $0.contains("no init") })
    }

    @Test func whatOstreeHasDeployedHasItsInitElsewhere() throws {
        var tree = RootTree()
        try tree.put(.folder, RootTree.Attributes(permissions: 0o755), at: Array("ostree/deploy".utf8))
        #expect(RootMaking.lacks(of: tree, kernel: nil).isEmpty)
    }

    @Test func aSquashfsThatWasAppendedToIsRefused() throws {
        let folder = try TemporaryFolder()
        try folder.file("root/usr/lib/os-release", "1")
        let image = folder.path.appending("root.squashfs")
        for _ in 0..<2 {
            try HostProgram.makeSquashfs.run([
                folder.path.appending("root").string, image.string, "-quiet", "-no-progress", "-no-recovery",
            ])
        }
        let output = folder.path.appending("rootfs.img")
        let failure = #expect(throws: RootMaking.Failure.self) { try making(image).make(output) }
        #expect(failure.map { "\($0)" } == "\(image) holds two roots: /usr of the older, and the newer's as /usr_1")
        #expect(failure?.advice.first?.contains("-noappend") == true)
        #expect(!Files.exists(output))
    }

    @Test("modules are added to a squashfs with the same bytes each time", .enabled(if: geteuid() == 0))
    func modulesOfASquashfs() throws {
        let folder = try TemporaryFolder()
        try folder.file("modules/6.1.0/modules.dep", "")
        try folder.file("root/usr/lib/x", [UInt8](repeating: 1, count: 100_000))
        let image = folder.path.appending("root.squashfs")
        let words = ["-quiet", "-no-progress", "-comp", "gzip", "-b", "64K", "-mkfs-time", "100"]
        try HostProgram.makeSquashfs.run([folder.path.appending("root").string, image.string] + words)
        var making = making(image)
        making.host.modules = folder.path.appending("modules")
        making.kernel = "6.1.0"
        making.time = 5000
        let output = folder.path.appending("rootfs.img")
        /// What the superblock says: the time, and the number of the compression.
        func made() throws -> (bytes: [UInt8], time: [UInt8], compression: UInt8) {
            _ = try making.make(output)
            let bytes = try Files.read(output)
            return (bytes, Array(bytes[132..<136]), bytes[144])
        }
        let first = try made()
        #expect(first.time == [0x88, 0x13, 0, 0] && first.compression == 1)
        sleep(1)
        #expect(try made().bytes == first.bytes)
        let listing = try HostProgram.listSquashfs.run(["-UTC", "-quiet", "-ll", "-offset", "124", output.string]).text
        #expect(listing.split(separator: "\n").allSatisfy { $0.contains(" 1970-01-01 01:23 ") })
        making.isFast = true
        #expect(try made().compression == 6)
    }
}

@Suite struct Layouts {
    private func image(_ index: String, named name: String? = nil, _ folder: borrowing TemporaryFolder) throws
        -> ContainerImage
    {
        try folder.file("l/index.json", index)
        let archive = ImageArchive(folder: folder.path.appending("l"))
        return try ContainerImage(in: archive, named: name, architecture: "amd64")
    }

    /// Writes a blob; the descriptor that points to it.
    private func blob(_ text: String, _ folder: borrowing TemporaryFolder, more: String = "") throws -> String {
        let digest = hexadecimal(MessageDigest.sha256(Array(text.utf8)))
        try folder.file("l/blobs/sha256/\(digest)", text)
        return #"{"digest": "sha256:\#(digest)"\#(more)}"#
    }

    @Test(
        "digests that lead elsewhere",
        arguments: [
            "sha256:../../../etc/passwd", "sha256:", "md5:00", "sha512:\(String(repeating: "0", count: 64))", "",
            "sha256:\(String(repeating: "G", count: 64))",
        ])
    func digests(_ digest: String) throws {
        let folder = try TemporaryFolder()
        #expect(throws: ContainerImage.Failure.self) {
            try image(#"{"manifests": [{"digest": "\#(digest)"}]}"#, folder)
        }
    }

    @Test func theImageForThisMachineIsChosen() throws {
        let folder = try TemporaryFolder()
        let empty = #"{"layers": []}"#
        let mine = try blob(empty, folder, more: #", "platform": {"architecture": "amd64", "os": "linux"}"#)
        let other = try blob(
            #"{"layers": [1]}"#, folder, more: #", "platform": {"architecture": "s390x", "os": "linux"}"#)
        let inner = try blob(#"{"manifests": [\#(other), \#(mine)]}"#, folder)
        #expect(try image(#"{"manifests": [\#(inner)]}"#, folder).layers.isEmpty)
        #expect(throws: ContainerImage.Failure.noImage(folder.path.appending("l"))) {
            try image(#"{"manifests": [\#(other)]}"#, folder)
        }
    }

    @Test("an image whose own config is for another kind of machine is refused", arguments: [true, false])
    func otherMachines(_ isDocker: Bool) throws {
        let folder = try TemporaryFolder()
        func made(_ config: String) throws -> ContainerImage {
            if isDocker {
                try folder.file("l/c.json", config)
                try folder.file("l/manifest.json", #"[{"Config": "c.json", "Layers": ["1"]}]"#)
                let archive = ImageArchive(folder: folder.path.appending("l"))
                return try ContainerImage(in: archive, named: nil, architecture: "amd64")
            }
            let manifest = try blob(#"{"config": \#(blob(config, folder)), "layers": []}"#, folder)
            return try image(#"{"manifests": [\#(manifest)]}"#, folder)
        }
        for config in ["{}", #"{"architecture": "amd64", "os": "linux"}"#, #"{"architecture": "", "os": ""}"#] {
            #expect(throws: Never.self) { try made(config) }
        }
        for (config, kind) in [
            (#"{"architecture": "arm64", "os": "linux"}"#, "arm64"),
            (#"{"architecture": "amd64", "os": "windows"}"#, "windows"),
        ] {
            let failure = #expect(throws: ContainerImage.Failure.self) { try made(config) }
            let text = "\(folder.path)/l holds an image for \(kind), and this tool makes images for linux on amd64"
            #expect(failure.map { "\($0)" } == text)
        }
    }

    @Test func severalImagesTakeAName() throws {
        let folder = try TemporaryFolder()
        func named(_ name: String, _ contents: String) throws -> String {
            try blob(contents, folder, more: #", "annotations": {"org.opencontainers.image.ref.name": "\#(name)"}"#)
        }
        let index = try
            #"{"manifests": [\#(named("a", #"{"layers": []}"#)), \#(named("b", #"{"layers": [], "x": 1}"#))]}"#
        #expect(throws: ContainerImage.Failure.choice(folder.path.appending("l"), ["a", "b"])) {
            try image(index, folder)
        }
        #expect(try image(index, named: "b", folder).name == "b")
        #expect(throws: ContainerImage.Failure.unknownName(folder.path.appending("l"), "c", ["a", "b"])) {
            try image(index, named: "c", folder)
        }
    }

    @Test func anIndexThatHoldsItselfHasAnEnd() throws {
        let folder = try TemporaryFolder()
        // No digest can hold itself; five levels are as good.
        var inner = try blob(#"{"layers": []}"#, folder)
        for _ in 0..<6 { inner = try blob(#"{"manifests": [\#(inner)]}"#, folder) }
        #expect(throws: ContainerImage.Failure.self) { try image(#"{"manifests": [\#(inner)]}"#, folder) }
    }

    @Test func aLinkOutOfALayoutIsNotFollowed() throws {
        let folder = try TemporaryFolder()
        let secret = try folder.file("secret", "x")
        try folder.file("l/index.json", "{}")
        try folder.link("l/blobs", to: "..")
        try folder.link("l/direct", to: secret.string)
        let archive = ImageArchive(folder: folder.path.appending("l"))
        #expect(archive.place(of: "blobs/secret") == nil)
        #expect(archive.place(of: "direct") == nil)
        #expect(archive.place(of: "../secret") == nil)
    }
}
