// Butane: the YAML that people write, translated to the Ignition config that machines read.
//
// A text becomes a tree of known fields (Decoding), which has to keep rules (SourceRules), is made into Ignition's tree
// (Translation) and has to keep the variant's and Ignition's own rules (Forbidden, ResultRules). Every value of every
// tree knows the path in the text that asks for it. No I/O: what a translation needs of the world is handed in.

import IgnitionConfig
import JSONText

/// Translation of Butane configs.
public enum Butane {
    /// How a config is to be translated.
    public struct Options: Sendable {
        /// Ignition's config alone, also for openshift.
        public var isRaw = false
        /// Indented JSON.
        public var isPretty = false
        /// What `${name}` stands for in configs of the variant `firstlight`.
        public var variables = Variables()

        /// Creates the default options.
        public init() {}
    }

    /// What became of a config.
    public struct Outcome: Sendable {
        /// Without a newline at its end; `nil` where the translation failed.
        public var output: [UInt8]?
        /// What was noticed about the config.
        public var report = Report()
        /// Why there is no output, in a sentence.
        public var failure: String?
        /// The texts that the report points into: the config, then what it includes.
        public var texts: [Text]
        /// Notes on fields that are translated but have no effect on a live system.
        public var remarks: [String] = []
        /// Whether the config has variables, of which some may be secret.
        public var usesVariables = false
        /// What each field of the result is from, a line each: `$.systemd.units.0 <- $.storage.filesystems.1`.
        public var translations: [String] = []
        /// The result with the paths that it is from; `nil` where there is none.
        var result: ConfigNode?
        /// The documents of ``texts``, as far as they could be read.
        var documents: [Int: YAMLDocument] = [:]
    }

    /// Translates a config.
    ///
    /// `bytes` is YAML, of which JSON is a part. `name` is what messages call the text: `config.bu`, `<stdin>`.
    public static func translate(
        _ bytes: [UInt8], name: String, localFiles: LocalFiles, options: Options = Options()
    ) -> Outcome {
        var job = Job(localFiles: localFiles, options: options)
        return job.run(Text(name: name, bytes: bytes))
    }

    /// Whether a text is a Butane config rather than Ignition's JSON or anything else: a mapping that has a `variant`.
    ///
    /// A text that is not YAML is one where a line begins with that key: its translation tells of the mistake.
    public static func isButane(_ bytes: [UInt8]) -> Bool {
        // Ignition's own, which may be long, is read as what it is.
        if let json = try? JSONNode(parsing: bytes) { return json["variant"] != nil }
        guard let document = try? YAMLDocument(parsing: bytes) else {
            return bytes.split(separator: UInt8(ascii: "\n")).contains { line in
                ["variant", "\"variant\"", "'variant'"].contains { key in
                    let rest = line.dropFirst(key.utf8.count).drop { $0 == UInt8(ascii: " ") }
                    return line.starts(with: key.utf8) && rest.first == UInt8(ascii: ":")
                }
            }
        }
        guard let root = document.root, case .mapping(let pairs) = document.nodes[root].content else { return false }
        return pairs.contains { document.text(of: $0.key) == "variant" }
    }
}

/// One translation, and those of what the config includes.
private struct Job {
    let localFiles: LocalFiles
    let options: Butane.Options
    private var report = Butane.Report()
    private var texts: [Butane.Text] = []
    /// The documents of the texts that could be read, to find places in.
    private var documents: [Int: YAMLDocument] = [:]
    private var remarks: [String] = []
    private var usesVariables = false

    /// Files that a config may include, also those of what it includes.
    private static let includeLimit = 100

    init(localFiles: LocalFiles, options: Butane.Options) {
        self.localFiles = localFiles
        self.options = options
    }

    /// Why a translation ends.
    private struct Stop: Error {
        var message: String
    }

    mutating func run(_ text: Butane.Text) -> Butane.Outcome {
        var outcome = Butane.Outcome(texts: [])
        do throws(Stop) {
            let (dialect, source, result) = try translate(text, includedBy: [])
            try finish(dialect, source, result, &outcome)
        } catch {
            outcome.failure = error.message
        }
        outcome.texts = texts
        outcome.report = report
        outcome.remarks = remarks
        outcome.usesVariables = usesVariables
        outcome.documents = documents
        return outcome
    }

    private mutating func add(_ entries: [Butane.Report.Entry]) {
        for var entry in entries {
            if usesVariables { entry.message = options.variables.redacted(entry.message) }
            if entry.place == nil, let path = entry.path, let document = documents[path.text] {
                entry.place = document.place(of: path)
            }
            report.entries.append(entry)
        }
    }

    // MARK: One text

