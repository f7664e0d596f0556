import BootArguments
import Glibc
import LinuxSystem
import Logging
import ProvisioningEngine
import Reporting
import SystemPackage
import Testing

@testable import Boot
@testable import Devices

@Suite("what systemd is to start")
struct GeneratedUnitsTests {
    @Test func anotherBootIsLeftAlone() {
        let units = GeneratedUnits(BootArguments("root=/dev/sda1"), hasRootImage: false, configNeedsNetwork: true)
        #expect(units.requirements.isEmpty)
        #expect(!units.needsNetwork && units.warning == nil)
    }

    @Test("a mistyped URL of the root image is told by the unit that would fetch it")
    func mistypedURL() {
        for line in ["coreos.live.rootfs_url=ftp://a/r", "coreos.live.rootfs_url=http:/a/r ignition.firstboot"] {
            let units = GeneratedUnits(BootArguments(line), hasRootImage: false, configNeedsNetwork: false)
            #expect(units.requirements.first?.unit == StageName.root.unitName, "\(line)")
            #expect(units.warning == nil)
        }
    }

    @Test("a config that this boot does not use needs no network")
    func unusedConfig() {
        for line in ["coreos.liveiso=x", "coreos.liveiso=x ignition.firstboot=0"] {
            let units = GeneratedUnits(BootArguments(line), hasRootImage: false, configNeedsNetwork: true)
            #expect(!units.needsNetwork && units.isLive, "\(line)")
        }
        let used = GeneratedUnits(
            BootArguments("coreos.liveiso=x ignition.firstboot"), hasRootImage: false, configNeedsNetwork: true)
        #expect(used.needsNetwork)
    }

    @Test("a boot without a root image that is to be provisioned is not left alone without a word")
    func notProvisioned() {
        func units(_ line: String, hasRootImage: Bool = false) -> GeneratedUnits {
            GeneratedUnits(BootArguments(line), hasRootImage: hasRootImage, configNeedsNetwork: false)
        }
        #expect(units("root=/dev/sda1 ignition.firstboot").requirements.isEmpty)
        #expect(units("root=/dev/sda1 ignition.firstboot").warning?.contains("nothing is provisioned") == true)
        #expect(units("ignition.firstboot", hasRootImage: true).warning == nil)
    }

