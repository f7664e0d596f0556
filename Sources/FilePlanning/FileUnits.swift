// Presets: how a config's `enabled` reaches systemd.

import IgnitionConfig
import Reporting

/// The preset file's text with this config's units in it.
///
/// Lines about the same units are replaced, all others kept, so that the same config leaves the same text
/// however often it is applied. A line that comes first wins, hence stale ones must go.
/// - Parameter disabling: What is to be disabled and was enabled: the original's lines, which name no others.
///   `nil`: a line for every unit.
/// - Returns: `nil` where no unit is to be enabled or disabled.
/// - SeeAlso: systemd.preset(5).
func presetText(for units: [IgnitionConfig.Unit], existing: String?, disabling: [String]? = nil) -> String? {
    let ours = disabling.map { originalLines(for: units, disabling: $0) } ?? presetLines(for: units)
    if ours.isEmpty { return nil }
    let names = Set(ours.compactMap { presetName($0[...]) })
    let kept = lines(of: existing ?? "").filter { line in
        presetName(line).map { !names.contains($0) } ?? !line.isEmpty
    }.map(String.init)
    return (kept + ours).joined(separator: "\n") + "\n"
}

/// What the original leaves: its lines behind those that are there, at every run.
func appendedPresets(for units: [IgnitionConfig.Unit], existing: String?, disabling: [String]) -> String? {
    let lines = originalLines(for: units, disabling: disabling)
    return lines.isEmpty ? nil : (existing ?? "") + lines.map { "\($0)\n" }.joined()
}

/// The original's lines: of the units to disable only those that were enabled.
private func originalLines(for units: [IgnitionConfig.Unit], disabling: [String]) -> [String] {
    presetLines(for: units, strict: true).filter { line in
        guard line.hasPrefix("disable ") else { return true }
        return disabling.contains(String(line.dropFirst("disable ".count)))
    }
}

/// What the original asks systemctl about before it disables: the instances of a template are one word to it.
public func disabledPresets(of units: [IgnitionConfig.Unit]) -> [String] {
    presetLines(for: units, strict: true).filter { $0.hasPrefix("disable ") }.map {
        String($0.dropFirst("disable ".count))
    }
}

/// A line for each unit that is to be enabled or disabled, sorted as the original sorts them.
///
/// - Parameter strict: A template itself is its own instance without a name: a blank at the line's end.
private func presetLines(for units: [IgnitionConfig.Unit], strict: Bool = false) -> [String] {
    var lines: [String: String] = [:]
    for unit in units {
        guard let enabled = unit.enabled else { continue }
        let verb = enabled ? "enable" : "disable"
        let instance = unit.instance?.name ?? (strict && unit.name.contains("@.") ? "" : nil)
        // The instances of a template share one line.
        let name = unit.instance?.template ?? unit.name
        let line = lines["\(name)-\(verb)d"] ?? "\(verb) \(name)"
        lines["\(name)-\(verb)d"] = line + (instance.map { " \($0)" } ?? "")
    }
    return lines.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }.map(\.value)
}

/// The first release of systemd whose presets know instances.
private let firstWithInstances = 240

/// A warning where presets name instances of templates, and the target's systemd would not understand them.
///
/// - Parameter said: What asks for the release: the words of `systemctl --version`; `nil` where there is none.
public func instanceWarning(for units: [IgnitionConfig.Unit], systemctl said: () -> String?) -> String? {
    guard let unit = units.first(where: { $0.enabled != nil && $0.instance != nil }),
        let words = said()?.split(whereSeparator: \.isWhitespace), words.count > 1, words[0] == "systemd",
        let release = Int(words[1].prefix(while: \.isNumber)), release < firstWithInstances
    else { return nil }
    return "the target's systemd \(release) does not know instances in presets, such as \(unit.name): "
        + "\(firstWithInstances) and later do"
}

/// The unit that a preset line is about; `nil` for a comment.
private func presetName(_ line: Substring) -> String? {
    let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" || $0 == "\r" })
    guard words.count >= 2, words[0] == "enable" || words[0] == "disable" else { return nil }
    return String(words[1])
}
