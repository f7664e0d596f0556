// What firmware and network say of a machine, and which of it tells the machine from others.

import BootArguments
import Reporting

/// What firmware and network say of a machine, as it was read.
public struct MachineFacts: Equatable, Sendable {
    /// The firmware's UUID; `nil`: it gives none.
    public var uuid: String?
    /// The firmware's serial number; `nil`: it gives none.
    public var serial: String?
    /// The card that the firmware booted from, as the command line tells.
    public var bootIF: MACAddress?
    /// The cards of this machine.
    public var cards: [MACAddress]
    /// The card that the boot itself uses; `nil`: none yet.
    public var bootCard: MACAddress?
    /// The kernel's name of this machine.
    public var hostname: String?

    /// Takes each part as it is.
    public init(
        uuid: String? = nil, serial: String? = nil, bootIF: MACAddress? = nil, cards: [MACAddress] = [],
        bootCard: MACAddress? = nil, hostname: String? = nil
    ) {
        self.uuid = uuid
        self.serial = serial
        self.bootIF = bootIF
        self.cards = cards
        self.bootCard = bootCard
        self.hostname = hostname
    }

    /// Why a machine has no such value.
    public enum Missing: Error, Equatable, CustomStringConvertible, Advising {
        case absent(MachineValue)
        /// It is one that many machines have.
        case shared(MachineValue, String)

        /// What is missing, for a message.
        public var description: String {
            switch self {
            case .absent(.uuid): "${uuid}: this machine's firmware gives no UUID"
            case .absent(.serial): "${serial}: this machine's firmware gives no serial number"
            case .absent(.mac): "${mac}: the boot uses no network card"
            case .absent(.hostname): "${hostname}: nobody has given this machine a name"
            case .shared(let value, let text): "\(value.place): \"\(text)\" is not this machine's own: many have it"
            }
        }

        /// What the operator can do.
        public var advice: [String] {
            let known = MachineValue.allCases.map(\.place).joined(separator: ", ")
            return switch self {
            case .absent(.hostname):
                ["Have the DHCP server give it one (option 12), or ip=CLIENT::GATEWAY:NETMASK:HOSTNAME:..."]
            case .absent, .shared: ["Tell the machines apart by another of \(known)."]
            }
        }
    }

    /// The value as text: of a UUID and of a MAC address in lower case.
    ///
    /// The card is the one that `BOOTIF` names, where this machine has it, or else the one that the boot uses.
    public func value(_ value: MachineValue) throws(Missing) -> String {
        switch value {
        case .uuid:
            let text = trimmed(uuid ?? "").lowercased()
            if text.isEmpty { throw .absent(value) }
            guard MachineUUID(text) != nil else { throw .shared(value, text) }
            return text
        case .serial:
            let text = trimmed(serial ?? "")
            if text.isEmpty { throw .absent(value) }
            guard !Self.isVendorDefault(text) else { throw .shared(value, text) }
            return text
        case .mac:
            if let bootIF, cards.contains(bootIF) { return "\(bootIF)" }
            guard let bootCard else { throw .absent(value) }
            return "\(bootCard)"
        case .hostname:
            let text = trimmed(hostname ?? "")
            guard !["", "(none)", "localhost", "localhost.localdomain"].contains(text) else { throw .absent(value) }
            return text
        }
    }

    /// Whether it is a value that boards show if their maker has filled nothing in.
    private static func isVendorDefault(_ serial: String) -> Bool {
        let letters = serial.lowercased().filter { $0.isLetter || $0.isNumber }
        return Set(letters).count < 2 || vendorDefaults.contains(letters)
    }

    private static let vendorDefaults: Set<String> = [
        "0123456789", "123456789", "1234567890", "12345678", "chassisserialnumber", "default", "defaultstring",
        "empty", "invalid", "na", "none", "notapplicable", "notavailable", "notspecified", "null", "oem",
        "serialnumber", "sn", "systemserialnumber", "tobefilledbyoem", "unknown", "unspecified",
    ]
}

/// The interface of the default route, as the kernel's tables have it.
///
/// - Parameters:
///   - routes: The text of `/proc/net/route`.
///   - routes6: The text of `/proc/net/ipv6_route`.
/// - Returns: The name, that of IPv4 first; `nil` where there is no default route.
public func interfaceOfDefaultRoute(_ routes: String, _ routes6: String) -> String? {
    func best(_ lines: [[Substring]], _ name: Int, _ metric: Int, _ radix: Int) -> String? {
        lines.min { Int($0[metric], radix: radix) ?? .max < Int($1[metric], radix: radix) ?? .max }
            .map { String($0[name]) }
    }
    func table(_ text: String, columns: Int) -> [[Substring]] {
        text.split(separator: "\n").map { $0.split(whereSeparator: \.isWhitespace) }.filter { $0.count >= columns }
    }
    let v4 = table(routes, columns: 8).filter { $0[1] == "00000000" && $0[7] == "00000000" }
    let v6 = table(routes6, columns: 10).filter {
        $0[0].allSatisfy { $0 == "0" } && $0[1] == "00" && $0[9] != "lo"
    }
    return best(v4, 0, 6, 10) ?? best(v6, 9, 5, 16)
}
