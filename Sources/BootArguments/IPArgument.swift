// The grammar of `ip=` and `rd.route=`.

/// One `ip=` argument: what one interface, or every one, is to be given.
///
/// ```
/// ip=METHOD
/// ip=IFACE:METHOD[:[MTU][:MAC]]
/// ip=CLIENT:[PEER]:GATEWAY:NETMASK:HOSTNAME:IFACE:METHOD[:[MTU][:MAC]]
/// ip=CLIENT:[PEER]:GATEWAY:NETMASK:HOSTNAME:IFACE:METHOD[:[DNS1][:DNS2]]
/// ```
/// - SeeAlso: dracut.cmdline(7); nm-initrd-generator(8) where that goes further: a prefix after CLIENT,
///   a MAC address as IFACE, `link6`, `auto`, `dhcp,dhcp6`.
public struct IPArgument: Equatable, Sendable {
    /// How an interface gets its addresses.
    public enum Method: Equatable, Sendable, CaseIterable {
        /// DHCPv4, and IPv6 where there is some.
        case dhcp
        /// IPv6 by router advertisements, and by DHCPv6 where those say so.
        case auto6
        /// A link-local IPv6 address and nothing else.
        case linkLocal6
        /// The fields are the configuration.
        case fixed
        /// Whichever family answers; a family with a fixed address has that.
        case automatic
        /// DHCPv4 and IPv6 autoconfiguration, both wanted.
        case both

        static let words: [String: Method] = [
            "dhcp": .dhcp, "single-dhcp": .dhcp, "on": .automatic, "any": .automatic, "auto": .automatic,
            "auto6": .auto6, "dhcp6": .auto6, "either6": .auto6, "link6": .linkLocal6, "none": .fixed, "off": .fixed,
        ]
        /// The card that the firmware's iSCSI boot table names.
        static let unsupportedWords = ["ibft", "fw"]

        /// The method's first word in the grammar.
        public var word: String {
            switch self {
            case .dhcp: "dhcp"
            case .auto6: "auto6"
            case .linkLocal6: "link6"
            case .fixed: "none"
            case .automatic: "auto"
            case .both: "dhcp,dhcp6"
            }
        }

        /// Reads one word, or several with commas between them, of which not all go together; `nil` for all else.
        init?(_ text: String) {
            let parts = text.split(separator: ",", omittingEmptySubsequences: false).map { Self.words[String($0)] }
            let methods = Set(parts.compactMap(\.self))
            guard !parts.contains(nil), let first = methods.first else { return nil }
            if methods.count == 1 {
                self = first
            } else if methods.contains(.automatic), !methods.contains(.fixed) {
                self = .automatic
            } else if methods == [.auto6, .linkLocal6] {
                self = .auto6
            } else if methods.isSuperset(of: [.dhcp, .auto6]), !methods.contains(.fixed) {
                self = .both
            } else {
                return nil
            }
        }

        static func isWord(_ text: String) -> Bool { Method(text) != nil || unsupportedWords.contains(text) }
    }

    /// `nil`: every interface.
    public var interface: InterfaceReference?
    /// How the interface gets its addresses.
    public var method: Method
    /// A fixed address with its prefix length; `nil`: none is given.
    public var address: InterfaceAddress?
    /// The default gateway; `nil`: none is given.
    public var gateway: IPAddress?
    /// The name of the machine; `nil`: none is given.
    public var hostname: String?
    /// The MTU in bytes, 68 to 65535; `nil`: none is given.
    public var mtu: Int?
    /// The address that the interface is to show instead of its own.
    public var clonedMAC: MACAddress?
    /// Name servers, in order.
    public var nameservers: [IPAddress]
    /// Search domains, in order.
    public var searchDomains: [String] = []

    /// Takes each part as it is.
    public init(
        interface: InterfaceReference? = nil, method: Method, address: InterfaceAddress? = nil,
        gateway: IPAddress? = nil, hostname: String? = nil, mtu: Int? = nil, clonedMAC: MACAddress? = nil,
        nameservers: [IPAddress] = []
    ) {
        self.interface = interface
        self.method = method
        self.address = address
        self.gateway = gateway
        self.hostname = hostname
        self.mtu = mtu
        self.clonedMAC = clonedMAC
        self.nameservers = nameservers
    }

