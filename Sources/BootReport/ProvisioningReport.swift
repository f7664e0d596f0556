// The report: what provisioning did at this boot, stage by stage, for people and for programs.

import JSONText
import Reporting

/// What a boot did to make the machine what its config says; it holds names and reasons, never a secret.
public struct ProvisioningReport: Equatable, Sendable {
    /// What one stage did, and how long it took.
    public struct Stage: Equatable, Sendable {
        /// The stage's word on the console: `disks`, `files`.
        public var name: String
        /// The time of all its runs at this boot.
        public var seconds: Double
        /// What the stage kept, created, changed and destroyed.
        public var changes: ChangeSummary
        /// What else is worth knowing, such as where a config came from.
        public var notes: [String]

        /// Makes a stage; without arguments it has done nothing yet.
        public init(
            _ name: String, seconds: Double = 0, changes: ChangeSummary = ChangeSummary(), notes: [String] = []
        ) {
            self.name = name
            self.seconds = seconds
            self.changes = changes
            self.notes = notes
        }
    }

    /// Why the boot stopped.
    public struct Failure: Equatable, Sendable {
        /// The stage that failed.
        public var stage: String
        /// What went wrong, as a phrase.
        public var cause: String
        /// The acts under way, outermost first, as phrases after "while".
        public var steps: [String]
        /// What had been written to disks by then, one phrase each; `nil`: not known.
        public var written: [String]?
        /// What the operator can do, most useful first.
        public var advice: [String]

        /// Makes a failure of its parts.
        public init(stage: String, cause: String, steps: [String], written: [String]?, advice: [String]) {
            self.stage = stage
            self.cause = cause
            self.steps = steps
            self.written = written
            self.advice = advice
        }

        /// Makes a failure of the one that stopped the boot.
        ///
        /// - Parameters:
        ///   - failure: The failure with its steps.
        ///   - stage: The stage that failed.
        ///   - written: What had been written to disks by then, one phrase each; `nil`: not known.
        public init(_ failure: BootFailure, in stage: String, written: [String]?) {
            self.init(
                stage: stage, cause: "\(failure.cause)", steps: failure.steps, written: written, advice: failure.advice)
        }
    }

    /// The older root image that was booted in the place of the one that was wanted.
    public struct Fallback: Equatable, Sendable {
        /// Its URL, without secrets.
        public var image: String
        /// Why the one that was wanted was refused, as a phrase.
        public var reason: String

        /// Takes each part as it is.
        public init(image: String, reason: String) {
            self.image = image
            self.reason = reason
        }
    }

    /// How provisioning ended, if it has.
    public enum Outcome: Equatable, Sendable {
        case unfinished
        case done
        case failed(Failure)
    }

    /// How provisioning ended, if it has.
    public var outcome: Outcome
    /// The stages in the order in which they began.
    public var stages: [Stage]
    /// What the operator should know, in sentences.
    public var warnings: [String]
    /// The older root image that was booted; `nil`: the one that was wanted.
    public var fallback: Fallback?
    /// The kernel's id of this boot, by which a collector tells reports apart.
    public var bootID: String

    /// Makes a report; without arguments nothing has happened yet.
    public init(bootID: String = "", outcome: Outcome = .unfinished, stages: [Stage] = [], warnings: [String] = []) {
        self.bootID = bootID
        self.outcome = outcome
        self.stages = stages
        self.warnings = warnings
    }

    /// The stage of that name; setting one that does not exist yet adds it.
    public subscript(name: String) -> Stage {
        get { stages.first { $0.name == name } ?? Stage(name) }
        set {
            if let index = stages.firstIndex(where: { $0.name == name }) {
                stages[index] = newValue
            } else {
                stages.append(newValue)
            }
        }
    }

    /// Adds what a run of a stage did.
    ///
    /// A stage that runs again in the same boot finds what it made itself; that does not count as kept.
    ///
    /// - Parameters:
    ///   - changes: What the run kept, created, changed and destroyed.
    ///   - notes: What else is worth knowing; each is noted once.
    ///   - name: The stage's name.
    public mutating func add(_ changes: ChangeSummary, notes: [String] = [], to name: String) {
        var stage = self[name]
        let made = Set(stage.changes.created + stage.changes.changed)
        stage.changes = ChangeSummary(
            kept: changes.kept.filter { !made.contains($0) },
            created: stage.changes.created + changes.created.filter { !made.contains($0) },
            changed: stage.changes.changed + changes.changed.filter { !made.contains($0) },
            destroyed: stage.changes.destroyed + changes.destroyed)
        stage.notes += notes.filter { !stage.notes.contains($0) }
        self[name] = stage
    }

