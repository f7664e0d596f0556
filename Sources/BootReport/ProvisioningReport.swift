// The report: what provisioning did at this boot, stage by stage, as one value for people and for programs.

import JSONText
import Reporting

/// What a boot did to make the machine as its config says. It holds names and reasons, never a secret.
public struct ProvisioningReport: Equatable, Sendable {
    /// What one stage did, and what it took.
    public struct Stage: Equatable, Sendable {
        /// The stage's word in the boot's story: `disks`, `files`.
        public var name: String
        /// Of all its runs at this boot.
        public var seconds: Double
        public var deeds: ChangeSummary
        /// What is worth knowing of it and was neither kept nor made: where a config came from.
        public var notes: [String]

        public init(_ name: String, seconds: Double = 0, deeds: ChangeSummary = ChangeSummary(), notes: [String] = []) {
            self.name = name
            self.seconds = seconds
            self.deeds = deeds
            self.notes = notes
        }
    }

    /// Why the boot stopped.
    public struct Failure: Equatable, Sendable {
        /// The stage that failed.
        public var stage: String
        public var cause: String
        /// Acts under way, outermost first, as phrases after "while".
        public var steps: [String]
        /// What was written to disks until then, one phrase each.
        public var written: [String]
        public var advice: [String]

        public init(stage: String, cause: String, steps: [String], written: [String], advice: [String]) {
            self.stage = stage
            self.cause = cause
            self.steps = steps
            self.written = written
            self.advice = advice
        }

        public init(_ failure: BootFailure, in stage: String, written: [String]) {
            self.init(
                stage: stage, cause: "\(failure.cause)", steps: failure.steps, written: written, advice: failure.advice)
        }
    }

    public enum Outcome: Equatable, Sendable {
        case unfinished
        case done
        case failed(Failure)
    }

    public var outcome: Outcome
    /// In the order in which they began.
    public var stages: [Stage]
    public var warnings: [String]
    /// The kernel's name for this boot, by which whoever collects reports tells one from another.
    public var bootID: String

    public init(bootID: String = "", outcome: Outcome = .unfinished, stages: [Stage] = [], warnings: [String] = []) {
        self.bootID = bootID
        self.outcome = outcome
        self.stages = stages
        self.warnings = warnings
    }

    /// The stage of that name; asked for and not there yet, it begins.
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

    /// Takes down what a stage did. One that runs once more in the same boot finds kept what it made itself.
    public mutating func add(_ deeds: ChangeSummary, notes: [String] = [], to name: String) {
        var stage = self[name]
        let made = Set(stage.deeds.created + stage.deeds.changed)
        stage.deeds = ChangeSummary(
            kept: deeds.kept.filter { !made.contains($0) },
            created: stage.deeds.created + deeds.created.filter { !made.contains($0) },
            changed: stage.deeds.changed + deeds.changed.filter { !made.contains($0) },
            destroyed: stage.deeds.destroyed + deeds.destroyed)
        stage.notes += notes.filter { !stage.notes.contains($0) }
        self[name] = stage
    }

    /// Of all stages together.
    public var deeds: ChangeSummary { stages.reduce(into: ChangeSummary()) { $0 += $1.deeds } }
    public var seconds: Double { stages.reduce(0) { $0 + $1.seconds } }
}

// MARK: For programs

extension ProvisioningReport {
    /// `/run/firstlight/report.json`, and what is posted.
    public var json: JSONValue {
        let deeds = deeds
        var json: JSONValue = [
            "firstlight": .string(firstlightVersion), "bootID": .string(bootID), "outcome": .string(outcome.word),
            "seconds": Self.rounded(seconds), "kept": JSONValue(deeds.kept.count),
            "created": JSONValue(deeds.created.count), "changed": JSONValue(deeds.changed.count),
            "destroyed": JSONValue(deeds.destroyed.count), "stages": .array(stages.map(\.json)),
            "warnings": .array(warnings.map { .string($0) }),
        ]
        if case .failed(let failure) = outcome { json["failure"] = failure.json }
        return json
    }

    /// What ``json`` wrote; what is missing in it is empty here.
    public init(json: JSONValue) {
        self.init(
            bootID: json["bootID"]?.string ?? "", stages: (json["stages"]?.elements ?? []).map { Stage(json: $0) },
            warnings: Self.texts(json["warnings"]))
        if let failure = json["failure"] {
            outcome = .failed(Failure(json: failure))
        } else if json["outcome"]?.string == Outcome.done.word {
            outcome = .done
        }
    }

    fileprivate static func texts(_ list: JSONValue?) -> [String] { (list?.elements ?? []).compactMap(\.string) }

    /// Thousandths are enough, and no clock is better.
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
            "kept": list(deeds.kept), "created": list(deeds.created), "changed": list(deeds.changed),
            "destroyed": list(deeds.destroyed),
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
            deeds: ChangeSummary(
                kept: texts(json["kept"]), created: texts(json["created"]), changed: texts(json["changed"]),
                destroyed: texts(json["destroyed"])),
            notes: texts(json["notes"]))
    }
}

extension ProvisioningReport.Failure {
    fileprivate var json: JSONValue {
        [
            "stage": .string(stage), "cause": .string(cause), "while": .array(steps.map { .string($0) }),
            "written": .array(written.map { .string($0) }), "advice": .array(advice.map { .string($0) }),
        ]
    }

    fileprivate init(json: JSONValue) {
        let texts = ProvisioningReport.texts
        self.init(
            stage: json["stage"]?.string ?? "", cause: json["cause"]?.string ?? "", steps: texts(json["while"]),
            written: texts(json["written"]), advice: texts(json["advice"]))
    }
}
