import LinuxSystem
import SystemPackage
import Testing

@testable import InitramfsImage

@Suite struct ImageParts {
    @Test func foldersComeBeforeWhatTheyHold() {
        var tree = FileTree()
        tree.addText("etc/ssl/certs/bundle", "")
        tree.addLink("bin", to: "usr/bin")
        #expect(tree.members.map(\.path) == ["bin", "etc", "etc/ssl", "etc/ssl/certs", "etc/ssl/certs/bundle"])
        #expect(tree["etc/ssl"]?.content == .folder)
    }

    @Test("an xz stream that holds others as they are ends at its own end")
    func nestedStream() throws {
        func packed(_ bytes: [UInt8]) throws -> [UInt8] {
            try Compression.xz.program.run(["--stdout", "--check=crc32"], input: bytes).standardOutput
        }
        // Nothing of them can be made smaller.
        var state: UInt64 = 1
        let noise = (0..<40000).map { _ -> UInt8 in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(truncatingIfNeeded: state >> 56)
        }
        let inner = try packed(Array(noise.prefix(20000)))
        for shift in 0..<4 {
            let outer = try packed(noise.suffix(shift) + inner + noise.suffix(20000))
            #expect(Compression.xz.length(outer[...]) == outer.count, "\(shift)")
            #expect(Compression.xz.length((outer + inner)[...]) == outer.count, "\(shift)")
            #expect(Compression.xz.length(outer.dropLast(4)) == nil, "\(shift)")
        }
    }

    private func bundle(_ text: String, of file: FilePath) throws -> CertificateBundle {
        try CertificateBundle(Array(text.utf8), of: file)
    }

    @Test func certificatesAreTakenFromAPEMFileAndKeysAreNot() throws {
        let file = fixtures.appending("authority.pem")
        let text = String(decoding: try Files.read(file), as: UTF8.self)
        let key = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"
        var bundle = try self.bundle("# ours\n" + key + text.replacing("\n", with: "\r\n"), of: file)
        #expect(bundle.text == text)
        bundle.append(try CertificateBundle(reading: file))
        #expect(bundle.count == 2)
    }

    @Test func aCertificateIsNotLostForABlankBehindItsFirstLine() throws {
        let text = String(decoding: try Files.read(fixtures.appending("authority.pem")), as: UTF8.self)
        let blank = text.replacing("-----\n", with: "----- \t\n")
        let old = text.replacing("CERTIFICATE", with: "X509 CERTIFICATE")
        #expect(try bundle("\u{feff}" + blank + old + blank, of: "ca.pem").text == text + text + text)
        let request = text.replacing("CERTIFICATE", with: "CERTIFICATE REQUEST")
        #expect(try bundle(request + text, of: "ca.pem").count == 1)
        // Beside another, one that is written otherwise would go unnoticed.
        for odd in [
            text.replacing("CERTIFICATE", with: "TRUSTED CERTIFICATE"),
            text.replacing("-----BEGIN", with: " -----BEGIN"),
        ] {
            #expect(throws: CertificateBundle.Failure.malformed("ca.pem", line: text.split(separator: "\n").count + 1))
            {
                try bundle(text + odd, of: "ca.pem")
            }
        }
    }

