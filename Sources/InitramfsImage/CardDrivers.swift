// Which of the chosen modules are drivers of cards: hundreds, of which a machine needs a few.

import KernelModules

/// The modules that only matter while the cards of a machine are found, before the network is up.
///
/// They stand in an image of their own, which the agent drops where a root image needs the RAM. USB network cards are
/// among them. Other devices that can be plugged in, modules that a config may ask for, and what these need are not.
struct CardDrivers: Equatable {
    /// Paths as those of ``KernelModuleIndex``.
    let paths: Set<String>

    /// Chooses from an image's modules.
    init(among chosen: [String], in index: KernelModuleIndex) {
        var aliases: [String: [String]] = [:]
        let text = String(decoding: index.subset(of: chosen).aliases, as: UTF8.self)
        for line in text.split(separator: "\n") {
            // `alias PATTERN MODULE`
            let words = line.split(separator: " ").map(String.init)
            if words.count == 3 { aliases[KernelModuleIndex.name(ofPath: words[2]), default: []].append(words[1]) }
        }
        let needed = Set(chosen.flatMap { index.dependencies(of: KernelModuleIndex.name(ofPath: $0)) })
        let others = chosen.filter { path in
            let name = KernelModuleIndex.name(ofPath: path)
            if let patterns = aliases[name] { return !Self.isOfCard(path, patterns) }
            // Without an alias it is there for another one, is asked for by its name, or is a part of a card's driver
            // that this one asks for.
            return !needed.contains(path) && !path.hasPrefix(Self.cards)
                && !index.dependencies(of: name).contains { other in
                    let patterns = aliases[KernelModuleIndex.name(ofPath: other)] ?? []
                    return other.hasPrefix(Self.cards) || Self.isOfCard(other, patterns)
                }
        }
        paths = Set(chosen).subtracting(index.closure(of: others.map(KernelModuleIndex.name(ofPath:))))
    }

    private static let cards = "kernel/drivers/net/ethernet/"

    /// Whether a module drives what is plugged into PCI, or a network card on any bus.
    private static func isOfCard(_ path: String, _ patterns: [String]) -> Bool {
        guard path.hasPrefix("kernel/drivers/") else { return false }
        if patterns.contains(where: { $0.hasPrefix("pci:") }) { return true }
        // `rtnl-link-bond` and `devname:net/tun` are made by software.
        return path.hasPrefix("kernel/drivers/net/")
            && patterns.contains { $0.contains(":") && !$0.hasPrefix("devname:") }
    }
}
