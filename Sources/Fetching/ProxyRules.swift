// Which requests use a proxy.

import Encoding
import Glibc
import IgnitionConfig

/// The proxies of this machine, and the hosts that are reached without one.
///
/// - SeeAlso: Ignition's `ignition.proxy`, which follows Go's `httpproxy`.
public struct ProxyRules: Equatable, Sendable {
    /// The proxy's URL for `http:` requests.
    public var http: SourceURL?
    /// The proxy's URL for `https:` requests.
    public var https: SourceURL?
    /// Hosts without a proxy, each with an optional `:port`; `*` is every host.
    ///
    /// These are addresses, networks (`10.0.0.0/8`), hosts with their subdomains (`example.com`) or subdomains alone
    /// (`.example.com`, `*.example.com`).
    public var exceptions: [String]

    /// Creates rules; without arguments there is no proxy.
    public init(http: SourceURL? = nil, https: SourceURL? = nil, exceptions: [String] = []) {
        self.http = http
        self.https = https
        self.exceptions = exceptions
    }

    /// Creates rules with one proxy for both kinds of requests.
    public init(_ proxy: SourceURL?) { self.init(http: proxy, https: proxy) }

    /// Takes the rules of a config that was checked.
    public init(_ config: IgnitionConfig.Proxy) {
        self.init(http: config.httpProxy?.url, https: config.httpsProxy?.url, exceptions: config.noProxy)
    }

    /// The proxy for `url`; `nil` to connect directly, as always to this machine itself.
    public func proxy(for url: SourceURL) -> SourceURL? {
        let proxy: SourceURL?
        switch url.scheme {
        case "http": proxy = http
        case "https": proxy = https
        default: return nil
        }
        guard let proxy else { return nil }
        let host = url.host.filter { $0 != "[" && $0 != "]" }.lowercased()
        let port = url.port.flatMap { $0.isEmpty ? nil : $0 } ?? (url.scheme == "http" ? "80" : "443")
        let address = Address(host)
        if host == "localhost" || address?.isLoopback == true { return nil }
        return exceptions.contains { Self.matches($0, host: host, address: address, port: port) } ? nil : proxy
    }

    private static func matches(_ exception: String, host: String, address: Address?, port: String) -> Bool {
        var rule = exception.filter { $0 != " " }.lowercased()
        if rule == "*" { return true }
        if rule.isEmpty { return false }
        if let slash = rule.firstIndex(of: "/") {
            guard let address, let network = Address(String(rule[..<slash])),
                let length = Int(rule[rule.index(after: slash)...])
            else { return false }
            return address.isIn(network, length: length)
        }
        if let (name, rulePort) = Self.splitPort(rule) {
            if rulePort != port { return false }
            rule = name
        }
        if let one = Address(rule.filter { $0 != "[" && $0 != "]" }) { return one == address }
        if rule.hasPrefix("*.") { rule.removeFirst() }
        if rule.hasPrefix(".") { return host.hasSuffix(rule) && host.count > rule.count }
        return host == rule || host.hasSuffix("." + rule)
    }

    /// The parts of `host:port` and `[address]:port`; a bare IPv6 address has no port.
    private static func splitPort(_ rule: String) -> (String, String)? {
        guard let colon = rule.lastIndex(of: ":") else { return nil }
        let name = rule[..<colon]
        let port = rule[rule.index(after: colon)...]
        guard !port.isEmpty, port.allSatisfy(\.isNumber), !name.contains(":") || name.hasSuffix("]") else { return nil }
        return (String(name), String(port))
    }
}

/// An IP address of 4 or 16 bytes.
private struct Address: Equatable {
    var bytes: [UInt8]

    init?(_ text: String) {
        var buffer = [UInt8](repeating: 0, count: 16)
        if inet_pton(AF_INET, text, &buffer) == 1 {
            bytes = Array(buffer[..<4])
        } else if inet_pton(AF_INET6, text, &buffer) == 1 {
            bytes = buffer
        } else {
            return nil
        }
    }

    var isLoopback: Bool {
        bytes.count == 4 ? bytes[0] == 127 : bytes.dropLast().allSatisfy { $0 == 0 } && bytes[15] == 1
    }

    func isIn(_ network: Address, length: Int) -> Bool {
        guard bytes.count == network.bytes.count, 0...(bytes.count * 8) ~= length else { return false }
        return (0..<length).allSatisfy { bit in
            let mask: UInt8 = 0x80 >> UInt8(bit % 8)
            let difference: UInt8 = bytes[bit / 8] ^ network.bytes[bit / 8]
            return difference & mask == 0
        }
    }
}
