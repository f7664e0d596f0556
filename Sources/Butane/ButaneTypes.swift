// The fields of every version: one table, in which each field says since when it is there.
//
// The order is Ignition's own, which is the alphabet with few exceptions; sugar stands behind.

extension ObjectType {
    /// A whole config.
    static func config(_ dialect: Dialect) -> ObjectType {
        let base = dialect.base
        var fields = [Field.sugar("version", .string), .sugar("variant", .string)]
        if dialect.isFirstlight { fields.append(.sugar("include", .list(.string))) }
        fields.append(.object("ignition", "ignition", ignition(base)))
        fields += since(4, base, .object("kernel_arguments", "kernelArguments", kernelArguments))
        fields.append(.object("passwd", "passwd", passwd(base)))
        fields.append(.object("storage", "storage", storage(dialect)))
        fields.append(.object("systemd", "systemd", systemd(dialect)))
        if let fcos = dialect.fcos {
            fields += since(3, fcos, .sugar("boot_device", .object(bootDevice(base: base, fcos: fcos))))
            fields += since(5, fcos, .sugar("grub", .object(grub)))
        }
        if dialect.openshift != nil {
            fields += [.sugar("metadata", .object(metadata)), .sugar("openshift", .object(openshift))]
        }
        return ObjectType(name: "Config", fields: fields)
    }

    // MARK: ignition

    private static func ignition(_ base: Int) -> ObjectType {
        let reference = resource(base, isReference: true)
        let config = ObjectType(
            name: "IgnitionConfig",
            fields: [.list("merge", "merge", reference), .object("replace", "replace", reference)])
        let proxy = ObjectType(
            name: "Proxy",
            fields: [
                .text("http_proxy", "httpProxy"), .text("https_proxy", "httpsProxy"), .texts("no_proxy", "noProxy"),
            ]
        )
        var authority = reference
        if base == 1 {
            authority.name = "CaReference"
            for index in authority.fields.indices where authority.fields[index].name == "source" {
                authority.fields[index].presence = .required
            }
        }
        let tls = ObjectType(
            name: "TLS",
            fields: [.list("certificate_authorities", "certificateAuthorities", authority)])
        let timeouts = ObjectType(
            name: "Timeouts",
            fields: [
                .number("http_response_headers", "httpResponseHeaders"), .number("http_total", "httpTotal"),
            ])
        return ObjectType(
            name: "Ignition",
            fields: [.object("config", "config", config)] + since(2, base, .object("proxy", "proxy", proxy)) + [
                .object("security", "security", ObjectType(name: "Security", fields: [.object("tls", "tls", tls)])),
                .object("timeouts", "timeouts", timeouts),
            ])
    }

    /// The type of a resource to fetch.
    ///
    /// `isReference` stands for another config or a certificate authority, which has fewer fields in the first version.
    private static func resource(_ base: Int, isReference: Bool = false) -> ObjectType {
        let header = ObjectType(
            name: "HTTPHeader", fields: [.name("name"), .text("value")], key: .field("name"))
        let verification = ObjectType(name: "Verification", fields: [.text("hash")])
        let isFirst = base == 1
        let name = isFirst ? (isReference ? "ConfigReference" : "FileContents") : "Resource"
        return ObjectType(
            name: name,
            fields: (isFirst && isReference ? [] : [.text("compression")])
                + since(2, base, .list("http_headers", "httpHeaders", header))
                + [.text("source")]
                + (isFirst && isReference ? [] : [.sugar("inline", .string)])
                + since(2, base, .sugar("local", .string))
                + [.object("verification", "verification", verification)], key: .field("source"))
    }

    private static let kernelArguments = ObjectType(
        name: "KernelArguments",
        fields: [
            .texts("should_exist", "shouldExist", named: "KernelArgument"),
            .texts("should_not_exist", "shouldNotExist", named: "KernelArgument"),
        ], sharedKeys: ["shouldExist", "shouldNotExist"])

    // MARK: passwd

