// What the network leaves for other stages: its state once it is up, and each lease. The form in files: names and words
// that are written here, not derived from types.

import BootArguments
import JSONText
import Reporting

/// The network as it is once it is up.
public struct NetworkRecord: VersionedRecord, Equatable, Sendable {
    /// Where it lies.
    public static let file = RunFile.network
    /// 2: a link's `method` is a word of this file.
    public static let schema = 2

    /// What came of bringing the network up.
    public var state: NetworkState

    /// Takes a state.
    public init(_ state: NetworkState) { self.state = state }

    /// Reads the members; `nil` where it is another kind of text.
    public init?(json: JSONValue) {
        guard let state = NetworkState(json) else { return nil }
        self.state = state
    }

    /// The members of the object.
    public var json: JSONValue { state.json }
}

/// What a DHCPv4 server gave an interface.
public struct LeaseRecord: VersionedRecord, Equatable, Sendable {
    /// The lease.
    public var lease: NetworkLease

    /// Takes a lease.
    public init(_ lease: NetworkLease) { self.lease = lease }

    /// Reads the members; `nil` where it is another kind of text.
    public init?(json: JSONValue) {
        guard let lease = NetworkLease(json) else { return nil }
        self.lease = lease
    }

    /// The members of the object.
    public var json: JSONValue { lease.json }
}

extension NetworkRoute {
    fileprivate var json: JSONValue {
        .object([.init("to", .string("\(destination)")), .init("via", JSONValue(gateway?.description))])
    }

    fileprivate init?(_ json: JSONValue) {
        guard let destination = json["to"]?.string.flatMap({ InterfaceAddress($0) }) else { return nil }
        self.init(to: destination, via: json["via"]?.string.flatMap { IPAddress($0) })
    }
}

private func strings(_ values: [some CustomStringConvertible]) -> JSONValue { .array(values.map { .string("\($0)") }) }

private func texts(_ json: JSONValue?) -> [String] { (json?.elements ?? []).compactMap(\.string) }

extension NetworkLease {
    fileprivate var json: JSONValue {
        .object([
            .init("interface", .string(interface)), .init("address", .string("\(address)")),
            .init("routes", .array(routes.map(\.json))), .init("nameservers", strings(nameservers)),
            .init("search", strings(searchDomains)), .init("hostname", JSONValue(hostname)),
            .init("mtu", mtu.map { JSONValue($0) } ?? .null), .init("server", JSONValue(server?.description)),
            .init("seconds", seconds.map { JSONValue($0) } ?? .null), .init("time", strings(timeServers)),
        ])
    }

    fileprivate init?(_ json: JSONValue) {
        guard let interface = json["interface"]?.string,
            let address = json["address"]?.string.flatMap({ InterfaceAddress($0) })
        else { return nil }
        self.init(interface: interface, address: address)
        routes = (json["routes"]?.elements ?? []).compactMap { NetworkRoute($0) }
        nameservers = texts(json["nameservers"]).compactMap { IPAddress($0) }
        searchDomains = texts(json["search"])
        hostname = json["hostname"]?.string
        mtu = json["mtu"]?.integer.map { Int($0) }
        server = json["server"]?.string.flatMap { IPAddress($0) }
        seconds = json["seconds"]?.integer.map { Int($0) }
        timeServers = texts(json["time"]).compactMap { IPAddress($0) }
    }
}

extension NetworkLease6 {
    fileprivate var json: JSONValue {
        .object([
            .init("addresses", strings(addresses)), .init("nameservers", strings(nameservers)),
            .init("search", strings(searchDomains)), .init("time", strings(timeServers)),
        ])
    }

    fileprivate init?(_ json: JSONValue) {
        guard let addresses = json["addresses"]?.elements else { return nil }
        self.init()
        self.addresses = addresses.compactMap(\.string).compactMap { IPAddress($0) }
        nameservers = texts(json["nameservers"]).compactMap { IPAddress($0) }
        searchDomains = texts(json["search"])
        timeServers = texts(json["time"]).compactMap { IPAddress($0) }
    }
}

extension NetworkState {
    fileprivate var json: JSONValue {
        .object([
            .init("interfaces", .array(links.map(\.json))), .init("nameservers", strings(nameservers)),
            .init("search", strings(searchDomains)), .init("hostname", JSONValue(hostname)),
        ])
    }

    fileprivate init?(_ json: JSONValue) {
        guard let interfaces = json["interfaces"]?.elements else { return nil }
        let links = interfaces.compactMap { Link($0) }
        // A link that cannot be read is not one that is absent.
        guard links.count == interfaces.count else { return nil }
        self.init(
            links: links, nameservers: texts(json["nameservers"]).compactMap { NameServer($0) },
            searchDomains: texts(json["search"]), hostname: json["hostname"]?.string)
    }
}

/// Who gave a link its addresses, in the file's words.
private enum MethodWord: String {
    case dhcp = "dhcp"
    case routerAdvertisement = "router-advertisement"
    case fixed = "fixed"

    init(_ method: NetworkState.Link.Method) {
        switch method {
        case .dhcp: self = .dhcp
        case .autoconfiguration: self = .routerAdvertisement
        case .fixed: self = .fixed
        }
    }

    var method: NetworkState.Link.Method {
        switch self {
        case .dhcp: .dhcp
        case .routerAdvertisement: .autoconfiguration
        case .fixed: .fixed
        }
    }
}

extension NetworkState.Link {
    fileprivate var json: JSONValue {
        .object([
            .init("interface", .string(interface)), .init("mac", JSONValue(mac?.description)),
            .init("method", .string(MethodWord(method).rawValue)), .init("addresses", strings(addresses)),
            .init("gateways", strings(gateways)), .init("lease", lease?.json ?? .null),
            .init("lease6", lease6?.json ?? .null), .init("metric", JSONValue(metric)),
            .init("time", strings(timeServers)),
        ])
    }

    fileprivate init?(_ json: JSONValue) {
        guard let interface = json["interface"]?.string,
            let method = json["method"]?.string.flatMap({ MethodWord(rawValue: $0) })?.method
        else { return nil }
        self.init(
            interface: interface, mac: json["mac"]?.string.flatMap { MACAddress($0) }, method: method,
            addresses: texts(json["addresses"]).compactMap { InterfaceAddress($0) },
            gateways: texts(json["gateways"]).compactMap { IPAddress($0) },
            lease: json["lease"].flatMap { NetworkLease($0) })
        lease6 = json["lease6"].flatMap { NetworkLease6($0) }
        metric = json["metric"]?.integer.map { Int($0) } ?? 100
        timeServers = texts(json["time"]).compactMap { IPAddress($0) }
    }
}
