// Presets: how a config's `enabled` reaches systemd.

import IgnitionConfig

/// The preset file's text with this config's units in it.
///
/// Lines about the same units are replaced, all others kept, so that the same config leaves the same text
/// however often it is applied. A line that comes first wins, hence stale ones must go.
/// - Returns: `nil` where no unit is to be enabled or disabled.
/// - SeeAlso: systemd.preset(5).
func presetText(for units: [IgnitionConfig.Unit], existing: String?) -> String? {
    var lines: [String: String] = [:]
    for unit in units {
        guard let enabled = unit.enabled else { continue }
        let verb = enabled ? "enable" : "disable"
        // The instances of a template share one line.
        let name = unit.instance?.template ?? unit.name
        let line = lines["\(name)-\(verb)d"] ?? "\(verb) \(name)"
        lines["\(name)-\(verb)d"] = line + (unit.instance.map { " \($0.name)" } ?? "")
    }
    if lines.isEmpty { return nil }
    let names = Set(lines.values.compactMap { presetName($0[...]) })
    let kept = (existing ?? "").split(separator: "\n", omittingEmptySubsequences: false).filter { line in
        presetName(line).map { !names.contains($0) } ?? !line.isEmpty
    }.map(String.init)
    let ours = lines.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }.map(\.value)
    return (kept + ours).joined(separator: "\n") + "\n"
}

/// The unit that a preset line is about; `nil` for a comment.
private func presetName(_ line: Substring) -> String? {
    let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
    guard words.count >= 2, words[0] == "enable" || words[0] == "disable" else { return nil }
    return String(words[1])
}
