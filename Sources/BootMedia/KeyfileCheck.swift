// Likely mistakes in a NetworkManager keyfile. They are never refused: NetworkManager knows more than this check.

/// Looks at a keyfile as far as every keyfile is alike.
public enum KeyfileCheck {
    /// A line for each thing that NetworkManager will stumble over.
    ///
    /// `bytes` is the keyfile and `name` is the name that it will have in the image.
    public static func warnings(_ bytes: [UInt8], name: String) -> [String] {
        var warnings: [String] = []
        if !name.hasSuffix(".nmconnection") {
            warnings.append("NetworkManager takes a file for a connection whose name ends with .nmconnection")
        }
        guard let text = String(validating: bytes, as: UTF8.self) else { return warnings + ["it is not UTF-8"] }
        var group: String?
        var hasConnection = false
        for (index, line) in text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            .enumerated()
        {
            let line = trimmed(String(Substring(line)))
            if line.isEmpty || line.hasPrefix("#") || line.hasPrefix(";") { continue }
            if line.hasPrefix("[") {
                guard line.hasSuffix("]"), line.utf8.count > 2 else {
                    warnings.append("line \(index + 1): a group is written as [NAME]")
                    continue
                }
                group = String(line.dropFirst().dropLast())
                hasConnection = hasConnection || group == "connection"
            } else if group == nil {
                warnings.append("line \(index + 1): a setting before the first [GROUP]")
            } else if !line.utf8.contains(UInt8(ascii: "=")) || line.hasPrefix("=") {
                // The line may hold a password, so only its number is shown.
                warnings.append("line \(index + 1): a setting is written as KEY=VALUE")
            }
        }
        if !hasConnection { warnings.append("it has no [connection]") }
        return warnings.count > 5 ? warnings.prefix(5) + ["and \(warnings.count - 5) more"] : warnings
    }
}