    @Test func theStagesRunWhereIgnitionDoes() {
        let line = "coreos.live.rootfs_url=http://a/rootfs.img"
        let without = GeneratedUnits(BootArguments(line), hasRootImage: false, configNeedsNetwork: false)
        #expect(without.requirements.map(\.unit) == ["firstlight-root.service", "ignition-subsequent.target"])
        #expect(without.needsNetwork)
        let with = GeneratedUnits(
            BootArguments(line + " ignition.firstboot"), hasRootImage: false, configNeedsNetwork: false)
        let stages = ["root", "fetch", "kargs", "plan", "disks", "mount", "files", "finish"]
        #expect(
            with.requirements.map(\.unit) == stages.map { "firstlight-\($0).service" } + ["ignition-complete.target"])
        #expect(with.requirements.last?.target == "initrd.target")
        #expect(Set(with.requirements.dropFirst().dropLast().map(\.target)) == ["ignition-complete.target"])
    }

    @Test("what is wrong with the command line is told by one unit that is in every boot")
    func firstUnit() {
        for line in ["coreos.live.rootfs_url=http://a/r", "coreos.live.rootfs_url=http://a/r ignition.firstboot"] {
            let arguments = BootArguments(line)
            let units = GeneratedUnits(arguments, hasRootImage: false, configNeedsNetwork: false)
            let first = StageName.firstUnit(arguments)
            // The root's unit is what requires the one of the root image.
            #expect(first == .rootfs || units.requirements.contains { $0.unit == first.unitName })
            #expect(first.needs.isEmpty)
        }
        #expect(StageName.root.needs.contains(.rootfs))
    }

    @Test("a root image that was cut off is still one that came with the initramfs")
    func cutOffImage() throws {
        let root = FilePath("/tmp/firstlight-cut-off-\(getpid())")
        let image = root.appending("root.squashfs")
        defer {
            try? Files.remove(image)
            rmdir(root.string)
        }
        try Files.makeFolder(root)
        let arguments = BootArguments("ignition.firstboot")
        #expect(!GeneratedUnits.ofThisMachine(arguments, in: root).isLive)
        try Files.write("", to: image)
        #expect(GeneratedUnits.ofThisMachine(arguments, in: root).isLive)
    }

    @Test func aPlatformMayNeedTheNetwork() {
        func needsNetwork(_ line: String) -> Bool { BootArguments(line).asksPlatformOverNetwork }
        #expect(needsNetwork("ignition.firstboot ignition.platform.id=aws"))
        #expect(!needsNetwork("ignition.platform.id=aws"))
        #expect(!needsNetwork("ignition.firstboot ignition.platform.id=proxmoxve"))
        #expect(!needsNetwork("ignition.firstboot ignition.platform.id=aws ignition.config.url=data:,"))
        #expect(
            !needsNetwork("ignition.firstboot ignition.platform.id=aws ignition.config.device=a ignition.config.path=b")
        )
    }

    @Test("what other units of the initramfs look for is there before any of them starts")
    func stamps() {
        func stamps(_ line: String, hasRootImage: Bool = true) -> [String] {
            let units = GeneratedUnits(BootArguments(line), hasRootImage: hasRootImage, configNeedsNetwork: false)
            return units.stamps.map { "\($0.file) \($0.text.dropLast($0.text.hasSuffix("\n") ? 1 : 0))" }
        }
        #expect(stamps("root=/dev/sda1", hasRootImage: false).isEmpty)
        #expect(
            stamps("ignition.firstboot ignition.platform.id=metal")
                == ["/run/ostree-live ", "/run/ignition.env PLATFORM_ID=metal"])
        #expect(stamps("rd.neednet=1").last == "/run/ignition/neednet ")
    }

    @Test("a script is told what the boot needs")
    func needs() {
        func words(_ line: String) -> [String] {
            BootNeeds(GeneratedUnits(BootArguments(line), hasRootImage: false, configNeedsNetwork: false)).words
        }
        #expect(words("root=/dev/sda1").isEmpty)
        #expect(words("coreos.liveiso=LIVE") == ["root"])
        #expect(words("coreos.live.rootfs_url=http://a/rootfs.img") == ["root", "network"])
    }

    @Test("a death is what a shell's $? says")
    func deathInAScript() {
        #expect([0, 1].allSatisfy { AgentDeath(shellStatus: $0) == nil })
        #expect(AgentDeath(shellStatus: 139) == .signal(SIGSEGV))
        #expect(AgentDeath(shellStatus: 2) == .exit(2))
    }

    @Test func aLocalImageNeedsNoNetwork() {
        let units = GeneratedUnits(BootArguments("ignition.firstboot"), hasRootImage: true, configNeedsNetwork: false)
        #expect(!units.needsNetwork)
        #expect(units.requirements.first?.target == "initrd-root-fs.target")
    }
}

@Suite struct Consoles {
    /// Text that a console has shown on a screen that does not redraw.
    private func shown(isQuiet: Bool, _ body: (BootConsole, Monitor<Double>) -> Void) throws -> String {
        var ends: [Int32] = [-1, -1]
        try #require(pipe(&ends) == 0)
        ends.forEach { _ = fcntl($0, F_SETFL, O_NONBLOCK) }
        defer { ends.forEach { close($0) } }
        let clock = Monitor(0.0)
        let console = BootConsole(
            screens: [.init(name: "ttyS0", descriptor: ends[1], redraws: false)], isQuiet: isQuiet,
            log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, now: { clock.change { $0 } })
        body(console, clock)
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        let count = read(ends[0], &buffer, buffer.count)
        return String(decoding: buffer[..<max(0, count)], as: UTF8.self)
    }

