// From bytes to a config: all mistakes are reported at once.

import JSONText

extension IgnitionConfig {
    /// What reading a text gave: a config, and what was noticed.
    public struct Parsed: Equatable, Sendable {
        /// The config; `nil` if the report has errors.
        public var config: IgnitionConfig?
        /// Every error and warning.
        public var report: Report

        /// The config by the rules of its own version; a part of another one may leave fields out.
        ///
        /// - Throws: ``InvalidConfig`` with the report.
        public func valid() throws(InvalidConfig) -> IgnitionConfig {
            guard let config else { throw InvalidConfig(report) }
            return config
        }

        /// The config, once it is known to be complete, unless it refers to others that may complete it.
        ///
        /// - Throws: ``InvalidConfig`` with the report.
        public func checked() throws(InvalidConfig) -> IgnitionConfig {
            let config = try valid()
            let references = config.ignition.config
            if config.ignition.version < .v33, references.merge.isEmpty, references.replace.source == nil {
                var whole = config.validate(name: report.source)
                whole.text = report.text
                if !whole.errors.isEmpty { throw InvalidConfig(whole) }
            }
            return config
        }
    }

    /// Reads a config and checks its rules.
    ///
    /// - Parameters:
    ///   - bytes: JSON. Empty input is an error here; whether it means "no config" is for the caller to decide.
    ///   - name: What messages call the text: "config.ign", or a URL without its secrets.
    /// - Returns: The config, if it has no errors, and the report.
    public static func parse(_ bytes: [UInt8], name: String) -> Parsed {
        parse(bytes, source: SourceText(name: name))
    }

    /// The same for a text of which messages are to name other places than its own.
    public static func parse(_ bytes: [UInt8], source: SourceText) -> Parsed {
        read(bytes, source: source, checksRules: true)
    }

    /// Checks a config against the rules of the newest version, whatever texts it came from.
    ///
    /// Two valid configs can give an invalid one when they are merged: an id from one and a name from the other.
    /// The report calls the config `name`.
    public func validate(name: String = "the merged config") -> Report {
        var checker = Checker(version: .newest, isAsWritten: false)
        checker.check(self)
        return Report(source: name, text: [], checker.notes)
    }

    static func read(_ bytes: [UInt8], source: SourceText, checksRules: Bool) -> Parsed {
        let (config, notes) = readTree(bytes, source: source, checksRules: checksRules)
        var report = Report(source: source.name, text: source.isOriginal ? bytes : [], diagnostics: [])
        for list in notes {
            report.diagnostics += list.diagnostics
            report.omittedErrors += list.omitted.errors
            report.omittedWarnings += list.omitted.warnings
        }
        report.diagnostics = report.diagnostics.enumerated().sorted { one, other in
            (one.element.place?.bytes.lowerBound ?? 0, one.offset)
                < (other.element.place?.bytes.lowerBound ?? 0, other.offset)
        }.map(\.element)
        guard var config, report.errors.isEmpty else { return Parsed(config: nil, report: report) }
        if config.ignition.version < .v36 { config.dropSpecialModeBits() }
        return Parsed(config: config, report: report)
    }

    private static func readTree(
        _ bytes: [UInt8], source: SourceText, checksRules: Bool
    ) -> (IgnitionConfig?, [DiagnosticList]) {
        func stop(_ path: String, _ place: SourcePlace?, _ message: String) -> (IgnitionConfig?, [DiagnosticList]) {
            var list = DiagnosticList()
            list.add(.error, in: Origin(source: source.name, path: path), "", at: place, message)
            return (nil, [list])
        }
        let root: JSONNode
        var tolerated: [JSONSyntaxError] = []
        do {
            root = try JSONNode(tolerantly: bytes, tolerated: &tolerated)
        } catch {
            guard let other = OtherFormat(bytes) else { return stop("", error.place, error.message) }
            return stop("", nil, other.message)
        }
        guard root.members != nil else { return stop("", root.place, "expected an object, found \(root.kind)") }

        let version: SpecVersion
        var kept = DiagnosticList()
        for fault in tolerated {
            kept.add(.warning, in: Origin(source: source.name, path: ""), "", at: fault.place, fault.tolerance)
        }
        var faults = [kept]
        switch declaredVersion(of: root) {
        case .success(let declared): version = declared
        case .failure(.missing(let place, let message)):
            // The rest of the config is still worth checking.
            version = .newest
            faults += stop("ignition.version", place, message).1
        case .failure(.unusable(let place, let message)): return stop("ignition.version", place, message)
        }

        let context = ReadingContext(source: source, version: version)
        let config: IgnitionConfig? = ObjectReader.read(root, below: nil, context: context)
        guard checksRules, let config else { return (config, faults + [context.notes]) }
        var checker = Checker(version: version)
        // A field of the wrong type was read as absent; what follows from that is not a mistake of its own.
        checker.notes.ignored = Set(
            context.notes.diagnostics.filter { $0.severity == .error }.compactMap(\.place?.bytes.lowerBound))
        checker.check(config)
        return (config, faults + [context.notes, checker.notes])
    }

