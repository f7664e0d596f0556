import KernelModules
import Testing

@testable import InitramfsImage

@Suite struct ChoosingDriversOfCards {
    private let folder = "kernel/drivers"

    private func chosen(_ dependencies: String, _ aliases: String) -> [String] {
        let index = KernelModuleIndex(
            dependencies: Array(dependencies.utf8), aliases: Array(aliases.utf8), softDependencies: [], builtin: [])
        return CardDrivers(among: index.paths, in: index).paths.sorted()
    }

    @Test("a driver of PCI goes with the modules that nobody else needs")
    func cardsGo() {
        let found = chosen(
            """
            \(folder)/scsi/hba.ko: \(folder)/scsi/libhba.ko \(folder)/scsi/scsi_mod.ko
            \(folder)/scsi/libhba.ko:
            \(folder)/scsi/scsi_mod.ko:
            \(folder)/scsi/sd_mod.ko: \(folder)/scsi/scsi_mod.ko

            """, "alias pci:v00001000d* hba\nalias oldhba hba\nalias scsi:t-0x00* sd_mod\n")
        #expect(found == ["\(folder)/scsi/hba.ko", "\(folder)/scsi/libhba.ko"])
    }

    @Test("a network card goes whatever it is plugged into; what makes interfaces of others stays")
    func networkCardsGo() {
        let found = chosen(
            """
            \(folder)/net/usb/r8152.ko:
            \(folder)/net/bonding/bonding.ko:
            \(folder)/net/tun.ko:
            \(folder)/usb/storage/uas.ko:

            """,
            "alias usb:v0BDAp8152* r8152\nalias rtnl-link-bond bonding\nalias devname:net/tun tun\nalias usb:v* uas\n")
        #expect(found == ["\(folder)/net/usb/r8152.ko"])
    }

    @Test("a part that a card's driver asks for by name goes with it")
    func partsGo() {
        let net = "\(folder)/net/ethernet"
        let found = chosen(
            """
            \(net)/mlx4/core.ko:
            \(net)/mlx4/en.ko: \(net)/mlx4/core.ko
            \(folder)/md/raid1.ko: \(folder)/md/md_mod.ko
            \(folder)/md/md_mod.ko:

            """, "alias pci:v* core\n")
        #expect(found == ["\(net)/mlx4/core.ko", "\(net)/mlx4/en.ko"])
    }

    @Test("what something else needs stays, and so does what is asked for by its name alone")
    func whatOthersNeedStays() {
        let found = chosen(
            """
            \(folder)/nvme/nvme.ko:
            \(folder)/nvme/fabrics.ko: \(folder)/nvme/nvme.ko
            kernel/fs/xfs/xfs.ko:

            """, "alias pci:v* nvme\nalias devname:nvme-fabrics fabrics\n")
        #expect(found.isEmpty)
    }
}
