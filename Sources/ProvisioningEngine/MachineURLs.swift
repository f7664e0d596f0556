// The machine's own values in the command line's URLs, read where firmware, kernel and network tell them.

import BootArguments
import Encoding
import LinuxSystem
import NetworkPlanning
import Reporting
import SystemPackage

extension MachineFacts {
    /// Those of this machine, as far as they are known by now.
    static func ofThisMachine(_ arguments: BootArguments) -> MachineFacts {
        func address(_ interface: String) -> MACAddress? {
            Files.line(FilePath("/sys/class/net/\(interface)/address")).flatMap { MACAddress($0) }
        }
        var facts = MachineFacts(
            uuid: Files.line("/sys/class/dmi/id/product_uuid"), serial: Files.line("/sys/class/dmi/id/product_serial"),
            bootIF: arguments.network.bootIF, cards: Files.names(in: "/sys/class/net").compactMap(address),
            hostname: Files.line("/proc/sys/kernel/hostname"))
        // Where the boot has brought up the network itself it knows which card has won.
        facts.bootCard = (try? StateFolder().load(NetworkRecord.self))?.state.links.first?.mac
        if facts.bootCard == nil {
            let routes = Files.line("/proc/net/route") ?? ""
            facts.bootCard = interfaceOfDefaultRoute(routes, Files.line("/proc/net/ipv6_route") ?? "").flatMap(address)
        }
        return facts
    }
}

extension ProvisioningSession {
    /// The URL as it is asked for: with this machine's values in it, where the rules have it so.
    ///
    /// - Parameters:
    ///   - url: The URL as the command line has it.
    ///   - key: The argument that it is of.
    /// - Returns: The URL with the values.
    /// - Throws: ``ArgumentProblem`` where the machine has no such value.
    func filled(_ url: MachineURL, of key: String) throws(ArgumentProblem) -> SourceURL {
        guard rules.namesMachine else { return url.asWritten }
        if let fault = url.fault { throw ArgumentProblem(.boot, "\(key)=\(url)", "\(fault)") }
        guard !url.values.isEmpty else { return url.asWritten }
        let facts = machineFacts()
        return try url.filled { (wanted) throws(ArgumentProblem) in try value(wanted, in: facts, for: url, of: key) }
    }

    /// A value of this machine, or the problem of the argument that asks for it.
    func value(
        _ wanted: MachineValue, in facts: MachineFacts, for url: MachineURL, of key: String
    ) throws(ArgumentProblem) -> String {
        do throws(MachineFacts.Missing) {
            return try facts.value(wanted)
        } catch {
            throw ArgumentProblem(.boot, "\(key)=\(url)", "\(error)", advice: error.advice)
        }
    }
}

extension LiveSession {
    /// Stops a boot whose URLs ask for what no machine has, or this one has not, before anything is looked for.
    ///
    /// What the network tells, the card and the machine's name, is asked for where it is used.
    func checkURLs() throws {
        if let problem = arguments.problem(in: .boot) { throw problem }
        let fetchesImage = arguments.liveISO == nil && !hasAppendedRootImage
        let isUsed: [String: Bool] = [
            BootArguments.configKey: arguments.ignitionFirstboot, BootArguments.reportKey: arguments.ignitionFirstboot,
            BootArguments.rootfsKey: fetchesImage, BootArguments.fallbackKey: fetchesImage,
        ]
        for (key, url) in arguments.machineURLs where isUsed[key] == true {
            for value in url.values where value.isOfFirmware {
                _ = try provisioning.value(value, in: provisioning.machineFacts(), for: url, of: key)
            }
        }
    }
}