    /// Why a value cannot be read.
    enum Malformed: Error, Equatable {
        case notAnAddress(String)
        case notANetmask(String)
        case notAMAC(String)
        case notAnInterface(String)
        case unknownMethod(String)
        case unsupportedMethod(String)
        case mixedFamilies(IPAddress, IPAddress)
    }

    /// Reads the value of `ip=`.
    ///
    /// A lone unknown word is ``Malformed/unknownMethod(_:)`` too; the caller takes it for `auto`. What is left out of
    /// the value is added to `notes`, one line each.
    init(parsing text: String, _ notes: inout [String]) throws(Malformed) {
        var fields = Self.fields(text)
        Self.joinMAC(in: &fields, at: 0)
        // A single word with a colon behind it counts as that word.
        if fields.count == 2, fields[1].isEmpty, InterfaceAddress(fields[0]) == nil { fields.removeLast() }
        guard fields.count > 1 else {
            self.init(method: try Self.method(fields[0]))
            return
        }
        let startsWithAddress = InterfaceAddress(fields[0]) != nil
        if !startsWithAddress, fields[1].isEmpty ? fields.count <= 4 : Self.Method.isWord(fields[1]) {
            self.init(interface: InterfaceReference(fields[0]), method: try Self.method(fields[1]))
            try readRest(Array(fields.dropFirst(2)), &notes)
        } else if startsWithAddress || fields.count >= 6 {
            try self.init(long: fields, &notes)
        } else if fields.count <= 4, fields[0].first?.isNumber != true {
            throw .unknownMethod(fields[1])
        } else {
            throw .notAnAddress(fields[0])
        }
    }

    private init(long given: [String], _ notes: inout [String]) throws(Malformed) {
        var fields = given
        Self.joinMAC(in: &fields, at: 5)
        fields += Array(repeating: "", count: max(0, 7 - fields.count))

        var address: InterfaceAddress?
        if !fields[0].isEmpty {
            guard let client = InterfaceAddress(fields[0]) else { throw .notAnAddress(fields[0]) }
            address = client
            if !fields[3].isEmpty {
                guard let prefix = InterfaceAddress.prefix(fields[3], for: client.address) else {
                    throw .notANetmask(fields[3])
                }
                address?.prefix = prefix
            }
        }
        if !fields[1].isEmpty { notes.append("the peer \(fields[1]) is not used") }
        var gateway = fields[2].isEmpty ? nil : try Self.address(fields[2])
        if address == nil, let lone = gateway {
            notes.append("the gateway \(lone) needs an address, left out")
            gateway = nil
        }
        if let client = address?.address, let gateway, client.family != gateway.family {
            throw .mixedFamilies(client, gateway)
        }
        var method = Method.automatic
        do throws(Malformed) {
            method = try Self.method(fields[6])
        } catch {
            guard case .unknownMethod(let word) = error else { throw error }
            notes.append("no method \(word), using auto")
        }
        self.init(
            interface: InterfaceReference(fields[5]), method: method, address: address, gateway: gateway,
            hostname: fields[4].isEmpty ? nil : fields[4])

        try readRest(Array(fields.dropFirst(7)), &notes)
    }

    /// What a link's frames may hold: the least of IPv4, and what its length field can say.
    static let mtus = 68...65_535

    /// Reads `[DNS1][:DNS2]`, or `[MTU][:MAC]`, in which the colons of the MAC address do not separate fields.
    private mutating func readRest(_ fields: [String], _ notes: inout [String]) throws(Malformed) {
        if fields.prefix(2).contains(where: { IPAddress($0) != nil }) {
            for server in fields.prefix(2) where !server.isEmpty { nameservers.append(try Self.address(server)) }
            let rest = fields.dropFirst(2).filter { !$0.isEmpty }
            if !rest.isEmpty {
                notes.append(
                    "there is room for two name servers, \(rest.joined(separator: ":")) is left out; nameserver= takes more"
                )
            }
            return
        }
        if let text = fields.first, !text.isEmpty {
            mtu = Int(text).flatMap { Self.mtus.contains($0) ? $0 : nil }
            if mtu == nil, text != "0" { notes.append("\"\(text)\" is not an MTU, left out") }
        }
        let rest = fields.dropFirst().joined(separator: ":")
        guard !rest.isEmpty else { return }
        guard let mac = MACAddress(rest) else { throw .notAMAC(rest) }
        clonedMAC = mac
    }

