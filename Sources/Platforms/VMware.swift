// VMware: the config among the variables of the virtual machine, or in its OVF environment.

private let dataName = "ignition.config.data"
private let encodingName = "ignition.config.data.encoding"

extension PlatformAccess {
    func vmwareConfig() throws -> [UInt8]? {
        let environment = try guestInformation.value(of: "ovfenv") ?? []
        func value(_ name: String) throws -> [UInt8] {
            try guestInformation.value(of: name) ?? ovfProperty("guestinfo.\(name)", in: environment) ?? []
        }
        let data = try value(dataName)
        let encoding = String(decoding: try value(encodingName), as: UTF8.self)
        switch encoding {
        case "": return data
        case "b64", "base64": return try decodedBase64(data, .vmware)
        case "gz", "gzip": return try gunzipped(data, .vmware)
        case "gz+base64", "gz+b64", "gzip+base64", "gzip+b64":
            return try gunzipped(try decodedBase64(data, .vmware), .vmware)
        default: throw PlatformFailure.unknownEncoding(.vmware, encoding)
        }
    }

    /// Empties the variables: nothing can be taken away from the OVF environment.
    func removeVMwareConfig() throws {
        // A variable that was never there is not made.
        for name in [dataName, encodingName] where try guestInformation.value(of: name)?.isEmpty == false {
            try guestInformation.set(name, to: "")
        }
    }
}

/// The value of `<Property oe:key="KEY" oe:value="VALUE"/>`, whatever its namespace is called.
func ovfProperty(_ key: String, in document: [UInt8]) -> [UInt8]? {
    for element in String(decoding: document, as: UTF8.self).split(separator: "<") {
        let name = element.prefix { !$0.isWhitespace && $0 != ">" && $0 != "/" }
        guard name.split(separator: ":").last == "Property" else { continue }
        let attributes = attributes(of: element.dropFirst(name.count))
        if attributes["key"] == key, let value = attributes["value"] { return Array(value.utf8) }
    }
    return nil
}

/// Names without their namespace, values with their references replaced.
private func attributes(of text: Substring) -> [Substring: String] {
    var found: [Substring: String] = [:]
    var rest = text
    while let equals = rest.firstIndex(of: "=") {
        let name = rest[..<equals].split(whereSeparator: \.isWhitespace).last ?? ""
        rest = rest[equals...].dropFirst().drop(while: \.isWhitespace)
        guard let quote = rest.first, quote == "\"" || quote == "'", let end = rest.dropFirst().firstIndex(of: quote)
        else { break }
        found[name.split(separator: ":").last ?? name] = resolved(rest[rest.index(after: rest.startIndex)..<end])
        rest = rest[end...].dropFirst()
    }
    return found
}

/// With `&lt;`, `&#10;` and the like replaced by what they stand for.
private func resolved(_ text: Substring) -> String {
    var result = ""
    var rest = text
    while let start = rest.firstIndex(of: "&") {
        result += rest[..<start]
        rest = rest[start...].dropFirst()
        guard let end = rest.firstIndex(of: ";"), let character = character(named: rest[..<end]) else {
            result += "&"
            continue
        }
        result.append(character)
        rest = rest[end...].dropFirst()
    }
    return result + rest
}

private func character(named name: Substring) -> Character? {
    switch name {
    case "lt": return "<"
    case "gt": return ">"
    case "amp": return "&"
    case "quot": return "\""
    case "apos": return "'"
    default:
        guard name.first == "#" else { return nil }
        let digits = name.dropFirst()
        let number = digits.first == "x" ? UInt32(digits.dropFirst(), radix: 16) : UInt32(digits)
        return number.flatMap(Unicode.Scalar.init).map(Character.init)
    }
}
