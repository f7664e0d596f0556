// Which interfaces a profile is for, and which of several keyfiles can be used together.

import BootArguments
import KernelModules

extension NetworkMatch {
    /// Whether an interface fits, whatever it is called.
    public func fits(_ interface: NetworkInterface) -> Bool {
        if let mac, mac != interface.mac { return false }
        if let own = interface.mac, deniedMACs.contains(own) { return false }
        let names = [interface.name, interface.kernelName] + interface.predictable.all
        return Self.fits(self.names, names)
            && (drivers.isEmpty || Self.fits(drivers, interface.driver.map { [$0] } ?? []))
            && (paths.isEmpty || Self.fits(paths, interface.busPath.map { [$0] } ?? []))
    }

    /// Whether the command line has the words that it must have.
    public func fits(_ line: KernelCommandLine) -> Bool {
        Self.judge(kernelArguments) { wanted in
            line.words.contains { $0.description == wanted || (!wanted.contains("=") && $0.key == wanted) }
        }
    }

    private static func fits(_ patterns: [String], _ names: [String]) -> Bool {
        judge(patterns) { pattern in names.contains { fileName($0, matches: pattern) } }
    }

    /// One of the words with `|` or without a sign, all of those with `&`, none of those with `!`.
    private static func judge(_ words: [String], _ holds: (String) -> Bool) -> Bool {
        var optional: [Bool] = []
        for word in words {
            var rest = word[...]
            var isMandatory = false
            if let sign = rest.first, sign == "|" || sign == "&" {
                isMandatory = sign == "&"
                rest.removeFirst()
            } else if rest.first == "!" {
                isMandatory = true
            }
            var isInverted = false
            if rest.first == "!" {
                isInverted = true
                rest.removeFirst()
            }
            if rest.first == "\\" { rest.removeFirst() }
            let outcome = holds(String(rest)) != isInverted
            if isMandatory, !outcome { return false }
            if !isMandatory { optional.append(outcome) }
        }
        return optional.isEmpty || optional.contains(true)
    }
}

extension NetworkProfile {
    /// Whether the interface is one that this profile is for; its name and MAC address among it.
    public func isFor(_ interface: NetworkInterface, names: [MACAddress: String]) -> Bool {
        guard match.fits(interface) else { return false }
        return interface.isMeant(by: self.interface ?? .name(interface.name), names: names)
    }

    /// The profiles of keyfiles that start by themselves, each with its controller and parent by name; and what of
    /// them cannot be used.
    ///
    /// A port or a VLAN on top of what cannot be used cannot either. One that does not start by itself does so for
    /// its ports and VLANs.
    public static func joined(
        _ keyfiles: [NetworkKeyfile], line: KernelCommandLine? = nil
    ) -> (profiles: [NetworkProfile], refused: [NetworkKeyfile.Failure]) {
        func isCalled(_ profile: NetworkProfile, _ name: String) -> Bool {
            profile.identifiers.contains(name) || profile.interface?.description == name
        }
        var isUsed = keyfiles.map { $0.startsByItself && (line.map($0.profile.match.fits) ?? true) }
        var hasChanged = true
        while hasChanged {
            hasChanged = false
            for index in keyfiles.indices where isUsed[index] {
                for name in keyfiles[index].profile.lowerNames {
                    for other in keyfiles.indices where !isUsed[other] && isCalled(keyfiles[other].profile, name) {
                        isUsed[other] = true
                        hasChanged = true
                    }
                }
            }
        }
        var profiles = keyfiles.indices.filter { isUsed[$0] }.map { keyfiles[$0].profile }
        for index in profiles.indices {
            if let controller = profiles[index].controller {
                let found = profiles.first { other in
                    switch other.kind {
                    case .bond, .bridge, .unsupported: isCalled(other, controller)
                    case .ethernet, .vlan: false
                    }
                }
                if let name = found?.interface?.description {
                    profiles[index].controller = name
                } else {
                    profiles[index].unsupported.append("a port of \(controller), which no keyfile describes,")
                }
            }
            if case .vlan(let id, let parent?, let flags) = profiles[index].kind {
                let found = profiles.first { isCalled($0, parent.description) }
                profiles[index].kind = .vlan(id: id, parent: found?.interface ?? parent, flags: flags)
            }
            if case .unsupported(let type) = profiles[index].kind {
                profiles[index].unsupported.insert("connection type \(type)", at: 0)
            }
        }
        let refused = profiles.compactMap { profile in
            profile.unsupported.first.map { NetworkKeyfile.Failure.unsupported(file: profile.origin, what: $0) }
        }
        hasChanged = true
        while hasChanged {
            let usable = profiles.filter(\.unsupported.isEmpty)
            let unusable = profiles.filter { !$0.unsupported.isEmpty }
            hasChanged = false
            for index in profiles.indices where profiles[index].unsupported.isEmpty {
                let stands = profiles[index].lowerNames.allSatisfy { name in
                    usable.contains { isCalled($0, name) } || !unusable.contains { isCalled($0, name) }
                }
                if !stands {
                    profiles[index].unsupported = ["what it is built on"]
                    hasChanged = true
                }
            }
        }
        return (profiles.filter(\.unsupported.isEmpty), refused)
    }

    /// The links that it cannot do without: its controller, its parent.
    private var lowerNames: [String] {
        var names = controller.map { [$0] } ?? []
        if case .vlan(_, let parent?, _) = kind { names.append(parent.description) }
        return names
    }
}
