import BootArguments
import Encoding
import Fetching
import IgnitionConfig
import LiveImage
import LiveRoot
import NetworkPlanning
import Networking
import ProvisioningEngine
import Reporting
import SystemPackage
import Testing

@testable import Boot
@testable import Devices

/// The whole page that a stopped boot shows, for failures of which only the words differ. That a boot stops, shows
/// the page and does what the operator wants is tested by booting.
@Suite("what the operator reads when the boot has stopped")
struct FailureReportTests {
    /// As the console shows it where the command line says `rd.emergency=poweroff`.
    private func page(_ stage: BootStage, _ steps: String..., cause: any Error) -> String {
        let failure = BootFailure(steps: [stage.act] + steps, cause: cause)
        let next = EmergencyAction.powerOff.announcement(console: "ttyS0", hasShell: true)
        return FailureReport(failure, written: [], next: next).lines.joined(separator: "\n")
    }

    private func expect(
        _ page: String, _ wanted: String, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(page == wanted, sourceLocation: sourceLocation)
        #expect(page.split(separator: "\n").allSatisfy { $0.count <= 80 }, sourceLocation: sourceLocation)
    }

    // MARK: A root that ostree deploys

    @Test func anImageInWhichNothingIsDeployed() {
        expect(
            page(.root, cause: OSTreeDeployment.Failure.none),
            """
            firstlight stopped: the root image has an ostree repository but no deployment
              while setting up the root
              Nothing was written to any disk.
              Deploy it when the image is made:
              ostree admin deploy --sysroot=ROOT --os=NAME REF
              Log: /run/firstlight/log. Powering off (rd.emergency=poweroff).
            """)
    }

    @Test func anImageWithTwoDeployments() {
        let links = ["/ostree/boot.1/one/0d5e/0", "/ostree/boot.1/two/8f3a/0"]
        expect(
            page(.root, cause: OSTreeDeployment.Failure.several(links)),
            """
            firstlight stopped: the root image has 2 ostree deployments to boot
              while setting up the root
              Nothing was written to any disk.
              Leave one of them in the image:
              /ostree/boot.1/one/0d5e/0
              /ostree/boot.1/two/8f3a/0
              Log: /run/firstlight/log. Powering off (rd.emergency=poweroff).
            """)
    }

    @Test func anImageThatCannotMakeARootOfItsDeployment() {
        expect(
            page(.root, cause: OSTreeRoot.Failure.noProgram),
            """
            firstlight stopped: the root image has no /usr/lib/ostree/ostree-prepare-root
              while setting up the root
              Nothing was written to any disk.
              On Debian the package ostree-boot has it, on Fedora the package ostree.
              Log: /run/firstlight/log. Powering off (rd.emergency=poweroff).
            """)
    }

    // MARK: Network

    @Test func aMachineWithoutANetworkCard() {
        expect(
            page(.network, cause: NetworkFailure.noInterface([])),
            """
            firstlight stopped: this machine has no network interface
              while bringing up the network
              Nothing was written to any disk.
              Check that the network card is enabled in the firmware or the hypervisor.
              Log: /run/firstlight/log. Powering off (rd.emergency=poweroff).
            """)
    }

    @Test func aNetworkOnWhichNobodyAnswers() {
        expect(
            page(.network, cause: NetworkFailure.noAnswer([NetworkAttempt("ens2", .noLease, seconds: 8)])),
            """
            firstlight stopped: no DHCP answer on ens2 within 8 s
              while bringing up the network
              Nothing was written to any disk.
              Check the DHCP server and the VLAN of the switch port, or give an address:
              ip=CLIENT::GATEWAY:NETMASK::IFACE:none nameserver=IP
              Log: /run/firstlight/log. Powering off (rd.emergency=poweroff).
            """)
    }

