// The rules that a config must keep beyond the types of its fields. This file: rules about single values.

import Encoding

/// Collects what is wrong with a typed config.
///
/// Works on values alone, so that a config merged from several texts can be checked too.
struct Checker {
    let version: SpecVersion
    /// Whether the values are as somebody wrote them; `false` after translation and merging.
    let isAsWritten: Bool
    var notes = DiagnosticList()

    init(version: SpecVersion, isAsWritten: Bool = true) {
        self.version = version
        self.isAsWritten = isAsWritten
    }

    mutating func check(_ config: IgnitionConfig) {
        check(config.ignition)
        check(config.storage)
        checkNodes(config)
        check(config.systemd)
        check(config.passwd)
        check(config.kernelArguments)
    }

    // MARK: Noting

    mutating func error(
        _ origin: IgnitionConfig.Origin, _ field: String, _ message: String
    ) {
        notes.add(.error, in: origin, field, message)
    }

    mutating func warn(
        _ origin: IgnitionConfig.Origin, _ field: String, kind: IgnitionConfig.Diagnostic.Kind = .plain,
        _ message: String
    ) {
        notes.add(.warning, in: origin, field, kind: kind, message)
    }

    // MARK: Values

    /// Reports a missing or empty value; returns whether there is one.
    mutating func require(_ value: String?, _ origin: IgnitionConfig.Origin, _ field: String) -> Bool {
        if !(value ?? "").isEmpty { return true }
        error(origin, field, origin.has(field) ? "empty" : "missing")
        return false
    }

    /// Reports a path that is not absolute or not in its plain form.
    mutating func checkPath(_ path: String, _ origin: IgnitionConfig.Origin, _ field: String) {
        guard path.utf8.first == UInt8(ascii: "/") else {
            error(
                origin, field,
                path.isEmpty ? (origin.has(field) ? "empty" : "missing") : "\"\(shown(path))\" is not an absolute path")
            return
        }
        // The kernel would read the path up to there, and act on another file or disk.
        if path.utf8.contains(0) {
            error(origin, field, "\"\(shown(path))\" holds a NUL character")
            return
        }
        if isPlainPath(path) { return }
        error(
            origin, field,
            "\"\(shown(path))\" is not in its plain form; write \"\(shown(plainPath(path)))\"")
    }

    /// Reports a key that is in a list twice.
    ///
    /// `field` is the field of the entries that is the key; it is empty where the entries are plain strings.
    mutating func checkDuplicates<Element>(
        _ elements: [Element], in origin: IgnitionConfig.Origin, _ list: String, key field: String = "",
        _ key: (Element) -> String?
    ) {
        if elements.count < 2 { return }
        var first: [ByteKey: Int] = [:]
        for (index, element) in elements.enumerated() {
            guard let key = key(element), !key.isEmpty || field.isEmpty else { continue }
            guard let earlier = first[ByteKey(key)] else {
                first[ByteKey(key)] = index
                continue
            }
            let written = (element as? any ConfigObject)?.origin
            let message = "\"\(shown(key))\" is in \(list)[\(earlier)] already"
            if let written, !written.path.isEmpty {
                error(written, field, message)
            } else {
                error(origin, "\(list)[\(index)]" + (field.isEmpty ? "" : ".\(field)"), message)
            }
        }
    }

    /// Where messages point to for an entry of a list: to its own origin, or else to its index in the list.
    func place(
        of element: IgnitionConfig.Origin, in origin: IgnitionConfig.Origin, _ list: String, _ index: Int
    ) -> (origin: IgnitionConfig.Origin, prefix: String) {
        element.path.isEmpty ? (origin, "\(list)[\(index)].") : (element, "")
    }

    // MARK: Resources

    /// Checks the resources of a list.
    mutating func check(
        _ resources: [IgnitionConfig.Resource], in origin: IgnitionConfig.Origin, _ list: String,
        isRequired: Bool = false
    ) {
        for (index, resource) in resources.enumerated() {
            let (origin, prefix) = place(of: resource.origin, in: origin, list, index)
            check(resource, origin, prefix, isRequired: isRequired)
        }
    }

