// Properties in the OVF environment of a virtual machine, which is an XML document.

/// The value of `<Property oe:key="KEY" oe:value="VALUE"/>` with any namespace prefix.
func ovfProperty(_ key: String, in document: [UInt8]) -> [UInt8]? {
    for element in String(decoding: document, as: UTF8.self).split(separator: "<") {
        let name = element.prefix { !$0.isWhitespace && $0 != ">" && $0 != "/" }
        guard name.split(separator: ":").last == "Property" else { continue }
        let attributes = attributes(of: element.dropFirst(name.count))
        if attributes["key"] == key, let value = attributes["value"] { return Array(value.utf8) }
    }
    return nil
}

/// The attributes by their names without namespace, with the references in their values replaced.
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

/// A text in which `&lt;`, `&#10;` and the like are replaced by what they stand for.
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
