// storage.trees and systemd.quadlets: files, links and directories that are put behind the user's own.

import IgnitionConfig

extension Translation {
    mutating func addTrees(of config: ConfigNode) {
        let trees = config.list("storage", "trees")
        if trees.isEmpty { return }
        var nodes = PathIndex(result)
        for tree in trees {
            guard localFiles.hasFiles else { return error(tree.source, Message.noFilesDirectory) }
            let entries: [LocalFiles.TreeEntry]
            do throws(LocalFiles.Fault) { entries = try localFiles.walk(tree["local"]?.string ?? "") } catch {
                self.error(tree.source, error.message)
                continue
            }
            for entry in entries { add(entry, of: tree, &nodes) }
        }
    }

    private mutating func add(_ entry: LocalFiles.TreeEntry, of tree: ConfigNode, _ nodes: inout PathIndex) {
        let root = tree["path"]?.string ?? ""
        let path = plainPath((root.isEmpty ? "/" : root) + "/" + entry.path)
        let source = tree.source
        func made(_ fields: [(String, ConfigNode.Value?)]) -> ConfigNode {
            let owner = ["group", "user"].map { ($0, tree[$0]?.value) }
            return .made(
                [owner[0], ("path", .string(path)), owner[1]].filter { $0.1 != nil } + fields, from: source)
        }
        switch entry.kind {
        case .directory:
            let isAsked = ["user", "group"].contains { !(tree[$0]?.members ?? []).isEmpty } || tree["dir_mode"] != nil
            guard isAsked else { return }
            if nodes.contains(path) { return error(source, Message.nodeExists) }
            add(made([("mode", .integer(tree["dir_mode"]?.integer ?? 0o755))]), to: "directories", &nodes)
        case .file(let isExecutable):
            let existing = nodes["files", path]
            if existing == nil, nodes.contains(path) { return error(source, Message.nodeExists) }
            if let existing, hasText(existing, "files", "contents", "source") {
                return error(source, Message.nodeExists)
            }
            let index = existing ?? add(made([]), to: "files", &nodes)
            let name = tree["local"]?.string ?? ""
            guard let bytes = read(name + "/" + entry.path, for: source) else { return }
            var contents = result.list("storage", "files")[index]["contents"] ?? .made([], from: source)
            set(bytes, in: &contents, from: source, compressionFrom: source)
            change("files", index) { file in
                file["contents"] = contents
                if file["mode"] == nil {
                    let mode = tree["file_mode"]?.integer ?? (isExecutable ? 0o755 : 0o644)
                    file["mode"] = ConfigNode(.integer(mode), from: source, isGenerated: true)
                }
            }
        case .link(let target):
            let existing = nodes["links", path]
            if existing == nil, nodes.contains(path) { return error(source, Message.nodeExists) }
            if let existing, hasText(existing, "links", "target") { return error(source, Message.nodeExists) }
            let index = existing ?? add(made([]), to: "links", &nodes)
            change("links", index) {
                $0["target"] = ConfigNode(.string(target), from: source, isGenerated: true)
            }
        case .other: error(source, Message.treeEntry)
        }
    }

    mutating func addQuadlets(of config: ConfigNode) {
        let quadlets = config.list("systemd", "quadlets")
        if quadlets.isEmpty { return }
        var nodes = PathIndex(result)
        for quadlet in quadlets {
            let name = quadlet["name"]?.string ?? ""
            let folder = "/etc/containers/systemd" + (quadlet["rootful"]?.bool == true ? "" : "/users")
            let path = "\(folder)/\(name)"
            if let template = QuadletName.template(of: name) {
                if nodes.contains(path) {
                    error(quadlet.source, Message.nodeExists)
                } else {
                    let link = ConfigNode.made(
                        [("path", .string(path)), ("target", .string(template))], from: quadlet.source)
                    add(link, to: "links", &nodes)
                }
            } else {
                addFile(path, of: quadlet, &nodes)
            }
            for dropin in quadlet.list("dropins") {
                addFile("\(path).d/\(dropin["name"]?.string ?? "")", of: dropin, &nodes)
            }
        }
    }

    private mutating func addFile(_ path: String, of unit: ConfigNode, _ nodes: inout PathIndex) {
        if nodes.contains(path) { return error(unit.source, Message.nodeExists) }
        var bytes: [UInt8] = []
        var source = unit.source
        if let local = unit["contents_local"], let name = local.string, !name.isEmpty {
            guard let read = read(name, for: local.source) else { return }
            (bytes, source) = (read, local.source)
        }
        if let contents = unit["contents"], let text = contents.string, !text.isEmpty {
            (bytes, source) = (Array(text.utf8), contents.source)
        }
        var contents = ConfigNode.made([], from: source)
        set(bytes, in: &contents, from: source, compressionFrom: unit.source)
        var file = ConfigNode.made([("path", .string(path)), ("mode", .integer(0o644))], from: unit.source)
        file["contents"] = contents
        add(file, to: "files", &nodes)
    }

    // MARK: The lists of files, links and directories

    private func hasText(_ index: Int, _ list: String, _ fields: String...) -> Bool {
        var node: ConfigNode? = result.list("storage", list)[index]
        for field in fields { node = node?[field] }
        return !(node?.string ?? "").isEmpty
    }

    @discardableResult
    private mutating func add(_ node: ConfigNode, to list: String, _ nodes: inout PathIndex) -> Int {
        let source = node.source
        let index = result.list("storage", list).count
        result.update("storage", making: .made([], from: source)) { storage in
            storage.update(list, making: .madeList([], from: source)) { $0.append(node) }
        }
        nodes.add(node["path"]?.string ?? "", list, index)
        return index
    }

    private mutating func change(_ list: String, _ index: Int, _ change: (inout ConfigNode) -> Void) {
        let source = result.source
        result.update("storage", making: .made([], from: source)) { storage in
            storage.update(list, making: .madeList([], from: source)) { list in
                guard case .list(var nodes) = list.value else { return }
                list.value = .list([])
                change(&nodes[index])
                list.value = .list(nodes)
            }
        }
    }
}

/// Where in which list a path of the config is.
private struct PathIndex {
    private var places: [ByteKey: [Data]] = [:]
    private typealias Data = (list: String, index: Int)

    init(_ config: ConfigNode) {
        for list in ["files", "directories", "links"] {
            for (index, node) in config.list("storage", list).enumerated() {
                add(node["path"]?.string ?? "", list, index)
            }
        }
    }

    mutating func add(_ path: String, _ list: String, _ index: Int) {
        places[ByteKey(path), default: []].append((list, index))
    }

    func contains(_ path: String) -> Bool { places[ByteKey(path)] != nil }

    /// The last entry of that list.
    subscript(list: String, path: String) -> Int? { places[ByteKey(path)]?.last { $0.list == list }?.index }
}

/// What the name of a quadlet says.
enum QuadletName {
    private static let extensions = [
        "container", "volume", "network", "kube", "image", "build", "pod", "artifact",
    ]

    static func hasKnownExtension(_ name: String) -> Bool { extensions.contains { name.hasSuffix("." + $0) } }

    /// `a@b.container` is an instance of `a@.container`; `nil` for what is not an instance.
    static func template(of name: String) -> String? {
        guard let at = name.firstIndex(of: "@"), let dot = name.firstIndex(of: "."), name.index(after: at) != dot else {
            return nil
        }
        return String(name[..<at]) + "@" + name[dot...]
    }
}
