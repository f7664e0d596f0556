// Presets: how `enabled` in a config reaches systemd.

import IgnitionConfig
import Reporting

/// The text of the preset file with this config's units in it.
///
/// Lines about the same units are replaced and all others kept, so that the same config leaves the same text however
/// often it is applied. The first line about a unit wins, so stale ones must go.
///
/// - Parameters:
///   - units: The units of the config.
///   - existing: The text of the file that is there.
///   - disabling: The units to disable that are enabled now; the lines are then Ignition's, which name no other
///     units to disable. `nil` makes a line for every unit.
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

/// The text that Ignition leaves: at every run it appends its lines to those that are there.
func appendedPresets(for units: [IgnitionConfig.Unit], existing: String?, disabling: [String]) -> String? {
    let lines = originalLines(for: units, disabling: disabling)
    return lines.isEmpty ? nil : (existing ?? "") + lines.map { "\($0)\n" }.joined()
}

/// The lines of Ignition, which disables only units that were enabled.
private func originalLines(for units: [IgnitionConfig.Unit], disabling: [String]) -> [String] {
    presetLines(for: units, strict: true).filter { line in
        guard line.hasPrefix("disable ") else { return true }
        return disabling.contains(String(line.dropFirst("disable ".count)))
    }
}

/// The names that Ignition gives to systemctl before it disables units.
///
/// - Parameter units: The units of the config.
/// - Returns: A name for each unit to disable; the instances of a template are one name.
public func disabledPresets(of units: [IgnitionConfig.Unit]) -> [String] {
    presetLines(for: units, strict: true).filter { $0.hasPrefix("disable ") }.map {
        String($0.dropFirst("disable ".count))
    }
}

/// A line for each unit that is to be enabled or disabled, in Ignition's order.
///
/// - Parameters:
///   - units: The units of the config.
///   - strict: Whether a template counts as an instance with an empty name, which leaves a blank at the line's end.
/// - Returns: The lines without their newlines.
private func presetLines(for units: [IgnitionConfig.Unit], strict: Bool = false) -> [String] {
    var lines: [String: String] = [:]
    for unit in units {
        guard let enabled = unit.enabled else { continue }
        let verb = enabled ? "enable" : "disable"
        let instance = unit.instance?.name ?? (strict && unit.name.contains("@.") ? "" : nil)
        // Only "enable" takes a list of instances; Ignition makes one for "disable", too, which systemd does not heed.
        if !enabled, !strict, unit.instance != nil {
            lines["\(unit.name)-disabled"] = "disable \(unit.name)"
            continue
        }
        // The instances of a template share one line.
        let name = unit.instance?.template ?? unit.name
        let line = lines["\(name)-\(verb)d"] ?? "\(verb) \(name)"
        lines["\(name)-\(verb)d"] = line + (instance.map { " \($0)" } ?? "")
    }
    return lines.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }.map(\.value)
}

/// The first release of systemd whose presets know instances.
private let firstWithInstances = 240

/// A warning where presets name instances of templates and the target's systemd is too old to understand them.
///
/// - Parameters:
///   - units: The units of the config.
///   - said: Asks for the output of `systemctl --version`; `nil` where there is no systemctl.
/// - Returns: `nil` where all is well, or the release is not known.
public func instanceWarning(for units: [IgnitionConfig.Unit], systemctl said: () -> String?) -> String? {
    guard let unit = units.first(where: { $0.enabled != nil && $0.instance != nil }),
        let words = said()?.split(whereSeparator: \.isWhitespace), words.count > 1, words[0] == "systemd",
        let release = Int(words[1].prefix(while: \.isNumber)), release < firstWithInstances
    else { return nil }
    return "the target's systemd \(release) does not know instances in presets, such as \(unit.name): "
        + "\(firstWithInstances) and later do"
}

/// The unit that a preset line names; `nil` for a comment.
private func presetName(_ line: Substring) -> String? {
    let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" || $0 == "\r" })
    guard words.count >= 2, words[0] == "enable" || words[0] == "disable" else { return nil }
    return String(words[1])
}
