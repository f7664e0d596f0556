import Foundation
import Testing

@testable import KernelModules

private let folder = URL(filePath: #filePath).deletingLastPathComponent()
    .appending(path: "../../Fixtures/hardware/modules").standardized

/// Debian's index of some of its modules.
private func index() throws -> KernelModuleIndex {
    func text(_ name: String) throws -> [UInt8] { Array(try Data(contentsOf: folder.appending(path: name))) }
    return KernelModuleIndex(
        dependencies: try text("modules.dep"), aliases: try text("modules.alias"),
        softDependencies: try text("modules.softdep"), builtin: try text("modules.builtin"))
}

@Suite struct ModuleIndexTests {
    @Test(
        "a path names a module",
        arguments: [
            ("kernel/fs/ext4/ext4.ko", "ext4"), ("kernel/drivers/char/hw_random/virtio-rng.ko.xz", "virtio_rng"),
            ("extra/a.b-c.ko.zst", "a"), ("loop.ko", "loop"), ("", ""),
        ])
    func name(_ path: String, _ name: String) {
        #expect(KernelModuleIndex.name(ofPath: path) == name)
    }

    @Test func dashesAndUnderscoresAreAlike() throws {
        let index = try index()
        #expect(index.path(of: "dm-crypt") == "kernel/drivers/md/dm-crypt.ko")
        #expect(index.path(of: "dm_crypt") == "kernel/drivers/md/dm-crypt.ko")
        #expect(index.path(of: "virtio-blk") == "kernel/drivers/block/virtio_blk.ko")
        #expect(index.path(of: "dm") == nil)
        #expect(index.modules(matching: "nls_base").isEmpty)
        #expect(index.isBuiltin("nls-base") && !index.isBuiltin("ext4"))
    }

    /// What kmod 30's `modprobe --resolve-alias` says.
    @Test(
        "modules for a device",
        arguments: [
            ("pci:v00001AF4d00001001sv00001AF4sd00000002bc01sc00i00", ["virtio_pci"]),
            ("virtio:d00000002v00001AF4", ["virtio_blk"]),
            ("virtio:d00000001v00001AF4", ["virtio_net"]),
            // By class, not by maker.
            ("pci:v0000144Dd0000A80Asv0000144Dsd0000A801bc01sc08i02", ["nvme"]),
            ("pci:v00001B36d0000000Dsv00001AF4sd00001100bc0Csc03i30", ["xhci_pci"]),
            // Both bid for it; both are loaded.
            ("usb:v46F4p0001d0000dc00dsc00dp00ic08isc06ip50in00", ["uas", "usb_storage"]),
            ("usb:v13FDp3940d0150dc00dsc00dp00ic08isc06ip62in00", ["uas", "usb_storage"]),
            ("usb:v13FDp3940d0350dc00dsc00dp00ic08isc06ip62in00", ["uas"]),
            ("scsi:t-0x00", ["sd_mod"]), ("scsi:t-0x05", ["sr_mod"]),
            ("fs-ext4", ["ext4"]), ("fs_ext4", ["ext4"]),
            ("crypto-crc32c", ["crc32c_intel", "crc32c_generic"]),
            ("acpi:PNP0A03:", []), ("pci:", []), ("", []),
        ])
    func modules(_ modalias: String, _ modules: [String]) throws {
        #expect(try index().modules(matching: modalias) == modules)
    }

    @Test func whatIsNeededComesFirst() throws {
        #expect(
            try index().loadOrder(of: "virtio_pci").map(KernelModuleIndex.name(ofPath:)) == [
                "virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci",
            ])
        #expect(try index().loadOrder(of: "loop") == ["kernel/drivers/block/loop.ko"])
        #expect(try index().loadOrder(of: "missing").isEmpty)
        #expect(try index().loadOrder(of: "nls_base").isEmpty)
    }

    @Test func everyOrderHoldsForEveryModule() throws {
        let index = try index()
        for path in index.paths {
            let order = index.loadOrder(of: KernelModuleIndex.name(ofPath: path))
            for (position, module) in order.enumerated() {
                for need in index.dependencies(of: KernelModuleIndex.name(ofPath: module)) {
                    #expect(order[..<position].contains(need), "\(module) before \(need)")
                }
            }
        }
    }

    @Test func softDependenciesComeBeforeOrAfter() throws {
        let index = try index()
        let ext4 = index.loadOrder(of: "ext4").map(KernelModuleIndex.name(ofPath:))
        #expect(ext4 == ["crc32c_intel", "crc32c_generic", "jbd2", "mbcache", "crc16", "ext4"])
        let ipmi = index.loadOrder(of: "ipmi_msghandler").map(KernelModuleIndex.name(ofPath:))
        #expect(ipmi == ["ipmi_msghandler", "ipmi_devintf"])
        // All lines of a module count, not only its first.
        let btrfs = index.loadOrder(of: "btrfs").map(KernelModuleIndex.name(ofPath:))
        #expect(Set(["blake2b_generic", "sha256_ssse3", "xxhash_generic", "crc32c_intel"]).isSubset(of: btrfs))
    }

    @Test func circlesOfSoftDependenciesEnd() {
        let index = KernelModuleIndex(
            dependencies: Array("a.ko:\nb.ko: a.ko\n".utf8), aliases: [],
            softDependencies: Array("softdep a pre: b\nsoftdep b post: a\n".utf8), builtin: [])
        #expect(index.loadOrder(of: "a") == ["b.ko", "a.ko"])
    }

    @Test func aClosureNamesEachModuleOnce() throws {
        let paths = try index().closure(of: ["nvme", "sd_mod", "nvme"])
        #expect(Set(paths).count == paths.count)
        #expect(paths.last == "kernel/drivers/scsi/sd_mod.ko")
    }

    @Test func aSubsetKnowsItsOwnModulesAlone() throws {
        let whole = try index()
        let paths = whole.closure(of: ["ext4", "virtio_net"])
        let texts = whole.subset(of: paths)
        let part = KernelModuleIndex(
            dependencies: texts.dependencies, aliases: texts.aliases, softDependencies: texts.softDependencies,
            builtin: [])
        #expect(Set(part.paths) == Set(paths))
        #expect(part.closure(of: ["ext4", "virtio_net"]) == paths)
        #expect(part.modules(matching: "virtio:d00000001v00001AF4") == ["virtio_net"])
        #expect(part.modules(matching: "virtio:d00000002v00001AF4").isEmpty)
    }

    @Test(
        "patterns match as fnmatch(3) does",
        arguments: [
            ("usb:v1d[0-2]*", "usb:v1d15", true), ("usb:v1d[0-2]*", "usb:v1d35", false), ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false), ("*", "", true), ("?", "", false), ("[!a]", "b", true), ("[!a]", "a", false),
            ("[]]", "]", true), ("[", "[", true), ("a-b", "a_b", true), ("a[-_]b", "a-b", true), ("", "", true),
            ("a**", "a", true), ("*aab", "aaaab", true),
        ])
    func glob(_ pattern: String, _ text: String, _ expected: Bool) {
        #expect(globMatches(Array(pattern.utf8)[...], Array(text.utf8)[...]) == expected)
    }
}
