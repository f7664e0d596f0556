// Rules for files, directories and links, among themselves and against units.

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
            check(file.contents, file.origin, "contents")
            for index in file.append.indices { check(file.append[index], file.origin, "append[\(index)]") }
            if file.overwrite == true, file.contents.source == nil {
                error(file.origin, "overwrite", "without contents.source there is nothing to overwrite with")
            }
        }
        for directory in storage.directories { check(mode: directory.mode, directory.origin) }
        let folders = Set(storage.directories.map(\.path))
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
        var first: [String: IgnitionConfig.Origin] = [:]
        for node in nodes where !node.path.isEmpty {
            if let earlier = first[node.path] {
                error(node.origin, "path", "\"\(node.path)\" is in \(earlier.path) already")
            } else {
                first[node.path] = node.origin
            }
        }
    }

    private mutating func checkBelowLinks(_ nodes: [Node], links: [IgnitionConfig.Link]) {
        let links = Dictionary(links.map { ($0.path, $0.origin.path) }, uniquingKeysWith: { first, _ in first })
        if links.isEmpty { return }
        for node in nodes {
            for parent in parents(of: node.path) {
                guard let link = links[parent] else { continue }
                error(node.origin, "path", "\"\(node.path)\" is below the link \(link)")
            }
        }
    }

    private mutating func checkAgainstUnits(_ nodes: [Node], units: [IgnitionConfig.Unit]) {
        var written: [String: String] = [:]
        for unit in units {
            let path = "/etc/systemd/system/\(unit.name)"
            if !(unit.contents ?? "").isEmpty { written[path] = unit.origin.path }
            for dropin in unit.dropins where !(dropin.contents ?? "").isEmpty {
                written["\(path).d/\(dropin.name)"] = dropin.origin.path
            }
        }
        for node in nodes {
            if let unit = written[node.path] { error(node.origin, "path", "\(unit) writes \"\(node.path)\" too") }
        }
    }

    private mutating func check(_ link: IgnitionConfig.Link, folders: Set<String>) {
        guard require(link.target, link.origin, "target"), let target = link.target else { return }
        guard link.hard == true else { return }
        let parent = parents(of: link.path).first ?? "/"
        if folders.contains(plainPath(target.hasPrefix("/") ? target : "\(parent)/\(target)")) {
            error(link.origin, "target", "a hard link cannot point to a directory")
        }
        if link.user.isGiven || link.group.isGiven {
            warn(link.origin, link.user.isGiven ? "user" : "group", "a hard link has the owner of its target; ignored")
        }
    }

    /// The folders above a path, nearest first, without `/`.
    private func parents(of path: String) -> [String] {
        var parents: [String] = []
        var rest = path[...]
        while let slash = rest.lastIndex(of: "/"), slash > rest.startIndex {
            rest = rest[..<slash]
            parents.append(String(rest))
        }
        return parents
    }

    // MARK: Modes

    private mutating func check(mode: Int?, _ origin: IgnitionConfig.Origin) {
        guard let mode else { return }
        let meant = Int(String(mode), radix: 8).flatMap { isUsual($0) ? $0 : nil }
        let correction = meant.map { "; \($0) is octal \(mode)" } ?? ""
        if !(0...0o7777).contains(mode) {
            error(origin, "mode", "\(mode) is not a mode; 0 to 4095, octal 7777, are\(correction)")
        } else if meant != nil, !isUsual(mode) {
            error(origin, "mode", "\(mode) is octal \(String(mode, radix: 8))\(correction)")
        } else if mode > 0o777, version < .v36 {
            warn(
                origin, "mode",
                "octal \(String(mode, radix: 8)): special bits are dropped before spec 3.6.0; this is \(version)")
        }
    }

    /// Whether the owner may read, the group no more than the owner and others no more than the group.
    private func isUsual(_ mode: Int) -> Bool {
        let (owner, group, other) = (mode >> 6 & 7, mode >> 3 & 7, mode & 7)
        return (0...0o7777).contains(mode) && owner & 4 != 0 && group & ~owner == 0 && other & ~group == 0
    }
}

/// Whether `text` is JSON.
func isJSON(_ text: String) -> Bool { (try? JSONNode(parsing: Array(text.utf8))) != nil }