    private static func passwd(_ base: Int) -> ObjectType {
        let shouldExist = since(3, base, .flag("should_exist", "shouldExist"))
        let group = ObjectType(
            name: "PasswdGroup",
            fields: [.number("gid"), .name("name"), .text("password_hash", "passwordHash")] + shouldExist + [
                .flag("system")
            ], key: .field("name"))
        let account: [Field] = [
            .text("gecos"), .texts("groups", "groups", named: "Group"), .text("home_dir", "homeDir"), .name("name"),
            .flag("no_create_home", "noCreateHome"), .flag("no_log_init", "noLogInit"),
            .flag("no_user_group", "noUserGroup"), .text("password_hash", "passwordHash"),
            .text("primary_group", "primaryGroup"),
        ]
        let keys: [Field] = [.texts("ssh_authorized_keys", "sshAuthorizedKeys", named: "SSHAuthorizedKey")]
        // Ignition writes the shell before shouldExist, and the keys before both.
        let user = ObjectType(
            name: "PasswdUser",
            fields: account + keys + [.text("shell")] + shouldExist + [.flag("system"), .number("uid")]
                + since(5, base, .sugar("ssh_authorized_keys_local", .list(.string))), key: .field("name"))
        return ObjectType(name: "Passwd", fields: [.list("groups", "groups", group), .list("users", "users", user)])
    }

    // MARK: storage

    private static func storage(_ dialect: Dialect) -> ObjectType {
        let base = dialect.base
        return ObjectType(
            name: "Storage",
            fields: [
                .list("directories", "directories", directory), .list("disks", "disks", disk(base)),
                .list("files", "files", file(dialect)), .list("filesystems", "filesystems", filesystem(base)),
                .list("links", "links", link(base)),
            ] + since(3, base, .list("luks", "luks", luks(base))) + [.list("raid", "raid", raid(base))]
                + since(2, base, .sugar("trees", .list(.object(tree(base))))),
            sharedKeys: ["directories", "files", "links"])
    }

    private static func owner(_ name: String) -> ObjectType {
        ObjectType(name: name, fields: [.number("id"), .text("name")])
    }

    private static let node: [Field] = [
        .object("group", "group", owner("NodeGroup")), .flag("overwrite"), .name("path"),
        .object("user", "user", owner("NodeUser")),
    ]

    private static let directory = ObjectType(name: "Directory", fields: node + [.number("mode")], key: .field("path"))

    private static func file(_ dialect: Dialect) -> ObjectType {
        let contents = resource(dialect.base)
        return ObjectType(
            name: "File",
            fields: node + [
                .list("append", "append", contents, .appended), .object("contents", "contents", contents),
                .number("mode"),
            ] + (dialect.isFirstlight ? [.sugar("owner_of_parents", .bool)] : []), key: .field("path"))
    }

    private static func link(_ base: Int) -> ObjectType {
        var target = Field.text("target")
        if base < 4 { target.presence = .required }
        return ObjectType(name: "Link", fields: node + [.flag("hard"), target], key: .field("path"))
    }

    private static func disk(_ base: Int) -> ObjectType {
        var number = Field.number("number")
        number.presence = .unlessEmpty
        let partition = ObjectType(
            name: "Partition",
            fields: [.text("guid"), .text("label"), number] + since(3, base, .flag("resize")) + [
                .flag("should_exist", "shouldExist"), .number("size_mib", "sizeMiB"),
                .number("start_mib", "startMiB"), .text("type_guid", "typeGuid"),
                .flag("wipe_partition_entry", "wipePartitionEntry"),
            ], key: .partition)
        return ObjectType(
            name: "Disk",
            fields: [
                .name("device"), .list("partitions", "partitions", partition), .flag("wipe_table", "wipeTable"),
            ], key: .field("device"))
    }

    private static func filesystem(_ base: Int) -> ObjectType {
        ObjectType(
            name: "Filesystem",
            fields: [.name("device"), .text("format"), .text("label")]
                + since(2, base, .texts("mount_options", "mountOptions", .appended))
                + [
                    .texts("options", "options", .appended), .text("path"), .text("uuid"),
                    .flag("wipe_filesystem", "wipeFilesystem"),
                ] + since(2, base, .sugar("with_mount_unit", .bool)), key: .field("device"))
    }

    private static func luks(_ base: Int) -> ObjectType {
        ObjectType(
            name: "Luks",
            fields: since(6, base, .object("cex", "cex", cex)) + [
                .object("clevis", "clevis", clevis(base)), .text("device"),
            ] + since(5, base, .flag("discard")) + [
                .object("key_file", "keyFile", resource(base)), .text("label"), .name("name"),
            ] + since(5, base, .texts("open_options", "openOptions")) + [
                .texts("options", "options", .appended), .text("uuid"), .flag("wipe_volume", "wipeVolume"),
            ], key: .field("name"))
    }