    @Test("a screen has colours, and a serial line has none", arguments: [false, true])
    func colours(hasColours: Bool) {
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        defer { ends.forEach { close($0) } }
        let console = BootConsole(
            screens: [.init(name: "tty0", descriptor: ends[1], redraws: hasColours, hasColours: hasColours)],
            isQuiet: false, log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, now: { 1 })
        console.headline("firstlight")
        console.warn("look at \u{1b}[2J")
        console.say("disks", "done")
        console.report(["firstlight stopped: a", "  cause", "  while b"], cause: 2)
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        let text = String(decoding: buffer[..<max(0, read(ends[0], &buffer, buffer.count))], as: UTF8.self)
        let bare = """
            firstlight
               1.0 s  warning   look at ?[2J
               1.0 s  disks     done

            firstlight stopped: a
              cause
              while b

            """
        let painted = """
            <1>firstlight<0>
            <1;33>   1.0 s  warning   look at ?[2J<0>
               1.0 s  disks     done

            <1;31>firstlight stopped: a<0>
            <1;31>  cause<0>
              while b

            """
        let coded = painted.replacing("<", with: "\u{1b}[").replacing(">", with: "m")
        #expect(text == (hasColours ? coded : bare))
    }

    @Test("what is waited for is told, also with quiet", arguments: [false, true])
    func waits(isQuiet: Bool) throws {
        let text = try shown(isQuiet: isQuiet) { console, clock in
            console.waits.during("config", "fetching the config") {
                console.waits.wait(for: Wait(for: "http://192.0.2.1/c.ign", reason: "no answer yet")) { wait in
                    wait.failed(3, because: "cannot connect (Connection refused)", advice: ["Check the server."])
                    for second in 1...70 {
                        clock.change { $0 = Double(second) }
                        console.watch.check()
                    }
                }
            }
        }
        let lines = text.split(separator: "\n")
        #expect(lines.filter { $0.contains("http://192.0.2.1/c.ign") }.count == 3, "\(text)")
        #expect(lines.first == "   5.0 s  config    http://192.0.2.1/c.ign: cannot connect (Connection refused);")
        #expect(lines.allSatisfy { $0.count <= 80 })
        #expect(text.contains("Check the server."))
    }

    @Test("a part of the boot that tells nothing for long is still under way")
    func silence() throws {
        let text = try shown(isQuiet: true) { console, clock in
            console.waits.during("rootfs", "getting the root filesystem") {
                for second in 1...40 {
                    clock.change { $0 = Double(second) }
                    console.progress("rootfs", TransferProgress(bytes: UInt64(second) << 20, total: 100 << 20))
                    console.watch.check()
                }
            }
        }
        #expect(
            text.split(separator: "\n") == [
                "   5.0 s  rootfs    5 of 100 MiB  5 %, under way since second 0.",
                "  35.0 s  rootfs    35 of 100 MiB  35 %, under way since second 0.",
            ])
    }

    @Test("a serial line that takes nothing holds nobody up")
    func stuckScreen() throws {
        var ends: [Int32] = [-1, -1]
        try #require(pipe(&ends) == 0)
        ends.forEach { _ = fcntl($0, F_SETFL, O_NONBLOCK) }
        defer { ends.forEach { close($0) } }
        let page = String(repeating: "x", count: 4096)
        var written = 0
        while written < 1 << 24, BootConsole.write(page, to: ends[1], patience: 0) { written += page.utf8.count }
        #expect(written > 0 && written < 1 << 24)

        // Once there is room it is written to again.
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while read(ends[0], &buffer, buffer.count) > 0 {}
        #expect(BootConsole.write("firstlight\n", to: ends[1], patience: 0))
        #expect(read(ends[0], &buffer, buffer.count) == 11)
    }
}

