// The rules a config must keep, beyond the types of its fields. This file: rules about single values.

/// Collects what is wrong with a typed config.
///
/// Works on values alone, so that a config merged from several texts can be checked too.
struct Checker {
    let version: SpecVersion
    var diagnostics: [IgnitionConfig.Diagnostic] = []

    init(version: SpecVersion) { self.version = version }

    mutating func check(_ config: IgnitionConfig) {
        check(config.ignition)
        check(config.storage)
        checkNodes(config)
        check(config.systemd)
        check(config.passwd)
        check(config.kernelArguments)
    }

    // MARK: Noting

    mutating func error(_ origin: IgnitionConfig.Origin, _ field: String, _ message: String) {
        note(.error, origin, field, message)
    }

    mutating func warn(_ origin: IgnitionConfig.Origin, _ field: String, _ message: String) {
        note(.warning, origin, field, message)
    }

    private mutating func note(
        _ severity: IgnitionConfig.Diagnostic.Severity, _ origin: IgnitionConfig.Origin, _ field: String,
        _ message: String
    ) {
        let found = origin.find(field)
        diagnostics.append(
            .init(severity: severity, source: found.source, path: found.path, place: found.place, message: message))
    }

    // MARK: Values

    /// A missing or empty key.
    mutating func require(_ value: String?, _ origin: IgnitionConfig.Origin, _ field: String) -> Bool {
        if !(value ?? "").isEmpty { return true }
        error(origin, field, origin.has(field) ? "empty" : "missing")
        return false
    }

    /// An absolute path in its plain form.
    mutating func checkPath(_ path: String, _ origin: IgnitionConfig.Origin, _ field: String) {
        guard path.hasPrefix("/") else {
            error(origin, field, path.isEmpty ? "missing" : "\"\(path)\" is not an absolute path")
            return
        }
        let plain = plainPath(path)
        if plain != path { error(origin, field, "\"\(path)\" is not in its plain form; write \"\(plain)\"") }
    }

    /// The same key twice in a list.
    mutating func checkDuplicates<Element>(
        _ elements: [Element], in origin: IgnitionConfig.Origin, _ list: String, key field: String = "",
        _ key: (Element) -> String?
    ) {
        var first: [String: Int] = [:]
        for (index, element) in elements.enumerated() {
            guard let key = key(element), !key.isEmpty || field.isEmpty else { continue }
            guard let earlier = first[key] else {
                first[key] = index
                continue
            }
            let place = "\(list)[\(index)]" + (field.isEmpty ? "" : ".\(field)")
            error(origin, place, "\"\(shown(key))\" is in \(list)[\(earlier)] already")
        }
    }

    /// A key as part of a message: URLs without secrets, long ones cut.
    private func shown(_ key: String) -> String {
        let text = key.contains("://") || key.hasPrefix("data:") ? SourceURL.redacted(key) : key
        return text.count > 60 ? text.prefix(57) + "..." : text
    }

    // MARK: Resources

    /// - Parameter isRequired: The source must be given.
    mutating func check(
        _ resource: IgnitionConfig.Resource, _ origin: IgnitionConfig.Origin, _ field: String,
        isRequired: Bool = false
    ) {
        let source = resource.source ?? ""
        var scheme: String?
        if source.isEmpty {
            if isRequired { error(origin, "\(field).source", "missing") }
        } else {
            scheme = checkSource(source, origin, "\(field).source")
        }
        if let compression = resource.compression, !["", "gzip"].contains(compression) {
            error(origin, "\(field).compression", "\"\(compression)\" is unknown; gzip and \"\" (none) are known")
        }
        if let hash = resource.verification.hash { check(hash: hash, of: resource, origin, field) }
        if !resource.httpHeaders.isEmpty, scheme != "http", scheme != "https" {
            error(origin, "\(field).httpHeaders", "headers need an http or https source")
        }
        checkDuplicates(resource.httpHeaders, in: origin, "\(field).httpHeaders", key: "name") { $0.name }
        for (index, header) in resource.httpHeaders.enumerated() {
            let place = "\(field).httpHeaders[\(index)]"
            if header.name.isEmpty { error(origin, "\(place).name", "missing") }
            if header.value == "" { error(origin, "\(place).value", "empty") }
        }
    }

    private mutating func check(
        hash: String, of resource: IgnitionConfig.Resource, _ origin: IgnitionConfig.Origin, _ field: String
    ) {
        let place = "\(field).verification.hash"
        if resource.source == nil { error(origin, place, "a hash without a source") }
        do throws(Digest.Fault) {
            let digest = try Digest(parsing: hash)
            if digest.function == .sha256, version < .v31 {
                error(origin, place, "sha256 came with spec 3.1.0; this config is \(version)")
            }
        } catch {
            self.error(origin, place, "\(error)")
        }
    }

    /// Checks a URL to fetch from; returns its scheme where it has a usable one.
    mutating func checkSource(
        _ source: String, _ origin: IgnitionConfig.Origin, _ field: String
    ) -> String? {
        let url: SourceURL
        do throws(SourceURL.Fault) {
            url = try SourceURL(parsing: source)
        } catch {
            self.error(origin, field, "\(error)")
            return nil
        }
        let schemes: [(name: String, since: SpecVersion)] = [
            ("http", .v30), ("https", .v30), ("tftp", .v30), ("data", .v30), ("s3", .v30), ("gs", .v32),
            ("arn", .v34),
        ]
        guard let known = schemes.first(where: { $0.name == url.scheme }), known.since <= version else {
            let names = schemes.filter { $0.since <= version }.map(\.name)
            error(origin, field, "cannot fetch \(url.scheme): URLs; \(names.joined(separator: ", ")) are known")
            return nil
        }
        switch url.scheme {
        case "data":
            do throws(DataURL.Fault) {
                _ = try DataURL(parsing: source)
            } catch {
                self.error(origin, field, "\(error)")
            }
        case "http", "https", "tftp":
            if url.host.isEmpty { error(origin, field, "the URL names no host") }
        case "s3", "arn":
            if (url.query ?? "").split(separator: "&").contains(where: { $0 == "versionId" || $0 == "versionId=" }) {
                error(origin, field, "versionId is empty")
            }
            if url.scheme == "arn" { checkARN(url, origin, field) }
        default: break
        }
        return url.scheme
    }

    /// `arn:PARTITION:s3:REGION:ACCOUNT:BUCKET/KEY` or `...:accesspoint/NAME/object/KEY`.
    private mutating func checkARN(_ url: SourceURL, _ origin: IgnitionConfig.Origin, _ field: String) {
        let parts = url.path.split(separator: ":", maxSplits: 4, omittingEmptySubsequences: false)
        guard parts.count == 5 else { return error(origin, field, "an ARN has six parts with colons between them") }
        guard parts[1] == "s3" else { return error(origin, field, "an ARN of a service other than s3") }
        let slashes = parts[4].filter { $0 == "/" }.count
        if slashes < (parts[4].hasPrefix("accesspoint/") ? 2 : 1) {
            error(origin, field, "the ARN names no object")
        }
    }
}

/// A path without empty parts, `.` and `..`, as far as its text tells.
public func plainPath(_ path: String) -> String {
    var parts: [Substring] = []
    let isAbsolute = path.hasPrefix("/")
    for part in path.split(separator: "/") where part != "." {
        if part != ".." {
            parts.append(part)
        } else if let last = parts.last, last != ".." {
            parts.removeLast()
        } else if !isAbsolute {
            parts.append(part)
        }
    }
    let text = parts.joined(separator: "/")
    return isAbsolute ? "/" + text : text.isEmpty ? "." : text
}
