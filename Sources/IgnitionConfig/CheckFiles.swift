// Rules for files, directories and links: among themselves, and against units.

import JSONText

extension Checker {
    mutating func checkNodes(_ config: IgnitionConfig) {
        let storage = config.storage
        let nodes: [Node] =
            storage.files.map { Node($0.path, $0.user, $0.group, $0.origin) }
            + storage.directories.map { Node($0.path, $0.user, $0.group, $0.origin) }
            + storage.links.map { Node($0.path, $0.user, $0.group, $0.origin) }
        for node in nodes {
            checkPath(node.path, node.origin, "path")
            for (field, owner) in [("user", node.user), ("group", node.group)] {
                if owner.id != nil, !(owner.name ?? "").isEmpty {
                    error(node.origin, field, "an id and a name; give one of them")
                }
                checkNumber(owner.id, node.origin, "\(field).id")
            }
        }
        checkUniqueness(nodes)
        checkBelowLinks(nodes, links: storage.links)
        checkAgainstUnits(nodes, units: config.systemd.units)

        for file in storage.files {
            check(mode: file.mode, file.origin)
            check(file.contents, file.origin, "contents.")
            check(file.append, in: file.origin, "append")
            if file.overwrite == true, file.contents.source == nil {
                error(file.origin, "overwrite", "without contents.source there is nothing to overwrite with")
            }
        }
        for directory in storage.directories { check(mode: directory.mode, directory.origin) }
        let folders = Set(storage.directories.map { ByteKey($0.path) })
        for link in storage.links { check(link, folders: folders) }
    }

    private struct Node {
        let path: String
        let user: IgnitionConfig.Owner
        let group: IgnitionConfig.Owner
        let origin: IgnitionConfig.Origin

        init(
            _ path: String, _ user: IgnitionConfig.Owner, _ group: IgnitionConfig.Owner, _ origin: IgnitionConfig.Origin
        ) {
            self.path = path
            self.user = user
            self.group = group
            self.origin = origin
        }
    }

    private mutating func checkUniqueness(_ nodes: [Node]) {
        var first: [ByteKey: IgnitionConfig.Origin] = [:]
        for node in nodes where !node.path.isEmpty {
            if let earlier = first[ByteKey(node.path)] {
                error(node.origin, "path", "\"\(shown(node.path))\" is in \(earlier.path) already")
            } else {
                first[ByteKey(node.path)] = node.origin
            }
        }
    }

    /// Reports every node that lies below a link.
    ///
    /// The nodes are sorted so that a folder comes right before what it holds, and a link before what is below it.
    private mutating func checkBelowLinks(_ nodes: [Node], links: [IgnitionConfig.Link]) {
        if links.isEmpty { return }
        let nodes = nodes.map { (path: Array($0.path.utf8), link: nil as IgnitionConfig.Origin?, origin: $0.origin) }
        let links = links.map {
            (path: Array($0.path.utf8), link: $0.origin as IgnitionConfig.Origin?, origin: $0.origin)
        }
        let slash = UInt8(ascii: "/")
        func rank(_ byte: UInt8) -> UInt8 { byte == slash ? 0 : byte }
        let sorted = (links + nodes).enumerated().sorted { one, other in
            if one.element.path == other.element.path { return one.offset < other.offset }
            return one.element.path.lexicographicallyPrecedes(other.element.path) { rank($0) < rank($1) }
        }.map(\.element)
        // Each of these links is below the one before it.
        var above: [(path: [UInt8], origin: IgnitionConfig.Origin)] = []
        for entry in sorted {
            while let last = above.last,
                !(entry.path.count > last.path.count && entry.path[last.path.count] == slash
                    && entry.path.starts(with: last.path)), entry.path != last.path
            { above.removeLast() }
            if let link = entry.link {
                if entry.path != above.last?.path { above.append((entry.path, link)) }
            } else if let nearest = above.last(where: { $0.path.count < entry.path.count }) {
                let path = String(decoding: entry.path, as: UTF8.self)
                error(entry.origin, "path", "\"\(shown(path))\" is below the link \(nearest.origin.path)")
            }
        }
    }

    private mutating func checkAgainstUnits(_ nodes: [Node], units: [IgnitionConfig.Unit]) {
        var written: [ByteKey: String] = [:]
        for unit in units {
            let path = "/etc/systemd/system/\(unit.name)"
            if !(unit.contents ?? "").isEmpty { written[ByteKey(path)] = unit.origin.path }
            for dropin in unit.dropins where !(dropin.contents ?? "").isEmpty {
                written[ByteKey("\(path).d/\(dropin.name)")] = dropin.origin.path
            }
        }
        for node in nodes {
            if let unit = written[ByteKey(node.path)] {
                error(node.origin, "path", "\(unit) writes \"\(shown(node.path))\" too")
            }
        }
    }

    private mutating func check(_ link: IgnitionConfig.Link, folders: Set<ByteKey>) {
        if version >= .v33 { _ = require(link.target, link.origin, "target") }
        guard link.hard == true else { return }
        // When the link is made, a relative target counts from the root; Ignition judges it from the link, too.
        let target = link.target ?? ""
        let targets = [plainPath("/" + target)] + (target.hasPrefix("/") ? [] : [plainPath("\(link.path)/\(target)")])
        if !target.isEmpty, targets.contains(where: { folders.contains(ByteKey($0)) }) {
            error(link.origin, "target", "a hard link cannot point to a directory")
        }
        if link.user.isGiven || link.group.isGiven {
            warn(link.origin, link.user.isGiven ? "user" : "group", "a hard link has the owner of its target; ignored")
        }
    }

    // MARK: Modes

    private mutating func check(mode: Int?, _ origin: IgnitionConfig.Origin) {
        guard let mode else { return }
        let meant = Int(String(mode), radix: 8).flatMap { isUsual($0) ? $0 : nil }
        let correction = meant.map { "; \($0) is octal \(mode)" } ?? ""
        if !(0...0o7777).contains(mode) {
            error(origin, "mode", "\(mode) is not a mode; a mode is 0 to 4095, octal 7777\(correction)")
        } else if isAsWritten, meant != nil, !isUsual(mode) {
            let octal = String(mode, radix: 8)
            warn(origin, "mode", kind: .decimalMode(mode), "\(mode) is octal \(octal)\(correction)")
        } else if mode > 0o777, version < .v36 {
            warn(
                origin, "mode",
                "octal \(String(mode, radix: 8)): special bits are dropped before spec 3.6.0; this is \(version)")
        }
    }

    /// Whether the mode is a usual one: the owner may read, the group has no bit that the owner lacks, and others none
    /// that the group lacks.
    private func isUsual(_ mode: Int) -> Bool {
        let (owner, group, other) = (mode >> 6 & 7, mode >> 3 & 7, mode & 7)
        return (0...0o7777).contains(mode) && owner & 4 != 0 && group & ~owner == 0 && other & ~group == 0
    }
}

/// Whether `text` is JSON.
func isJSON(_ text: String) -> Bool { (try? JSONNode(parsing: Array(text.utf8))) != nil }
