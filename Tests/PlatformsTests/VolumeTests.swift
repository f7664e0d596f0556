import BootArguments
import LinuxSystem
import LoopbackServer
import Reporting
import SystemPackage
import Testing

@testable import Fetching
@testable import Platforms

private let config = Array("{}".utf8)
private let cloudConfig = Array("#cloud-config\nusers: []\n".utf8)

/// Volumes by label, there after some seconds of a clock that only waiting moves.
private func access(_ volumes: [String: [String: [UInt8]]], after delay: Double = 0) -> (
    PlatformAccess, Monitor<[String]>
) {
    let clock = Monitor(0.0)
    let told = Monitor<[String]>([])
    var access = loneAccess()
    access.device = { candidates, seconds in
        let found = candidates.first { volumes[$0.lastComponent?.string ?? ""] != nil }
        return clock.change { now in
            if found != nil, let seconds, now + seconds < delay { now += seconds } else if found != nil { return found }
            if found == nil, seconds == nil { Issue.record("waits for ever") }
            return nil
        }
    }
    access.files = { device, filesystems, paths in
        #expect(filesystems.isEmpty && device.removingLastComponent() == "/dev/disk/by-label")
        return volumes[device.lastComponent?.string ?? "", default: [:]].filter { paths.contains($0.key) }
    }
    access.waits = Waits(
        begin: { wait in
            told.change { $0.append(wait.subject + (wait.deadline == nil ? "" : ", until a time")) }
            return 0
        }, change: { _, _ in }, end: { _ in })
    return (access, told)
}

@Suite("configs on labelled volumes")
struct VolumeTests {
    @Test(arguments: [
        (Platform.ibmcloud, "cidata", "user-data"), (.kubevirt, "cidata", "user-data"),
        (.kubevirt, "config-2", "openstack/latest/user_data"), (.nutanix, "config-2", "openstack/latest/user_data"),
        (.powervs, "config-2", "openstack/latest/user_data"), (.proxmoxve, "cidata", "user-data"),
        (.proxmoxve, "cidata", "vendor-data"), (.openstack, "config-2", "openstack/latest/user_data"),
        (.brightbox, "CONFIG-2", "openstack/latest/user_data"),
        (.cloudstack, "config-2", "cloudstack/userdata/user_data.txt"),
    ])
    func itIsReadFromItsPlace(platform: Platform, label: String, path: String) throws {
        #expect(try platform.userConfig(through: access([label: [path: config]]).0) == config)
        #expect(try platform.userConfig(through: access([label: [path + ".bak": config]]).0) == nil)
    }

    @Test(arguments: [Platform.ibmcloud, .proxmoxve]) func whereNoneComesTheBootGoesOn(platform: Platform) throws {
        let (access, told) = access([:])
        #expect(try platform.userConfig(through: access) == nil)
        #expect(told.change { $0 } == ["a volume labelled cidata, until a time"])
    }

    @Test func whatIsWaitedForIsTold() throws {
        let (access, told) = access(["config-2": ["openstack/latest/user_data": config]], after: 20)
        #expect(try Platform.nutanix.userConfig(through: access) == config)
        #expect(told.change { $0 } == ["a volume labelled config-2"])
    }

    @Test func proxmoxsOwnCloudConfigIsNotTheUsers() throws {
        func config(_ files: [String: [UInt8]]) throws -> [UInt8]? {
            try Platform.proxmoxve.userConfig(through: access(["cidata": files]).0)
        }
        #expect(try config(["user-data": cloudConfig, "vendor-data": [1]]) == [1])
        #expect(try config(["user-data": [2], "vendor-data": [1]]) == [2])
        #expect(try config(["user-data": [], "vendor-data": cloudConfig]) == nil)
    }

    @Test func aVolumeOfTheCommandLineMustBeThere() throws {
        #expect(throws: PlatformFailure.noVolume(label: "CFG", seconds: 7)) {
            try access([:]).0.config(at: "c.ign", onVolume: "CFG", within: 7)
        }
        #expect(throws: PlatformFailure.noFile("c.ign", on: "/dev/disk/by-label/CFG")) {
            try access(["CFG": [:]]).0.config(at: "c.ign", onVolume: "CFG", within: 7)
        }
        #expect(try access(["CFG": ["c.ign": config]]).0.config(at: "c.ign", onVolume: "CFG", within: 7) == config)
    }
}