    @Test func anInterfaceThatIsNotThere() throws {
        let arguments = BootArguments("rd.neednet=1 ip=ens9:dhcp")
        let asked = try #require(arguments.network.ip.first?.interface)
        expect(
            page(
                .network,
                cause: NetworkFailure.missing([asked], present: ["ens16 (eth0)", "ens17 (eth1)"])),
            """
            firstlight stopped: there is no network interface ens9; there are ens16 (eth0),
              ens17 (eth1)
              while bringing up the network
              Nothing was written to any disk.
              Name an interface that is there, or give its MAC address: ip=MAC:dhcp
              Log: /run/firstlight/log. Powering off (rd.emergency=poweroff).
            """)
    }

    @Test func aCardThatNoDriverIsFor() {
        let cards = [
            "ens2 (eth0): driver virtio_net, carrier, no DHCP answer", "PCI 0000:00:04.0 (8086:100e): no driver",
        ]
        expect(
            page(
                .network,
                cause: NetworkFailure.noAnswer([NetworkAttempt("ens2", .noLease, seconds: 8)], cards: cards)),
            """
            firstlight stopped: no DHCP answer on ens2 within 8 s
              while bringing up the network
              Nothing was written to any disk.
              ens2 (eth0): driver virtio_net, carrier, no DHCP answer
              PCI 0000:00:04.0 (8086:100e): no driver
              Check the DHCP server and the VLAN of the switch port, or give an address:
              ip=CLIENT::GATEWAY:NETMASK::IFACE:none nameserver=IP
              Log: /run/firstlight/log. Powering off (rd.emergency=poweroff).
            """)
    }

    @Test func aCardThatIsNoEthernet() {
        let card = NetworkInterface(name: "ib0", index: 2, mac: nil, isWired: false, otherKind: "InfiniBand")
        expect(
            page(.network, cause: NetworkFailure.notEthernet([card])),
            """
            firstlight stopped: ib0 is InfiniBand, which is not supported
              while bringing up the network
              Nothing was written to any disk.
              Name an Ethernet card: ip=IFACE:dhcp. The real root can set up the rest.
              Log: /run/firstlight/log. Powering off (rd.emergency=poweroff).
            """)
    }