    private static let cex = ObjectType(name: "Cex", fields: [.flag("enabled")])

    private static func clevis(_ base: Int) -> ObjectType {
        var config = Field.text("config")
        var pin = Field.text("pin")
        if base < 4 { (config.presence, pin.presence) = (.required, .required) }
        let custom = ObjectType(
            name: base < 4 ? "Custom" : "ClevisCustom", fields: [config, .flag("needs_network", "needsNetwork"), pin],
            isPointer: base < 4)
        return ObjectType(
            name: "Clevis",
            fields: [
                .object("custom", "custom", custom), .list("tang", "tang", tang(base)), .number("threshold"),
                .flag("tpm2"),
            ], isPointer: base < 4)
    }

    private static func tang(_ base: Int) -> ObjectType {
        var url = Field.text("url")
        url.presence = .unlessEmpty
        return ObjectType(
            name: "Tang", fields: since(5, base, .text("advertisement")) + [.text("thumbprint"), url],
            key: .field("url"))
    }

    private static func raid(_ base: Int) -> ObjectType {
        var level = Field.text("level")
        if base < 4 { level.presence = .required }
        return ObjectType(
            name: "Raid",
            fields: [
                .texts("devices", "devices", named: "Device"), level, .name("name"),
                .texts("options", "options", .appended, named: base == 1 ? "RaidOption" : nil), .number("spares"),
            ], key: .field("name"))
    }

    private static func tree(_ base: Int) -> ObjectType {
        ObjectType(
            name: "Tree",
            fields: since(7, base, .object("group", nil, owner("NodeGroup"))) + [.text("local"), .text("path")]
                + since(
                    7, base, .object("user", nil, owner("NodeUser")), .number("file_mode"), .number("dir_mode")))
    }

    // MARK: systemd

    private static func systemd(_ dialect: Dialect) -> ObjectType {
        let base = dialect.base
        let local = since(5, base, .sugar("contents_local", .string))
        let dropin = ObjectType(
            name: "Dropin", fields: [.text("contents")] + local + [.name("name")], key: .field("name"))
        let unit = ObjectType(
            name: "Unit",
            fields: [.text("contents")] + local + [
                .list("dropins", "dropins", dropin), .flag("enabled"), .flag("mask"), .name("name"),
            ], key: .field("name"))
        let quadlet = ObjectType(
            name: "Quadlet",
            fields: [
                .text("contents"), .sugar("contents_local", .string), .list("dropins", "dropins", dropin),
                .name("name"), .flag("rootful"),
            ])
        return ObjectType(
            name: "Systemd",
            fields: [.list("units", "units", unit)]
                + (dialect.hasQuadlets ? [.sugar("quadlets", .list(.object(quadlet)))] : []))
    }

    // MARK: fcos and openshift

    private static func bootDevice(base: Int, fcos: Int) -> ObjectType {
        let luks = ObjectType(
            name: "BootDeviceLuks",
            fields: since(6, fcos, .object("cex", nil, cex)) + since(5, fcos, .flag("discard"))
                + since(6, fcos, .text("device"))
                + [.list("tang", "tang", tang(base)), .number("threshold"), .flag("tpm2")])
        let mirror = ObjectType(name: "BootDeviceMirror", fields: [.texts("devices")])
        return ObjectType(
            name: "BootDevice",
            fields: [.text("layout"), .object("luks", nil, luks), .object("mirror", nil, mirror)])
    }

    private static let grub = ObjectType(
        name: "Grub",
        fields: [
            .list(
                "users", nil,
                ObjectType(name: "GrubUser", fields: [.name("name"), .text("password_hash")]))
        ])

    private static let metadata = ObjectType(
        name: "Metadata", fields: [.name("name"), Field(name: "labels", json: "labels", kind: .texts)])

    private static let openshift = ObjectType(
        name: "OpenShift",
        fields: [
            .texts("extensions"), .flag("fips"), .texts("kernel_arguments", "kernelArguments"),
            .text("kernel_type", "kernelType"),
        ])
}
