// What a Butane config has to keep before it is translated.

import IgnitionConfig
import JSONText

/// Walks a config and collects what breaks the rules of its version, outer objects before what they hold.
struct SourceRules {
    let dialect: Dialect
    private(set) var entries: [Butane.Report.Entry] = []

    init(_ dialect: Dialect) { self.dialect = dialect }

    mutating func check(_ config: ConfigNode) {
        walk(config, dialect.type, at: config.source)
    }

    private mutating func walk(_ node: ConfigNode, _ type: ObjectType, at path: ConfigPath) {
        check(node, type, at: path)
        for field in type.fields {
            var value = node[field.name]
            // What is required in an object is missed in an absent one too.
            if value == nil, field.name == "metadata" {
                value = ConfigNode(.object([]), from: path.appending(field.name))
            }
            guard let value else { continue }
            switch field.kind {
            case .object(let type): walk(value, type, at: path.appending(field.name))
            case .list(.object(let type), _):
                for (index, entry) in value.elements.enumerated() {
                    walk(entry, type, at: path.appending(field.name).appending(index))
                }
            default: break
            }
        }
    }

    private mutating func error(_ path: ConfigPath, _ message: String) {
        entries.append(.init(severity: .error, path: path, message: message, text: path.text))
    }

    private mutating func warn(_ path: ConfigPath, _ message: String) {
        entries.append(.init(severity: .warning, path: path, message: message, text: path.text))
    }

    private mutating func check(_ node: ConfigNode, _ type: ObjectType, at path: ConfigPath) {
        switch type.name {
        case "Config": checkConfig(node, at: path)
        case "Resource", "FileContents": checkResource(node, at: path)
        case "Filesystem": checkFilesystem(node, at: path)
        case "Directory", "File":
            if let mode = node["mode"]?.integer, FileMode.isDecimal(mode, ofDirectory: type.name == "Directory") {
                warn(path.appending("mode"), Message.decimalMode)
            }
        case "Tree":
            if (node["local"]?.string ?? "").isEmpty { error(path, Message.treeWithoutLocal) }
        case "Unit", "Dropin": checkContents(node, at: path)
        case "Quadlet": checkQuadlet(node, at: path)
        case "BootDevice": checkBootDevice(node, at: path)
        case "BootDeviceMirror": checkMirror(node, at: path)
        case "GrubUser":
            if (node["name"]?.string ?? "").isEmpty { error(path.appending("name"), Message.grubName) }
            if (node["password_hash"]?.string ?? "").isEmpty {
                error(path.appending("password_hash"), Message.grubPassword)
            }
        case "Metadata": checkMetadata(node, at: path)
        case "OpenShift":
            if let kernel = node["kernel_type"]?.string, !["", "default", "realtime"].contains(kernel) {
                error(path.appending("kernel_type"), Message.kernelType)
            }
        default: break
        }
    }

    // MARK: The common part

    private mutating func checkConfig(_ node: ConfigNode, at path: ConfigPath) {
        if let minor = dialect.openshift, minor >= 19 { checkCEXArgument(node, at: path) }
        guard (dialect.fcos ?? 0) >= 6 else { return }
        // The disks of a mirror are wiped: their partitions are new.
        let mirror = node["boot_device"]?.list("mirror", "devices") ?? []
        let isNew = Set(["/dev/disk/by-id/coreos-boot-disk"] + mirror.compactMap(\.string))
        for (index, disk) in node.list("storage", "disks").enumerated() {
            if isNew.contains(disk["device"]?.string ?? "") || disk["wipe_table"]?.bool == true { continue }
            for (number, partition) in disk.list("partitions").enumerated()
            where (partition["number"]?.integer ?? 0) == 0 && partition["label"] != nil {
                let place: [ConfigPath.Step] = [
                    .key("storage"), .key("disks"), .index(index), .key("partitions"), .index(number), .key("number"),
                ]
                warn(path.appending(place), Message.reuseByLabel)
            }
        }
        for (index, filesystem) in node.list("storage", "filesystems").enumerated() {
            guard filesystem["with_mount_unit"]?.bool == true, let mount = filesystem["path"]?.string else { continue }
            if !["/etc", "/var"].contains(where: { mount == $0 || mount.hasPrefix($0 + "/") }) {
                error(
                    path.appending([.key("storage"), .key("filesystems"), .index(index), .key("path")]),
                    Message.mountPlace)
            }
        }
    }