    private static func method(_ text: String) throws(Malformed) -> Method {
        if text.isEmpty { return .automatic }
        if Method.unsupportedWords.contains(text) { throw .unsupportedMethod(text) }
        guard let method = Method(text) else { throw .unknownMethod(text) }
        return method
    }

    private static func address(_ text: String) throws(Malformed) -> IPAddress {
        guard let address = IPAddress(text) else { throw .notAnAddress(text) }
        return address
    }

    /// Splits at `:` outside `[...]`; the brackets are taken off.
    static func fields(_ text: String) -> [String] {
        var fields: [String] = [""]
        var depth = 0
        for character in text {
            switch character {
            case "[": depth += 1
            case "]": depth -= 1
            case ":" where depth <= 0: fields.append("")
            default: fields[fields.count - 1].append(character)
            }
        }
        return fields
    }

    /// Makes six fields of two hexadecimal digits each one field: a MAC address without brackets.
    private static func joinMAC(in fields: inout [String], at index: Int) {
        guard fields.count >= index + 6 else { return }
        let range = index..<index + 6
        guard let mac = MACAddress(fields[range].joined(separator: ":")) else { return }
        fields.replaceSubrange(range, with: [mac.description])
    }
}

extension IPArgument.Malformed: CustomStringConvertible {
    var description: String {
        switch self {
        case .notAnAddress(let text): "\"\(text)\" is not an IP address"
        case .notANetmask(let text): "\"\(text)\" is not a netmask or prefix length"
        case .notAMAC(let text): "\"\(text)\" is not a MAC address"
        case .notAnInterface(let text): "\"\(text)\" is not an interface"
        case .unknownMethod(let text): "\"\(text)\" is not a method"
        case .unsupportedMethod(let text): "the method \(text) is not supported"
        case .mixedFamilies(let one, let other): "\(one) and \(other) are of different families"
        }
    }
}

/// One `rd.route=NETWORK/LENGTH:GATEWAY[:IFACE]`.
public struct RouteArgument: Equatable, Sendable {
    /// The network that the route leads to.
    public var destination: InterfaceAddress
    /// `nil`: the network is on the link.
    public var gateway: IPAddress?
    /// The interface of the route; `nil`: none is named.
    public var interface: InterfaceReference?

    /// Takes a route, and clears the destination's bits beyond its prefix.
    public init(destination: InterfaceAddress, gateway: IPAddress?, interface: InterfaceReference? = nil) {
        self.destination = destination.network
        self.gateway = gateway
        self.interface = interface
    }

    init(parsing text: String) throws(IPArgument.Malformed) {
        let fields = IPArgument.fields(text)
        guard let network = InterfaceAddress(fields[0], defaultPrefix: IPAddress(fields[0])?.bits) else {
            throw .notAnAddress(fields[0])
        }
        let interface = InterfaceReference(fields.dropFirst(2).joined(separator: ":"))
        var gateway: IPAddress?
        if fields.count > 1, !fields[1].isEmpty {
            guard let address = IPAddress(fields[1]) else { throw .notAnAddress(fields[1]) }
            guard address.family == network.address.family else { throw .mixedFamilies(network.address, address) }
            gateway = address
        }
        self.init(destination: network, gateway: gateway, interface: interface)
    }
}

/// Letters, digits, dashes, dots: nothing that a server could smuggle into a configuration file.
public func isDomainName(_ text: String) -> Bool {
    (1...253).contains(text.utf8.count) && !text.hasPrefix("-")
        && text.utf8.allSatisfy { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2d, 0x2e, 0x5f: true
            default: false
            }
        }
}