    /// Translates one text and what it includes into its dialect, its own tree and Ignition's tree.
    ///
    /// `includers` are the paths of the configs around this one, the outermost first. Throws ``Stop`` where a mistake ends
    /// the translation.
    private mutating func translate(
        _ text: Butane.Text, includedBy includers: [String]
    ) throws(Stop) -> (Dialect, ConfigNode, ConfigNode) {
        let number = texts.count
        texts.append(text)
        let document = try read(number, prefix: "Error unmarshaling yaml: ") { bytes throws(YAMLFault) in
            try YAMLDocument(parsing: bytes)
        }
        documents[number] = document
        let dialect = try dialect(of: document, number)
        if number > 0, dialect.variant != .firstlight, dialect.variant != .fcos || dialect.spec > .v36 {
            throw Stop(
                message: "\(text.name): variant \(dialect.variant.rawValue) \(dialect.version) cannot be included")
        }

        let isOurs = dialect.isFirstlight
        var decoder = Decoder(
            document, dialect: dialect, text: number, variables: isOurs ? options.variables : nil)
        let source = try read(number, prefix: "") { _ throws(YAMLFault) in try decoder.read(dialect.type) }
        usesVariables = usesVariables || isOurs
        add(UnknownKeys(document, dialect.type, text: number).entries)
        let missing = decoder.variableFaults.sorted { $0.key.description < $1.key.description }
        add(missing.map { .init(severity: .error, path: $0.key, message: $0.value, text: number) })
        if !missing.isEmpty { throw Stop(message: Message.sourceInvalid) }

        var rules = SourceRules(dialect)
        rules.check(source)
        add(rules.entries)
        if report.hasErrors { throw Stop(message: Message.sourceInvalid) }

        var translation = Translation(dialect, localFiles, text: number)
        translation.translate(source)
        if !translation.hasErrors {
            if let minor = dialect.openshift {
                if minor >= 23 { translation.writeGrubContents() }
                if minor <= 19, let fips = source.descendant("openshift", "fips"), fips.bool == true {
                    translation.addFIPSCipher(fips.source)
                }
            }
            translation.checkForOpenShift()
        }
        add(translation.entries)
        if dialect.openshift != nil, options.isRaw { warnOfIgnored(source) }
        if report.hasErrors { throw Stop(message: Message.sourceInvalid) }
        remark(source, dialect)
        return (dialect, source, try including(source, translation.result, dialect, text, includers))
    }

    /// Runs what reads a text; a fault of its YAML ends the translation, with its places in the report.
    private mutating func read<Value>(
        _ number: Int, prefix: String, _ body: ([UInt8]) throws(YAMLFault) -> Value
    ) throws(Stop) -> Value {
        do throws(YAMLFault) { return try body(texts[number].bytes) } catch {
            for entry in error.entries where entry.place != nil {
                report.entries.append(
                    .init(severity: .error, path: nil, place: entry.place, message: entry.message, text: number))
            }
            let name = number == 0 ? "" : "\(texts[number].name): "
            throw Stop(message: name + prefix + error.description)
        }
    }

    private mutating func dialect(of document: YAMLDocument, _ number: Int) throws(Stop) -> Dialect {
        var decoder = Decoder(document, dialect: nil, text: number)
        let type = ObjectType(
            name: "commonFields", fields: [.sugar("version", .string), .sugar("variant", .string)])
        let fields = try read(number, prefix: "Error unmarshaling yaml: ") { _ throws(YAMLFault) in
            try decoder.read(type)
        }
        do throws(Dialect.Fault) {
            return try Dialect.find(
                variant: fields["variant"]?.string ?? "", version: fields["version"]?.string ?? "")
        } catch {
            throw Stop(message: (number == 0 ? "" : "\(texts[number].name): ") + error.description)
        }
    }

    private mutating func warnOfIgnored(_ source: ConfigNode) {
        for (name, _) in MachineConfig.fields {
            guard let value = source.descendant("openshift", name) else { continue }
            add([.init(severity: .warning, path: value.source, message: Message.ignoredInRaw, text: value.source.text)])
        }
    }

    private mutating func remark(_ source: ConfigNode, _ dialect: Dialect) {
        if dialect.hasBootDevice, !(source["boot_device"]?.members ?? []).isEmpty {
            remarks.append(
                "boot_device: a live system has no boot disk; the disks that this makes are data disks to it")
        }
        if dialect.hasGrub, !(source["grub"]?.list("users") ?? []).isEmpty {
            remarks.append(
                "grub: a live system has no /boot; its disks stage stops where no filesystem is labelled boot")
        }
    }

    // MARK: Included configs