    @Test func aFileWithoutAWholeCertificateIsRefused() throws {
        let text = String(decoding: try Files.read(fixtures.appending("authority.pem")), as: UTF8.self)
        let lines = text.split(separator: "\n").map(String.init)
        func refusal(_ lines: [String]) -> CertificateBundle.Failure? {
            #expect(throws: CertificateBundle.Failure.self) {
                try bundle(lines.joined(separator: "\n"), of: "ca.pem")
            }
        }
        #expect(refusal(["hello"]) == .empty("ca.pem"))
        #expect(refusal(Array(lines.dropLast())) == .malformed("ca.pem", line: lines.count - 1))
        var shorter = lines
        shorter.remove(at: 2)
        #expect(refusal(shorter) == .malformed("ca.pem", line: shorter.count))
    }

    @Test func anInclusionGoesWhereItsPathLeads() throws {
        let folder = try TemporaryFolder()
        try folder.file("tree/sub/data", [1])
        try folder.file("tool", Array("#!/bin/sh\n".utf8), mode: 0o755)
        var root = FileTree()
        var usr = FileTree()
        try Inclusion(parsing: "\(folder.path)/tree:/opt/x").add(to: &root, and: &usr)
        // /sbin is a link into /usr.
        try Inclusion(parsing: "\(folder.path)/tool:/sbin/tool").add(to: &root, and: &usr)
        #expect(root.members.map(\.path) == ["opt", "opt/x", "opt/x/sub", "opt/x/sub/data"])
        #expect(usr.members.map(\.path) == ["sbin", "sbin/tool"])
        #expect(usr["sbin/tool"]?.permissions == 0o755)
    }

    @Test func whatStandsBelowALinkIsRefused() throws {
        let folder = try TemporaryFolder()
        try Files.makeFolder(folder.path.appending("outside"))
        try Files.makeFolder(folder.path.appending("links"))
        try Files.makeLink(folder.path.appending("links/share"), to: folder.path.appending("outside").string)
        try folder.file("data", [1])
        for place in ["/usr", "/opt"] {
            var root = FileTree()
            var usr = FileTree()
            try Inclusion(parsing: "\(folder.path)/links:\(place)").add(to: &root, and: &usr)
            try Inclusion(parsing: "\(folder.path)/data:\(place)/share/data").add(to: &root, and: &usr)
            let packing = Packing(time: 0, first: [], isFast: true)
            let wanted = FileTree.Failure.notFolder(
                "\(place.dropFirst())/share", holds: "\(place.dropFirst())/share/data")
            #expect(throws: wanted) {
                try packing.write(
                    root: root, own: FileTree(), usr: usr, to: folder.path.appending("image"), isPrivate: false)
            }
            #expect(Files.names(in: folder.path.appending("outside")) == [], "a file of \(place) was laid outside")
        }
    }

    @Test func aLinkDoesNotTakeThePlaceOfAFolderOfTheImage() throws {
        let folder = try TemporaryFolder()
        try folder.file("data", [1])
        try Files.makeLink(folder.path.appending("tree/lib"), to: "/")
        var root = FileTree()
        var usr = FileTree()
        usr.addText("lib/modules/list", "text")
        try Inclusion(parsing: "\(folder.path)/tree:/usr").add(to: &root, and: &usr)
        #expect(throws: FileTree.Failure.notFolder("usr/lib", holds: "usr/lib/modules")) { try usr.check(at: "usr/") }
        #expect(throws: Inclusion.Failure.self) {
            try Inclusion(parsing: "\(folder.path)/data:/usr").add(to: &root, and: &usr)
        }
    }

    @Test("an inclusion names a source and an absolute path", arguments: ["a", "a:b", ":/b", "a:/"])
    func malformedInclusion(_ text: String) {
        #expect(throws: Inclusion.Failure.malformed(text)) { try Inclusion(parsing: text) }
    }

    @Test func busyboxLeavesOurNamesAlone() {
        #expect(BusyboxApplets.names(in: "[\ninit\nls\nmkfs.ext2\nmkswap\nsh\n") == ["[", "ls", "sh"])
    }

    @Test func aZstandardFrameEndsWithItsLastBlock() throws {
        let archive = try HostProgram.zstd.run(["-q", "-c"], input: [UInt8](repeating: 7, count: 300_000))
            .standardOutput
        #expect(ZstandardFrame.length((archive + [0, 0, 1])[...]) == archive.count)
        #expect(ZstandardFrame.length(archive.dropLast()) == nil)
        #expect(ZstandardFrame.length([1, 2, 3, 4, 5, 6]) == nil)
    }
}

@Suite struct Listing {
    private let listing = ImageListing(
        name: "initramfs.img", size: 12 << 20,
        parts: [
            .init(
                compression: "zstd", stored: 7 << 20,
                files: [
                    .init(path: "/config.ign", size: 900), .init(path: "/early/loop.ko", size: 80_000),
                    .init(path: "/init", size: 20 << 20),
                ], mountPoint: nil),
            .init(
                compression: "squashfs", stored: 5 << 20,
                files: [
                    .init(path: "/usr/bin/busybox", size: 1 << 20),
                    .init(path: "/usr/lib/modules/6.1.0/kernel/drivers/net/virtio_net.ko", size: 150_000),
                    .init(path: "/usr/lib/modules/6.1.0/kernel/drivers/usb/storage/uas.ko", size: 50_000),
                    .init(path: "/usr/lib/modules/6.1.0/modules.dep", size: 500),
                    .init(path: "/usr/lib/x86_64-linux-gnu/libc.so.6", size: 2 << 20),
                ], mountPoint: "/usr"),
        ])

    @Test func everyPartHasItsSize() throws {
        let text = String(decoding: try Files.read(fixtures.appending("listing.txt")), as: UTF8.self)
        #expect(listing.summary + "\n" == text)
        #expect(listing.summary.split(separator: "\n").allSatisfy { $0.count <= 80 })
    }

    @Test func everyFileHasItsSize() {
        #expect(listing.files.split(separator: "\n").count == 8)
        #expect(listing.files.hasPrefix("       900  /config.ign\n"))
    }

    @Test func whatUnsquashfsPrintsIsRead() {
        let text = """
            drwxr-xr-x 0/0                      75 1970-01-01 00:00 squashfs-root
            drwxr-xr-x 0/0                    3600 1970-01-01 00:00 squashfs-root/bin
            lrwxrwxrwx 0/0                       7 1970-01-01 00:00 squashfs-root/bin/ls -> busybox
            -rwxr-xr-x 0/0                 1982256 1970-01-01 00:00 squashfs-root/bin/busy box
            """
        #expect(
            ImageListing.files(inSquashfs: text) == [
                .init(path: "/usr/bin/ls", size: 7), .init(path: "/usr/bin/busy box", size: 1_982_256),
            ])
    }
}