    private mutating func checkResource(_ node: ConfigNode, at path: ConfigPath) {
        let given = ["local", "inline", "source"].filter { node[$0] != nil }
        if given.count > 1, dialect.base > 1 || given.contains("inline") {
            error(path.appending(given[given.count - 1]), Message.tooManySources)
            return
        }
        guard given == ["inline"], path.steps.starts(with: [.key("ignition"), .key("config")]),
            let inline = node["inline"]?.bytes
        else { return }
        checkInlineConfig(inline, at: path.appending("inline"))
    }

    /// A config inside of the config: it is judged by its own rules, and only where its version is the target's.
    private mutating func checkInlineConfig(_ bytes: [UInt8], at path: ConfigPath) {
        let version = (try? JSONNode(parsing: bytes))?["ignition"]?["version"]?.string.flatMap(Dialect.semver)
        if let version, version != dialect.spec.description {
            var resource = path
            resource.steps.removeLast()
            warn(resource.appending("version"), Message.unknownIgnitionVersion)
            return
        }
        let report = IgnitionConfig.parse(bytes, name: "inline").report
        for diagnostic in report.diagnostics where !diagnostic.isOwnAdvice {
            let line = diagnostic.place.map { "line \($0.line) of it: " } ?? ""
            let message = line + diagnostic.sentence
            if diagnostic.severity == .error { error(path, message) } else { warn(path, message) }
        }
    }

    private mutating func checkFilesystem(_ node: ConfigNode, at path: ConfigPath) {
        guard node["with_mount_unit"]?.bool == true else { return }
        let format = node["format"]?.string ?? ""
        let hasPath = !(node["path"]?.string ?? "").isEmpty
        // The versions that know no swap tell of both; the others need the format to know whether there is a path.
        if !hasPath, dialect.base < 4 || !["", "swap"].contains(format) {
            error(path.appending("path"), Message.mountWithoutPath)
        }
        if format.isEmpty { error(path.appending("format"), Message.mountWithoutFormat) }
    }

    private mutating func checkContents(_ node: ConfigNode, at path: ConfigPath) {
        if node["contents"] != nil, node["contents_local"] != nil {
            error(path.appending("contents_local"), Message.tooManyContents)
        }
    }

    private mutating func checkQuadlet(_ node: ConfigNode, at path: ConfigPath) {
        let name = node["name"]?.string ?? ""
        guard QuadletName.hasKnownExtension(name) else {
            error(path.appending("name"), Message.quadletExtension)
            return
        }
        guard QuadletName.template(of: name) != nil else { return checkContents(node, at: path) }
        for field in ["contents", "contents_local"] where node[field] != nil {
            error(path.appending(field), Message.instanceContents)
        }
    }

    // MARK: fcos

    private mutating func checkBootDevice(_ node: ConfigNode, at path: ConfigPath) {
        let layout = node["layout"]?.string
        let luks = node["luks"]
        let mirrored = !node.list("mirror", "devices").isEmpty
        let place = path.appending("layout")
        let isMainframe = layout?.hasPrefix("s390x") ?? false
        if let layout {
            let known = ["aarch64", "ppc64le", "x86_64"]
            let mainframes = ["s390x-eckd", "s390x-virt", "s390x-zfcp"]
            if let fcos = dialect.fcos, !known.contains(layout), fcos < 6 || !mainframes.contains(layout) {
                error(place, Message.layout(fcos: fcos))
            }
            if (dialect.fcos ?? 0) >= 6 {
                checkDevice(luks?["device"]?.string ?? "", layout: layout, at: place)
                if isMainframe, mirrored { error(place, Message.mirrorUnsupported) }
            }
        }
        if luks?.descendant("cex", "enabled")?.bool == true {
            if layout == nil {
                error(path.appending("luks").appending("cex"), Message.cexElsewhere)
            } else if !isMainframe {
                error(place, Message.cexElsewhere)
            }
            if !(luks?.list("tang") ?? []).isEmpty || luks?["tpm2"]?.bool == true {
                error(path.appending("luks"), Message.cexWithClevis)
            }
        }
        if (dialect.fcos ?? 0) >= 7, let luks, luks["device"] != nil, !Self.hasMethod(luks) {
            error(path.appending("luks"), Message.noLuksMethod)
        }
        if mirrored, layout == nil {
            let mirror = path.appending("mirror")
            if (dialect.fcos ?? 0) >= 7 {
                error(mirror, Message.mirrorWithoutLayout)
            } else {
                warn(mirror, Message.mirrorWithoutLayout)
            }
        }
    }