@Suite("a failure's last words")
struct AnnouncementTests {
    @Test func noShellIsPromisedThatIsNotThere() {
        #expect(
            EmergencyAction.shell.announcement(console: "ttyS0", hasShell: true)
                == "Shell on ttyS0; `exit` tries again.")
        let without = EmergencyAction.shell.announcement(console: "ttyS0", hasShell: false)
        #expect(without == "No shell: busybox is not here. Restart the machine to try again.")
        #expect(EmergencyAction.halt.announcement(console: "ttyS0", hasShell: false).hasPrefix("Halting"))
        let nowhere = EmergencyAction.shell.announcement(console: nil, hasShell: true)
        #expect(nowhere == "No shell: no console can be opened.")
    }

    @Test("only a kernel without loop devices is told apart from the initramfs's own")
    func loopDevices() throws {
        let fault = try #require(throws: FileFault.self) { _ = try LoopDevice(file: "/nonexistent", readOnly: true) }
        #expect(fault == FileFault("open", "/nonexistent", .noSuchFileOrDirectory) && !fault.isOfLoopDevice)
        #expect(EarlyMountFailure.file(fault).advice.isEmpty)
        #expect(EarlyMountFailure.loop("/usr.squashfs", .ioError).advice.isEmpty)
        let lack = EarlyMountFailure.loop("/usr.squashfs", .noSuchFileOrDirectory).advice
        #expect(lack.first?.hasPrefix("The initramfs was made for another kernel") == true)
    }

    @Test("without a watch a device is looked for again and again")
    func polling() {
        var looks = 0
        let found: String? = DeviceAccess.polled(until: .infinity, unless: { false }) {
            looks += 1
            return looks == 2 ? "/dev/vda" : nil
        }
        #expect(found == "/dev/vda")
        #expect(DeviceAccess.polled(until: 0, unless: { false }) { nil as String? } == nil)
    }

    @Test("nobody goes on waiting for a device once the boot has failed elsewhere")
    func cancelled() {
        #expect(DeviceAccess.polled(until: .infinity, unless: { true }) { nil as String? } == nil)
        #expect(DeviceAccess.appears(["/dev/disk/by-id/nope"], until: .infinity, unless: { true }) == nil)
    }

    @Test("a device that is not there is named")
    func missingDevice() {
        #expect(throws: FileFault("find the links of", "/dev/nope", .noSuchFileOrDirectory)) {
            try describeLinks(for: "/dev/nope")
        }
        #expect(throws: FileFault("find the links of", "/dev/null", .notBlockDevice)) {
            try describeLinks(for: "/dev/null")
        }
    }

    @Test("a shell that cannot be had does not make the boot try again without end")
    func shellPace() {
        var pace = ShellPace()
        #expect((0..<7).map { _ in pace.pause(after: nil) } == [10, 20, 40, 80, 160, 320, 320])
        #expect(pace.pause(after: 30) == nil)
        #expect((0..<4).map { _ in pace.pause(after: 0.2) } == [nil, 10, 20, 40])
        #expect(pace.pause(after: 1.5) == nil && pace.pause(after: nil) == 10)
    }
}

@Suite("the network under dracut")
struct DracutNetworkTests {
    @Test func whatNetworkdSaysIsRead() {
        let text =
            "# This is private data. Do not parse.\nOPER_STATE=routable\nCARRIER_STATE=carrier\n"
            + "DNS=10.0.2.3 fe80::1%2 9.9.9.9:9953#dns.example\nDOMAINS=a.example b.example\n"
        let state = NetworkdState(text)
        #expect(state.isUp)
        #expect(
            state.resolverConfiguration == "search a.example b.example\nnameserver 10.0.2.3\nnameserver fe80::1%2\n")
    }

    @Test func whatIsNotUpIsWaitedFor() {
        #expect(!NetworkdState("OPER_STATE=degraded\n").isUp)
        #expect(!NetworkdState("").isUp)
        #expect(NetworkdState("OPER_STATE=routable\n").resolverConfiguration == nil)
    }
}