@Suite("a config drive or a metadata service")
struct RaceTests {
    private let path = "169.254.169.254/openstack/latest/user_data"

    private func access(_ stage: Stage) -> PlatformAccess {
        var access = stage.access
        access.interfaces = { ["ens3"] }
        return access
    }

    @Test func theServiceAnswers() throws {
        let stage = try Stage([path: config])
        #expect(try Platform.openstack.userConfig(through: access(stage)) == config)
    }

    @Test func noUserDataIsAnAnswer() throws {
        let stage = try Stage([:])
        #expect(try Platform.openstack.userConfig(through: access(stage)) == nil)
        #expect(stage.asked == ["GET /\(path)"])
    }

    @Test func aLinkLocalServiceDoesAsWell() throws {
        let other = "fe80::a9fe:a9fe25ens3/openstack/latest/user_data"
        let stage = try Stage([other: config], scripts: ["/\(path)=status:403"])
        #expect(try Platform.openstack.userConfig(through: access(stage)) == config)
        #expect(stage.asked == ["GET /\(path)", "GET /\(other)"])
    }

    @Test func theDriveEndsTheWaitForAService() throws {
        let stage = try Stage([path: config], scripts: ["/\(path)=silent"])
        let turn = Monitor(0)
        var access = access(stage)
        access.device = { candidates, _ in
            #expect(candidates.map(\.string) == ["/dev/disk/by-label/config-2", "/dev/disk/by-label/CONFIG-2"])
            return turn.change { turn in
                turn += 1
                return turn > 3 ? candidates[1] : nil
            }
        }
        access.files = { _, _, paths in [paths[0]: [7]] }
        #expect(try Platform.openstack.userConfig(through: access) == [7])
    }

    @Test func cloudStacksServiceIsTheDHCPServer() throws {
        let stage = try Stage(["10.1.2.3/latest/user-data": config])
        var access = stage.access
        access.dhcpServers = { ["10.1.2.3"] }
        #expect(try Platform.cloudstack.userConfig(through: access) == config)
    }

    @Test func aDriveThatCannotBeReadIsNotTheEnd() throws {
        let stage = try Stage([path: config], drives: ["/dev/disk/by-label/config-2"])
        var access = access(stage)
        let told = Monitor<[String]>([])
        access.files = { device, _, _ in throw PlatformFailure.noFilesystem(device) }
        access.waits = Waits(
            begin: { wait in
                told.change { $0.append(wait.subject + (wait.deadline == nil ? "" : ", until a time")) }
                return 0
            }, change: { _, _ in }, end: { _ in })
        #expect(try Platform.openstack.userConfig(through: access) == config)
        #expect(told.change { $0.count } == 1)
    }

    @Test("where the services refuse, the wait for a drive says so")
    func refusalsAreTold() throws {
        let stage = try Stage(
            [:], scripts: ["/\(path)=status:403", "/fe80::a9fe:a9fe25ens3/openstack/latest/user_data=status:401"])
        var access = access(stage)
        let told = Monitor(Wait(for: ""))
        access.waits = Waits(begin: { _ in 0 }, change: { told.change($1) }, end: { _ in })
        access.device = { candidates, seconds in seconds == 1 ? candidates[0] : nil }
        access.files = { _, _, paths in [paths[0]: [7]] }
        #expect(try Platform.openstack.userConfig(through: access) == [7])
        let reason = try #require(told.change { $0.reason })
        #expect(reason.hasPrefix("there is no such volume; ") && reason.contains("403") && reason.contains("401"))
    }

    @Test func whereNothingIsLeftTheBootStops() throws {
        let stage = try Stage(
            [:], scripts: ["/\(path)=status:403", "/fe80::a9fe:a9fe25ens3/openstack/latest/user_data=status:401"],
            drives: ["/dev/disk/by-label/config-2"])
        var access = access(stage)
        access.files = { device, _, _ in throw PlatformFailure.noFilesystem(device) }
        #expect(throws: (any Error).self) { try Platform.openstack.userConfig(through: access) }
    }
}