    /// Whether a boot device's LUKS volume has a way to be opened.
    static func hasMethod(_ luks: ConfigNode) -> Bool {
        luks["tpm2"]?.bool == true || !luks.list("tang").isEmpty || luks.descendant("cex", "enabled")?.bool == true
    }

    private mutating func checkDevice(_ device: String, layout: String, at path: ConfigPath) {
        guard let prefix = ["s390x-eckd": "/dev/dasd", "s390x-zfcp": "/dev/sd"][layout] else { return }
        if device.isEmpty { return error(path, Message.bootDeviceMissing) }
        let last = device.utf8.last ?? 0
        let isNamed =
            device.utf8.count > prefix.utf8.count && device.dropLast().hasSuffix(prefix)
            && (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(last)
        if !isNamed { error(path, Message.bootDeviceName) }
    }

    private mutating func checkMirror(_ node: ConfigNode, at path: ConfigPath) {
        if node.list("devices").count == 1 { error(path.appending("devices"), Message.fewMirrorDevices) }
    }

    // MARK: openshift

    private mutating func checkMetadata(_ node: ConfigNode, at path: ConfigPath) {
        if (node["name"]?.string ?? "").isEmpty { error(path.appending("name"), Message.metadataName) }
        let role = node.descendant("labels", "machineconfiguration.openshift.io/role")?.string ?? ""
        if role.isEmpty { error(path.appending("labels"), Message.role) }
    }

    private mutating func checkCEXArgument(_ node: ConfigNode, at path: ConfigPath) {
        let isUsed =
            node.descendant("boot_device", "luks", "cex", "enabled")?.bool == true
            || node.list("storage", "luks").contains {
                $0["name"]?.string == "root" && $0.descendant("cex", "enabled")?.bool == true
            }
        let arguments = node.list("openshift", "kernel_arguments").compactMap(\.string)
        if isUsed, !arguments.contains("rd.luks.key=/etc/luks/cex.key") {
            error(path.appending([.key("openshift"), .key("kernel_arguments")]), Message.cexArgument)
        }
    }
}

/// Modes that were written in decimal and meant in octal.
enum FileMode {
    /// Whether the mode is untypical, and its decimal digits read as octal are a typical one.
    static func isDecimal(_ mode: Int, ofDirectory isDirectory: Bool) -> Bool {
        guard (0...7777).contains(mode), let meant = Int(String(mode), radix: 8) else { return false }
        return !isTypical(mode, ofDirectory: isDirectory) && isTypical(meant, ofDirectory: isDirectory)
    }

    static func isTypical(_ mode: Int, ofDirectory isDirectory: Bool) -> Bool {
        if mode == 0 { return true }
        // The bits of the less specific class, which the next class must have too.
        var before = 0
        for class_ in [mode & 7, mode >> 3 & 7, mode >> 6 & 7] {
            if before & ~class_ != 0 { return false }
            let searchesWhatOthersRead = class_ & 1 != 0 && before & 4 != 0 && before & 1 == 0
            if searchesWhatOthersRead || class_ & 3 != 0 && class_ & 4 == 0 { return false }
            before |= class_
        }
        guard before & 4 != 0 else { return false }
        let (isWritable, isExecutable) = (before & 2 != 0, before & 1 != 0)
        if isDirectory {
            return isExecutable && mode & 0o4000 == 0 && (mode & 0o3000 == 0 || isWritable)
        }
        return mode & 0o1000 == 0 && (mode & 0o6000 == 0 || isExecutable && mode & 2 == 0)
    }
}
