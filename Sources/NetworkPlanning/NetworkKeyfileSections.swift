// The sections of a keyfile, and typed values of them.

import BootArguments
import Reporting

/// What a keyfile says, section by section.
struct NetworkKeyfileSections {
    typealias Failure = NetworkKeyfile.Failure

    let file: String
    private var sections: [String: [String: String]] = [:]

    init(_ text: String, file: String) throws(Failure) {
        self.file = file
        var section = ""
        // A byte order mark is not part of the first line.
        let plain = text.unicodeScalars.first == "\u{feff}" ? String(text.unicodeScalars.dropFirst()) : text
        for (number, raw) in Reporting.lines(of: plain).enumerated() {
            let line = trimmed(raw)
            if line.isEmpty || line.hasPrefix("#") || line.hasPrefix(";") { continue }
            if line.hasPrefix("["), line.hasSuffix("]") {
                section = String(line.dropFirst().dropLast())
                sections[section, default: [:]].merge([:]) { old, _ in old }
            } else if let equals = line.unicodeScalars.firstIndex(of: "="), !section.isEmpty {
                // By scalars, here and below: for Swift, the sign and a combining mark after it are one character.
                let value = Substring(line.unicodeScalars[equals...].dropFirst())
                sections[section]?[trimmed(line[..<equals])] = trimmed(value)
            } else {
                throw .malformed(file: file, line: number + 1)
            }
        }
    }

    func has(_ section: String) -> Bool { sections[section] != nil }

    /// The value, with its escapes replaced; `nil` for none and for an empty one.
    func value(_ section: String, _ key: String) -> String? {
        guard let text = sections[section]?[key], !text.isEmpty else { return nil }
        guard text.unicodeScalars.contains("\\") else { return text }
        var plain = String.UnicodeScalarView()
        var isEscaped = false
        for character in text.unicodeScalars {
            if isEscaped {
                switch character {
                case "s": plain.append(" ")
                case "n": plain.append("\n")
                case "t": plain.append("\t")
                case "r": plain.append("\r")
                default: plain.append(character)
                }
            } else if character != "\\" {
                plain.append(character)
            }
            isEscaped = character == "\\" && !isEscaped
        }
        return String(plain)
    }

    /// A section's keys and values in alphabetical order.
    func pairs(_ section: String) -> [(key: String, value: String)] {
        (sections[section] ?? [:]).keys.sorted().map { ($0, value(section, $0) ?? "") }
    }

    /// The type that the name of a section shows, where the file does not state it.
    var onlyType: String? { ["vlan", "bond", "bridge", "team", "wifi", "infiniband"].first(where: has) }

    /// What the file has sections for that cannot be done here.
    var unsupportedSections: [String] {
        ["802-1x", "dcb", "macsec"].filter(has) + (value("connection", "type") == nil ? [] : ["pppoe"].filter(has))
    }

    func flag(_ section: String, _ key: String) throws(Failure) -> Bool? {
        guard let text = value(section, key) else { return nil }
        switch text.lowercased() {
        case "true", "1", "yes", "on": return true
        case "false", "0", "no", "off": return false
        default: throw .unreadable(file: file, key: "\(section).\(key)", value: text)
        }
    }

    func mac(_ section: String, _ key: String) throws(Failure) -> MACAddress? {
        guard let text = value(section, key) else { return nil }
        guard let mac = MACAddress(text) else { throw .unreadable(file: file, key: key, value: text) }
        return mac
    }

    /// `preserve` and `permanent` mean the card's own address; random ones cannot be used for a boot.
    func clonedMAC(_ section: String, _ unsupported: inout [String]) throws(Failure) -> MACAddress? {
        let text = value(section, "cloned-mac-address") ?? "preserve"
        if ["preserve", "permanent"].contains(text) { return nil }
        if ["random", "stable", "stable-ssid"].contains(text) {
            unsupported.append("cloned-mac-address=\(text)")
            return nil
        }
        return try mac(section, "cloned-mac-address")
    }

    func number(_ section: String, _ key: String, _ range: ClosedRange<Int>) throws(Failure) -> Int? {
        guard let text = value(section, key), text != "auto" else { return nil }
        let number = text.hasPrefix("0x") ? Int(text.dropFirst(2), radix: 16) : Int(text)
        guard let number, range.contains(number) else { throw .unreadable(file: file, key: key, value: text) }
        return number
    }

    func ethernet(_ section: String) throws(Failure) -> EthernetSettings {
        var settings = EthernetSettings()
        settings.speed = try number(section, "speed", 0...10_000_000).flatMap { $0 == 0 ? nil : $0 }
        // A speed alone is forced.
        settings.autonegotiates = try flag(section, "auto-negotiate") ?? (settings.speed == nil ? nil : false)
        settings.isHalfDuplex = value(section, "duplex") == "half"
        return settings
    }

    func match(_ ethernet: String) throws(Failure) -> NetworkMatch {
        var match = NetworkMatch()
        match.names = list("match", "interface-name")
        match.drivers = list("match", "driver")
        match.paths = list("match", "path")
        match.kernelArguments = list("match", "kernel-command-line")
        match.mac = try mac(ethernet, "mac-address")
        for key in ["mac-address-denylist", "mac-address-blacklist"] {
            for text in list(ethernet, key) {
                guard let mac = MACAddress(text) else { throw .unreadable(file: file, key: key, value: text) }
                match.deniedMACs.append(mac)
            }
        }
        return match
    }

    /// The defaults are NetworkManager's: the spanning tree protocol is spoken, and a port forwards after 15 seconds.
    func bridge() throws(Failure) -> BridgeOptions {
        var values: [String: String] = [:]
        values["stp_state"] = try flag("bridge", "stp") ?? true ? "1" : "0"
        for (key, name, scale) in [
            ("forward-delay", "forward_delay", 100), ("hello-time", "hello_time", 100), ("max-age", "max_age", 100),
            ("ageing-time", "ageing_time", 100), ("priority", "priority", 1),
        ] {
            if let number = try number("bridge", key, 0...1_000_000) { values[name] = "\(number * scale)" }
        }
        for (key, name) in [("vlan-filtering", "vlan_filtering"), ("multicast-snooping", "multicast_snooping")] {
            if let flag = try flag("bridge", key) { values[name] = flag ? "1" : "0" }
        }
        return BridgeOptions(values: values)
    }

    /// The values of `key`, `key1`, `key2`..., in the order of their numbers.
    func numbered(_ key: String, in section: String) -> [(key: String, value: String)] {
        (sections[section] ?? [:]).keys
            .filter { $0.hasPrefix(key) && ($0 == key || Int($0.dropFirst(key.count)) != nil) }
            .sorted { (Int($0.dropFirst(key.count)) ?? -1) < (Int($1.dropFirst(key.count)) ?? -1) }
            .compactMap { key in value(section, key).map { (key, $0) } }
    }

    /// The words of a list; blanks and commas separate them as well.
    func list(_ section: String, _ key: String) -> [String] {
        (value(section, key) ?? "").unicodeScalars.split { [";", ",", " "].contains($0) }.map { String($0) }
    }
}

/// Without the white space at both ends.
func trimmed(_ text: some StringProtocol) -> String {
    var rest = text.unicodeScalars[...]
    while let last = rest.last, last.properties.isWhitespace { rest.removeLast() }
    return String(String.UnicodeScalarView(rest.drop(while: \.properties.isWhitespace)))
}