    @Test func whatCanBeNoInterface() throws {
        let arguments = BootArguments("rd.neednet=1 ip=a-name-of-a-card-too-long:dhcp")
        expect(
            page(.network, cause: NetworkFailure.argument(try #require(arguments.problem(in: .network)))),
            """
            firstlight stopped: ip=a-name-of-a-card-too-long:dhcp:
              "a-name-of-a-card-too-long" is not an interface
              while bringing up the network
              Nothing was written to any disk.
              Name a card by at most 15 bytes, or by a MAC address of six. InfiniBand,
              whose addresses have 20, is not supported.
              Log: /run/firstlight/log. Powering off (rd.emergency=poweroff).
            """)
    }

    @Test func aChannelDevice() throws {
        let arguments = BootArguments("rd.neednet=1 rd.znet=qeth,0.0.0600,0.0.0601 ip=eth0:dhcp")
        expect(
            page(.network, cause: NetworkFailure.argument(try #require(arguments.problem(in: .network)))),
            """
            firstlight stopped: rd.znet=qeth,0.0.0600,0.0.0601: not supported
              while bringing up the network
              Nothing was written to any disk.
              Give a card of another kind: ip=IFACE:dhcp. The real root can set up the rest.
              Log: /run/firstlight/log. Powering off (rd.emergency=poweroff).
            """)
    }

    // MARK: URLs that name the machine

    @Test func aValueThatNoMachineHas() throws {
        let arguments = BootArguments("ignition.config.url=http://10.0.2.2/ignition?uuid=${uiud}")
        expect(
            page(.findConfig, cause: try #require(arguments.problem(in: .boot))),
            """
            firstlight stopped: ignition.config.url=http://10.0.2.2/ignition: ${uiud} is not
              known; did you mean ${uuid}?
              while looking for a config
              Nothing was written to any disk.
              Where a URL is to have ${ itself, write %24%7B.
              Log: /run/firstlight/log. Powering off (rd.emergency=poweroff).
            """)
    }

    @Test func aValueThatThisMachineHasNot() {
        let facts = MachineFacts(serial: "Default string")
        let failure = #expect(throws: MachineFacts.Missing.self) { try facts.value(.serial) }
        let problem = ArgumentProblem(
            .boot, "coreos.live.rootfs_url=http://10.0.2.2/rootfs.img", failure.map { "\($0)" } ?? "",
            advice: failure?.advice ?? [])
        expect(
            page(.findConfig, cause: problem),
            """
            firstlight stopped: coreos.live.rootfs_url=http://10.0.2.2/rootfs.img:
              ${serial}: "Default string" is not this machine's own: many have it
              while looking for a config
              Nothing was written to any disk.
              Tell the machines apart by another of ${uuid}, ${mac}, ${serial}, ${hostname}.
              Log: /run/firstlight/log. Powering off (rd.emergency=poweroff).
            """)
    }

    // MARK: Root image

    @Test func aURLThatLeadsToNothing() {
        expect(
            page(
                .rootImage, cause: RootImageError.transfer(source: "http://10.0.2.2:29246/missing.img", .status(404))),
            """
            firstlight stopped: http://10.0.2.2:29246/missing.img: HTTP status 404 (not
              found)
              while getting the root filesystem
              Nothing was written to any disk.
              Check the URL: the server has nothing there.
              Log: /run/firstlight/log. Powering off (rd.emergency=poweroff).
            """)
    }

    @Test func aCertificateThatNobodyVouchesFor() {
        let fault = TransferFault.certificate("SSL certificate problem: self-signed certificate")
        expect(
            page(.rootImage, cause: RootImageError.transfer(source: "https://10.0.2.2:29253/root.squashfs", fault)),
            """
            firstlight stopped: https://10.0.2.2:29253/root.squashfs: the server's
              certificate is not trusted (SSL certificate problem: self-signed certificate)
              while getting the root filesystem
              Nothing was written to any disk.
              Check the clock of this machine, and that the initramfs or
                ignition.security.tls has the server's CA.
              Log: /run/firstlight/log. Powering off (rd.emergency=poweroff).
            """)
    }

    @Test func anImageThatIsNotTheInitramfss() {
        let mismatch = StreamHashMismatch.chunk(index: 0, offset: 0)
        expect(
            page(.rootImage, cause: RootImageError.wrongChunk(source: "http://10.0.2.2:29247/rootfs.img", mismatch)),
            """
            firstlight stopped: http://10.0.2.2:29247/rootfs.img is not the root image that
              belongs to this initramfs: chunk 1, at byte 0, has another SHA-256 than wanted
              while getting the root filesystem
              Nothing was written to any disk.
              Serve kernel, initramfs and rootfs.img of one and the same build.
              If they are: the file is damaged on the server or on its way.
              Log: /run/firstlight/log. Powering off (rd.emergency=poweroff).
            """)
    }

    @Test func anImageWithAnotherHashThanTheCommandLines() {
        let wanted = [UInt8](repeating: 0, count: 31) + [1]
        expect(
            page(
                .rootImage,
                cause: RootImageError.wrongHash(
                    source: "http://10.0.2.2:29248/root.squashfs", wanted: wanted,
                    found: [UInt8](repeating: 0xa5, count: 32))),
            """
            firstlight stopped: http://10.0.2.2:29248/root.squashfs has another SHA-256 than
              wanted: a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5, not
              0000000000000000000000000000000000000000000000000000000000000001
              while getting the root filesystem
              Nothing was written to any disk.
              Check firstlight.rootfs_sha256=, or serve the file that it belongs to.
              Log: /run/firstlight/log. Powering off (rd.emergency=poweroff).
            """)
    }

    @Test func anAppendedImageOfAnotherBuild() {
        let failure = RootImageError.wrongVersion(
            source: "/etc/coreos-live-rootfs", found: "1.2026.11", initramfs: "9.other")
        expect(
            page(.rootImage, cause: failure),
            """
            firstlight stopped: /etc/coreos-live-rootfs is of version 1.2026.11, the
              initramfs of version 9.other
              while getting the root filesystem
              Nothing was written to any disk.
              Serve kernel, initramfs and rootfs.img of one and the same build.
              Log: /run/firstlight/log. Powering off (rd.emergency=poweroff).
            """)
    }

    @Test func anImageOfAnotherBuildFromAServer() {
        let failure = RootImageError.wrongVersion(
            source: "http://10.0.2.2:29249/rootfs.img", found: "1.2026.11", initramfs: "9.other")
        expect(
            page(.rootImage, cause: failure),
            """
            firstlight stopped: http://10.0.2.2:29249/rootfs.img is of version 1.2026.11,
              the initramfs of version 9.other
              while getting the root filesystem
              Nothing was written to any disk.
              Serve kernel, initramfs and rootfs.img of one and the same build.
              Log: /run/firstlight/log. Powering off (rd.emergency=poweroff).
            """)
    }

    @Test func anImageThatDoesNotFitIntoTheRAM() {
        let failure = RootImageError.tooLittleMemory(image: 700 << 20, needed: 724 << 20, available: 262 << 20)
        expect(
            page(.rootImage, cause: failure),
            """
            firstlight stopped: too little RAM: the root image takes 700 MiB, the boot 724
              MiB with it, and 262 MiB are free
              while getting the root filesystem
              Nothing was written to any disk.
              Give the machine 481 MiB more RAM, or a smaller image.
              Log: /run/firstlight/log. Powering off (rd.emergency=poweroff).
            """)
    }

    @Test func anArchiveThatEndsEarly() {
        let fault = RootImageFault.archive(.endsEarly(offset: 655_701, member: "root.squashfs"))
        expect(
            page(.rootImage, cause: RootImageError.unusable(source: "http://10.0.2.2:44051/rootfs.img", fault)),
            """
            firstlight stopped: http://10.0.2.2:44051/rootfs.img is not a root image: the
              archive ends at byte 655701, inside root.squashfs
              while getting the root filesystem
              Nothing was written to any disk.
              Check the URL: it must lead to a rootfs.img, or to a bare squashfs or erofs
                image.
              Log: /run/firstlight/log. Powering off (rd.emergency=poweroff).
            """)
    }

    @Test func aPageInPlaceOfAnImage() {
        let fault = RootImageFault.unknown(what: "an HTML or XML page")
        expect(
            page(.rootImage, cause: RootImageError.unusable(source: "http://10.0.2.2:29251/rootfs.img", fault)),
            """
            firstlight stopped: http://10.0.2.2:29251/rootfs.img is not a root image: this
              is an HTML or XML page
              while getting the root filesystem
              Nothing was written to any disk.
              Check the URL: it must lead to a rootfs.img, or to a bare squashfs or erofs
                image.
              Log: /run/firstlight/log. Powering off (rd.emergency=poweroff).
            """)
    }

    // MARK: Config

    @Test func aConfigWithASyntaxError() throws {
        let text = "{\n  \"ignition\": { \"version\": \"3.4.0\" },\n  \"storage\": { \"files\": [ }\n}\n"
        let parsed = IgnitionConfig.parse(Array(text.utf8), name: "config.ign")
        let failure = #expect(throws: InvalidConfig.self) { try parsed.checked() }
        expect(
            page(
                .fetchConfig, "reading the config from http://10.0.2.2:29252/config.ign", cause: try #require(failure)),
            """
            firstlight stopped: config.ign line 3, column 27: } where a value was expected
              while reading the config from http://10.0.2.2:29252/config.ign
              while fetching the config
              Nothing was written to any disk.
              Correct the config, for instance with `firstlight validate`.
              Log: /run/firstlight/log. Powering off (rd.emergency=poweroff).
            """)
    }

    @Test func aConfigThatAsksForWhatIsNotBuilt() throws {
        let text = """
            {"ignition": {"version": "3.5.0"}, "storage": {"luks": [
              {"name": "data", "device": "/dev/disk/by-partlabel/b", "cex": {"enabled": true}}]}}
            """
        let config = try IgnitionConfig.parse(Array(text.utf8), name: "config.ign in the initramfs").checked()
        let failure = #expect(throws: UnsupportedConfig.self) { try config.checkSupport() }
        expect(
            page(
                .findConfig, "reading the config from /config.ign in the initramfs", cause: try #require(failure)),
            """
            firstlight stopped: config.ign in the initramfs line 2: storage.luks[0].cex is
              not supported yet
              while reading the config from /config.ign in the initramfs
              while looking for a config
              Nothing was written to any disk.
              Take it out of the config.
              Log: /run/firstlight/log. Powering off (rd.emergency=poweroff).
            """)
    }

    // MARK: Devices

    @Test func aDiskThatNeverAppears() {
        var failure = DeviceTimeout("/dev/disk/by-id/virtio-absent", seconds: 10)
        failure.present = []
        failure.neighbours = []
        failure.driverless = []
        expect(
            page(.plan, "waiting for /dev/disk/by-id/virtio-absent", cause: failure),
            """
            firstlight stopped: /dev/disk/by-id/virtio-absent did not appear within 10 s
              while waiting for /dev/disk/by-id/virtio-absent
              while planning the disks
              Nothing was written to any disk.
              There is no disk at all.
              rd.timeout=SECONDS on the kernel command line waits longer.
              Log: /run/firstlight/log. Powering off (rd.emergency=poweroff).
            """)
        failure.present = ["/dev/vda (4 GiB)"]
        failure.neighbours = ["virtio-absend", "virtio-present"]
        expect(
            page(.plan, "waiting for /dev/disk/by-id/virtio-absent", cause: failure),
            """
            firstlight stopped: /dev/disk/by-id/virtio-absent did not appear within 10 s
              while waiting for /dev/disk/by-id/virtio-absent
              while planning the disks
              Nothing was written to any disk.
              There is /dev/disk/by-id/virtio-absend: is that the one?
              Block devices here: /dev/vda (4 GiB)
              rd.timeout=SECONDS on the kernel command line waits longer.
              Log: /run/firstlight/log. Powering off (rd.emergency=poweroff).
            """)
    }

    @Test func anInitramfsThatWasCutShort() {
        let next = EmergencyAction.powerOff.announcement(console: "ttyS0", hasShell: true)
        let failure = BootFailure(steps: ["starting"], cause: EarlyMountFailure.missing("/usr.squashfs"))
        expect(
            FailureReport(failure, written: [], next: next).lines.joined(separator: "\n"),
            """
            firstlight stopped: /usr.squashfs is missing
              while starting
              Nothing was written to any disk.
              The initramfs is damaged or was cut short on its way: copy it again.
              Log: /run/firstlight/log. Powering off (rd.emergency=poweroff).
            """)
    }

    // MARK: Contents

    @Test func contentsThatAreNotWhatTheirHashSays() {
        let failure = ResourceFailure(
            source: RedactedURL("http://me:secret@10.0.2.2:29254/body?token=1"),
            reason: .wrongHash(wanted: "sha256-" + String(repeating: "1", count: 64), found: "sha256-2f4c"))
        let text = page(.files, cause: failure)
        #expect(!text.contains("secret") && !text.contains("token"))
        expect(
            text,
            """
            firstlight stopped: http://10.0.2.2:29254/body: its hash is sha256-2f4c, not
              sha256-1111111111111111111111111111111111111111111111111111111111111111
              while writing files, users and units
              Nothing was written to any disk.
              Either the file was changed or the config is out of date: compare both with
                their source.
              Log: /run/firstlight/log. Powering off (rd.emergency=poweroff).
            """)
    }

    // MARK: What follows

    @Test(arguments: [
        (EmergencyAction.shell, "Shell on ttyS0; `exit` tries again."),
        (.reboot, "Restarting in 10 seconds (rd.emergency=reboot)."),
        (.powerOff, "Powering off (rd.emergency=poweroff)."),
        (.halt, "Halting; no shell, as the command line says."),
    ])
    func whatTheMachineDoesNext(action: EmergencyAction, text: String) {
        #expect(action.announcement(console: "ttyS0", hasShell: true) == text)
    }
}