    /// The changes of all stages together.
    public var changes: ChangeSummary { stages.reduce(into: ChangeSummary()) { $0 += $1.changes } }
    /// The time of all stages together.
    public var seconds: Double { stages.reduce(0) { $0 + $1.seconds } }
}

// MARK: For programs

extension ProvisioningReport: VersionedRecord {
    /// The members of `/run/firstlight/report.json`, which is also what is posted.
    public var json: JSONValue {
        let changes = changes
        var json: JSONValue = [
            "firstlight": .string(firstlightVersion), "bootID": .string(bootID), "outcome": .string(outcome.word),
            "seconds": Self.rounded(seconds), "kept": JSONValue(changes.kept.count),
            "created": JSONValue(changes.created.count), "changed": JSONValue(changes.changed.count),
            "destroyed": JSONValue(changes.destroyed.count), "stages": .array(stages.map(\.json)),
            "warnings": .array(warnings.map { .string($0) }),
        ]
        if let fallback { json["fallback"] = ["image": .string(fallback.image), "reason": .string(fallback.reason)] }
        if case .failed(let failure) = outcome { json["failure"] = failure.json }
        return json
    }

    /// Reads what ``json`` wrote; what is missing there is empty here.
    ///
    /// - Parameter json: The parsed file.
    public init(json: JSONValue) {
        self.init(
            bootID: json["bootID"]?.string ?? "", stages: (json["stages"]?.elements ?? []).map { Stage(json: $0) },
            warnings: Self.texts(json["warnings"]))
        if let image = json["fallback"]?["image"]?.string {
            fallback = Fallback(image: image, reason: json["fallback"]?["reason"]?.string ?? "")
        }
        if let failure = json["failure"] {
            outcome = .failed(Failure(json: failure))
        } else if json["outcome"]?.string == Outcome.done.word {
            outcome = .done
        }
    }

    fileprivate static func texts(_ list: JSONValue?) -> [String] { (list?.elements ?? []).compactMap(\.string) }

    /// Rounds to thousandths; no clock measures more.
    fileprivate static func rounded(_ seconds: Double) -> JSONValue { .number((seconds * 1000).rounded() / 1000) }
}

extension ProvisioningReport.Outcome {
    fileprivate var word: String {
        switch self {
        case .unfinished: "unfinished"
        case .done: "done"
        case .failed: "failed"
        }
    }
}

extension ProvisioningReport.Stage {
    fileprivate var json: JSONValue {
        func list(_ names: [String]) -> JSONValue { .array(names.map { .string($0) }) }
        return [
            "stage": .string(name), "seconds": ProvisioningReport.rounded(seconds), "notes": list(notes),
            "kept": list(changes.kept), "created": list(changes.created), "changed": list(changes.changed),
            "destroyed": list(changes.destroyed),
        ]
    }

    fileprivate init(json: JSONValue) {
        let texts = ProvisioningReport.texts
        var seconds = 0.0
        switch json["seconds"] {
        case .number(let number): seconds = number
        case .integer(let number): seconds = Double(number)
        default: break
        }
        self.init(
            json["stage"]?.string ?? "", seconds: seconds,
            changes: ChangeSummary(
                kept: texts(json["kept"]), created: texts(json["created"]), changed: texts(json["changed"]),
                destroyed: texts(json["destroyed"])),
            notes: texts(json["notes"]))
    }
}

extension ProvisioningReport.Failure {
    fileprivate var json: JSONValue {
        [
            "stage": .string(stage), "cause": .string(cause), "while": .array(steps.map { .string($0) }),
            "written": written.map { .array($0.map { .string($0) }) } ?? .null,
            "advice": .array(advice.map { .string($0) }),
        ]
    }

    fileprivate init(json: JSONValue) {
        let texts = ProvisioningReport.texts
        self.init(
            stage: json["stage"]?.string ?? "", cause: json["cause"]?.string ?? "", steps: texts(json["while"]),
            written: json["written"]?.elements == nil ? nil : texts(json["written"]), advice: texts(json["advice"]))
    }
}
