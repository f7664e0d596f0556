// Which device gets a name that several devices claim.

/// The names that devices claim, and which device has each.
///
/// A name goes to the device with the highest priority, among equals to the first that claimed it. It stays there until
/// that device disappears or no longer claims it: a second disk with the same label changes nothing for the users of
/// the first. (udev gives it to the device that claimed it last.)
public struct LinkClaims: Sendable {
    /// A change to be made below `/dev`.
    public enum Change: Equatable, Sendable {
        case point(String, at: String)
        case remove(String)
    }

    private struct Claim {
        var device: String
        var priority: Int
    }

    /// The claims on each name, in their order.
    private var claims: [String: [Claim]] = [:]
    private var names: [String: [String]] = [:]

    /// Creates claims of no device.
    public init() {}

    /// The device that has the name; `nil` if there is none.
    public func owner(of name: String) -> String? {
        guard let all = claims[name], let highest = all.map(\.priority).max() else { return nil }
        return all.first { $0.priority == highest }?.device
    }

    /// The names that this device claims but another device has.
    ///
    /// A disk and its own partition may have the same content, as with a hybrid ISO on a stick: they do not compete.
    public func denied(to device: String) -> [String] {
        (names[device] ?? []).filter { name in
            guard let owner = owner(of: name) else { return false }
            return owner != device && !owner.hasPrefix(device + "/") && !device.hasPrefix(owner + "/")
        }
    }

    /// Replaces all claims of a device; without names it has none.
    ///
    /// - Parameters:
    ///   - wanted: The names that it claims.
    ///   - priority: The priority of its claims.
    ///   - device: The device.
    /// - Returns: The changes, sorted by name.
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