    /// Checks the fields of a resource.
    ///
    /// As seen from `origin`, the names of the fields start with `prefix`: `contents.`.
    mutating func check(
        _ resource: IgnitionConfig.Resource, _ origin: IgnitionConfig.Origin, _ prefix: String,
        isRequired: Bool = false
    ) {
        var scheme: String?
        if resource.isEmpty {
            if isRequired { error(origin, "\(prefix)source", resource.source == nil ? "missing" : "empty") }
        } else if let source = resource.source {
            scheme = checkSource(source, origin, "\(prefix)source")
        }
        if let compression = resource.compression, !["", "gzip"].contains(compression) {
            error(
                origin, "\(prefix)compression", "\"\(shown(compression))\" is unknown; gzip and \"\" (none) are known")
        }
        if let hash = resource.verification.hash { check(hash: hash, of: resource, origin, prefix) }
        if resource.httpHeaders.isEmpty { return }
        if scheme != "http", scheme != "https" {
            error(origin, "\(prefix)httpHeaders", "headers need an http or https source")
        }
        checkDuplicates(resource.httpHeaders, in: origin, "\(prefix)httpHeaders", key: "name") { $0.name }
        for (index, header) in resource.httpHeaders.enumerated() {
            let (origin, prefix) = place(of: header.origin, in: origin, "\(prefix)httpHeaders", index)
            if header.name.isEmpty { error(origin, "\(prefix)name", "missing") }
            if header.value == "" { error(origin, "\(prefix)value", "empty; leave it out to remove a parent's header") }
        }
    }

    private mutating func check(
        hash: String, of resource: IgnitionConfig.Resource, _ origin: IgnitionConfig.Origin, _ prefix: String
    ) {
        let place = "\(prefix)verification.hash"
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

    /// Checks a URL to fetch from; returns its scheme if it is one that this version knows.
    mutating func checkSource(
        _ source: ConfigURL, _ origin: IgnitionConfig.Origin, _ field: String
    ) -> String? {
        let url: SourceURL
        do throws(SourceURL.Fault) {
            url = try source.get()
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
            error(
                origin, field, "cannot fetch \(shortened(url.scheme)): URLs; \(names.joined(separator: ", ")) are known"
            )
            return nil
        }
        switch url.scheme {
        case "data":
            do throws(DataURL.Fault) {
                _ = try DataURL(parsing: url.text)
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

    /// Checks `arn:PARTITION:s3:REGION:ACCOUNT:BUCKET/KEY` or `...:accesspoint/NAME/object/KEY`.
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

/// A path without empty parts, `.` and `..`, decided from the text alone.
public func plainPath(_ path: String) -> String {
    var parts: [Substring] = []
    let slash = UInt8(ascii: "/")
    let isAbsolute = path.utf8.first == slash
    // Split by bytes: for Swift, a slash and a combining mark after it are one character.
    for part in path.utf8.split(separator: slash).lazy.map({ Substring($0) }) where part != "." {
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

/// Whether ``plainPath(_:)`` would leave an absolute path as it is, found without allocating its parts.
private func isPlainPath(_ path: String) -> Bool {
    let slash = UInt8(ascii: "/")
    let dot = UInt8(ascii: ".")
    if path == "/" { return true }
    /// The length of the current part, and whether it has only dots.
    var length = 0
    var isDots = true
    for byte in path.utf8.dropFirst() {
        if byte == slash {
            if length == 0 || isDots && length <= 2 { return false }
            (length, isDots) = (0, true)
        } else {
            length += 1
            if byte != dot { isDots = false }
        }
    }
    return length > 0 && !(isDots && length <= 2)
}

/// A key for a message: a URL without its secrets, a long text cut.
func shown(_ key: String) -> String {
    let isURL = key.utf8.firstIndex(of: UInt8(ascii: ":")).map { key.utf8[$0...].starts(with: "://".utf8) } ?? false
    return shortened(isURL || DataURL.isOne(key) ? "\(RedactedURL(key))" : key)
}

/// A text that is compared byte by byte: Swift calls texts equal that are different file names.
package struct ByteKey: Hashable, Sendable {
    package let text: String

    package init(_ text: String) { self.text = text }

    package static func == (one: ByteKey, other: ByteKey) -> Bool {
        one.text.utf8.count == other.text.utf8.count && one.text.utf8.elementsEqual(other.text.utf8)
    }

    package func hash(into hasher: inout Hasher) {
        var text = text
        text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }
}
