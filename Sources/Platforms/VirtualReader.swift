// z/VM: the config is a file in the machine's virtual card reader.

import LinuxSystem
import SystemPackage

extension PlatformAccess {
    /// Reads the first file of the type IGN, which stays in the reader.
    ///
    /// - SeeAlso: vmur(8), chccwdev(8) of s390-tools.
    func readerConfig() throws -> [UInt8]? {
        loadModule("vmur")
        _ = try run(Command("chccwdev", ["-e", readerNumber]))
        guard let file = spoolFile(in: try run(Command("vmur", ["list"])).text) else { return nil }
        return try run(Command("vmur", ["receive", "--hold", "--text", "--stdout", file])).standardOutput
    }
}

private let readerNumber = "000c"

/// The number of the first file of the type IGN.
///
/// A line has the origin, the number, the class, counts, a date and a time, the name and the type; the name or the type
/// may be missing.
func spoolFile(in list: String) -> String? {
    for line in list.split(whereSeparator: \.isNewline) {
        let words = line.split(separator: " ")
        guard words.count >= 9, words[1].count == 4, words[1].allSatisfy(\.isNumber),
            words.dropFirst(8).contains(where: { $0.uppercased() == "IGN" || $0.uppercased().hasSuffix(".IGN") })
        else { continue }
        return String(words[1])
    }
    return nil
}