    private enum VersionFault: Error {
        case missing(SourcePlace, String)
        case unusable(SourcePlace, String)
    }

    private static func declaredVersion(of root: JSONNode) -> Result<SpecVersion, VersionFault> {
        guard let ignition = root.member(like: "ignition")?.value,
            let node = ignition.member(like: "version")?.value, !node.isNull
        else {
            let place = root.member(like: "ignition")?.value.place ?? root.place
            if root["ignitionVersion"] != nil {
                return .failure(.unusable(place, "this is a config of spec 1; write one of spec 3"))
            }
            if root["variant"] != nil {
                return .failure(.unusable(place, OtherFormat.butane.message))
            }
            return .failure(.missing(place, "missing; write \"ignition\": {\"version\": \"3.4.0\"}"))
        }
        guard let text = node.string else {
            return .failure(.missing(node.place, "expected a string such as \"3.4.0\", found \(node.kind)"))
        }
        do throws(SpecVersion.Fault) {
            return .success(try SpecVersion(parsing: text))
        } catch {
            return .failure(.unusable(node.place, "\"\(shortened(text))\": \(error)"))
        }
    }

    /// Does what the translation from 3.5 to 3.6 does.
    private mutating func dropSpecialModeBits() {
        for index in storage.files.indices { storage.files[index].mode = storage.files[index].mode.map { $0 & 0o777 } }
        for index in storage.directories.indices {
            storage.directories[index].mode = storage.directories[index].mode.map { $0 & 0o777 }
        }
    }
}

extension JSONSyntaxError {
    /// What is wrong, and how the text is read nevertheless.
    fileprivate var tolerance: String {
        switch fault {
        case .duplicateKey: "\(message); the last value counts"
        case .invalidUTF8: "\(message); U+FFFD is in their place"
        case .loneSurrogate: "\(message); U+FFFD is in its place"
        default: message
        }
    }
}

/// Formats that people give in place of an Ignition config.
private enum OtherFormat {
    case empty, cloudConfig, script, mime, butane, nearlyButane, gzip, markup

    init?(_ bytes: [UInt8]) {
        if bytes.starts(with: [0x1f, 0x8b]) {
            self = .gzip
            return
        }
        let text = String(decoding: bytes.prefix(16 << 10), as: UTF8.self)
        let lines = text.split(whereSeparator: \.isNewline).prefix(200)
        let first = lines.first { $0.contains { !$0.isWhitespace } }.map { $0.drop(while: \.isWhitespace) } ?? ""
        if bytes.isEmpty {
            self = .empty
        } else if text.hasPrefix("#cloud-config") {
            self = .cloudConfig
        } else if text.hasPrefix("#!") {
            self = .script
        } else if first.lowercased().hasPrefix("content-type:") || first.lowercased().hasPrefix("mime-version:") {
            self = .mime
        } else if first.hasPrefix("<") {
            self = .markup
        } else if lines.contains(where: { $0.hasPrefix("variant:") }) {
            self = .butane
        } else if Self.beginsWithKey(lines) {
            self = .nearlyButane
        } else {
            return nil
        }
    }

    /// Whether the first line that says something has a key that a Butane config may begin with.
    private static func beginsWithKey(_ lines: ArraySlice<Substring>) -> Bool {
        let first = lines.first { !$0.hasPrefix("#") && $0 != "---" && !$0.allSatisfy(\.isWhitespace) }
        return ["version:", "ignition:", "storage:", "systemd:", "passwd:"].contains { first?.hasPrefix($0) == true }
    }

    var message: String {
        switch self {
        case .empty: "the config is empty"
        case .cloudConfig: "this is a cloud-config, not an Ignition config; write it as Butane and convert it"
        case .script: "this is a script; an Ignition config carries one in storage.files or in a unit"
        case .mime: "this is user data for cloud-init, not an Ignition config"
        case .butane:
            "this is Butane; `firstlight-image butane` translates it: "
                + "firstlight-image butane --strict --output config.ign config.bu"
        case .nearlyButane:
            "this reads like Butane, and names no variant; it begins with `variant: fcos` and a `version:`"
        case .gzip: "this is compressed with gzip; give the JSON itself"
        case .markup: "this is a web page or XML, not an Ignition config; is the URL right?"
        }
    }
}
