// What a variant's systems cannot do: checked on Ignition's config, so that sugar counts too.

import Encoding

/// Fields that a variant refuses where they are there and not empty.
struct Forbidden {
    private var messages: [String: String] = [:]
    /// Fields that may be there with an empty value.
    private var mayBeEmpty: Set<String> = []

    init(_ dialect: Dialect) {
        switch dialect.variant {
        case .fcos, .firstlight: break
        case .flatcar:
            if dialect.base < 8 {
                messages["storage.luks.clevis"] = Message.unsupported("clevis")
            } else {
                messages["storage.luks.cex"] = Message.cexPlatform
            }
        case .r4e, .fiot:
            messages = [
                "kernelArguments": Message.unsupported("kernel argument customization"),
                "storage.disks": Message.unsupported("disk customization"),
                "storage.filesystems": Message.unsupported("filesystem customization"),
                "storage.luks": Message.unsupported("luks"), "storage.raid": Message.unsupported("raid"),
            ]
        case .openshift:
            let minor = dialect.openshift ?? 0
            messages = [
                "passwd.groups": Message.unsupported("groups", "are"),
                "storage.directories": Message.unsupported("directories", "are"),
                "storage.links": Message.unsupported("links", "are"),
                "storage.files.append": Message.unsupported("appending to files"),
                "storage.files.contents.httpHeaders": Message.unsupported("file HTTP headers", "are"),
            ]
            let fields = [
                "gecos", "groups", "homeDir", "noCreateHome", "noLogInit", "noUserGroup", "primaryGroup", "shell",
                "shouldExist", "system", "uid",
            ]
            for field in fields + (minor <= 12 ? ["passwordHash"] : []) {
                messages["passwd.users.\(field)"] = Message.userFields
            }
            if minor <= 9 {
                messages["storage.files.contents.compression"] = Message.unsupported("file compression")
                mayBeEmpty = ["storage.files.contents.compression"]
            }
            if minor >= 14 { messages["kernelArguments"] = Message.openshiftArguments }
        }
    }

    var isEmpty: Bool { messages.isEmpty }

    /// Every field that is refused.
    func entries(_ config: ConfigNode, _ type: ObjectType) -> [Butane.Report.Entry] {
        var entries: [Butane.Report.Entry] = []
        walk(config, .object(type), "", &entries)
        return entries
    }

    private func walk(_ node: ConfigNode, _ kind: FieldKind, _ name: String, _ entries: inout [Butane.Report.Entry]) {
        if let message = messages[name] {
            if !isEmpty(node, name) {
                entries.append(.init(severity: .error, path: node.source, message: message, text: node.source.text))
            }
            return
        }
        switch kind {
        case .object(let type):
            for field in type.fields {
                guard let json = field.json, let value = node[json] else { continue }
                walk(value, field.kind, name.isEmpty ? json : "\(name).\(json)", &entries)
            }
        case .list(let kind, _):
            for entry in node.elements { walk(entry, kind, name, &entries) }
        default: break
        }
    }

    private func isEmpty(_ node: ConfigNode, _ name: String) -> Bool {
        switch node.value {
        case .list(let entries): entries.isEmpty
        case .object(let members): members.allSatisfy { isEmpty($0.value, "\(name).\($0.key)") }
        case .string(let text): text.isEmpty && mayBeEmpty.contains(name)
        case .bytes, .integer, .bool: false
        }
    }
}

extension Translation {
    /// What neither the system of an OpenShift node nor its config operator takes.
    mutating func checkForOpenShift() {
        guard let minor = dialect.openshift else { return }
        let filesystems = result.list("storage", "filesystems")
        func refuse(_ node: ConfigNode?, _ message: String) {
            if let node { error(node.source, message) }
        }
        for filesystem in filesystems where filesystem["format"]?.string == "btrfs" {
            refuse(filesystem["format"], Message.unsupported("btrfs"))
        }
        for filesystem in filesystems where minor >= 14 && filesystem["format"]?.string == "none" {
            refuse(filesystem["format"], Message.unsupported("format \"none\""))
        }
        for file in result.list("storage", "files") {
            let source = file.descendant("contents", "source")
            if let url = source?.string, !DataURL.isOne(url) { refuse(source, Message.sourceScheme) }
            if minor >= 10, let mode = file["mode"], (mode.integer ?? 0) & ~0o777 != 0 {
                refuse(mode, Message.unsupported("special mode bits", "are"))
            }
        }
        for user in result.list("passwd", "users") where (user["name"]?.string ?? "") != "core" {
            error(
                user["name"]?.source ?? user.source.appending("name"),
                Message.unsupported("users other than \"core\"", "are"))
        }
    }

    /// The cipher that FIPS 140-2 allows, for volumes that choose none.
    mutating func addFIPSCipher(_ source: ConfigPath) {
        result.update("storage", making: .made([], from: source)) { storage in
            guard storage["luks"] != nil else { return }
            storage.update("luks", making: .madeList([], from: source)) { list in
                list.value = .list(
                    list.elements.map { volume in
                        let options = volume.list("options").compactMap(\.string)
                        if options.contains(where: { $0 == "--cipher" || $0 == "-c" || $0.hasPrefix("--cipher=") }) {
                            return volume
                        }
                        var volume = volume
                        volume.update("options", making: .madeList([], from: source)) { options in
                            for text in ["--cipher", "aes-cbc-essiv:sha256"] {
                                options.append(ConfigNode(.string(text), from: source, isGenerated: true))
                            }
                        }
                        return volume
                    })
            }
        }
    }

    /// The boot loader's users as contents: nothing can be appended on OpenShift.
    mutating func writeGrubContents() {
        guard var storage = result["storage"], let files = storage["files"] else { return }
        var list = files
        list.value = .list(
            files.elements.map { file in
                let appended = file.list("append")
                guard file["path"]?.string == "/boot/grub2/user.cfg", appended.count == 1 else { return file }
                var file = file
                file["append"] = nil
                file["contents"] = appended[0]
                return file
            })
        storage["files"] = list
        result["storage"] = storage
    }
}
