// Leases and the state of the network as JSON, for the stages after this one and for programs.

import BootArguments
import JSONText
import NetworkPlanning

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
    var json: JSONValue {
        .object([
            .init("interface", .string(interface)), .init("address", .string("\(address)")),
            .init("routes", .array(routes.map(\.json))), .init("nameservers", strings(nameservers)),
            .init("search", strings(searchDomains)), .init("hostname", JSONValue(hostname)),
            .init("mtu", mtu.map { JSONValue($0) } ?? .null), .init("server", JSONValue(server?.description)),
            .init("seconds", seconds.map { JSONValue($0) } ?? .null), .init("time", strings(timeServers)),
        ])
    }

    init?(_ json: JSONValue) {
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
    var json: JSONValue {
        .object([
            .init("interfaces", .array(links.map(\.json))), .init("nameservers", strings(nameservers)),
            .init("search", strings(searchDomains)), .init("hostname", JSONValue(hostname)),
        ])
    }

    init?(_ json: JSONValue) {
        guard let links = json["interfaces"]?.elements else { return nil }
        self.init(
            links: links.compactMap { Link($0) }, nameservers: texts(json["nameservers"]).compactMap { NameServer($0) },
            searchDomains: texts(json["search"]), hostname: json["hostname"]?.string)
    }
}

extension NetworkState.Link {
    fileprivate var json: JSONValue {
        .object([
            .init("interface", .string(interface)), .init("mac", JSONValue(mac?.description)),
            .init("method", .string(method.rawValue)), .init("addresses", strings(addresses)),
            .init("gateways", strings(gateways)), .init("lease", lease?.json ?? .null),
            .init("lease6", lease6?.json ?? .null), .init("metric", JSONValue(metric)),
            .init("time", strings(timeServers)),
        ])
    }

    fileprivate init?(_ json: JSONValue) {
        guard let interface = json["interface"]?.string,
            let method = json["method"]?.string.flatMap({ Method(rawValue: $0) })
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
