// Who gets a name that several devices ask for.

/// The names that devices ask for, and which device has each.
///
/// A name goes to the device of the highest priority, among equals to the one that asked first, and
/// stays there until that device goes or asks no longer: a second disk with the same label changes
/// nothing under the feet of whoever uses the first. (udev gives it to the one that asked last.)
public struct LinkClaims: Sendable {
    /// Something to be done below `/dev`.
    public enum Change: Equatable, Sendable {
        case point(String, at: String)
        case remove(String)
    }

    private struct Claim {
        var device: String
        var priority: Int
    }

    /// By name, in the order of asking.
    private var claims: [String: [Claim]] = [:]
    private var names: [String: [String]] = [:]

    public init() {}

    /// The device that has the name.
    public func owner(of name: String) -> String? {
        guard let all = claims[name], let highest = all.map(\.priority).max() else { return nil }
        return all.first { $0.priority == highest }?.device
    }

    /// The names that another device has although this one asked for them too. A disk and its own partition may
    /// well hold the same thing, as a hybrid ISO does on a stick: that is no contest.
    public func denied(to device: String) -> [String] {
        (names[device] ?? []).filter { name in
            guard let owner = owner(of: name) else { return false }
            return owner != device && !owner.hasPrefix(device + "/") && !device.hasPrefix(owner + "/")
        }
    }

    /// Replaces all that a device asks for; no names where it is gone.
    ///
    /// - Returns: What changes, in the order of the names.
    public mutating func set(_ wanted: [String], priority: Int = 0, for device: String) -> [Change] {
        let touched = Set(names[device] ?? []).union(wanted).sorted()
        let before = touched.map { owner(of: $0) }
        for name in touched {
            let isWanted = wanted.contains(name)
            if let place = claims[name]?.firstIndex(where: { $0.device == device }) {
                if isWanted {
                    claims[name]?[place].priority = priority
                } else {
                    claims[name]?.remove(at: place)
                    if claims[name]?.isEmpty == true { claims[name] = nil }
                }
            } else if isWanted {
                claims[name, default: []].append(Claim(device: device, priority: priority))
            }
        }
        names[device] = wanted.isEmpty ? nil : wanted
        return zip(touched, before).compactMap { name, before in
            let now = owner(of: name)
            if now == before { return nil }
            return now.map { .point(name, at: $0) } ?? .remove(name)
        }
    }
}
