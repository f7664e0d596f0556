// owner_of_parents: the folders on the way to a file get its owner, spelled out as directories.

import IgnitionConfig

extension Translation {
    /// The folders of our own variant's files that ask for it.
    ///
    /// Ignition makes missing parents as root. Only the boot shows which are missing: folders below a home, or below
    /// what every system has (``standard``), are taken to be. Folders that the config names are left to it.
    mutating func addOwnedParents(of config: ConfigNode) {
        var named: Set<ByteKey> = []
        for list in ["files", "directories", "links"] {
            for node in result.list("storage", list) { named.insert(ByteKey(node["path"]?.string ?? "")) }
        }
        let homes = result.list("passwd", "users").compactMap { $0["homeDir"]?.string }
        var made: [ConfigNode] = []
        for file in config.list("storage", "files") where file["owner_of_parents"]?.bool == true {
            guard let path = file["path"]?.string, file["user"] != nil || file["group"] != nil else { continue }
            let source = file.source.appending("owner_of_parents")
            for folder in Self.parents(of: path, homes: homes) where named.insert(ByteKey(folder)).inserted {
                var directory = ConfigNode.made([("path", .string(folder))], from: source)
                directory["user"] = file["user"]
                directory["group"] = file["group"]
                made.append(directory)
            }
        }
        if made.isEmpty { return }
        let source = made[0].source
        result.update("storage", making: .made([], from: source)) { storage in
            storage.update("directories", making: .madeList([], from: source)) { list in
                for directory in made { list.append(directory) }
            }
        }
    }

    /// The folders between a file and what is there anyway, the outermost first.
    static func parents(of path: String, homes: [String]) -> [String] {
        let names = path.split(separator: "/").dropLast()
        let folders = names.indices.map { "/" + names[...$0].joined(separator: "/") }
        let isThere = { (folder: String) in
            standard.contains(folder) || homes.contains { $0 == folder || $0.hasPrefix(folder + "/") } || isHome(folder)
        }
        guard let last = folders.lastIndex(where: isThere) else { return folders }
        return Array(folders[(last + 1)...])
    }

    private static func isHome(_ folder: String) -> Bool {
        let names = folder.split(separator: "/")
        return names.count == 2 && names[0] == "home" || names.count == 3 && names[0] == "var" && names[1] == "home"
    }

    /// - SeeAlso: file-hierarchy(7).
    private static let standard: Set<String> = [
        "/boot", "/etc", "/etc/containers", "/etc/containers/systemd", "/etc/systemd", "/etc/systemd/system",
        "/etc/systemd/user", "/home", "/mnt", "/opt", "/root", "/srv", "/tmp", "/usr", "/usr/local", "/usr/local/bin",
        "/usr/local/etc", "/usr/local/lib", "/usr/local/sbin", "/usr/local/share", "/var", "/var/cache", "/var/home",
        "/var/lib", "/var/local", "/var/log", "/var/mnt", "/var/opt", "/var/roothome", "/var/spool", "/var/srv",
        "/var/tmp", "/var/usrlocal",
    ]
}
