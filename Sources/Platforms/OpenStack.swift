// OpenStack and CloudStack: a config drive or a metadata service, whichever is present first.

import BootArguments
import Fetching
import LinuxSystem
import NetworkPlanning
import Reporting
import SystemPackage

extension PlatformAccess {
    func openstackConfig() throws -> [UInt8]? {
        let path = "openstack/latest/user_data"
        return try firstOf(drivePath: openstackUserData) {
            // A machine with only IPv6 reaches the service by a link-local address, on one of its links.
            ["\(linkLocal)/\(path)"] + interfaces().map { "http://[fe80::a9fe:a9fe%25\($0)]/\(path)" }
        }
    }

    func cloudstackConfig() throws -> [UInt8]? {
        try firstOf(drivePath: "cloudstack/userdata/user_data.txt") {
            dhcpServers().map { "http://\($0)/latest/user-data" }
        }
    }

    /// Looks for the drive and asks the services in turn, until one of them answers.
    ///
    /// - Parameters:
    ///   - drivePath: The path of the config on a volume with the label `config-2`.
    ///   - services: Returns URLs of the same service; more may be known later.
    /// - Returns: The config; `nil` if there is none.
    /// - Throws: The last failure, once the drive and all services have failed.
    private func firstOf(drivePath: String, services: () -> [String]) throws -> [UInt8]? {
        let wait = Wait(
            for: "a volume labelled config-2 or a metadata service", reason: "neither is there yet",
            advice: ["Check that the machine was given one of them"])
        return try waits.wait(for: wait) { try searched(drivePath: drivePath, services: services, $0) }
    }

    private func searched(drivePath: String, services: () -> [String], _ wait: OpenWait) throws -> [UInt8]? {
        var drives = ["config-2", "CONFIG-2"].map { FilePath("/dev/disk/by-label/\($0)") }
        ["sr_mod", "isofs"].forEach(loadModule)
        /// Services that failed finally and are not asked again.
        var refused: Set<String> = []
        /// What each service failed by.
        var faults: [String: any Error] = [:]
        var driveFault: (any Error)?
        for turn in 0... {
            if waits.isCancelled() { throw PlatformFailure.cancelled }
            var last: (any Error)?
            if let drive = device(drives, turn == 0 ? 0 : 1) {
                do { return try files(drive, [], [drivePath])[drivePath] } catch {
                    say("no longer waiting for \(drive): \(error)")
                    drives = []
                    last = error
                    driveFault = error
                }
            }
            let services = services()
            for url in services where !refused.contains(url) {
                do throws(ResourceFailure) {
                    var question = try MetadataRequest(url)
                    question.limit = 5
                    question.isWanted = { [drives] in drives.isEmpty || device(drives, 0) == nil }
                    return try answer(to: question)
                } catch {
                    switch error.reason {
                    case .cancelled: continue
                    case .outOfTime: faults[url] = error
                    default:
                        refused.insert(url)
                        say("no longer waiting for \(error)")
                        last = error
                        faults[url] = error
                    }
                }
            }
            // A drive may still come where all services have refused.
            let told = driveFault.map { "\($0)" } ?? "there is no such volume"
            let reasons = [told] + services.compactMap { faults[$0] }.map { "\($0)" }
            if driveFault != nil || !faults.isEmpty { wait.change { $0.reason = reasons.joined(separator: "; ") } }
            // Without a lease no service is known yet that could have refused.
            if let last, drives.isEmpty, !services.isEmpty, services.allSatisfy(refused.contains) { throw last }
        }
        return nil
    }
}

/// The DHCP servers of this machine's leases, as stored by this program and by systemd-networkd.
func leasingServers() -> [String] {
    let own = (try? Files.read(FilePath(NetworkRecord.file.path))).flatMap { NetworkRecord(parsing: $0) }
    let ours = (own?.state.links ?? []).compactMap { $0.lease?.server?.description }
    let folder = FilePath("/run/systemd/netif/leases")
    let theirs = Files.names(in: folder).flatMap { name in
        (Files.line(folder.appending(name)) ?? "").split(separator: "\n").compactMap { line in
            line.hasPrefix("SERVER_ADDRESS=") ? String(line.dropFirst("SERVER_ADDRESS=".count)) : nil
        }
    }
    return ours + theirs
}
