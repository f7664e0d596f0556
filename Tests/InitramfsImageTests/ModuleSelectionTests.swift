import KernelModules
import LinuxSystem
import SystemPackage
import Testing

@testable import InitramfsImage

@Suite struct ModuleSelecting {
    /// Names of what is chosen, without what every image has.
    private func chosen(_ text: String) throws -> Set<String> {
        let base: Set = ["loop", "squashfs", "xfs", "libcrc32c", "crc32c_intel"]
        let names = try ModuleSelection(parsing: text).paths(in: moduleIndex()).map(KernelModuleIndex.name(ofPath:))
        #expect(base.isSubset(of: names))
        return Set(names).subtracting(base)
    }

    @Test func virtioTakesVirtioAlone() throws {
        #expect(try chosen("virtio") == ["virtio", "virtio_ring", "virtio_blk"])
    }

    @Test func genericTakesNetworkCardsButNoWirelessNorNetworkFilesystems() throws {
        #expect(
            try chosen("generic") == [
                "virtio", "virtio_ring", "virtio_blk", "e1000", "e1000e", "ptp", "r8169", "realtek",
            ])
    }

    @Test("every initramfs for any machine has what a platform is asked through, and what its discs are read with")
    func platforms() throws {
        let tree = FilePath(#filePath).removingLastComponent().removingLastComponent().removingLastComponent()
        let scripts = ["dracut/50firstlight/module-setup.sh", "Sources/InitramfsTools/hooks/firstlight"]
        let lists = try scripts.map { path in
            Set(String(decoding: try Files.read(tree.appending(path)), as: UTF8.self).split { $0 == " " || $0 == "\n" })
        }
        let own = Set((ModuleSets.base + ModuleSets.generic).map { Substring($0) })
        for name in ["qemu_fw_cfg", "hv_utils", "vboxguest", "vmw_vsock_virtio_transport", "isofs", "udf", "vfat"] {
            for list in lists + [own] { #expect(list.contains(Substring(name)), "\(name)") }
        }
    }

    @Test func allTakesWhatThereIs() throws {
        let all = Set(try moduleIndex().paths.map(KernelModuleIndex.name(ofPath:)))
        let chosen = { try ModuleSelection(parsing: $0).paths(in: moduleIndex()).map(KernelModuleIndex.name(ofPath:)) }
        #expect(Set(try chosen("all")) == all)
        #expect(Set(try chosen("all,-nfs")) == all.subtracting(["nfs"]))
    }

    @Test func aListOfNamesFoldersAndExceptions() throws {
        #expect(try chosen("@drivers/net/ethernet/intel,-e1000") == ["e1000e", "ptp"])
        #expect(try chosen("@drivers/net/ethernet,-@drivers/net/ethernet/intel") == ["r8169", "realtek"])
        #expect(try chosen("virtio_blk,fs-nfs") == ["virtio", "virtio_ring", "virtio_blk", "nfs"])
        #expect(try chosen("virtio,-virtio_blk") == [])
    }

    @Test func whatIsNeededComesFirst() throws {
        let paths = try ModuleSelection(parsing: "virtio").paths(in: moduleIndex())
        let places = ["virtio/virtio", "virtio/virtio_ring", "block/virtio_blk"].map {
            paths.firstIndex(of: "kernel/drivers/\($0).ko")
        }
        #expect(places == places.sorted { ($0 ?? 0) < ($1 ?? 0) })
        #expect(!places.contains(nil))
    }

    @Test func whatTheKernelContainsIsNoMistake() throws {
        #expect(try chosen("af_packet") == [])
    }

    @Test func aWrongWordIsRefusedWithTheNearestModule() {
        #expect(throws: ModuleSelection.Failure.unknown("virtio_blc", nearest: "virtio_blk")) {
            try chosen("virtio_blc")
        }
        #expect(throws: ModuleSelection.Failure.emptyFolder("drivers/nett")) { try chosen("@drivers/nett") }
        #expect(throws: ModuleSelection.Failure.empty) { try chosen("") }
    }

    @Test func aCompressedModuleLosesItsEnding() {
        #expect(ModuleFile.plainPath("kernel/fs/xfs/xfs.ko.zst") == "kernel/fs/xfs/xfs.ko")
        #expect(!ModuleFile.isCompressed("kernel/fs/xfs/xfs.ko"))
        let index = "kernel/fs/xfs/xfs.ko.xz: kernel/lib/libcrc32c.ko.xz kernel/lib/a.ko.xz\nkernel/lib/a.ko.xz:\n"
        #expect(
            ModuleFile.plainPaths(inIndex: Array(index.utf8))
                == Array("kernel/fs/xfs/xfs.ko: kernel/lib/libcrc32c.ko kernel/lib/a.ko\nkernel/lib/a.ko:\n".utf8))
    }

    @Test func versionsAreInTheOrderOfTheirNumbers() {
        let versions = ["6.1.0-9-amd64", "6.1.0-56-amd64", "6.10.3", "5.10.0-28-amd64", "6.1.0-56-amd64-rt"]
        #expect(
            versions.sorted(by: isOlder) == [
                "5.10.0-28-amd64", "6.1.0-9-amd64", "6.1.0-56-amd64", "6.1.0-56-amd64-rt", "6.10.3",
            ])
    }
}

@Suite struct ModuleReasons {
    @Test func eachModuleHasAReason() throws {
        let index = try moduleIndex()
        let selection = try ModuleSelection(parsing: "virtio,@fs")
        let reasons = try selection.reasons(in: index)
        #expect(reasons.map(\.path) == (try selection.paths(in: index)))
        func reason(_ name: String) -> String? { reasons.first { $0.path.hasSuffix("/\(name).ko") }?.text }
        #expect(reason("loop") == "every image: loop")
        #expect(reason("virtio_blk") == "virtio: virtio_blk")
        #expect(reasons.contains { $0.text.hasPrefix("needed by ") })
        #expect(!reasons.contains { $0.text == "needed by others" })
    }
}
