// Rules for systemd units.

extension Checker {
    mutating func check(_ systemd: IgnitionConfig.Systemd) {
        checkDuplicates(systemd.units, in: systemd.origin, "units", key: "name") { $0.name }
        let byName = Dictionary(systemd.units.map { (ByteKey($0.name), $0) }, uniquingKeysWith: { first, _ in first })
        for unit in systemd.units {
            let types = [
                "service", "socket", "device", "mount", "automount", "swap", "target", "path", "timer", "snapshot",
                "slice", "scope",
            ]
            if checkFileName(unit.name, unit.origin) {
                let suffix = unit.name.split(separator: ".", omittingEmptySubsequences: false).last ?? ""
                if !unit.name.contains(".") || !types.contains(String(suffix)) {
                    error(
                        unit.origin, "name",
                        "\"\(shown(unit.name))\" does not end like a unit: .service, .socket, .mount, ..."
                    )
                }
            }
            let text = checkContents(unit.contents, unit.origin)
            checkDuplicates(unit.dropins, in: unit.origin, "dropins", key: "name") { $0.name }
            for dropin in unit.dropins {
                if checkFileName(dropin.name, dropin.origin), !dropin.name.hasSuffix(".conf") {
                    error(dropin.origin, "name", "\"\(shown(dropin.name))\" does not end in .conf")
                }
                _ = checkContents(dropin.contents, dropin.origin)
            }
            guard unit.enabled == true else { continue }
            if let text, !text.hasInstallOptions {
                warn(unit.origin, "enabled", "without an [Install] section in its contents this enables nothing")
            } else if let template = unit.instance?.template, let other = byName[ByteKey(template)]?.contents,
                !other.isEmpty, let text = try? UnitText(parsing: other), !text.hasInstallOptions
            {
                warn(unit.origin, "enabled", "without an [Install] section in \(shown(template)) this enables nothing")
            }
        }
    }

    /// The parsed contents; `nil` if there are none or they are malformed.
    private mutating func checkContents(_ contents: String?, _ origin: IgnitionConfig.Origin) -> UnitText? {
        guard let contents, !contents.isEmpty else { return nil }
        do throws(UnitText.Fault) {
            return try UnitText(parsing: contents)
        } catch {
            self.error(origin, "contents", "\(error)")
            return nil
        }
    }

    /// Whether a name can be part of a path: it is not empty and has no slash.
    private mutating func checkFileName(_ name: String, _ origin: IgnitionConfig.Origin) -> Bool {
        guard require(name, origin, "name") else { return false }
        if name.utf8.contains(UInt8(ascii: "/")) {
            error(origin, "name", "a slash is not allowed in a name")
            return false
        }
        return true
    }
}

extension IgnitionConfig.Unit {
    /// The template and the instance name: `foo@bar.service` is the instance `bar` of `foo@.service`.
    public var instance: (template: String, name: String)? {
        guard let at = name.firstIndex(of: "@"), let dot = name.lastIndex(of: "."), at < dot else { return nil }
        let after = name.index(after: at)
        if after == dot { return nil }
        return (String(name[..<after] + name[dot...]), String(name[after..<dot]))
    }
}