    /// The config over those that it includes, each over the ones before it.
    private mutating func including(
        _ source: ConfigNode, _ result: ConfigNode, _ dialect: Dialect, _ text: Butane.Text, _ includers: [String]
    ) throws(Stop) -> ConfigNode {
        guard let list = source["include"], !list.elements.isEmpty else { return result }
        let type = dialect.type
        let own = includers.last ?? ""
        var merged: ConfigNode?
        for entry in list.elements {
            func stop(_ message: String) -> Stop {
                add([.init(severity: .error, path: entry.source, message: message, text: entry.source.text)])
                return Stop(message: Message.sourceInvalid)
            }
            let name = entry.string ?? ""
            let folder = own.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
            guard !name.isEmpty, !name.hasPrefix("/") else {
                throw stop("an included config is named relative to this one")
            }
            let path = plainPath(folder.isEmpty ? name : folder + "/" + name)
            if path == ".." || path.hasPrefix("../") {
                throw stop("an included config must be in the folder of the first one, or below it")
            }
            guard path.utf8.count < 4096 else { throw stop("the path of an included config is longer than 4095 bytes") }
            let first = texts[0].name.split(separator: "/").last.map(String.init) ?? ""
            if path == first || includers.contains(path) {
                throw stop("a circle: " + ([first] + includers + [path]).joined(separator: " includes "))
            }
            guard texts.count < Self.includeLimit else { throw stop("more than \(Self.includeLimit) included configs") }
            let bytes: [UInt8]
            do throws(LocalFiles.Fault) { bytes = try localFiles.include(path) } catch {
                throw stop(error.message)
            }
            let inner = try translate(Butane.Text(name: path, bytes: bytes), includedBy: includers + [path]).2
            merged = merged.map { $0.merged(with: inner, type) } ?? inner
        }
        return merged.map { $0.merged(with: result, type) } ?? result
    }

    // MARK: The whole

    private mutating func finish(
        _ dialect: Dialect, _ source: ConfigNode, _ result: ConfigNode, _ outcome: inout Butane.Outcome
    ) throws(Stop) {
        let type = dialect.type
        outcome.translations = translations(of: result)
        outcome.result = result
        // Butane forbids these fields of openshift in a MachineConfig only; a raw config may have them.
        if dialect.openshift == nil || !options.isRaw {
            add(Forbidden(dialect).entries(result, type))
            if report.hasErrors { throw Stop(message: Message.sourceInvalid) }
        }
        let compact = JSONWriter.text(result, type, isPretty: false)
        add(ResultRules.entries(compact, result))
        if report.hasErrors { throw Stop(message: Message.resultInvalid) }
        if dialect.openshift != nil, !options.isRaw {
            outcome.output = Array(MachineConfig(source, config: result, type).text.utf8)
        } else {
            outcome.output = options.isPretty ? JSONWriter.text(result, type, isPretty: true) : compact
        }
    }

    private func translations(of result: ConfigNode) -> [String] {
        var lines: [String] = []
        func walk(_ node: ConfigNode, _ path: ConfigPath) {
            lines.append("\(path) <- \(node.source)")
            for member in node.members { walk(member.value, path.appending(member.key)) }
            for (index, entry) in node.elements.enumerated() { walk(entry, path.appending(index)) }
        }
        walk(result, ConfigPath())
        return lines
    }
}

/// Keys that nobody reads, of the objects that are written in the text itself.
private struct UnknownKeys {
    private let document: YAMLDocument
    private let text: Int
    private(set) var entries: [Butane.Report.Entry] = []

    /// If there are very many, only the first ones are reported.
    private static let limit = 1000

    init(_ document: YAMLDocument, _ type: ObjectType, text: Int) {
        self.document = document
        self.text = text
        guard let root = document.root else { return }
        walk(root, .object(type), ConfigPath(text: text))
    }

    private mutating func walk(_ index: Int, _ kind: FieldKind, _ path: ConfigPath) {
        switch (document.nodes[index].content, kind) {
        case (.mapping(let pairs), .object(let type)):
            for pair in pairs {
                guard let name = document.text(of: pair.key), name != "<<", entries.count < Self.limit,
                    !type.fields.contains(where: { $0.name == name })
                else { continue }
                entries.append(
                    .init(
                        severity: .warning, path: path.appending(name), place: document.nodes[pair.key].place,
                        message: "unused key \(name)", text: text))
            }
            // In the order of the description, as Butane walks.
            for field in type.fields {
                guard let pair = pairs.last(where: { document.text(of: $0.key) == field.name }) else { continue }
                walk(pair.value, field.kind, path.appending(field.name))
            }
        case (.sequence(let nodes), .list(let kind, _)):
            for (number, node) in nodes.enumerated() { walk(node, kind, path.appending(number)) }
        default: break
        }
    }
}
